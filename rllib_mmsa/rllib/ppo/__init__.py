"""MAPPO and IPPO: RLlib's PPO for a team whose agents share one policy."""

from rllib_mmsa.rllib.ppo.algorithm import IPPO, MAPPO
from rllib_mmsa.rllib.ppo.config import IPPOConfig, MAPPOConfig
from rllib_mmsa.rllib.ppo.module import PolicyModule

__all__ = ["IPPO", "MAPPO", "IPPOConfig", "MAPPOConfig", "PolicyModule"]

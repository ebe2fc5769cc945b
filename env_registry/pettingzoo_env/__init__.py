"""PettingZoo's environments (`env: pettingzoo`)."""

from env_registry.pettingzoo_env.env import ParallelTeamEnv, PettingZooEnv

__all__ = ["ParallelTeamEnv", "PettingZooEnv"]

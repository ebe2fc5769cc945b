"""Multi-Agent MuJoCo (`env: mamujoco`)."""

from env_registry.mamujoco.env import MAMuJoCoEnv, make_game

__all__ = ["MAMuJoCoEnv", "make_game"]

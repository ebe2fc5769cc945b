"""SMAX (`env: smax`, and `env: smacv2` where StarCraft II is not installed)."""

from env_registry.smax.env import SmaxEnv, SmaxVectorEnv

__all__ = ["SmaxEnv", "SmaxVectorEnv"]

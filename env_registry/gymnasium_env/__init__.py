"""Gymnasium environments of several agents (`env: gymnasium`): Tuples of spaces."""

from env_registry.gymnasium_env.env import GymnasiumEnv
from env_registry.gymnasium_env.game import TupleGame, is_team

__all__ = ["GymnasiumEnv", "TupleGame", "is_team"]

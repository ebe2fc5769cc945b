"""Agents that act at the same time, as a team: what PettingZoo's and gymnasium's have in common."""

from env_registry.team.env import TeamEnv

__all__ = ["TeamEnv"]

"""A trained team outside the trainer: loaded from a folder, acting by itself.

No Ray, no learner, no environment: weights, and the network that acts.
"""

from rllib_mmsa.team.files import FORMAT, MeaninglessFolder, read, write
from rllib_mmsa.team.team import Agent, Team, load_team

__all__ = ["FORMAT", "Agent", "MeaninglessFolder", "Team", "load_team", "read", "write"]

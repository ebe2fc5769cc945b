"""What plays a checkpoint: the team's two files, or RLlib's pickles where they do not say all."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from env_registry import ENVIRONMENTS
from rllib_mmsa.command.experiment import imports
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.whole import CLASS_FILE, TEAM_FILE

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
    from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Opened:
    """A team that can be played.

    Attributes:
        algorithm: Its name.
        config: The run's, or as much of it as plays its tests.
        record: What its numbers mean (rllib/meaning.py).
        weights: Of the network that acts; None: they are in RLlib's folder.
    """

    algorithm: str
    config: AlgorithmConfig
    record: Mapping[str, Any] | None
    weights: Mapping[str, Tensor] | None


def without_pickles(folder: Path, files: Sequence[str] = ()) -> Opened | None:
    """Read a team from its two files alone, which runs no code of the folder.

    Args:
        folder: A checkpoint's, or an exported one.
        files: Modules or Python files of the user's to import.

    Returns:
        None where a checkpoint's pickles are needed besides: an older version's, an algorithm or
        an environment of the user's own, settings of it that JSON cannot hold.

    Raises:
        ConfigError: If the files are damaged, or an exported folder cannot be played.
    """
    if not (folder / TEAM_FILE).exists():
        return None
    from rllib_mmsa.rllib import ALGORITHMS, tested
    from rllib_mmsa.team import MeaninglessFolder, read

    try:
        said, weights = read(folder)
    except MeaninglessFolder as err:
        raise ConfigError(str(err)) from None
    tests = tested.of_team(said)
    known = said["algorithm"] in ALGORITHMS and tests is not None
    if (folder / CLASS_FILE).exists() and not (known and tests["env"] in ENVIRONMENTS):
        return None
    if not known:
        raise ConfigError(
            f"'{folder}' does not say how it is tested: its algorithm ({said['algorithm']}), its "
            "environment or its callbacks are the user's own. rllib_mmsa.load_team plays it."
        )
    imports.load(files)
    return Opened(said["algorithm"], tested.config_of(said, tests), said["environment"], weights)

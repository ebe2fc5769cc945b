"""Evaluation of a checkpoint on fresh environments, in this process, without Ray running.

Only the acting part of the checkpoint is loaded: no learner, no optimiser, no replay.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllib_mmsa import origin
from rllib_mmsa.command import trust
from rllib_mmsa.command.checkpoints import is_exported, locate
from rllib_mmsa.command.experiment import imports, preflight
from rllib_mmsa.command.experiment.experiment import RECORD
from rllib_mmsa.command.experiment.files import read_record
from rllib_mmsa.command.film import Film
from rllib_mmsa.command.opened import Opened, without_pickles
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.report.names import task_name
from rllib_mmsa.whole import MODULE_FOLDER, TEAM

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm import Algorithm
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The results of evaluation episodes.

    Attributes:
        checkpoint: The checkpoint's folder.
        algorithm: The algorithm's name.
        env: The environment's name, with its task where it has one.
        returns: Team return of each episode.
        lengths: Length of each episode, in env steps.
        wins: Whether each episode was won; empty where the game cannot be won.
        epsilon: Share of random actions; 0: greedy.
        drawn: Whether the other actions were drawn from a policy, not its likeliest ones.
    """

    checkpoint: Path
    algorithm: str
    env: str
    returns: list[float]
    lengths: list[int]
    wins: list[bool]
    epsilon: float = 0.0
    drawn: bool = False

    def summary(self) -> str:
        """Return the lines that the command prints."""
        lines = [
            f"checkpoint  {self.checkpoint}",
            f"algorithm   {self.algorithm} on {self.env}",
            f"episodes    {len(self.returns)}",
            f"return      {interval(self.returns)}",
        ]
        if self.drawn:
            lines.insert(3, "actions     drawn from the policy")
        if self.epsilon:
            lines.insert(3, f"epsilon     {self.epsilon:g}")
        if self.wins:
            lines.append(f"win rate    {win_interval(self.wins)}")
        lines.append(f"length      {statistics.fmean(self.lengths):.1f} env steps")
        return "\n".join(lines)


def interval(values: list[float]) -> str:
    """Format a mean with its 95 % interval (Student's t over episodes)."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.3f}  (one episode: no interval)"
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.3f}  (95 % interval {mean - half:.3f} to {mean + half:.3f})"


def win_interval(wins: list[bool]) -> str:
    """Format the part of episodes that were won with Wilson's 95 % interval, inside [0, 1]."""
    from scipy.stats import binomtest

    ends = binomtest(sum(wins), len(wins)).proportion_ci(0.95, method="wilson")
    return f"{sum(wins) / len(wins):.3f}  (95 % interval {ends.low:.3f} to {ends.high:.3f})"


def read_config(checkpoint: Path, files: Sequence[str] = ()) -> tuple[str, AlgorithmConfig]:
    """Read the algorithm's name and options from a checkpoint.

    Args:
        checkpoint: Its folder.
        files: Modules or Python files to import, in place of recorded ones that were moved.

    Raises:
        ConfigError: If it is damaged, or no checkpoint of an algorithm that acts as ours do.
    """
    if is_exported(checkpoint):
        raise ConfigError(
            f"'{checkpoint}' is an exported team: it acts, and has no world model nor anything to "
            "train on with; name a checkpoint of the run."
        )
    _import_users_modules(checkpoint, files)
    from rllib_mmsa.rllib import ALGORITHMS

    algorithm, args, kwargs = origin.load_class(checkpoint)
    options = kwargs.get("config") if "config" in kwargs else args[0]
    if not issubclass(algorithm, tuple(ALGORITHMS.values())):
        raise ConfigError(
            f"'{checkpoint}' was made by {algorithm.__module__}.{algorithm.__name__}; this command "
            f"evaluates {', '.join(ALGORITHMS)}."
        )
    if isinstance(options, dict):
        options = _read_options(algorithm, options, checkpoint)
    return algorithm.__name__, options.copy(copy_frozen=False)


def _read_options(
    algorithm: type[Algorithm], options: dict[str, Any], checkpoint: Path
) -> AlgorithmConfig:
    """Turn what a checkpoint says of its options into a configuration.

    Raises:
        ConfigError: If an older version made it with an option that is gone.
    """
    default = algorithm.get_default_config()
    try:
        if "class" in options:  # the state of a configuration, perhaps of an older version
            return default.from_state(options)
        return default.update_from_dict(options)
    except ValueError as err:
        raise ConfigError(f"'{checkpoint}' cannot be evaluated: {err}.") from None


def _import_users_modules(checkpoint: Path, files: Sequence[str]) -> None:
    """Import what the experiment imported, as its record in the folder of results says."""
    experiment = checkpoint.parent.parent
    record = experiment / RECORD
    recorded = read_record(record).get("import", []) if record.exists() else []
    imports.load(imports.found_again(recorded, experiment, files))


def evaluate(
    path: str | Path,
    *,
    episodes: int,
    seed: int | None = None,
    epsilon: float | None = None,
    render: str | None = None,
    files: Sequence[str] = (),
) -> Evaluation:
    """Play episodes with a checkpoint's policy.

    Args:
        path: What `checkpoints.locate` understands.
        episodes: Number of episodes.
        seed: Seed of the environments; None: another each time.
        epsilon: Share of random actions, the others greedy; None: as in the tests of training
            (`evaluation_epsilon`; PPO's `evaluation_config: {explore: true}`).
        render: A .gif file to write the first episodes to.
        files: Modules or Python files to import, in place of recorded ones that were moved.

    Returns:
        Their results.
    """
    if epsilon is not None and not 0 <= epsilon <= 1:
        raise ConfigError(f"--epsilon is {epsilon:g}; it must be a number from 0 to 1.")
    if render and not render.lower().endswith(".gif"):
        raise ConfigError(f"--render writes a GIF; '{render}' does not end in .gif.")
    checkpoint = locate(path)
    team = without_pickles(checkpoint, files) or with_pickles(checkpoint, files)
    name, config = team.algorithm, team.config
    preflight.quiet_logs()  # after the import of RLlib, which sets its level
    film = Film() if render else None
    runner = build_runner(team, checkpoint, seed=seed, film=film, epsilon=epsilon)
    try:
        env = task_name(config.env, (config.env_config or {}).get("task"), runner.env_backend)
        if film:
            film.title = f"{name} on {env}"
        played = runner.sample(num_episodes=episodes)
    finally:
        runner.stop()
    if film:
        film.save(Path(render).expanduser())
    # Some games tell of wins alone, so that the first losses look like games without any.
    has_wins = any(episode.win is not None for episode in played)
    return Evaluation(
        checkpoint=checkpoint,
        algorithm=name,
        env=env,
        returns=[float(episode.episode_return) for episode in played],
        lengths=[len(episode) for episode in played],
        wins=[bool(episode.win) for episode in played] if has_wins else [],
        epsilon=runner.config.evaluation_epsilon,
        drawn=runner.config.explore,
    )


def with_pickles(checkpoint: Path, files: Sequence[str] = ()) -> Opened:
    """Read a team from RLlib's files.

    Args:
        checkpoint: Its folder.
        files: Modules or Python files to import, in place of recorded ones that were moved.

    Raises:
        ConfigError: See `read_config`; or it is not the user's own, nor trusted.
    """
    from rllib_mmsa.rllib import meaning

    trust.require(checkpoint)
    name, config = read_config(checkpoint, files)
    if not (checkpoint / MODULE_FOLDER).is_dir():
        raise ConfigError(f"'{checkpoint}' lacks {MODULE_FOLDER}; is the copy complete?")
    try:
        return Opened(name, config, meaning.of_checkpoint(checkpoint), weights=None)
    except meaning.MeaningError as err:
        raise ConfigError(str(err)) from None


def build_runner(
    team: Opened,
    checkpoint: Path,
    *,
    seed: int | None,
    film: Film | None,
    epsilon: float | None = None,
) -> Any:
    """Build the environment runner of an evaluation and load the acting module into it."""
    from rllib_mmsa.rllib.config import QLearningConfig

    settings = team.config.get_evaluation_config_object().copy(copy_frozen=False)
    # A Q-learner's exploration belongs to a step of its training, a policy's to the policy.
    drawn = settings.explore and epsilon is None and not isinstance(settings, QLearningConfig)
    settings.update_from_dict({"seed": seed, "explore": drawn, "num_env_runners": 0})
    settings.in_evaluation = True
    if epsilon is not None:
        settings.evaluation_epsilon = epsilon
    if film:
        settings.num_envs_per_env_runner = 1  # one after another, as a film needs them
        settings.callbacks(on_episode_start=film.on_episode_start, on_episode_step=film.on_frame)
    runner = settings.env_runner_cls(config=settings)
    _compare_meaning(team, checkpoint, runner)
    with finite_weights(checkpoint):
        if team.weights is None:
            runner.module[TEAM].restore_from_path(checkpoint / MODULE_FOLDER)
        else:
            runner.module[TEAM].set_state(dict(team.weights))
    if runner.module[TEAM].num_repaired:
        raise ConfigError(
            f"'{checkpoint}' cannot be evaluated: its running statistics of observations are not "
            "finite. Take an earlier checkpoint, or train on from this one, which finds them anew."
        )
    return runner


@contextlib.contextmanager
def finite_weights(checkpoint: Path) -> Iterator[None]:
    """Refuse, in words, a module whose weights are not finite."""
    from rllib_mmsa.rllib.module import NotFiniteWeights

    try:
        yield
    except NotFiniteWeights as err:
        raise ConfigError(f"'{checkpoint}': {err}.") from None


def _compare_meaning(team: Opened, checkpoint: Path, runner: Any) -> None:
    """Refuse to evaluate where the checkpoint means another environment (rllib/meaning.py)."""
    from rllib_mmsa.rllib import meaning

    try:
        meaning.compare(team.record, runner.meaning, checkpoint)
    except meaning.MeaningError as err:
        runner.stop()
        raise ConfigError(str(err)) from None

"""From a YAML file or command-line options to checked experiments and their Tune runs.

The way: text -> mapping (`read_yaml`) -> `Experiment` (structure checked, no import of Ray) ->
`preflight.check` (environment, options and resources, Ray not started) -> `launch.run`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rllib_mmsa.command.experiment import checks, search
from rllib_mmsa.command.experiment.yaml_text import parse_yaml
from rllib_mmsa.errors import ConfigError, nearest, unknown

EXPERIMENT_KEYS = (
    "env",
    "run",
    "stop",
    "config",
    "num_samples",
    "max_concurrent_trials",
    "max_failures",
    "scheduler",
    "checkpoint_config",
    "checkpoint_freq",
    "checkpoint_at_end",
    "keep_checkpoints_num",
    "checkpoint_score_attr",
    "storage_path",
    "local_dir",
    "import",
)
CHECKPOINT_KEYS = (
    "checkpoint_frequency",
    "checkpoint_at_end",
    "num_to_keep",
    "checkpoint_score_attribute",
    "checkpoint_score_order",
)
DEFAULT_CHECKPOINT_FREQUENCY = 50  # iterations; one is 1000 env steps by default
# The old spelling of each checkpoint setting, still taken at both levels.
OLD_CHECKPOINT_KEYS = {
    "checkpoint_freq": "checkpoint_frequency",
    "keep_checkpoints_num": "num_to_keep",
    "checkpoint_score_attr": "checkpoint_score_attribute",
}
DEFAULT_STORAGE = "~/ray_results"
RECORD = "experiment.yaml"  # what was run, beside its results; `rllib train resume` reads it


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One entry of an experiment file, checked.

    Attributes:
        name: Folder of the results under `storage_path`.
        run: Algorithm's registered name.
        env: Environment's registered name, or a search space of names.
        config: RLlib options; search spaces still as one-key mappings.
        stop: Full metric path -> value at which a trial ends.
        checkpoint: Arguments of Tune's CheckpointConfig.
        num_samples: Repetitions of the grid, or samples of the search space.
        max_concurrent_trials: Upper limit of trials at a time; None: as the machine allows.
        max_failures: Retries of a failed trial from its last checkpoint.
        scheduler: What `search.check_scheduler` returned; empty: every trial runs to its end.
        storage_path: Absolute path above the results.
        imports: Modules or Python files that register the user's own environments.
    """

    name: str
    run: str
    env: Any
    config: dict[str, Any]
    stop: dict[str, float]
    checkpoint: dict[str, Any]
    num_samples: int = 1
    max_concurrent_trials: int | None = None
    max_failures: int = 0
    scheduler: dict[str, Any] = dataclasses.field(default_factory=dict)
    storage_path: str = DEFAULT_STORAGE
    imports: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The experiment's results folder."""
        return Path(self.storage_path, self.name)

    def to_mapping(self) -> dict[str, Any]:
        """Return the experiment as an experiment file would hold it."""
        entry: dict[str, Any] = {
            "run": self.run,
            "env": self.env,
            "stop": self.stop,
            "checkpoint_config": self.checkpoint,
            "num_samples": self.num_samples,
            "max_concurrent_trials": self.max_concurrent_trials,
            "max_failures": self.max_failures,
            "scheduler": self.scheduler,
            "import": list(self.imports),
            "config": self.config,
        }
        return {self.name: {k: v for k, v in entry.items() if v not in (None, [], {})}}


def read_file(path: str | Path) -> dict[str, Any]:
    """Read an experiment file into a mapping of experiment names."""
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f"{path} is a directory; name a YAML file in it.")
    if not path.exists():
        siblings = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        near = nearest(path.name, siblings)
        hint = f" Did you mean '{path.parent / near}'?" if near else ""
        raise ConfigError(f"no experiment file '{path}'.{hint}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"{path} cannot be read as text: {err}.") from None
    content = parse_yaml(text, str(path))
    if not isinstance(content, Mapping) or not content:
        raise ConfigError(
            f"{path} must be a mapping of experiment names to settings, but is "
            f"{checks.describe(content)}. Example: 'my_run: {{run: MMSA, env: lbf}}'."
        )
    return dict(content)


def load_file(
    path: str | Path, *, stop: str | None = None, storage_path: str | None = None
) -> list[Experiment]:
    """Read an experiment file and check its structure.

    Args:
        path: YAML file: experiment name -> settings; a top-level `import` holds for all.
        stop: Criteria as YAML or JSON text that replace those of the same name.
        storage_path: Folder above the results; wins over the file's.

    Returns:
        The experiments in the file's order.

    Raises:
        ConfigError: At the first mistake.
    """
    content = read_file(path)
    base = Path(path).resolve().parent
    shared = import_list(content.pop("import", None), "import", base)
    more_stop = parse_option(stop, "--stop")
    found = []
    for name, entry in content.items():
        if not isinstance(entry, Mapping):
            raise ConfigError(
                f"{path}: experiment '{name}' must be a mapping with run, env, stop and config, "
                f"but is {checks.describe(entry)}."
            )
        entry = dict(entry)
        if storage_path:
            entry.pop("local_dir", None)
            entry["storage_path"] = storage_path
        experiment = parse_experiment(str(name), entry, base=base, more_stop=more_stop)
        imports = tuple(dict.fromkeys([*shared, *experiment.imports]))
        found.append(dataclasses.replace(experiment, imports=imports))
    if not found:
        raise ConfigError(f"{path} names no experiment, only imports.")
    return found


def parse_option(text: str | None, where: str) -> dict[str, Any]:
    """Parse a command-line mapping such as --stop '{training_iteration: 5}'."""
    return checks.mapping(parse_yaml(text or "{}", where), where)


def parse_experiment(
    name: str,
    entry: dict[str, Any],
    *,
    base: Path | None = None,
    more_stop: Mapping[str, Any] | None = None,
) -> Experiment:
    """Check one experiment's structure: keys, kinds, metric names, search spaces.

    Args:
        name: The experiment's name.
        entry: Its settings as written.
        base: Folder that relative imports start from.
        more_stop: Stop criteria that replace those of the same name.

    Returns:
        The experiment; its algorithm, environment and options are not yet checked.
    """
    _check_experiment_keys(entry, name)
    config = checks.mapping(entry.get("config"), f"{name}: config")
    env = entry.get("env", config.get("env"))
    config.pop("env", None)
    _check_names(entry.get("run"), env, name)
    stop = checks.stop_criteria(entry.get("stop"), f"{name}: stop")
    stop.update(checks.stop_criteria(more_stop, "--stop"))
    scheduler = search.check_scheduler(entry.get("scheduler"), f"{name}: scheduler", stop)
    return Experiment(
        name=name,
        run=entry["run"],
        env=env,
        config=config,
        stop=stop,
        scheduler=scheduler,
        checkpoint=_checkpoint_settings(entry, name, kept=search.checkpoints_kept(scheduler)),
        storage_path=_storage(entry, name),
        imports=import_list(entry.get("import"), f"{name}: import", base),
        **_counts(entry, name),
    )


def _check_names(run: Any, env: Any, name: str) -> None:
    """Check that an algorithm and an environment are named; whether they exist comes later."""
    for key, value, example in (("run", run, "MMSA"), ("env", env, "lbf")):
        if value is None:
            raise ConfigError(f"{name}: '{key}' is missing; add for example '{key}: {example}'.")
    if not isinstance(run, str):
        raise ConfigError(
            f"{name}: run must be an algorithm's name, but is {checks.describe(run)}."
        )
    if not (isinstance(env, str) or checks.is_search_space(env)):
        raise ConfigError(
            f"{name}: env must be an environment's name, but is {checks.describe(env)}."
        )


def _counts(entry: Mapping[str, Any], name: str) -> dict[str, int | None]:
    """Check the numbers of samples, of trials at a time and of retries."""

    def whole(key: str, default: int, minimum: int) -> int:
        value = entry.get(key, default)
        return checks.number(value, f"{name}: {key}", minimum=minimum, whole=True)

    concurrent = entry.get("max_concurrent_trials")
    return {
        # -1 stands for "without end".
        "num_samples": -1 if entry.get("num_samples") == -1 else whole("num_samples", 1, 1),
        "max_concurrent_trials": (
            None if concurrent is None else whole("max_concurrent_trials", 1, 1)
        ),
        "max_failures": whole("max_failures", 0, -1),
    }


def _check_experiment_keys(entry: Mapping[str, Any], name: str) -> None:
    """Refuse unknown experiment-level keys; say where a key of another level belongs."""
    if not re.fullmatch(r"[\w.+=-]+", name):
        raise ConfigError(f"experiment name '{name}' becomes a folder: use letters, digits, _ . -")
    for key in entry:
        if key in EXPERIMENT_KEYS:
            continue
        if key in ("env_config", "seed", "lr", "gamma", "framework", "evaluation_config"):
            raise ConfigError(f"{name}: '{key}' belongs under 'config:'.")
        raise unknown("key", key, EXPERIMENT_KEYS, name)


def _storage(entry: Mapping[str, Any], name: str) -> str:
    """The absolute storage path; `local_dir` is its old name. URIs stay as they are."""
    path = entry.get("storage_path") or entry.get("local_dir") or DEFAULT_STORAGE
    if not isinstance(path, str):
        raise ConfigError(f"{name}: storage_path must be a path, not {checks.describe(path)}.")
    return path if "://" in path else str(Path(path).expanduser().resolve())


def _checkpoint_settings(entry: Mapping[str, Any], name: str, kept: int) -> dict[str, Any]:
    """Gather checkpoint settings of both levels under Tune's names, and check them."""
    where = f"{name}: checkpoint_config"
    given = checks.mapping(entry.get("checkpoint_config"), where)
    checks.check_keys(given, [*CHECKPOINT_KEYS, *OLD_CHECKPOINT_KEYS], "key", where)
    level = {k: entry[k] for k in (*OLD_CHECKPOINT_KEYS, "checkpoint_at_end") if k in entry}
    merged = {OLD_CHECKPOINT_KEYS.get(k, k): v for k, v in {**level, **given}.items()}
    merged = {k: v for k, v in merged.items() if v is not None}
    # Without the one at the end a finished run would leave nothing to evaluate; without those on
    # the way a run that is killed would lose everything.
    merged.setdefault("checkpoint_at_end", True)
    if merged["checkpoint_at_end"] and "checkpoint_frequency" not in merged:
        merged["checkpoint_frequency"] = DEFAULT_CHECKPOINT_FREQUENCY
        merged.setdefault("num_to_keep", kept)
    checks.flag(merged["checkpoint_at_end"], f"{where}: checkpoint_at_end")
    for key, minimum in (("checkpoint_frequency", 0), ("num_to_keep", 1)):
        if key in merged:
            checks.number(merged[key], f"{where}: {key}", minimum=minimum, whole=True)
    if merged.get("checkpoint_score_order", "max") not in ("min", "max"):
        raise ConfigError(f"{where}: checkpoint_score_order must be 'min' or 'max'.")
    if "checkpoint_score_attribute" in merged:
        merged["checkpoint_score_attribute"] = checks.metric(
            merged["checkpoint_score_attribute"], f"{where}: checkpoint_score_attribute"
        )
    return merged


def import_list(value: Any, where: str, base: Path | None) -> tuple[str, ...]:
    """Check `import`: module names, or Python files made absolute from the file's folder."""
    if value is None:
        return ()
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ConfigError(
            f"{where} must be a list of modules or Python files, but is {checks.describe(value)}."
        )
    resolved = []
    for item in items:
        if item.endswith(".py"):
            path = (base or Path.cwd()) / Path(item).expanduser()
            if not path.is_file():
                raise ConfigError(f"{where}: no file '{path}'.")
            item = str(path.resolve())
        resolved.append(item)
    return tuple(resolved)

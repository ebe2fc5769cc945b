"""The structure of one experiment: keys, kinds, metric names, checkpoints. No Ray, no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rllib_mmsa.command.experiment import checks, loggers, metrics, search, search_alg
from rllib_mmsa.command.experiment.experiment import DEFAULT_STORAGE, Experiment
from rllib_mmsa.errors import ConfigError, shortened, unknown

EXPERIMENT_KEYS = (
    "env",
    "run",
    "stop",
    "config",
    "num_samples",
    "max_concurrent_trials",
    "max_failures",
    "scheduler",
    "search_alg",
    "loggers",
    "checkpoint_config",
    "checkpoint_freq",
    "checkpoint_at_end",
    "keep_checkpoints_num",
    "checkpoint_score_attr",
    "storage_path",
    "local_dir",
    "import",
    "restore",
)
CHECKPOINT_KEYS = (
    "checkpoint_frequency",
    "checkpoint_at_end",
    "num_to_keep",
    "checkpoint_score_attribute",
    "checkpoint_score_order",
)
MAX_NAME_BYTES = 120  # a file system takes 255 for a folder with what is appended to it
DEFAULT_CHECKPOINT_FREQUENCY = 50  # iterations; one is 1000 env steps by default
# The old spelling of each checkpoint setting, still taken at both levels.
OLD_CHECKPOINT_KEYS = {
    "checkpoint_freq": "checkpoint_frequency",
    "keep_checkpoints_num": "num_to_keep",
    "checkpoint_score_attr": "checkpoint_score_attribute",
}


def parse_experiment(
    name: str,
    entry: dict[str, Any],
    *,
    base: Path | None = None,
    more_stop: Mapping[str, Any] | None = None,
    exists: bool = False,
) -> Experiment:
    """Check one experiment's structure: keys, kinds, metric names, search spaces.

    Args:
        name: The experiment's name.
        entry: Its settings as written.
        base: Folder that relative imports start from.
        more_stop: Stop criteria that replace those of the same name.
        exists: The name is that of a folder of results, which may have been given any name since.

    Returns:
        The experiment; its algorithm, environment and options are not yet checked.
    """
    if not exists:
        check_name(name)
    _check_experiment_keys(entry, name)
    config = checks.mapping(entry.get("config"), f"{name}: config")
    env = entry.get("env", config.get("env"))
    config.pop("env", None)
    _check_names(entry.get("run"), env, name)
    stop = metrics.stop_criteria(entry.get("stop"), f"{name}: stop")
    stop.update(metrics.stop_criteria(more_stop, "--stop"))
    scheduler = search.check_scheduler(entry.get("scheduler"), f"{name}: scheduler", stop)
    return Experiment(
        name=name,
        run=entry["run"],
        env=env,
        config=config,
        stop=stop,
        scheduler=scheduler,
        search_alg=search_alg.check(
            entry.get("search_alg"), f"{name}: search_alg", config, scheduler
        ),
        loggers=loggers.check(entry.get("loggers"), f"{name}: loggers"),
        checkpoint=_checkpoint_settings(entry, name, kept=search.checkpoints_kept(scheduler)),
        storage_path=_storage(entry, name),
        imports=import_list(entry.get("import"), f"{name}: import", base),
        restore=_restore(entry.get("restore"), f"{name}: restore", base),
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
    for key in entry:
        if key in EXPERIMENT_KEYS:
            continue
        if key in ("env_config", "seed", "lr", "gamma", "framework", "evaluation_config"):
            raise ConfigError(f"{name}: '{key}' belongs under 'config:'.")
        raise unknown("key", key, EXPERIMENT_KEYS, name)


def check_name(name: str) -> None:
    """Refuse an experiment's name that is no good name of a folder."""
    if not re.fullmatch(r"\w[\w.+=-]*", name):
        raise ConfigError(
            f"experiment name '{shortened(name)}' becomes a folder: use letters, digits, _ . - "
            "and begin with a letter or a digit."
        )
    if len(name.encode()) > MAX_NAME_BYTES:
        raise ConfigError(
            f"experiment name '{shortened(name)}' becomes a folder: at most {MAX_NAME_BYTES} "
            f"bytes, but it has {len(name.encode())}."
        )


def game_of(entry: Mapping[str, Any]) -> str:
    """An entry's environment, with the game that plays in its place: "smacv2_smax"."""
    import env_registry  # here: it imports Ray

    env, settings = entry.get("env"), (entry.get("config") or {}).get("env_config")
    game = env_registry.stand_in(str(env), settings if isinstance(settings, Mapping) else None)
    return f"{env}_{game}" if game else str(env)


def folder_name(name: str) -> str:
    """A name that `check_name` takes, for an algorithm and an environment of any name."""
    return re.sub(r"[^\w.+=-]", "_", name.lower())


def _storage(entry: Mapping[str, Any], name: str) -> str:
    """The absolute storage path; `local_dir` is its old name. URIs stay as they are."""
    if entry.get("storage_path") == "":
        raise ConfigError(f"{name}: storage_path is empty; name a folder, or leave it out.")
    path = entry.get("storage_path") or entry.get("local_dir") or DEFAULT_STORAGE
    if not isinstance(path, str):
        raise ConfigError(f"{name}: storage_path must be a path, not {checks.describe(path)}.")
    if "://" in path:
        return path
    try:
        return str(Path(path).expanduser().resolve())
    except (OSError, RuntimeError, ValueError) as err:  # ~nobody, a NUL, a loop of links
        raise ConfigError(f"{name}: storage_path '{shortened(path)}' is no path: {err}.") from None


def _restore(value: Any, where: str, base: Path | None) -> str | None:
    """The absolute path that a run begins from; whether it is there matters only at its start."""
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where} must be a checkpoint's path, but is {checks.describe(value)}.")
    return str((base or Path.cwd()) / Path(value).expanduser())


def _checkpoint_settings(entry: Mapping[str, Any], name: str, kept: int) -> dict[str, Any]:
    """Gather checkpoint settings of both levels under Tune's names, and check them."""
    where = f"{name}: checkpoint_config"
    written = checks.mapping(entry.get("checkpoint_config"), where)
    checks.check_keys(written, [*CHECKPOINT_KEYS, *OLD_CHECKPOINT_KEYS], "key", where)
    level = {k: entry[k] for k in (*OLD_CHECKPOINT_KEYS, "checkpoint_at_end") if k in entry}
    merged = {OLD_CHECKPOINT_KEYS.get(k, k): v for k, v in {**level, **written}.items()}
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
        merged["checkpoint_score_attribute"] = metrics.metric(
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

"""Pure checks of what a user wrote: value, rule, remedy, in one message. No Ray, no torch.

Every function returns the corrected value or raises `ConfigError`, whose text is the whole message
the command line prints.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from rllib_mmsa.errors import ConfigError, nearest, shortened, unknown
from rllib_mmsa.older.options import REMOVED
from rllib_mmsa.older.rllib_names import RENAMED_METRICS

# Result keys that a `stop` criterion or a checkpoint score is most often of.
STOP_METRICS = (
    "training_iteration",
    "time_total_s",
    "num_env_steps_sampled_lifetime",
    "test_return",
    "test_win_rate",
    "test_env_steps",
    "env_runners/num_env_steps_sampled_lifetime",
    "env_runners/num_episodes_lifetime",
    "env_runners/episode_return_mean",
    "env_runners/episode_return_min",
    "env_runners/episode_return_max",
    "env_runners/episode_len_mean",
    "env_runners/win_rate",
    "env_runners/epsilon",
    "evaluation/env_runners/episode_return_mean",
    "evaluation/env_runners/episode_return_min",
    "evaluation/env_runners/episode_return_max",
    "evaluation/env_runners/episode_len_mean",
    "evaluation/env_runners/win_rate",
)

# What else is reported, by the algorithms' losses among others.
KNOWN_METRICS = (
    *STOP_METRICS,
    *(f"env_runners/{name}" for name in ("episode_len_min", "episode_len_max", "num_episodes",
      "num_env_steps_sampled", "episode_duration_sec_mean", "num_episodes_dropped_lifetime")),
    *(f"evaluation/env_runners/{name}" for name in ("episode_len_min", "episode_len_max",
      "num_episodes")),
    *(f"replay/{name}" for name in ("num_episodes", "num_env_steps", "bytes")),
    *(f"learners/team/{name}" for name in ("total_loss", "td_loss", "td_error_abs", "q_tot_mean",
      "td_target_mean", "gradients_default_optimizer_global_norm", "num_skipped_updates",
      "default_optimizer_learning_rate", "num_updates_lifetime", "num_target_updates",
      "kl_prior_loss", "kl_balanced_loss", "reconstruction_embeddings_loss",
      "reconstruction_hidden_loss", "reconstruction_obs_loss", "reconstruction_mask_loss",
      "sale_latent_loss", "sale_observation_loss", "policy_loss", "policy_agreement",
      "vf_loss", "vf_explained_var", "entropy", "mean_kl_loss")),
)  # fmt: skip
# Parts of a result into which callbacks log.
METRIC_FOLDERS = (
    "env_runners", "evaluation", "learners", "replay", "timers", "perf", "custom_metrics",
    "fault_tolerance", "env_runner_group",
)  # fmt: skip

# Tune's search spaces as one-key mappings -> the numbers of arguments each takes.
SEARCH_SPACES: dict[str, tuple[int, ...]] = {
    "grid_search": (),
    "choice": (),
    "uniform": (2,),
    "loguniform": (2, 3),
    "quniform": (3,),
    "qloguniform": (3, 4),
    "randint": (2,),
    "lograndint": (2, 3),
    "qrandint": (3,),
    "randn": (2,),
}


def mapping(value: Any, where: str) -> dict[str, Any]:
    """Return `value` as a dict whose keys are text, or say what it is instead."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} must be a mapping (key: value), but is {describe(value)}.")
    for key in value:
        if not isinstance(key, str):
            raise ConfigError(
                f"{where}: a key must be text, but is {describe(key)}; put it in quotes."
            )
    return dict(value)


def describe(value: Any) -> str:
    """Name a YAML value's kind and show it, shortened."""
    kinds = {
        bool: "a boolean",
        int: "a whole number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "a mapping",
        type(None): "empty",
    }
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"{kinds.get(type(value), type(value).__name__)} ({shown})"


def check_keys(entries: Mapping[str, Any], valid: Iterable[str], what: str, where: str) -> None:
    """Raise for the first key of `entries` that is not in `valid`."""
    valid = set(valid)
    for key in entries:
        if key not in valid:
            raise unknown(what, key, valid, where)


def number(value: Any, where: str, *, minimum: float | None = None, whole: bool = False) -> Any:
    """Check that `value` is a number, optionally whole and not below `minimum`."""
    kind = "a whole number" if whole else "a number"
    ok = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if whole and isinstance(value, float) and value.is_integer():
        value, ok = int(value), True
    if not ok:
        raise ConfigError(f"{where} must be {kind}, but is {describe(value)}.")
    if not math.isfinite(value):
        raise ConfigError(f"{where} must be a finite number, but is {value}.")
    if minimum is not None and value < minimum:
        raise ConfigError(f"{where} must be {minimum} or more, but is {value}.")
    return value


def flag(value: Any, where: str) -> bool:
    """Check that `value` is true or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{where} must be true or false, but is {describe(value)}.")
    return value


def metric(name: str, where: str) -> str:
    """Resolve a metric's name to its full path in the result.

    A short name (`episode_return_mean`) stands for the training metric. A path that is not known
    is taken as it is where nothing that is known is near: a callback may log it.

    Args:
        name: What the user wrote.
        where: The place in the file, for the message.

    Returns:
        The path, such as "env_runners/episode_return_mean".

    Raises:
        ConfigError: If no such metric is reported.
    """
    name = str(name)
    if name in KNOWN_METRICS:
        return name
    if name in RENAMED_METRICS:
        raise ConfigError(
            f"{where}: '{name}' is a name of RLlib's old API stack; "
            f"write '{RENAMED_METRICS[name]}'."
        )
    short = {"evaluation/" + m.rsplit("/", 1)[1]: m for m in STOP_METRICS if "evaluation/" in m}
    short.update({m.rsplit("/", 1)[-1]: m for m in reversed(STOP_METRICS) if "eval" not in m})
    if name in short:
        return short[name]
    if _may_be_logged(name):
        return name
    mean = f"{name}_mean"
    near = mean if mean in (*short, *KNOWN_METRICS) else nearest(name, [*KNOWN_METRICS, *short])
    # A full path is the better advice where only its last part was misspelt.
    hint = f" Did you mean '{near}'?" if near else ""
    raise ConfigError(
        f"{where}: unknown metric '{shortened(name)}'.{hint} Metrics: {', '.join(STOP_METRICS)}, "
        "learners/<module>/<name>; one that a callback logs is named with its whole path, such as "
        "env_runners/my_metric."
    )


def _may_be_logged(name: str) -> bool:
    """Whether a path that is not known may be a callback's metric, and no misspelt name."""
    folder, _, last = name.rpartition("/")
    if not last or name.split("/")[0] not in METRIC_FOLDERS:
        return False
    folders = (folder, "evaluation/env_runners") if folder == "evaluation" else (folder,)
    beside = {m.rsplit("/", 1)[1] for m in KNOWN_METRICS if m.rsplit("/", 1)[0] in folders}
    begun = any(known.startswith(f"{last}_") for known in beside)
    return not begun and nearest(last, beside, cutoff=0.85) is None


def stop_criteria(stop: Any, where: str = "stop") -> dict[str, float]:
    """Check a `stop` mapping and resolve its metric names.

    Args:
        stop: Metric name (or nested mapping of names) -> value at which training ends.
        where: The place in the file, for the message.

    Returns:
        Full metric path -> number.
    """
    checked: dict[str, float] = {}
    for name, value in _flatten(mapping(stop, where)).items():
        path = metric(name, where)
        checked[path] = number(value, f"{where}: {name}")
        if path in ("training_iteration", "time_total_s") or path.endswith("_lifetime"):
            number(value, f"{where}: {name}", minimum=1)
    return checked


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join nested keys with '/', as Tune does with results."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        flat.update(_flatten(value, path + "/") if isinstance(value, Mapping) else {path: value})
    return flat


def is_search_space(value: Any) -> bool:
    """Whether `value` is one of Tune's search spaces written as a one-key mapping."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in SEARCH_SPACES


def search_values(value: Any, where: str) -> list[Any]:
    """Check one search space and return values that represent it.

    Args:
        value: A one-key mapping such as {"uniform": [0, 1]}.
        where: The place in the file, for the message.

    Returns:
        Every listed value of `grid_search` and `choice`; the ends of a numeric range.
    """
    ((kind, args),) = value.items()
    if not isinstance(args, list) or not args:
        raise ConfigError(f"{where}: '{kind}' takes a list of values, but has {describe(args)}.")
    arity = SEARCH_SPACES[kind]
    if not arity:
        return list(args)
    if len(args) not in arity:
        wanted = " or ".join(map(str, arity))
        raise ConfigError(f"{where}: '{kind}' takes {wanted} numbers, but has {describe(args)}.")
    for arg in args:
        number(arg, f"{where}: {kind}")
    if kind == "randn":
        return [float(args[0])]
    low, high = args[:2]
    if low >= high:
        raise ConfigError(f"{where}: '{kind}' needs low < high, but has {low} and {high}.")
    if "log" in kind and low <= 0:
        raise ConfigError(f"{where}: '{kind}' needs low > 0, but has {low}.")
    return [low, high - 1] if "randint" in kind else [low, high]


def misspelt_search_space(value: Any) -> str | None:
    """The search space that a one-key mapping with a list almost names, if any."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return None
    ((key, args),) = value.items()
    if key in SEARCH_SPACES or not isinstance(args, list):
        return None
    return nearest(key, SEARCH_SPACES, cutoff=0.8)


def refuse_removed(option: str, where: str) -> None:
    """Refuse an option that an earlier version had.

    Args:
        option: The option's name.
        where: The mapping that it stands in, for the message.

    Raises:
        ConfigError: If it was removed; the text says what to do instead.
    """
    if option in REMOVED:
        raise ConfigError(f"{where}: {option} is gone: {REMOVED[option]}.")


def option_type(value: Any, default: Any, where: str) -> None:
    """Compare a value with the kind of the option's default.

    Numbers may be schedules (lists) or as RLlib's "auto"; an option without a default
    takes anything.

    Args:
        value: What the user wrote.
        default: The option's default.
        where: The option's place, for the message.
    """
    if default is None or value is None or isinstance(value, type(default)):
        if not (isinstance(value, bool) and not isinstance(default, bool | type(None))):
            return
    if isinstance(default, bool):
        flag(value, where)
    elif isinstance(default, int | float):
        if not isinstance(value, list | tuple) and value not in ("auto", math.inf):
            number(value, where)
    elif isinstance(default, str) and not isinstance(value, str | type):
        raise ConfigError(f"{where} must be text (default '{default}'), but is {describe(value)}.")

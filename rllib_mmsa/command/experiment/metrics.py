"""Names of metrics, and the criteria that stop a run by them. Pure checks: no Ray, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rllib_mmsa.command.experiment import checks
from rllib_mmsa.errors import ConfigError, nearest, shortened
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
    written = checks.mapping(stop, where)
    for name, value in written.items():
        if checks.is_search_space(value):
            raise ConfigError(
                f"{where}: {name} must be a number, but is a search space; what is searched stands "
                "under 'config:', and trials of unlike lengths are experiments of their own."
            )
    for name, value in _flatten(written).items():
        path = metric(name, where)
        checked[path] = checks.number(value, f"{where}: {name}")
        if path in ("training_iteration", "time_total_s") or path.endswith("_lifetime"):
            checks.number(value, f"{where}: {name}", minimum=1)
    return checked


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join nested keys with '/', as Tune does with results."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        flat.update(_flatten(value, path + "/") if isinstance(value, Mapping) else {path: value})
    return flat

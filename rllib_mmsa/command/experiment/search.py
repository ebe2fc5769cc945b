"""What searches over settings: schedulers, seeds of repetitions. Pure checks: no Ray, no torch.

`schedulers` builds Tune's objects from what is checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rllib_mmsa.command.experiment import checks
from rllib_mmsa.errors import ConfigError, unknown

ENV_STEPS = "num_env_steps_sampled_lifetime"
TEST_RETURN = "evaluation/env_runners/episode_return_mean"
SHARED_KEYS = ("type", "metric", "mode", "time_attr")
# Type -> the keys that it has besides, with Tune's names.
SCHEDULERS: dict[str, tuple[str, ...]] = {
    "asha": ("max_t", "grace_period", "reduction_factor"),
    "pbt": (
        "perturbation_interval",
        "hyperparam_mutations",
        "quantile_fraction",
        "resample_probability",
    ),
}
# Settings that are read anew in every update and shape no network and no checkpoint.
IN_FLIGHT = (
    "lr",
    "gamma",
    "grad_clip",
    "updates_per_episode",
    "train_batch_episodes",
    "kl_weight",
    "kl_balance_alpha",
    "reconstruction_weight",
    "observation_weight",
    "sale_weight",
)


def check_scheduler(value: Any, where: str, stop: Mapping[str, float]) -> dict[str, Any]:
    """Check the `scheduler` of an experiment and fill in its defaults.

    Args:
        value: A mapping with `type` and Tune's argument names, or None.
        where: The place in the file, for the message.
        stop: The checked stop criteria; ASHA's `max_t` is taken from there.

    Returns:
        The mapping, complete and with full metric paths; empty where there is no scheduler.

    Raises:
        ConfigError: At the first mistake.
    """
    written = checks.mapping(value, where)
    if not written:
        return {}
    kind = written.get("type")
    if kind not in SCHEDULERS:
        raise unknown("type", kind, SCHEDULERS, where)
    checks.check_keys(written, [*SHARED_KEYS, *SCHEDULERS[kind]], "key", where)
    settings = {"metric": TEST_RETURN, "mode": "max", "time_attr": ENV_STEPS, **written}
    for key in ("metric", "time_attr"):
        settings[key] = checks.metric(settings[key], f"{where}: {key}")
    if settings["mode"] not in ("min", "max"):
        raise ConfigError(f"{where}: mode must be 'min' or 'max', not '{settings['mode']}'.")
    return _asha(settings, where, stop) if kind == "asha" else _pbt(settings, where)


def _asha(settings: dict[str, Any], where: str, stop: Mapping[str, float]) -> dict[str, Any]:
    """Successive halving: a trial's length, its first test, the share that goes on."""
    time_attr = settings["time_attr"]
    if "max_t" not in settings and time_attr not in stop:
        raise ConfigError(f"{where}: name max_t, or a stop criterion {time_attr} to take it from.")
    settings.setdefault("max_t", stop.get(time_attr))
    checks.number(settings["max_t"], f"{where}: max_t", minimum=1)
    settings.setdefault("grace_period", max(1, settings["max_t"] // 10))
    checks.number(settings["grace_period"], f"{where}: grace_period", minimum=1)
    if settings["grace_period"] > settings["max_t"]:
        raise ConfigError(
            f"{where}: grace_period ({settings['grace_period']}) is beyond max_t "
            f"({settings['max_t']}): no trial would ever be stopped early."
        )
    settings.setdefault("reduction_factor", 4)
    checks.number(settings["reduction_factor"], f"{where}: reduction_factor", minimum=2)
    return settings


def _pbt(settings: dict[str, Any], where: str) -> dict[str, Any]:
    """Population based training: how often, what changes, and by how much."""
    if "perturbation_interval" not in settings:
        raise ConfigError(
            f"{where}: perturbation_interval is missing: how much {settings['time_attr']} lies "
            "between two changes, for example 50000."
        )
    checks.number(settings["perturbation_interval"], f"{where}: perturbation_interval", minimum=1)
    for key, default, most in (("quantile_fraction", 0.25, 0.5), ("resample_probability", 0.25, 1)):
        share = checks.number(settings.setdefault(key, default), f"{where}: {key}", minimum=0)
        if share > most:
            raise ConfigError(f"{where}: {key} must be {most} or less, but is {share}.")
    mutations = checks.mapping(
        settings.get("hyperparam_mutations"), f"{where}: hyperparam_mutations"
    )
    if not mutations:
        raise ConfigError(
            f"{where}: hyperparam_mutations is missing: what may change, for example "
            "'hyperparam_mutations: {lr: {loguniform: [1e-4, 1e-2]}}'."
        )
    for name, space in mutations.items():
        here = f"{where}: hyperparam_mutations: {name}"
        checks.refuse_removed(name, f"{where}: hyperparam_mutations")
        if name not in IN_FLIGHT:
            raise ConfigError(
                f"{here} cannot change while a trial runs (it shapes a network, the sampling or "
                f"the game); search it with grid_search or choice under 'config:'. What can: "
                f"{', '.join(IN_FLIGHT)}."
            )
        if not (isinstance(space, list) and space) and not checks.is_search_space(space):
            raise ConfigError(
                f"{here} must be a list of values or a search space such as "
                f"{{loguniform: [1e-4, 1e-2]}}, but is {checks.describe(space)}."
            )
        if isinstance(space, Mapping) and "grid_search" in space:
            raise ConfigError(f"{here}: a grid is not drawn from; write the list of its values.")
    return settings


def checkpoints_kept(scheduler: Mapping[str, Any]) -> int:
    """How many checkpoints of a trial are kept by default.

    Another trial of a population may be about to start from one that is no longer the newest.
    """
    return 4 if scheduler.get("type") == "pbt" else 2


def mutations(scheduler: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a population changes, each as a search space; {} without a population."""
    spaces = scheduler.get("hyperparam_mutations", {})
    return {k: {"choice": v} if isinstance(v, list) else v for k, v in spaces.items()}


def with_threads(config: Mapping[str, Any], num_samples: int) -> dict[str, Any]:
    """Give each of several trials one thread for its updates, unless the options say otherwise.

    One trial alone has two (``learner_threads``). Several trials at a time fill the cores anyway.
    """
    several = num_samples != 1 or _searches(config)
    return {"learner_threads": 1, **config} if several else dict(config)


def _searches(tree: Mapping[str, Any]) -> bool:
    values = [value for value in tree.values() if isinstance(value, Mapping)]
    return any(checks.is_search_space(value) or _searches(value) for value in values)


def with_seeds(config: Mapping[str, Any], num_samples: int) -> tuple[dict[str, Any], int]:
    """Give each repetition another seed, counted up from the one that is set.

    Args:
        config: RLlib options, search spaces still as one-key mappings.
        num_samples: Repetitions.

    Returns:
        The options with a grid of seeds in the place of the one, and the repetitions left: 1.
        Unchanged where no seed is set (every trial draws one), where the seeds are searched,
        and where there is one repetition or no end of them.
    """
    seed = config.get("seed")
    if num_samples < 2 or not isinstance(seed, int):
        return dict(config), num_samples
    return {**config, "seed": {"grid_search": list(range(seed, seed + num_samples))}}, 1

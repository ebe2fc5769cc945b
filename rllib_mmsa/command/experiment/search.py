"""What searches over settings: schedulers, seeds of repetitions. Pure checks: no Ray, no torch.

`schedulers` builds Tune's objects from what is checked here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rllib_mmsa.command.experiment import checks, metrics
from rllib_mmsa.errors import ConfigError, unknown

if TYPE_CHECKING:
    from rllib_mmsa.command.experiment.experiment import Experiment

ENV_STEPS = "num_env_steps_sampled_lifetime"
TEST_RETURN = "test_return"
# What some results have -> the latest of it, which every result has.
LATEST = {
    "evaluation/env_runners/episode_return_mean": TEST_RETURN,
    "evaluation/env_runners/win_rate": "test_win_rate",
}
SHARED_KEYS = ("type", "metric", "mode", "time_attr")
# Type -> the keys that it has besides, with Tune's names.
SCHEDULERS: dict[str, tuple[str, ...]] = {
    "asha": ("max_t", "grace_period", "reduction_factor"),
    "hyperband": ("max_t", "grace_period", "reduction_factor"),
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
        stop: The checked stop criteria; ASHA's and HyperBand's `max_t` is taken from there.

    Returns:
        The mapping, complete and with full metric paths; empty where there is no scheduler. A
        metric of an evaluation is that of the latest one.

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
        settings[key] = metrics.metric(settings[key], f"{where}: {key}")
    settings["metric"] = LATEST.get(settings["metric"], settings["metric"])
    if settings["metric"].startswith("evaluation/"):
        raise ConfigError(
            f"{where}: metric '{settings['metric']}' is in some results only; compare test_return "
            "or test_win_rate, which every result has."
        )
    if settings["mode"] not in ("min", "max"):
        raise ConfigError(f"{where}: mode must be 'min' or 'max', not '{settings['mode']}'.")
    return _pbt(settings, where) if kind == "pbt" else _halving(settings, where, stop)


def _halving(settings: dict[str, Any], where: str, stop: Mapping[str, float]) -> dict[str, Any]:
    """ASHA and HyperBand: a trial's length, its first test, the share that goes on."""
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
    settings.setdefault("reduction_factor", 4 if settings["type"] == "asha" else 3)
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


def check_trials(experiment: Experiment) -> None:
    """Check that the trials of a search can be compared with each other.

    Raises:
        ConfigError: If too few of them are alive at a time, or what is compared is not measured.
    """
    config, scheduler = experiment.config, experiment.scheduler
    tests = [k for k in (scheduler.get("metric"), *experiment.stop) if str(k).startswith("test_")]
    off = "evaluation_interval_env_steps" in config and not (
        config["evaluation_interval_env_steps"] or config.get("evaluation_interval")
    )
    if tests and off:
        raise ConfigError(
            f"{experiment.name}: {tests[0]} is never measured, since "
            "evaluation_interval_env_steps is off; set it, for example to 10000."
        )
    # Other schedulers compare a trial with those before it.
    if scheduler.get("type") not in ("pbt", "hyperband"):
        return
    members, limit = num_trials(experiment), experiment.max_concurrent_trials
    what = "population" if scheduler["type"] == "pbt" else "search by halves"
    if members < 2:
        raise ConfigError(
            f"{experiment.name}: a {what} needs a fixed number of trials, 2 or more, but has "
            f"num_samples: {experiment.num_samples}; write, for example, num_samples: 8."
        )
    if limit and limit < members:
        raise ConfigError(
            f"{experiment.name}: max_concurrent_trials is {limit}, but the {members} trials of a "
            f"{what} must be alive together to be compared; leave it out (they take turns where "
            f"there are fewer CPUs), and give Ray fewer CPUs with --ray-num-cpus {limit}."
        )


def num_trials(experiment: Experiment) -> int:
    """How many trials a search has; below 1: without end."""
    values = grids({"env": experiment.env, **experiment.config})
    return experiment.num_samples * math.prod(map(len, values))


def grids(tree: Mapping[str, Any]) -> Iterator[list[Any]]:
    """The lists of values that are run in full."""
    for value in tree.values():
        if isinstance(value, Mapping):
            if checks.is_search_space(value):
                yield from [value["grid_search"]] if "grid_search" in value else []
            else:
                yield from grids(value)


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
    several = num_samples != 1 or searches(config)
    return {"learner_threads": 1, **config} if several else dict(config)


def searches(tree: Mapping[str, Any]) -> bool:
    """Whether there is a search space in options."""
    values = [value for value in tree.values() if isinstance(value, Mapping)]
    return any(checks.is_search_space(value) or searches(value) for value in values)


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

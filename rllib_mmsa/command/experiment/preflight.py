"""The checks that need the environments and algorithms themselves; Ray is imported, never started.

Kept apart from `structure` so that mistakes in the text are found before RLlib's slow import.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rllib_mmsa.command.experiment import checks, metrics, search, storage
from rllib_mmsa.command.experiment.experiment import Experiment
from rllib_mmsa.command.experiment.structure import EXPERIMENT_KEYS
from rllib_mmsa.errors import ConfigError, unknown
from rllib_mmsa.older.rllib_names import OTHER_NAMES, advice
from rllib_mmsa.registration import OTHER_ALGORITHM_NAMES

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm import Algorithm

# Options whose content is free: the environment, or the user's own module, says what it takes.
FREE_OPTIONS = ("env_config", "model_config")


def check(
    experiments: Sequence[Experiment], *, local: bool = True, num_cpus: int | None = None
) -> None:
    """Check environments, algorithms, options and resources, the quickly imported first.

    Args:
        experiments: Structurally checked experiments; their imports have been carried out.
        local: Whether they run on this machine, whose resources are known, or on a cluster.
        num_cpus: CPUs that may be used here; None: all.

    Raises:
        ConfigError: At the first mistake.
    """
    for experiment in experiments:
        storage.check_writable(experiment)
    searched = {e.name: {**e.config, **search.mutations(e.scheduler)} for e in experiments}
    concrete = {
        e.name: list(variants({"env": e.env, **searched[e.name]}, f"{e.name}: config"))
        for e in experiments
    }
    for experiment in experiments:
        for settings in concrete[experiment.name]:
            check_environments(settings, experiment.name)
    for experiment in experiments:
        where = f"{experiment.name}: config"
        algorithm = find_algorithm(experiment.run, experiment.name)
        defaults = algorithm.get_default_config().to_dict()
        check_options(searched[experiment.name], defaults, where)
        for settings in concrete[experiment.name]:
            needs = check_values(algorithm, settings, where)
            if local:
                check_resources(needs, local_resources(num_cpus), where)
        search.check_trials(experiment)


def check_environments(settings: Mapping[str, Any], where: str) -> None:
    """Check the training environment of concrete settings, and the evaluation's if it differs."""
    check_environment(settings["env"], settings.get("env_config"), where)
    evaluation = settings.get("evaluation_config")
    if isinstance(evaluation, Mapping) and evaluation.get("env_config"):
        here = f"{where}: evaluation_config"
        changed = checks.mapping(evaluation["env_config"], f"{here}: env_config")
        check_environment(settings["env"], {**(settings.get("env_config") or {}), **changed}, here)


def check_environment(env: str, env_config: Any, where: str) -> None:
    """Check an environment's name, options and installation, without building it."""
    import env_registry
    from env_registry.nearest import said_here
    from env_registry.registry import ENVIRONMENTS

    options = checks.mapping(env_config, f"{where}: env_config")
    if env in ENVIRONMENTS:
        try:
            env_registry.validate(env, options)
        except ValueError as err:
            raise ConfigError(f"{where}: {err}") from None
    elif not _registered("env_creator", env):
        if said := said_here(env):
            raise ConfigError(f"{where}: unknown environment {env!r}: {said}.")
        error = unknown("environment", env, ENVIRONMENTS, where)
        raise ConfigError(
            f"{error} An environment of your own is named by `import:` (`rllib docs cli`)."
        )


def notices(experiment: Experiment) -> list[str]:
    """What a user should be told of an experiment before it runs, a line each."""
    import env_registry

    where = f"{experiment.name}: config"
    settings = list(variants({"env": experiment.env, **experiment.config}, where))
    lines = [env_registry.notice(one["env"], one.get("env_config")) for one in settings]
    lines += [
        f"stop: '{name}' is no metric of RLlib's or of this project; a run whose callbacks never "
        "log it is not stopped by it"
        for name in experiment.stop
        if name not in metrics.KNOWN_METRICS
    ]
    algorithm = find_algorithm(experiment.run, experiment.name)
    for one in settings:
        lines += unused_options(algorithm, one)
    return [line for line in dict.fromkeys(lines) if line]


def unused_options(algorithm: type[Algorithm], settings: Mapping[str, Any]) -> list[str]:
    """A line for each option that is set and does nothing, for this project's algorithms."""
    from rllib_mmsa.rllib.refused import unused
    from rllib_mmsa.rllib.team_config import TeamConfig

    config = algorithm.get_default_config()
    if not isinstance(config, TeamConfig):
        return []
    return unused(config.update_from_dict(dict(settings)))


def find_algorithm(name: str, where: str) -> type[Algorithm]:
    """Return the algorithm's class: one of this package's, or one that the user registered."""
    from ray.rllib.algorithms.algorithm import Algorithm

    from rllib_mmsa.rllib import ALGORITHMS

    if name in ALGORITHMS:
        return ALGORITHMS[name]
    if _registered("trainable_class", name):
        from ray.tune.registry import get_trainable_cls

        trainable = get_trainable_cls(name)
        if isinstance(trainable, type) and issubclass(trainable, Algorithm):
            return trainable
    raise unknown("algorithm", name, ALGORITHMS, f"{where}: run", OTHER_ALGORITHM_NAMES)


def _registered(category: str, name: str) -> bool:
    """Whether a name was registered with Tune in this process."""
    from ray.tune.registry import _global_registry

    return _global_registry.contains(category, name)


def check_options(options: Mapping[str, Any], defaults: Mapping[str, Any], where: str) -> None:
    """Check option names, and each value's kind against the default.

    RLlib itself takes any name silently, so a misspelt option would just not be used.

    Args:
        options: What the user wrote; search spaces as one-key mappings.
        defaults: The algorithm's options.
        where: The place in the file, for the message.
    """
    valid = {key for key in defaults if not key.startswith("_")} | set(FREE_OPTIONS)
    _refuse_old_names(options, defaults, where)
    for key, value in options.items():
        here = f"{where}: {key}"
        if key not in valid:
            checks.refuse_removed(key, where)
            if key in EXPERIMENT_KEYS:
                raise ConfigError(f"{where}: '{key}' belongs beside 'config:', not in it.")
            _refuse_anothers(key, where)
            raise unknown("option", key, valid, where, OTHER_NAMES)
        if key == "framework" and value != "torch":
            raise ConfigError(f"{here}: RLlib has only 'torch' left, not '{value}'.")
        if key in FREE_OPTIONS:
            checks.mapping(value, here)
        elif checks.is_search_space(value):
            for one in checks.search_values(value, here):
                checks.option_type(one, defaults.get(key), here)
        elif key == "evaluation_config":
            check_options(checks.mapping(value, here), defaults, here)
        else:
            checks.option_type(value, defaults.get(key), here)


def _refuse_anothers(key: str, where: str) -> None:
    """Say whose option it is where it is another algorithm's."""
    from rllib_mmsa.rllib import ALGORITHMS

    having = [
        name for name, kind in ALGORITHMS.items() if key in kind.get_default_config().to_dict()
    ]
    if having:
        raise ConfigError(
            f"{where}: '{key}' is an option of {', '.join(having)} alone; leave it out."
        )


def _refuse_old_names(options: Mapping[str, Any], defaults: Mapping[str, Any], where: str) -> None:
    """Say for every old name at once what to write: whole files of that time are tried."""
    from rllib_mmsa.rllib.strict import RLLIB_OPTIONS

    lines = []
    for key, value in options.items():
        if key in defaults and (key not in RLLIB_OPTIONS or value == defaults[key]):
            continue  # a user's algorithm may have an option of that name
        text = advice(key, defaults)
        if text:
            today = OTHER_NAMES.get(key)
            default = f" (default {defaults[today]!r})" if today in defaults else ""
            lines.append(f"{where}: {text}{default}.")
    if lines:
        raise ConfigError("\n".join(lines))


def quiet_logs() -> None:
    """Keep Ray's logs away: advice about its API stacks, its deprecations."""
    for name in ("ray", "ray.rllib", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Tune reports failed and interrupted trials at this level; `launch.report` does it in words.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)


def check_values(
    algorithm: type[Algorithm], settings: Mapping[str, Any], where: str
) -> dict[str, float]:
    """Let RLlib and the algorithm validate concrete options; return what one trial takes."""
    quiet_logs()
    try:
        config = algorithm.get_default_config().update_from_dict(dict(settings))
        config.validate()
        return dict(algorithm.default_resource_request(config).required_resources)
    except ConfigError as err:
        lines = (f"{where}: {line}" for line in str(err).splitlines())
        raise ConfigError("\n".join(lines)) from None
    except Exception as err:  # whatever RLlib raises here is about the options
        text = " ".join(str(err).split()) or type(err).__name__
        raise ConfigError(f"{where}: {text}") from None


def check_resources(needs: Mapping[str, float], have: Mapping[str, float], where: str) -> None:
    """Refuse a trial that can never start; Tune would wait for its resources for ever."""
    remedies = {
        "CPU": "lower num_env_runners, evaluation_num_env_runners or num_learners, or pass "
        "--ray-num-cpus",
        "GPU": "set num_gpus_per_learner: 0",
    }
    for resource, remedy in remedies.items():
        wanted, there = needs.get(resource, 0), have.get(resource, 0)
        if wanted > there:
            raise ConfigError(
                f"{where}: one trial takes {wanted:g} {resource}s, but there are {there:g}; "
                f"{remedy}."
            )


def local_resources(num_cpus: int | None = None) -> dict[str, float]:
    """CPUs and GPUs of this machine; `num_cpus` replaces Ray's count of the CPUs."""
    import torch
    from ray._private.utils import get_num_cpus

    return {"CPU": float(num_cpus or get_num_cpus()), "GPU": float(torch.cuda.device_count())}


def variants(tree: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """Yield concrete settings that show every value of every search space at least once.

    One space varies at a time, so the number stays the sum, not the product, of their sizes.
    """
    spaces = list(_search_paths(tree, where))
    first = _replaced(tree, {path: values[0] for path, values in spaces})
    yield first
    for path, values in spaces:
        for value in values[1:]:
            yield _replaced(first, {path: value})


def _search_paths(
    tree: Mapping[str, Any], where: str, prefix: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """Find the search spaces in nested settings, with the values that represent them."""
    for key, value in tree.items():
        here = f"{where}: {key}"
        checks.refuse_two_spaces(value, here)
        near = checks.misspelt_search_space(value)
        if near:
            raise ConfigError(
                f"{here}: unknown search space '{next(iter(value))}'. Did you mean '{near}'?"
            )
        if checks.is_search_space(value):
            yield (*prefix, key), checks.search_values(value, here)
        elif isinstance(value, Mapping):
            yield from _search_paths(value, here, (*prefix, key))


def _replaced(tree: Mapping[str, Any], new: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Copy nested settings with the values at some paths replaced."""
    copy = {k: _replaced(v, {}) if isinstance(v, Mapping) else v for k, v in tree.items()}
    for path, value in new.items():
        inner = copy
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
    return copy

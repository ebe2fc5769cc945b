"""Experiment files and YAML options of the command line, read into checked experiments.

The way: text -> mapping (`read_file`, `yaml_text`) -> `Experiment` (`structure`: no import of
Ray) -> `preflight.check` (environment, options and resources; Ray is not started) -> `launch.run`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rllib_mmsa.command.experiment import checks, imports, structure
from rllib_mmsa.command.experiment.experiment import DEFAULT_STORAGE, RECORD, Experiment
from rllib_mmsa.command.experiment.overrides import Override, apply
from rllib_mmsa.command.experiment.yaml_text import parse_yaml
from rllib_mmsa.errors import ConfigError, nearest, shortened, unknown

MAX_FILE_BYTES = 1_000_000


def parse_option(text: str | None, where: str) -> dict[str, Any]:
    """Parse a command-line mapping such as --stop '{training_iteration: 5}'."""
    return checks.mapping(parse_yaml(text or "{}", where), where)


def entry_of_options(
    algo: str | None, env: str | None, env_config: str | None, config: str | None, stop: str | None
) -> dict[str, Any]:
    """The options as the entry of an experiment file that says the same.

    Raises:
        ConfigError: If the algorithm or the environment is missing, or a text is not valid YAML.
    """
    if not algo or not env:
        raise ConfigError(
            "name both --algo and --env, or an example: rllib train example mmsa_lbf "
            "(rllib train --help says more)."
        )
    settings = parse_option(config, "--config")
    if env_config:
        before = checks.mapping(settings.get("env_config"), "--config: env_config")
        settings["env_config"] = {**before, **parse_option(env_config, "--env-config")}
    return {"run": algo, "env": env, "config": settings, "stop": parse_option(stop, "--stop")}


def read_file(path: str | Path) -> dict[str, Any]:
    """Read an experiment file into a mapping of experiment names."""
    path = Path(path)
    content = parse_yaml(_read_text(path), str(path))
    if not isinstance(content, Mapping) or not content:
        raise ConfigError(
            f"{path} must be a mapping of experiment names to settings, but is "
            f"{checks.describe(content)}. Example: 'my_run: {{run: MMSA, env: lbf}}'."
        )
    return checks.mapping(content, str(path))


def read_record(path: Path) -> dict[str, Any]:
    """Read the settings that a run has recorded in its folder (`experiment.RECORD`)."""
    entries = list(read_file(path).values())
    if len(entries) != 1:
        raise ConfigError(
            f"{path} must hold the one experiment of its folder, but holds {len(entries)}."
        )
    return checks.mapping(entries[0], str(path))


def recorded(folder: Path, given: Sequence[str] = ()) -> Experiment:
    """The experiment whose results a folder holds; the folder may have been moved or renamed.

    Args:
        folder: Its absolute path.
        given: Modules and files to import, in place of recorded ones that were moved.

    Raises:
        ConfigError: If it is none, or an imported file is not there.
    """
    record = folder / RECORD
    if not record.exists():
        raise ConfigError(
            f"'{folder}' holds no {RECORD}; name the folder of an experiment, "
            f"such as {DEFAULT_STORAGE}/mmsa_lbf."
        )
    entry = read_record(record)
    entry["storage_path"] = str(folder.parent)
    entry["import"] = list(imports.found_again(entry.get("import", []), folder, given))
    return structure.parse_experiment(folder.name, entry, exists=True)


def _meant(path: Path) -> str:
    """A hint at the file beside a path that is none, or at the example of such a name."""
    siblings = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
    near = nearest(path.name, siblings)
    if near:
        return f" Did you mean '{path.parent / near}'?"
    if path != Path(path.name):
        return ""
    from rllib_mmsa.command import examples  # here: it reads its files by this module

    near = nearest(path.stem, examples.names(), cutoff=0.8)
    return f" Did you mean the example? `rllib train example {near}`" if near else ""


def _read_text(path: Path) -> str:
    """The text of an experiment file, whatever the path leads to."""
    try:
        if path.is_dir():
            raise ConfigError(f"{path} is a directory; name a YAML file in it.")
        if not path.exists():
            raise ConfigError(f"no experiment file '{shortened(path, 200)}'.{_meant(path)}")
        with path.open("rb") as file:  # a pipe has no size, and a device no end
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as err:
        raise ConfigError(
            f"'{shortened(path, 200)}' cannot be read: {err.strerror or err}."
        ) from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path} has more than {MAX_FILE_BYTES:,} bytes: no experiment file has.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = content[: err.start].count(b"\n") + 1
        raise ConfigError(
            f"{path} cannot be read as text: line {line} is not UTF-8; save it as UTF-8."
        ) from None


def _wanted(content: Mapping[str, Any], only: Sequence[str], path: str | Path) -> Mapping[str, Any]:
    """The experiments of `--only`, in the file's order; all without it."""
    for name in only:
        if name not in content:
            raise unknown("--only", name, content, str(path))
    return {name: entry for name, entry in content.items() if name in only or not only}


def load_file(
    path: str | Path,
    *,
    stop: str | None = None,
    storage_path: str | None = None,
    overrides: Sequence[Override] = (),
    name: str | None = None,
    only: Sequence[str] = (),
) -> list[Experiment]:
    """Read an experiment file and check its structure.

    Args:
        path: YAML file: experiment name -> settings; a top-level `import` holds for all.
        stop: Criteria as YAML or JSON text that replace those of the same name.
        storage_path: Folder above the results; wins over the file's.
        overrides: Values that are put over those of every experiment.
        name: Another name for the file's one experiment.
        only: Names of the experiments that are wanted; none: all.

    Returns:
        The experiments in the file's order.

    Raises:
        ConfigError: At the first mistake.
    """
    content = read_file(path)
    base = Path(path).resolve().parent
    shared = structure.import_list(content.pop("import", None), "import", base)
    more_stop = parse_option(stop, "--stop")
    if name is not None and len(content) != 1:
        raise ConfigError(
            f"--experiment-name names one experiment, but {path} has {len(content)}: "
            f"{', '.join(content)}."
        )
    experiments = []
    for own_name, entry in _wanted(content, only, path).items():
        if not isinstance(entry, Mapping):
            raise ConfigError(
                f"{path}: experiment '{own_name}' must be a mapping with run, env, stop and "
                f"config, but is {checks.describe(entry)}."
            )
        entry = apply(checks.mapping(entry, f"{path}: {own_name}"), overrides)
        if storage_path is not None:
            entry.pop("local_dir", None)
            entry["storage_path"] = storage_path
        experiment = structure.parse_experiment(
            own_name if name is None else name, entry, base=base, more_stop=more_stop
        )
        imports = tuple(dict.fromkeys([*shared, *experiment.imports]))
        experiments.append(dataclasses.replace(experiment, imports=imports))
    if not experiments:
        raise ConfigError(f"{path} names no experiment, only imports.")
    return experiments

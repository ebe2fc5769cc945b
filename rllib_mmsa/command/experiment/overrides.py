"""Values of the command line that are put over those of an experiment file.

`config.lr=5e-4` sets one value, `--config '{lr: 5e-4}'` several; both are merged into every
experiment of the file before it is checked, so that they are checked as the file is.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rllib_mmsa.command.experiment import checks
from rllib_mmsa.command.experiment.structure import EXPERIMENT_KEYS
from rllib_mmsa.command.experiment.yaml_text import parse_yaml
from rllib_mmsa.errors import ConfigError, nearest, shortened


class Override(NamedTuple):
    """One override.

    Attributes:
        text: As the user wrote it.
        path: Keys from the experiment down to the value.
        value: What is put there.
    """

    text: str
    path: tuple[str, ...]
    value: Any


def parse(assignments: Sequence[str], config: str | None = None) -> list[Override]:
    """Read overrides.

    Args:
        assignments: Each a path with dots, `=` and a YAML value, such as "config.lr=5e-4".
        config: A mapping of options as YAML or JSON text.

    Returns:
        The overrides; a later one counts more.

    Raises:
        ConfigError: If a text is no override, or its first key none of an experiment's.
    """
    found = []
    if config is not None:
        value = checks.mapping(parse_yaml(config, "--config"), "--config")
        found.append(Override(f"--config '{config}'", ("config",), value))
    return [*found, *map(_assignment, assignments)]


def _assignment(text: str) -> Override:
    """Read one such as "config.lr=5e-4"."""
    key, equals, value = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise ConfigError(
            f"'{shortened(text)}' is no override; write the keys with dots, '=' and the value: "
            "config.lr=5e-4."
        )
    if path[0] not in EXPERIMENT_KEYS:
        near = nearest(path[0], EXPERIMENT_KEYS)
        hint = (
            f"Did you mean '{'.'.join((near, *path[1:]))}'?"
            if near
            else f"An option of the algorithm begins with 'config.': config.{shortened(text)}"
        )
        raise ConfigError(
            f"override '{shortened(text)}': an experiment has no key '{shortened(path[0])}'. {hint}"
        )
    return Override(text, path, parse_yaml(value, f"override '{shortened(text)}'"))


def apply(entry: Mapping[str, Any], overrides: Sequence[Override]) -> dict[str, Any]:
    """Put overrides over the settings of one experiment.

    A mapping is merged into a mapping key by key; anything else, search spaces included, takes
    the old value's place.

    Args:
        entry: The settings as the file has them; left as they are.
        overrides: What `parse` returned.
    """
    merged: Any = dict(entry)
    for override in overrides:
        value = override.value
        for key in reversed(override.path):
            value = {key: value}
        merged = _merge(merged, value)
    return merged


def _merge(old: Any, new: Any) -> Any:
    """New over old, in a copy."""
    plain = (isinstance(one, Mapping) and not checks.is_search_space(one) for one in (old, new))
    if not all(plain):
        return new
    return {**old, **{key: _merge(old.get(key), value) for key, value in new.items()}}


@contextlib.contextmanager
def named(overrides: Sequence[Override]) -> Iterator[None]:
    """Let a mistake that an override brought in name it."""
    try:
        yield
    except ConfigError as err:
        text = str(err)
        for override in reversed(overrides):
            if text.startswith("override '") or not _words(override) & set(
                re.findall(r"\w+", text)
            ):
                continue
            raise ConfigError(f"{text} (override: {shortened(override.text)})") from None
        raise


def _words(override: Override) -> set[str]:
    """The words by which a message may speak of an override's value."""
    if len(override.path) > 1:
        return {override.path[-1]}
    value = override.value
    return {override.path[0], *(value if isinstance(value, Mapping) else ())}

"""The error that a user's mistake raises, and its text for an unknown name. No Ray, no torch.

A mistake in an environment's options is `env_registry.EnvConfigError`; the command line turns it
into a `ConfigError`.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable, Mapping


class ConfigError(ValueError):
    """A user's mistake. Its text is the whole message: the value, the rule and the remedy."""

    def __init__(self, text: str):
        # What a user wrote is quoted in it, and a terminal obeys control characters.
        shown = (c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
        super().__init__("".join(shown))


def shortened(name: object, most: int = 60) -> str:
    """A name as a message quotes it: on one line, its middle left out where it is long."""
    text = " ".join(str(name).split())
    return text if len(text) <= most else f"{text[: most - 23]}...{text[-20:]}"


def nearest(name: object, valid: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the valid name most like `name`, or None where none is near.

    Args:
        name: The name that the user wrote.
        valid: The names that exist; upper and lower case count as equal.
        cutoff: Least similarity, from 0 to 1, as in `difflib.get_close_matches`.
    """
    by_lower = {v.lower(): v for v in valid}
    matches = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[matches[0]] if matches else None


def unknown(
    what: str,
    name: object,
    valid: Iterable[str],
    where: str = "",
    other_names: Mapping[str, str] | None = None,
) -> ConfigError:
    """Build the error for a name that is not one of `valid`.

    Args:
        what: What the name stands for, such as "algorithm".
        name: The name that the user wrote.
        valid: The names that exist; listed in full where there are at most 20.
        where: The place in the file, put first.
        other_names: Names that users know from elsewhere -> the valid ones.

    Returns:
        The error, to be raised by the caller.
    """
    names = sorted(valid)
    others = {k: v for k, v in (other_names or {}).items() if v in names}
    near = nearest(name, [*names, *others])
    near = others.get(near, near) if near else None
    text = f"{where + ': ' if where else ''}unknown {what} '{shortened(name)}'."
    if near:
        text += f" Did you mean '{near}'?"
    if len(names) <= 20:
        text += f" Valid: {', '.join(names)}."
    return ConfigError(text)


def require_extra(package: str, where: str) -> None:
    """Refuse what needs a package that is not installed; the extra that brings it has its name."""
    if importlib.util.find_spec(package) is None:
        raise ConfigError(
            f"{where}: {package} is not installed; pip install 'rllib-mmsa[{package}]'."
        )

"""Pure checks of what a user wrote: value, rule, remedy, in one message. No Ray, no torch.

Every function returns the corrected value or raises `ConfigError`, whose text is the whole message
the command line prints.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from rllib_mmsa.errors import ConfigError, nearest, unknown
from rllib_mmsa.older.options import REMOVED

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
        raise ConfigError(f"{where} must be {kind}, but is {describe(value)}.{_meant(value)}")
    if not math.isfinite(value):
        raise ConfigError(f"{where} must be a finite number, but is {value}.")
    if minimum is not None and value < minimum:
        raise ConfigError(f"{where} must be {minimum} or more, but is {value}.")
    return value


def _meant(value: Any) -> str:
    """The number that text such as '200,000' stands for, as a hint."""
    plain = str(value).replace(",", "").replace("_", "").replace(" ", "")
    return f" Write {plain}." if isinstance(value, str) and plain.isdecimal() else ""


def flag(value: Any, where: str) -> bool:
    """Check that `value` is true or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{where} must be true or false, but is {describe(value)}.")
    return value


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
    if kind == "grid_search":
        _refuse_twice(args, where)
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


def _refuse_twice(values: list[Any], where: str) -> None:
    """Refuse a grid with a value twice: two trials would be the same run."""
    for i, value in enumerate(values):
        if any(value == one and type(value) is type(one) for one in values[:i]):
            raise ConfigError(
                f"{where}: 'grid_search' lists {value!r} twice; list it once. Repetitions with "
                "seeds of their own are num_samples."
            )


def refuse_two_spaces(value: Any, where: str) -> None:
    """Refuse a mapping that is several search spaces at once."""
    if isinstance(value, Mapping) and len(value) > 1 and set(value) <= set(SEARCH_SPACES):
        raise ConfigError(f"{where}: {' and '.join(value)} are two search spaces; write one.")


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

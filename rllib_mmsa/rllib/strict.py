"""RLlib's configuration, refusing names that mean nothing, with the nearest one that does.

RLlib takes any attribute and any key silently, so a misspelt one would just not be used.
"""

from __future__ import annotations

import abc
import functools
import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided

from rllib_mmsa.errors import ConfigError, unknown
from rllib_mmsa.older.options import REMOVED
from rllib_mmsa.older.rllib_names import OTHER_NAMES, advice

if TYPE_CHECKING:
    from typing_extensions import Self

#: RLlib's methods that set options, in the order in which an option is looked for.
SETTERS = (
    "training",
    "environment",
    "env_runners",
    "learners",
    "evaluation",
    "reporting",
    "debugging",
    "callbacks",
    "fault_tolerance",
    "checkpointing",
    "multi_agent",
    "rl_module",
    "resources",
    "framework",
    "offline_data",
    "python_environment",
    "api_stack",
    "experimental",
)
#: Each method's arguments.
ARGUMENTS = {
    method: tuple(inspect.signature(getattr(AlgorithmConfig, method)).parameters)[1:]
    for method in SETTERS
}
#: RLlib's own options; among them are some whose name is old.
RLLIB_OPTIONS = frozenset(vars(AlgorithmConfig()))
#: RLlib sets these after the constructor.
_SET_LATER = ("simple_optimizer", "worker_index")


class _Finished(abc.ABCMeta):
    """Marks a configuration when its constructor, a subclass's too, has set what there is."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        config = super().__call__(*args, **kwargs)
        config.__dict__["_is_finished"] = True
        return config


class StrictConfig(AlgorithmConfig, metaclass=_Finished):
    """An ``AlgorithmConfig`` whose options are those that its constructor set, and no others.

    A subclass adds an option by setting it in its ``__init__``.
    """

    #: Option of a subclass -> the method that sets it, where that is not ``training``.
    own_setters: dict[str, str] = {}

    def __setattr__(self, key: str, value: Any) -> None:
        if self.__dict__.get("_is_finished") and not key.startswith("_"):
            self.check_option(key, value)
        super().__setattr__(key, value)

    def __setitem__(self, key: str, value: Any) -> None:
        key = self._translate_special_keys(key, warn_deprecated=False)
        self.check_option(key, value)
        super().__setitem__(key, value)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Any:
        """RLlib's, which leaves the class among the options, where it is none."""
        config = super().from_state(state)
        config.__dict__.pop("class", None)
        return config

    def check_option(self, name: str, value: Any = NotProvided) -> None:
        """Refuses an option that there is not.

        Args:
            name: the option's.
            value: what it is to be; an old name may keep the value that RLlib gives it.

        Raises:
            ConfigError: what to write instead.
        """
        there = name in self.__dict__
        if there and name not in RLLIB_OPTIONS:
            return  # an own option may have a name that is old elsewhere
        if name in REMOVED:
            raise ConfigError(f"{name} is gone: {REMOVED[name]}")
        if there and _same(self.__dict__[name], value):
            return
        text = advice(name, self.__dict__)
        if text:
            raise ConfigError(f"{text}.")
        if not there and name not in _SET_LATER and not hasattr(type(self), name):
            raise unknown("option", name, self._option_names(), type(self).__name__, OTHER_NAMES)

    def set_with_own(self, method: str, given: dict[str, Any]) -> Self:
        """RLlib's method with its options, and those of ``own_setters`` that are set with it."""
        own = [name for name, setter in self.own_setters.items() if setter == method]
        self.check_arguments(method, given, own)
        rllibs = {name: value for name, value in given.items() if name not in own}
        getattr(StrictConfig, method)(self, **rllibs)
        return self.set_own(given, own)

    def set_own(self, given: dict[str, Any], own: Iterable[str]) -> Self:
        """Sets those of the given options that are in ``own``."""
        for name in own:
            if given.get(name, NotProvided) is not NotProvided:
                setattr(self, name, given[name])
        return self

    def _option_names(self) -> list[str]:
        return [name for name in self.__dict__ if not name.startswith("_")]

    def _setter_of(self, name: str) -> str | None:
        """The method that sets an option; None where there is none."""
        if name in self.own_setters:
            return self.own_setters[name]
        found = [method for method in SETTERS if name in ARGUMENTS[method]]
        own = name in self.__dict__ and name not in RLLIB_OPTIONS
        return found[0] if found else "training" if own else None

    def check_arguments(self, method: str, given: dict[str, Any], own: Iterable[str] = ()) -> None:
        """Refuses an argument that a method does not take.

        Args:
            method: its name.
            given: its arguments by keyword.
            own: arguments that it takes beside RLlib's.

        Raises:
            ConfigError: which method takes it, or the nearest name.
        """
        for name, value in given.items():
            if value is NotProvided or name in own:
                continue
            if name in REMOVED or advice(name, self.__dict__):
                self.check_option(name, value)
            elif name not in ARGUMENTS[method]:
                raise self._no_argument(method, name)

    def _no_argument(self, method: str, name: str) -> ConfigError:
        setter = self._setter_of(name)
        if setter:
            return ConfigError(f"{method}() takes no '{name}'; write .{setter}({name}=...).")
        options = [name for name in self._option_names() if self._setter_of(name)]
        what = f"argument of {method}()"
        return unknown(what, name, options, type(self).__name__, OTHER_NAMES)


def _same(before: Any, value: Any) -> bool:
    """Whether an option keeps its value; arrays and the like are never the same."""
    try:
        return bool(before is value or before == value)
    except Exception:
        return False


def _checked(method: str) -> Any:
    """RLlib's method, which refuses misspelt arguments in words."""
    rllibs = getattr(AlgorithmConfig, method)

    @functools.wraps(rllibs)
    def setter(self: StrictConfig, *args: Any, **kwargs: Any) -> Any:
        self.check_arguments(method, kwargs)
        return rllibs(self, *args, **kwargs)

    return setter


for _method in SETTERS:
    setattr(StrictConfig, _method, _checked(_method))

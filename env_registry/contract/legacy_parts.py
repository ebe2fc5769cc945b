"""What one member of a group observes and does: its spaces read, its observations taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from env_registry.contract.answers import legal_actions
from env_registry.contract.base import ACTION_MASK, OBS, STATE
from env_registry.errors import broken

OBS_NAMES = (OBS, "observation", "observations")  # PettingZoo's and RLlib's later names
MASK_NAMES = (
    "action_masks",
    "avail_actions",
    "available_actions",
    "legal_actions",
    "valid_actions",
    "valid_action_mask",
)
FLAT = (spaces.Box, spaces.Discrete, spaces.MultiBinary, spaces.MultiDiscrete)


class Parts(NamedTuple):
    """What one member's observation consists of.

    Attributes:
        agent: Its id.
        n_actions: How many it has.
        obs: What it sees.
        mask: Its legal actions; None where all are.
        state: The global state, where it is told; else None.
        key: Where `obs` is; None: it is all of the observation but the mask.
    """

    agent: Any
    n_actions: int
    obs: spaces.Space
    mask: spaces.Space | None = None
    state: spaces.Space | None = None
    key: str | None = None

    @property
    def state_size(self) -> int:
        """Length of the flattened state; 0 where none is told."""
        return 0 if self.state is None else flat_size(self.state)

    def read(self, value: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Takes an observation apart: (obs_size,) float32, legal actions (n_actions,), the state.

        Raises:
            ContractError: If a part is missing or none of its space.
        """
        wanted = [self.key or (), *([ACTION_MASK] * bool(self.mask)), *([STATE] * bool(self.state))]
        for key in filter(None, wanted):
            if not isinstance(value, Mapping) or key not in value:
                has = f"the keys {sorted(value)}" if isinstance(value, Mapping) else repr(value)
                raise broken(
                    f"the observation of agent {self.agent!r} is {has}",
                    f"its space has {key!r}",
                    "return what the space says, in reset and in every step",
                )
        obs = flatten(self.obs, value[self.key] if self.key else value, self.agent, OBS)
        legal = np.ones(self.n_actions, bool)
        if self.mask:
            legal = legal_actions(value[ACTION_MASK], self.n_actions, self.agent)
        state = flatten(self.state, value[STATE], self.agent, STATE) if self.state else None
        return obs, legal, state


def read_spaces(agent: Any, observation: spaces.Space, action: spaces.Space) -> Parts:
    """Checks one member's spaces; returns the parts of its observation space."""
    if not isinstance(action, spaces.Discrete):
        raise broken(
            f"the action space of agent {agent!r} is {action}",
            "value decomposition needs Discrete actions",
            "choose among a fixed set of actions, for example by binning each number",
        )
    parts = _parts(agent, int(action.n), observation)
    for key, space in ((OBS, parts.obs), (STATE, parts.state)):
        if space is not None:
            _check_flat(agent, key, space)
    mask = parts.mask
    if mask is not None and (mask.shape is None or int(np.prod(mask.shape)) != action.n):
        raise broken(
            f"the {ACTION_MASK!r} of agent {agent!r} is {mask}",
            f"it has one entry for each of its {action.n} actions",
            f"Box(0, 1, ({action.n},))",
        )
    return parts


def _parts(agent: Any, n_actions: int, observation: spaces.Space) -> Parts:
    """Which part of a member's observation is what."""
    if not isinstance(observation, spaces.Dict):
        return Parts(agent, n_actions, observation)
    entries = dict(observation.spaces)
    misnamed = [key for key in entries if key in MASK_NAMES]
    if misnamed:
        raise broken(
            f"the observation space of agent {agent!r} has the keys {sorted(entries)}",
            f"legal actions are under {ACTION_MASK!r}",
            f"rename {misnamed[0]!r} to {ACTION_MASK!r}",
        )
    mask = entries.pop(ACTION_MASK, None)
    named = [key for key in OBS_NAMES if key in entries]
    if not named:  # a Dict of what it sees
        if not entries:
            raise broken(
                f"the observation space of agent {agent!r} is {observation}",
                'a member observes something, under "obs"',
                'Dict({"obs": Box(...), "action_mask": ...})',
            )
        return Parts(agent, n_actions, spaces.Dict(entries), mask)
    if not set(entries) <= {named[0], STATE}:
        raise broken(
            f"the observation space of agent {agent!r} has the keys {sorted(observation.spaces)}",
            f"a Dict with {named[0]!r} may have {ACTION_MASK!r} and {STATE!r} beside it",
            "rename or remove the others: RLlib's old QMIX ignored them without a word",
        )
    return Parts(agent, n_actions, entries[named[0]], mask, entries.get(STATE), named[0])


def _check_flat(agent: Any, key: str, space: spaces.Space) -> None:
    if isinstance(space, spaces.Box) and len(space.shape) >= 3:
        raise broken(
            f"the {key!r} of agent {agent!r} is an image of shape {space.shape}",
            "observations are vectors: the networks have no convolution",
            "give the numbers behind the picture, or flatten it knowingly: "
            "gymnasium.spaces.flatten_space",
        )
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        inner = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
        for one in inner:
            _check_flat(agent, key, one)
    elif not isinstance(space, FLAT):
        raise broken(
            f"the {key!r} of agent {agent!r} is {space}",
            f"it is one of {', '.join(kind.__name__ for kind in FLAT)}, or a Dict or Tuple of such",
            "flatten it in the environment: gymnasium.spaces.flatten",
        )


def flat_size(space: spaces.Space) -> int:
    """Length of a space's flattened values."""
    return spaces.flatdim(space)


def flatten(space: spaces.Space, value: Any, agent: Any, key: str) -> np.ndarray:
    """Flattens a value to (size,) float32, anything discrete to one-hot.

    Raises:
        ContractError: If the value is none of the space's.
    """
    try:
        flat = np.asarray(spaces.flatten(space, value), np.float32) if value is not None else None
    except (ValueError, IndexError, TypeError, KeyError, AttributeError) as error:
        raise _misfit(space, value, agent, key) from error
    if flat is None or flat.shape != (flat_size(space),):
        raise _misfit(space, value, agent, key)
    return flat


def _misfit(space: spaces.Space, value: Any, agent: Any, key: str) -> Exception:
    shape = np.shape(value) if isinstance(value, (np.ndarray, np.generic)) else None
    return broken(
        f"the {key!r} of agent {agent!r} is {value!r}" + (f" of shape {shape}" if shape else ""),
        f"it must be in its space, {space}",
        "correct the environment, or the space that it declares",
    )

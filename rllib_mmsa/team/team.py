"""A team that acts, and one agent of it.

Shapes: N agents, A actions, D observation numbers, E environments, H hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rllib_mmsa.method.agents import AgentState
from rllib_mmsa.method.networks import make_agent
from rllib_mmsa.method.settings import MMSASettings, Settings, names
from rllib_mmsa.method.standardiser import Standardiser
from rllib_mmsa.method.targets import greedy_actions
from rllib_mmsa.team import files

OBS, MASK, TEAM = "obs", "action_mask", "team"


class ActingNetwork(nn.Module):
    """The agents' network, and how it reads observations; its weights have the RLModule's names."""

    def __init__(self, said: Mapping[str, Any]):
        super().__init__()
        kind = MMSASettings if "use_sale" in said["settings"] else Settings
        known = {name: said["settings"][name] for name in names(kind) if name in said["settings"]}
        settings = kind(**known)
        layout = said["environment"].get("observation_layout")  # older folders have none
        entities = layout and [SimpleNamespace(**entity) for entity in layout]
        sizes = SimpleNamespace(**{**said["environment"], "observation_layout": entities})
        self.agent = make_agent(sizes, settings)
        self.obs_scale = None
        if settings.normalise_observations:
            self.obs_scale = Standardiser(sizes.num_agents, sizes.obs_size)

    def forward(self, obs: Tensor, state: AgentState) -> tuple[Tensor, AgentState]:
        """Values of all actions (E, N, A) and the next state; obs (E, N, D) as it was observed."""
        return self.agent.step(obs if self.obs_scale is None else self.obs_scale(obs), state)


class Team:
    """Agents that act greedily together, and remember.

    It acts for one environment or for several at once; which, the first call after ``reset`` says.

    Args:
        said: What `files.read` returned.
        weights: The weights.

    Attributes:
        said: What the team says of itself: "algorithm", "settings", "environment" (name, settings
            and sizes of what it was trained on), "version".
        num_agents: N.
        num_actions: A.
        obs_size: D.
        agent_names: where the environment has names for them, else ().
        action_names: likewise.
    """

    def __init__(self, said: Mapping[str, Any], weights: Mapping[str, Tensor]):
        self.said = dict(said)
        record = said["environment"]
        self.num_agents: int = record["num_agents"]
        self.num_actions: int = record["num_actions"]
        self.obs_size: int = record["obs_size"]
        self.agent_names = tuple(record.get("agents") or ())
        self.action_names = tuple(record.get("actions") or ())
        self.network = ActingNetwork(said)
        self.network.load_state_dict(weights)
        self.network.eval()
        self._state: AgentState | None = None

    def reset(self, environments: Sequence[int] | None = None) -> None:
        """Forget: an episode begins.

        Args:
            environments: In these, of several; None: in all, and their number may change.
        """
        if environments is None:
            self._state = None
        elif self._state is not None:
            fresh = self.network.agent.initial_state(len(environments))
            for name, values in fresh.items():
                self._state[name] = self._state[name].clone()
                self._state[name][list(environments)] = values

    @torch.no_grad()
    def act(self, observations: Any) -> np.ndarray:
        """The greedy legal action of each agent.

        Args:
            observations: Of all agents: an array (N, D) or (E, N, D), or a mapping with "obs" and,
                where not every action is always legal, "action_mask" (N, A) or (E, N, A); an
                environment's {"team": ...} is taken as it is.

        Returns:
            (N,) or (E, N) int64.

        Raises:
            ValueError: If sizes are not the team's, a number is not finite, an agent has no legal
                action, or another number of environments was acted for since ``reset``.
        """
        obs, mask = self._read(observations)
        single = obs.dim() == 2
        if single:
            obs, mask = obs.unsqueeze(0), mask.unsqueeze(0)
        if self._state is None:
            self._state = self.network.agent.initial_state(len(obs))
        elif len(self._state["last_action"]) != len(obs):
            raise ValueError(
                f"observations of {len(obs)} environments, after "
                f"{len(self._state['last_action'])} before; call reset() when their number changes"
            )
        values, state = self.network(obs, self._state)
        actions = greedy_actions(values, mask)
        self._state = {**state, "last_action": actions}
        return (actions[0] if single else actions).numpy()

    def agent(self, which: int | str) -> Agent:
        """One agent, to act from what it sees alone.

        Args:
            which: Its index, or its name.

        Raises:
            ValueError: If there is none.
        """
        index = self.agent_names.index(which) if which in self.agent_names else which
        if not isinstance(index, int) or not 0 <= index < self.num_agents:
            known = ", ".join(self.agent_names) or f"0 to {self.num_agents - 1}"
            raise ValueError(f"there is no agent {which!r}; there are {known}")
        return Agent(self, index)

    def _read(self, observations: Any) -> tuple[Tensor, Tensor]:
        """Observations and legal actions, of one shape but for their last dimension."""
        mask = None
        if isinstance(observations, Mapping):
            observations = observations.get(TEAM, observations)
        if isinstance(observations, Mapping):
            if OBS not in observations:
                given = ", ".join(map(repr, observations)) or "nothing"
                raise ValueError(
                    f"the observations hold {given}; they must hold {OBS!r}, and {MASK!r} where "
                    f"not every action is always legal, or {TEAM!r} with both"
                )
            mask, observations = observations.get(MASK), observations[OBS]
        obs = torch.as_tensor(np.asarray(observations), dtype=torch.float32)
        _check(obs, "observations", (self.num_agents, self.obs_size))
        if not torch.isfinite(obs).all():
            raise ValueError("the observations hold NaN or an infinity; they must be finite")
        if mask is None:
            return obs, torch.ones((*obs.shape[:-1], self.num_actions))
        legal = torch.as_tensor(np.asarray(mask))
        _check(legal, "action_mask", (self.num_agents, self.num_actions))
        if legal.shape[:-1] != obs.shape[:-1]:
            raise ValueError(
                f"action_mask has shape {tuple(legal.shape)}, beside observations of shape "
                f"{tuple(obs.shape)}; all but the last number must agree"
            )
        stuck = torch.nonzero(~legal.bool().any(-1))
        if len(stuck):
            raise ValueError(
                f"action_mask allows agent {int(stuck[0][-1])} no action; each needs a legal one "
                "(an agent that is out of the game: the action that does nothing)"
            )
        return obs, legal


class Agent:
    """One agent of a team: acts from its own observations, and remembers what it saw and did.

    The network is one for all agents; what the others see is not read.

    Args:
        team: Whose.
        index: Which.
    """

    def __init__(self, team: Team, index: int):
        self.index = index
        self._alone = Team(team.said, team.network.state_dict())

    def reset(self) -> None:
        """Forget: an episode begins."""
        self._alone.reset()

    def act(self, observation: Any, action_mask: Any = None) -> int | np.ndarray:
        """Its greedy legal action.

        Args:
            observation: (D,), or (E, D) in several environments.
            action_mask: (A,) or (E, A); None: every action is legal.

        Returns:
            The action, or (E,) int64.

        Raises:
            ValueError: See ``Team.act``.
        """
        team = self._alone
        seen = np.asarray(observation, np.float32)
        _check(torch.as_tensor(seen), "observation", (team.obs_size,))
        # The others' rows: nothing seen, everything legal.
        obs = np.zeros((*seen.shape[:-1], team.num_agents, team.obs_size), np.float32)
        mask = np.ones((*seen.shape[:-1], team.num_agents, team.num_actions))
        obs[..., self.index, :] = seen
        if action_mask is not None:
            legal = np.asarray(action_mask)
            _check(torch.as_tensor(legal), "action_mask", (team.num_actions,))
            mask[..., self.index, :] = legal
        actions = team.act({OBS: obs, MASK: mask})[..., self.index]
        return actions if actions.ndim else int(actions)


def _check(values: Tensor, name: str, last: tuple[int, ...]) -> None:
    """Shape ``last``, or that behind a number of environments."""
    shape = tuple(values.shape)
    if shape[-len(last) :] != last or len(shape) not in (len(last), len(last) + 1):
        several = ", ".join(["environments", *map(str, last)])
        raise ValueError(f"{name} has shape {shape}; it must be {last} or ({several})")


def load_team(path: str | Path) -> Team:
    """A trained team, to act anywhere.

    Args:
        path: The folder of a checkpoint, or an exported one.

    Returns:
        The team, at the beginning of an episode.

    Raises:
        MeaninglessFolder: If there is none in it that this version reads.
    """
    said, weights = files.read(path)
    try:
        return Team(said, weights)
    except (RuntimeError, TypeError, ValueError) as error:
        raise files.MeaninglessFolder(
            f"the weights in '{path}' do not fit what its {files.DESCRIPTION} says: {error}"
        ) from None

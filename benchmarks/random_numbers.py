"""Episodes and an environment of random numbers: any size, no package, no game to wait for."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.sizes import Sizes
from env_registry.contract import ACTION_MASK, OBS, STATE, TEAM, GroupedEnv, StepResult
from rllib_mmsa.rllib.batch import Recording, TeamEpisode


def random_observation(sizes: Sizes, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What an environment returns: half of the actions legal, the first one always."""
    mask = (rng.random((sizes.agents, sizes.actions)) < 0.5).astype(np.int8)
    mask[:, 0] = 1
    return {
        OBS: rng.random((sizes.agents, sizes.obs), np.float32),
        ACTION_MASK: mask,
        STATE: rng.random(sizes.state, np.float32),
    }


def random_episode(sizes: Sizes, steps: int, rng: np.random.Generator) -> TeamEpisode:
    """An episode of ``steps``, recorded as one that was played."""
    first = random_observation(sizes, rng)
    recording = Recording(first, steps, {name: value.shape for name, value in first.items()})
    no_actions = np.zeros(sizes.agents, np.int64)  # action 0 is legal everywhere
    for _ in range(steps):
        recording.add(no_actions, float(rng.random()), random_observation(sizes, rng), {})
    return recording.finish(terminated=False, win=None)


class RandomNumbersEnv(GroupedEnv):
    """Random observations for a number of steps; nothing the team does matters."""

    def __init__(self, *, agents: int, obs: int, state: int, actions: int, steps: int):
        """Makes the environment.

        Args:
            agents, obs, state, actions: see ``Sizes``.
            steps: of every episode, in env steps; then it is truncated.
        """
        super().__init__(n_agents=agents, n_actions=actions, obs_size=obs, state_size=state)
        self._sizes, self._steps, self._t = Sizes(agents, obs, state, actions), steps, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Starts an episode."""
        super().reset(seed=seed)
        self._t = 0
        return {TEAM: random_observation(self._sizes, self.np_random)}, {TEAM: {}}

    def step(self, action_dict: dict[str, np.ndarray]) -> StepResult:
        """Draws the next numbers."""
        self._t += 1
        seen = random_observation(self._sizes, self.np_random)
        return self._transition(
            {TEAM: seen},
            np.zeros(self.n_agents, np.float32),
            terminated=False,
            truncated=self._t >= self._steps,
        )

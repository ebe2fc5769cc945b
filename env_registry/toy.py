"""Three small games for tests and for learning: counter, two-step, climbing. No dependency.

Shape legend: N agents, A actions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from env_registry.contract import TEAM, GroupedEnv, Observation, StepResult

Reset = tuple[dict[str, Observation], dict[str, dict[str, Any]]]

# The payoff matrices have agent 0's action as row, agent 1's as column.
TWO_STEP_SAFE = 7.0
TWO_STEP_RISKY = np.array([[0.0, 1.0], [1.0, 8.0]], np.float32)
CLIMBING = np.array([[11, -30, 0], [-30, 7, 6], [0, 0, 5]], np.float32)


class CounterEnv(GroupedEnv):
    """Every number says where it belongs: for tests of everything that moves data about.

    At step t of an episode of length L with the random number e (both drawn at `reset`):

        obs[i]          [t, i, e, what i did before (-1 at the start)]
        state           [t, e, L]
        action_mask[i]  all but action (t + i) mod A
        agent_rewards   (t' + 1) (i + 1) for the step from t' to t' + 1
        team reward     their sum, (t' + 1) N (N + 1) / 2, whatever the team does

    so a step dropped or doubled, an episode mixed with another, agents exchanged, an action paired
    with the wrong observation each show in the values. An illegal action is counted in
    infos["team"]["illegal_actions"], not refused.
    """

    def __init__(
        self,
        *,
        n_agents: int = 3,
        n_actions: int = 4,
        min_length: int = 4,
        max_length: int = 9,
        ends_by: str = "termination",
    ):
        """Makes the environment.

        Args:
            n_agents: N.
            n_actions: A, 2 at least.
            min_length: Fewest steps of an episode.
            max_length: Most steps; each episode's length is drawn from the two and all between.
            ends_by: "termination", "truncation", or "mixed": odd episode numbers e are truncated.

        Raises:
            ValueError: If no action would be legal, or no length possible.
        """
        if n_actions < 2:
            raise ValueError(f"n_actions is {n_actions}, and one of at least 2 is always masked")
        if not 1 <= min_length <= max_length:
            raise ValueError(f"min_length {min_length} is not from 1 to max_length {max_length}")
        super().__init__(n_agents=n_agents, n_actions=n_actions, obs_size=4, state_size=3)
        self._lengths = (min_length, max_length)
        self._ends_by = ends_by
        self._t, self._length, self._episode = 0, 0, 0

    @staticmethod
    def episode_return(length: int, n_agents: int) -> float:
        """The team's undiscounted return of an episode: L (L + 1) / 2 times N (N + 1) / 2."""
        return length * (length + 1) / 2 * n_agents * (n_agents + 1) / 2

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Starts an episode; options["length"] sets its length."""
        super().reset(seed=seed)
        low, high = self._lengths
        drawn = int(self.np_random.integers(low, high + 1))
        self._length = int((options or {}).get("length", drawn))
        self._episode = int(self.np_random.integers(1_000_000))  # exact in float32
        self._t = 0
        return self._observe(np.full(self.n_agents, -1)), {TEAM: {}}

    def step(self, action_dict: dict[str, np.ndarray]) -> StepResult:
        """Counts on."""
        actions = np.asarray(action_dict[TEAM])  # (N,)
        forbidden = (self._t + np.arange(self.n_agents)) % self.n_actions
        self._t += 1
        over = self._t >= self._length
        cut = self._ends_by == "truncation" or (self._ends_by == "mixed" and self._episode % 2 == 1)
        return self._transition(
            self._observe(actions),
            self._t * np.arange(1, self.n_agents + 1, dtype=np.float32),
            terminated=over and not cut,
            truncated=over and cut,
            illegal_actions=int((actions == forbidden).sum()),
        )

    def _observe(self, last_actions: np.ndarray) -> dict[str, Observation]:
        agents = np.arange(self.n_agents)
        obs = np.empty((self.n_agents, 4), np.float32)
        obs[:, 0], obs[:, 1], obs[:, 2], obs[:, 3] = self._t, agents, self._episode, last_actions
        mask = np.ones((self.n_agents, self.n_actions), np.int8)
        mask[agents, (self._t + agents) % self.n_actions] = 0
        state = np.array([self._t, self._episode, self._length], np.float32)
        return self._observation(obs, mask, state)


class TwoStepEnv(GroupedEnv):
    """The two-step game: agent 0's first action picks the second state's payoff matrix.

    Action 0 leads to 2A, where everything pays 7; action 1 to 2B, which pays [[0, 1], [1, 8]].
    The best return is 8. VDN cannot represent 2B's payoff and settles for 7; QMIX can. Every
    agent observes the state, one-hot of (1, 2A, 2B), which stays 2A or 2B at the end.

    Source: Rashid et al. 2018, "QMIX", section 5.
    """

    BEST_RETURN = 8.0

    def __init__(self) -> None:
        """Makes the environment: N = 2, A = 2."""
        super().__init__(
            n_agents=2,
            n_actions=2,
            obs_size=3,
            state_size=3,
            obs_bounds=(0, 1),
            state_bounds=(0, 1),
        )
        self._place = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Back to the first state; the seed changes nothing."""
        super().reset(seed=seed)
        self._place = 0
        return self._observe(), {TEAM: {}}

    def step(self, action_dict: dict[str, np.ndarray]) -> StepResult:
        """The first step picks the matrix and pays nothing, the second is paid and ends."""
        first, second = (int(action) for action in action_dict[TEAM])
        over = self._place > 0
        reward = 0.0
        if self._place == 0:
            self._place = 1 + first
        else:
            reward = TWO_STEP_SAFE if self._place == 1 else float(TWO_STEP_RISKY[first, second])
        return self._transition(
            self._observe(),
            (reward / 2, reward / 2),
            terminated=over,
            truncated=False,
            team_reward=reward,
        )

    def _observe(self) -> dict[str, Observation]:
        state = np.zeros(3, np.float32)
        state[self._place] = 1
        return self._observation(np.stack((state, state)), state=state)


class ClimbingEnv(GroupedEnv):
    """One joint action, one payoff: climbing games punish the team that misses its best corner.

    Source: Claus and Boutilier 1998, "The dynamics of reinforcement learning in cooperative
    multiagent systems": the climbing game and the penalty game.
    """

    def __init__(self, *, game: str = "climbing", penalty: float = -10.0):
        """Makes the environment: N = 2, A = 3, observation and state are the constant 1.

        Args:
            game: "climbing" (best 11), "penalty" or "penalty_diagonal" (best 10). The best corners
                of the last want the same action of both agents, those of "penalty" different ones.
            penalty: Of the penalty games, what the two wrong corners pay.
        """
        super().__init__(
            n_agents=2,
            n_actions=3,
            obs_size=1,
            state_size=1,
            obs_bounds=(0, 1),
            state_bounds=(0, 1),
        )
        k = penalty
        diagonal = np.array([[10, 0, k], [0, 2, 0], [k, 0, 10]], np.float32)
        games = {"climbing": CLIMBING, "penalty": diagonal[::-1], "penalty_diagonal": diagonal}
        self.payoff = games[game]  # (A, A)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Reset:
        """Starts the only step; the seed changes nothing."""
        super().reset(seed=seed)
        return self._observe(), {TEAM: {}}

    def step(self, action_dict: dict[str, np.ndarray]) -> StepResult:
        """Pays and ends."""
        first, second = (int(action) for action in action_dict[TEAM])
        reward = float(self.payoff[first, second])
        return self._transition(
            self._observe(),
            (reward / 2, reward / 2),
            terminated=True,
            truncated=False,
            team_reward=reward,
        )

    def _observe(self) -> dict[str, Observation]:
        return self._observation(np.ones((2, 1), np.float32), state=np.ones(1, np.float32))

"""Multi-Agent MuJoCo on the real `gymnasium-robotics`: one robot, several agents that move it.

Physics, partitions, what each agent sees and the reward are the package's own. This file names the
robot and its agents, gives discrete actions for the continuous ones, and reads all agents'
observations in one gather instead of number by number.

Shape legend: N agents, A actions of the agent that has most, G actuators, D length of the longest
observation, S length of the state, Z numbers of the simulation that any agent can see.

Source: https://robotics.farama.org/envs/MaMuJoCo/ (gymnasium-robotics 1.4.2); the paper, Appendix
B.2 and Table 9.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.wrappers import TimeLimit
from gymnasium_robotics.envs.multiagent_mujoco import many_segment_ant, many_segment_swimmer
from gymnasium_robotics.envs.multiagent_mujoco.coupled_half_cheetah import CoupledHalfCheetahEnv
from gymnasium_robotics.envs.multiagent_mujoco.mujoco_multi import MultiAgentMujocoEnv
from gymnasium_robotics.envs.multiagent_mujoco.obsk import get_parts_and_edges

from env_registry.contract import TEAM, GroupedEnv, Observation, StepResult, pad_rows
from env_registry.discretise import JointActions, box_values
from env_registry.mamujoco.gather import ObservationGather
from env_registry.tasks.mamujoco import Task, check_config, check_task, parse_task

# The package's partition whose joints and edges the paper's, which it lacks, are built from.
_BASE_PARTITION = {"Ant_8x1": "2x4", "Walker2d_6x1": "2x3"}
_CHAINS = {
    "ManySegmentSwimmer": ("Swimmer", many_segment_swimmer.gen_asset),
    "ManySegmentAnt": ("Ant", many_segment_ant.gen_asset),
}
_COUPLED_LIMIT = 1000  # env steps; what the package sets for the robot that Gymnasium lacks


class MAMuJoCoEnv(GroupedEnv):
    """One robot of Multi-Agent MuJoCo as a team with discrete actions.

    Each joint takes one of `n_actions` equally spaced torques, the two bounds included; an agent
    with several joints has one discrete action for every combination.

    Observations are the package's, not scaled, each agent's filled up with zeros to the longest.
    The state is the package's `state()`. The package gives the one reward of the robot to every
    agent: the team earns it once, infos["team"]["agent_rewards"] has it N times. A robot that
    falls has terminated, the time limit truncates.
    """

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(
        self,
        task: str = "Hopper_3x1",
        agent_obsk: int = 2,
        n_actions: int = 5,
        max_episode_steps: int | None = None,
    ):
        """Builds the robot.

        Args:
            task: A task id, see `env_registry.tasks.mamujoco`.
            agent_obsk: How many joints away from its own an agent sees.
            n_actions: Torques per joint, at least 2.
            max_episode_steps: Time limit, env steps; None = as Gymnasium registered the robot
                (1000; Reacher 50, Pusher 100).

        Raises:
            TaskError: If `task` names no robot, or one that this mujoco cannot play.
            ContractError: If an agent would have too few actions or too many.
        """
        check_task(task)
        check_config({"task": task, "n_actions": n_actions})
        self.game = make_game(task, agent_obsk, max_episode_steps)
        self._robot = self.game.single_agent_env
        agents = self.game.possible_agents
        self._actions = JointActions(
            [box_values(self.game.action_space(agent), n_actions, agent) for agent in agents]
        )
        joints = [node for part in self.game.agent_action_partitions for node in part]
        self._actuators = np.argsort(
            [joint.act_ids for joint in joints]
        )  # agents' -> robot's order
        self._gather = self._make_gather()
        super().__init__(
            n_agents=len(agents),
            n_actions=int(self._actions.n_actions.max()),
            obs_size=max(self.game.observation_space(agent).shape[0] for agent in agents),
            state_size=self.game.state().size,
        )
        self._action_mask = self._actions.mask()
        self.render_mode = "rgb_array"

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Starts an episode; the same seed gives the same one, whatever was played before."""
        state, _ = self._robot.reset(seed=seed)
        return self._observe(state), {TEAM: {}}

    def step(self, action_dict: dict[str, np.ndarray]) -> StepResult:
        """Plays one step: {"team": (N,) int} in, the contract's five dictionaries out."""
        torques = self._actions(action_dict[TEAM])[self._actuators]  # (G,)
        state, reward, terminated, truncated, _ = self._robot.step(torques)
        return self._transition(
            self._observe(state),
            np.full(self.n_agents, reward),
            terminated=terminated,
            truncated=truncated,
            team_reward=reward,
        )

    def render(self) -> np.ndarray:
        """Films the robot: (480, 480, 3) uint8. Needs OpenGL (MUJOCO_GL=egl without a display)."""
        return self._robot.render()

    def close(self) -> None:
        """Frees the camera's memory."""
        self._robot.close()

    def _observe(self, state: np.ndarray) -> dict[str, Observation]:
        """What the step has left in the simulation -> the contract's observation."""
        if self._gather is not None:
            obs = self._gather()
        else:
            obs = pad_rows(list(self.game._get_obs().values()), self.obs_size)
        return self._observation(obs, self._action_mask.copy(), state.astype(np.float32))

    def _make_gather(self) -> ObservationGather | None:
        """None where the package computes observations (sines, distances) from the simulation."""
        if self.game.observation_factorization is None:
            return None
        return ObservationGather(self.game)


def make_game(task: str, agent_obsk: int, max_episode_steps: int | None) -> MultiAgentMujocoEnv:
    """Builds the package's own environment.

    Args:
        task: A task id.
        agent_obsk: How many joints away an agent sees.
        max_episode_steps: Time limit, env steps; None = the registered one.

    Returns:
        A PettingZoo ParallelEnv with continuous actions.
    """
    parsed = parse_task(task)
    return MultiAgentMujocoEnv(
        scenario=parsed.robot,
        agent_conf=parsed.partition,
        agent_obsk=agent_obsk,
        agent_factorization=_factorization(task, parsed),
        gym_env=_make_robot(parsed, max_episode_steps),
    )


def _factorization(task: str, parsed: Task) -> dict[str, Any]:
    """The agents' joints, how they hang together, and what every agent sees.

    Deviation: joints to which the package gives the same label (Pusher's) get labels of their own.
    It sorts an agent's joints by label, and those it cannot tell apart come out in the order of
    their addresses: another one in every process.
    """
    base = _BASE_PARTITION.get(task, parsed.partition)
    parts, edges, globals_ = get_parts_and_edges(parsed.robot, base)
    nodes = [node for part in parts for node in part]
    if len({node.label for node in nodes}) < len(nodes):
        for node in nodes:
            node.label = f"{node.act_ids:03d} {node.label}"
    if parsed.order is not None:
        by_label = {node.label: node for node in nodes}
        parts = [(by_label[joint],) for joint in parsed.order]
    return {"partition": parts, "edges": edges, "globals": globals_}


def _make_robot(parsed: Task, max_episode_steps: int | None) -> gymnasium.Env:
    """The single-agent environment that moves the whole robot."""
    arguments: dict[str, Any] = {
        "render_mode": "rgb_array",  # costs nothing until render() is called
        "max_episode_steps": max_episode_steps,
        "disable_env_checker": True,
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet_model())
        if parsed.robot == "CoupledHalfCheetah":
            return TimeLimit(
                CoupledHalfCheetahEnv("rgb_array"), max_episode_steps or _COUPLED_LIMIT
            )
        if parsed.segments is None:
            return gymnasium.make(f"{parsed.robot}-v5", **arguments)
        # The package writes this file into its own folder, where processes would meet.
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        robot, write = _CHAINS[parsed.robot]
        path = os.path.join(folder, "robot.xml")
        write(n_segs=parsed.segments, asset_path=path)
        return gymnasium.make(f"{robot}-v5", xml_file=path, **arguments)


@contextlib.contextmanager
def _quiet_model() -> Iterator[None]:
    """Silences what MuJoCo says of the robots' files: it would write MUJOCO_LOG.TXT into the
    working directory each time a model is read. Warnings of the simulation stay."""
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda message: None)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)

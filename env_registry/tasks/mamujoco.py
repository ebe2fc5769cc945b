"""Multi-Agent MuJoCo's task ids: which robot, cut into which agents.

    {robot}_{partition}        Hopper_3x1, Ant_2x4d, Humanoid_9|8, ManySegmentSwimmer_10x2

The partitions are those of `gymnasium-robotics`, and two of the MMSA paper that it lacks
(`Ant_8x1`, `Walker2d_6x1`). No import of the package: an id can be checked where it is not
installed.

Source: `obsk.py: get_parts_and_edges` of gymnasium-robotics 1.4.2; the paper's Table 9.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from env_registry.discretise import count_combinations
from env_registry.errors import TaskError

# Robot -> partitions that gymnasium-robotics knows by name -> joints of the largest agent.
PACKAGE_PARTITIONS = {
    "Ant": {"2x4": 4, "2x4d": 4, "4x2": 2},
    "HalfCheetah": {"2x3": 3, "6x1": 1},
    "Hopper": {"3x1": 1},
    "Humanoid": {"9|8": 9},
    "HumanoidStandup": {"9|8": 9},
    "Reacher": {"2x1": 1},
    "Pusher": {"3p": 3},
    "Swimmer": {"2x1": 1},
    "Walker2d": {"2x3": 3},
    "CoupledHalfCheetah": {"1p1": 6},
}


class Chain(NamedTuple):
    """A robot of {agents}x{segments of each}: the fewest segments in all, the joints of each."""

    fewest: int
    joints: int


CHAINS = {"ManySegmentSwimmer": Chain(2, 1), "ManySegmentAnt": Chain(1, 4)}

# The paper's tasks: the joints in the order of its Table 9, one agent each.
TABLE_9 = {
    "Ant_8x1": ("hip4", "ankle4", "hip1", "ankle1", "hip2", "ankle2", "hip3", "ankle3"),
    "HalfCheetah_6x1": ("bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"),
    "Hopper_3x1": ("thigh_joint", "leg_joint", "foot_joint"),
    "Walker2d_6x1": (
        "foot_joint",
        "leg_joint",
        "thigh_joint",
        "foot_left_joint",
        "leg_left_joint",
        "thigh_left_joint",
    ),
}

TASKS = (
    *TABLE_9,
    *(
        f"{robot}_{partition}"
        for robot, partitions in PACKAGE_PARTITIONS.items()
        for partition in partitions
        if f"{robot}_{partition}" not in TABLE_9
    ),
    "ManySegmentSwimmer_10x2",
    "ManySegmentAnt_2x3",
)
_CHAIN = re.compile(r"(\d+)x(\d+)")
# From here on, MuJoCo stores a tendon's Jacobian sparsely; gymnasium-robotics 1.4.2 reads it dense.
_SPARSE_TENDONS = (3, 6)


class Task(NamedTuple):
    """A robot and its agents.

    `most_joints`: of the agent that has most.
    `order`: one joint for each agent, where the paper names them; None where the package does.
    `segments`: of a robot that is a chain; None elsewhere.
    """

    robot: str
    partition: str
    most_joints: int
    order: tuple[str, ...] | None = None
    segments: int | None = None


def parse_task(task: str) -> Task:
    """Reads a task id.

    Args:
        task: In the notation of the module's docstring.

    Returns:
        What it names.

    Raises:
        TaskError: If there is no such robot or partition.
    """
    robot, _, partition = str(task).partition("_")
    if task in TABLE_9:
        return Task(robot, partition, most_joints=1, order=TABLE_9[task])
    if robot in CHAINS:
        return _parse_chain(task, robot, partition)
    if partition in PACKAGE_PARTITIONS.get(robot, {}):
        return Task(robot, partition, PACKAGE_PARTITIONS[robot][partition])
    raise _error(task, "is no robot with its partition")


def check_task(task: str) -> None:
    """Raises TaskError if `task` cannot be played; what the registry calls before anything starts.

    MuJoCo is asked for its version only, not imported.
    """
    if parse_task(task).robot == "CoupledHalfCheetah" and _mujoco_version() >= _SPARSE_TENDONS:
        wanted = ".".join(map(str, _SPARSE_TENDONS))
        raise TaskError(
            f'task "{task}" does not run with mujoco {".".join(map(str, _mujoco_version()))}: '
            "gymnasium-robotics reads the tendon between the two robots as mujoco stored it before "
            f'{wanted}.\n  remedy: pip install "mujoco<{wanted}", or take another task'
        )


def check_config(env_config: Mapping[str, Any]) -> None:
    """Raises ValueError if an agent of the task would have too many actions."""
    n_actions = env_config.get("n_actions", 5)
    task = parse_task(env_config.get("task", "Hopper_3x1"))
    count_combinations([n_actions] * task.most_joints, "an agent of " + "_".join(task[:2]))


def _parse_chain(task: str, robot: str, partition: str) -> Task:
    """A robot of as many segments as one likes."""
    match = _CHAIN.fullmatch(partition)
    if match is None:
        raise _error(task, f"needs {{agents}}x{{segments of each}} after {robot}_")
    agents, each = int(match[1]), int(match[2])
    chain = CHAINS[robot]
    if agents < 1 or each < 1 or agents * each < chain.fewest:
        raise _error(task, f"has {agents * each} segments, and {robot} needs {chain.fewest}")
    return Task(robot, partition, each * chain.joints, segments=agents * each)


def _mujoco_version() -> tuple[int, ...]:
    """(major, minor) of the installed mujoco; () if there is none."""
    try:
        version = importlib.metadata.version("mujoco")
    except importlib.metadata.PackageNotFoundError:
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _near(task: str) -> list[str]:
    """Tasks of the robot or the partition that a word names, whatever stands between them."""
    plain = re.sub(r"[^a-z0-9|]", "", re.sub(r"-v\d+$", "", task.lower()))
    parts = [(known, *known.lower().split("_")) for known in TASKS]
    exact = [known for known, robot, partition in parts if plain == robot + partition]
    robots = [known for known, robot, partition in parts if plain.startswith(robot)]
    return exact or robots or [known for known, _, partition in parts if plain == partition]


def _error(task: object, what: str) -> TaskError:
    near = _near(str(task)) or difflib.get_close_matches(str(task), TASKS, n=3, cutoff=0.0)
    nearest = ", ".join(f'"{candidate}"' for candidate in near)
    return TaskError(f'task "{task}" {what}.\n  nearest: {nearest}\n  all: {", ".join(TASKS)}')

"""Learners in processes of their own that die: said in words, instead of what the others see."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ray.exceptions import RayActorError
from ray.rllib.core.learner.learner_group import LearnerGroup

_ANSWER_S = 10.0  # a learner that lives and waits for a dead one answers later, or never


@contextlib.contextmanager
def deaths_told(group: LearnerGroup) -> Iterator[None]:
    """Within it, an error that comes from a learner's death is raised as one that says so.

    Raises:
        RuntimeError: a learner died. Its share of the update is lost and the others have moved on
            or failed with it, so that only a checkpoint has a state that all of them agree on.
    """
    try:
        yield
    except Exception as error:  # whatever came of it
        dead = _dead(group) if group.is_remote else []
        if not dead:
            raise
        raise RuntimeError(
            f"learner {', '.join(map(str, dead))} of {len(group)} (counted from 0) died: its "
            "process was killed, ran out of memory, crashed, or its machine was lost. The run can "
            "be resumed from its last checkpoint"
        ) from error


def _dead(group: LearnerGroup) -> list[int]:
    """Which learners' processes have died."""
    answers = group.foreach_learner(
        lambda learner: None, healthy_only=False, timeout_seconds=_ANSWER_S
    )
    return sorted(each.actor_id for each in answers if isinstance(each.get(), RayActorError))

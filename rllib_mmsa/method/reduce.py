"""Sums over the learners of one update, so that several learn what one would."""

from __future__ import annotations

from collections.abc import Callable

import torch.distributed
from torch import Tensor


def num_learners() -> int:
    """Learners that share an update's batch."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return 1


def learner_rank() -> int:
    """This learner's place among them, 0 for a single one."""
    return torch.distributed.get_rank() if num_learners() > 1 else 0


def sum_over_learners(value: Tensor) -> Tensor:
    """The sum of every learner's value, without gradient; the value itself for a single one."""
    if num_learners() == 1:
        return value
    total = value.detach().clone()
    torch.distributed.all_reduce(total)
    return total


def mean_over_learners(value: Tensor) -> Tensor:
    """The mean of every learner's value, without gradient."""
    return sum_over_learners(value) / num_learners()


def own_share(like: Tensor, draw: Callable[[Tensor], Tensor]) -> Tensor:
    """This learner's rows of what all learners make alike: random numbers, or a count.

    Learners with equal seeds would otherwise have equal noise, and not what one learner has.

    Args:
        like: (B, ...), of which all learners have the same number of rows.
        draw: fills or replaces a tensor of (learners x B, ...), with as many rows.
    """
    whole = like.new_empty(num_learners() * len(like), *like.shape[1:])
    return draw(whole)[learner_rank() * len(like) :][: len(like)]

"""How well changes are foreseen, by kind of change: measures that do not ask how much moves.

A squared error over all numbers, against that of "nothing changes", says above all how much moved.
Here every thing that an observation tells of counts apart, by what became of it from t to t + k:

    moves     there at t and at t + k, and one of its numbers changed
    vanishes  there at t, absent at t + k
    appears   absent at t, there at t + k
    stays     all others: it changed in nothing

A thing is absent where each of its numbers is, within ``SAME``, what its absence looks like.

Shapes: B, T leading dimensions of any number, N agents, D observation numbers, P places, W numbers
of the widest place, M = 9 measures. All observations are in the environment's units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from rllib_mmsa.method.reduce import sum_over_learners

#: Numbers that differ by no more are the same: the rounding of float32.
SAME = 1e-6
#: What is measured, each a ratio of two sums (``tally``).
MEASURES = (
    "moves",
    "vanishes",
    "appears",
    "stays",
    "vanished_foreseen",
    "vanished_falsely",
    "appeared_foreseen",
    "appeared_falsely",
    "direction_right",
)
#: Those of them that are squared errors over errors of "nothing changes".
ERRORS = MEASURES[:4]


class Entity(Protocol):
    """One place of an observation, as the environment says it (env_registry/contract/layout.py)."""

    @property
    def kind(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def absent(self) -> Sequence[float] | None: ...
    @property
    def action(self) -> int | None: ...


class Places(NamedTuple):
    """An observation's layout as tensors.

    Attributes:
        kinds: (P,) words.
        numbers: (P, W) int64, where each place's numbers are; any valid index where unused.
        used: (P, W) bool, which of the W numbers each place has.
        absent: (P, W), the numbers of an absent thing; 0 where unused.
        leaves: (P,) bool, whether a thing can be absent there.
    """

    kinds: tuple[str, ...]
    numbers: Tensor
    used: Tensor
    absent: Tensor
    leaves: Tensor

    def pick(self, obs: Tensor) -> Tensor:
        """Observations (..., D) by place, (..., P, W); 0 where unused."""
        return obs[..., self.numbers] * self.used

    def present(self, things: Tensor) -> Tensor:
        """Whether things (..., P, W) are there, (..., P) bool."""
        away = ((things - self.absent).abs() <= SAME).all(-1)
        return ~(away & self.leaves)


def places_of(
    layout: Sequence[Entity] | None, obs_size: int, device: torch.device | str = "cpu"
) -> Places:
    """An environment's layout as tensors.

    Args:
        layout: what the environment says; None: every number is a place of its own that is never
            absent, so that a change is a move. Numbers that no entity covers are left out.
        obs_size: D.
        device: of the tensors.

    Returns:
        Its P places.
    """
    if not layout:
        one = torch.ones((obs_size, 1), dtype=torch.bool, device=device)
        index = torch.arange(obs_size, device=device)[:, None]
        kinds = ("number",) * obs_size
        return Places(kinds, index, one, torch.zeros(one.shape, device=device), ~one[:, 0])
    width = max(entity.size for entity in layout)
    index = torch.zeros((len(layout), width), dtype=torch.int64)
    used = torch.zeros(index.shape, dtype=torch.bool)
    absent = torch.zeros(index.shape)
    for row, entity in enumerate(layout):
        index[row, : entity.size] = torch.arange(entity.start, entity.start + entity.size)
        used[row, : entity.size] = True
        if entity.absent is not None:
            absent[row, : entity.size] = torch.tensor(entity.absent, dtype=absent.dtype)
    leaves = torch.tensor([entity.absent is not None for entity in layout])
    tensors = (each.to(device) for each in (index, used, absent, leaves))
    return Places(tuple(entity.kind for entity in layout), *tensors)


@torch.no_grad()
def typical(places: Places, things: Tensor, mask: Tensor) -> Tensor:
    """The mean of what stands in each place where something does, over all agents and steps.

    Args:
        places: the layout.
        things: (B, T, N, P, W), what ``Places.pick`` made of observations.
        mask: (B, T), 1 on observations that count.

    Returns:
        (P, W); NaN in a place where nothing ever stood.
    """
    things = things[mask > 0].flatten(0, 1)  # (rows, P, W)
    there = places.present(things)
    count = sum_over_learners(there.sum(0))[:, None]
    return sum_over_learners((things * there[..., None]).sum(0)) / count


@torch.no_grad()
def tally(
    places: Places, before: Tensor, after: Tensor, foreseen: Tensor, usual: Tensor, mask: Tensor
) -> Tensor:
    """The sums of which every measure is a ratio.

    With d(x, y) the squared distance over a place's numbers, b its numbers at t, a at t + k, f as
    foreseen, 0 absent, u usual:

    =================== ============================================= ==============================
    measure             numerator                                     denominator
    =================== ============================================= ==============================
    moves               d(f, a) of those that moved                   d(b, a) of the same
    vanishes            d(f, a) of those that vanished                d(b, a) of the same
    appears             d(f, a) of those that appeared                d(b, a) of the same
    stays               d(f, a) of those that stayed                  d(b, a) of all, of every kind
    vanished_foreseen   vanished with d(f, 0) < d(f, b)               vanished
    vanished_falsely    there at both times with d(f, 0) < d(f, a)    there at both, can be absent
    appeared_foreseen   appeared with d(f, a) < d(f, 0)               appeared
    appeared_falsely    absent at both times with d(f, u) < d(f, 0)   absent at both, u is known
    direction_right     numbers with sign(f - b) = sign(a - b)        changed numbers of what moved
    =================== ============================================= ==============================

    So a forecast says that a thing is gone if it is nearer to absence than to the thing: the thing
    as it is, where it is there; as it was, where it has left; and where there is none at either
    time, as it usually is in that place.

    Args:
        places: the layout.
        before, after, foreseen: (B, T, N, P, W), what ``Places.pick`` made of the observations at
            t, at t + k, and of what t foresaw for t + k.
        usual: (P, W), what ``typical`` returned.
        mask: (B, T), 1 where there is a t + k.

    Returns:
        (P, M, 2) float64: numerators and denominators by place. Sums of several batches add up.
    """
    b, a, f = (things[mask > 0].flatten(0, 1) for things in (before, after, foreseen))
    was, there = places.present(b), places.present(a)
    change, foreseen_change = a - b, f - b  # (rows, P, W)
    differs = change.abs() > SAME
    moves, kept = was & there & differs.any(-1), was & there
    vanishes, appears, away = was & ~there, ~was & there, ~was & ~there
    stays = ~(moves | vanishes | appears)
    error, still = (f - a).square().sum(-1), change.square().sum(-1)
    to_absence, to_it = (f - places.absent).square().sum(-1), error
    differs &= moves[..., None]
    right = (foreseen_change * change > 0) & differs  # of one sign
    known = ~usual.isnan().any(-1)
    pairs = (
        (error * moves, still * moves),
        (error * vanishes, still * vanishes),
        (error * appears, still * appears),
        (error * stays, still),
        (vanishes & (to_absence < foreseen_change.square().sum(-1)), vanishes),
        (kept & places.leaves & (to_absence < to_it), kept & places.leaves),
        (appears & (to_it < to_absence), appears),
        (away & ((f - usual).square().sum(-1) < to_absence), away & known),
        (right.sum(-1), differs.sum(-1)),
    )
    return torch.stack([torch.stack([_sum(part) for part in pair], -1) for pair in pairs], 1)


def _sum(part: Tensor) -> Tensor:
    """(rows, P) to (P,) float64."""
    return part.sum(0, dtype=torch.float64)


def measures(sums: Tensor) -> dict[str, Tensor]:
    """What sums mean.

    Args:
        sums: (..., M, 2), of one or more ``tally``; leading dimensions are summed over.

    Returns:
        name of ``MEASURES`` -> (). ``ERRORS``: 1 is as good as "nothing changes", 0 is perfect; of
        "stays", the error as a share of the whole error of "nothing changes". The others are shares
        from 0 to 1. A measure is missing where nothing of its kind happened.
    """
    numerators, denominators = sums.flatten(0, -3).sum(0).unbind(-1)
    ratios = zip(MEASURES, numerators, denominators, strict=True)
    return {name: above / below for name, above, below in ratios if below > 0}


def auc(scores: Tensor, labels: Tensor) -> Tensor | None:
    """The area under the ROC curve: how often a true one is scored above a false one.

    The Mann-Whitney statistic by ranks; equal scores share their mean rank, so count one half.

    Args:
        scores: (...), any numbers, such as logits.
        labels: (...), true or 1, false or 0.

    Returns:
        () float64 from 0 to 1, 0.5 by chance; None where all labels are the same.
    """
    true = labels.flatten().double()
    _, group, size = scores.flatten().unique(return_inverse=True, return_counts=True)
    ranks = (size.cumsum(0) - (size - 1) / 2)[group]  # 1, 2, ...; the mean of equal ones
    positive = true.sum()
    negative = len(true) - positive
    if positive == 0 or negative == 0:
        return None
    return (ranks.double() @ true - positive * (positive + 1) / 2) / (positive * negative)


def r2(predicted: Tensor, actual: Tensor) -> Tensor | None:
    """The share of the variance that a straight line over the prediction explains.

    The squared correlation: the two may be in different units.

    Args:
        predicted, actual: (...), of one shape.

    Returns:
        () float64 from 0 to 1. None where ``actual`` is all the same.
    """
    x, y = (values.flatten().double() for values in (predicted, actual))
    x, y = x - x.mean(), y - y.mean()
    if y.square().sum() == 0:
        return None
    return (x @ y).square() / (x.square().sum() * y.square().sum()).clamp(min=1e-30)

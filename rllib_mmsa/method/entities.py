"""HPN: agents that read the things of an observation as a set (``agent: hpn``).

Hao et al., 2023, "Boosting multi-agent reinforcement learning via permutation invariant and
permutation equivariant networks" (ICLR), HPN; widths and details as in the authors' code
(tjuHaoXiaotian/pymarl3, ``hpn_rnn_agent.py``). A hypernetwork makes the weights that read a thing
from the thing itself. The order in which things stand in an observation then says nothing: the
first layer does not change with it, and the values of actions that are done to things change places
with them.

Shapes: N agents, A actions, D observation numbers, H hidden size, n entities of one kind, E numbers
of one of them, K width of a hypernetwork.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_mmsa.method.kinds import Entity
from rllib_mmsa.method.sale import perceptron

#: The kind of an agent's own numbers: one thing that is no member of a set.
SELF = "self"


class Kind(NamedTuple):
    """The entities that share weights: those of one kind and one size.

    Attributes:
        size: E.
        starts: (n,) index of each one's first number.
        actions: (n,) the action that is done to each, or None.
    """

    size: int
    starts: tuple[int, ...]
    actions: tuple[int | None, ...]

    @property
    def numbers(self) -> list[int]:
        """(n E,) the places of all their numbers, one entity behind the other."""
        return [start + i for start in self.starts for i in range(self.size)]


def kinds_of(layout: Sequence[Entity]) -> list[Kind]:
    """An observation's entities by kind, but for the agent itself, in the order of the layout."""
    found: dict[tuple[str, int], list[Entity]] = {}
    for entity in layout:
        if entity.kind != SELF:
            found.setdefault((entity.kind, entity.size), []).append(entity)
    return [
        Kind(size, tuple(e.start for e in members), tuple(e.action for e in members))
        for (_, size), members in found.items()
    ]


def _register(module: nn.Module, name: str, numbers: list[int]) -> None:
    """Keeps indices beside a module's weights, on their device; the settings say them anew."""
    module.register_buffer(name, torch.tensor(numbers, dtype=torch.int64), persistent=False)


class EntityInput(nn.Module):
    """The first layer (section 4.1): W_own o_own + b + sum over all entities e of W(e) e.

    W(e) = reshape(V relu(U e + u) + v), (H, E), with U, u, V, v of e's kind. ``o_own`` is what
    belongs to no set: the agent itself, numbers of no entity, and what follows the observation (its
    last action and index).

    Args:
        inputs: numbers of an observation and of what follows it.
        outputs: H.
        layout: of the observation.
        width: K.
    """

    own: Tensor

    def __init__(self, inputs: int, outputs: int, *, layout: Sequence[Entity], width: int):
        super().__init__()
        kinds = kinds_of(layout)
        in_sets = {number for kind in kinds for number in kind.numbers}
        own = [number for number in range(inputs) if number not in in_sets]
        _register(self, "own", own)
        self.of_own = nn.Linear(len(own), outputs)
        self.of_kinds = nn.ModuleList(EntitySum(kind, outputs, width) for kind in kinds)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., H)."""
        found: Tensor = self.of_own(x.index_select(-1, self.own))
        for of_kind in self.of_kinds:
            found = found + of_kind(x)
        return found


class EntitySum(nn.Module):
    """sum_e W(e) e over the entities of one kind.

    With k(e) = relu(U e + u), the sum is V contracted with sum_e k(e) e^T, a matrix (K, E) for all
    entities together, and v with sum_e e: no W(e) is ever made.

    Args:
        kind: which.
        outputs: H.
        width: K.
    """

    numbers: Tensor

    def __init__(self, kind: Kind, outputs: int, width: int):
        super().__init__()
        self.size, self.outputs = kind.size, outputs
        _register(self, "numbers", kind.numbers)
        self.hidden = nn.Linear(kind.size, width)  # U, u
        self.weights = nn.Linear(width, kind.size * outputs)  # V, v

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., H)."""
        e = x.index_select(-1, self.numbers).unflatten(-1, (-1, self.size))  # (..., n, E)
        k = F.relu(self.hidden(e))  # (..., n, K)
        products = k.transpose(-1, -2) @ e  # (..., K, E)
        weight = self.weights.weight.view(self.size, self.outputs, -1)  # V, (E, H, K)
        bias = self.weights.bias.view(self.size, self.outputs)  # v, (E, H)
        by_product = weight.permute(2, 0, 1).flatten(0, 1)  # (K E, H)
        return products.flatten(-2) @ by_product + e.sum(-2) @ bias


class EntityHead(nn.Module):
    """Values of all actions (section 4.2): w(e).h + b(e) of one that is done to an entity e.

    w and b are perceptrons of the entity's own numbers, of its kind. All other actions have a
    linear head on h.

    Args:
        hidden_dim: H.
        num_actions: A.
        layout: of the observation.
        width: K.
    """

    order: Tensor

    def __init__(self, hidden_dim: int, num_actions: int, *, layout: Sequence[Entity], width: int):
        super().__init__()
        kinds = [with_actions(kind) for kind in kinds_of(layout)]
        kinds = [kind for kind in kinds if kind.starts]
        done_to = [action for kind in kinds for action in kind.actions if action is not None]
        others = [action for action in range(num_actions) if action not in done_to]
        self.of_state = nn.Linear(hidden_dim, len(others))
        self.of_kinds = nn.ModuleList(EntityValues(kind, hidden_dim, width) for kind in kinds)
        computed = [*others, *done_to]
        _register(self, "order", [computed.index(action) for action in range(num_actions)])

    def forward(self, hidden: Tensor, obs: Tensor) -> Tensor:
        """h (..., H) and o (..., D) to (..., A)."""
        values = [self.of_state(hidden), *(of_kind(hidden, obs) for of_kind in self.of_kinds)]
        return torch.cat(values, -1).index_select(-1, self.order)


class EntityValues(nn.Module):
    """w(e).h + b(e) for each entity e of one kind.

    w(e) = V relu(U e + u) + v, so w(e).h = relu(U e + u).(V^T h) + v.h: no w(e) is ever made.

    Args:
        kind: which; each has an action.
        hidden_dim: H.
        width: K.
    """

    numbers: Tensor

    def __init__(self, kind: Kind, hidden_dim: int, width: int):
        super().__init__()
        self.size = kind.size
        _register(self, "numbers", kind.numbers)
        self.hidden = nn.Linear(kind.size, width)  # U, u
        self.weights = nn.Linear(width, hidden_dim)  # V, v
        self.bias = perceptron(kind.size, width, 1)

    def forward(self, hidden: Tensor, obs: Tensor) -> Tensor:
        """h (..., H) and o (..., D) to (..., n)."""
        e = obs.index_select(-1, self.numbers).unflatten(-1, (-1, self.size))  # (..., n, E)
        along = (hidden @ self.weights.weight).unsqueeze(-1)  # V^T h, (..., K, 1)
        values = F.relu(self.hidden(e)) @ along + self.bias(e)  # (..., n, 1)
        always = F.linear(hidden, self.weights.bias.unsqueeze(0))  # v.h, (..., 1)
        return values.squeeze(-1) + always


def with_actions(kind: Kind) -> Kind:
    """Those of a kind that an action is done to."""
    chosen = [place for place, action in enumerate(kind.actions) if action is not None]
    starts = tuple(kind.starts[place] for place in chosen)
    return Kind(kind.size, starts, tuple(kind.actions[place] for place in chosen))

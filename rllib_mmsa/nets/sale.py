"""State-action learned embeddings (SALE): encoders, normalisers and their loss.

SALE embeds a state, z^s = f(s), and a state with an action, z^sa = g(z^s, a), so that z^sa
predicts the embedding of the next state (Fujimoto et al., 2023, "TD7"; paper section 4.2).
The same class embeds agents' observations (z^o, z^oa) and the world model's latents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_mmsa.nets.linear import as_rows, linear_of_parts
from rllib_mmsa.nets.mlp import of, two_layers
from rllib_mmsa.nets.packing import Packing
from rllib_mmsa.td import squared_error

_EPS = 1e-8


def _mean_size(x: Tensor) -> Tensor:
    """mean_i |x_i| over the last dimension, (..., 1), never 0."""
    return x.abs().mean(-1, keepdim=True).clamp_(min=_EPS)


class _AvgL1Norm(torch.autograd.Function):
    """y = x / m, m = mean_i |x_i|, with a backward pass of a third of autograd's operations."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        size = _mean_size(x)
        y = x / size
        ctx.save_for_backward(y, size)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """(g - sign(y) mean_i g_i y_i) / m."""
        y, size = ctx.saved_tensors
        along = (grads[0] * y).mean(-1, keepdim=True)
        return torch.addcmul(grads[0], y.sign(), along, value=-1.0).div_(size)


def avg_l1_norm(x: Tensor) -> Tensor:
    """AvgL1Norm(x) = x / mean_i |x_i| over the last dimension (section 4.2)."""
    if torch.is_grad_enabled() and x.requires_grad:
        return _AvgL1Norm.apply(x)
    return x / _mean_size(x)


class _BatchNorm(nn.Module):
    """BatchNorm1d over all leading dimensions."""

    def __init__(self, size: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(size)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.reshape(-1, x.shape[-1])).view_as(x)


class _Function(nn.Module):
    """A normaliser without parameters."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def _l2_norm(x: Tensor) -> Tensor:
    return F.normalize(x, dim=-1)


def _softmax(x: Tensor) -> Tensor:
    return F.softmax(x, dim=-1)


#: The normalisers of Figure 7, by the name they have in a configuration.
NORMALISERS: dict[str, Callable[[int], nn.Module]] = {
    "avg_l1": lambda size: _Function(avg_l1_norm),
    "none": lambda size: nn.Identity(),
    "layer": nn.LayerNorm,
    "batch": _BatchNorm,
    "softmax": lambda size: _Function(_softmax),
    "l2": lambda size: _Function(_l2_norm),
}


def make_normaliser(name: str, size: int) -> nn.Module:
    """Builds one of ``NORMALISERS`` for vectors of ``size`` numbers."""
    return NORMALISERS[name](size)


def normalises_by_avg_l1(normaliser: nn.Module) -> bool:
    """Whether a normaliser is AvgL1Norm, the default."""
    return isinstance(normaliser, _Function) and normaliser.function is avg_l1_norm


def _split(layer: nn.Linear, x: Tensor) -> tuple[Tensor, Tensor]:
    """layer([x ; onehot(a)]) as a sum: of x (..., outputs) and of each action (A, outputs)."""
    size = x.shape[-1]
    # Contiguous: rows of a transposed matrix are slow to pick, and sums inherit its order.
    of_actions = layer.weight[:, size:].t().contiguous()
    return F.linear(x, layer.weight[:, :size], layer.bias), of_actions


class SaleEncoder(nn.Module):
    """The encoders f and g and the direct map phi.

    z = normalise(f(x)); z_a = g(z, a); phi = normalise(Linear(x, a)). f and g learn from the
    SALE loss alone; phi learns from whoever uses it ("decoupled", section 4.2).

    Args:
        input_size: numbers in x.
        action_size: numbers in the embedded action a.
        embed_dim: size of z, z_a and phi.
        hidden_dim: width of the hidden layers of f and g.
        normaliser: a key of ``NORMALISERS``.
    """

    def __init__(
        self, input_size: int, action_size: int, embed_dim: int, hidden_dim: int, normaliser: str
    ):
        super().__init__()
        self.embed_dim = embed_dim
        self.f = nn.Sequential(
            nn.Linear(input_size, hidden_dim), nn.ReLU(True), nn.Linear(hidden_dim, embed_dim)
        )
        self.f_norm = make_normaliser(normaliser, embed_dim)
        self.g = nn.Sequential(
            nn.Linear(embed_dim + action_size, hidden_dim),
            nn.ReLU(True),
            nn.Linear(hidden_dim, embed_dim),
        )
        self.phi = nn.Linear(input_size + action_size, embed_dim)
        self.phi_norm = make_normaliser(normaliser, embed_dim)

    def encode(self, x: Tensor) -> Tensor:
        """z = normalise(f(x)): (..., input_size) to (..., embed_dim)."""
        z = two_layers(as_rows(x), of(self.f[0]), of(self.f[2]))
        return self.f_norm(z).view(*x.shape[:-1], -1)

    def encode_action(self, z: Tensor, action: Tensor) -> Tensor:
        """z_a = g(z, a): the prediction of the next z, (..., embed_dim)."""
        z_a = two_layers(as_rows(z, action), of(self.g[0]), of(self.g[2]))
        return z_a.view(*z.shape[:-1], -1)

    def direct(self, x: Tensor, action: Tensor) -> Tensor:
        """phi = normalise(Linear(x, a)), (..., embed_dim)."""
        phi = linear_of_parts(as_rows(x, action), self.phi.weight, self.phi.bias)
        return self.phi_norm(phi).view(*x.shape[:-1], -1)

    def before_actions(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The first layers of g and phi, without what an action adds to them, and what it adds.

        g's hidden layer and phi of many one-hot actions come of these, without reading x and z once
        per action. g's last layer is left to the caller (``compose_g``), who multiplies by a matrix
        of its own anyway.

        Args:
            x: (R, input_size).
            z: (R, embed_dim), ``encode(x)``.

        Returns:
            (R, hidden_dim) without gradient and (R, embed_dim); (A, hidden_dim) without gradient
            and (A, embed_dim). Their sums for a row and an action are g's hidden layer before its
            ReLU, and phi before its norm.
        """
        with torch.no_grad():
            from_z, of_g = _split(cast(nn.Linear, self.g[0]), z)
        from_x, of_phi = _split(self.phi, x)
        return from_z, from_x, of_g, of_phi

    def compose_g(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """g's last layer followed by a linear map: weight (O, embed_dim) to (O, hidden_dim), (O,).

        Gradient flows into ``weight`` alone.
        """
        last = cast(nn.Linear, self.g[-1])
        return weight @ last.weight.detach(), weight @ last.bias.detach()

    def encoder_parameters(self) -> list[nn.Parameter]:
        """The parameters that only the SALE loss may move: those of f and g."""
        return [*self.f.parameters(), *self.f_norm.parameters(), *self.g.parameters()]


def sale_prediction_error(z_a: Tensor, z: Tensor, packing: Packing) -> Tensor:
    """(z_a_t - sg(z_{t+1}))^2 (L(f, g) in section 4.4), at step t+1.

    Args:
        z_a: (P, ..., E), embeddings of state and action at every step.
        z: (P, ..., E), embeddings of the states there.
        packing: how episodes lie in P.

    Returns:
        (P', ..., E), squared errors, P' = P - packing.counts[0]: first steps have none.
    """
    if z.shape != z_a.shape:
        raise ValueError(f"z {tuple(z.shape)} must have the steps of z_a {tuple(z_a.shape)}")
    return squared_error(packing.before(z_a), z[packing.counts[0] :])

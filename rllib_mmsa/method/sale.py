"""State-action learned embeddings (SALE): encoders and normalisers.

SALE embeds a state, z^s = f(s), and a state with an action, z^sa = g(z^s, a), so that z^sa
predicts the embedding of the next state (Fujimoto et al., 2023, "TD7"; paper section 4.2).
The same class embeds agents' observations (z^o, z^oa) and the world model's latents.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def avg_l1_norm(x: Tensor) -> Tensor:
    """AvgL1Norm(x) = x / mean_i |x_i| over the last dimension (section 4.2)."""
    return x / x.abs().mean(-1, keepdim=True).clamp(min=1e-8)


class BatchNorm(nn.Module):
    """BatchNorm1d over all leading dimensions, the padding of short episodes among them."""

    def __init__(self, size: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(size)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.reshape(-1, x.shape[-1])).view_as(x)


class Normaliser(nn.Module):
    """A normaliser without parameters, over the last dimension."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def l2_norm(x: Tensor) -> Tensor:
    """x / |x|_2 over the last dimension."""
    return F.normalize(x, dim=-1)


def softmax(x: Tensor) -> Tensor:
    """Softmax over the last dimension."""
    return F.softmax(x, dim=-1)


#: The normalisers of Figure 7, by the name they have in a configuration.
MAKE_NORMALISER: dict[str, Callable[[int], nn.Module]] = {
    "avg_l1": lambda size: Normaliser(avg_l1_norm),
    "none": lambda size: nn.Identity(),
    "layer": nn.LayerNorm,
    "batch": BatchNorm,
    "softmax": lambda size: Normaliser(softmax),
    "l2": lambda size: Normaliser(l2_norm),
}


class SaleEncoder(nn.Module):
    """The encoders f and g and the direct map phi.

    z = normalise(f(x)); z_a = g(z, a); phi = normalise(Linear(x, a)). f and g learn from the
    SALE loss alone; phi learns from whoever uses it ("decoupled", section 4.2).

    Args:
        input_size: numbers in x.
        action_size: numbers in the embedded action a.
        embed_dim: size of z, z_a and phi.
        hidden_dim: width of the hidden layers of f and g.
        normaliser: a key of ``MAKE_NORMALISER``.
    """

    def __init__(
        self, input_size: int, action_size: int, embed_dim: int, hidden_dim: int, normaliser: str
    ):
        super().__init__()
        self.f = perceptron(input_size, hidden_dim, embed_dim)
        self.f_norm = MAKE_NORMALISER[normaliser](embed_dim)
        self.g = perceptron(embed_dim + action_size, hidden_dim, embed_dim)
        self.phi = nn.Linear(input_size + action_size, embed_dim)
        self.phi_norm = MAKE_NORMALISER[normaliser](embed_dim)

    def encode(self, x: Tensor) -> Tensor:
        """z = normalise(f(x)): (..., input_size) to (..., embed_dim)."""
        return self.f_norm(self.f(x))

    def encode_action(self, z: Tensor, action: Tensor) -> Tensor:
        """z_a = g(z, a): the prediction of the next z, (..., embed_dim)."""
        return self.g(torch.cat([z, action], -1))

    def direct(self, x: Tensor, action: Tensor) -> Tensor:
        """phi = normalise(Linear(x, a)), (..., embed_dim)."""
        return self.phi_norm(self.phi(torch.cat([x, action], -1)))

    def encoder_parameters(self) -> list[nn.Parameter]:
        """The parameters that only the SALE loss may move: those of f and g."""
        return [*self.f.parameters(), *self.f_norm.parameters(), *self.g.parameters()]


def perceptron(inputs: int, width: int, outputs: int, hidden_layers: int = 1) -> nn.Sequential:
    """Linear -> ReLU, once for each hidden layer, -> Linear."""
    layers: list[nn.Module] = []
    for _ in range(hidden_layers):
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))

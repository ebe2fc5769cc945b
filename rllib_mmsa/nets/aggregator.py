"""From the imagined latents to what the mixer reads of them (section 4.4)."""

from __future__ import annotations

from torch import Tensor, nn

from rllib_mmsa.nets.gru import GRU
from rllib_mmsa.nets.linear import linear_of_parts

#: Ways of aggregation, by the name they have in a configuration.
AGGREGATIONS = ("linear", "gru", "concat")


class RolloutAggregator(nn.Module):
    """s_t^Rollout from [s_t, ..., s_{t+K}]; part of the mixer (section 4.4).

    ``"linear"``: tanh(Linear) of all latents side by side. ``"gru"``: a GRU over the latents from
    the last to the first, so that the present is read last (as in MBVD, the closest published
    predecessor). Both are bounded by 1, however far latents move. ``"concat"``: side by side.

    Shapes: J numbers of the joint latent, K roll-out horizon.

    Args:
        kind: one of ``AGGREGATIONS``; the paper does not say.
        joint_dim: J.
        horizon: K.
        out_size: size of the result; ``"concat"`` has (K + 1) J.
    """

    def __init__(self, kind: str, joint_dim: int, horizon: int, out_size: int):
        super().__init__()
        if kind not in AGGREGATIONS:
            raise ValueError(f"rollout_aggregation is {kind!r}; it must be one of {AGGREGATIONS}")
        self.kind, side_by_side = kind, (horizon + 1) * joint_dim
        self.out_size = side_by_side if kind == "concat" else out_size
        if kind == "gru":
            self.gru = GRU(joint_dim, out_size)
        elif kind == "linear":
            self.linear = nn.Linear(side_by_side, out_size)

    def forward(self, rollout: Tensor) -> Tensor:
        """(..., K+1, J) to (..., out_size)."""
        if self.kind == "linear":
            # tanh(x) = 2 sigmoid(2 x) - 1: PyTorch's tanh takes three times as long as all of this.
            rows = rollout.flatten(-2).flatten(0, -2)
            x = linear_of_parts((rows,), self.linear.weight, self.linear.bias)
            return x.mul_(2).sigmoid().mul(2).sub_(1).view(*rollout.shape[:-2], -1)
        if self.kind == "concat":
            return rollout.flatten(-2)
        backwards = rollout.flip(-2).flatten(0, -3).transpose(0, 1)  # (K+1, rows, J)
        return self.gru(backwards)[-1].view(*rollout.shape[:-2], -1)

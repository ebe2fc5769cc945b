"""Targets, legal actions and means over steps: functions of tensors.

Shapes: B episodes, T steps, N agents, A actions, M mixed values (1 with a mixer, N without).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rllib_mmsa.method.reduce import mean_over_learners

#: Value of an illegal action wherever a maximum is taken over actions.
ILLEGAL = -1e9


def mask_illegal(q_values: Tensor, action_mask: Tensor) -> Tensor:
    """Sets the values of illegal actions so low that no maximum picks them.

    Args:
        q_values: (..., A) float.
        action_mask: (..., A) bool or 0/1, same shape; true where the action is legal.

    Returns:
        (..., A) float, a copy.
    """
    return q_values.masked_fill(action_mask == 0, ILLEGAL)


def greedy_actions(q_values: Tensor, action_mask: Tensor) -> Tensor:
    """Returns argmax_a Q(a) over the legal actions, (...) int64."""
    return mask_illegal(q_values, action_mask).argmax(dim=-1)


@torch.no_grad()
def legal_values(agent: Any, hidden: Tensor, obs: Tensor, action_mask: Tensor) -> Tensor:
    """Q_i(h, o, .) for a maximum over the legal actions (``mask_illegal``), (..., N, A).

    Args:
        agent: a ``RecurrentAgent``.
        hidden: (..., N, H).
        obs: (..., N, D).
        action_mask: (..., N, A).
    """
    return mask_illegal(agent.q_values(hidden, obs), action_mask)


def take_actions(values: Tensor, actions: Tensor) -> Tensor:
    """Picks the entry of each chosen action.

    Args:
        values: (..., A) float.
        actions: (...) int64, one action per leading index.

    Returns:
        (...) float.
    """
    if values.shape[:-1] != actions.shape:
        raise ValueError(f"actions {tuple(actions.shape)} do not index values {values.shape}")
    return values.gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def td_targets(
    rewards: Tensor,
    terminated: Tensor,
    next_values: Tensor,
    gamma: float,
    td_lambda: float = 0.0,
    loss_mask: Tensor | None = None,
    truncated: Tensor | None = None,
) -> Tensor:
    """Targets y_t = r_t + gamma (1 - terminated_t) V_{t+1} (section 4.4), or lambda-returns.

    With ``td_lambda`` above 0, lambda y_{t+1} + (1 - lambda) V_{t+1} takes the place of V_{t+1},
    as far as steps follow: the lambda-return (Sutton and Barto, 2018, section 12.8), here Peng's
    Q(lambda), without correction for actions that were not greedy (Peng and Williams, 1996; for
    QMIX Hu et al., 2021, "Rethinking the implementation tricks"). pymarl2's code
    (``build_td_lambda_targets``) goes on into padding where an episode was cut off; this one
    begins with V_{t+1} there.

    Truncation bootstraps, termination does not: ``terminated`` must be false where an
    episode was only cut off by a time limit.

    Args:
        rewards: (B, T) float, team rewards.
        terminated: (B, T) bool.
        next_values: (B, T, M) float, values of the states reached.
        gamma: discount factor per environment step.
        td_lambda: from 0 (one step) to 1 (all that was played).
        loss_mask: (B, T), 1 on steps that were played and are learned from; None: all are.
        truncated: (B, T) bool, the steps at which a limit cut the episode off; None: none are.

    Returns:
        (B, T, M) float.

    Raises:
        ValueError: the shapes do not share (B, T).
    """
    given = [each for each in (loss_mask, truncated) if each is not None]
    if any(each.shape != rewards.shape for each in given):
        raise ValueError(f"loss_mask and truncated must have rewards' shape {tuple(rewards.shape)}")
    if rewards.shape != terminated.shape or rewards.shape != next_values.shape[:2]:
        raise ValueError(
            f"rewards {tuple(rewards.shape)}, terminated {tuple(terminated.shape)} and "
            f"next_values {tuple(next_values.shape)} must share (B, T)"
        )
    factor = gamma * (1.0 - terminated.to(next_values.dtype)).unsqueeze(-1)
    if td_lambda == 0.0:
        return rewards.unsqueeze(-1) + factor * next_values
    followed = torch.ones_like(rewards) if loss_mask is None else loss_mask
    followed = F.pad(followed[:, 1:], (0, 1)) != 0
    if truncated is not None:
        followed = followed & ~truncated
    share = td_lambda * followed.to(next_values.dtype).unsqueeze(-1)
    # What y_t has without y_{t+1}, which is not read behind the last step.
    known = rewards.unsqueeze(-1) + factor * ((1 - share) * next_values)
    targets = [known[:, -1]]
    for t in reversed(range(rewards.shape[1] - 1)):
        targets.append(known[:, t] + factor[:, t] * share[:, t] * targets[-1])
    return torch.stack(targets[::-1], 1)


def ahead(x: Tensor, horizon: int) -> Tensor:
    """What lies ahead of each step: (B, T, ...) to (B, T, K, ...), entry [:, t, k] is x_{t+k}.

    Zeros past the end.
    """
    padded = F.pad(x, (0, 0) * (x.dim() - 2) + (0, horizon - 1))
    return torch.stack([padded[:, k : k + x.shape[1]] for k in range(horizon)], 2)


def squared_error(predicted: Tensor, target: Tensor) -> Tensor:
    """(predicted - sg(target))^2, (...)."""
    return F.mse_loss(predicted, target.detach(), reduction="none")


class StepMean:
    """Means over the valid steps of a batch and over every trailing dimension.

    Zero where no step is valid. Where several learners share a batch, a sum over their mean number
    of valid steps: the mean over learners is then the whole batch's.

    Args:
        mask: (B, T), (B, T, K) or (P,) float, 1 on steps that were really played and 0 on others.

    Attributes:
        weights: flat, each step's share in a mean.
    """

    def __init__(self, mask: Tensor):
        self._shape = mask.shape
        self.weights = mask.flatten() / mean_over_learners(mask.sum()).clamp(min=1.0)

    def __call__(self, values: Tensor) -> Tensor:
        """(B, T, ...) or (P, ...) float to ()."""
        leading = len(self._shape)
        if values.shape[:leading] != self._shape:
            raise ValueError(
                f"mask {tuple(self._shape)} does not cover values {tuple(values.shape)}"
            )
        per_step = values.flatten(leading).mean(-1) if values.dim() > leading else values
        return torch.dot(per_step.flatten(), self.weights)

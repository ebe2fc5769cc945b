"""Options that are off by default: more uses of the world model, and more updates of it.

Who follows one update with the defaults need not read this.

Shapes: B episodes, T steps, N agents, J numbers of the joint latent, K roll-out horizon, H steps of
value expansion, E numbers of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rllib_mmsa.method.reduce import mean_over_learners
from rllib_mmsa.method.targets import StepMean, ahead, legal_values, squared_error

if TYPE_CHECKING:
    from rllib_mmsa.method.update import Batch, Step
    from rllib_mmsa.method.world_model import Gaussian


def mixture(members: Sequence[Gaussian]) -> Gaussian:
    """``num_models``: mean and deviation of the mixture of Gaussians (..., J).

    Lakshminarayanan et al., 2017, "Deep ensembles": the variance is the mean of the members'
    variances plus the variance of their means.
    """
    if len(members) == 1:
        return members[0]
    means, log_stds = (torch.stack(values) for values in zip(*members, strict=True))
    variance = torch.exp(2.0 * log_stds).mean(0) + means.var(0, unbiased=False)
    return members[0]._replace(mean=means.mean(0), log_std=0.5 * variance.log())


@torch.no_grad()
def gate(nets: Any, rollout: Any, actions: Tensor) -> Tensor:
    """``gate_rollout``: imagined steps as far as they are known, [s_t, s_t + g_k (s_{t+k} - s_t)].

    g_k = |s_{t+k} - s_t|^2 / (|s_{t+k} - s_t|^2 + spread_k), one number for each agent: Wiener's
    gain for a signal in noise. spread_k is the sum over the k steps of the variance of the priors'
    mixture: what they disagree about, and what each says that it cannot know. Where the model knows
    no better than "nothing changes", that is what the mixer reads.

    Args:
        nets: whose target world model imagined.
        rollout: what ``imagine`` returned, (B, T+1, K+1, J).
        actions: (B, T+1, N) int64, the actions that it began with.

    Returns:
        (B, T+1, K+1, J).
    """
    model, now, later = nets.target_world_model, rollout[..., :1, :], rollout[..., 1:, :]
    told = model.next(rollout[..., :-1, :], imagined_actions(model, rollout, actions))
    spread = torch.exp(2.0 * told.log_std).cumsum(-2)
    change = (later - now).unflatten(-1, (model.num_agents, -1))
    signal = change.square().sum(-1, keepdim=True)
    noise = spread.unflatten(-1, (model.num_agents, -1)).sum(-1, keepdim=True)
    gain = signal / (signal + noise)
    return torch.cat([now, now + (gain * change).flatten(-2)], -2)


@torch.no_grad()
def imagined_actions(model: Any, rollout: Tensor, actions: Tensor) -> Tensor:
    """The actions of a roll-out's K steps, (..., K, N): those it began with, then the policy's."""
    chosen = model.policy(rollout[..., 1:-1, :]).argmax(-1)
    return torch.cat([actions.unsqueeze(-2), chosen], -2)


@torch.no_grad()
def expand(nets: Any, batch: Batch, rollout: Any, actions: Tensor, next_q_tot: Tensor) -> Tensor:
    """``value_expansion``: V_{t+1}, averaged with values after 1 to H imagined steps.

    V^k_t = sum_{j<k} gamma^j r_{t+j} + gamma^k v(s_{t+k}), along the roll-out (Feinberg et al.,
    2018, "Model-based value expansion"); V^0_t is the target networks'. Depth k counts
    1 / (E_0 + E_k), an inverse-variance mean (Buckman et al., 2018, "STEVE") with measured errors
    for variances: see ``depth_errors``.

    Args:
        nets: with a world model that has a value head.
        batch: what was played.
        rollout: (B, T+1, K+1, J), K at least H; not read where H is 0.
        actions: (B, T+1, N) int64, the actions that it began with.
        next_q_tot: V_{t+1}, (B, T, 1).

    Returns:
        (B, T, 1).
    """
    model, settings = nets.target_world_model, nets.settings
    depth = settings.value_expansion
    if depth == 0:
        return next_q_tot
    rollout = rollout[:, 1:, : depth + 1]
    taken = imagined_actions(model, rollout, actions[:, 1:])
    deeper = k_step_values(model, rollout, taken, settings.gamma)
    share = 1.0 / depth_errors(nets, batch, rollout, next_q_tot)
    by_depth = torch.cat([next_q_tot, deeper], -1)  # (B, T, H+1)
    return (by_depth @ (share / share.sum())).unsqueeze(-1)


def k_step_values(model: Any, latents: Tensor, actions: Tensor, gamma: float) -> Tensor:
    """V^1 ... V^H of ``expand``, (..., H).

    Args:
        model: with reward, end and value heads.
        latents: s_t ... s_{t+H}, (..., H+1, J).
        actions: (..., H, N) int64.
        gamma: discount factor per step.
    """
    before, after = latents[..., :-1, :], latents[..., 1:, :]
    rewards, ends = model.foretell(before, actions, after)
    discount = (gamma * torch.sigmoid(-ends)).cumprod(-1)  # up to and with each step
    paid = (F.pad(discount[..., :-1], (1, 0), value=1.0) * rewards).cumsum(-1)
    return paid + discount * values(model, after)


def values(model: Any, latents: Tensor) -> Tensor:
    """v(s), (..., J) to (...), of a model with a value head."""
    return model.value_net(latents).squeeze(-1)


def depth_errors(nets: Any, batch: Batch, rollout: Tensor, next_q_tot: Tensor) -> Tensor:
    """E_0 + E_k for k = 0..H, (H+1,).

    E_0 is the mean square of the target networks' one-step error, r_t + gamma V_{t+1} - V_t: what
    all depths share. E_k, k > 0, is that of V^k along the actions really taken against the rewards
    and values that followed.

    Args:
        nets: see ``expand``.
        batch: see ``expand``.
        next_q_tot: see ``expand``.
        rollout: from the steps t = 1..T, (B, T, H+1, J).
    """
    model, settings = nets.target_world_model, nets.settings
    depth, mask = settings.value_expansion, batch.loss_mask[:, 1:]
    # From each step t = 1..T-1, which V_t is known of, and which an action was taken at.
    start, actions = rollout[:, :-1, 0], batch.actions[:, 1:]
    latents = torch.stack([start, *model.predict(start, actions, depth)], 2)
    told = k_step_values(model, latents, ahead(actions, depth), settings.gamma)
    now, factor = next_q_tot[:, :-1, 0], settings.gamma * ~batch.ended(settings)[:, 1:]
    rewards, reached = batch.rewards[:, 1:], next_q_tot[:, 1:, 0]
    errors, learned = [], mask
    for k in range(depth):
        came = rewards + factor * reached  # what came of k + 1 steps
        if k == 0:
            errors.append(StepMean(learned)((came - now).square()))
        errors.append(StepMean(learned)((came - told[..., k]).square()))
        # One step further: what came of the step after, and steps that have one.
        reached = F.pad(came[:, 1:], (0, 1))
        learned = learned * F.pad(learned[:, 1:], (0, 1))
    own, *others = mean_over_learners(torch.stack(errors)).unbind()
    return torch.stack([own, *(own + other for other in others)]).clamp(min=1e-8)


def value_loss(step: Step, settings: Any) -> Tensor:
    """(v(s_{t+1}) - V_{t+1})^2, V by the target networks, of all steps that go on."""
    assert step.model is not None and step.share_steps is not None and step.next_q_tot is not None
    latents = step.model.posterior.mean[:, 1:]
    q_tot = step.next_q_tot[:: settings.share_every].squeeze(-1)
    goes_on = ~step.model.batch.ended(settings)
    return step.share_steps(
        goes_on * squared_error(values(step.networks.world_model, latents), q_tot)
    )


def model_losses(
    nets: Any, batch: Batch, noise: Tensor | None, losses: Mapping[str, Any]
) -> dict[str, Tensor]:
    """``model_updates``: the world model's losses on a batch, without an update of the values.

    Args:
        nets: with a world model.
        batch: as the networks read it.
        noise: (2, B', T+1, J).
        losses: all equations of an update, by name.
    """
    from rllib_mmsa.method.update import Step, add_model

    with torch.no_grad():
        hidden = nets.agent.unroll(batch.obs, batch.actions)
        greedy = legal_values(nets.agent, hidden, batch.obs, batch.action_mask).argmax(-1)
    nothing = batch.rewards.new_zeros(())
    step = Step(nothing, nothing, StepMean(batch.loss_mask), nets)
    step = add_model(step, batch, hidden, greedy, noise)
    own = nets.settings.model_loss_weights
    return {name: loss(step, nets.settings) for name, loss in losses.items() if name in own}


def foretell_own(nets: Any, share: Batch, h: Tensor) -> Tensor:
    """``self_prediction_weight``: each agent's z^o_{t+1} from its own h_t and a_t.

    Args:
        share: B' episodes.
        h: (B', T+1, N, H), with the gradient that moves the agents' GRU.

    Returns:
        (B', T, N, E).
    """
    return nets.self_predictor(torch.cat([h[:, :-1], nets.agent.one_hot(share.actions)], -1))


def self_prediction_loss(step: Step, settings: Any) -> Tensor:
    """(P(h_t, a_t) - sg z^o_{t+1})^2 of each agent.

    Self-prediction with a stop-gradient target (Ni et al., 2024, "Bridging state and history
    representations"), here of the embedding that SALE learns.
    """
    assert step.own is not None and step.sale is not None and step.share_steps is not None
    return step.share_steps(squared_error(step.own, step.sale.z[:, 1:]))

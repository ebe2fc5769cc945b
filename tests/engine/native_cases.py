"""Random settings, sizes and batches for the native engine, and what plain says of them."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from env_registry.contract import Entity
from rllib_mmsa.engine.learned import Learned
from rllib_mmsa.method import inputs, losses, networks, update
from rllib_mmsa.method.mixers import RolloutAggregator
from rllib_mmsa.method.settings import MMSASettings, Settings
from rllib_mmsa.method.update import Batch


class Team(nn.Module):
    """The networks of a team without RLlib, in the order in which the RLModule has them."""

    obs_scale = state_scale = None
    #: For ``agent: hpn``: an observation of five numbers, the last of which is of no thing.
    observation_layout = (Entity("enemy", 0, 2, None, 1), Entity("enemy", 2, 2, None, 3))

    def __init__(self, settings: Any, agents: int, actions: int, obs: int, state: int):
        super().__init__()
        self.settings = settings
        self.num_agents, self.num_actions = agents, actions
        self.obs_size, self.state_size = obs, state
        self.agent = networks.make_agent(self, settings)
        self.world_model = self.aggregator = self.learned_sale = None
        self.target_world_model = self.target_aggregator = None
        size = state if settings.use_global_state else 0
        joint, horizon = agents * settings.hidden_dim, 0
        if settings.has_model:
            self.world_model = networks.make_world_model(self, settings)
            joint, horizon = self.world_model.joint_dim, settings.rollout_horizon
        if settings.reads_more:
            self.aggregator = RolloutAggregator(joint, horizon, state)
            size += state
        self.mixer = networks.make_mixer(self, size, settings)
        if settings.use_sale:
            self.learned_sale = networks.learning_copy(self.agent.sale)
            self.self_predictor = networks.make_self_predictor(self, settings)
        for name in ("agent", "mixer", "aggregator", "world_model"):
            if getattr(self, name) is not None:
                setattr(self, f"target_{name}", networks.frozen_copy(getattr(self, name)))

    def scale_observations(self, obs: Tensor) -> Tensor:
        return obs


def scatter(team: Team, seed: int) -> Team:
    """Weights that differ between networks and their targets, and statistics that are not 0."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in team.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for name, buffer in team.named_buffers():
            if not buffer.is_floating_point():
                continue  # where entities are
            buffer.add_(torch.rand_like(buffer) if "updates" not in name else 3.0)
    return team


def random_case(seed: int) -> SimpleNamespace:
    """Settings, networks, a batch and noise: ragged episodes, burn-in, illegal actions."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)

    def pick(*choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    shared = {
        "gamma": float(rng.uniform(0.5, 1.0)),
        "double_q": pick(True, False),
        "td_lambda": (0.0, 0.6, 1.0)[seed % 3],
        "bootstrap_truncated": pick(True, False),
        "mixer": pick("qmix", "qmix", "vdn", None),
        "mixing_embed_dim": pick(1, 5, 32),
        "hypernet_embed_dim": pick(1, 9, 64),
        "hidden_dim": pick(1, 7, 16, 64, 65),
        "observe_agent_id": pick(True, False),
        "observe_last_action": pick(True, False),
    }
    settings: Settings = Settings(**shared)
    if pick(True, True, False):
        settings = MMSASettings(**shared, **_self_prediction(_mmsa(pick, rng), seed))
    sizes = pick(1, 2, 3, 7), pick(1, 2, 6, 17), pick(1, 4, 24, 33), pick(1, 5, 40)
    team = scatter(Team(settings, *sizes), seed)
    batch = random_batch(rng, pick(1, 2, 5, 9), pick(1, 3, 12), *sizes)
    return SimpleNamespace(
        settings=settings, team=team, batch=batch, noise=noise_for(team, batch, seed)
    )


def _mmsa(pick: Any, rng: np.random.Generator) -> dict[str, Any]:
    """Settings of MMSA that are compiled."""
    sale = pick(True, True, True, False)
    model = sale and pick(True, True, False)
    reads = pick("rollout", "rollout", "untrained", "hidden")
    if not sale:
        reads, model = "hidden", pick(True, False)
    return {
        "use_sale": sale,
        "use_world_model": model,
        "use_global_state": pick(True, False) if model else True,
        "mixer_reads": reads,
        "dynamics_dim": pick(1, 5, 96),
        "sale_dim": pick(1, 5, 32),
        "sale_hidden_dim": pick(1, 12, 64),
        "latent_dim": pick(1, 3, 16),
        "action_embed_dim": pick(1, 4),
        "world_model_dim": pick(1, 10, 32),
        "rollout_horizon": pick(1, 2, 3, 5),
        "model_batch_share": pick(1.0, 0.5, 0.25),
        "kl_balance": pick("prior", "posterior", None),
        "kl_balance_alpha": float(rng.uniform()),
        "kl_weight": float(rng.uniform(0.1, 2)),
        "reconstruction_weight": float(rng.uniform(0.1, 2)),
        "observation_weight": float(rng.uniform(0.1, 2)),
        "sale_weight": float(rng.uniform(0.1, 2)),
        "policy_weight": pick(0.0, float(rng.uniform(0.1, 2))),
        **_foretold(pick, rng),
    }


def _self_prediction(mmsa: dict[str, Any], seed: int) -> dict[str, Any]:
    """With a weight of the agents' own predictions in some of the cases that have SALE."""
    drawn = np.random.default_rng((seed, 1)).random() < 0.6
    return {**mmsa, "self_prediction_weight": 0.7 * (drawn and mmsa["use_sale"])}


def _foretold(pick: Any, rng: np.random.Generator) -> dict[str, float]:
    """Weights of what is foretold: all of it, some of it, or nothing."""
    names = "open_loop_weight", "reward_weight", "end_weight"
    counts = pick(0, 1, 1, 1)
    return {name: counts * pick(0.0, float(rng.uniform(0.1, 2)), 1.0) for name in names}


def random_batch(
    rng: np.random.Generator, episodes: int, steps: int, agents: int, actions: int, obs: int,
    state: int,
) -> Batch:  # fmt: skip
    """Episodes of 1 to ``steps`` steps, some with a burn-in; one action is always legal."""
    lengths = rng.integers(1, steps + 1, episodes)
    lengths[0] = steps
    starts = np.minimum(rng.integers(0, 3, episodes), lengths - 1)
    at = np.arange(steps)
    mask = ((at >= starts[:, None]) & (at < lengths[:, None])).astype(np.float32)
    ended = rng.integers(0, 3, episodes)
    last = at == lengths[:, None] - 1
    legal = (rng.random((episodes, steps + 1, agents, actions)) < 0.7).astype(np.int8)
    np.put_along_axis(legal, rng.integers(actions, size=(*legal.shape[:-1], 1)), 1, -1)
    fields = {
        "obs": rng.random((episodes, steps + 1, agents, obs), np.float32),
        "action_mask": legal,
        "state": rng.random((episodes, steps + 1, state), np.float32),
        "actions": rng.integers(actions, size=(episodes, steps, agents)),
        "rewards": rng.normal(size=(episodes, steps)).astype(np.float32),
        "terminated": last & (ended == 0)[:, None],
        "truncated": last & (ended == 1)[:, None],
        "loss_mask": mask,
    }
    return Batch(**{name: torch.from_numpy(values) for name, values in fields.items()})


def noise_for(team: Team, batch: Batch, seed: int) -> Tensor | None:
    return inputs.draw_noise(team, batch, team.settings, seed)


def in_dtype(batch: Batch, dtype: torch.dtype) -> Batch:
    """The batch with its numbers in a dtype; indices and flags stay as they are."""
    return Batch(*(v.to(dtype) if v.is_floating_point() else v for v in batch))


def plain(team: Team, batch: Batch, noise: Tensor | None, dtype: torch.dtype) -> Learned:
    """Plain's losses and gradients; the team's statistics move in a copy, which is kept."""
    team = copy.deepcopy(team).to(dtype)
    noise = None if noise is None else noise.to(dtype)
    step = update.forward(team, in_dtype(batch, dtype), team.settings, noise)
    found = {n: loss(step, team.settings) for n, loss in losses.losses_of(team.settings).items()}
    total = losses.total_loss(found, team.settings)
    learn = {name: p for name, p in team.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(total, list(learn.values()), allow_unused=True)
    reached = {n: g for n, g in zip(learn, gradients, strict=True) if g is not None}
    detached = {name: value.detach() for name, value in found.items()}
    learned = Learned({**detached, **losses.measures(step)}, reached, total.detach())
    team.learned = learned
    plain.team = team
    return learned

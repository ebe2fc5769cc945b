"""The native engine, given tensors."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import torch
from torch import Tensor

from rllib_mmsa.engine import plain
from rllib_mmsa.engine.learned import Learned
from rllib_mmsa.engine.native import bindings, optimiser, weights
from rllib_mmsa.method import inputs
from rllib_mmsa.method import losses as equations
from rllib_mmsa.method.agents import AgentState
from rllib_mmsa.method.update import Batch

#: Those that are compiled, and their numbers in native.c.
MIXERS = {None: 0, "vdn": 1, "qmix": 2}
#: The numbers that ``learn`` in native.c writes, in its order.
_LOSSES = (
    "td_loss",
    "td_error_abs",
    "q_tot_mean",
    "td_target_mean",
    "kl_prior_loss",
    "kl_balanced_loss",
    "reconstruction_embeddings_loss",
    "reconstruction_hidden_loss",
    "reconstruction_obs_loss",
    "reconstruction_mask_loss",
    "sale_latent_loss",
    "policy_loss",
    "policy_agreement",
    "open_loop_loss",
    "reward_loss",
    "end_loss",
    "sale_observation_loss",
    "self_prediction_loss",
)
_MEASURES = ("td_error_abs", "q_tot_mean", "td_target_mean")


class NativeEngine:
    """``plain``'s numbers but for rounding, for float32 on a CPU.

    Args:
        module: the team's networks; only ``agent`` is read where nothing is learned.
        threads: that share an update. The numbers do not depend on it.
        learns: whether ``learn`` will be called.
    """

    def __init__(self, module: Any, threads: int, learns: bool = True):
        library: Any = bindings.library()
        self._library = library
        self._wide = bindings.uses_avx512()
        self._module, self._settings = module, module.settings
        kind = "AVX-512" if self._wide else "AVX2"
        self.name = f"native ({kind}, {threads} threads)" if threads > 1 else f"native ({kind})"
        self._actor = _Actor(module, self._library, self._wide)
        if learns:
            self._engine = self._library.make_engine(threads)
            weakref.finalize(self, library.free_engine, self._engine)
            self._read = _lists_read(module)
            self._gradients = _Gradients(module)

    def learn(self, batch: dict[str, Tensor], noise: Tensor | None) -> Learned:
        """One update up to its gradients; see ``Engine``."""
        played = inputs.observe(self._module, Batch.of(batch))
        sizes = _sizes(self._module, played)
        _check_noise(noise, sizes)
        read = _as_read(played)  # stands until the call returns: C has addresses alone
        fields = bindings.Fields(*map(bindings.address, read), bindings.address(noise))
        lists = {name: bindings.addresses(tensors) for name, tensors in self._read.items()}
        pointers = {**lists, **self._gradients.pointers}
        of_weights = bindings.Weights(**{n: ctypes.addressof(p) for n, p in pointers.items()})
        self._gradients.flat.zero_()
        found = torch.empty(len(_LOSSES))
        call = (ctypes.addressof(each) for each in (sizes, fields, of_weights))
        if self._library.learn(self._engine, *call, found.data_ptr(), self._wide):
            raise MemoryError("no memory for an update of the native engine")
        losses = dict(zip(_LOSSES, found.unbind(), strict=True))
        minimised = {name: losses[name] for name in equations.losses_of(self._settings)}
        total = equations.total_loss(minimised, self._settings)
        measured = [*_MEASURES, *(["policy_agreement"] if self._settings.has_model else [])]
        shown = {**minimised, **{name: losses[name] for name in measured}}
        return Learned(shown, self._gradients.by_name, total)

    def step(self, optimizer: torch.optim.Optimizer, gradients: dict[Any, Tensor]) -> None:
        """One step of the optimiser; see ``Engine``."""
        if not optimiser.step(optimizer, gradients, self._wide):
            plain.step(optimizer, gradients)

    def act(self, obs: Tensor, state: AgentState) -> tuple[Tensor, AgentState]:
        """One step of acting; see ``Engine``."""
        return self._actor(obs, state)


class _Gradients:
    """Where an update's gradients are written to: one vector, and views of it.

    Attributes:
        flat: all of them, side by side.
        by_name: by parameter name, those that a loss reaches.
        pointers: lists of C, by their names in ``bindings.Weights``.
    """

    def __init__(self, module: Any):
        names = {parameter: name for name, parameter in module.named_parameters()}
        lists = _lists_learned(module)
        learn = [p for parameters in lists.values() for p in parameters if p.requires_grad]
        self.flat = torch.zeros(sum(parameter.numel() for parameter in learn))
        parts = self.flat.split([parameter.numel() for parameter in learn])
        views = {p: part.view_as(p) for p, part in zip(learn, parts, strict=True)}
        self.by_name = {names[parameter]: view for parameter, view in views.items()}
        self.pointers = {
            f"of_{name}": bindings.addresses([views.get(parameter) for parameter in parameters])
            for name, parameters in lists.items()
        }


class _Actor:
    """One step of acting. Weights are packed anew when one of them was written to."""

    def __init__(self, module: Any, library: Any, wide: bool):
        self._module, self._library, self._wide = module, library, wide
        self._weights = weights.of_agent(module.agent, module.settings.use_sale)
        self._packed: Any = None
        self._packed_for: Any = None
        self._free: Any = None  # of what is packed

    def __call__(self, obs: Tensor, state: AgentState) -> tuple[Tensor, AgentState]:
        """obs (E, N, D) and recurrent state to values (E, N, A) and the next state."""
        rows = obs.shape[0] * obs.shape[1]
        versions = [(p.data_ptr(), p._version) for p in self._weights]
        if (
            self._packed_for is None
            or self._packed_for[0] < rows
            or (self._packed_for[1] != versions)
        ):
            self._pack(rows, versions)
        obs, last = obs.contiguous(), state["last_action"].contiguous()
        hidden = state["hidden"].contiguous()
        values = obs.new_empty(*obs.shape[:2], self._module.num_actions)
        after = torch.empty_like(hidden)
        read = (tensor.data_ptr() for tensor in (obs, last, hidden, values, after))
        if self._library.act(self._packed, rows, *read, self._wide):
            raise MemoryError("no memory for a step of the native engine")
        return values, {**state, "hidden": after}

    def _pack(self, rows: int, versions: list) -> None:
        if self._packed is not None:
            self._free()
        most = max(rows, self._packed_for[0] if self._packed_for else 0)
        sizes = _sizes(self._module, None)
        pointers = bindings.addresses(self._weights)
        self._packed = self._library.make_actor(
            ctypes.addressof(sizes), ctypes.addressof(pointers), most
        )
        if not self._packed:
            raise MemoryError("no memory for the agents of the native engine")
        self._free = weakref.finalize(self, self._library.free_actor, self._packed)
        self._packed_for = most, versions


def _sizes(module: Any, played: Batch | None) -> bindings.Settings:
    """What native.c is told of an update, or of a step (None)."""
    settings = module.settings
    told = {
        "agents": module.num_agents,
        "actions": module.num_actions,
        "obs": module.obs_size,
        "state": module.state_size,
        "hidden": settings.hidden_dim,
        "last_action": settings.observe_last_action,
        "agent_id": settings.observe_agent_id,
        "mixer": MIXERS[settings.mixer],
        "embed": settings.mixing_embed_dim,
        "hyper": settings.hypernet_embed_dim,
        "global_state": settings.use_global_state,
        "double_q": settings.double_q,
        "bootstrap_truncated": settings.bootstrap_truncated,
        "gamma": settings.gamma,
        "td_lambda": settings.td_lambda,
        "sale": settings.use_sale,
        "model": settings.has_model,
        "foretells": settings.foretells,
        "every": 1,
    }
    if played is not None:
        told["episodes"], told["steps"] = played.rewards.shape
        told["moves"] = module.training
    if settings.use_sale:
        told |= {
            "embedding": settings.sale_dim,
            "wide": settings.sale_hidden_dim,
            "sale_weight": settings.sale_weight,
            "self_weight": settings.self_prediction_weight,
            "every": settings.share_every,
        }
    if settings.reads_more:
        of_rollout = settings.latent_dim * (settings.rollout_horizon + 1)
        each = of_rollout if settings.has_model else settings.hidden_dim
        told["aggregated"] = module.num_agents * each
    if settings.has_model:
        told |= {
            "latent": settings.latent_dim,
            "embedded": settings.action_embed_dim,
            "width": settings.world_model_dim,
            "deep": settings.dynamics_dim,
            "horizon": settings.rollout_horizon,
        }
        told["by"] = (ctypes.c_float * len(bindings.MODEL_LOSSES))(*_scales(settings))
    return bindings.Settings(**told)


def _check_noise(noise: Tensor | None, sizes: bindings.Settings) -> None:
    """Raises a ValueError where noise is not of the shape that C will read."""
    if sizes.model:
        share, joint = -(-sizes.episodes // sizes.every), sizes.agents * sizes.latent
        shape = 2, share, sizes.steps + 1, joint
        if noise is None or noise.shape != shape or noise.dtype != torch.float32:
            told = None if noise is None else f"{tuple(noise.shape)} {noise.dtype}"
            raise ValueError(
                f"noise is {told}; a world model learns from noise {shape} {torch.float32}"
            )


def _scales(settings: Any) -> list[float]:
    """What each model loss counts, in the order of ``bindings.MODEL_LOSSES``."""
    of_posterior, of_prior = equations.kl_shares(settings.kl_balance, settings.kl_balance_alpha)
    by = settings.loss_weights
    return [
        by["kl_prior_loss"],
        by["kl_balanced_loss"] * of_posterior,
        by["kl_balanced_loss"] * of_prior,
        by["reconstruction_embeddings_loss"],
        by["reconstruction_hidden_loss"],
        by["reconstruction_obs_loss"],
        by["sale_latent_loss"],
        by["policy_loss"],
        by["open_loop_loss"],
        by["reward_loss"],
        by["end_loss"],
    ]


def _as_read(played: Batch) -> list[Tensor]:
    """The fields of a batch in the order of ``Fields``, without gaps."""
    floats, mask = torch.float32, played.action_mask.to(torch.int8)
    if played.obs.dtype != floats:
        raise TypeError(f"observations are {played.obs.dtype}; the native engine reads {floats}")
    fields = [played.obs, mask, *played[2:]]
    return [field.contiguous() for field in fields]


def _lists_learned(module: Any) -> dict[str, list[Tensor]]:
    """The weights that an update learns, by the names of ``bindings.Weights``."""
    settings = module.settings
    lists = {
        "agent": weights.of_agent(module.agent, settings.use_sale),
        "mixer": weights.of_mixer(module.mixer),
    }
    if settings.use_sale:
        lists["sale"] = weights.of_encoders(module.learned_sale)
        if settings.foretells_own:
            lists["predictor"] = list(module.self_predictor.parameters())
    if settings.has_model:
        lists["model"] = weights.of_model(module.world_model)
    if settings.reads_more and settings.mixer == "qmix":
        lists["aggregator"] = list(module.aggregator.parameters())
    return lists


def _lists_read(module: Any) -> dict[str, list[Tensor]]:
    """All weights that an update reads."""
    settings = module.settings
    lists = _lists_learned(module)
    lists["target_agent"] = weights.of_agent(module.target_agent, settings.use_sale)
    lists["target_mixer"] = weights.of_mixer(module.target_mixer)
    if settings.reads_more:
        lists["aggregator"] = list(module.aggregator.parameters())
        lists["target_aggregator"] = list(module.target_aggregator.parameters())
    if settings.has_model:
        lists["target_model"] = weights.of_imagination(module.target_world_model)
        lists["scales"] = weights.of_scales(module.world_model, updates=True)
        lists["target_scales"] = weights.of_scales(module.target_world_model, updates=False)
    return lists

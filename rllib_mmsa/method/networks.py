"""The networks of one team: those that learn, and their target networks.

Shapes: N agents, A actions, D observation numbers, S state numbers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from rllib_mmsa.method.agents import RecurrentAgent, SaleAgent
from rllib_mmsa.method.entities import EntityHead, EntityInput
from rllib_mmsa.method.kinds import Entity
from rllib_mmsa.method.mixers import IndependentMixer, QMixer, RolloutAggregator, VDNMixer
from rllib_mmsa.method.qplex import DuplexMixer
from rllib_mmsa.method.sale import SaleEncoder, perceptron
from rllib_mmsa.method.settings import MMSASettings, Settings
from rllib_mmsa.method.standardiser import Standardiser
from rllib_mmsa.method.world_model import WorldModel

_M = TypeVar("_M", bound=nn.Module)


class Sizes(Protocol):
    """What an environment says of itself: N, A, D, S, and how an observation is laid out.

    The layout is read for ``agent: hpn`` alone.
    """

    num_agents: int
    num_actions: int
    obs_size: int
    state_size: int
    observation_layout: Sequence[Entity] | None


class TeamNetworks(Protocol):
    """What an update reads and moves. The team's RLModule is one (rllib_mmsa/rllib/module.py).

    The world models are None without a world model, the aggregators where the mixer sees the state
    alone, ``learned_sale`` without SALE, the scales without ``normalise_observations``. Target
    networks move when ``target_pairs`` are copied, or, the world model's, in every update
    (``world_model_average``).
    """

    training: bool
    settings: Any  # Settings or MMSASettings
    agent: Any  # RecurrentAgent or SaleAgent
    mixer: nn.Module
    aggregator: RolloutAggregator | None
    world_model: Any  # WorldModel
    learned_sale: Any  # SaleEncoder
    self_predictor: nn.Module
    target_agent: Any
    target_mixer: nn.Module
    target_aggregator: RolloutAggregator | None
    target_world_model: Any
    obs_scale: Standardiser | None
    state_scale: Standardiser | None

    def scale_observations(self, obs: Tensor) -> Tensor:
        """Observations (..., N, D) as the networks read them, in acting as in learning."""


def frozen_copy(network: _M) -> _M:
    """A copy that no optimiser moves: a target network."""
    return copy.deepcopy(network).requires_grad_(False)


def make_agent(sizes: Sizes, settings: Settings) -> RecurrentAgent:
    """The network that acts.

    Raises:
        ValueError: ``agent: hpn`` without a layout of observations.
    """
    arguments: dict[str, Any] = {
        "num_agents": sizes.num_agents,
        "num_actions": sizes.num_actions,
        "obs_size": sizes.obs_size,
        "hidden_dim": settings.hidden_dim,
        "observe_last_action": settings.observe_last_action,
        "observe_agent_id": settings.observe_agent_id,
    }
    if settings.agent == "hpn":
        arguments |= hpn_layers(sizes.observation_layout, settings)
    if not (isinstance(settings, MMSASettings) and settings.use_sale):
        return RecurrentAgent(**arguments)
    return SaleAgent(
        sale_dim=settings.sale_dim,
        sale_hidden_dim=settings.sale_hidden_dim,
        normaliser=settings.normaliser,
        **arguments,
    )


def hpn_layers(layout: Sequence[Entity] | None, settings: Settings) -> dict[str, Any]:
    """What makes the first and the last layer of HPN's agents, by ``RecurrentAgent``'s names."""
    if layout is None:
        raise ValueError("agent: hpn needs the layout of an observation (observation_layout)")
    given: dict[str, Any] = {"layout": layout, "width": settings.hpn_hyper_dim}
    return {
        "make_input": partial(EntityInput, **given),
        "make_head": partial(EntityHead, **given),
    }


def make_qmixer(num_agents: int, num_actions: int, state_size: int, settings: Settings) -> QMixer:
    """QMIX's mixer with the widths of the settings."""
    widths = settings.mixing_embed_dim, settings.hypernet_embed_dim
    return QMixer(num_agents, state_size, *widths)


def make_qplex(num_agents: int, num_actions: int, state_size: int, settings: Settings) -> nn.Module:
    """QPLEX's mixer, as wide as the settings' hypernetworks."""
    return DuplexMixer(num_agents, num_actions, state_size, settings.hypernet_embed_dim)


#: Mixers by the name they have in a configuration: (N, A, S, settings) to a module.
MAKE_MIXER: dict[str | None, Callable[[int, int, int, Settings], nn.Module]] = {
    "qmix": make_qmixer,
    "qplex": make_qplex,
    "vdn": lambda num_agents, num_actions, state_size, settings: VDNMixer(),
    None: lambda num_agents, num_actions, state_size, settings: IndependentMixer(),
}


def make_mixer(sizes: Sizes, state_size: int, settings: Settings) -> nn.Module:
    """The mixer for a state of ``state_size`` numbers, the roll-out's among them."""
    make = MAKE_MIXER[settings.mixer]
    return make(sizes.num_agents, sizes.num_actions, state_size, settings)


def make_world_model(sizes: Sizes, settings: MMSASettings) -> WorldModel:
    """The world model (section 4.3)."""
    return WorldModel(sizes.num_agents, sizes.num_actions, sizes.obs_size, settings)


def make_self_predictor(sizes: Sizes, settings: MMSASettings) -> nn.Module | None:
    """P(h, a) of ``self_prediction_loss``, from H + A numbers to E; None without it."""
    if not settings.foretells_own:
        return None
    inputs = settings.hidden_dim + sizes.num_actions
    return perceptron(inputs, settings.sale_hidden_dim, settings.sale_dim)


def learning_copy(acting: SaleEncoder) -> SaleEncoder:
    """The encoders f and g that learn, beside the ones that act, which stand still (TD7)."""
    learned = frozen_copy(acting)
    for parameter in learned.encoder_parameters():
        parameter.requires_grad_(True)
    return learned


@torch.no_grad()
def move(target: nn.Module, network: nn.Module, share: float) -> None:
    """target <- share * network + (1 - share) * target; buffers are copied."""
    for ours, theirs in zip(network.parameters(), target.parameters(), strict=True):
        theirs.lerp_(ours, share)
    for value, copied in zip(network.buffers(), target.buffers(), strict=True):
        copied.copy_(value)


def average_model(nets: TeamNetworks) -> None:
    """Moves the average of the world model's weights towards those of the last update.

    What moves from one update to the next is mostly noise; an average of weights foresees better
    (Polyak and Juditsky, 1992).
    """
    settings = nets.settings
    if settings.has_model and settings.world_model_average is not None:
        move(nets.target_world_model, nets.world_model, 1 - settings.world_model_average)


def target_pairs(nets: TeamNetworks) -> list[tuple[nn.Module, nn.Module]]:
    """(network, its target network), in the order in which they are copied.

    The order matters: the target agents take over the encoders that acted so far, then the acting
    ones take over what was learned since.
    """
    pairs: list[tuple[nn.Module, nn.Module]] = [
        (nets.agent, nets.target_agent),
        (nets.mixer, nets.target_mixer),
    ]
    if nets.aggregator is not None and nets.target_aggregator is not None:
        pairs.append((nets.aggregator, nets.target_aggregator))
    if nets.world_model is not None and nets.settings.world_model_average is None:
        pairs.append((nets.world_model, nets.target_world_model))
    if nets.learned_sale is not None:
        learned, acting = nets.learned_sale, nets.agent.sale
        pairs += [(learned.f, acting.f), (learned.f_norm, acting.f_norm), (learned.g, acting.g)]
    return pairs

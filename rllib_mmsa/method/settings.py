"""The settings of the method, with the paper's values (Table 6) or what replaced them, and why.

docs/readings.md says for every default that is not the paper's what was measured.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

AGENTS = ("rnn", "hpn")
MIXERS = ("qmix", "qplex", "vdn", None)
NORMALISERS = ("avg_l1", "none", "layer", "batch", "softmax", "l2")
KL_BALANCES = ("prior", "posterior", None)
WORLD_MODEL_FORMS = ("direct", "residual", "printed")
OBSERVATION_HEADS = ("joint", "agent")
MIXER_READS = ("rollout", "untrained", "hidden")


@dataclass(frozen=True)
class Settings:
    """What QMIX, VDN and independent Q-learning have, and MMSA shares with them.

    Attributes:
        gamma: discount factor per environment step.
        td_lambda: share in y^tot of what was played further ahead, from 0 (section 4.4, one step)
            to 1 (the whole return). 0.6 is pymarl2's for QMIX (Hu et al., 2021).
        double_q: the target's actions are the online agents' greedy ones. False is the maximum
            as printed in section 4.4.
        bootstrap_truncated: targets look past a time limit. False learns the limit as an end.
        mixer: "qmix", "qplex", "vdn" or None (nothing is mixed).
        mixing_embed_dim: width of QMIX's mixing layer (Table 6).
        hypernet_embed_dim: hidden width of QMIX's hypernetworks (Table 6), and of QPLEX's.
        agent: the agents' first and last layer: "rnn", linear (Table 6), or "hpn", which reads the
            things of an observation as a set (Hao et al., 2023; method/entities.py).
        hpn_hyper_dim: hidden width of HPN's hypernetworks (the authors' value).
        hidden_dim: hidden size of the agents' GRU (Table 6).
        observe_agent_id: each agent's index is part of its input.
        observe_last_action: each agent's last action is part of its input.
        normalise_observations: standardise observations (per agent) and states by running
            statistics, which are saved with the weights and stand still in evaluation.
    """

    #: Parts that MMSA alone has.
    use_world_model: ClassVar[bool] = False
    use_sale: ClassVar[bool] = False
    use_global_state: ClassVar[bool] = True
    gate_rollout: ClassVar[bool] = False
    value_expansion: ClassVar[int] = 0
    model_updates: ClassVar[int] = 1

    gamma: float = 0.99
    td_lambda: float = 0.6
    double_q: bool = True
    bootstrap_truncated: bool = True
    mixer: str | None = "qmix"
    mixing_embed_dim: int = 32
    hypernet_embed_dim: int = 64
    agent: str = "rnn"
    hpn_hyper_dim: int = 64
    hidden_dim: int = 64
    observe_agent_id: bool = True
    observe_last_action: bool = True
    normalise_observations: bool = False

    @property
    def has_model(self) -> bool:
        """Whether there is a world model."""
        return False

    @property
    def reads_more(self) -> bool:
        """Whether the mixer sees more than the state."""
        return False

    @property
    def foretells(self) -> bool:
        """Whether a world model learns along its own predictions."""
        return False

    @property
    def foretells_own(self) -> bool:
        """Whether each agent learns to foretell its own next embedding."""
        return False

    @property
    def loss_weights(self) -> dict[str, float]:
        """What each loss counts in the sum that is minimised; a loss not named here counts 1."""
        return {"td_loss": 1.0}


@dataclass(frozen=True)
class MMSASettings(Settings):
    """What MMSA has besides.

    Attributes:
        use_world_model: False is the ablation No-WM of Figure 5b.
        use_sale: False is No-SALE.
        use_global_state: False is No-GS. (No-KLB is ``kl_balance=None``.)
        sale_dim: E, numbers of an embedding of an agent's observation.
        sale_hidden_dim: width of the hidden layers of f, g and the head on embeddings.
        normaliser: what f and phi end in (Figure 7), one of ``NORMALISERS``.
        latent_dim: L, latent numbers per agent (Table 6).
        action_embed_dim: numbers an action is embedded in (Table 6).
        dynamics_dim: width of the hidden layers of the posterior, the prior and the observation
            head.
        dynamics_layers: how many such layers each has.
        world_model_dim: width of the hidden layer of the world model's other networks.
        world_model_form: "direct": the posterior reads o_t beside h_t, the prior's network reads
            s_{t-1} and a_{t-1} beside its embeddings, and says how s_{t-1} changes. "residual":
            the same without a_{t-1}. "printed": section 4.3.
        observation_head: what each agent's observation and action mask are decoded from: the
            "joint" latent, or the "agent"'s own part of it.
        world_model_average: share of the past in the average over updates of the world model's
            weights, which imagines for the mixer. None: it imagines with the weights of the last
            copy to the targets.
        rollout_horizon: K, imagined steps (Table 6).
        mixer_reads: what the mixer sees beside the state: the imagined "rollout"; or a control, to
            tell foresight from memory and size: the roll-out of an "untrained" model, or the
            target agents' "hidden" states without any model.
        num_models: M, priors that predict each step; their mean imagines.
        gate_rollout: the mixer reads less of an imagined step the less the priors know of it
            (method/uses.py).
        value_expansion: imagined steps in y^tot, up to K; 0: none (method/uses.py).
        model_updates: updates of the world model for each of the values; the further ones are of
            other episodes of the batch.
        self_prediction_weight: weight of the agents' prediction of their own next embedding, with
            SALE; 0: none.
        model_batch_share: share of a batch's episodes that the world model and SALE learn from.
        kl_balance: which side of KL[posterior || prior] has ``kl_balance_alpha``: "prior" (the
            paper's prose, DreamerV2), "posterior" (its equation), or None (No-KLB, plain KL).
        kl_balance_alpha: alpha (section 4.4).
        kl_weight: weight of L_KL.
        reconstruction_weight: weight of L_REC.
        observation_weight: weight of the observation and action-mask heads within L_REC.
        open_loop_weight: weight of the observations predicted along K steps, within L_REC.
        reward_weight: weight of the predicted rewards' loss.
        end_weight: weight of the predicted ends of episodes' loss.
        sale_weight: weight of L(f, g), on observations and on latents.
        policy_weight: weight of the loss of the imagination's policy.
        model_quality_interval: gradient updates between two measurements of the world model.
        imagine_interval_env_steps: env steps between two pictures of what is imagined; None: none.
    """

    use_world_model: bool = True  # type: ignore[misc]
    use_sale: bool = True  # type: ignore[misc]
    use_global_state: bool = True  # type: ignore[misc]
    sale_dim: int = 32
    sale_hidden_dim: int = 64
    normaliser: str = "avg_l1"
    latent_dim: int = 16
    action_embed_dim: int = 4
    dynamics_dim: int = 96
    dynamics_layers: int = 2
    world_model_dim: int = 32
    world_model_form: str = "direct"
    observation_head: str = "joint"
    world_model_average: float | None = 0.99
    rollout_horizon: int = 3
    mixer_reads: str = "rollout"
    num_models: int = 1
    gate_rollout: bool = False  # type: ignore[misc]
    value_expansion: int = 0  # type: ignore[misc]
    model_updates: int = 1  # type: ignore[misc]
    self_prediction_weight: float = 1.0
    model_batch_share: float = 0.25
    kl_balance: str | None = "prior"
    kl_balance_alpha: float = 0.8
    kl_weight: float = 0.1
    reconstruction_weight: float = 1.0
    observation_weight: float = 10.0
    open_loop_weight: float = 10.0
    reward_weight: float = 1.0
    end_weight: float = 1.0
    sale_weight: float = 1.0
    policy_weight: float = 1.0
    model_quality_interval: int = 50
    imagine_interval_env_steps: int | None = None

    @property
    def model_loss_weights(self) -> dict[str, float]:
        """What each loss of the world model counts. In the paper each is 1."""
        heads = self.reconstruction_weight * self.observation_weight
        weights = {
            "kl_prior_loss": self.kl_weight,
            "kl_balanced_loss": self.kl_weight,
            "reconstruction_embeddings_loss": self.reconstruction_weight,
            "reconstruction_hidden_loss": self.reconstruction_weight,
            "reconstruction_obs_loss": heads,
            "reconstruction_mask_loss": heads,
            "open_loop_loss": self.reconstruction_weight * self.open_loop_weight,
            "reward_loss": self.reward_weight,
            "end_loss": self.end_weight,
            "sale_latent_loss": self.sale_weight,
            "policy_loss": self.policy_weight,
        }
        if self.mixer_reads == "untrained":
            return dict.fromkeys(weights, 0.0)
        return weights

    @property
    def loss_weights(self) -> dict[str, float]:
        """See ``Settings.loss_weights``. In the paper each is 1."""
        of_agents = {
            "sale_observation_loss": self.sale_weight,
            "self_prediction_loss": self.self_prediction_weight,
        }
        return {**super().loss_weights, **of_agents, **self.model_loss_weights}

    @property
    def has_model(self) -> bool:
        """See ``Settings.has_model``."""
        return self.use_world_model and self.mixer_reads != "hidden"

    @property
    def reads_more(self) -> bool:
        """See ``Settings.reads_more``."""
        return self.use_world_model

    @property
    def foretells(self) -> bool:
        """Whether the world model learns along its own predictions."""
        weights = self.open_loop_weight, self.reward_weight, self.end_weight
        return self.has_model and any(weights)

    @property
    def foretells_own(self) -> bool:
        """See ``Settings.foretells_own``."""
        return self.use_sale and self.self_prediction_weight > 0

    @property
    def share_every(self) -> int:
        """1 / ``model_batch_share``: the model losses go over every so many-th episode."""
        return round(1 / self.model_batch_share)


#: Named sets of settings. ``preset: paper``: section 4's equations and weights as they are printed.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "td_lambda": 0.0,
        "double_q": False,
        "world_model_form": "printed",
        "model_batch_share": 1.0,
        "kl_balance": "posterior",
        "kl_weight": 1.0,
        "observation_weight": 1.0,
        "dynamics_layers": 1,
        "dynamics_dim": 32,
        "world_model_average": None,
        "open_loop_weight": 0.0,
        "reward_weight": 0.0,
        "end_weight": 0.0,
        "self_prediction_weight": 0.0,
    },
}


def names(settings: type[Settings]) -> tuple[str, ...]:
    """The names of a class of settings, in their order."""
    return tuple(field.name for field in fields(settings))

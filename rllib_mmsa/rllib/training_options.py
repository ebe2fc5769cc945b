"""What ``training()`` takes, with types, so that an editor completes and checks it.

Tests hold these to the fields of ``Settings`` and ``MMSASettings`` and to the configurations.
"""

from __future__ import annotations

import inspect
from typing import Any, TypedDict, get_type_hints


class TrainingOptions(TypedDict, total=False):
    """What every algorithm takes; ``Settings`` and ``QLearningConfig`` say what each means."""

    # RLlib's.
    lr: float | list[list[float]]
    grad_clip: float | None
    grad_clip_by: str
    train_batch_size: int
    learner_class: type | None
    learner_config_dict: dict[str, Any]
    # Settings.
    gamma: float
    td_lambda: float
    double_q: bool
    bootstrap_truncated: bool
    mixer: str | None
    mixing_embed_dim: int
    hypernet_embed_dim: int
    agent: str
    hpn_hyper_dim: int
    hidden_dim: int
    observe_agent_id: bool
    observe_last_action: bool
    normalise_observations: bool
    # QLearningConfig.
    preset: str | None
    optim: str
    optim_alpha: float
    optim_eps: float
    target_update_episodes: int | None
    target_network_update_freq: int | None
    target_update_tau: float | None
    epsilon: float | list[list[float]]
    train_batch_episodes: int
    replay_capacity_episodes: int
    replay_capacity_bytes: int | None
    learning_starts_episodes: int
    max_seq_len: int | None
    replay_burn_in: int
    updates_per_episode: float
    standardise_rewards: bool
    store_buffer_in_checkpoints: bool


class MMSATrainingOptions(TrainingOptions, total=False):
    """What MMSA takes besides; ``MMSASettings`` says what each means."""

    use_world_model: bool
    use_sale: bool
    use_global_state: bool
    sale_dim: int
    sale_hidden_dim: int
    normaliser: str
    latent_dim: int
    action_embed_dim: int
    dynamics_dim: int
    dynamics_layers: int
    world_model_dim: int
    world_model_form: str
    observation_head: str
    world_model_average: float | None
    rollout_horizon: int
    mixer_reads: str
    num_models: int
    gate_rollout: bool
    value_expansion: int
    model_updates: int
    self_prediction_weight: float
    model_batch_share: float
    kl_balance: str | None
    kl_balance_alpha: float
    kl_weight: float
    reconstruction_weight: float
    observation_weight: float
    open_loop_weight: float
    reward_weight: float
    end_weight: float
    sale_weight: float
    policy_weight: float
    model_quality_interval: int
    imagine_interval_env_steps: int | None


def shown(options: type, config: Any) -> inspect.Signature:
    """A method's signature with each option by name, for ``help`` and notebooks.

    Args:
        options: one of the classes above.
        config: a configuration with the defaults.
    """
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    by_name = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=getattr(config, name), annotation=kind
        )
        for name, kind in get_type_hints(options).items()
    ]
    return inspect.Signature([own, *by_name])

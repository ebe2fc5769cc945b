"""Options that are gone, and settings that an older version saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_AS = "it is now always as `{}` was"
#: Settings that are gone, each with what to do instead.
REMOVED: dict[str, str] = {
    "sale_action": _AS.format("sale_action: candidate"),
    "sale_encoders": _AS.format("sale_encoders: fixed"),
    "sale_head_dim": "sale_hidden_dim is the width of the head on embeddings, too",
    "posterior_sees_obs": "set `world_model_form`: residual (true) or printed (false)",
    "prior_residual": "set `world_model_form`: residual (true) or printed (false)",
    "prior_sees_latent": "set `world_model_form`: residual (true) or printed (false)",
    "imagined_actions": _AS.format("imagined_actions: policy"),
    "rollout_aggregation": _AS.format("rollout_aggregation: linear"),
    "rollout_state_dim": "the aggregated roll-out has as many numbers as the state",
    "rollout_latent": _AS.format("rollout_latent: prior"),
    "sample_rollout": _AS.format("sample_rollout: false"),
    "rollout_model": _AS.format("rollout_model: target"),
    "td_gradient_to_world_model": _AS.format("td_gradient_to_world_model: false"),
    "model_gradient_to_agent": _AS.format("model_gradient_to_agent: false"),
    "model_updates_every": _AS.format("model_updates_every: 1"),
    "free_bits": _AS.format("free_bits: 0"),
    "kl_prior_weight": "both terms of L_KL have `kl_weight`",
    "hidden_weight": "the term has `reconstruction_weight`, as the embeddings have",
    "compiled_kernels": "set `engine`: plain (false), or auto (true)",
}

#: What the settings that are gone always are now; a checkpoint of another value is refused.
_FIXED: dict[str, Any] = {
    "sale_action": "candidate",
    "sale_encoders": "fixed",
    "imagined_actions": "policy",
    "rollout_aggregation": "linear",
    "rollout_state_dim": None,
    "rollout_latent": "prior",
    "sample_rollout": False,
    "rollout_model": "target",
    "td_gradient_to_world_model": False,
    "model_gradient_to_agent": False,
    "model_updates_every": 1,
    "free_bits": 0.0,
    "kl_prior_weight": 1.0,
    "hidden_weight": 1.0,
}


#: What a world model was before it foretold anything.
_SHALLOW: dict[str, Any] = {
    "dynamics_layers": 1,
    "world_model_average": None,
    "open_loop_weight": 0.0,
    "reward_weight": 0.0,
    "end_weight": 0.0,
}


def from_older(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that an older version saved, in today's names.

    Args:
        saved: by name; others than the method's may be among them.

    Raises:
        ValueError: a setting had a value that is gone.
    """
    for name, value in _FIXED.items():
        if saved.get(name, value) != value:
            raise ValueError(
                f"{name} was {saved[name]!r} when this was saved, which is gone: {REMOVED[name]}"
            )
    today = {name: value for name, value in saved.items() if name not in REMOVED}
    if "sale_head_dim" in saved and saved["sale_head_dim"] != saved["sale_hidden_dim"]:
        raise ValueError(
            f"sale_head_dim was {saved['sale_head_dim']} and sale_hidden_dim "
            f"{saved['sale_hidden_dim']} when this was saved; today both are sale_hidden_dim"
        )
    paths = ("posterior_sees_obs", "prior_residual", "prior_sees_latent")
    form = {saved[name] for name in paths if name in saved}
    if len(form) > 1:
        raise ValueError(
            "posterior_sees_obs, prior_residual and prior_sees_latent differed when this was "
            "saved; today they are one setting, world_model_form"
        )
    if form:
        today["world_model_form"] = "residual" if form == {True} else "printed"
    if "world_model_dim" in saved and "dynamics_dim" not in saved:
        today |= {"dynamics_dim": saved["world_model_dim"], **_SHALLOW}
    if "latent_dim" in saved:
        today.setdefault("observation_head", "agent")
        today.setdefault("self_prediction_weight", 0.0)
    if "double_q" in saved:
        today.setdefault("td_lambda", 0.0)  # what y^tot was before there was the setting
    if "compiled_kernels" in saved:
        today["engine"] = "auto" if saved["compiled_kernels"] else "plain"
    return today

"""The plain update's losses and gradients are those of slow loops, for every reading there is."""

import pytest
import torch

from env_registry.contract import TEAM
from tests.algorithms import batch_of, build, learner, with_noise
from tests.reference import Reference

pytestmark = pytest.mark.usefixtures("ray_session")

#: Episodes of different lengths, observations in [0, 1].
FORAGING = {"env": "lbf", "env_config": {"task": "5x5-2p-1f-v2", "max_episode_steps": 5}}

READINGS = {
    "QMIX": ("QMIX", {}),
    "QPLEX": ("QPLEX", {}),
    "QPLEX, maximum as printed": ("QPLEX", {"double_q": False}),
    "VDN": ("VDN", {}),
    "IndependentQ": ("IndependentQ", {}),
    "maximum as printed": ("QMIX", {"double_q": False}),
    "a time limit is an end": ("QMIX", {"bootstrap_truncated": False}),
    "lambda-returns": ("QMIX", {"td_lambda": 0.6}),
    "lambda-returns, summed, maximum": ("VDN", {"td_lambda": 0.9, "double_q": False}),
    "lambda-returns of each agent": ("IndependentQ", {"td_lambda": 1.0}),
    "MMSA, lambda-returns": ("MMSA", {"td_lambda": 0.8, "bootstrap_truncated": False}),
    "no last action": ("QMIX", {"observe_last_action": False}),
    "no agent id": ("QMIX", {"observe_agent_id": False}),
    "MMSA": ("MMSA", {}),
    "paper": ("MMSA", {"preset": "paper"}),
    "No-WM": ("MMSA", {"use_world_model": False}),
    "No-SALE": ("MMSA", {"use_sale": False}),
    "No-SALE, printed": ("MMSA", {"use_sale": False, "world_model_form": "printed"}),
    "No-GS": ("MMSA", {"use_global_state": False}),
    "No-KLB": ("MMSA", {"kl_balance": None}),
    "KL balanced as printed": ("MMSA", {"kl_balance": "posterior"}),
    "printed": ("MMSA", {"world_model_form": "printed"}),
    "residual": ("MMSA", {"world_model_form": "residual"}),
    "heads of an agent": ("MMSA", {"observation_head": "agent"}),
    "MMSA, maximum as printed": ("MMSA", {"double_q": False}),
    "MMSA, sum": ("MMSA", {"mixer": "vdn", "use_world_model": False}),
    "MMSA, duplex": ("MMSA", {"mixer": "qplex"}),
    "horizon 1": ("MMSA", {"rollout_horizon": 1}),
    "horizon 9": ("MMSA", {"rollout_horizon": 9}),  # longer than the episodes
    "one hidden layer": ("MMSA", {"dynamics_layers": 1, "dynamics_dim": 7}),
    "nothing is foretold": (
        "MMSA", {"open_loop_weight": 0.0, "reward_weight": 0.0, "end_weight": 0.0},
    ),
    "rewards alone": ("MMSA", {"open_loop_weight": 0.0, "reward_weight": 2.0, "end_weight": 0.0}),
    "untrained": ("MMSA", {"mixer_reads": "untrained"}),
    "hidden": ("MMSA", {"mixer_reads": "hidden"}),
    "every episode": ("MMSA", {"model_batch_share": 1.0}),
    "weights": ("MMSA", {"kl_weight": 0.3, "sale_weight": 0.7, "policy_weight": 0.4}),
    "other weights": ("MMSA", {"reconstruction_weight": 0.6, "observation_weight": 2.0}),
    "three priors": ("MMSA", {"num_models": 3}),
    "three priors, printed": ("MMSA", {"num_models": 3, "preset": "paper"}),
    "gated": ("MMSA", {"gate_rollout": True}),
    "gated by two priors": ("MMSA", {"gate_rollout": True, "num_models": 2}),
    "expanded": ("MMSA", {"value_expansion": 2}),
    "expanded, gated, lambda-returns": (
        "MMSA", {"value_expansion": 2, "gate_rollout": True, "td_lambda": 0.6},
    ),
    "expanded, a time limit is an end": (
        "MMSA", {"value_expansion": 1, "bootstrap_truncated": False, "double_q": False},
    ),
    "self-prediction": ("MMSA", {"self_prediction_weight": 0.5}),
    "self-prediction, no model": ("MMSA", {"self_prediction_weight": 2, "use_world_model": False}),
    **{n: ("MMSA", {"normaliser": n}) for n in ("none", "layer", "softmax", "l2")},
}  # fmt: skip


def prepared(name: str, **settings) -> tuple:
    """An algorithm in float64 whose targets lag behind, and a batch of five episodes."""
    algorithm = build(name, engine="plain", **FORAGING, **settings)
    own, module = learner(algorithm), learner(algorithm).team_module
    episodes = sorted(algorithm.env_runner.sample(num_episodes=80), key=len)
    batch = batch_of(algorithm, episodes[::19])
    assert len(batch[TEAM]["loss_mask"]) == 5
    assert len(set(batch[TEAM]["loss_mask"].sum(1).tolist())) > 1
    fields = {
        key: value.double() if value.is_floating_point() else value
        for key, value in batch[TEAM].items()
    }
    module.double()
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return algorithm, own, module, fields


@pytest.mark.parametrize("reading", READINGS)
def test_losses_and_gradients_are_those_of_slow_loops(reading):
    name, settings = READINGS[reading]
    algorithm, own, module, fields = prepared(name, **settings)
    played, fields = fields, with_noise(algorithm, fields)
    out = module.forward_train(fields)  # moves the running statistics, once
    ours = own.compute_losses(fwd_out={TEAM: out}, batch={TEAM: fields})[TEAM]
    module.zero_grad(set_to_none=True)
    ours.backward()
    gradients = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
    module.zero_grad(set_to_none=True)
    noise = dict(zip(("posterior", "prior"), fields.get("noise", ()), strict=False))
    theirs = Reference(module, algorithm.config, played, noise).total()
    theirs.backward()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-8)
    assert len(gradients) >= 8
    for key, parameter in module.named_parameters():
        if parameter.grad is None:
            assert key not in gradients or not gradients[key].any(), key
        else:
            torch.testing.assert_close(gradients[key], parameter.grad, rtol=1e-5, atol=1e-8)
    algorithm.stop()

"""The compile engine's numbers are plain's. Without code generation, so that no GPU is needed."""

import copy

import numpy as np
import pytest
import torch

from rllib_mmsa.engine.compile import STEPS, CompileEngine, padded
from rllib_mmsa.method.settings import MMSASettings, Settings
from tests.engine import native_cases

SMALL = {"hidden_dim": 8, "mixing_embed_dim": 8, "hypernet_embed_dim": 8}
MODEL = {"latent_dim": 3, "sale_dim": 5, "sale_hidden_dim": 12, "world_model_dim": 10}
USES = {
    "num_models": 2,
    "gate_rollout": True,
    "value_expansion": 2,
    "self_prediction_weight": 1.0,
}
SIZES = 2, 4, 5, 6


def prepared(settings) -> tuple:
    team = native_cases.scatter(native_cases.Team(settings, *SIZES), 0)
    batch = native_cases.random_batch(np.random.default_rng(0), 4, 9, *SIZES)
    return team, batch, native_cases.noise_for(team, batch, 0)


@pytest.mark.parametrize(
    "settings",
    [
        Settings(**SMALL),
        Settings(**SMALL, td_lambda=0.6),
        Settings(**SMALL, agent="hpn", hpn_hyper_dim=6),
        pytest.param(MMSASettings(**SMALL, **MODEL), marks=pytest.mark.slow),
        pytest.param(MMSASettings(**SMALL, **MODEL, **USES), marks=pytest.mark.slow),
        pytest.param(MMSASettings(**SMALL, **MODEL, agent="hpn"), marks=pytest.mark.slow),
    ],
)
def test_losses_and_gradients_are_plains(settings):
    # In float64: the order of additions differs, and in float32 it shows.
    team, batch, noise = prepared(settings)
    plain = native_cases.plain(team, batch, noise, torch.float64)
    doubles = native_cases.in_dtype(batch, torch.float64)._asdict()
    engine = CompileEngine(team.to(torch.float64), backend="aot_eager")
    found = engine.learn(doubles, None if noise is None else noise.to(torch.float64))
    torch.testing.assert_close(found.total, plain.total)
    assert found.losses.keys() == plain.losses.keys()
    assert found.gradients.keys() == plain.gradients.keys()
    for name, gradient in plain.gradients.items():
        torch.testing.assert_close(found.gradients[name], gradient)


@pytest.mark.parametrize("td_lambda", [0.0, 0.6])
def test_steps_that_are_added_count_nowhere(td_lambda):
    team, batch, noise = prepared(MMSASettings(**SMALL, **MODEL, td_lambda=td_lambda))
    longer, more_noise = padded(batch, noise)
    assert longer.actions.shape[1] == STEPS and longer.obs.shape[1] == STEPS + 1
    assert more_noise.shape[2] == STEPS + 1
    ours = native_cases.plain(copy.deepcopy(team), longer, more_noise, torch.float64)
    theirs = native_cases.plain(team, batch, noise, torch.float64)
    torch.testing.assert_close(ours.total, theirs.total)
    for name, gradient in theirs.gradients.items():
        torch.testing.assert_close(ours.gradients[name], gradient)

"""Learning from sequences of long episodes, with a burn-in."""

import numpy as np
import pytest
import torch

from env_registry.contract import TEAM
from rllib_mmsa.rllib.batch import Window
from tests.algorithms import FORAGING, batch_of, build, learner, losses

pytestmark = pytest.mark.usefixtures("ray_session")


def gradients(algorithm, batch: dict) -> dict[str, torch.Tensor]:
    module = learner(algorithm).team_module
    module.zero_grad(set_to_none=True)
    losses(algorithm, batch).backward()
    return {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("td_lambda", [0.0, 0.6])
def test_a_sequence_with_all_that_came_before_is_as_good_as_its_episode(td_lambda):
    """Targets look past its end by the value behind it alone."""
    algorithm = build("QMIX", engine="plain", td_lambda=td_lambda, **FORAGING)
    episode = max(algorithm.env_runner.sample(num_episodes=20), key=len)
    start, stop = 4, len(episode) - 2
    sequence = batch_of(algorithm, [Window(episode, first=0, start=start, stop=stop)])
    whole = batch_of(algorithm, [episode])
    whole[TEAM]["loss_mask"][:, :start] = 0
    whole[TEAM]["loss_mask"][:, stop:] = 0
    assert sequence[TEAM]["rewards"].shape[1] == stop < whole[TEAM]["rewards"].shape[1]
    ours, theirs = gradients(algorithm, sequence), gradients(algorithm, whole)
    assert ours.keys() == theirs.keys()
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-6)
    algorithm.stop()


@pytest.mark.parametrize("name", ["MMSA", "QMIX", "VDN", "IndependentQ"])
def test_sequences_train(name):
    algorithm = build(name, max_seq_len=5, replay_burn_in=2, **FORAGING)
    for _ in range(2):
        result = algorithm.train()
    logged = result["learners"][TEAM]
    assert np.isfinite(logged["td_loss"]) and logged["num_updates_lifetime"] > 0
    windows = algorithm.replay.sample(50)
    assert max(window.stop - window.first for window in windows) == 7
    algorithm.stop()


def test_a_burn_in_needs_sequences():
    with pytest.raises(ValueError, match="replay_burn_in is 2; it must be 0 where whole"):
        build("QMIX", replay_burn_in=2)

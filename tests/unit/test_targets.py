"""Targets, legal actions, means over steps and exploration, against closed forms."""

import numpy as np
import pytest
import torch

from rllib_mmsa.method.targets import (
    StepMean,
    greedy_actions,
    mask_illegal,
    take_actions,
    td_targets,
)
from rllib_mmsa.rllib.exploration import epsilon_at, epsilon_greedy


def test_truncation_bootstraps_and_termination_does_not():
    rewards = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    terminated = torch.tensor([[False, True], [False, False]])  # the second was cut off
    next_values = torch.tensor([[[10.0], [20.0]], [[10.0], [20.0]]])
    targets = td_targets(rewards, terminated, next_values, gamma=0.5)
    assert torch.equal(targets[..., 0], torch.tensor([[6.0, 2.0], [6.0, 12.0]]))


def test_targets_refuse_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match=r"must share \(B, T\)"):
        td_targets(torch.zeros(4, 1), torch.zeros(4, 3, dtype=torch.bool), torch.zeros(4, 3, 1), 1)
    with pytest.raises(ValueError, match="do not index"):
        take_actions(torch.zeros(2, 3, 4), torch.zeros(2, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match="does not cover"):
        StepMean(torch.zeros(2, 4))(torch.zeros(2, 3, 4))


def test_a_mean_over_steps_ignores_padding_whatever_it_holds():
    values = torch.randn(2, 3, 4)
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    expected = torch.stack([values[0, 0], values[0, 1], values[1, 0]]).mean()
    poisoned = values.clone()
    poisoned[mask == 0] = 1e6
    torch.testing.assert_close(StepMean(mask)(values), expected)
    torch.testing.assert_close(StepMean(mask)(poisoned), expected)
    assert StepMean(torch.zeros(2, 3))(values) == 0.0


def test_a_mean_over_steps_takes_scalars_and_rows_of_steps():
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    values = torch.randn(2, 3)
    expected = torch.stack([values[0, 0], values[0, 1], values[1, 0]]).mean()
    torch.testing.assert_close(StepMean(mask)(values), expected)
    torch.testing.assert_close(StepMean(mask.flatten())(values.flatten()), expected)
    torch.testing.assert_close(StepMean(mask).weights.sum(), torch.tensor(1.0))


def test_greedy_is_the_best_legal_action():
    q_values = torch.tensor([[5.0, 1.0, 3.0]])
    mask = torch.tensor([[0, 1, 1]], dtype=torch.int8)
    assert greedy_actions(q_values, mask).item() == 2
    assert mask_illegal(q_values, mask).amax(-1).item() == 3.0


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_masked_actions_are_never_taken(epsilon):
    rng = np.random.default_rng(0)
    mask = (rng.random((500, 3, 5)) < 0.4).astype(np.int8)
    mask[..., 2] = 1
    greedy = np.full((500, 3), 2)
    actions = epsilon_greedy(greedy, mask, epsilon, rng)
    assert np.take_along_axis(mask, actions[..., None], -1).all()
    explored = (actions != 2).mean()
    assert (explored == 0.0) if epsilon == 0.0 else (explored > 0.1)


def test_exploration_draws_legal_actions_evenly():
    rng = np.random.default_rng(1)
    mask = np.tile(np.array([1, 0, 1, 1], np.int8), (30_000, 1, 1))
    actions = epsilon_greedy(np.zeros((30_000, 1), int), mask, 1.0, rng)
    shares = np.bincount(actions.ravel(), minlength=4) / actions.size
    np.testing.assert_allclose(shares, [1 / 3, 0, 1 / 3, 1 / 3], atol=0.02)


def test_epsilon_schedule():
    schedule = [[0, 1.0], [100, 0.05]]
    assert epsilon_at(schedule, 0) == 1.0
    assert epsilon_at(schedule, 50) == pytest.approx(0.525)
    assert epsilon_at(schedule, 1000) == 0.05
    assert epsilon_at(0.2, 7) == 0.2

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


def slow_lambda_returns(rewards, ended, values, gamma, share, mask) -> torch.Tensor:
    """The mean of n-step returns that lambda weighs, step by step (Sutton and Barto, 12.1)."""
    found = torch.zeros_like(values)
    for b, row in enumerate(mask):
        for t in range(len(row)):
            steps = t + 1  # up to which rewards are known
            while steps < len(row) and row[steps] and not ended[b, steps - 1]:
                steps += 1
            total, weight = 0.0, 1.0
            for n in range(t + 1, steps + 1):
                sums = sum(gamma ** (k - t) * rewards[b, k] for k in range(t, n))
                alive = 0.0 if ended[b, n - 1] else gamma ** (n - t)
                part = weight if n == steps else weight * (1 - share)
                total = total + part * (sums + alive * values[b, n - 1])
                weight *= share
            found[b, t] = total
    return found


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_lambda_returns_are_the_mean_of_n_step_returns(share):
    torch.manual_seed(0)
    rewards, values = torch.randn(4, 6), torch.randn(4, 6, 2)
    mask = torch.ones(4, 6)
    mask[1, 4:] = mask[2, 3:] = mask[3, :2] = 0.0  # ended, cut off, burn-in
    ended = torch.zeros(4, 6, dtype=torch.bool)
    ended[0, 5] = ended[1, 3] = True
    targets = td_targets(rewards, ended, values, 0.9, share, mask)
    expected = slow_lambda_returns(rewards, ended, values, 0.9, share, mask)
    learned = mask.bool()
    torch.testing.assert_close(targets[learned], expected[learned])
    if share == 0.0:
        assert torch.equal(targets, td_targets(rewards, ended, values, 0.9))


def test_a_whole_return_reads_no_value_of_an_episode_that_ended():
    rewards = torch.tensor([[1.0, 0.0, 2.0]])
    ended = torch.tensor([[False, False, True]])
    targets = td_targets(rewards, ended, torch.full((1, 3, 1), 7.0), 0.5, td_lambda=1.0)
    torch.testing.assert_close(targets[0, :, 0], torch.tensor([1.5, 1.0, 2.0]))


def recursion(ended=(), truncated=(), mask=(1, 1, 1, 1), td_lambda=0.5) -> list[float]:
    """Targets of one episode of rewards 1, 2, 3, 4 and V(t+1) = 8, 16, 24, 32, with gamma 0.5.

    Args:
        ended, truncated: the steps at which it did, and was.
    """
    steps = range(4)
    targets = td_targets(
        torch.tensor([[1.0, 2.0, 3.0, 4.0]]),
        torch.tensor([[t in ended for t in steps]]),
        torch.tensor([[[8.0], [16.0], [24.0], [32.0]]]),
        0.5,
        td_lambda,
        torch.tensor([mask], dtype=torch.float32),
        torch.tensor([[t in truncated for t in steps]]),
    )
    assert targets.shape == (1, 4, 1)
    return targets.flatten().tolist()


def test_a_lambda_return_is_that_of_the_recursion_by_hand():
    # y_3 = 4 + 16 = 20; y_2 = 3 + (12 + 10) / 2; y_1 = 2 + (8 + 7) / 2; y_0 = 1 + (4 + 4.75) / 2.
    assert recursion() == [5.375, 9.5, 14.0, 20.0]
    # An end: y_3 = 4; y_2 = 3 + (12 + 2) / 2; y_1 = 2 + (8 + 5) / 2; y_0 = 1 + (4 + 4.25) / 2.
    assert recursion(ended=[3]) == [5.125, 8.5, 10.0, 4.0]
    assert recursion(ended=[3], td_lambda=1.0) == [3.25, 4.5, 5.0, 4.0]  # no V at all
    # An end that other steps follow: y_1 = 2; y_0 = 1 + (4 + 1) / 2.
    assert recursion(ended=[1]) == [3.5, 2.0, 14.0, 20.0]


def test_a_lambda_return_begins_at_a_time_limit_with_the_value_behind_it():
    # y_1 = 2 + 8, whatever follows; y_0 = 1 + (4 + 5) / 2.
    assert recursion(truncated=[1])[:2] == [5.5, 10.0]
    assert recursion(truncated=[1], td_lambda=1.0)[:2] == [6.0, 10.0]
    # Where the limit is an end (bootstrap_truncated: false): y_1 = 2; y_0 = 1 + (4 + 1) / 2.
    assert recursion(truncated=[1], ended=[1])[:2] == [3.5, 2.0]


@pytest.mark.parametrize("td_lambda", [0.5, 1.0])
def test_a_lambda_return_stops_before_steps_that_are_not_learned_from(td_lambda):
    """Padding and gaps: each piece of an episode has the targets that it has alone."""
    padded = recursion(mask=(1, 1, 0, 0), td_lambda=td_lambda)
    assert padded[:2] == ([5.5, 10.0] if td_lambda == 0.5 else [6.0, 10.0])
    with_gap = recursion(mask=(1, 0, 1, 1), td_lambda=td_lambda)
    assert with_gap[0] == 1 + 0.5 * 8  # one step
    assert with_gap[2:] == recursion(td_lambda=td_lambda)[2:]
    burnt_in = recursion(mask=(0, 0, 1, 1), td_lambda=td_lambda)
    assert burnt_in[2:] == recursion(td_lambda=td_lambda)[2:]


def random_steps() -> tuple:
    """Rewards, termination, truncation, mask and values of 50 episodes of 1 to 12 steps."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 13, (50, 1), generator=generator)
    at = torch.arange(12)
    terminated = (at == lengths - 1) & (torch.arange(50) % 3 == 0).unsqueeze(1)
    truncated = (at == lengths - 1) & (torch.arange(50) % 3 == 1).unsqueeze(1)
    rewards = torch.randn(50, 12, generator=generator)
    values = torch.randn(50, 12, 3, generator=generator)
    return rewards, terminated, truncated, (at < lengths).float(), values


def test_lambda_0_is_the_one_step_target_bit_for_bit():
    rewards, terminated, truncated, mask, values = random_steps()
    one_step = td_targets(rewards, terminated, values, 0.99)
    ours = td_targets(rewards, terminated, values, 0.99, 0.0, mask, truncated)
    assert torch.equal(ours, one_step)
    almost = td_targets(rewards, terminated, values, 0.99, 1e-9, mask, truncated)
    torch.testing.assert_close(almost, one_step)  # the recursion itself


def test_lambda_1_is_the_discounted_return_of_an_episode_that_terminates():
    rewards, _, _, mask, values = random_steps()
    terminated = (mask == 1) & (torch.nn.functional.pad(mask[:, 1:], (0, 1)) == 0)
    rewards = rewards.double()
    ours = td_targets(rewards, terminated, values.double(), 0.9, 1.0, mask)
    for b, length in enumerate(mask.sum(1).int().tolist()):
        for t in range(length):
            played = rewards[b, t:length]
            discounted = sum(0.9**k * played[k].item() for k in range(len(played)))
            assert ours[b, t].tolist() == pytest.approx([discounted] * 3, abs=1e-12)


def test_targets_refuse_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match=r"must share \(B, T\)"):
        td_targets(torch.zeros(4, 1), torch.zeros(4, 3, dtype=torch.bool), torch.zeros(4, 3, 1), 1)
    steps, values = torch.zeros(4, 3), torch.zeros(4, 3, 1)
    flags = steps.bool()
    for mask, truncated in ((steps[:, :1], flags), (steps, flags[:1])):
        with pytest.raises(ValueError, match=r"must have rewards' shape \(4, 3\)"):
            td_targets(steps, flags, values, 1.0, 0.5, mask, truncated)
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

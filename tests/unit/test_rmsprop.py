"""The optimiser of all parameters at once steps as PyTorch's does, and its state is PyTorch's."""

import copy

import pytest
import torch

from rllib_mmsa.common.rmsprop import FlatRMSprop

SETTINGS = {"lr": 0.01, "alpha": 0.9, "eps": 1e-5}
SHAPES = [(3, 4), (4,), (), (2, 1, 5)]


@pytest.fixture
def pair() -> list[torch.optim.Optimizer]:
    """Ours and PyTorch's, over equal parameters."""
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    theirs = copy.deepcopy(ours)
    return [FlatRMSprop(ours, **SETTINGS), torch.optim.RMSprop(theirs, **SETTINGS)]


def step(pair: list[torch.optim.Optimizer], without: int | None = None) -> None:
    """One step of both along the same gradients, of which one may be missing."""
    gradients = [None if i == without else torch.randn(s) for i, s in enumerate(SHAPES)]
    for optimizer in pair:
        for parameter, gradient in zip(optimizer.param_groups[0]["params"], gradients, strict=True):
            parameter.grad = gradient if gradient is None else gradient.clone()
        optimizer.step()


def assert_equal(pair: list[torch.optim.Optimizer]) -> None:
    ours, theirs = (optimizer.param_groups[0]["params"] for optimizer in pair)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)
    states = [optimizer.state_dict()["state"] for optimizer in pair]
    assert states[0].keys() == states[1].keys()
    for index in states[0]:
        assert states[0][index].keys() == states[1][index].keys()
        for name, value in states[0][index].items():
            torch.testing.assert_close(value, states[1][index][name], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("without", [(None, None, None, None), (None, 1, None, 3), (0, None, 0, 0)])
def test_steps_are_those_of_pytorch(pair, without):
    for missing in without:
        step(pair, missing)
        assert_equal(pair)


def test_state_goes_from_one_to_the_other_and_back(pair):
    step(pair)
    states = [copy.deepcopy(optimizer.state_dict()) for optimizer in pair]
    for optimizer, state in zip(pair, reversed(states), strict=True):
        optimizer.load_state_dict(state)
    step(pair)
    step(pair, without=2)
    assert_equal(pair)


def test_the_learning_rate_may_change(pair):
    step(pair)
    for optimizer in pair:
        optimizer.param_groups[0]["lr"] = 0.5
    step(pair)
    assert_equal(pair)

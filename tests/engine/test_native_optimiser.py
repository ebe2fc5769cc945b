"""RMSprop's step in one call is PyTorch's, and leaves PyTorch's state."""

import copy

import pytest
import torch

from rllib_mmsa.engine.native import optimiser, unavailable

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))
SHAPES = [(3, 5), (1,), (), (17,), (64, 33)]


def parameters(seed: int = 0) -> list[torch.nn.Parameter]:
    torch.manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]


def gradients_of(params: list, seed: int) -> dict:
    torch.manual_seed(seed)
    return {p: torch.randn_like(p) * 10.0 ** torch.randint(-3, 3, p.shape) for p in params}


@pytest.mark.parametrize("wide", [False, True])
def test_steps_and_state_are_pytorchs_also_after_they_were_saved(wide):
    from rllib_mmsa.engine.native import bindings

    if wide and not bindings.uses_avx512():
        pytest.skip("this processor has no AVX-512")
    ours, theirs = parameters(), parameters()
    settings = {"lr": 0.01, "alpha": 0.9, "eps": 1e-5}
    mine = torch.optim.RMSprop(ours, **settings)
    his = torch.optim.RMSprop(theirs, **settings, foreach=True)
    for turn in range(6):
        if turn == 3:  # a checkpoint, read by the other one
            mine.load_state_dict(copy.deepcopy(his.state_dict()))
        assert optimiser.step(mine, gradients_of(ours, turn), wide)
        for parameter, gradient in gradients_of(theirs, turn).items():
            parameter.grad = gradient
        his.step()
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
    saved, expected = mine.state_dict()["state"], his.state_dict()["state"]
    assert saved.keys() == expected.keys()
    for key, state in expected.items():
        torch.testing.assert_close(saved[key]["square_avg"], state["square_avg"])
        assert saved[key]["step"] == state["step"] == 6


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.Adam(p, lr=0.1),
        lambda p: torch.optim.RMSprop(p, momentum=0.9),
        lambda p: torch.optim.RMSprop(p, centered=True),
        lambda p: torch.optim.RMSprop(p, weight_decay=0.1),
        lambda p: torch.optim.RMSprop([{"params": p[:1]}, {"params": p[1:]}]),
    ],
)
def test_other_optimisers_are_left_to_pytorch(make):
    params = parameters()
    before = [p.detach().clone() for p in params]
    assert not optimiser.step(make(params), gradients_of(params, 0), False)
    assert all(torch.equal(a, b) for a, b in zip(before, params, strict=True))

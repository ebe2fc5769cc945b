"""What is foreseen of things that move, vanish, appear and stay, on hand-made observations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from env_registry.contract import Entity, in_a_row
from rllib_mmsa.method.kinds import MEASURES, auc, measures, places_of, r2, tally, typical

#: A number of nothing, two foods (x, level), absent as (-1, 0), and oneself (x).
LAYOUT = (*in_a_row("food", 2, 1, (-1, 0)), Entity("self", 5, 1))
PLACES = places_of(LAYOUT, 6)


def steps(*rows: list[float]) -> torch.Tensor:
    """Observations of one agent at T steps, (1, T, 1, 6)."""
    return torch.tensor(rows, dtype=torch.float32)[None, :, None]


def judged(before, after, foreseen, places=PLACES, mask=None, usual=None) -> dict[str, float]:
    """The measures of T steps that all count."""
    before, after, foreseen = map(places.pick, (before, after, foreseen))
    mask = torch.ones(before.shape[:2]) if mask is None else mask
    if usual is None:
        usual = typical(places, torch.cat([before, after], 1), torch.cat([mask, mask], 1))
    sums = tally(places, before, after, foreseen, usual, mask)
    return {name: value.item() for name, value in measures(sums).items()}


# The number of nothing changes wildly in all of these: it is of no entity.
ME, GONE = [5.0], [-1.0, 0.0]


def test_moves_are_measured_on_what_moved_and_by_direction():
    before = steps([0, 3, 1, 4, 2, *ME])
    after = steps([9, 5, 1, 4, 2, *ME])  # the first food moves from 3 to 5
    found = judged(before, after, steps([0, 4, 0.5, 4, 2, *ME]))
    assert found["moves"] == pytest.approx((1 + 0.25) / 4)
    assert found["direction_right"] == 1.0, "of the one number that changed"
    assert found["stays"] == 0.0 and found["vanished_falsely"] == 0.0
    missing = {"vanishes", "appears", "vanished_foreseen", "appeared_foreseen", "appeared_falsely"}
    assert found.keys() == set(MEASURES) - missing
    wrong = judged(before, after, steps([0, 2, 1, 4, 2, *ME]))
    assert wrong["moves"] == pytest.approx(9 / 4) and wrong["direction_right"] == 0.0
    still = judged(before, after, before)
    assert still["moves"] == 1.0 and still["direction_right"] == 0.0


def test_what_vanished_is_foreseen_if_the_forecast_is_nearer_to_absence():
    before = steps([0, 3, 1, 4, 2, *ME])
    after = steps([0, *GONE, 4, 2, *ME])
    seen = judged(before, after, steps([0, 0, 0.2, 4, 2, *ME]))
    assert seen["vanished_foreseen"] == 1.0
    assert seen["vanishes"] == pytest.approx((1 + 0.04) / (16 + 1))
    assert "moves" not in seen and "direction_right" not in seen
    missed = judged(before, after, steps([0, 2, 1, 4, 2, *ME]))
    assert missed["vanished_foreseen"] == 0.0 and missed["vanishes"] == pytest.approx(10 / 17)


def test_what_is_still_there_may_falsely_be_foreseen_as_gone():
    before = steps([0, 3, 1, 4, 2, *ME], [0, 3, 1, 4, 2, *ME])
    after = steps([0, 0, 1, 4, 2, *ME], [0, 3, 1, 4, 2, *ME])  # moves next to where absence lies
    right = judged(before, after, after)
    assert right["vanished_falsely"] == 0.0 and right["moves"] == 0.0
    gone = steps([0, *GONE, 4, 2, -1], [0, 3, 1, 4, 2, *ME])
    assert judged(before, after, gone)["vanished_falsely"] == 1 / 4, "oneself cannot be absent"


def test_what_appears_and_what_stays_away():
    before = steps([0, *GONE, *GONE, *ME], [0, 3, 1, *GONE, *ME])
    after = steps([0, 3, 1, *GONE, *ME], [0, 3, 1, *GONE, *ME])
    usual = torch.tensor([[3.0, 1], [2, 1], [5, 0]])
    near = steps([0, 2, 1, -0.5, 0, *ME], [0, 3, 1, 2, 0.5, *ME])
    found = judged(before, after, near, usual=usual)
    assert found["appeared_foreseen"] == 1.0 and found["appears"] == pytest.approx(1 / 17)
    assert found["appeared_falsely"] == 0.5, "the second food, in the second step"
    assert found["stays"] == pytest.approx((0.25 + 9 + 0.25) / 17)
    none = judged(before, after, before, usual=usual)
    assert none["appeared_foreseen"] == 0.0 and none["appears"] == 1.0
    assert none["appeared_falsely"] == 0.0
    unknown = judged(before, after, near)  # nothing ever stood in the second place
    assert "appeared_falsely" not in unknown


def test_steps_that_do_not_count_are_left_out_and_sums_add_up():
    rng = np.random.default_rng(0)
    mask = torch.tensor([[1.0, 1, 0], [1, 0, 0]])

    def some() -> torch.Tensor:
        obs = torch.from_numpy(rng.integers(0, 3, (2, 3, 4, 6)).astype(np.float32))
        gone = torch.from_numpy(rng.random((2, 3, 4)) < 0.4)
        obs[..., 1][gone], obs[..., 2][gone] = -1, 0
        return obs

    before, after, foreseen = map(PLACES.pick, (some(), some(), some() + 0.1))
    usual = typical(PLACES, before, mask)
    whole = tally(PLACES, before, after, foreseen, usual, mask)
    for tensor in (before, after, foreseen):
        tensor[mask == 0] = 99.0
    again = tally(PLACES, before, after, foreseen, usual, mask)
    assert torch.equal(whole, again) and whole[0, :, 1].sum() > 0
    rows = [
        tally(PLACES, *(x[i : i + 1] for x in (before, after, foreseen)), usual, mask[i : i + 1])
        for i in range(2)
    ]
    assert torch.allclose(rows[0] + rows[1], whole)
    stood = [before[0, t, n, 0] for t in range(2) for n in range(4)] + list(before[1, 0, :, 0])
    stood = [x for x in stood if not (x[0] == -1 and x[1] == 0)]
    assert torch.allclose(usual[0], torch.stack(stood).mean(0))


def test_without_a_layout_every_number_moves_or_stays():
    places = places_of(None, 3)
    before, after = (torch.tensor(x)[None, None, None] for x in ([0.0, 1, 2], [0.0, 2, 0]))
    found = judged(before, after, torch.tensor([0.5, 1.5, 2.5])[None, None, None], places)
    assert found == {
        "moves": pytest.approx((0.25 + 6.25) / 5),
        "stays": pytest.approx(0.25 / 5),
        "direction_right": 0.5,
    }


def test_nothing_happens_nothing_is_said():
    same = steps([0, 3, 1, *GONE, *ME])
    assert judged(same, same, same + 1) == {"vanished_falsely": 0.0}


def test_area_under_the_curve_by_hand():
    scores = torch.tensor([0.1, 0.4, 0.35, 0.8])
    # Pairs (true, false): 0.35 > 0.1, 0.35 < 0.4, 0.8 > 0.1, 0.8 > 0.4.
    assert auc(scores, torch.tensor([0, 0, 1, 1])).item() == 0.75
    tied = torch.tensor([[1.0, 1.0], [1.0, 2.0]])
    # The one true 1.0 ties with both false ones (1/2 each); the true 2.0 beats both.
    assert auc(tied, torch.tensor([[True, False], [False, True]])).item() == 0.75
    assert auc(torch.zeros(5), torch.tensor([1, 0, 0, 1, 0])).item() == 0.5
    assert auc(-scores, torch.tensor([0, 0, 1, 1])).item() == 0.25
    assert auc(scores, torch.ones(4)) is None and auc(scores, torch.zeros(4)) is None


def test_share_of_the_variance_by_hand():
    actual = torch.tensor([1.0, 2, 3, 6])  # mean 3, squared deviations 4 + 1 + 0 + 9
    assert r2(3 - 2 * actual, actual).item() == pytest.approx(1.0)  # in whatever unit
    predicted = torch.tensor([1.0, 2, 2, 5])
    correlation = np.corrcoef(predicted, actual)[0, 1]
    assert r2(predicted, actual).item() == pytest.approx(correlation**2)
    assert r2(torch.zeros(4), actual).item() == 0.0
    assert r2(actual, torch.ones(4)) is None

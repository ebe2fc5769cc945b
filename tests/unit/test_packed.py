"""What is played of a padded batch lies side by side, and goes back into its places."""

import pytest
import torch

from rllib_mmsa.common.packed import Packed
from rllib_mmsa.nets.packing import Packing

LENGTHS = (2, 4, 1, 4)  # steps; one observation more
T = max(LENGTHS)


def packed(burn_in=0):
    steps = torch.arange(T)
    lengths = torch.tensor(LENGTHS)[:, None]
    start = (lengths - 1).clamp(max=burn_in)  # a step to learn from is left in each
    return Packed(((steps >= start) & (steps < lengths)).float())


def names():
    """10 b + t at observation t of episode b, (B, T+1)."""
    return 10 * torch.arange(len(LENGTHS))[:, None] + torch.arange(T + 1)


def test_rows_go_by_time_and_the_longest_first():
    rows = packed()
    expected = [10, 30, 0, 20, 11, 31, 1, 21, 12, 32, 2, 13, 33, 14, 34]
    assert rows.pack(names()).tolist() == expected
    assert rows.packing.counts == [4, 4, 3, 2, 2]
    assert rows.episode.tolist() == [name // 10 for name in expected]
    before = rows.packing.shift(rows.pack(names()), -1)
    assert before.tolist() == [-1] * 4 + [name - 1 for name in expected if name % 10]


@pytest.mark.parametrize("burn_in", [0, 2])
def test_steps_begin_and_end_where_they_do(burn_in):
    rows = packed(burn_in)
    starts, ends = rows.pack_starts(names()), rows.pack_ends(names())
    first = [min(length - 1, burn_in) for length in LENGTHS]
    learned = {10 * b + t for b, length in enumerate(LENGTHS) for t in range(first[b], length)}
    assert set(starts.tolist()) == learned and torch.equal(ends, starts + 1)
    read = rows.pick_read(rows.pack(names()))
    assert set(read.tolist()) == learned | {name + 1 for name in learned}
    assert torch.equal(rows.starts(read), starts) and torch.equal(rows.ends(read), ends)
    assert set(rows.pack(names())[rows.learned > 0].tolist()) == learned


@pytest.mark.parametrize("burn_in", [0, 2])
def test_what_is_packed_goes_back_into_its_places(burn_in):
    rows = packed(burn_in)
    values = torch.randn(len(LENGTHS), T + 1, 3)
    played = (torch.arange(T + 1) <= torch.tensor(LENGTHS)[:, None]).unsqueeze(-1)
    assert torch.equal(rows.spread(rows.pack(values)), values * played)
    packed_values = rows.pack(values)
    read = rows.read.bool().unsqueeze(-1)
    again = rows.unpick_read(rows.pick_read(packed_values))
    assert torch.equal(again, packed_values * read)
    steps = torch.randn(len(LENGTHS), T, 3)
    back = rows.spread_steps(rows.pack_steps(steps)[rows.learned > 0])
    learned = packed(burn_in).spread_steps(torch.ones(int(rows.learned.sum()), 1))
    assert torch.equal(back, steps * learned) and learned.sum() == rows.learned.sum()


def test_every_other_episode_has_the_same_order_alone():
    mask = packed().spread_steps(torch.ones(sum(LENGTHS)))
    rows = packed()
    some = rows.pack(names())[rows.episode % 2 == 0]
    assert torch.equal(some, Packed(mask[::2]).pack(names()[::2]))


def test_steps_past_the_longest_episode_are_none():
    mask = torch.nn.functional.pad(packed().spread_steps(torch.ones(sum(LENGTHS))), (0, 3))
    assert Packed(mask).packing.counts == packed().packing.counts


def test_sequences_of_one_length_need_no_index():
    values = torch.arange(6)
    assert Packing([2, 2, 2]).before(values).tolist() == [0, 1, 2, 3]
    assert Packing([3, 2, 1]).before(values).tolist() == [0, 1, 3]

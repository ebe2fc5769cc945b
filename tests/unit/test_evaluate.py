"""Which checkpoint a path means, and the interval of a mean."""

from __future__ import annotations

import pytest

from rllib_mmsa.command.checkpoints import checkpoints, locate
from rllib_mmsa.command.evaluate import interval, win_interval
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.whole import CLASS_FILE, MODULE_FOLDER
from tests.checkpoints import make_checkpoint


def test_a_checkpoint_is_found_from_the_folders_above_it(tmp_path):
    make_checkpoint(tmp_path / "trial" / "checkpoint_000009")
    newest = make_checkpoint(tmp_path / "trial" / "checkpoint_000010")
    for path in (newest, newest.parent, tmp_path):
        assert locate(path) == newest


def test_half_a_checkpoint_is_passed_over(tmp_path):
    trial = tmp_path / "trial"
    kept = [make_checkpoint(trial / f"checkpoint_{i:06}") for i in range(4)]
    (kept[3] / "algorithm_state.pkl").unlink()  # half deleted
    (kept[2] / CLASS_FILE).write_bytes(b"")  # half written
    (trial / "checkpoint_000004").mkdir()  # just begun
    assert locate(tmp_path) == locate(trial) == kept[1]
    assert checkpoints(trial) == [kept[1], kept[0]]
    # One that is named is taken for what is left of it, if that can act.
    assert locate(kept[3]) == kept[3]
    for damaged in (kept[2], trial / "checkpoint_000004"):
        with pytest.raises(ConfigError, match="is not whole: class_and.*; take checkpoint_000001"):
            locate(damaged)
    (kept[1] / MODULE_FOLDER / "state.pkl").write_bytes(b"torn")
    with pytest.raises(ConfigError, match="state.pkl has 4 of its .*; take checkpoint_000000"):
        locate(kept[1])


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        locate(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="is empty"):
        locate(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is not a directory"):
        locate(tmp_path / "file")
    with pytest.raises(ConfigError, match="holds no whole checkpoint"):
        locate(tmp_path)
    for trial in "ab":
        make_checkpoint(tmp_path / trial / "checkpoint_000000")
    with pytest.raises(ConfigError, match="holds 2 trials"):
        locate(tmp_path)


def test_the_interval_is_that_of_the_mean():
    assert interval([0.0, 1.0] * 50) == "0.500  (95 % interval 0.400 to 0.600)"
    assert interval([0.0, 1.0, 2.0]) == "1.000  (95 % interval -1.484 to 3.484)"  # t: 4.303
    assert "no interval" in interval([1.0])


@pytest.mark.parametrize(
    ("won", "of", "text"),
    [
        (0, 32, "0.000  (95 % interval 0.000 to 0.107)"),
        (32, 32, "1.000  (95 % interval 0.893 to 1.000)"),
        (1, 2, "0.500  (95 % interval 0.095 to 0.905)"),
        (1, 1, "1.000  (95 % interval 0.207 to 1.000)"),
    ],
)
def test_win_rates_have_wilsons_interval(won, of, text):
    """Its ends: p = 0 of 32 reach to z^2 / (32 + z^2) = 3.84 / 35.84."""
    assert win_interval([True] * won + [False] * (of - won)) == text

"""Which checkpoint a path means, and the interval of a mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from rllib_mmsa.command.evaluate import interval, locate
from rllib_mmsa.errors import ConfigError


def make_checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "class_and_ctor_args.pkl").write_bytes(b"")
    return folder


def test_a_checkpoint_is_found_from_the_folders_above_it(tmp_path):
    make_checkpoint(tmp_path / "trial" / "checkpoint_000009")
    newest = make_checkpoint(tmp_path / "trial" / "checkpoint_000010")
    for path in (newest, newest.parent, tmp_path):
        assert locate(path) == newest


def test_what_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        locate(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="is empty"):
        locate(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is not a directory"):
        locate(tmp_path / "file")
    with pytest.raises(ConfigError, match="holds no checkpoint"):
        locate(tmp_path)
    for trial in "ab":
        make_checkpoint(tmp_path / trial / "checkpoint_000000")
    with pytest.raises(ConfigError, match="holds 2 trials"):
        locate(tmp_path)


def test_the_interval_is_that_of_the_mean():
    assert interval([0.0, 1.0] * 50) == "0.500  (95 % interval 0.402 to 0.598)"
    assert "no interval" in interval([1.0])

"""Whether a checkpoint is whole: what a kill, a full disk or a power cut leaves is not."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from rllib_mmsa import whole
from tests.checkpoints import make_checkpoint

OLDER = Path(__file__).parents[1] / "data" / "older_version"
FILES = ["class_and_ctor_args.pkl", "algorithm_state.pkl", "rllib_checkpoint.json"]


@pytest.fixture(params=["mmsa", "qmix"])
def older(request, tmp_path) -> Path:
    """A checkpoint of a version that did not say of what it consists."""
    with tarfile.open(OLDER / f"{request.param}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    (found,) = tmp_path.glob("*/*/checkpoint_000001")
    return found


def test_a_checkpoint_as_it_was_written_is_whole(tmp_path):
    assert whole.damage(make_checkpoint(tmp_path / "c")) is None
    shutil.copytree(tmp_path / "c", tmp_path / "copy")
    assert whole.damage(tmp_path / "copy") is None


@pytest.mark.parametrize("name", FILES)
def test_each_file_counts(tmp_path, name):
    checkpoint = make_checkpoint(tmp_path / "c")
    content = (checkpoint / name).read_bytes()
    (checkpoint / name).write_bytes(content[:-1])
    assert whole.damage(checkpoint) == f"{name} has {len(content) - 1} of its {len(content)} bytes"
    (checkpoint / name).unlink()
    assert whole.damage(checkpoint) == f"{name} is missing"


def test_zeros_after_a_power_cut_are_no_pickle(tmp_path):
    checkpoint = make_checkpoint(tmp_path / "c")
    state = checkpoint / "algorithm_state.pkl"
    state.write_bytes(bytes(state.stat().st_size))
    assert whole.damage(checkpoint) == "algorithm_state.pkl is cut off"


@pytest.mark.parametrize(
    "said", [b"", b'{"files": {"algorithm_st', b"\0" * 80, b"{}", b"[]", b"\xff"]
)
def test_what_it_says_must_be_whole_too(tmp_path, said):
    checkpoint = make_checkpoint(tmp_path / "c")
    (checkpoint / whole.COMPLETE).write_bytes(said)
    assert whole.damage(checkpoint) == "complete.json cannot be read"
    assert whole.saved_result(checkpoint) == {}


def test_only_a_part_can_be_asked_for(tmp_path):
    checkpoint = make_checkpoint(tmp_path / "c")
    (checkpoint / "algorithm_state.pkl").unlink()
    assert whole.damage(checkpoint, whole.MODULE_FOLDER) is None
    shutil.rmtree(checkpoint / whole.MODULE_FOLDER)
    assert "is missing" in whole.damage(checkpoint, whole.MODULE_FOLDER)


def test_an_empty_folder_is_not_whole(tmp_path):
    assert whole.damage(tmp_path) == "rllib_checkpoint.json is missing"


def test_the_result_is_saved_without_the_settings(tmp_path):
    result = {"a": np.float32(0.5), "b": {"c": np.array([1, 2])}, "config": {"lr": 1}}
    whole.mark(tmp_path, result)
    assert whole.saved_result(tmp_path) == {"a": 0.5, "b": {"c": "[1 2]"}}
    assert json.loads((tmp_path / whole.COMPLETE).read_text())["files"] == {}


def test_an_older_checkpoint_is_whole(older):
    assert whole.damage(older) is None
    assert whole.saved_result(older) == {}


def test_each_file_of_an_older_checkpoint_counts(older):
    files = [path for path in sorted(older.rglob("*")) if path.is_file()]
    assert len(files) == 24
    for path in files:
        content = path.read_bytes()
        path.unlink()
        assert "is missing" in whole.damage(older), path
        path.write_bytes(content)
    for path in older.rglob("*.pkl"):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        assert "is cut off" in whole.damage(older), path
        path.write_bytes(content)


@pytest.mark.parametrize(
    "folder", ["env_runner", "learner_group", whole.MODULES, whole.MODULE_FOLDER]
)
def test_a_folder_of_an_older_checkpoint_that_was_deleted_first(older, folder):
    shutil.rmtree(older / folder)
    assert "is missing" in whole.damage(older)

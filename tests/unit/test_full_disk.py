"""A full disk and a folder that cannot be written are said in words."""

from __future__ import annotations

import dataclasses
import errno
import os
import pickle
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.exceptions import RayTaskError

from rllib_mmsa.command.experiment import storage, structure
from rllib_mmsa.command.run import full_disk
from rllib_mmsa.errors import ConfigError


def mounted(place: Path, options: str) -> Iterator[Path]:
    """A small file system of its own, where this user may mount one."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    yield from mounted(tmp_path / "small", "size=64k")


@pytest.fixture
def read_only(tmp_path) -> Iterator[Path]:
    yield from mounted(tmp_path / "read_only", "size=64k,ro")


def experiment(place: Path):
    entry = {"run": "QMIX", "env": "two_step", "storage_path": str(place)}
    return structure.parse_experiment("tiny", entry)


def no_space() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def caused() -> BaseException:
    try:
        try:
            raise no_space()
        except OSError as err:
            raise RuntimeError("callback failed") from err
    except RuntimeError as err:
        return err


@pytest.mark.parametrize(
    "error",
    [
        no_space(),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        caused(),
        RayTaskError("save", "OSError: [errno 28] No space left on device", no_space()),
        RuntimeError("task failed: [Errno 28] No space left on device"),
    ],
)
def test_a_full_disk_is_seen_behind_what_it_causes(error):
    assert full_disk.is_cause(error)


@pytest.mark.parametrize("error", [None, OSError(errno.EACCES, "no"), ValueError("x")])
def test_other_errors_are_not_a_full_disk(error):
    assert not full_disk.is_cause(error)


@pytest.mark.parametrize("kept", [0, 20])
def test_an_exception_that_a_full_disk_cut_off(tmp_path, kept):
    file = tmp_path / "trial" / "error.pkl"
    file.parent.mkdir()
    file.write_bytes(pickle.dumps(ValueError("a long enough message"))[:kept])
    with pytest.raises((EOFError, pickle.UnpicklingError)) as raised:
        pickle.loads(file.read_bytes())
    assert full_disk.cut_off(raised.value, tmp_path)
    assert not full_disk.cut_off(ValueError("other"), tmp_path)


def test_an_exception_that_is_whole_is_no_full_disk(tmp_path):
    file = tmp_path / "trial" / "error.pkl"
    file.parent.mkdir()
    file.write_bytes(pickle.dumps(ValueError("whole")))
    assert not full_disk.cut_off(EOFError("Ran out of input"), tmp_path)


def test_the_disk_that_is_full_is_named(small_disk):
    assert f"no space left on '{small_disk}' (0 MB free)" in full_disk.message(small_disk)


def test_results_can_go_to_a_folder_that_is_still_to_be_made(tmp_path):
    storage.check_writable(experiment(tmp_path / "a" / "b"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inside", ["", "below"])
def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path, inside):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file' is a file; name another folder with --storage-"):
        storage.check_writable(experiment(tmp_path / "file" / inside))
    (tmp_path / "tiny").touch()
    with pytest.raises(ConfigError, match="tiny' is a file"):
        storage.check_writable(experiment(tmp_path))


@pytest.mark.parametrize("inside", ["", "a/b"])
def test_a_read_only_folder_is_refused(read_only, inside):
    with pytest.raises(ConfigError, match="tiny': Read-only file system; name another folder"):
        storage.check_writable(experiment(read_only / inside))


def test_a_full_disk_is_refused(small_disk):
    with pytest.raises(OSError, match="No space"), (small_disk / "fill").open("wb") as file:
        file.write(bytes(100_000))
    with pytest.raises(ConfigError, match="No space left on device; make room there, or name"):
        storage.check_writable(experiment(small_disk))


def test_a_remote_place_is_not_looked_at(tmp_path):
    (tmp_path / "file").touch()
    remote = dataclasses.replace(experiment(tmp_path), storage_path="s3://bucket/file")
    storage.check_writable(remote)

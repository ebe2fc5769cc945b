"""A checkpoint's path may be relative, a pathlib one, a URI, and have spaces in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem
from ray import tune
from ray.rllib.algorithms.algorithm import Algorithm

from rllib_mmsa import MMSA, QMIX, whole
from tests.algorithms import build

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def trained(ray_session):
    algorithm = build("QMIX")
    algorithm.train()
    yield algorithm
    algorithm.stop()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


FORMS = {
    "relative": lambda folder: folder.name,
    "relative pathlib": lambda folder: Path(folder.name),
    "dotted": lambda folder: f"./{folder.name}",
    "absolute": str,
    "pathlib": lambda folder: folder,
    "URI": lambda folder: folder.as_uri(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["saved", "two words"])
def test_every_form_names_the_same_folder(trained, here, form, name):
    if form == "URI" and " " in name:
        pytest.skip("a URI has no spaces")
    folder = here / name
    path = FORMS[form](folder)
    assert trained.save_to_path(path) == str(folder)
    assert whole.damage(folder) is None
    trained.restore_from_path(path)
    trained.restore(path)
    assert trained.iteration == 1
    if form != "URI":  # Tune makes a folder
        assert trained.save(path).checkpoint.path == str(folder)


@pytest.mark.parametrize("form", ["relative", "relative pathlib", "absolute", "pathlib"])
def test_an_algorithm_is_made_from_every_form(trained, here, form):
    folder = here / "saved"
    trained.save_to_path(folder)
    made = QMIX.from_checkpoint(FORMS[form](folder))
    assert type(made) is QMIX and made.iteration == 1
    made.stop()


def test_rllib_s_own_class_and_tune_s_checkpoints_make_it_too(trained, here):
    trained.save_to_path("saved")
    made = Algorithm.from_checkpoint(here / "saved")  # RLlib's own takes no relative path
    assert type(made) is QMIX
    made.restore(tune.Checkpoint(str(here / "saved")))
    made.restore(made.save())
    made.stop()
    again = QMIX.from_checkpoint(tune.Checkpoint(str(here / "saved")))
    assert again.iteration == 1
    again.stop()
    with pytest.raises(ValueError, match="QMIX.*not seem to be a subclass of .*MMSA"):
        MMSA.from_checkpoint("saved")


def test_the_home_folder_may_be_meant(trained, here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    assert trained.save_to_path("~/saved") == str(here / "saved")


def test_another_file_system_is_taken_as_it_is(trained, here):
    below = SubTreeFileSystem(str(here), LocalFileSystem())
    assert trained.save_to_path("some/saved", filesystem=below) == "some/saved"
    assert (here / "some/saved" / whole.CLASS_FILE).exists()
    assert not Path("/some/saved").exists()
    assert trained.save_to_path("/saved", filesystem=below) == "/saved"
    assert not Path("/saved").exists()


def test_a_folder_that_is_not_there_is_said(trained, here):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        trained.restore_from_path("nowhere")
    with pytest.raises(ValueError, match="nowhere"):
        QMIX.from_checkpoint("nowhere")

"""A checkpoint says who wrote it, is bound to no Python, and is refused in words where it is."""

from __future__ import annotations

import json
import pickle
import platform
import re
import shutil
from pathlib import Path

import pytest
import ray
from ray import cloudpickle
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.tune import grid_search
from ray.tune.search import BasicVariantGenerator

from rllib_mmsa import QMIX, origin, whole
from rllib_mmsa.command import evaluate
from rllib_mmsa.command.run import recover, search_state
from rllib_mmsa.errors import ConfigError
from tests.algorithms import build
from tests.checkpoints import make_checkpoint

OTHER = "3.10.4" if not platform.python_version().startswith("3.10.") else "3.12.1"
MINOR = OTHER.rpartition(".")[0]


def written_by(checkpoint: Path, **changes: object) -> Path:
    """Change what a checkpoint says of who wrote it."""
    said = whole._said(checkpoint)
    whole._write(checkpoint, {**said, "written_by": {**said["written_by"], **changes}})
    return checkpoint


@pytest.fixture(scope="module")
def saved(ray_session, tmp_path_factory) -> Path:
    algorithm = build("QMIX")
    algorithm.train()
    folder = Path(algorithm.save_to_path(tmp_path_factory.mktemp("saved") / "checkpoint_000000"))
    algorithm.stop()
    return folder


@pytest.fixture
def copied(saved, tmp_path) -> Path:
    """A checkpoint that may be changed."""
    return Path(shutil.copytree(saved, tmp_path / "trial" / saved.name))


@pytest.fixture
def with_code(ray_session, tmp_path) -> Path:
    """A checkpoint with a lambda among its callbacks."""
    config = build("QMIX", callbacks=RLlibCallback).config.copy(copy_frozen=False)
    algorithm = config.callbacks(on_episode_end=lambda **kwargs: None).build_algo()
    algorithm.save_to_path(tmp_path / "code")
    algorithm.stop()
    return tmp_path / "code"


def test_it_says_who_wrote_it(saved):
    said = json.loads((saved / "complete.json").read_text())["written_by"]
    assert said["format"] == whole.FORMAT == 1
    assert said["python"] == platform.python_version()
    assert said["ray"] == ray.__version__ and said["version"][0].isdigit()


def test_a_newer_format_is_refused_with_the_version_that_wrote_it(copied):
    written_by(copied, format=2, version="7.1.0", ray="2.99.0")
    words = (
        r"has format 2, and this version, .*, reads up to 1\. .*rllib-mmsa 7\.1\.0 with .* 2\.99"
    )
    with pytest.raises(ConfigError, match=words):
        QMIX.from_checkpoint(copied)
    algorithm = build("QMIX")
    with pytest.raises(ConfigError, match=words):
        algorithm.restore_from_path(copied)
    algorithm.stop()
    with pytest.raises(ConfigError, match=words):
        evaluate.read_config(copied)


def test_a_run_of_a_newer_format_is_left_as_it_is(copied):
    """Nothing of it passes for damaged, and nothing is removed."""
    whole._write(copied, {"written_by": {**whole.here(), "format": 2}, "files_as_of_tomorrow": []})
    with pytest.raises(ConfigError, match="format 2"):
        recover.prepare(copied.parent.parent)
    assert (copied / whole.CLASS_FILE).exists()


@pytest.mark.parametrize("said", [{}, [], 7, {"format": "2"}, {"format": 2}, {"python": 3}])
def test_one_that_does_not_say_it_is_an_older_version_s(tmp_path, said):
    checkpoint = make_checkpoint(tmp_path / "c")
    whole._write(checkpoint, {**whole._said(checkpoint), "written_by": said})
    assert whole.written_by(checkpoint) == {}
    origin.refuse_newer(checkpoint)
    origin.refuse_code(checkpoint, [checkpoint / whole.CLASS_FILE])


def test_every_python_reads_what_is_saved_by_its_name(copied):
    written_by(copied, python=OTHER)
    assert evaluate.read_config(copied)[0] == "QMIX"
    algorithm = QMIX.from_checkpoint(copied)
    assert algorithm.iteration == 1
    algorithm.stop()


def test_no_pickle_that_is_opened_holds_code(saved):
    holding = [path for path in saved.rglob("*.pkl") if origin._has_code(path)]
    assert not holding


def test_an_actor_s_class_is_saved_by_its_name(ray_session, tmp_path):
    """Ray makes a class of its own for an actor, as Tune's trials are."""
    config = build("QMIX").config
    actor = ray.remote(QMIX).remote(config=config)
    folder = Path(ray.get(actor.save_to_path.remote(str(tmp_path / "saved"))))
    ray.kill(actor)
    assert not origin._has_code(folder / whole.CLASS_FILE)
    assert origin.load_class(folder)[0] is QMIX
    assert whole.damage(folder) is None and whole.is_own(folder)


def test_code_is_read_by_its_own_python_alone(with_code):
    algorithm = QMIX.from_checkpoint(with_code)
    algorithm.stop()
    written_by(with_code, python=OTHER)
    for open_it in (QMIX.from_checkpoint, evaluate.read_config):
        with pytest.raises(ConfigError, match=f"code of Python {MINOR}.*lambda.*Open it with"):
            open_it(with_code)
    algorithm = build("QMIX")
    algorithm.restore_from_path(with_code)  # which opens nothing that has code
    algorithm.stop()


def test_code_in_tune_s_state_is_refused_as_well(copied):
    experiment = copied.parent.parent
    state = experiment / "experiment_state-2026-01-01_00-00-00.json"
    state.write_text(json.dumps({"value": cloudpickle.dumps(lambda: 1).hex()}))
    origin.refuse_code(copied, [state])
    written_by(copied, python=OTHER)
    with pytest.raises(ConfigError, match=f"{state.name}' holds code of Python {MINOR}"):
        recover.prepare(experiment)
    assert state.exists()


def test_what_cannot_be_unpickled_is_said_with_the_versions(copied):
    (copied / whole.CLASS_FILE).write_bytes(b"cnowhere_to_be_found\nThing\n.")
    for open_it in (QMIX.from_checkpoint, evaluate.read_config):
        with pytest.raises(ConfigError, match="nowhere_to_be_found.*written by.*importable"):
            open_it(copied)
    (copied / whole.CLASS_FILE).write_bytes(pickle.dumps({"class": QMIX}))
    with pytest.raises(ConfigError, match="KeyError.*written by rllib-mmsa"):
        evaluate.read_config(copied)


def test_a_grid_s_state_is_read_by_every_python(tmp_path):
    """Tune saves a parser in it, whose function would be code of one Python."""
    grid = BasicVariantGenerator()
    grid.add_configurations({"a": {"run": "QMIX", "config": {"lr": grid_search([1, 2])}}})
    assert grid.next_trial().config["lr"] == 1
    grid.save_to_dir(str(tmp_path), "now")
    (file,) = tmp_path.iterdir()
    assert file.name.startswith(search_state.KIND) and origin._has_code(file)
    code = re.compile(rb"_make_function.{1,200}CodeType", re.S)
    assert code.search(file.read_bytes())
    file.write_bytes(code.sub(lambda found: found[0].replace(b"CodeType", b"OtherTyp"),
                              file.read_bytes()))  # fmt: skip
    with pytest.raises(Exception, match="OtherTyp"):
        pickle.loads(file.read_bytes())
    file.write_bytes(search_state.portable(file.read_bytes()))
    again = BasicVariantGenerator()
    again.restore_from_dir(str(tmp_path))
    assert again.next_trial().config["lr"] == 2
    assert again.next_trial() is None


@pytest.mark.parametrize("own", [lambda: 1, type("Own", (), {"__module__": "__main__"})])
def test_a_user_s_function_in_a_grid_s_state_is_no_parser_s(own):
    assert search_state.portable(cloudpickle.dumps({"_iterators": [], "own": own})) is None
    assert search_state.portable(b"half a pickle") is None

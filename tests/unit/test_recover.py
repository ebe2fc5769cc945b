"""What Tune will read of a killed run is made to agree with what is there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from ray.tune.utils.serialization import TuneFunctionDecoder

from rllib_mmsa import whole
from rllib_mmsa.command.checkpoints import locate, numbered
from rllib_mmsa.command.run import recover, state
from rllib_mmsa.errors import ConfigError
from tests.smoke.test_cli import TINY, rllib, tiny_file

# The states here are written and edited by the tests, not by a run of the user's.
pytestmark = pytest.mark.usefixtures("trusted")

ITERATIONS = 6


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The results of a real run: checkpoints at the iterations 2, 4 and 6."""
    folder = tmp_path_factory.mktemp("run")
    tiny_file(
        folder,
        stop={"training_iteration": ITERATIONS},
        checkpoint_config={"checkpoint_frequency": 2, "num_to_keep": 3},
        config=TINY,
    )
    done = rllib(folder, "train", "file", "f.yaml", "--storage-path", str(folder))
    assert done.returncode == 0, done.stderr
    return folder / "tiny"


@pytest.fixture
def killed(finished, tmp_path) -> Path:
    """The same run as if it had been killed after its last iteration, in another place."""
    folder = tmp_path / "tiny"
    shutil.copytree(finished, folder)
    edit(folder, status="RUNNING", stop=2 * ITERATIONS)
    return folder


def state_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("experiment_state-*.json"))


def edit(folder: Path, *, status: str | None = None, stop: int | None = None) -> None:
    """Change what the state says of the trial, in every copy of it."""
    for path in [*state_files(folder), *state_files(folder / state.BACKUP)]:
        content = json.loads(path.read_text())
        trial = json.loads(content["trial_data"][0][0])
        trial["status"] = status or trial["status"]
        trial["stopping_criterion"] = {"training_iteration": stop} if stop else {}
        content["trial_data"][0][0] = json.dumps(trial)
        path.write_text(json.dumps(content))


def said(folder: Path) -> tuple[dict, list[str], str | None, int]:
    """The state's trial, the names of its checkpoints, of its latest, and its iteration."""
    (path,) = state_files(folder)
    pair = json.loads(path.read_text())["trial_data"][0]
    trial, about = (json.loads(t, cls=TuneFunctionDecoder, allow_cloudpickle=True) for t in pair)
    manager = about["checkpoint_manager"]
    latest = manager._latest_checkpoint_result
    names = [Path(each.checkpoint.path).name for each in manager._checkpoint_results]
    iteration = latest.metrics["training_iteration"] if latest else 0
    return trial, names, latest and Path(latest.checkpoint.path).name, iteration


def trial_folder(folder: Path) -> Path:
    (found,) = (path.parent for path in folder.glob("*/result.json"))
    return found


def checkpoint(folder: Path, number: int) -> Path:
    return numbered(trial_folder(folder))[number]


def name(number: int) -> str:
    return f"checkpoint_{number:06}"


def test_a_run_keeps_whole_copies_of_its_state(finished):
    (path,) = state_files(finished)
    copy = finished / state.BACKUP / path.name
    assert json.loads(copy.read_text())["trial_data"]
    assert (
        finished / state.BACKUP / path.name.replace("experiment_state", "basic-variant-state")
    ).exists()


def test_checkpoints_of_a_run_say_of_what_they_consist(finished):
    for number, iteration in enumerate((2, 4, 6)):
        found = checkpoint(finished, number)
        assert whole.damage(found) is None
        assert whole.saved_result(found)["training_iteration"] == iteration
        assert whole.saved_result(found)["env_runners"]["episode_return_mean"] > 0


def test_a_whole_run_goes_on_where_it_was(killed):
    recover.prepare(killed)
    trial, names, latest, iteration = said(killed)
    assert (names, latest, iteration) == ([name(0), name(1), name(2)], name(2), 6)
    assert trial["status"] == "RUNNING" and trial["storage"].current_checkpoint_index == 2
    assert [path.name for path in state_files(killed)] == ["experiment_state-0-repaired.json"]
    assert [path.name for path in killed.glob("basic-variant-state-*")] == [
        "basic-variant-state-0-repaired.json"
    ]
    recover.prepare(killed)  # once more changes nothing
    assert said(killed)[1:] == (names, latest, iteration)


def test_a_checkpoint_that_is_gone_is_passed_over(killed):
    shutil.rmtree(checkpoint(killed, 2))
    recover.prepare(killed)
    trial, names, latest, iteration = said(killed)
    assert (names, latest, iteration) == ([name(0), name(1)], name(1), 4)
    assert trial["storage"].current_checkpoint_index == 2


@pytest.mark.parametrize("part", ["algorithm_state.pkl", whole.COMPLETE, whole.CLASS_FILE])
def test_half_a_checkpoint_is_passed_over_and_removed(killed, part):
    damaged = checkpoint(killed, 2)
    (damaged / part).write_bytes((damaged / part).read_bytes()[:-30])
    recover.prepare(killed)
    assert said(killed)[1:] == ([name(0), name(1)], name(1), 4)
    assert not damaged.exists()
    assert locate(killed).name == name(1)


def test_a_newer_checkpoint_than_the_state_knows_is_taken(killed):
    newer = trial_folder(killed) / name(3)
    shutil.copytree(checkpoint(killed, 2), newer)
    whole.mark(newer, {"training_iteration": 8, "time_total_s": 9.0})
    recover.prepare(killed)
    trial, names, latest, iteration = said(killed)
    assert (names, latest, iteration) == ([name(0), name(1), name(2), name(3)], name(3), 8)
    assert trial["storage"].current_checkpoint_index == 3


def test_one_of_an_older_version_is_taken_with_its_row_of_the_log(killed):
    newer = trial_folder(killed) / name(3)
    shutil.copytree(checkpoint(killed, 2), newer)
    (newer / whole.COMPLETE).unlink()
    recover.prepare(killed)
    assert said(killed)[2:] == (name(3), 6)


def test_a_decision_that_waited_for_a_save_is_forgotten(killed):
    (path,) = state_files(killed)
    content = json.loads(path.read_text())
    (trial,) = (json.loads(pair[0])["trial_id"] for pair in content["trial_data"])
    content["runner_data"]["_cached_trial_decisions"] = {trial: "STOP"}
    path.write_text(json.dumps(content))
    recover.prepare(killed)
    (path,) = state_files(killed)
    assert json.loads(path.read_text())["runner_data"]["_cached_trial_decisions"] == {}


def test_a_trial_that_had_reached_its_end_has_ended(killed):
    edit(killed, stop=ITERATIONS)
    recover.prepare(killed)
    assert said(killed)[0]["status"] == "TERMINATED"


def test_without_any_checkpoint_the_run_is_not_begun_anew(killed):
    for path in numbered(trial_folder(killed)).values():
        (path / "algorithm_state.pkl").write_bytes(b"")
    before = {path: path.read_bytes() for path in killed.rglob("*.*") if path.is_file()}
    with pytest.raises(ConfigError, match="no whole checkpoint is left in .*begin anew without"):
        recover.prepare(killed)
    assert all(path.read_bytes() == content for path, content in before.items())


TORN = [b"", b"{", b'{"trial_data": [["', b"\0" * 4096, b'{"trial_data": [], "runner_data": {}}']


@pytest.mark.parametrize("torn", TORN)
def test_a_torn_state_is_read_from_its_copy(killed, torn):
    (path,) = state_files(killed)
    path.write_bytes(torn)
    killed.joinpath(path.name.replace("experiment_state", "basic-variant-state")).write_bytes(torn)
    (killed / "tuner.pkl").rename(killed / state.BACKUP / "tuner.pkl")
    recover.prepare(killed)
    assert said(killed)[2:] == (name(2), 6)
    assert whole.ends_as_a_pickle(killed / "basic-variant-state-0-repaired.json")
    assert whole.ends_as_a_pickle(killed / "tuner.pkl")


@pytest.mark.parametrize("torn", TORN)
def test_a_torn_state_gives_way_to_the_one_before_it(killed, torn):
    recover.prepare(killed)
    for path in (killed, killed / state.BACKUP):
        (path / "experiment_state-2026-01-01_00-00-00.json").write_bytes(torn)
    recover.prepare(killed)
    assert said(killed)[2:] == (name(2), 6)


@pytest.mark.parametrize("torn", TORN)
def test_no_state_at_all_is_said_in_words(killed, torn):
    for path in [*state_files(killed), *state_files(killed / state.BACKUP)]:
        path.write_bytes(torn)
    with pytest.raises(ConfigError, match="cannot be read, nor a copy of it.*--restore"):
        recover.prepare(killed)
    assert (killed / "tuner.pkl").exists()


@pytest.mark.parametrize("name", ["tuner.pkl", "basic-variant-state-*.json"])
def test_what_tune_needs_beside_the_state_is_missed_in_words(killed, name):
    for path in killed.rglob(name):
        path.write_bytes(b"\x80")
    with pytest.raises(ConfigError, match=r"is damaged, and there is no copy of it"):
        recover.prepare(killed)
    assert len(state_files(killed)) == 1 and "repaired" not in state_files(killed)[0].name


def test_what_a_scheduler_had_seen_may_be_missed(killed, capsys):
    (killed / "callback-states-x.pkl").write_bytes(b"")
    (path,) = state_files(killed)
    (
        killed / path.name.replace("experiment_state", "callback-states").replace("json", "pkl")
    ).touch()
    recover.prepare(killed)
    assert "is damaged and left out" in capsys.readouterr().err
    assert not list(killed.glob("callback-states-*"))


def test_a_state_of_a_clock_that_was_set_back_is_the_newer_one(killed):
    recover.prepare(killed)
    (path,) = state_files(killed)
    content = json.loads(path.read_text())
    content["stats"] = {"start_time": 1.0}
    (killed / "experiment_state-1999-01-01_00-00-00.json").write_text(json.dumps(content))
    recover.prepare(killed)
    assert json.loads(state_files(killed)[0].read_text())["stats"] == {"start_time": 1.0}


def test_of_states_of_an_earlier_version_the_further_one_is_newer(killed, finished):
    (path,) = state_files(killed)
    content = json.loads(path.read_text())
    early = json.loads(content["trial_data"][0][1])
    early["last_result"] = {"training_iteration": 1}
    content["trial_data"][0][1] = json.dumps(early)
    (killed / "experiment_state-2999-01-01_00-00-00.json").write_text(json.dumps(content))
    assert state.newest(killed).session == path.name.split("-", 1)[1].removesuffix(".json")


def test_a_run_that_had_saved_nothing_begins_anew(tmp_path, capsys):
    (tmp_path / "tuner.pkl").write_bytes(b"\x80.")
    (tmp_path / "experiment_state-2026-01-01_00-00-00.json").write_bytes(b"")
    (tmp_path / "experiment.yaml").write_text("{}")
    recover.prepare(tmp_path)
    assert "had saved nothing yet" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["experiment.yaml"]
    recover.prepare(tmp_path / "never_run")


def test_a_kill_between_two_writes_is_mended_by_the_next_resume(killed, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(*args: object, **kwargs: object) -> None:
        raise Killed

    (path,) = state_files(killed)
    monkeypatch.setattr(state, "remove", kill)
    with pytest.raises(Killed):
        recover.prepare(killed)
    assert len(state_files(killed)) == 2
    monkeypatch.undo()
    recover.prepare(killed)
    assert said(killed)[2:] == (name(2), 6) and not path.exists()

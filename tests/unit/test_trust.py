"""A stranger's pickles are opened when the user says so, and his own without a question."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import stat

import pytest
from typer.testing import CliRunner

from rllib_mmsa import seal, whole
from rllib_mmsa.command import absolute, checkpoints, evaluate, trust
from rllib_mmsa.command.cli import app
from rllib_mmsa.command.experiment.structure import parse_experiment
from rllib_mmsa.command.run import beginning, recover, sealed, state
from rllib_mmsa.errors import ConfigError
from tests.algorithms import build
from tests.checkpoints import make_checkpoint
from tests.unit.test_team import Hostile

REFUSED = "was not written by you on this machine.*runs whatever code.*add --trust"


@pytest.fixture(autouse=True)
def own_key(monkeypatch, tmp_path):
    monkeypatch.setenv(seal.VARIABLE, str(tmp_path / "config" / "key"))
    monkeypatch.delenv(trust.VARIABLE, raising=False)


@pytest.fixture
def checkpoint(tmp_path):
    return make_checkpoint(tmp_path / "results" / "trial" / "checkpoint_000000")


def hostile(checkpoint):
    """Every pickle is a stranger's, and the checkpoint is whole."""
    for path in checkpoint.rglob("*.pkl"):
        path.write_bytes(pickle.dumps(Hostile()))
    sealed = whole._said(checkpoint)["seal"]
    whole.mark(checkpoint, None)
    whole._write(checkpoint, {**whole._said(checkpoint), "seal": sealed})


def test_what_the_user_saved_is_his_own(ray_session, tmp_path):
    algorithm = build("QMIX")
    algorithm.save_to_path(str(tmp_path / "saved"))
    algorithm.stop()
    moved = shutil.move(tmp_path / "saved", tmp_path / "elsewhere")
    trust.require(tmp_path / "elsewhere")
    assert evaluate.with_pickles(moved).algorithm == "QMIX"
    key = seal.key_file()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and list(key.parent.iterdir()) == [key]


def test_any_other_pickle_is_a_stranger_s(checkpoint):
    whole.mark(checkpoint, None)
    trust.require(checkpoint)
    (checkpoint / "more.pkl").write_bytes(b"")
    with pytest.raises(ConfigError, match=REFUSED):
        trust.require(checkpoint)
    (checkpoint / "more.pkl").rename(checkpoint / "more.txt")
    trust.require(checkpoint)
    seal.key_file().unlink()  # on another machine
    with pytest.raises(ConfigError, match=REFUSED):
        trust.require(checkpoint)


@pytest.mark.parametrize(
    "said", [b"", b"[]", b'{"files": {}}', b'{"files": {}, "seal": 7}', b'{"seal": "0"}']
)
def test_a_checkpoint_that_says_nothing_of_it_is_a_stranger_s(checkpoint, said):
    (checkpoint / whole.COMPLETE).write_bytes(said)
    with pytest.raises(ConfigError, match=REFUSED):
        trust.require(checkpoint)
    (checkpoint / whole.COMPLETE).unlink()
    with pytest.raises(ConfigError, match=REFUSED):
        trust.require(checkpoint)


def test_no_stranger_s_pickle_runs_before_the_question(checkpoint, capsys):
    whole.mark(checkpoint, None)
    hostile(checkpoint)
    trial, experiment = checkpoint.parent, checkpoint.parent.parent
    (experiment / "experiment.yaml").write_text(
        f"results: {{run: QMIX, env: lbf, import: [{experiment / 'theirs.py'}]}}"
    )
    (experiment / "theirs.py").write_text("print('this ran')")
    shutil.copytree(checkpoint, trial / "checkpoint_000001")  # two: --absolute chooses
    (trial / "result.json").touch()
    for command in (
        ["evaluate", str(checkpoint)],
        ["evaluate", str(experiment), "--absolute"],
        ["imagine", str(checkpoint)],
        ["train", "resume", str(experiment)],
    ):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 2 and "add --trust" in done.output, (command, done.output)
        assert "this ran" not in done.output + capsys.readouterr().out
    new = {"run": "QMIX", "env": "two_step", "restore": str(checkpoint)}
    with pytest.raises(ConfigError, match=f"new: restore: .*{REFUSED}"):
        beginning.with_checkpoint(parse_experiment("new", new))
    assert "this ran" not in capsys.readouterr().out


HOSTILE = pickle.dumps(Hostile())
IN_JSON = json.dumps({"_type": "CLOUDPICKLE_FALLBACK", "value": HOSTILE.hex()})
#: What a stranger may put into Tune's state: file name -> content.
STATES = {
    "tuner.pkl": HOSTILE,
    "experiment_state-2026-01-01_00-00-00.json": json.dumps(
        {"trial_data": [[IN_JSON, IN_JSON]], "runner_data": {"x": 1}}
    ).encode(),
    "basic-variant-state-2026-01-01_00-00-00.json": IN_JSON.encode(),
    "search_gen_state-2026-01-01_00-00-00.json": IN_JSON.encode(),
    "searcher-state-2026-01-01_00-00-00.pkl": HOSTILE,
    "callback-states-2026-01-01_00-00-00.pkl": HOSTILE,
}


@pytest.fixture
def experiment(checkpoint):
    """A run whose checkpoint is the user's own, without Tune's state."""
    whole.mark(checkpoint, None)
    folder = checkpoint.parent.parent
    entry = {"run": "QMIX", "env": "two_step", "config": {}, "stop": {"training_iteration": 1}}
    (folder / "experiment.yaml").write_text(json.dumps({"results": entry}))
    return folder


@pytest.mark.parametrize("place", [".", state.BACKUP])
@pytest.mark.parametrize("name", STATES)
def test_no_stranger_s_state_of_tune_s_runs_before_the_question(experiment, capsys, name, place):
    (experiment / place).mkdir(exist_ok=True)
    (experiment / place / name).write_bytes(STATES[name])
    done = CliRunner().invoke(app, ["train", "resume", str(experiment)])
    assert done.exit_code == 2, done.output
    assert "was not written by a run of yours" in done.output and "add --trust" in done.output
    assert name in done.output
    assert "this ran" not in done.output + capsys.readouterr().out


def test_the_hostile_states_run_where_they_are_opened(experiment, capsys, monkeypatch):
    """Else the tests here would show nothing."""
    for name, content in STATES.items():
        (experiment / name).write_bytes(content)
    assert state.newest(experiment) is None
    assert "this ran" not in capsys.readouterr().out
    monkeypatch.setenv(trust.VARIABLE, "1")
    assert state.newest(experiment) is None
    assert "this ran" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("another", ["--dry-run"]),  # which takes speeds from all that is there
        ("results", ["--dry-run"]),
        ("results", []),
        ("results", ["--resume"]),
        ("results", ["--go-on"]),
    ],
)
def test_a_stranger_s_results_in_the_storage_folder_do_not_run(
    experiment, capsys, monkeypatch, options, name
):
    monkeypatch.setattr("ray.shutdown", lambda: None)  # the command's; other tests share this Ray
    for file, content in STATES.items():
        (experiment / file).write_bytes(content)
    file = experiment.parent / "file.yaml"
    file.write_text((experiment / "experiment.yaml").read_text().replace("results", name))
    command = ["train", "file", str(file), "--storage-path", str(experiment.parent), *options]
    done = CliRunner().invoke(app, command)
    assert "this ran" not in done.output + capsys.readouterr().out
    if options == ["--dry-run"]:
        assert done.exit_code == 0, done.output
    else:
        assert done.exit_code == 2 and "add --trust" in done.output, done.output


def test_a_stranger_s_file_beside_the_user_s_own_state_is_left_out(experiment, capsys):
    own = {"tuner.pkl": b"own.", "experiment_state-2026-02-02_00-00-00.json": b"{}"}
    sealed.note(experiment, own)
    for name, content in own.items():
        (experiment / name).write_bytes(content)
    hostile = "experiment_state-2026-01-01_00-00-00.json"
    (experiment / hostile).write_bytes(STATES[hostile])
    trust.require_run(experiment)
    assert f"{hostile}' was not written by a run of yours" in capsys.readouterr().err
    assert {path.name for path in state.files(experiment)} == {*own}
    (experiment / "tuner.pkl").write_bytes(HOSTILE)
    with pytest.raises(ConfigError, match="tuner.pkl' was not written by a run of yours"):
        trust.require_run(experiment)
    assert (experiment / "tuner.pkl").exists()


def test_a_run_that_was_killed_before_it_saved_anything_is_not_asked_about(tmp_path, capsys):
    """Its own state may not be sealed yet; nothing of it is opened."""
    for file, content in STATES.items():
        (tmp_path / file).write_bytes(content)
    trust.require_run(tmp_path)
    recover.prepare(tmp_path)
    assert not state.files(tmp_path) and "this ran" not in capsys.readouterr().out


def test_a_state_that_was_trusted_once_is_not_asked_about_again(experiment, monkeypatch):
    (experiment / "tuner.pkl").write_bytes(b"theirs.")
    monkeypatch.setenv(trust.VARIABLE, "1")
    trust.require_run(experiment)
    monkeypatch.delenv(trust.VARIABLE)
    trust.require_run(experiment)
    (experiment / "tuner.pkl").rename(experiment / "callback-states-x.pkl")  # another's place
    with pytest.raises(ConfigError, match="not written by a run of yours"):
        trust.require_run(experiment)


def test_seals_of_states_do_not_grow_without_end(experiment):
    for number in range(2 * sealed._MOST):
        sealed.note(experiment, {"tuner.pkl": str(number).encode()})
    assert len(sealed._known(experiment)) == sealed._MOST
    (experiment / "tuner.pkl").write_bytes(str(2 * sealed._MOST - 3).encode())
    trust.require_run(experiment)


def test_what_was_trusted_once_is_not_asked_about_again(checkpoint, monkeypatch):
    whole.mark(checkpoint, {"training_iteration": 3})
    seal.key_file().unlink()
    monkeypatch.setenv(trust.VARIABLE, "1")
    trust.require(checkpoint)
    monkeypatch.delenv(trust.VARIABLE)
    trust.require(checkpoint)
    assert whole.saved_result(checkpoint) == {"training_iteration": 3}
    assert whole.damage(checkpoint) is None


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_terminal_is_asked(checkpoint, monkeypatch, answer):
    seal.key_file().unlink()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr(trust.typer, "confirm", lambda text, err: answer == "y")
    if answer == "y":
        trust.require(checkpoint)
    else:
        with pytest.raises(ConfigError, match=REFUSED):
            trust.require(checkpoint)


def test_where_no_key_can_be_kept_nothing_breaks(checkpoint, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv(seal.VARIABLE, str(tmp_path / "file" / "key"))
    whole.mark(checkpoint, None)
    assert whole._said(checkpoint)["seal"] is None and whole.damage(checkpoint) is None
    with pytest.raises(ConfigError, match=REFUSED):
        trust.require(checkpoint)


def test_the_option_is_for_the_processes_below_as_well(monkeypatch):
    monkeypatch.setenv(trust.VARIABLE, "")
    trust.give(False)
    assert os.environ[trust.VARIABLE] == ""
    trust.give(True)
    assert os.environ[trust.VARIABLE] == "1"


def test_the_key_is_where_the_user_keeps_such_things(monkeypatch, tmp_path):
    monkeypatch.delenv(seal.VARIABLE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert seal.key_file() == tmp_path / "rllib-mmsa" / "key"


def test_an_older_checkpoint_s_steps_are_a_pickle(checkpoint):
    (checkpoint / checkpoints.STEPS_FILE).parent.mkdir(exist_ok=True)
    (checkpoint / checkpoints.STEPS_FILE).write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ConfigError, match=REFUSED):
        absolute._steps_of_older(checkpoint)

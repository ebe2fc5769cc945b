"""Which trial an experiment's folder means, where it has several."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rllib_mmsa.command.checkpoints import locate
from rllib_mmsa.command.trials import choose
from tests.checkpoints import make_checkpoint


def log(folder: Path, trial_id: str, *rows: dict, torn: str = "") -> Path:
    folder.mkdir(parents=True)
    lines = [json.dumps({"trial_id": trial_id, **row}) + "\n" for row in rows]
    (folder / "result.json").write_text("".join(lines) + torn)
    return folder


def test_the_newest_of_several_runs(tmp_path):
    new = log(tmp_path / "a", "fffff_00000", {"timestamp": 20, "test_return": 0.1})
    old = log(tmp_path / "b", "aaaaa_00000", {"timestamp": 10, "test_return": 0.9})
    found = choose([new, old])
    assert found is not None and found.folder == new
    assert found.why == "the newest of 2 runs"


def test_the_best_trial_of_a_search(tmp_path):
    trials = [
        log(tmp_path / "old", "aaaaa_00000", {"timestamp": 1, "test_return": 5.0}),
        log(tmp_path / "lr=1", "bbbbb_00000", {"timestamp": 9, "test_return": 0.2}),
        log(tmp_path / "lr=2", "bbbbb_00001", {"timestamp": 5, "test_return": 0.7}, torn='{"tr'),
        log(tmp_path / "lr=3", "bbbbb_00002", {"timestamp": 5}),
    ]
    found = choose(trials)
    assert found is not None and found.folder == trials[2]
    best = "the best of 3 trials by their latest test return (0.70)"
    assert found.why == f"{best} in the newest of 2 runs"
    only = choose(trials[1:])
    assert only is not None and only.why == best


def test_results_of_earlier_versions_have_the_test_where_it_was_made(tmp_path):
    test = {"evaluation": {"env_runners": {"episode_return_mean": 3.0}}}
    trials = [
        log(tmp_path / "a", "a1b2c_00000", {"timestamp": 1, **test}, {"timestamp": 2}),
        log(tmp_path / "b", "a1b2c_00001", {"timestamp": 3, "test_return": 1.0}),
    ]
    found = choose(trials)
    assert found is not None and found.folder == trials[0]


@pytest.mark.parametrize("rows", [[], [{"timestamp": 1}]])
def test_nothing_tells_them_apart(tmp_path, rows):
    trials = [log(tmp_path / name, f"a1b2c_0000{name}", *rows) for name in "01"]
    assert choose(trials) is None
    assert choose([tmp_path / "2"]) is None


def test_what_an_experiments_folder_means_is_said(tmp_path, capsys):
    for name, run, time in (("old", "aaaaa", 1), ("new", "bbbbb", 2)):
        trial = log(tmp_path / name, f"{run}_00000", {"timestamp": time, "test_return": 0.5})
        make_checkpoint(trial / "checkpoint_000000")
    assert locate(tmp_path) == tmp_path / "new" / "checkpoint_000000"
    said = capsys.readouterr().err
    assert said.startswith("note: this is new, the newest of 2 runs; ")
    assert "name another's folder to take that one" in said
    assert locate(tmp_path / "old") == tmp_path / "old" / "checkpoint_000000"
    assert not capsys.readouterr().err, "it was named"

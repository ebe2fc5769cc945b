"""result.json and progress.csv as a run writes them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pandas
from pyarrow.fs import LocalFileSystem

from rllib_mmsa.command.run.logs import CsvLog, JsonLog


class Trial(SimpleNamespace):
    """What the loggers read of Tune's trial."""

    __hash__ = object.__hash__

    def init_local_path(self) -> None:
        Path(self.local_path).mkdir(parents=True, exist_ok=True)


def trial(tmp_path: Path) -> Trial:
    storage = SimpleNamespace(
        storage_filesystem=LocalFileSystem(), trial_fs_path=str(tmp_path / "results")
    )
    return Trial(storage=storage, local_path=str(tmp_path / "staging"), config={"seed": 1})


def log(one: Trial, *results: dict) -> None:
    """Log results as one process does; its end is a kill."""
    loggers = (JsonLog(), CsvLog())
    for logger in loggers:
        logger.on_trial_start(0, [one], one)
    for result in results:
        for logger in loggers:
            logger.on_trial_result(0, [one], one, {**result, "config": one.config})


def test_each_result_is_in_the_results_at_once(tmp_path):
    log(trial(tmp_path), {"training_iteration": 1, "env_runners": {"epsilon": 0.5}})
    (line,) = (tmp_path / "results/result.json").read_text().splitlines()
    assert json.loads(line)["env_runners"] == {"epsilon": 0.5}
    table = pandas.read_csv(tmp_path / "results/progress.csv")
    assert table.to_dict("list") == {"training_iteration": [1], "env_runners/epsilon": [0.5]}
    assert json.loads((tmp_path / "staging/params.json").read_text()) == {"seed": 1}


def test_a_column_means_the_same_in_all_rows(tmp_path):
    one = trial(tmp_path)
    log(one, {"i": 1, "a": 10}, {"a": 20, "i": 2, "b": {"c": 'x,"y'}})
    log(one, {"new": 3.5, "i": 3}, {"b": {"c": "z"}, "i": 4, "a": 40})
    table = pandas.read_csv(tmp_path / "results/progress.csv")
    assert table.columns.tolist() == ["i", "a", "b/c", "new"]
    assert table["i"].tolist() == [1, 2, 3, 4]
    assert table["a"].fillna(0).tolist() == [10, 20, 0, 40]
    assert table["b/c"].fillna("-").tolist() == ["-", 'x,"y', "-", "z"]
    assert table["new"].fillna(0).tolist() == [0, 0, 3.5, 0]


def test_an_empty_table_gets_a_header(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/progress.csv").write_bytes(b"")
    log(trial(tmp_path), {"i": 1})
    assert (tmp_path / "results/progress.csv").read_text().split() == ["i", "1"]

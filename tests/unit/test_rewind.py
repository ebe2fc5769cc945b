"""Logs of a trial that resumes, whatever a kill left of them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas
import pytest

from rllib_mmsa.command.run.rewind import rewind
from rllib_mmsa.replacing import replacing


def result(iteration: int, **more: object) -> dict:
    return {
        "training_iteration": iteration,
        "text": f"a,{iteration}",
        "env_runners": {"episode_return_mean": iteration / 2},
        "config": {"seed": 1},
        **more,
    }


def write_log(folder: Path, rows: list[dict], end: bytes = b"") -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "result.json").write_bytes(text.encode() + end)


def write_table(folder: Path, header: list[str], rows: list[list], end: bytes = b"") -> None:
    with (folder / "progress.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    with (folder / "progress.csv").open("ab") as file:
        file.write(end)


def logged(folder: Path) -> list[int]:
    lines = (folder / "result.json").read_text().splitlines()
    return [json.loads(line)["training_iteration"] for line in lines]


def tabled(folder: Path) -> list[int]:
    return pandas.read_csv(folder / "progress.csv")["training_iteration"].tolist()


def test_logs_are_cut_back_to_the_checkpoint(tmp_path):
    write_log(tmp_path, [result(i) for i in range(1, 6)])
    rewind(tmp_path, 3)
    assert logged(tmp_path) == tabled(tmp_path) == [1, 2, 3]
    table = pandas.read_csv(tmp_path / "progress.csv")
    assert table["text"].tolist() == ["a,1", "a,2", "a,3"]
    assert table["env_runners/episode_return_mean"].tolist() == [0.5, 1.0, 1.5]
    assert "config/seed" not in table


@pytest.mark.parametrize(
    "end",
    [
        b'{"training_iteration": 5, "te',
        b"\0" * 512,
        b'{"training_it\0\0\0\n',
        b"\n",
        b"\xff\xfe\n",
        b"7\n",
    ],
)
def test_a_torn_last_line_is_dropped(tmp_path, end):
    write_log(tmp_path, [result(i) for i in range(1, 5)], end)
    rewind(tmp_path, 4)
    assert logged(tmp_path) == tabled(tmp_path) == [1, 2, 3, 4]
    assert (tmp_path / "result.json").read_bytes().endswith(b"\n")


def test_rows_after_zero_bytes_are_kept(tmp_path):
    rows = [json.dumps(result(i)).encode() for i in (1, 2)]
    (tmp_path / "result.json").write_bytes(rows[0] + b"\n" + b"\0" * 100 + rows[1] + b"\n")
    rewind(tmp_path, 2)
    assert logged(tmp_path) == [1, 2]


def test_rows_wider_and_narrower_than_the_header_come_right(tmp_path):
    rows = [result(1), result(2), result(3, evaluation={"win_rate": 0.5}), result(4)]
    write_log(tmp_path, rows)
    header = ["training_iteration", "text", "env_runners/episode_return_mean"]
    write_table(tmp_path, header, [[1, "a,1", 0.5], [2, "a,2"], [3, 0.5, "a,3", 1.5, 9]], b'4,"a')
    rewind(tmp_path, 3)
    table = pandas.read_csv(tmp_path / "progress.csv")
    assert table["training_iteration"].tolist() == [1, 2, 3]
    assert table["text"].tolist() == ["a,1", "a,2", "a,3"]
    assert table["evaluation/win_rate"].isna().tolist() == [True, True, False]
    assert table["evaluation/win_rate"][2] == 0.5


def test_a_table_without_a_log_keeps_the_rows_that_fit_its_header(tmp_path):
    header = ["training_iteration", "text"]
    write_table(tmp_path, header, [[1, "a"], [2, "b", "c"], [3], [4, "d"], [5, "e"]], b"\0\0\0\n6")
    rewind(tmp_path, 4)
    assert tabled(tmp_path) == [1, 4]
    assert not (tmp_path / "result.json").exists()


@pytest.mark.parametrize("table", [b"", b"training_iteration,text\n", b"\0" * 64, b"\n"])
@pytest.mark.parametrize("log", [b"", b"\0" * 64, b"{"])
def test_empty_files_stay_usable(tmp_path, table, log):
    (tmp_path / "progress.csv").write_bytes(table)
    (tmp_path / "result.json").write_bytes(log)
    rewind(tmp_path, 3)
    assert (tmp_path / "result.json").read_bytes() == b""
    assert (tmp_path / "progress.csv").read_bytes() == b""


def test_a_folder_without_logs_gets_none(tmp_path):
    rewind(tmp_path, 3)
    assert list(tmp_path.iterdir()) == []


def test_without_a_checkpoint_nothing_is_kept(tmp_path):
    write_log(tmp_path, [result(1), result(2)])
    rewind(tmp_path, 0)
    assert logged(tmp_path) == []
    assert (tmp_path / "progress.csv").read_bytes() == b""


def test_a_lost_row_comes_back_from_the_checkpoint(tmp_path):
    write_log(tmp_path, [result(1), result(2)], json.dumps(result(3)).encode()[:20])
    rewind(tmp_path, 3, result(3, text="from the checkpoint"))
    assert logged(tmp_path) == tabled(tmp_path) == [1, 2, 3]
    assert pandas.read_csv(tmp_path / "progress.csv")["text"][2] == "from the checkpoint"
    rewind(tmp_path, 3, result(3))
    assert logged(tmp_path) == [1, 2, 3]


def test_a_member_of_a_population_keeps_what_came_before_its_copy_of_another(tmp_path):
    write_log(tmp_path, [result(i) for i in (1, 2, 3, 4, 3, 4, 5)])  # it went back to another's 2
    rewind(tmp_path, 4)
    assert logged(tmp_path) == tabled(tmp_path) == [1, 2, 3, 4, 3, 4]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "log"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), replacing(path) as file:
        file.write("new")
        raise OSError("full")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["log"]

"""Logs of a trial that resumes."""

from __future__ import annotations

import csv
import json

from rllib_mmsa.command.run.rewind import rewind


def test_logs_are_cut_back_to_the_checkpoint(tmp_path):
    rows = [{"training_iteration": i, "text": f"a,{i}"} for i in range(1, 6)]
    (tmp_path / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (tmp_path / "progress.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    rewind(tmp_path, 3)
    lines = (tmp_path / "result.json").read_text().splitlines()
    assert [json.loads(line)["training_iteration"] for line in lines] == [1, 2, 3]
    with (tmp_path / "progress.csv").open(newline="") as file:
        assert [row["text"] for row in csv.DictReader(file)] == ["a,1", "a,2", "a,3"]

"""The figures that pages name are those of the data under docs/results/."""

from __future__ import annotations

import csv
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARMS = {
    "MMSA": "MMSA use_world_model=true",
    "MMSA without world model": "MMSA use_world_model=false",
    "QMIX": "QMIX",
}


@functools.cache
def measured() -> dict[tuple[str, int, str], tuple[float, int]]:
    """(task, env steps, group) -> (mean test return, seeds), of today's defaults."""
    found = {}
    for folder in ROOT.glob("docs/results/lbf_*"):
        if not re.fullmatch(r"lbf_(\d+[km]|coop)", folder.name):
            continue  # of earlier settings
        with open(folder / "tables" / "final.csv", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                # Beside controls, which differ in another setting, MMSA itself has no more to say.
                group = ARMS.get(row["group"], row["group"])
                key = (row["task"].removeprefix("lbf "), int(row["env steps"]), group)
                found[key] = (float(row["test return"]), int(row["runs"].split()[0]))
    return found


def rows_under(path: str, first_cell: str) -> list[dict[str, str]]:
    """The rows of the table whose header begins with a cell."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_cell} |"))
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines[start:]]
    size = next(i for i, line in enumerate(lines[start:]) if not line.startswith("|"))
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:size]]


def readme_rows() -> list[dict[str, str]]:
    return rows_under("README.md", "Task")


def steps_of(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.mark.parametrize("row", readme_rows(), ids=lambda row: row["Task"] + row["Env steps"])
def test_the_readme_s_results_are_the_data_s(row):
    task, steps = row["Task"].strip("`"), steps_of(row["Env steps"])
    for column, group in ARMS.items():
        mean, seeds = measured()[task, steps, group]
        assert row[column] == f"{mean:.2f}"
        assert row["Seeds"] == str(seeds)


def test_the_readme_names_every_task_of_the_data():
    named = {(row["Task"].strip("`"), steps_of(row["Env steps"])) for row in readme_rows()}
    assert named == {(task, steps) for task, steps, _ in measured()}


def test_the_results_page_names_the_same_beside_the_paper_s():
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    lines = re.findall(r"^- `(\S+)`: .* there; (\S+) and (\S+) here", text, re.MULTILINE)
    assert len(lines) == 4
    for task, *named in lines:
        longest = max(steps for at, steps, _ in measured() if at == task)
        for said, group in zip(named, (ARMS["MMSA"], ARMS["QMIX"]), strict=True):
            assert said == f"{measured()[task, longest, group][0]:.2f}"


def test_the_examples_table_names_the_same():
    text = (ROOT / "tuned_examples" / "README.md").read_text(encoding="utf-8")
    start = text.index("| `mmsa_lbf_paper.yaml`")
    rows = [line.split("|") for line in text[start:].splitlines()[:5]]
    tasks = [row[3].strip(" `") for row in rows[:4]]
    for task, row in zip(tasks, rows[:4], strict=True):
        mean, seeds, steps = re.match(r" (\S+) \((\d) seeds?, ([\d,]+) steps\)", row[7]).groups()
        found = measured()[task, steps_of(steps), ARMS["MMSA"]]
        assert (mean, int(seeds)) == (f"{found[0]:.2f}", found[1])
    told = re.sub(r"\(.*?\)", "", rows[4][7]).replace(" ", "").split(",")
    for task, said in zip(tasks, told, strict=True):
        longest = max(steps for at, steps, _ in measured() if at == task)
        assert said == f"{measured()[task, longest, ARMS['QMIX']][0]:.2f}"

"""`rllib report`: what it writes, and the words of every refusal."""

import csv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rllib_mmsa import report
from rllib_mmsa.command.cli import app
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.report import data, figures
from tests.unit.report_data import config_of, result, write_experiment, write_trial


def call(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_command_reports_and_exports(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "all_figures", lambda study: [])  # drawn above
    write_experiment(tmp_path / "e", "MMSA", [1, 2], lr=0.1)
    result = call(tmp_path / "e", "--export", tmp_path / "x.csv", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "2 run(s) in 1 group(s)" in result.output
    assert (tmp_path / "out" / report.PAGE).exists()
    assert len(data.read(tmp_path / "x.csv")) == 2
    again = call(tmp_path / "x.csv", "--out", tmp_path / "again")
    assert again.exit_code == 0
    final = Path("tables", "final.md")
    assert (tmp_path / "again" / final).read_bytes() == (tmp_path / "out" / final).read_bytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out", "o", "--metric", "x"], "--metric adds a column to a data file; name it"),
        (["--export", "x.csv", "--metric", "learners/foo"], "no run has 'learners/foo'; name a"),
        (["--export", "x.csv", "--pool", "versio"], "unknown setting 'versio'. Did you mean 'ver"),
    ],
)
def test_what_no_run_has_is_refused(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    write_experiment(tmp_path / "e", "MMSA", [1, 2], lr=0.1)
    done = call(tmp_path / "e", *options)
    assert done.exit_code == 2 and words in " ".join(done.output.split())
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def one_evaluation(folder):
    """The first result, an evaluation, and results without one, as of 6,000 env steps."""
    config = config_of(1)
    lines = [result(1008, 0.25, config)]
    lines += [result(steps, None, config, done=steps > 6000) for steps in (2016, 4032, 6048)]
    write_trial(folder, "MMSA_lbf_0", lines)


def still_written(folder):
    (trial,) = write_experiment(folder, "MMSA", [1])
    with (trial / "result.json").open("a") as file:
        file.write('{"evaluation": {"env_r')


def another_version(folder):
    for seed, version in enumerate(("0.1.0", "0.2.0"), start=1):
        lines = [result(i * 250, i / 4, config_of(seed), version=version) for i in (1, 2, 3)]
        write_trial(folder, f"MMSA_lbf_{seed}", lines)


def failed_beside_measured(folder):
    write_experiment(folder, "MMSA", [1, 2])
    write_trial(folder, "MMSA_lbf_9", [], error="RuntimeError")
    write_trial(folder, "MMSA_lbf_8", [result(500, None, config_of(8))])


def other_lengths_and_tasks(folder):
    write_experiment(folder / "long", "MMSA", [1, 2, 3], planned=200_000)
    write_experiment(folder / "short", "QMIX", [1])
    one_evaluation(folder / "young")
    other = {**config_of(1), "env_config": {"task": "10x10-3p-5f-v2"}}
    write_trial(folder / "other", "MMSA_lbf_0", [result(300, 0.5, other)])


@pytest.mark.parametrize(
    ("write", "words"),
    [  # one is drawn in the fast tests, and the one with most in it in the slow ones
        (one_evaluation, "One evaluation a run, so no curve and no mean over training: MMSA"),
        (still_written, "Fewer than 3 runs, so no interval of the mean: MMSA on lbf"),
        (another_version, "version=0.1.0"),
        (failed_beside_measured, "crashed without an evaluation (MMSA_lbf_9)"),
        (other_lengths_and_tasks, "One evaluation a run, so no curve"),
        pytest.param(other_lengths_and_tasks, "One evaluation", marks=pytest.mark.slow),
    ],
)
def test_any_set_of_runs_gives_a_page_that_says_what_it_lacks(
    tmp_path, monkeypatch, request, write, words
):
    if write is not one_evaluation and not request.node.get_closest_marker("slow"):
        monkeypatch.setattr(figures, "all_figures", lambda study: [])
    write(tmp_path / "runs")
    done = call(tmp_path / "runs", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "out" / report.PAGE).read_text(encoding="utf-8")
    assert words in text
    with (tmp_path / "out" / "tables" / "final.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows and all(float(row["test return"]) >= 0 for row in rows)  # none is left out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}/none", "--out", "{}/out"], "'{}/none' does not exist; name a folder"),
        (["{}/empty", "--out", "{}/out"], "'{}/empty' holds no results; a folder must have"),
        (["{}/note.txt", "--out", "{}/out"], "is neither a folder nor a .csv file"),
        (
            ["{}/young", "--out", "{}/out"],
            "none of the 1 trials has an evaluation yet (1 unfin",
        ),
        (["{}/young", "--out", "{}/note.txt"], "--out '{}/note.txt' is a file"),
        (["{}/young", "--out", "{}/note.txt/sub"], "is a file, or below one"),
        (["{}/young"], "name --out DIR for a report, --export FILE.csv for data"),
        (["{}/young", "--export", "{}/x.json"], "does not end in .csv"),
        (["{}/young", "--out", "{}/out", "--statistic", "man"], "Did you mean 'mean'"),
        (["{}/young", "--out", "{}/out", "--normalise", "5"], "--normalise is '5', but must be"),
    ],
)
def test_mistakes_are_one_message_and_exit_code_2(tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").write_text("no results")
    write_trial(tmp_path / "young", "MMSA_lbf_0", [])
    result = call(*(argument.format(tmp_path) for argument in arguments))
    assert result.exit_code == 2
    text = " ".join(result.output.split())
    assert text.startswith("error: ") and message.format(tmp_path) in text
    assert not (tmp_path / "out").exists()


def test_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(report, "NEEDED", ("numpy", "no_such_package"))
    with pytest.raises(ConfigError, match="needs no_such_package.*pip install"):
        report.load([])

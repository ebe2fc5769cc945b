"""`rllib report`: what it writes, and the words of every refusal."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rllib_mmsa import report
from rllib_mmsa.command.cli import app
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.report import data, figures
from tests.unit.report_data import write_experiment, write_trial


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
    ("arguments", "message"),
    [
        (["{}/none", "--out", "{}/out"], "'{}/none' does not exist; name a folder"),
        (["{}/empty", "--out", "{}/out"], "'{}/empty' holds no results; a folder must have"),
        (["{}/note.txt", "--out", "{}/out"], "is neither a folder nor a .csv file"),
        (["{}/young", "--out", "{}/out"], "none of the 1 trials has an evaluation yet"),
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

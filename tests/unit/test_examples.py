"""The tuned examples are installed with the package, listed, printed and trained by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from rllib_mmsa.command import examples
from rllib_mmsa.command.cli import app
from rllib_mmsa.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str):
    return CliRunner().invoke(app, list(command))


def test_they_are_those_of_the_repository():
    assert examples.names() == sorted(p.stem for p in (ROOT / "tuned_examples").glob("*.yaml"))
    assert '"tuned_examples/*.yaml"' in (ROOT / "pyproject.toml").read_text()


def test_each_is_listed_with_what_it_runs():
    shown = run("examples").output
    for name in examples.names():
        entries = yaml.safe_load(examples.path_of(name).read_text()).values()
        assert name in shown
        assert examples.read(name).runs == tuple(dict.fromkeys(entry["run"] for entry in entries))
    assert examples.read("mmsa_lbf").env == "lbf 8x8-2p-2f-v2"
    assert examples.read("mmsa_lbf_paper").env == "lbf"  # a grid of tasks


def test_one_is_printed_as_it_is():
    file = ROOT / "tuned_examples" / "mmsa_lbf.yaml"
    assert run("examples", "mmsa_lbf").output == run("examples", "mmsa_lbf.yaml").output
    assert run("examples", "mmsa_lbf").output == file.read_text()


@pytest.mark.parametrize("name", ["mmsa_lb", "../tuned_examples/mmsa_lbf", "README", ""])
def test_what_is_no_example_is_said(name):
    with pytest.raises(ConfigError, match="unknown example"):
        examples.path_of(name)
    if name:
        done = run("train", "example", name)
        assert done.exit_code == 2 and "unknown example" in done.output


def test_a_file_that_is_none_is_told_what_was_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mmsa_lbf", "mmsa_lbff.yaml"):
        done = run("train", "file", name)
        assert done.exit_code == 2 and "`rllib train example mmsa_lbf`" in done.output
    done = run("train", "mine.yaml", "config.lr=1e-3")
    assert done.exit_code == 2 and "rllib train file mine.yaml config.lr=1e-3" in done.output


def test_an_example_trains_as_its_file_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # of which a path would start
    options = ["--dry-run", "--storage-path", str(tmp_path), "config.seed=7"]
    by_name = run("train", "example", "mmsa_two_step", *options)
    by_file = run("train", "file", str(ROOT / "tuned_examples/mmsa_two_step.yaml"), *options)
    assert by_name.exit_code == 0 and by_name.output == by_file.output
    assert "mmsa_two_step: MMSA on two_step, 1 trial to 5,000 env steps" in by_name.output

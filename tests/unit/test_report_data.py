"""Data files: what is written reads back, and the words of every refusal."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rllib_mmsa.errors import ConfigError
from rllib_mmsa.report import data, groups, tune
from tests.unit.report_data import make_run, write_experiment, write_trial


def test_data_file_gives_back_the_runs_and_the_same_bytes(tmp_path):
    write_experiment(tmp_path / "a", "MMSA", [1, 2], rollout_horizon=3)
    write_experiment(tmp_path / "b", "MMSA", [1, 2], rollout_horizon=5)
    write_trial(tmp_path / "b", "MMSA_lbf_9", [], error="it broke")
    before = tune.read_folder(tmp_path)
    data.write(tmp_path / "x.csv", before)
    after = data.read(tmp_path / "x.csv")
    data.write(tmp_path / "y.csv", after)
    assert (tmp_path / "x.csv").read_bytes() == (tmp_path / "y.csv").read_bytes()
    assert len(after) == len(before) == 5
    for one, other in zip(before, after, strict=True):
        assert (one.task, one.seed, one.status, one.trial) == (
            other.task, other.seed, other.status, other.trial,
        )  # fmt: skip
        np.testing.assert_array_equal(one.env_steps, other.env_steps)
        np.testing.assert_allclose(one.test_return, other.test_return, rtol=1e-5)
    assert [g.label for g in groups.group(after)] == [g.label for g in groups.group(before)]


def test_data_file_holds_options_that_were_set_or_differ(tmp_path):
    one = make_run(1, settings={"lr": "1", "gamma": "0.9", "hidden": "64"}, explicit={"lr"})
    data.write(tmp_path / "x.csv", [one, replace(one, settings={**one.settings, "hidden": "32"})])
    header = (tmp_path / "x.csv").read_text().splitlines()[0].split(",")
    assert [name for name in header if name.startswith("config/")] == ["config/hidden", "config/lr"]


def test_a_name_given_in_a_data_file_is_kept(tmp_path):
    found = [make_run(settings={"use_sale": "true"})]
    found += [make_run(configuration="without SALE", settings={"use_sale": "false"})]
    data.write(tmp_path / "x.csv", found)
    made = groups.group(data.read(tmp_path / "x.csv"))
    assert [g.label for g in made] == ["MMSA", "MMSA without SALE"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task,algorithm,env_steps,test_return\n", "lacks the column seed"),
        ("task,algorithm,seed,env_steps,test_return,win\n", "unknown column 'win'.*win_rate"),
        ("task,algorithm,seed,env_steps,test_return\na,MMSA,1,x,0\n", "line 2: env_steps must be"),
        (
            "task,algorithm,seed,env_steps,test_return\na,MMSA,1,5,0\na,MMSA,1,5,0\n",
            "lines 2 to 3: the env_steps of a run must increase",
        ),
        (
            "task,algorithm,seed,env_steps,test_return,status\na,MMSA,1,5,0,fine\n",
            "unknown status 'fine'",
        ),
    ],
)
def test_mistakes_in_data_files(tmp_path, text, message):
    file = tmp_path / "x.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        data.read(file)


def test_the_repositorys_data_reads():
    folder = Path(__file__).resolve().parents[2] / "docs" / "results" / "data"
    files = sorted(folder.glob("*.csv"))
    assert files
    for file in files:
        assert all(run.env_steps.size for run in data.read(file))

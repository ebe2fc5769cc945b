"""The trained teams of tuned_examples/zoo play as their table says."""

from __future__ import annotations

import math
import re
import statistics

import pytest

from rllib_mmsa.command.evaluate import evaluate
from rllib_mmsa.team import load_team
from scripts.zoo import ZOO, best
from tests.unit.report_data import make_run

#: Team -> mean return and the ends of its interval.
TOLD = {
    name: tuple(map(float, numbers))
    for name, *numbers in re.findall(
        r"^\| `(\S+)` .* (\S+)  \(95 % interval (\S+) to (\S+)\) \|$",
        (ZOO / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
}


def test_every_team_has_a_row_and_every_row_a_team():
    assert TOLD and set(TOLD) == {path.name for path in ZOO.iterdir() if path.is_dir()}


@pytest.mark.parametrize("name", sorted(TOLD))
def test_a_team_is_weights_alone_and_loads(name):
    files = {path.name for path in (ZOO / name).iterdir()}
    assert files == {"README.md", "team.json", "team.safetensors"}
    said = load_team(ZOO / name).said
    assert name == f"{said['algorithm']}_lbf_{said['environment']['env_config']['task']}".lower()


def test_the_best_is_a_run_that_finished():
    done, better, other = make_run(1, 0.5), make_run(2, 0.7), make_run(1, 0.1, algorithm="VDN")
    assert best([done, better, other]) == [better, other]
    assert best([done, make_run(2, 0.7, status="crashed")]) == [done]


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["mmsa", "qmix"])
def test_a_team_earns_what_the_table_says(algorithm):
    pytest.importorskip("lbforaging")
    name = f"{algorithm}_lbf_2s-8x8-2p-2f-coop-v2"
    returns = evaluate(ZOO / name, episodes=200, seed=5).returns
    mean, low, high = TOLD[name]
    error = math.hypot(statistics.stdev(returns) / math.sqrt(200), (high - low) / 3.92)
    assert abs(statistics.fmean(returns) - mean) < 4 * error

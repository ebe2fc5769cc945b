"""The helpers of the benchmarks: statistics, stages, variants, tables, processes."""

import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks.protocol import BenchmarkError, Remote
from benchmarks.random_numbers import Sizes, random_episode
from benchmarks.replay_memory import Shape, measure
from benchmarks.stages import StageClock
from benchmarks.statistics import exponent, ratio, summary, words
from benchmarks.tables import Table
from benchmarks.variants import parse_variant, with_settings
from benchmarks.work import growth_words


def test_summary_is_the_median_and_the_quartiles():
    found = summary([1, 2, 3, 4, 100], "ms")
    assert (found["low"], found["median"], found["high"]) == (2, 3, 4)
    assert found["values"] == [1, 2, 3, 4, 100] and found["unit"] == "ms"
    assert words(summary([1000, 1000], "s")) == "1,000 (1,000-1,000)"
    with pytest.raises(ValueError, match="nothing was measured"):
        summary([], "ms")


def test_ratios_are_taken_round_by_round():
    # A busy round slows both: the ratio does not see it.
    assert ratio([10, 100, 20], [5, 50, 10])["values"] == [2, 2, 2]
    with pytest.raises(ValueError, match="1 rounds"):
        ratio([1], [1, 2])


@pytest.mark.parametrize("power", [0.0, 1.0, 1.7])
def test_exponent_of_a_power_law(power):
    sizes = np.array([3, 10, 27])
    assert exponent(sizes, 5 * sizes**power) == pytest.approx(power, abs=1e-9)


def test_exponent_refuses_what_has_none():
    with pytest.raises(ValueError, match="no exponent"):
        exponent([3], [1])
    with pytest.raises(ValueError, match="greater than 0"):
        exponent([1, 2], [0, 1])


def test_growth_beyond_what_is_expected_is_marked():
    assert growth_words(1.2, [1, 2]) == "n^1.20, expected n^1..2"
    assert growth_words(1.2, [0, 1]).endswith("(MORE)")


def test_stage_time_is_exclusive():
    clock = StageClock()
    inner = clock.wrap(lambda: time.sleep(0.03), "agents")

    def work():
        inner()
        time.sleep(0.01)

    clock.wrap(work, "losses")()
    taken = clock.take()
    assert 30 <= taken["agents"] < 60 and 10 <= taken["losses"] < 30
    assert sum(clock.take().values()) == 0


def test_variants_and_their_settings():
    variant = parse_variant("MMSA:rollout_horizon=1;kl_balance=null")
    assert variant.algorithm == "MMSA"
    assert variant.settings == {"rollout_horizon": 1, "kl_balance": None}
    given = with_settings(
        [parse_variant("QMIX"), variant], ["hidden_dim=8", "MMSA:rollout_horizon=9"]
    )
    assert [v.settings.get("hidden_dim") for v in given] == [8, 8]
    assert [v.settings.get("rollout_horizon") for v in given] == [None, 1]  # its own wins
    with pytest.raises(BenchmarkError, match="not a setting"):
        parse_variant("MMSA:horizon")
    with pytest.raises(BenchmarkError, match="VDN, which is not measured"):
        with_settings([variant], ["VDN:lr=1"])


def test_table_as_markdown():
    table = Table("Title", ["", "a|b"], [["row", "1"]], note="Note.")
    assert table.markdown().splitlines() == [
        "**Title**", "", "|  | a\\|b |", "| --- | ---: |", "| row | 1 |", "", "Note.",
    ]  # fmt: skip


def test_random_episode_and_its_raw_bytes():
    sizes = Sizes(agents=2, obs=3, state=4, actions=5)
    episode = random_episode(sizes, 7, np.random.default_rng(0))
    assert len(episode) == 7 and episode.obs.shape == (8, 2, 3)
    assert (episode.action_mask.max(-1) == 1).all()
    # Eight observations of 24 + 10 + 16 bytes, seven steps of two actions and a reward.
    assert sizes.raw_bytes(7) == 8 * 50 + 7 * 6


def test_memory_of_replay_counts_all_that_is_held():
    shape = Shape("small", Sizes(5, 92, 120, 11), 20, 5)
    found = measure(shape, 5)
    assert found["held_bytes_per_step"] >= found["raw_bytes_per_step"]
    assert found["held_mb"] >= found["said_mb"] * 0.99


ANSWERER = """
from benchmarks.protocol import serve

class Answerer:
    def double(self, number):
        print("libraries print what they like")
        return {"twice": 2 * number}
    def stop(self):
        pass

serve(Answerer)
"""


def test_a_process_answers_and_says_why_it_cannot():
    remote = Remote("answerer", [sys.executable, "-c", ANSWERER])
    assert remote.ask("double", number=21) == {"twice": 42}
    with pytest.raises(BenchmarkError, match="answerer: .*no attribute 'triple'"):
        remote.ask("triple")
    remote.stop()


def test_the_peers_process_needs_no_rllib():
    """It runs in an environment of the peer's."""
    without = "import sys; sys.modules['ray'] = None; import benchmarks.peer, benchmarks.machine"
    subprocess.run([sys.executable, "-c", without], check=True, timeout=60)

"""The benchmarks run: a toy environment, one short round, everything in this process."""

import json
import time
from types import SimpleNamespace

import pytest
from ray.tune.registry import register_env
from typer.testing import CliRunner

from benchmarks import foresight
from benchmarks.__main__ import app
from benchmarks.bench import CLOCK, AlgorithmBench, build_algorithm
from benchmarks.protocol import BenchmarkError
from benchmarks.slower import register_slower
from benchmarks.stages import STAGES, install
from rllib_mmsa.method.settings import MMSASettings
from rllib_mmsa.rllib.vector_env import find_creator
from tests.algorithms import build

pytestmark = pytest.mark.usefixtures("ray_session")

# The plain engine calls everything that has a stage.
SETTINGS = ("train_batch_episodes=4", "hidden_dim=8", "engine=plain")
SMALL = [word for setting in SETTINGS for word in ("--set", setting)]


def run(*arguments: str):
    return CliRunner().invoke(app, ["--quick", "--env", "counter", *SMALL, *arguments])


@pytest.mark.slow
def test_quick_run_measures_everything(tmp_path):
    output = tmp_path / "new" / "results.json"
    result = run("--algo", "QMIX", "--algo", "MMSA", "--output", str(output))
    assert result.exit_code == 0, result.output
    found = json.loads(output.read_text())
    assert {"cores", "model", "load", "python", "packages", "threads"} <= set(found["machine"])
    speed = found["speed"]["counter"]
    assert set(speed) == {"QMIX", "MMSA"}
    for measured in speed.values():
        assert measured["sampling"]["median"] > 0 and measured["loop"]["median"] > 0
        assert set(measured["update"]) == {"total", *STAGES}
        assert set(measured["to_reference"]) == {"sampling", "update", "loop"}
        assert measured["loop_counts"]["episodes"] == measured["loop_counts"]["updates"] == 8
        stages = sum(measured["update"][stage]["median"] for stage in STAGES)
        assert measured["engine"] == "plain"
        assert stages == pytest.approx(measured["update"]["total"]["median"], rel=0.05)
    assert speed["QMIX"]["update"]["imagination"]["median"] == 0
    assert all(speed["MMSA"]["update"][stage]["median"] > 0 for stage in STAGES)
    assert [each["held_to_raw"] >= 1 for each in found["replay"]] == [True] * 3
    assert {each["axis"] for each in found["growth"]} == {
        "agents", "episode length", "horizon", "latent size",
    }  # fmt: skip
    assert all(len(each["ms"]) == 2 for each in found["growth"])


def test_sampling_beside_learning_is_measured(tmp_path):
    output = tmp_path / "results.json"
    variant = "QMIX:num_env_runners=1;overlap_sampling=true"
    parts = ["--part", "sampling", "--part", "loop"]
    result = run("--algo", variant, *parts, "--output", str(output))
    assert result.exit_code == 0, result.output
    measured = json.loads(output.read_text())["speed"]["counter"][variant]
    assert measured["sampling"]["median"] > 0 and measured["loop"]["median"] > 0
    assert measured["loop_counts"]["episodes"] == measured["loop_counts"]["updates"] == 8


def test_nothing_is_in_flight_after_a_turn():
    bench = AlgorithmBench("counter", "QMIX", {"num_env_runners": 1, "overlap_sampling": True})
    bench.warm_up()
    for ask in (bench.sample, lambda: bench.loop(episodes=8)):
        ask()
        assert not bench._algorithm.env_runner_group.is_playing
    bench.stop()


def test_a_world_model_is_trained_on_a_checkpoint_and_judged(tmp_path):
    algorithm = build("MMSA", min_sample_timesteps_per_iteration=400)
    algorithm.train()
    algorithm.save_to_path(tmp_path / "checkpoint")
    algorithm.stop()
    played = foresight.read(tmp_path / "checkpoint", 100)
    settings = MMSASettings(hidden_dim=8, dynamics_dim=8)
    judged = [
        foresight.judge(foresight.train(played, settings, updates, seed=1)[0], played, horizon=3)
        for updates in (1, 200)
    ]
    assert set(judged[0]) == {"1 ahead", "3 ahead", "reward AUC"}
    assert judged[1]["1 ahead"] < judged[0]["1 ahead"]


def test_a_slower_game_is_measured(tmp_path):
    output = tmp_path / "results.json"
    result = run("--algo", "QMIX", "--part", "sampling", "--step-ms", "4", "--output", str(output))
    assert result.exit_code == 0, result.output
    found = json.loads(output.read_text())
    assert found["settings"]["step_ms"] == 4
    assert found["speed"]["counter"]["QMIX"]["sampling"]["median"] < 1000 / 4  # env steps/s


def test_games_that_are_stepped_in_one_call_are_slower_too():
    def create(context):
        raise AssertionError("made one by one")

    def step_slots(indices, actions):
        return list(indices)

    create.make_vec = lambda num_envs, context: SimpleNamespace(step_slots=step_slots)
    register_env("vectorised", create)
    slower = find_creator(register_slower("vectorised", 4)).make_vec(3, {})
    start = time.perf_counter()
    assert slower.step_slots([0, 1, 2], None) == [0, 1, 2]
    assert time.perf_counter() - start >= 3 * 0.004
    create.make_vec = lambda num_envs, context: None
    register_env("vectorised", create)
    assert find_creator(register_slower("vectorised", 4)).make_vec(3, {}) is None


def test_mistakes_are_said(tmp_path):
    output = ["--output", str(tmp_path / "results.json")]
    assert "there are sampling" in run("--part", "speed", *output).output
    assert (
        "no setting horizon" in run("--part", "update", "--algo", "MMSA:horizon=1", *output).output
    )
    assert (
        "cannot be slowed"
        in run("--part", "replay", "--peer", str(tmp_path), "--step-ms", "2", *output).output
    )
    assert (
        "no checkout of EPyMARL" in run("--part", "replay", "--peer", str(tmp_path), *output).output
    )


def test_a_renamed_method_is_named(monkeypatch):
    from rllib_mmsa.rllib.replay import EpisodeReplay

    algorithm = build_algorithm("VDN", "counter", {}, {"hidden_dim": 8})
    del algorithm.replay.sample
    monkeypatch.delattr(EpisodeReplay, "sample")
    with pytest.raises(BenchmarkError, match="algorithm.replay.sample.*stages.py"):
        install(algorithm, CLOCK)
    algorithm.stop()

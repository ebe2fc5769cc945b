"""Kinds of change are measured alike in training, on new episodes and by `rllib imagine`."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from env_registry.contract import TEAM, checked_layout
from rllib_mmsa.command.imagine import kinds as words
from rllib_mmsa.method.foresight import depth_errors, foresee, usual_of
from rllib_mmsa.method.kinds import ERRORS, MEASURES, places_of
from tests.algorithms import FORAGING, build, learner, train_batch

pytestmark = pytest.mark.usefixtures("ray_session")

DEPTH = 4


@pytest.fixture(scope="module")
def trained(ray_session):
    """A small MMSA on foraging with normalised observations, and episodes of it."""
    env_config = {**FORAGING["env_config"], "task": "5x5-2p-2f-v2"}
    algorithm = build(
        "MMSA", "lbf", env_config=env_config, normalise_observations=True, model_quality_interval=1
    )
    for _ in range(3):
        result = algorithm.train()
    episodes = algorithm.env_runner.sample(num_episodes=12, explore=True)
    own = learner(algorithm)
    yield SimpleNamespace(algorithm=algorithm, own=own, episodes=episodes, result=result)
    algorithm.stop()


def measured(trained, depth: int = DEPTH):
    return depth_errors(trained.own.team_module, trained.episodes, depth, trained.own.places)


def slow(trained, k: int) -> dict[str, list[float]]:
    """Squared errors and errors of "nothing changes" by kind, thing by thing, told the actions."""
    layout = checked_layout(trained.algorithm.env_runner.env.envs[0])
    sums = {name: [0.0, 0.0] for name in ERRORS} | {"right": [0, 0], "gone": [0, 0]}
    for episode in trained.episodes:
        told = foresee(trained.own.team_module, episode, k).told
        for t, agent, entity in np.ndindex(len(episode) - k + 1, 2, len(layout)):
            part = slice(layout[entity].start, layout[entity].start + layout[entity].size)
            b, a, f = (x[agent, part] for x in (episode.obs[t], episode.obs[t + k], told[t, k - 1]))
            absent = layout[entity].absent
            was, there = (absent is None or not np.allclose(x, absent) for x in (b, a))
            kind = "vanishes" if was and not there else "appears" if there and not was else "moves"
            if was == there and (not was or np.array_equal(a, b)):
                kind = "stays"
            error, still = ((f - a) ** 2).sum(), ((b - a) ** 2).sum()
            sums[kind][0] += error
            sums[kind][1] += still * (kind != "stays")
            sums["stays"][1] += still
            if kind == "moves":
                sums["right"][0] += int((np.sign(f - b) == np.sign(a - b))[a != b].sum())
                sums["right"][1] += int((a != b).sum())
            if kind == "vanishes":
                sums["gone"][0] += int(((f - absent) ** 2).sum() < ((f - b) ** 2).sum())
                sums["gone"][1] += 1
    return sums


@pytest.mark.parametrize("k", [1, DEPTH])
def test_depths_against_a_slow_loop(trained, k):
    errors, expected = measured(trained), slow(trained, k)
    assert expected["vanishes"][1] > 0 and expected["right"][1] > 0 and expected["gone"][1] > 0
    names = {"right": "direction_right", "gone": "vanished_foreseen"}
    for name, (above, below) in expected.items():
        value = errors.kind("told", names.get(name, name))[0][k - 1]
        if below == 0:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(above / below, rel=1e-3), name


def test_entities_add_up_and_have_intervals(trained):
    errors = measured(trained)
    assert errors.kinds["told"].shape == (12, DEPTH, 4, len(MEASURES), 2)
    assert errors.entities == ("food", "food", "self", "player")
    row = MEASURES.index("moves")
    parts = [errors.kinds["told"][:, :, [p]].sum((0, 2))[:, row] for p in range(4)]
    above, below = np.sum(parts, 0).T
    mean, half = errors.kind("told", "moves")
    assert mean == pytest.approx(above / below) and (half > 0).all()
    food, _ = errors.kind("told", "moves", "food")
    assert food == pytest.approx(np.divide(*(parts[0] + parts[1]).T))
    assert np.isnan(errors.kind("told", "vanishes", "self")[0]).all()


def test_new_episodes_are_judged_as_rllib_imagine_judges_them(trained):
    found = trained.own.prediction_errors(train_batch(trained.episodes))
    horizon = trained.own.team_module.settings.rollout_horizon
    errors = measured(trained, horizon)
    compared = 0
    for name in MEASURES:
        for k in (1, horizon):
            value = errors.kind("told", name)[0][k - 1]
            key = f"obs_error_{name}_{k}_step" if name in ERRORS else f"{name}_{k}_step"
            assert (key in found) == np.isfinite(value), key
            if key in found:
                compared += 1
                assert found[key] == pytest.approx(value, rel=1e-3), key
    assert compared >= 10
    for name, scores in errors.rewards.items():
        assert {key for key in found if name in key} == {
            f"reward_{name}_{k}_step" for k in (1, horizon) if np.isfinite(scores[k - 1])
        }
        for k in (1, horizon):
            score = found.get(f"reward_{name}_{k}_step", np.nan)
            assert score == pytest.approx(scores[k - 1], rel=1e-3, nan_ok=True)


def test_training_logs_them_without_nan(trained):
    logged = trained.result["learners"][TEAM]
    assert {"obs_error_moves_1_step", "obs_error_stays_2_step", "direction_right_2_step",
            "vanished_falsely_1_step"} <= logged.keys()  # fmt: skip
    shares = [key for key in logged if key.split("_")[0] in ("vanished", "appeared", "direction")]
    assert all(0 <= logged[key] <= 1 for key in shares)
    assert all(np.isfinite(value) for key, value in logged.items() if "obs_error" in key)


def test_an_environment_without_a_layout_moves_or_stays():
    algorithm = build("MMSA")  # on the counter
    errors = algorithm.world_model_errors(num_episodes=4)
    assert errors["obs_error_moves_1_step"] > 0
    assert not [key for key in errors if "vanish" in key or "appear" in key]
    algorithm.stop()


def test_notes_tables_and_figures(trained, tmp_path, monkeypatch):
    episode, places = max(trained.episodes, key=len), trained.own.places
    usual = usual_of(places, trained.episodes)
    foresight = foresee(trained.own.team_module, episode, 2)
    last = len(episode) - 1
    for step in range(len(episode)):
        notes = words.step_notes(foresight, step, places, usual)
        assert len(notes) == 3 and notes[0] == "" and (notes[2] == "") >= (step == last)
        changed = not np.array_equal(episode.obs[step], episode.obs[step + 1])
        assert bool(notes[1]) == changed
    rows = words.kind_rows(measured(trained))
    lines = words.kind_lines(rows)
    assert lines[1].split()[:3] == ["steps", "ahead", "moves"] and len(lines) == 2 + DEPTH
    assert lines[2].split()[:2] == ["1", f"{rows[0]['moves']:.3g}"]
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kwargs: drawn.append(self))
    words.draw_kinds(tmp_path / "x.png", rows, 2, "title")
    labels = [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()]
    assert labels[:2] == ["moves", "vanishes"]
    still = [{**row, **dict.fromkeys(MEASURES)} for row in rows]  # a game that does not change
    words.draw_kinds(tmp_path / "x.png", still, 2, "title")
    assert words.kind_lines(still)[2:] == []


def test_places_are_those_of_the_environment(trained):
    env = trained.algorithm.env_runner.env.envs[0]
    expected = places_of(checked_layout(env), env.obs_size)
    assert trained.own.places.kinds == expected.kinds == ("food", "food", "self", "player")
    assert (trained.own.places.numbers == expected.numbers).all()

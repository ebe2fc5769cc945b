"""What was imagined: numbers against slow loops, pictures, the command, TensorBoard."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from typer.testing import CliRunner

from env_registry.draw import FOOD, PLAYER
from rllib_mmsa.command import cli
from rllib_mmsa.command.imagine.figures import draw_errors
from rllib_mmsa.method.foresight import DepthErrors, depth_errors, foresee
from rllib_mmsa.method.targets import greedy_actions
from rllib_mmsa.rllib.metrics import IMAGINED_PNG
from rllib_mmsa.rllib.pictures import (
    GAP,
    LABEL_HEIGHT,
    LABEL_WIDTH,
    heatmap,
    painter,
    sheet,
    spread_steps,
)
from tests.algorithms import FORAGING, build, learner

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def trained(ray_session, tmp_path_factory):
    """A small MMSA on foraging after some updates, and its checkpoint."""
    algorithm = build(
        "MMSA", normalise_observations=True, imagine_interval_env_steps=30, **FORAGING
    )
    results = [algorithm.train() for _ in range(3)]
    folder = tmp_path_factory.mktemp("trial") / "checkpoint_000000"
    algorithm.save_to_path(str(folder))
    episodes, env = algorithm._play_greedily(4)
    yield SimpleNamespace(
        algorithm=algorithm, module=learner(algorithm).team_module, episodes=episodes, env=env,
        checkpoint=folder, results=results,
    )  # fmt: skip
    algorithm.stop()


def decoded(module, latent) -> np.ndarray:
    obs = module.world_model.obs_scale.invert(module.world_model.decode(latent).obs)
    return module.obs_scale.invert(obs).numpy()


@torch.no_grad()
def test_errors_by_depth_against_a_slow_loop(trained):
    module, model = trained.module, trained.module.world_model
    depth = 14  # more than an episode has steps
    sums = {"imagined": np.zeros(depth), "told": np.zeros(depth), "still": np.zeros(depth)}
    counts = np.zeros(depth)
    for episode in trained.episodes:
        scaled = module.obs_scale(torch.from_numpy(episode.obs))
        actions = torch.from_numpy(episode.actions.astype(np.int64))
        [states] = module.agent.unroll(scaled[None], actions[None])
        for t in range(len(episode)):
            hidden = states[t]
            told = dreamt = model.posterior(hidden, scaled[t]).mean
            mask = torch.from_numpy(episode.action_mask[t])
            action = greedy_actions(module.agent.q_values(hidden, scaled[t]), mask)
            for k in range(1, min(depth, len(episode) - t) + 1):
                told = model.go_on(told, actions[t + k - 1])
                dreamt = model.go_on(dreamt, action)
                action = model.policy(dreamt).argmax(-1)
                for name, seen in (
                    ("imagined", decoded(module, dreamt)),
                    ("told", decoded(module, told)),
                    ("still", episode.obs[t]),
                ):
                    sums[name][k - 1] += ((seen - episode.obs[t + k]) ** 2).mean()
                counts[k - 1] += 1
    errors = depth_errors(module, trained.episodes, depth)
    assert errors.steps.sum(0).tolist() == counts.tolist() and counts[0] > counts[-1] == 0
    reached = counts > 0
    for name, slow in (("imagined", "imagined"), ("told", "told"), ("nothing_changes", "still")):
        mean = errors.mean(name)[0]
        assert mean[reached] == pytest.approx(sums[slow][reached] / counts[reached], rel=1e-3)
        assert np.isnan(mean[~reached]).all()


def test_the_interval_counts_episodes_and_depths_that_none_reached_are_nan():
    steps = np.array([[2, 1, 0], [2, 1, 0]])
    sums = np.array([[2.0, 3.0, 0.0], [6.0, 3.0, 0.0]])
    mean, half = DepthErrors(sums, sums, sums, steps, {}, (), {}).mean("told")
    assert mean[:2].tolist() == [2.0, 3.0] and np.isnan(mean[2])
    # Episode means 1 and 3: deviation sqrt(2), standard error 1.
    assert half[0] == pytest.approx(1.96) and half[1] == 0
    mean, half = DepthErrors(sums[:1], sums[:1], sums[:1], steps[:1], {}, (), {}).mean("told")
    assert mean[0] == 1.0 and np.isnan(half[0])


# Pictures.


def test_observations_draw_the_field_that_the_game_draws():
    from env_registry.contract import TEAM
    from env_registry.lbf import LBFEnv

    env = LBFEnv(task="5x5-2p-1f-v2")
    observations, _ = env.reset(seed=1)
    rng = np.random.default_rng(0)
    for _ in range(20):
        picture = env.draw_observations(observations[TEAM]["obs"])
        assert np.array_equal(picture, env.render()[: len(picture)])  # below it is the legend
        observations, *_ = env.step({TEAM: rng.integers(5, size=2)})
    narrow = LBFEnv(task="2s-8x8-2p-2f-coop-v2", observe_agent_levels=False)
    observations, _ = narrow.reset(seed=1)
    picture = narrow.draw_observations(observations[TEAM]["obs"])
    assert picture.shape == (161, 161 + 16 + 161, 3), "each player's own view, side by side"
    nonsense = rng.normal(size=(2, narrow.obs_size)) * 9
    assert narrow.draw_observations(nonsense).shape == picture.shape


def test_units_stand_where_they_see_themselves_and_are_seen():
    from env_registry.draw.smax import draw_observations

    game = SimpleNamespace(
        num_allies=2, num_enemies=1, unit_type_bits=2, map_width=32, map_height=32,
        unit_type_sight_ranges=[9.0, 6.0], unit_type_radiuses=[0.5, 1.0],
    )  # fmt: skip
    obs = np.zeros((2, 2 * 9 + 6), np.float32)
    obs[0, -6:] = [1.0, 0.25, 0.5, 0, 1, 0]  # health, x, y, cooldown, type 0: at (8, 16)
    obs[0, 9:18] = [0.5, 1.0, 0.0, 0, 0, 0, 0, 0, 1]  # the enemy, of type 1, is at (17, 16)
    picture = draw_observations(game, obs)
    assert picture.shape == (320, 320, 3)
    assert tuple(picture[160, 80]) == PLAYER
    red = picture[160, 170].astype(int)
    assert red[0] > red[2] and tuple(red) != FOOD, "hurt: paler than one in full health"
    blue = np.abs(picture.astype(int) - PLAYER).sum(-1) < 60
    assert blue.sum() == pytest.approx(100 * np.pi * 0.25, rel=0.15)  # a disc of radius 0.5
    obs[1, -6:] = [1.0, 17 / 32, 0.9, 0, 1, 0]  # the other ally sees no enemy
    assert tuple(draw_observations(game, obs)[160, 170]) == tuple(red)


def test_errors_are_drawn_on_an_axis_on_which_curves_are_told_apart(monkeypatch, tmp_path):
    """A hundredth of "nothing changes" is not at the bottom, and like curves do not hide."""
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kwargs: drawn.append(self))
    steps = np.full((3, 4), 5)
    small, large = np.full((3, 4), 0.01), np.array([[0.5, 1, 2, 4]] * 3)
    draw_errors(tmp_path / "x.png", DepthErrors(small, small, large, steps, {}, (), {}), 2, "title")
    (axes,) = drawn[0].axes
    drawn[0].draw_without_rendering()
    height = {}
    for line in axes.get_lines()[:3]:
        to_axes = axes.transData + axes.transAxes.inverted()
        height[line.get_label()] = to_axes.transform(line.get_xydata())[:, 1]
    imagined, told, still = height.values()
    assert (imagined > 0.05).all() and (still < 0.98).all() and (still - imagined > 0.3).all()
    first, second = axes.get_lines()[:2]
    assert second.get_markersize() > first.get_markersize()
    assert second.get_markerfacecolor() == "none" and first.get_linestyle() == "-"
    # Errors of 0, as of a game that does not change, have no place on it, and are drawn as well.
    nothing = np.zeros((3, 4))
    draw_errors(
        tmp_path / "x.png", DepthErrors(nothing, nothing, nothing, steps, {}, (), {}), 2, "title"
    )


def test_what_cannot_draw_itself_is_a_table_of_shades(trained):
    paint, is_field = painter(trained.env, trained.episodes[0].obs)
    assert is_field
    table, is_field = painter(object(), trained.episodes[0].obs)
    assert not is_field
    agents, numbers = trained.episodes[0].obs.shape[1:]
    height, width, _ = table(trained.episodes[0].obs[0]).shape
    assert width / height == numbers / agents
    low, high = heatmap(np.array([[0.0, 1.0]]), np.zeros(2), np.ones(2))[0, [0, -1]].sum(-1)
    assert low > high
    foresight = foresee(trained.module, trained.episodes[0], 2)
    side = 5 * 32 + 1 + 6
    picture = sheet(foresight, [0, len(trained.episodes[0]) - 1], paint)
    assert picture.shape == (LABEL_HEIGHT + GAP + 4 * side, LABEL_WIDTH + GAP + 3 * side, 3)
    names = picture[:, :LABEL_WIDTH]
    assert (names[LABEL_HEIGHT + GAP :][:side] < 64).any()  # "step 0, seen"


def test_steps_are_spread_from_the_first():
    assert spread_steps(31) == [0, 10, 20]
    assert spread_steps(1) == [0]


# The command.


def invoke(*args: str):
    return CliRunner().invoke(cli.app, ["imagine", *args])


def test_the_command_writes_pictures_and_numbers(trained, tmp_path):
    out = tmp_path / "out"
    args = (str(trained.checkpoint), "--out", str(out), "--steps", "0", "--episodes", "3")
    result = invoke(*args, "--seed", "1")
    assert result.exit_code == 0, result.output
    assert "steps ahead   imagined" in result.output
    names = {path.name for path in out.iterdir()}
    assert names == {
        "step_0000.png", "errors.png", "errors.csv", "kinds.png", "kinds.csv", "imagined.json",
    }  # fmt: skip
    assert "by kind of change, told the actions" in result.output
    assert np.asarray(Image.open(out / "step_0000.png")).std() > 10
    content = json.loads((out / "imagined.json").read_text())
    (step,) = content["steps"]
    assert np.array(step["foreseen"]).shape == (3, 2, trained.module.obs_size)
    rows = list(csv.DictReader((out / "errors.csv").open()))
    assert [float(row["imagined"]) for row in rows if row["imagined"]] == [
        row["imagined"] for row in content["errors"] if row["imagined"] is not None
    ]
    kinds = list(csv.DictReader((out / "kinds.csv").open()))
    assert [row["entity"] for row in kinds[::10]] == ["all", "food", "self", "player"] * 2
    assert [row["forecast"] for row in kinds[::40]] == ["told", "imagined"]
    assert float(kinds[0]["moves"]) == content["kinds"][0]["moves"] > 0
    assert kinds[20]["vanishes"] == "", "oneself is always there"
    again = tmp_path / "again"
    assert invoke(args[0], "--out", str(again), *args[3:], "--seed", "1").exit_code == 0
    assert (again / "errors.csv").read_text() == (out / "errors.csv").read_text()


def test_what_cannot_be_imagined_is_said_in_words(trained, tmp_path):
    for settings, words in (
        (("QMIX", {}), "was made by QMIX, which imagines nothing"),
        (("MMSA", {"use_world_model": False}), "without world model (use_world_model: False"),
        (("MMSA", {"mixer_reads": "hidden"}), "mixer_reads: hidden"),
    ):
        algorithm = build(settings[0], **settings[1], **FORAGING)
        folder = tmp_path / "_".join([settings[0], *settings[1]])
        algorithm.save_to_path(str(folder))
        algorithm.stop()
        result = invoke(str(folder), "--out", str(tmp_path / "out"))
        assert result.exit_code == 2 and words in result.output
    for args, words in (
        ((str(tmp_path),), "holds no whole checkpoint"),
        ((str(trained.checkpoint), "--seed", "-1"), "greater than or equal to 0"),
        (("nowhere",), "does not exist"),
        ((str(trained.checkpoint), "--steps", "0,x"), "--steps takes env steps such as 0,10,20"),
        ((str(trained.checkpoint), "--steps", "500", "--episodes", "1"), "is past the end"),
    ):
        result = invoke(*args, "--out", str(tmp_path / "out"))
        assert result.exit_code == 2 and words in result.output, result.output
    assert not (tmp_path / "out").exists()
    result = invoke(str(trained.checkpoint), "--out", __file__)
    assert result.exit_code == 2 and "is a file, or below one; name a folder" in result.output


# TensorBoard.


def test_training_pictures_go_to_tensorboard_and_into_no_log(trained, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from rllib_mmsa.command.imagine.tensorboard import ImaginedPictures

    pictures = [result.get(IMAGINED_PNG) for result in trained.results]
    steps = [result["num_env_steps_sampled_lifetime"] for result in trained.results]
    due = [now // 30 > past // 30 for past, now in zip([0, *steps], steps, strict=False)]
    assert [picture is not None for picture in pictures] == due and any(due)
    result = dict(trained.results[due.index(True)])
    shape = np.asarray(Image.open(io.BytesIO(result[IMAGINED_PNG]))).shape
    trial = SimpleNamespace(local_path=str(tmp_path))
    ImaginedPictures().on_trial_result(1, [], trial, result)
    assert IMAGINED_PNG not in result
    log = EventAccumulator(str(Path(tmp_path, "imagined")))
    log.Reload()
    (image,) = log.Images("imagined")
    assert (image.height, image.width) == shape[:2]
    assert image.step == result["num_env_steps_sampled_lifetime"]


@pytest.mark.parametrize(
    "settings", [{"imagine_interval_env_steps": 0}, {"use_world_model": False}]
)
def test_pictures_need_an_interval_and_a_world_model(settings):
    with pytest.raises(ValueError, match="imagine_interval_env_steps"):
        build("MMSA", **{"imagine_interval_env_steps": 10, **settings})

"""Shapes, legends and films of episodes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from env_registry.draw import (
    BATTLE,
    FOOD,
    FORAGING,
    PLAYER,
    draw_grid,
    draw_units,
    with_legend,
    with_words,
)
from env_registry.draw.shapes import BAR, BAR_GROUND
from rllib_mmsa.command.film import FRAME_MS, LAST_FRAME_MS, Film
from rllib_mmsa.errors import ConfigError


def count(picture: np.ndarray, colour: tuple[int, ...]) -> int:
    return int((picture == colour).all(-1).sum())


def units(health: list[float], attacks: list[tuple[int, int]] = ()) -> np.ndarray:  # type: ignore
    """An ally at (8, 16) and an enemy at (24, 16), of radius 1, at 10 pixels per unit."""
    places, radii = np.array([[8.0, 16.0], [24.0, 16.0]]), np.ones(2)
    return draw_units((32, 32), places, radii, np.array(health), 1, 10, attacks)


def test_edges_are_smooth():
    """Between the disc and the ground there are shades of both."""
    field = np.zeros((3, 3), int)
    picture = draw_grid(field, [(1, 1, 2)])
    assert picture.shape == (97, 97, 3)
    inside = picture[33:64, 33:64].reshape(-1, 3)
    assert len(np.unique(inside, axis=0)) > 20
    assert tuple(picture[48, 36]) == PLAYER


def test_foods_and_players_stand_in_their_cells():
    field = np.zeros((2, 3), int)
    field[0, 2] = 4
    picture = draw_grid(field, [(1, 0, 1)])
    assert tuple(picture[8, 64 + 8]) == FOOD and tuple(picture[32 + 6, 16]) == PLAYER
    assert count(picture[:32, :64], FOOD) == 0 and count(picture[:32], PLAYER) == 0


@pytest.mark.parametrize("health", [1.0, 0.5, 0.25])
def test_health_is_as_long_as_its_bar(health):
    picture = units([health, 0.0])
    row = picture[147]  # just over the disc
    full, ground = (row == BAR).all(-1).sum(), (row == BAR_GROUND).all(-1).sum()
    assert full == pytest.approx(20 * health, abs=1) and full + ground == pytest.approx(20, abs=1)
    assert count(picture[:, 200:], FOOD) == 0, "the dead are not drawn"


def test_attacks_are_lines_to_the_target_and_two_where_both_attack():

    def between(attacks: list[tuple[int, int]]) -> tuple[int, int]:
        """In how many columns between the units there is something blue, and something red."""
        part = units([1.0, 1.0], attacks)[150:170, 100:220].astype(int)
        towards_blue = part[..., 2] - part[..., 0]
        blue, red = ((sign * towards_blue > 40).any(0).sum() for sign in (1, -1))
        return int(blue), int(red)

    assert between([]) == (0, 0)
    assert between([(0, 1)]) == (120, 0) and between([(1, 0)]) == (0, 120)
    assert between([(0, 1), (1, 0)]) == (120, 120)


@pytest.mark.parametrize("width", [97, 161, 448])
@pytest.mark.parametrize("entries", [FORAGING, BATTLE])
def test_legends_name_every_shape_and_keep_the_picture(width, entries):
    picture = np.full((50, width, 3), 7, np.uint8)
    shown = with_legend(picture, entries)
    assert shown.shape[1] == width and np.array_equal(shown[:50], picture)
    for _, colour, _ in entries:
        assert count(shown[50:], colour) > 5
    assert shown.shape[0] - 50 == (20 if width == 448 else 4 + 16 * LINES[width, len(entries)])


LINES = {(97, 2): 2, (161, 2): 2, (97, 4): 3, (161, 4): 2}


def test_words_stand_above_a_picture_of_any_width():
    for width in (40, 400):
        shown = with_words(np.zeros((10, width, 3), np.uint8), "episode 1   step 12   return 0.5")
        assert shown.shape == (30, width, 3) and not shown[20:].any()
        assert (shown[:20] < 120).any()


class Env:
    """Pictures of one grey, lighter by the step."""

    def __init__(self) -> None:
        self.step = 0

    def render(self) -> np.ndarray | None:
        return np.full((40, 160, 3), 20 * self.step, np.uint8)


def film_of(lengths: list[int]) -> Film:
    film = Film("QMIX on smacv2 terran_5_units (SMAX)")
    for length in lengths:
        env = Env()
        for env.step in range(length + 1):
            episode = SimpleNamespace(
                env_t=env.step, env_t_started=0, get_return=lambda so_far=env.step / 2: so_far
            )
            take = film.on_frame if env.step else film.on_episode_start
            take(episode=episode, env=SimpleNamespace(envs=[env]), env_index=0)
    return film


def test_a_film_shows_step_and_return_and_stops_at_each_end(tmp_path):
    film_of([2, 1]).save(tmp_path / "films" / "x.gif")
    frames, shown_ms = [], []
    with Image.open(tmp_path / "films" / "x.gif") as film:
        for n in range(film.n_frames):
            film.seek(n)
            frames.append(np.asarray(film.convert("RGB")).astype(int))
            shown_ms.append(film.info["duration"])
    assert shown_ms == [FRAME_MS, FRAME_MS, LAST_FRAME_MS, FRAME_MS, LAST_FRAME_MS]
    words = [frame[20:40] for frame in frames]  # below the title
    assert all((a != b).any() for i, a in enumerate(words) for b in words[i + 1 :])
    assert all((frame[:20] < 120).any() for frame in frames)  # the title


def test_a_film_has_the_first_episodes_alone():
    assert len(film_of([1] * 9)._frames) == 2 * 5


def test_what_has_no_picture_is_said(monkeypatch):
    monkeypatch.setattr(Env, "render", lambda self: None)
    with pytest.raises(ConfigError, match="render.. returns no picture"):
        film_of([1])

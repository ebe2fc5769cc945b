"""After every test on the game, the games that it started are gone."""

from collections.abc import Iterator

import pytest

from tests.game.game import games


@pytest.fixture(autouse=True)
def no_game_is_left() -> Iterator[None]:
    before = games()
    yield
    assert games() <= before

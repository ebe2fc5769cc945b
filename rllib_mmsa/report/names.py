"""What a game is called wherever a name may be cut out: headings, tables, figures, films."""

from __future__ import annotations

import re

# An environment's `backend`, as results record it -> the game that was played.
GAMES = {"smax": "SMAX", "starcraft2": "StarCraft II"}
USUAL = "starcraft2"  # what the names of `smacv2` and `smac` promise


def game_name(task: str, backend: str | None) -> str:
    """Name what was played: the task, and the game where that is another than the task says.

    Args:
        task: Environment and task, such as "smacv2 terran_5_units".
        backend: The results' `env_backend`; "" or None where an environment has one game alone.
            A run that went on in another game has both, as "starcraft2 then smax".

    Returns:
        Such as "smacv2 terran_5_units (SMAX)".
    """
    game = stand_in(backend)
    return f"{task} ({game})" if game else task


def stand_in(backend: str | None) -> str:
    """The game that was played in the place of the one that a task names; "" where none was."""
    if not backend or backend == USUAL:
        return ""
    return re.sub(r"\w+", lambda word: GAMES.get(word.group(), word.group()), backend)


def task_name(env: object, task: object = None, backend: str | None = None) -> str:
    """The same from an environment's name and its task, which may be missing."""
    return game_name(f"{env}{f' {task}' if task else ''}", backend)

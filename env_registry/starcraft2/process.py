"""The life of a StarCraft II process: started, watched, ended with whoever started it.

pysc2 starts the game as a child of this process and ends it in `close()`. What is added here: the
game ends too when this process is killed, Ctrl-C in a terminal does not reach it, and a reset that
never returns is ended after a time limit.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

from env_registry.errors import EnvFailure

# Waits for a line. The pipe also ends when whoever holds it is gone, killed or not: then the game
# ($0) and its folder ($1) go. "done" says that the game has been closed in good order.
_GUARD = 'read -r word; [ "$word" = done ] || { kill -KILL "$0"; rm -rf -- "$1"; } 2>/dev/null'


class GameProcess:
    """One running game: can be killed from another thread, and dies with this process."""

    def __init__(self, process: subprocess.Popen[bytes], temporary_folder: str):
        """Starts to watch.

        Args:
            process: The game.
            temporary_folder: Which the game writes to and nobody needs afterwards.
        """
        self._process = process
        self._guard: subprocess.Popen[bytes] | None = None
        if os.name == "posix":
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, str(process.pid), temporary_folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The game's process id."""
        return self._process.pid

    def kill(self) -> None:
        """Ends the game at once; whoever waits for its answer gets an error."""
        self._process.kill()

    def release(self) -> None:
        """Ends the game, if it still runs, and the watch."""
        if self._process.poll() is None:
            self.kill()
        self._process.wait()
        if self._guard is not None:
            with contextlib.suppress(OSError, ValueError):
                self._guard.communicate(b"done\n")
            self._guard = None


@contextlib.contextmanager
def watch_starts(started: Callable[[GameProcess], None]) -> Iterator[None]:
    """Inside, every game that pysc2 starts is watched from its first moment.

    pysc2 hands a game out only when it has answered, which may never happen; and it has no hook
    before that. So its class is replaced for the time of the call.

    Args:
        started: Is told of each game, before pysc2 waits for its answer.
    """
    from pysc2.lib import sc_process

    original = sc_process.StarcraftProcess

    class Watched(original):  # type: ignore[misc, valid-type]
        def _launch(self, run_config: Any, args: list[str], **kwargs: Any) -> Any:
            process = subprocess.Popen(
                args,
                cwd=run_config.cwd,
                env=run_config.env,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C is for the trainer, which saves
            )
            started(GameProcess(process, self._tmp_dir))
            return process

    sc_process.StarcraftProcess = Watched
    try:
        yield
    finally:
        sc_process.StarcraftProcess = original


@contextlib.contextmanager
def time_limit(seconds: float, expired: Callable[[], None], what: str) -> Iterator[None]:
    """Ends what happens inside when it takes too long.

    Args:
        seconds: The limit.
        expired: Called from another thread at the limit; must make what happens inside fail.
        what: For the message: what took too long, and which option sets the limit.

    Raises:
        EnvFailure: If the limit was reached, whatever came of it inside.
    """
    over = threading.Event()

    def end() -> None:
        over.set()
        expired()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if not over.is_set():
            raise
        raise EnvFailure(f"{what} ({seconds:g} s)") from error
    finally:
        timer.cancel()
    if over.is_set():
        raise EnvFailure(f"{what} ({seconds:g} s)")

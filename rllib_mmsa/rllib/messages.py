"""What a run's processes tell at once, beside the results of calls: notes, and signs of life.

Workers' logs do not reach the screen of ``rllib train``, and results come at the end of an
iteration, which a run whose environments only fail never sees. Both kinds of message therefore go
through the key-value store of Ray's head, which every process of a run can reach.
"""

from __future__ import annotations

import logging
import os
import time
import traceback

from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.experimental import internal_kv as kv

logger = logging.getLogger(__name__)

_NOTE = "rllib_mmsa:note:"
_PULSE = "rllib_mmsa:pulse:"
#: Frames below these are not the user's own code.
_LIBRARIES = ("/site-packages/", "/dist-packages/", "/rllib_mmsa/", "<frozen", "python/ray/")


def trial_of(logdir: str | None) -> str | None:
    """What names a trial in its notes: the folder it works in (an Algorithm knows no trial id)."""
    return os.path.basename(logdir.rstrip("/")) if logdir else None


def say(text: str, trial: str | None, error: BaseException | None = None) -> None:
    """Logs a warning, and has ``rllib train`` print it.

    Args:
        text: one line.
        trial: which one it is about (``trial_of``); None: it is only logged.
        error: its traceback goes to the log.
    """
    logger.warning("%s", text, exc_info=error)
    if trial is None or not kv._internal_kv_initialized():
        return
    try:
        kv._internal_kv_put(f"{_NOTE}{trial}:{time.time_ns():020}:{os.getpid()}", text)
    except Exception as lost:  # a note is never worth a run
        logger.warning("a note did not reach the screen: %s", lost)


def heard(trial: str) -> list[str]:
    """The notes of a trial since the last call, oldest first."""
    keys = sorted(kv._internal_kv_list(f"{_NOTE}{trial}:"))
    notes = [kv._internal_kv_get(key) for key in keys]
    for key in keys:
        kv._internal_kv_del(key)
    return [note.decode() for note in notes if note is not None]


def beat(name: str, count: int) -> None:
    """Says that the process of this name is at work: ``count`` differs from the last one."""
    kv._internal_kv_put(f"{_PULSE}{name}", str(count), overwrite=True)


def last_beat(name: str) -> bytes | None:
    """What ``beat`` said last under this name; None where it has said nothing yet."""
    return kv._internal_kv_get(f"{_PULSE}{name}")


def forget_beats(name: str) -> None:
    """Deletes the signs of life under all names that begin so."""
    kv._internal_kv_del(f"{_PULSE}{name}", del_by_prefix=True)


def users_error(error: BaseException) -> BaseException:
    """The exception that a remote process raised, with its type and the remote traceback as text.

    An error of Ray that has none in it (a process that died) is returned as it is.
    """
    if isinstance(error, RayActorError) and error.actor_init_failed and error.args:
        error = error.args[0]
    return error.as_instanceof_cause() if isinstance(error, RayTaskError) else error


def describe(error: BaseException) -> str:
    """An exception in one line: its type, its text, and the line of the user's code it is from."""
    if isinstance(error, RayActorError) and not error.actor_init_failed:
        return "its process died (a crash in native code, memory that ran out, or a lost machine)"
    error = users_error(error)
    cause = getattr(error, "cause", None) if isinstance(error, RayError) else None
    raised = cause if isinstance(cause, BaseException) else error
    text = " ".join(str(raised).split()) or "no message"
    return f"{type(raised).__name__}: {text}{_place(error)}"


def _place(error: BaseException) -> str:
    """`` (file:line)`` of the innermost line of the user's code, or of anybody's."""
    remote = isinstance(error, RayTaskError)  # whose text is the traceback
    lines = str(error).splitlines() if remote else traceback.format_tb(error.__traceback__)
    frames = [line.strip() for line in lines if line.strip().startswith('File "')]
    own = [frame for frame in frames if not any(part in frame for part in _LIBRARIES)]
    if not frames:
        return ""
    path, line = (own or frames)[-1].removeprefix('File "').split('", line ', 1)
    return f" ({path}:{line.split(',')[0]})"

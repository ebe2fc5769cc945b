"""A full disk, said in words: what is full, and that the run can go on once there is room."""

from __future__ import annotations

import pickle
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ray.tune.result import EXPR_ERROR_PICKLE_FILE

from rllib_mmsa.command.experiment.storage import FULL

# Another process's exception arrives as text.
TEXTS = ("No space left on device", "Disk quota exceeded")


def is_cause(error: BaseException | None) -> bool:
    """Whether a full disk, or a quota that is used up, is behind an exception."""
    return any(
        getattr(each, "errno", None) in FULL or any(text in str(each) for text in TEXTS)
        for each in _chain(error)
    )


def cut_off(error: BaseException, results: Path) -> bool:
    """Whether Tune fails to read a trial's exception because a full disk cut its file off.

    Args:
        error: What Tune raised.
        results: The experiment's folder.
    """
    if not isinstance(error, EOFError | pickle.UnpicklingError):
        return False
    return any(map(_is_cut_off, results.glob(f"*/{EXPR_ERROR_PICKLE_FILE}")))


def _is_cut_off(pickled: Path) -> bool:
    """Whether a pickle ends too early."""
    try:
        pickle.loads(pickled.read_bytes())
    except (EOFError, pickle.UnpicklingError):
        return True
    except Exception:  # whole, but of a class that is not there
        return False
    return False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those that it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        # The second is Ray's, of an exception on another process.
        error = error.__cause__ or getattr(error, "cause", None) or error.__context__


def message(results: Path) -> str:
    """Say which disk is full: the results' own, or the one of the temporary files.

    Args:
        results: The experiment's folder; it exists.
    """
    place = min(
        (results, Path(tempfile.gettempdir())), key=lambda path: shutil.disk_usage(path).free
    )
    free = shutil.disk_usage(place).free / 1e6
    return (
        f"no space left on '{place}' ({free:,.0f} MB free). The last whole checkpoint is kept; "
        "make room, then resume (fewer or smaller checkpoints: checkpoint_config's num_to_keep, "
        "store_buffer_in_checkpoints: false)."
    )

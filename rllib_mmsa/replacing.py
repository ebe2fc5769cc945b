"""Files that are replaced as a whole: a kill leaves the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def replacing(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Write a file aside, and put it in its place when the block ends without an exception.

    Args:
        path: The file that is replaced or made; its folder exists.
        mode: "w" for text (UTF-8, line ends as they are written), "wb" for bytes.

    Yields:
        The file, open for writing.

    Raises:
        OSError: If it cannot be written; `path` is then as it was.
    """
    aside = path.with_name(f".{path.name}.new")
    try:
        text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
        with aside.open(mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the name with no content
        aside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise

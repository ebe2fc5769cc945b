"""How a failed trial's error is told: in words where it has them, else the end of its traceback."""

from __future__ import annotations

import re

_LINES = 12
# A traceback's last line names the exception; these say all that there is to say.
_IN_WORDS = re.compile(r"^\s*rllib_mmsa\.[\w.]+: ", re.M)
_MARKS = re.compile(r"^[\s^~]*$")


def last_lines(error: object) -> str:
    """The lines of a trial's error that a person needs.

    Args:
        error: Of a trial: text that ends with Python's traceback.

    Returns:
        This project's own message, or the last lines of the traceback without its marks.
    """
    text = str(error).strip()
    *_, last = [None, *_IN_WORDS.finditer(text)]
    if last is not None and "\n" not in text[last.end() :].strip():
        return text[last.end() :].strip()
    lines = [line for line in text.splitlines() if not _MARKS.match(line)]
    return "\n".join(lines[-_LINES:])

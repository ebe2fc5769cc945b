"""Links in Markdown, outside blocks of code."""

from __future__ import annotations

import re
from collections.abc import Callable

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
FENCED = re.compile(r"(^ *```.*?^ *```[^\n]*\n?)", re.S | re.M)


def in_prose(markdown: str, change: Callable[[str], str]) -> str:
    """The text with all between its blocks of code changed; the blocks stay as they are."""
    parts = FENCED.split(markdown)
    parts[::2] = map(change, parts[::2])  # the others are the blocks
    return "".join(parts)

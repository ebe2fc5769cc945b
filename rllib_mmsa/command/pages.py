"""The documentation that is installed with the package (``rllib docs``). No Ray, no torch."""

from __future__ import annotations

from pathlib import Path

from rllib_mmsa.errors import unknown

FOLDER = Path(__file__).resolve().parents[1] / "docs"


def names() -> list[str]:
    """All pages: those on everything, then those on one family of environments."""
    found = [*sorted(FOLDER.glob("*.md")), *sorted(FOLDER.glob("environments/*.md"))]
    return [page.relative_to(FOLDER).with_suffix("").as_posix() for page in found]


def path_of(name: str) -> Path:
    """The file of a page.

    Args:
        name: As in ``names``, or as links have it: "docs/environments/lbf.md".

    Raises:
        ConfigError: If there is none; the nearest is named.
    """
    short = name.removeprefix("docs/").removesuffix(".md")
    if short not in names():
        raise unknown("page", name, names())
    return FOLDER / f"{short}.md"


def title_of(name: str) -> str:
    """The heading of a page."""
    with path_of(name).open(encoding="utf-8") as page:
        return page.readline().lstrip("# ").rstrip().replace("`", "")

"""The source as a package index takes it: `make dist URL=https://HOST/OWNER/NAME`.

An index shows README.md on a page of its own, where a relative link leads nowhere, and links to
the project from the package's metadata.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.links import LINK, in_prose

ROOT = Path(__file__).resolve().parents[1]
#: Name of a link on the index -> what follows the project's address.
PAGES = {
    "Source": "",
    "Documentation": "/tree/HEAD/docs",
    "Changelog": "/blob/HEAD/CHANGELOG.md",
    "Issues": "/issues",
}


def absolute(markdown: str, url: str) -> str:
    """README.md with links that hold anywhere; blocks of code stay as they are."""

    def link(found: re.Match[str]) -> str:
        mark, text, target = found.groups()
        if ":" in target or target.startswith("#"):
            return found[0]
        kind = "raw" if mark else "tree" if target.endswith("/") else "blob"
        return f"{mark}[{text}]({url}/{kind}/HEAD/{target})"

    return in_prose(markdown, lambda prose: LINK.sub(link, prose))


def with_urls(pyproject: str, url: str) -> str:
    """pyproject.toml with the project's links."""
    lines = [f'{name} = "{url}{path}"' for name, path in PAGES.items()]
    table = "\n".join(["[project.urls]", *lines, "", "[project.scripts]"])
    return pyproject.replace("[project.scripts]", table, 1)


def main(url: str, folder: Path) -> None:
    """Copy the files that git knows or would add, and change the two.

    Raises:
        SystemExit: If the address is none.
    """
    url = url.rstrip("/")
    if not re.fullmatch(r"https://[^/\s]+/\S+", url):
        sys.exit(f"URL={url} is not the address of a repository, such as https://HOST/OWNER/NAME")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    shutil.rmtree(folder, ignore_errors=True)
    for name in filter(None, names.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    for name, change in (("README.md", absolute), ("pyproject.toml", with_urls)):
        text = (ROOT / name).read_text(encoding="utf-8")
        (folder / name).write_text(change(text, url), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

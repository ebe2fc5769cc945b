"""What `make docs` does to the pages on their way to the site (a hook of mkdocs.yml).

The pages are written for a code host: links go to files of the repository, and README.md is the
first page. Here these files become pages too, links between pages follow, and a link to anything
else in the repository becomes its path as text, since the site has no copy of it.
"""

from __future__ import annotations

import logging
import os
import posixpath
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # mkdocs loads this file by its path alone

from scripts.links import FENCED, LINK, in_prose  # noqa: E402

#: Files of the repository, and the pages that they are on the site.
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "tuned_examples/README.md": "tuned_examples.md",
    "tuned_examples/zoo/README.md": "zoo.md",
}
#: What a code host draws otherwise than the site: the remedy, for each.
OTHERWISE = {
    r"^ {1,3}```": "a block of code in a list begins with four spaces",
    r"^\n {1,3}(?!`|\|)\S": "a paragraph in a list begins with four spaces",
    r"^(?![-*] |\d+\. | |$|<).*\n(?:[-*]|\d+\.) ": "an empty line stands before a list",
}

log = logging.getLogger("mkdocs.hooks.docs_site")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that lie outside docs/."""
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A page's text as the site takes it."""
    src = page.file.src_uri
    source = {page: source for source, page in OUTSIDE.items()}.get(src, f"docs/{src}")
    for problem in problems(markdown):
        log.warning("%s: %s", source, problem)
    return for_site(markdown, source)


def problems(markdown: str) -> list[str]:
    """What would not look on the site as on a code host."""
    found = []
    prose = FENCED.sub(lambda block: block[0].split("\n")[0] + "\n", markdown)
    for pattern, remedy in OTHERWISE.items():
        found += [f"{remedy}: {each[0]!r}" for each in re.finditer(pattern, prose, re.M)]
    return found


def for_site(markdown: str, source: str) -> str:
    """A page of the repository as a page of the site.

    Args:
        markdown: its text.
        source: its path in the repository.

    Returns:
        The text with links that hold on the site, and with an empty line between a comment and the
        table below it, without which the site has no table.
    """

    def change(prose: str) -> str:
        spaced = re.sub(r"^(<!--.*-->)\n(?=\|)", r"\1\n\n", prose, flags=re.M)
        return LINK.sub(lambda link: _link(link, source), spaced)

    return in_prose(markdown, change)


def _link(link: re.Match[str], source: str) -> str:
    """One link as it is on the site."""
    mark, text, target = link.groups()
    file, hash_sign, anchor = target.partition("#")
    if not file or ":" in file:
        return link[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), file))
    goal = OUTSIDE.get(path)
    if goal is None and path.startswith("docs/"):
        goal = path.removeprefix("docs/")
    if goal is None:
        if not (ROOT / path).exists():
            return link[0]  # it is broken, and the build says so
        return f"`{path}`" if text.strip("`/") == path else f"{text} (`{path}`)"
    here = OUTSIDE.get(source) or source.removeprefix("docs/")
    relative = os.path.relpath(goal, posixpath.dirname(here) or ".").replace(os.sep, "/")
    return f"{mark}[{text}]({relative}{hash_sign}{anchor})"

"""What the pages promise: links lead somewhere, files and tests exist, no page is too long."""

import re
from pathlib import Path

import pytest

from tests.pages import anchors, name_of, prose

ROOT = Path(__file__).resolve().parents[2]
HISTORY = ROOT / "docs" / "history"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ROOT / "tuned_examples" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
#: Pages that a person reads: neither notes of the past nor tables that a report wrote.
READ = [page for page in PAGES if HISTORY not in page.parents and page.parent.name != "tables"]
LONGEST = 2000  # words
#: Folders whose files a page may name; the pages also name files by their place in the package.
FOLDERS = ("rllib_mmsa", "env_registry", "tests", "docs", "scripts", "benchmarks")
INSIDE = ("method", "engine", "rllib", "command", "report")


def links(page: Path) -> list[str]:
    """The targets of the links inside the repository."""
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [target for target in targets if "://" not in target]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings(page):
    broken = []
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", READ, ids=name_of)
def test_named_files_exist(page):
    paths = re.findall(r"`([\w./-]+?/[\w./*{},-]*)(?:::[\w.]+)?`", prose(page))
    named = [path for path in paths if path.split("/")[0] in FOLDERS]
    inside = [path for path in paths if path.split("/")[0] in INSIDE]
    missing = [path for path in named if not list(ROOT.glob(path.rstrip("/")))]
    missing += [path for path in inside if not list((ROOT / "rllib_mmsa").glob(path.rstrip("/")))]
    assert not missing


@pytest.mark.parametrize("page", READ, ids=name_of)
def test_named_tests_exist(page):
    named = set(re.findall(r"`(?:[\w./]+::)?(test_(?:[a-z0-9]+_){2,}\w+)`", prose(page)))
    sources = [file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py")]
    assert not {name for name in named if not any(f"def {name}(" in text for text in sources)}


@pytest.mark.parametrize("page", [p for p in READ if p.name != "CHANGELOG.md"], ids=name_of)
def test_a_page_can_be_read_in_one_go(page):
    """Tables and blocks of code do not count."""
    told = [line for line in prose(page).splitlines() if not line.lstrip().startswith("|")]
    words = sum(len(line.split()) for line in told)
    assert words <= LONGEST, f"{name_of(page)} has {words} words; move a part to a page below it"


def test_every_page_is_linked_from_another():
    linked = {
        (page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in links(page)
    }
    lonely = [name_of(page) for page in READ if page not in linked and page.name != "README.md"]
    assert not [name for name in lonely if name != "CHANGELOG.md"]


def test_the_checks_see_what_is_broken(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `b` (c)\n[x](#a-b-c) [y](z.md)\n```\n[n](o.md)\n```\n", encoding="utf-8")
    assert anchors(page) == {"a-b-c"}
    assert links(page) == ["#a-b-c", "z.md"]

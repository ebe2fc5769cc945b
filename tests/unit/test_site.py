"""The site of `make docs`: its pages, what becomes of links on the way, and its reference."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import anchors, name_of

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    page
    for page in sorted([*DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb")])
    if page.parent.name != "tables" and ".ipynb_checkpoints" not in page.parts
]


@pytest.fixture(scope="module")
def hook():
    pytest.importorskip("mkdocs", reason="the extra docs is needed")
    from scripts import docs_site

    return docs_site


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_page_is_in_the_navigation(page):
    entry = page.relative_to(DOCS).as_posix()
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    listed = re.findall(r"^ +- (?:.*: )?([\w/.-]+\.(?:md|ipynb))$", navigation, re.M)
    assert entry in listed, (
        f"{name_of(page)} is not on the site: add `- {entry}` to nav in mkdocs.yml"
    )


@pytest.mark.parametrize(
    ("source", "text", "on_site"),
    [
        ("README.md", "[a](docs/cli.md#x) [b](CHANGELOG.md)", "[a](cli.md#x) [b](changelog.md)"),
        ("README.md", "[t/](tuned_examples/README.md)", "[t/](tuned_examples.md)"),
        ("README.md", "[Apache-2.0](LICENSE)", "Apache-2.0 (`LICENSE`)"),
        ("docs/cli.md", "[tests/](../tests)", "`tests`"),
        ("docs/cli.md", "[`README.md`](../README.md#a-b)", "[`README.md`](index.md#a-b)"),
        ("docs/environments/lbf.md", "[x](../cli.md) ![p](a.png)", "[x](../cli.md) ![p](a.png)"),
        ("tuned_examples/README.md", "[c](../docs/cli.md)", "[c](cli.md)"),
        ("docs/cli.md", "[gone](../gone.py) [w](https://a.b)", "[gone](../gone.py) [w](https://a.b)"),
        ("docs/cli.md", "```\n[a](../LICENSE)\n```\n", "```\n[a](../LICENSE)\n```\n"),
        ("docs/results.md", "<!-- a/b -->\n| x |\n", "<!-- a/b -->\n\n| x |\n"),
    ],
)  # fmt: skip
def test_a_link_holds_on_the_site_too(hook, source, text, on_site):
    assert hook.for_site(text, source) == on_site


def test_what_the_site_would_draw_otherwise_is_said(hook):
    assert hook.problems("1. a\n\n    ```bash\n    x\n    ```\n\nText\n\n- b\n  c\n- d\n") == []
    [fence, late] = hook.problems("1. a\n\n   ```bash\n   x\n   ```\n\nText\n- b\n")
    assert fence.startswith("a block of code in a list begins with four spaces")
    assert late.startswith("an empty line stands before a list")


@pytest.mark.slow
@pytest.mark.usefixtures("hook")
def test_the_site_is_built_whole_and_its_reference_names_every_setting(tmp_path):
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

    from rllib_mmsa.method.settings import MMSASettings
    from rllib_mmsa.rllib.config import QLearningConfig

    build = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("index.html")}
    assert len(pages) == len(PAGES) + 5  # README, CONTRIBUTING, CHANGELOG, tuned_examples, zoo
    assert not [page for page in pages if "<p>```" in (tmp_path / page).read_text("utf-8")]
    for page in ("cli", "search", "readings"):
        html = (tmp_path / page / "index.html").read_text("utf-8")
        assert anchors(DOCS / f"{page}.md") <= set(re.findall(r'id="([^"]+)"', html))
    reference = "".join(
        (tmp_path / "reference" / page / "index.html").read_text("utf-8")
        for page in ("settings", "algorithms")
    )
    own = set(vars(QLearningConfig())) - set(vars(AlgorithmConfig()))
    settings = {field.name for field in dataclasses.fields(MMSASettings)}
    assert "engine" in own and "kl_weight" in settings
    public = {name for name in own | settings if not name.startswith("_")}
    assert not {name for name in public if f">{name}</span></code></td>" not in reference}


def test_nothing_on_the_site_comes_from_elsewhere():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in text and not re.findall(r"https?://", text)

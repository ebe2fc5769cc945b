"""The pages are installed with the package, and messages name nothing else of the repository."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rllib_mmsa.command import pages
from rllib_mmsa.command.cli import app
from rllib_mmsa.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
#: What a repository has and an installed package has not, as a message would name it.
ELSEWHERE = re.compile(r"docs/[\w/]+\.md|README\.md|CHANGELOG|(?<!\w)(tests|scripts|benchmarks)/\w")
CARD = ROOT / "rllib_mmsa" / "team" / "card.py"  # writes a README.md of its own


def run(*command: str):
    return CliRunner().invoke(app, ["docs", *command])


def messages() -> Iterator[tuple[Path, str]]:
    """The texts in the code that are not docstrings."""
    for file in [*(ROOT / "rllib_mmsa").rglob("*.py"), *(ROOT / "env_registry").rglob("*.py")]:
        tree = ast.parse(file.read_text("utf-8"))
        told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if id(node) not in told:
                    yield file, node.value


def test_messages_name_pages_that_are_installed():
    named = []
    for file, text in messages():
        assert file == CARD or not ELSEWHERE.search(text), f"{file.name}: {text}"
        named += re.findall(r"`rllib docs ([\w/]+)`", text)
    assert len(named) > 5 and set(named) <= set(pages.names())


def test_they_are_those_of_the_repository():
    docs = ROOT / "docs"
    files = [*docs.glob("*.md"), *docs.glob("environments/*.md")]
    assert {pages.path_of(name).resolve() for name in pages.names()} == set(files)
    packaged = (ROOT / "pyproject.toml").read_text("utf-8")
    assert '"docs/*.md", "docs/environments/*.md"' in packaged


def test_all_are_listed_with_their_titles():
    shown = CliRunner().invoke(app, ["docs"], env={"COLUMNS": "200"}).output
    for name in pages.names():
        assert name in shown and pages.title_of(name) in shown


@pytest.mark.parametrize("name", ["cli", "cli.md", "docs/cli.md"])
def test_one_is_shown_as_it_is(name):
    assert run(name).output == (ROOT / "docs" / "cli.md").read_text("utf-8")


@pytest.mark.parametrize("name", ["clu", "../README", "history/results", ""])
def test_what_is_no_page_is_said(name):
    with pytest.raises(ConfigError, match="unknown page"):
        pages.path_of(name)
    if name:
        done = run(name)
        assert done.exit_code == 2 and "unknown page" in done.output

"""What a package index shows leads somewhere."""

from __future__ import annotations

import re
import sys

import pytest

from scripts import for_index, links

URL = "https://host.example/team/project"


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("[a](docs/a.md#part)", f"[a]({URL}/blob/HEAD/docs/a.md#part)"),
        ("[a](tuned_examples/)", f"[a]({URL}/tree/HEAD/tuned_examples/)"),
        ("![a](docs/a.svg)", f"![a]({URL}/raw/HEAD/docs/a.svg)"),
        ("[a](#part) [b](https://b.example)", "[a](#part) [b](https://b.example)"),
        ("```\n[a](b)\n```\n", "```\n[a](b)\n```\n"),
    ],
)
def test_links_hold_anywhere(text, made):
    assert for_index.absolute(text, URL) == made


@pytest.mark.skipif(
    not (for_index.ROOT / ".git").exists(), reason="copies what git knows: needs a clone"
)
def test_the_copy_has_absolute_links_and_the_project_s_addresses(tmp_path):
    for_index.main(URL + "/", tmp_path / "copy")
    readme = (tmp_path / "copy" / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!#)([^)\s]+)\)", links.FENCED.sub("", readme))
    assert targets and all(target.startswith("https://") for target in targets)
    text = (tmp_path / "copy" / "pyproject.toml").read_text(encoding="utf-8")
    if sys.version_info >= (3, 11):
        import tomllib

        project = tomllib.loads(text)["project"]
        assert project["urls"]["Source"] == URL and set(project["urls"]) == set(for_index.PAGES)
        assert "rllib" in project["scripts"]
    assert (tmp_path / "copy" / "rllib_mmsa" / "docs").is_symlink()


def test_what_is_no_address_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="URL=here is not the address of a repository"):
        for_index.main("here", tmp_path / "copy")

"""The fenced blocks of the pages: what they are, and which tests run those that are code."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HISTORY = ROOT / "docs" / "history"
PAGES = [
    *(
        ROOT / name
        for name in (
            "README.md",
            "CONTRIBUTING.md",
            "tuned_examples/README.md",
            "tuned_examples/zoo/README.md",
        )
    ),
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if HISTORY not in page.parents),
]
SHELL = ("bash", "sh", "shell", "console")
#: Output, formulas, trees of files, references: nothing to run.
WORDS = ("", "text", "bibtex")
#: A block without a language is of commands where a line begins with one of these.
PROGRAMS = ("rllib", "python", "make", "pip", "tensorboard")
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```", re.S | re.M)
MARK = re.compile(r"<!-- *not run: *(.*?) *-->\s*$", re.S)
NAMED = re.compile(r"`([\w-]+\.(?:py|ya?ml))`")

#: Blocks that a test of their own runs as they are printed: page, words in the block, test.
RUN_BY = [
    (
        "docs/environments.md",
        "class CorridorEnv",
        "tests/contract/test_docs_example.py::test_the_worked_example_follows_the_contract",
    ),
    (
        "docs/environments/pettingzoo.md",
        "class DoorsEnv",
        "tests/contract/test_docs_example.py"
        "::test_the_pettingzoo_example_follows_the_contract_and_is_found_by_its_task",
    ),
    *(
        (
            "docs/extending.md",
            f'register_trainable("{name}"',
            "tests/unit/test_docs_extending.py"
            "::test_every_example_runs_as_printed_in_a_folder_of_its_own",
        )
        for name in ("WeightedSum", "ValueSize", "ValueSizeWeight", "Bounded")
    ),
    (
        "docs/teams.md",
        "onnxruntime.InferenceSession",
        "tests/smoke/test_onnx_alone.py::test_it_takes_the_trainer_s_actions",
    ),
    *(
        (
            "docs/serving.md",
            words,
            "tests/smoke/test_serving_kills.py"
            "::test_ray_serve_loses_nothing_when_a_replica_is_killed",
        )
        for words in ("serve run", "with Client(")
    ),
    (
        "docs/serving.md",
        "uvicorn server:app",
        "tests/smoke/test_serving_kills.py"
        "::test_the_server_without_ray_loses_nothing_when_a_worker_is_killed",
    ),
]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: the page's path in the repository.
        line: the number of the line of its fence.
        language: what the fence says, or "".
        code: what is in it, without the indentation of a list around it.
        not_run: why it cannot be run, by the comment above it; None: there is no such comment.
        file: the name that the page gives it (the paragraph above, or its first line), or "".
    """

    page: str
    line: int
    language: str
    code: str
    not_run: str | None
    file: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def kind(self) -> str:
        """shell, python, yaml, words, or the language that no test knows."""
        if self.language in SHELL:
            return "shell"
        if self.language in WORDS:
            first = [line.split()[0] for line in self.code.splitlines() if line.strip()]
            return "shell" if not self.language and set(first) & set(PROGRAMS) else "words"
        return {"yml": "yaml", "py": "python"}.get(self.language, self.language)

    @property
    def run_by(self) -> list[str]:
        """The tests that run it as it is printed."""
        return [test for page, words, test in RUN_BY if page == self.page and words in self.code]


def blocks_of(text: str, page: str) -> list[Block]:
    """The blocks of a page's text."""
    found = []
    for each in FENCE.finditer(text):
        above, code = text[: each.start()], textwrap.dedent(each[3])
        mark = MARK.search(above)
        told = NAMED.findall(above.rstrip().rpartition("\n\n")[2])
        told += re.findall(r"\A# ([\w-]+\.py)$", code, re.M)
        found.append(
            Block(
                page=page,
                line=above.count("\n") + 1,
                language=each[2],
                code=code,
                not_run=mark and mark[1],
                file=told[-1] if told else "",
            )
        )
    return found


def blocks(pages: Sequence[Path] = PAGES) -> list[Block]:
    """All blocks of the pages."""
    return [
        block
        for page in pages
        for block in blocks_of(page.read_text("utf-8"), page.relative_to(ROOT).as_posix())
    ]


def to_run(kind: str) -> list[Block]:
    """The blocks of a kind that no test of their own runs, and that can be run."""
    free = [block for block in blocks() if block.kind == kind and not block.run_by]
    return [block for block in free if block.not_run is None]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def without_code(text: str) -> str:
    """The text without blocks of code, which have links and paths of their examples."""
    return re.sub(r"^ *```.*?^ *```\n?", "", text, flags=re.S | re.M)


def prose(page: Path) -> str:
    return without_code(page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub derives them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.M)
    text = (re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in text}

"""What `make lint` calls too long."""

import ast
from pathlib import Path

import pytest

from scripts.lengths import MAX_FILE, MAX_FUNCTION, violations

ROOT = Path(__file__).resolve().parents[2]


def function(lines: int, *before: str) -> str:
    """A function of so many lines, `def` included, besides what comes first in its body."""
    return "\n".join(["def f():", *before, *["    x = 1"] * (lines - 1)])


DOCSTRING = ('    """One.', "", "    Two.", '    """')


@pytest.mark.parametrize("before", [(), DOCSTRING])
def test_a_docstring_does_not_count(before):
    assert not list(violations(function(MAX_FUNCTION, *before), "a.py"))
    (sentence,) = violations(function(MAX_FUNCTION + 1, *before), "a.py")
    assert sentence.startswith("a.py:1: f has 41 lines; a function has at most 40")


def test_a_function_in_a_class_counts_and_decorators_do_not():
    body = function(MAX_FUNCTION + 1).replace("\n", "\n    ")
    (sentence,) = violations(f"class A:\n    @property\n    {body}", "a.py")
    assert sentence.startswith("a.py:3: f has 41 lines")


def test_a_long_file():
    assert not list(violations("x = 1\n" * MAX_FILE, "a.py"))
    (sentence,) = violations("x = 1\n" * (MAX_FILE + 1), "a.py")
    assert sentence.startswith("a.py: 301 lines; a file has at most 300.")


#: Who follows one update of MMSA reads these, and nothing else.
UPDATE = [
    "rllib/learner.py",
    *(f"method/{name}.py" for name in ("update", "losses", "targets", "agents", "sale")),
    *(f"method/{name}.py" for name in ("world_model", "mixers", "standardiser")),
]


def test_an_update_is_followed_in_nine_files_and_1700_lines():
    texts = [(ROOT / "rllib_mmsa" / name).read_text(encoding="utf-8") for name in UPDATE]
    assert len(texts) <= 9
    assert sum(len(text.splitlines()) for text in texts) <= 1700
    [forward] = [
        node
        for node in ast.parse(texts[1]).body
        if isinstance(node, ast.FunctionDef) and node.name == "forward"
    ]
    assert forward.end_lineno - forward.lineno < 60

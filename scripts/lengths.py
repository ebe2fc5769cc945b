"""Lists every Python file and function that is too long to read at once (`make lint`).

A file has at most 300 lines. A function has at most 40: from its `def` to its end, signature
included, decorators and docstring not. A function within a function counts in both. The folder
`rllib_mmsa/engine/native` (the compiled engine: C, and what calls it) is left out.

Exits with 1 if anything is too long.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("rllib_mmsa", "env_registry", "benchmarks", "scripts", "tests")
EXEMPT = "rllib_mmsa/engine/native/"
MAX_FILE = 300
MAX_FUNCTION = 40


def function_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its decorators and its docstring."""
    first = function.body[0]
    documented = ast.get_docstring(function, clean=False) is not None
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - docstring


def violations(source: str, file: str) -> Iterator[str]:
    """One sentence for the file if it is too long, and one for each function that is.

    Args:
        source: The file's text.
        file: Its path, put first.
    """
    lines = len(source.splitlines())
    if lines > MAX_FILE:
        yield f"{file}: {lines} lines; a file has at most {MAX_FILE}. Split it by what it does."
    for node in ast.walk(ast.parse(source, file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = function_length(node)
            if length > MAX_FUNCTION:
                yield (
                    f"{file}:{node.lineno}: {node.name} has {length} lines; a function has at most "
                    f"{MAX_FUNCTION} (docstring not counted). Move a part into a function."
                )


def main() -> int:
    """Print what is too long in the repository; return the exit code."""
    code = 0
    for path in sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")):
        file = path.relative_to(ROOT).as_posix()
        if file.startswith(EXEMPT):
            continue
        for sentence in violations(path.read_text(encoding="utf-8"), file):
            print(sentence)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())

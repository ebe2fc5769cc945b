"""Rebuilds every figure and table of the results from the data beside them (`make results`).

Each docs/results/data/NAME.csv becomes the report docs/results/NAME/. In a page of ``PAGES`` a line
``<!-- NAME/TABLE -->`` stands before each table; the lines below it, up to the first that is no
table row, are those of docs/results/NAME/tables/TABLE.md.
"""

from __future__ import annotations

import re
from pathlib import Path

from rllib_mmsa import report
from rllib_mmsa.report.study import Options

DOCS = Path(__file__).resolve().parents[1] / "docs"
#: Pages with tables of the reports.
PAGES = ("results.md", "rivals.md", "history/one_step.md")
_PLACE = re.compile(r"^<!-- (\S+)/(\S+) -->\n(?:\|.*\n)*", re.MULTILINE)


def embed(text: str, results: Path = DOCS / "results") -> str:
    """The text with every named table as the reports have it.

    Raises:
        FileNotFoundError: If a report has no such table.
    """

    def rows(match: re.Match[str]) -> str:
        name, table = match.groups()
        made = (results / name / "tables" / f"{table}.md").read_text(encoding="utf-8")
        lines = [line for line in made.splitlines() if line.startswith("|")]
        return "\n".join([f"<!-- {name}/{table} -->", *lines, ""])

    return _PLACE.sub(rows, text)


def main() -> None:
    for data in sorted((DOCS / "results" / "data").glob("*.csv")):
        report.make(report.load([str(data)]), DOCS / "results" / data.stem, Options())
    for name in PAGES:
        page = DOCS / name
        page.write_text(embed(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Tables as data, and as Markdown, CSV, LaTeX and HTML."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import math
import re


def digits(value: float, like: float | None = None) -> str:
    """A number as a person reads it: about four digits, or with the decimals of another one."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "not reached"
    size = abs(value if like is None else like)
    places = 3 if size < 10 else 2 if size < 100 else 1 if size < 1000 else 0
    return f"{value:,.{places}f}"


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with an interval.

    Attributes:
        value: The estimate; NaN where there is none.
        low: Lower end; NaN where there is no interval.
        high: Upper end.
    """

    value: float
    low: float = math.nan
    high: float = math.nan

    def __str__(self) -> str:
        if math.isnan(self.low):
            return digits(self.value)
        low, high = (digits(end, like=self.value) for end in (self.low, self.high))
        return f"{digits(self.value)} [{low}, {high}]"


MAX_LINE = 40  # letters in a cell that stay on one line
Cell = str | int | float | Estimate


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: Its file's name without the ending.
        title: Its caption.
        note: What its columns mean; a sentence or two.
        header: Names of the columns.
        rows: Cells by row; formatted where they are printed, exact in CSV.
    """

    name: str
    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def show(cell: Cell) -> str:
    """A cell as a person reads it."""
    if isinstance(cell, str | Estimate):
        return str(cell)
    return f"{cell:,}" if isinstance(cell, int) else digits(cell)


def is_number(cell: Cell) -> bool:
    """Whether a cell stands right-aligned."""
    return not isinstance(cell, str)


def _numeric_columns(table: Table) -> list[bool]:
    """Whether each column holds numbers."""
    return [
        bool(table.rows) and all(is_number(row[i]) for row in table.rows)
        for i in range(len(table.header))
    ]


def to_markdown(table: Table) -> str:
    """The table as GitHub's Markdown."""
    rule = ["---:" if numeric else "---" for numeric in _numeric_columns(table)]
    lines = [f"### {table.title}", "", table.note, ""]
    for cells in (table.header, rule, *([show(c) for c in row] for row in table.rows)):
        lines.append("| " + " | ".join(_markdown(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _markdown(text: str) -> str:
    """Text in one cell, in which no name is read as a tag or ends the line."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def to_csv(table: Table) -> str:
    """The table as CSV with all digits; an estimate takes three columns."""
    wide = [
        any(isinstance(row[i], Estimate) for row in table.rows) for i in range(len(table.header))
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        name
        for column, wants in zip(table.header, wide, strict=True)
        for name in ((column, f"{column}: low", f"{column}: high") if wants else (column,))
    )
    for row in table.rows:
        cells: list[str] = []
        for cell, wants in zip(row, wide, strict=True):
            if isinstance(cell, Estimate):
                cells += [_exact(part) for part in (cell.value, cell.low, cell.high)]
            else:
                cells += [_exact(cell)] + [""] * (2 if wants else 0)
        writer.writerow(cells)
    return text.getvalue()


def _exact(cell: str | int | float) -> str:
    """A number with all digits that are not rounding; "" where there is none."""
    if isinstance(cell, str | int):
        return str(cell)
    return "" if math.isnan(cell) else f"{cell:.10g}"


LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def _latex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return re.sub(r"[\\&%$#_{}~^]", lambda match: LATEX[match.group()], text)


def to_latex(table: Table) -> str:
    """The table as LaTeX (needs the package booktabs)."""
    columns = "".join("r" if numeric else "l" for numeric in _numeric_columns(table))
    lines = [r"\begin{table}", r"  \centering", f"  \\caption{{{_latex(table.title)}}}"]
    lines += [f"  \\begin{{tabular}}{{{columns}}}", r"    \toprule"]
    lines += ["    " + " & ".join(_latex(name) for name in table.header) + r" \\", r"    \midrule"]
    lines += [
        "    " + " & ".join(_latex(show(cell)) for cell in row) + r" \\" for row in table.rows
    ]
    lines += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _wide(cell: Cell) -> str:
    """The class of a cell whose text may take several lines."""
    return ' class="w"' if len(show(cell)) > MAX_LINE else ""


def to_html(table: Table, heading: str = "") -> str:
    """The table as HTML, with its caption and its note.

    Args:
        table: The table.
        heading: What it stands under; a caption that says the same is for screen readers alone.
    """
    hidden = ' class="hidden"' if table.title == heading else ""
    numeric = _numeric_columns(table)
    kinds = [' class="n"' if right else "" for right in numeric]
    head = "".join(
        f'<th scope="col"{kind}>{html.escape(name)}</th>'
        for name, kind in zip(table.header, kinds, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            f"<td{kind or _wide(cell)}>{html.escape(show(cell))}</td>"
            for cell, kind in zip(row, kinds, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<div class="table" role="region" aria-label="{html.escape(table.title)}" tabindex="0">\n'
        f"<table>\n<caption{hidden}>{html.escape(table.title)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>\n"
        f'<p class="note">{html.escape(table.note)}</p>\n'
    )

"""One table, printed for people or as Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable


@dataclass
class Table:
    """Rows of words under a title.

    Attributes:
        title: what is measured, with its unit.
        columns: names; the first column names the row.
        rows: of as many words.
        note: what a reader must know besides.
    """

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""

    def show(self, console: Console) -> None:
        """Prints it for people."""
        table = RichTable(title=escape(self.title), caption=escape(self.note) or None)
        for number, column in enumerate(self.columns):
            table.add_column(escape(column), justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*(escape(word) for word in row))
        console.print(table)

    def markdown(self) -> str:
        """The same to paste into a document."""
        lines = [f"**{self.title}**", ""]
        lines += [_line(self.columns), _line(["---", *["---:"] * (len(self.columns) - 1)])]
        lines += [_line(row) for row in self.rows]
        if self.note:
            lines += ["", self.note]
        return "\n".join(lines) + "\n"


def _line(words: list[str]) -> str:
    return "| " + " | ".join(word.replace("|", "\\|") for word in words) + " |"

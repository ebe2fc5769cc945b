"""What all figures share: colours, line styles, axes, and the way to SVG and PDF.

Colours are told apart with the common kinds of colour blindness, and never alone: lines differ in
dashes and markers too. In the page the same colours are CSS variables, so that one drawing serves
light and dark.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

INK, GRID = "#1b1f24", "#d3d7dd"
DARK_INK, DARK_GRID = "#e6e9ee", "#3c424b"
COLOURS = ("#0072b2", "#d55e00", "#00825e", "#a8447f", "#857000", "#3d93cf", "#6b6b6b")
DARK_COLOURS = ("#4fb0e8", "#ff8a3d", "#2ecf9f", "#e890c8", "#e3c341", "#a5d8f8", "#bdbdbd")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)))
MARKERS = "os^Dv*Xp"
WIDTH, COLUMNS = 3.7, 3  # inches of a panel, panels in a row
LETTER = 0.073  # inches
LEGEND_LINE = 0.32  # inches of a legend of one line, for which every figure has room
LEGEND_LETTERS = 60  # of a line of a legend that is too wide even in one column
LABEL_LETTERS = 34  # of a line of a label beside bars: longer ones would leave them no room
TITLE_LETTERS = 46  # of a line of the title of a panel
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: small files, searchable, read aloud
    "svg.hashsalt": "rllib report",  # ids, and with them the bytes, are the same each time
    "pdf.fonttype": 42,
    "text.parse_math": False,  # a "$" in a name is a "$"
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.facecolor": "none",  # the ground is the figure's, which the page leaves out
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A finished figure.

    Attributes:
        name: Its files' name without the ending.
        caption: What it shows and what bands, brackets and marks mean.
        alt: The same for those who do not see it: what is drawn, with its main numbers.
        svg: The SVG file, on a white ground.
        pdf: The PDF file.
    """

    name: str
    caption: str
    alt: str
    svg: str
    pdf: bytes

    def inline(self) -> str:
        """The SVG as a part of an HTML page: no prolog, ids of its own, colours by variable."""
        text = self.svg[self.svg.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
        text = re.sub(r'\bid="', f'id="{self.name}-', text)
        text = re.sub(r'((?:xlink:)?href="#|url\(#)', rf"\g<1>{self.name}-", text)
        for variable, (light, _) in variables().items():
            text = text.replace(light, f"var(--{variable})")
        return text.replace(
            "<svg", f'<svg role="img" aria-labelledby="{self.name}-alt" class="figure"', 1
        ).replace(">", f'>\n<title id="{self.name}-alt">{_escape(self.alt)}</title>', 1)

    def save(self, folder: Path) -> None:
        """Write NAME.svg and NAME.pdf."""
        (folder / f"{self.name}.svg").write_text(self.svg, encoding="utf-8")
        (folder / f"{self.name}.pdf").write_bytes(self.pdf)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def variables() -> dict[str, tuple[str, str]]:
    """CSS variable -> its value in light and in dark."""
    plain = {"ink": (INK, DARK_INK), "grid": (GRID, DARK_GRID), "paper": ("#ffffff", "#15181d")}
    pairs = zip(COLOURS, DARK_COLOURS, strict=True)
    return {**plain, **{f"series-{i}": pair for i, pair in enumerate(pairs)}}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in this file's style, without reading or changing the user's."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        for key, value in STYLE.items():
            matplotlib.rcParams[key] = value  # type: ignore[index]
        yield


def grid_of(count: int, height: float = 2.7, columns: int = COLUMNS) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels in rows of `columns`."""
    columns = min(count, columns)
    rows = -(-count // columns)
    width = 5.6 if count == 1 else WIDTH * columns
    figure = Figure(figsize=(width, height * rows + 0.4), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in axes[count:]:
        spare.set_visible(False)
    return figure, axes[:count]


def rows_of(lines: list[list[str]]) -> tuple[Figure, list[Axes]]:
    """A figure of panels below each other, with room for the labels of each panel's lines.

    Args:
        lines: For each panel its labels, wrapped (`wrapped`).
    """
    broken = [[label.split("\n") for label in labels] for labels in lines]
    letters = max(len(part) for labels in broken for label in labels for part in label)
    width = max(7.0, 4.2 + LETTER * letters)
    heights = [0.26 + 0.14 * (max(map(len, labels)) - 1) for labels in broken]
    ratios = [high * len(labels) + 0.75 for high, labels in zip(heights, lines, strict=True)]
    figure = Figure(figsize=(width, sum(ratios)), layout="constrained")
    return figure, list(figure.subplots(len(lines), 1, squeeze=False, height_ratios=ratios).flat)


def wrapped(text: str, letters: int = LABEL_LETTERS) -> str:
    """A name on as many lines as it takes."""
    return textwrap.fill(text, letters)


def look(index: int) -> dict[str, Any]:
    """Colour, dashes and marker of the label with this number."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index // len(COLOURS) % len(DASHES)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def step_axis(axes: Axes) -> None:
    """Label a horizontal axis of env steps with k and M."""
    axes.set_xlabel("env steps")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short(x)))


def short(value: float) -> str:
    """A number of env steps in few letters: 250k, 1.5M; 1,008 where that would be 1.008k."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    few = abs(value) >= 1e4 or (abs(value) >= 1e3 and value % 100 == 0)
    return f"{value / 1e3:g}k" if few else f"{value:,g}"


def legend(figure: Figure, handles: list, columns: int = 3) -> None:
    """One legend below all panels, in as many columns as fit; the figure grows with its lines."""
    if not handles:
        return
    count = min(columns, len(handles))
    drawn = figure.legend(handles=handles, loc="outside lower center", ncols=count)
    while count > 1 and drawn.get_window_extent().width > figure.bbox.width:
        drawn.remove()
        count -= 1
        drawn = figure.legend(handles=handles, loc="outside lower center", ncols=count)
    if drawn.get_window_extent().width > figure.bbox.width:
        for text in drawn.get_texts():
            text.set_text(textwrap.fill(text.get_text(), LEGEND_LETTERS))
    more = drawn.get_window_extent().height / figure.dpi - LEGEND_LINE
    figure.set_figheight(figure.get_figheight() + max(0.0, more))


def finish(figure: Figure, name: str, caption: str, alt: str) -> Picture:
    """Render a figure; the same figure gives the same bytes."""
    svg, pdf = io.StringIO(), io.BytesIO()
    with warnings.catch_warnings():
        # The SVG keeps text as text, which a browser has letters for; the PDF shows boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(svg, format="svg", metadata={"Date": None})
        figure.set_layout_engine("none")  # laid out; the second file need not do it again
        figure.savefig(pdf, format="pdf", metadata={"CreationDate": None})
    text = "\n".join(line.rstrip() for line in svg.getvalue().splitlines()) + "\n"
    return Picture(name, caption, alt, text, pdf.getvalue())

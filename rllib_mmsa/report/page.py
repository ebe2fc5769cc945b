"""The report as one HTML page that needs nothing else: no script, no font, no request."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from rllib_mmsa.report import drawing, groups, header
from rllib_mmsa.report.drawing import Picture
from rllib_mmsa.report.study import Study, left_out
from rllib_mmsa.report.tables import Table, to_html

# Section -> title, figures and tables in it; what a report lacks is left out.
SECTIONS = (
    ("curves", "Learning curves", ("return_steps", "return_seconds", "win_rate_steps",
                                   "win_rate_seconds")),
    ("final", "Final performance", ("final", "bars", "absolute")),
    ("aggregates", "Over runs and tasks", ("iqm", "profiles", "improvement")),
    ("efficiency", "Sample efficiency", ("efficiency",)),
    ("designs", "Design studies", ("designs",)),
    ("differences", "How the groups differ", ("differences",)),
    ("runs", "All runs", ("runs", "progress")),
)  # fmt: skip

# The browser itself refuses whatever the page might ask for.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
:root { color-scheme: light dark; LIGHT --shade: rgb(0 0 0 / .22); }
@media (prefers-color-scheme: dark) { :root { DARK --shade: rgb(255 255 255 / .3); } }
@media print { :root { color-scheme: light; LIGHT } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header { max-width: 72rem; margin: 0 auto; padding: 1rem 1.25rem; }
h1 { font-size: 1.8rem; margin: 1rem 0 .25rem; line-height: 1.2; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .75rem; border-bottom: 1px solid var(--grid); }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
a { color: var(--series-0); }
:is(a, .table, .wide):focus-visible { outline: 3px solid var(--series-0); outline-offset: 2px; }
figure { margin: 1.5rem 0; }
svg.figure { display: block; max-width: 100%; min-width: 34rem; height: auto; margin: 0 auto;
  background: none; }
svg.figure [id$="-patch_1"] { visibility: hidden; }
figcaption, .note { font-size: .875rem; max-width: 60rem; }
.table { margin-top: 1.5rem; }
/* What is wider than the screen scrolls, and a shadow at its side says so until its end is seen. */
.table, .wide { overflow-x: auto; scrollbar-width: thin; background:
  linear-gradient(to right, var(--paper) 40%, transparent) left / 3rem 100% no-repeat local,
  linear-gradient(to left, var(--paper) 40%, transparent) right / 3rem 100% no-repeat local,
  linear-gradient(to right, var(--shade), transparent) left / 1rem 100% no-repeat scroll,
  linear-gradient(to left, var(--shade), transparent) right / 1rem 100% no-repeat scroll; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
h1, h2, dd { overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0;
  font-size: .875rem; }
dt { font-weight: 600; }
dd { margin: 0; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .25rem 0; font-size: 1rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0; }
td { border-top: 1px solid var(--grid); }
th { border-top: 2px solid var(--ink); border-bottom: 1px solid var(--ink); }
td { white-space: nowrap; }
.w { white-space: normal; overflow-wrap: anywhere; min-width: 16rem; }
.n { text-align: right; }
.remarks { border-left: 4px solid var(--series-1); padding: .25rem 0 .25rem 1rem; }
.remarks ul { margin: .25rem 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
@media print {
  body { font-size: 10pt; } main, header { max-width: none; padding: 0; } nav { display: none; }
  figure, tr { break-inside: avoid; } h2, caption { break-after: avoid; }
  svg.figure { max-height: 22cm; min-width: 0; }
  .table, .wide { overflow: visible; background: none; }
  table { font-size: 8pt; } td { white-space: normal; } td.n { white-space: nowrap; }
  thead { display: table-header-group; }
  @page { margin: 1.5cm; }
}
"""


def render(study: Study, tables: Sequence[Table], pictures: Sequence[Picture]) -> str:
    """Write the page.

    Args:
        study: What is reported.
        tables: Its tables.
        pictures: Its figures.

    Returns:
        The HTML text.
    """
    parts: dict[str, list[str]] = {}
    for picture in pictures:
        name = re.sub(r"_\d+$", "", picture.name)  # a figure may take several pictures
        parts.setdefault(name, []).append(_figure(picture))
    headings = {key: title for _, title, content in SECTIONS for key in content}
    for table in tables:
        parts.setdefault(table.name, []).append(to_html(table, headings.get(table.name, "")))
    body, links = [], []
    for name, title, content in SECTIONS:
        blocks = [block for key in content for block in parts.get(key, [])]
        if blocks:
            links.append(f'<li><a href="#{name}">{html.escape(title)}</a></li>')
            body.append(
                f'<section id="{name}">\n<h2>{html.escape(title)}</h2>\n{"".join(blocks)}</section>'
            )
    title = html.escape(study.options.title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Without one, a browser asks the server for /favicon.ico.
        f'<link rel="icon" href="data:,">\n<title>{title}</title>\n<style>{_css()}</style>\n'
        f"</head>\n<body>\n<header>\n<h1>{title}</h1>\n{header.render(study)}"
        f'<nav aria-label="Sections"><ul>{"".join(links)}</ul></nav>\n</header>\n<main>\n'
        f"{_remarks(study)}" + "\n".join(body) + "\n</main>\n</body>\n</html>\n"
    )


def _css() -> str:
    """The style, with the figures' colours in light and in dark."""
    light, dark = (
        " ".join(f"--{name}: {pair[i]};" for name, pair in drawing.variables().items())
        for i in (0, 1)
    )
    return STYLE.replace("LIGHT", light).replace("DARK", dark)


def _figure(picture: Picture) -> str:
    """A figure with its caption."""
    return (
        f'<figure id="figure-{picture.name}">\n<div class="wide" role="region" tabindex="0" '
        f'aria-label="Figure {picture.name}">\n{picture.inline()}</div>\n'
        f"<figcaption>{html.escape(picture.caption)}</figcaption>\n</figure>\n"
    )


def _remarks(study: Study) -> str:
    """What is missing, broken off or double."""
    sentences = [*groups.remarks(study.every), *left_out(study)]
    if not sentences:
        return ""
    items = "".join(f"<li>{html.escape(text)}</li>" for text in sentences)
    return (
        '<section class="remarks" aria-label="Remarks"><strong>Read with care</strong>'
        f"<ul>{items}</ul></section>\n"
    )

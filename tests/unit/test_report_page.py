"""The files that `rllib report` writes: tables, figures, marl-eval's JSON and the page."""

import dataclasses
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest

from rllib_mmsa import report
from rllib_mmsa.report import (
    charts,
    contents,
    drawing,
    figures,
    groups,
    marl_eval,
    runs,
    study,
    tables,
)
from rllib_mmsa.report import page as page_of
from rllib_mmsa.report.study import Options
from tests.unit.report_data import make_run

FIGURES = {
    "return_steps",
    "return_seconds",
    "win_rate_steps",
    "win_rate_seconds",
    "bars",
    "iqm",
    "profiles",
    "improvement",
    "designs",
}
TABLES = {
    "final",
    "progress",
    "iqm",
    "improvement",
    "efficiency",
    "designs",
    "differences",
    "runs",
}
# Names as awkward as a user may write them.
AWKWARD = "<b>&$x_1$"


def some_runs():
    found = [
        make_run(seed, 0.1 * float(h) + seed / 50, settings={"h": h}, configuration="")
        for seed in (1, 2)
        for h in ("1", "3")
    ]
    won = {"win_rate": np.linspace(0, 0.5, 5)}
    for seed in (1, 2):
        run = make_run(seed, 0.2 + seed / 50, algorithm="QMIX", configuration=AWKWARD)
        found.append(run.__class__(**{**run.__dict__, **won}))
    crashed = make_run(3, 0.2, algorithm="QMIX", configuration=AWKWARD, last=500)
    found.append(crashed.__class__(**{**crashed.__dict__, "status": runs.CRASHED}))
    return found


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    report.make(some_runs(), folder, Options(title=AWKWARD))
    return folder


class Page(HTMLParser):
    """Collects what the tests ask for, and checks that elements close as they open."""

    VOID = {"meta", "link", "br", "hr", "img"}

    def __init__(self, text):
        super().__init__()
        self.attributes, self.open, self.ids, self.tags = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(out):
    return Page((out / report.PAGE).read_text(encoding="utf-8"))


def test_every_figure_and_table_is_written(out):
    assert {path.stem for path in (out / "figures").glob("*.svg")} == FIGURES
    assert {path.stem for path in (out / "figures").glob("*.pdf")} == FIGURES
    for ending in ("md", "csv", "tex"):
        assert {path.stem for path in (out / "tables").glob(f"*.{ending}")} == TABLES


def test_page_asks_for_nothing(out, page):
    text = (out / report.PAGE).read_text(encoding="utf-8")
    for tag, name, value in page.attributes:
        if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
            assert value.startswith("#") or (tag, value) == ("link", "data:,"), (tag, name, value)
    assert not {"script", "iframe", "img", "object", "embed"} & set(page.tags)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in text
    assert "@import" not in text and "<metadata" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\((.*?)\)", text))


def test_page_is_whole(page):
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    targets = {v[1:] for _, n, v in page.attributes if n in ("href", "xlink:href") and v[0] == "#"}
    targets |= {v for _, name, v in page.attributes if name == "aria-labelledby"}
    assert targets <= set(page.ids)


def test_page_shows_every_figure_with_words_for_it(out, page):
    text = (out / report.PAGE).read_text(encoding="utf-8")
    for name in FIGURES:
        (figure,) = re.findall(rf'<figure id="figure-{name}">(.*?)</figure>', text, re.DOTALL)
        svg = ElementTree.fromstring(figure[figure.index("<svg") : figure.index("</svg>") + 6])
        title = svg.find("{http://www.w3.org/2000/svg}title")
        assert svg.get("role") == "img" and len(title.text) > 30
        assert re.search(r"<figcaption>[^<]{30,}</figcaption>", figure)
    assert page.tags.count("caption") == len(TABLES)


def test_header_says_date_versions_and_settings(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795819319")
    given = {"settings": {"lr": "<0.1>", "h": "1"}, "explicit": frozenset({"lr"})}
    found = [make_run(seed, version=v, **given) for seed, v in ((1, "0.1"), (2, "0.2"), (3, "0.2"))]
    made = study.build(groups.group(found, ("version",)), Options(pool=("version",), at=500))
    text = page_of.render(made, [], [])
    facts = dict(re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    assert facts["Made"].startswith("2026-11-27 22:41 UTC by MMSA for RLlib")
    assert facts["Runs of"] == "0.1 (1 run), 0.2 (2 runs)"
    assert facts["Compared at"] == "500 env steps, as asked for"
    assert facts["Averaged over"] == "version"
    assert facts["lr"] == "&lt;0.1&gt;" and "h" not in facts  # what was set, defaults not
    assert "1 setting that every run was given" in text


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        (("0", "0"), "Test returns are those of greedy episodes."),
        (("0.05", "0.05"), "those of episodes with a share of 0.05 random actions."),
        (
            ("0", "0.05"),
            "a share of random actions of 0.05 in QMIX on lbf 8x8-2p-2f-v2: these do not",
        ),
        ((None, None), "Test returns are those of greedy episodes."),
    ],
)
def test_header_says_how_the_agents_acted_in_tests(shares, words):
    found = []
    for algorithm, share in zip(("MMSA", "QMIX"), shares, strict=True):
        settings = {} if share is None else {"evaluation_epsilon": share}
        found += [
            make_run(s, algorithm=algorithm, settings=settings, configuration="") for s in (1, 2)
        ]
    text = page_of.render(study.build(groups.group(found), Options()), [], [])
    assert words in text


def test_no_heading_stands_twice(out):
    text = (out / report.PAGE).read_text(encoding="utf-8")
    for section in re.findall(r"<section id=.*?</section>", text, re.DOTALL):
        (heading,) = re.findall("<h2>(.*?)</h2>", section)
        assert heading not in re.findall("<caption>(.*?)</caption>", section)
    assert '<caption class="hidden">All runs</caption>' in text  # read aloud all the same


def test_what_is_wide_scrolls_in_a_box_of_its_own(out):
    text = (out / report.PAGE).read_text(encoding="utf-8")
    for inside, box in (("<table>", "table"), ("<svg", "wide")):
        boxes = re.findall(rf'<div class="{box}" role="region"[^>]*tabindex="0"[^>]*>', text)
        assert len(boxes) == text.count(inside) > 5


def test_page_has_light_dark_and_print(out):
    text = (out / report.PAGE).read_text(encoding="utf-8")
    assert "@media (prefers-color-scheme: dark)" in text and "@media print" in text
    # Nothing in the figures is of a colour that only one of them can show.
    svgs = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    colours = set(re.findall(r"#[0-9a-f]{6}", "".join(svgs)))
    assert len(svgs) == len(FIGURES) and colours == set()


def test_names_are_escaped(out):
    text = (out / report.PAGE).read_text(encoding="utf-8")
    assert "<b>" not in text and "&lt;b&gt;&amp;$x_1$" in text
    assert r"<b>\&\$x\_1\$" in (out / "tables" / "final.tex").read_text()


def test_figures_are_valid_svg_and_pdf(out):
    for name in FIGURES:
        root = ElementTree.parse(out / "figures" / f"{name}.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 5
        assert (out / "figures" / f"{name}.pdf").read_bytes()[:5] == b"%PDF-"


def test_crashed_run_is_on_the_page(out):
    text = (out / report.PAGE).read_text(encoding="utf-8")
    assert "seed 3: crashed after 500 of 1,000 env steps" in text


def test_same_runs_give_the_same_bytes(out):
    """Drawn and written once more; two figures stand for all."""
    made = study.build(groups.group(some_runs()), Options(title=AWKWARD))
    for table in contents.all_tables(made):
        assert tables.to_csv(table) == (out / "tables" / f"{table.name}.csv").read_text()
    with drawing.style():
        again = [figures.curves(made, runs.WIN_RATE, seconds=False), charts.improvements(made)]
    for picture in again:
        assert picture.svg == (out / "figures" / f"{picture.name}.svg").read_text()
        assert picture.pdf == (out / "figures" / f"{picture.name}.pdf").read_bytes()


def test_marl_eval(out):
    content = json.loads((out / "marl_eval.json").read_text())
    run = content["lbf"]["8x8-2p-2f-v2"][f"QMIX {AWKWARD}"]["run_1"]
    assert run["step_5"] == {
        "step_count": 1000,
        "elapsed_time": 100.0,
        "return": [0.22],
        "win_rate": [0.5],
    }
    assert "absolute_metrics" not in run


def test_marl_eval_has_no_algorithm_without_a_run_and_the_absolute_metric():
    played = dataclasses.replace(make_run(1), absolute=runs.Absolute(320, 0.75, 0.5))
    crashed = make_run(1, algorithm="QMIX", status=runs.CRASHED)
    crashed = dataclasses.replace(crashed, env_steps=np.zeros(0))
    content = marl_eval.to_json(study.build(groups.group([played, crashed]), Options()))
    (found,) = json.loads(content)["lbf"].values()
    assert set(found) == {"MMSA"}
    assert found["MMSA"]["run_1"]["absolute_metrics"] == {"return": [0.75], "win_rate": [0.5]}


# The page in a browser.

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", [0, 1], ids=["dark", "light"])
def test_page_in_a_browser(out, tmp_path, scheme):
    """A headless browser draws the page, says nothing on its console and asks for nothing."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser:
        pytest.skip("no Chromium here")
    picture = tmp_path / "page.png"
    done = subprocess.run(
        [
            browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--no-first-run",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--blink-settings=preferredColorScheme={scheme}", "--enable-logging=stderr",
            "--window-size=1200,4000", f"--screenshot={picture}", (out / report.PAGE).as_uri(),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr  # where a request would stand, refused by the page's policy
    from PIL import Image

    pixels = np.asarray(Image.open(picture).convert("L"))
    assert (np.median(pixels) < 60) == (scheme == 0)
    assert np.std(pixels[500:2500]) > 5  # figures are drawn

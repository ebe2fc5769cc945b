"""The tables under docs/results/ are what `rllib report` makes of the data beside them."""

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from rllib_mmsa import report
from rllib_mmsa.errors import ConfigError
from rllib_mmsa.report import contents, figures, groups, study, tables
from rllib_mmsa.report.study import Options
from scripts import campaign
from scripts.campaign import STUDIES
from scripts.results import PAGES, embed

DOCS = Path(__file__).resolve().parents[2] / "docs"
REPORTS = sorted(path.parent for path in DOCS.glob("results/*/tables"))


@pytest.mark.parametrize("folder", REPORTS, ids=lambda folder: folder.name)
def test_tables_are_rebuilt_to_the_last_bit_and_figures_drawn(folder):
    runs = report.load([str(DOCS / "results" / "data" / f"{folder.name}.csv")])
    made = study.build(groups.group(runs), Options())
    written = {table.name: table for table in contents.all_tables(made)}
    assert {path.stem for path in (folder / "tables").glob("*.csv")} == set(written)
    for name, table in written.items():
        for ending, text in (("csv", tables.to_csv(table)), ("md", tables.to_markdown(table))):
            assert (folder / "tables" / f"{name}.{ending}").read_bytes() == text.encode()
    # Figures to their names: their bytes are those of a version of matplotlib.
    drawn = {picture.name for picture in figures.all_figures(made)}
    assert {path.stem for path in (folder / "figures").glob("*.svg")} <= drawn


@pytest.mark.parametrize("page", PAGES)
def test_every_table_of_the_results_is_one_of_a_report(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    assert embed(text) == text
    tables_at = re.findall(r"(?:^|\n)([^|\n]*)\n\|", text)
    assert tables_at and all(line.startswith("<!-- ") for line in tables_at)


@pytest.mark.parametrize("page", PAGES)
def test_pictures_in_the_results_exist(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert pictures and all(((DOCS / page).parent / picture).is_file() for picture in pictures)


def test_the_campaign_makes_data_that_a_page_has_tables_of():
    pages = "".join((DOCS / page).read_text(encoding="utf-8") for page in PAGES)
    measured = [n for n in STUDIES.values() if (DOCS / "results/data" / f"{n}.csv").exists()]
    assert measured and all(f"<!-- {name}/" in pages for name in measured)


def test_the_campaign_keeps_data_whose_runs_are_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign.report, "run", pytest.fail)
    options = ["compare_smax", "--no-training", "--storage-path", str(tmp_path)]
    app = typer.Typer()
    app.command()(campaign.main)
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 2 and "compare_smax_mappo: not there" in done.output


def test_a_report_of_nothing_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no results are named"):
        report.run([], None, tmp_path / "data.csv", Options())
    assert not list(tmp_path.iterdir())

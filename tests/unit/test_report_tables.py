"""One table as Markdown, CSV and LaTeX."""

import csv

import pytest

from rllib_mmsa.report import tables
from rllib_mmsa.report.tables import Estimate, Table


@pytest.fixture
def table():
    rows = (("a|b", 3, Estimate(0.5, 0.25, 1 / 3), 1500.0), ("c_d", 1, Estimate(2), float("nan")))
    return Table("t", "Title", "Note.", ("name", "runs", "value", "steps"), rows)


def test_markdown(table):
    assert tables.to_markdown(table).splitlines() == [
        "### Title",
        "",
        "Note.",
        "",
        "| name | runs | value | steps |",
        "| --- | ---: | ---: | ---: |",
        "| a\\|b | 3 | 0.500 [0.250, 0.333] | 1,500 |",
        "| c_d | 1 | 2.000 | - |",
    ]


def test_markdown_takes_no_name_for_a_tag_or_a_new_line():
    table = Table("t", "T", "N.", ("name",), (("<img src=x>\n| b",),))
    assert tables.to_markdown(table).splitlines()[-1] == "| &lt;img src=x> \\| b |"


def test_csv_has_all_digits_and_a_column_for_each_end(table):
    header, first, second = csv.reader(tables.to_csv(table).splitlines())
    assert header == ["name", "runs", "value", "value: low", "value: high", "steps"]
    assert first == ["a|b", "3", "0.5", "0.25", "0.3333333333", "1500"]
    assert second == ["c_d", "1", "2", "", "", ""]


def test_latex(table):
    text = tables.to_latex(table)
    assert r"\begin{tabular}{lrrr}" in text
    assert r"    c\_d & 1 & 2.000 & - \\" in text

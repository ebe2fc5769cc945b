"""The figures of a report: legends and labels within their bounds, and how many are drawn."""

import re

import pytest

from rllib_mmsa.report import charts, contents, drawing, figures, groups, runs, study
from rllib_mmsa.report.page import render as page_text
from rllib_mmsa.report.study import Options
from rllib_mmsa.report.tables import Estimate
from tests.unit.report_data import make_run


@pytest.mark.parametrize(
    "names", [["x", "y"], ["lr=0.0001, rollout_horizon=10"] * 9, ["option=value, " * 9]]
)
def test_legend_stays_within_the_figure_and_takes_no_room_from_the_panel(names):
    with drawing.style():
        figure, (panel,) = drawing.grid_of(1)
        lines = [panel.plot([0, 1], label=f"{name} {i}")[0] for i, name in enumerate(names)]
        drawing.legend(figure, lines)
        figure.draw_without_rendering()
        box = figure.legends[0].get_window_extent()
        panel_inches = panel.get_window_extent().height / figure.dpi
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
    assert panel_inches > 1.9


@pytest.mark.parametrize("name", ["MMSA", "x" * 90, "MMSA without the world model, " * 4])
def test_long_labels_leave_room_for_the_lines_beside_them(name):
    with drawing.style():
        figure, (panel,) = drawing.rows_of([[drawing.wrapped(name), "y"]])
        charts._forest(panel, {name: Estimate(1.0), "y": Estimate(0.5, 0.2, 0.8)}, [0, 1])
        figure.draw_without_rendering()
        first, second = (label.get_window_extent() for label in panel.get_yticklabels())
    assert panel.get_window_extent().width / figure.dpi > 2.5
    assert first.y0 > second.y1 and first.x0 >= 0 and first.y1 <= figure.bbox.height


@pytest.mark.parametrize(
    ("steps", "text"),
    [(0, "0"), (900, "900"), (1000, "1k"), (1008, "1,008"), (6048, "6,048"), (250_000, "250k"),
     (60_506, "60.506k"), (1_500_000, "1.5M")],
)  # fmt: skip
def test_env_steps_in_few_letters(steps, text):
    assert drawing.short(steps) == text


def test_names_in_any_script_are_drawn_without_a_word(recwarn):
    found = [make_run(configuration="\u4e16\u754c \u03b1<&>\"'")]
    made = study.build(groups.group(found), Options())
    with drawing.style():
        picture = charts.bars(made)
    assert "\u4e16\u754c \u03b1&lt;&amp;&gt;" in picture.inline()
    assert not [str(w.message) for w in recwarn if "Glyph" in str(w.message)]


def test_bands_of_many_profiles_do_not_hide_the_lines():
    def bands(count):
        found = [make_run(s, s / 9 + i / 50, settings={"h": f"{i}"})
                 for i in range(count) for s in (1, 2, 3)]  # fmt: skip
        with drawing.style():
            svg = figures.profiles(study.build(groups.group(found), Options())).svg
        return len(re.findall(r'id="FillBetween', svg))

    assert bands(figures.MAX_THIN) == figures.MAX_THIN and bands(figures.MAX_THIN + 1) == 0


def test_design_studies_too_many_for_one_page_take_several_pictures():
    settings = [{"h": h, "lr": lr} for h in "12345" for lr in ("0.1", "0.01", "0.001")]
    made = study.build(groups.group([make_run(settings=one) for one in settings]), Options())
    with drawing.style():
        pictures = charts.designs(made)
    assert [picture.name for picture in pictures] == ["designs", "designs_2"]
    text = page_text(made, [], pictures)
    section = text[text.index('<section id="designs">') :]
    assert section.index('id="figure-designs"') < section.index('id="figure-designs_2"')


def test_one_run_is_enough():
    options = Options(statistic="median", normalise="min-max")
    made = study.build(groups.group([make_run()]), options)
    assert figures.curves(made, runs.TEST_RETURN, seconds=True).svg
    assert figures.curves(made, runs.WIN_RATE, seconds=False) is None
    assert charts.improvements(made) is None and charts.designs(made) == []
    names = [table.name for table in contents.all_tables(made)]
    assert names == ["final", "progress", "iqm", "runs"]

# SPDX-License-Identifier: Apache-2.0
"""What a picture shows, read from the objects of matplotlib; and the same as numbers for scripts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from lake.quicklook_definitions import Panel
from lake.store import Lake
from monitor.quicklooks.bins import DAY_US, SECOND_US, Span
from monitor.quicklooks.captions import (
    MOST_LINES,
    Origin,
    caption_of,
    drawn,
    fitted,
    mark_of,
    summary_caption,
    time_words,
    without_values,
)
from monitor.quicklooks.drawn_panels import cell_edges, color_limits, joined, lonely, power_of_ten, true_in
from monitor.quicklooks.facts import Sources, product_of
from monitor.quicklooks.figure import Part, Picture, compose
from monitor.quicklooks.interactive import NUMBERS, digits_of, numbers, script
from monitor.quicklooks.panels import View
from monitor.quicklooks.reduction import Reduced, Shown, reduce_day
from monitor.quicklooks.style import AMBER, PALE_AMBER, styled
from tests.meddea import DEFINITIONS
from tests.monitor.quicklooks.sky import ADDRESS, DAY, MIDNIGHT, every, sky_lake, write

GAP = 3600 * SECOND_US


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Five minutes at midnight, nothing for an hour, five minutes; a spike of one row; the second row is flagged."""
    found = sky_lake(tmp_path_factory.mktemp("sky"))
    time = [*every(10, 30), *every(10, 30, MIDNIGHT + GAP)]
    rates = [5.0] * 60
    rates[40] = 900.0
    write(found, time, rate=rates, quality_flag=[0, 2] + [0] * 58)
    return found


@pytest.fixture(scope="module")
def reduced(lake: Lake) -> Reduced:
    sources = Sources.of(lake)
    views = sources.views(ADDRESS, DAY)
    return reduce_day(lake, views[0].table, sources.uris(ADDRESS, DAY), views, Span(MIDNIGHT, MIDNIGHT + DAY_US))


def picture(reduced: Reduced) -> Picture:
    parts = [Part(shown.view, shown, reduced) for shown in reduced.panels.values()]
    return Picture("Sky", "TOY", "a day", "", Span(MIDNIGHT, MIDNIGHT + DAY_US), parts, ["made of rows"])


@pytest.fixture(scope="module")
def figure(reduced: Reduced) -> Figure:
    with styled():
        figure = compose(picture(reduced))
        figure.canvas.draw()
    return figure


def test_axes_have_units_scales_and_the_whole_day(figure: Figure) -> None:
    rates, counts, bar, sun = figure.axes
    assert (rates.get_ylabel(), rates.get_yscale()) == ("[count/s]", "log")
    assert (counts.get_ylabel(), counts.get_yscale()) == ("Energy\n[eV]", "log")
    assert (bar.get_ylabel(), bar.get_yscale(), sun.get_ylabel()) == ("Counts\n[count]", "log", "")
    assert [round(end * DAY_US) for end in rates.get_xlim()] == [MIDNIGHT, MIDNIGHT + DAY_US]
    assert sun.get_xlabel() == "UTC"
    assert [label.get_text() for label in sun.get_xticklabels()][:3] == ["00:00", "02:00", "04:00"]


def test_a_spike_of_one_row_reaches_its_value_in_the_band(figure: Figure) -> None:
    rates = figure.axes[0]
    assert max(path.vertices[:, 1].max() for path in rates.collections[0].get_paths()) == 900.0


def test_a_gap_breaks_the_line_and_no_cell_is_drawn_there(reduced: Reduced, figure: Figure) -> None:
    time, mean, _, _ = joined(reduced.panels["rates"])
    broken = np.flatnonzero(np.isnan(mean[:, 0]))
    assert broken.tolist() == [5]
    assert MIDNIGHT + 300 * SECOND_US < time[5] * DAY_US < MIDNIGHT + GAP
    mesh = figure.axes[1].collections[0].get_array()
    assert mesh is not None
    assert np.ma.getmaskarray(mesh)[0].nonzero()[0].tolist() == [*range(5, 60), *range(65, 1440)]


def test_values_without_neighbors_are_marked() -> None:
    assert lonely(np.array([1.0, np.nan, 2.0, 3.0, np.nan, 4.0])).tolist() == [True, False, False, False, False, True]


def test_a_bin_alone_reaches_from_its_least_to_its_greatest_value(reduced: Reduced) -> None:
    rates = reduced.panels["rates"]
    mean, low, high = (np.full_like(rates.mean, np.nan) for _ in range(3))
    mean[700, 0], low[700, 0], high[700, 0] = 50.0, 2.0, 900.0
    part = Part(rates.view, Shown(rates.view, rates.bins, mean, low, high, rates.reach))
    with styled():
        axes = compose(Picture("", "", "", "", Span(MIDNIGHT, MIDNIGHT + DAY_US), [part], [])).axes[0]
    ends = [
        segment[:, 1].tolist()
        for found in axes.collections
        if isinstance(found, LineCollection)
        for segment in found.get_segments()
    ]
    assert ends == [[2.0, 900.0]]


def test_a_state_is_true_in_a_bin_if_all_rows_are_and_partly_if_one_is() -> None:
    low, high = np.array([0.0, 0.0, 1.0, np.nan, 2.0, -1.0]), np.array([0.0, 1.0, 1.0, np.nan, 3.0, 0.0])
    some, every = true_in(low, high)
    assert (some & ~every).tolist() == [False, True, False, False, False, True]
    assert every.tolist() == [False, False, True, False, True, False]


def test_a_state_of_one_row_is_drawn(reduced: Reduced) -> None:
    sun = reduced.panels["sun"]
    low, mean, high = np.zeros((1440, 1)), np.zeros((1440, 1)), np.zeros((1440, 1))
    mean[700], high[700] = 1 / 60, 1.0
    part = Part(sun.view, Shown(sun.view, sun.bins, mean, low, high, sun.reach))
    with styled():
        axes = compose(Picture("", "", "", "", Span(MIDNIGHT, MIDNIGHT + DAY_US), [part], [])).axes[0]
    known, partly, true = (len(found.get_paths()) for found in axes.collections)
    assert (known, partly, true) == (1, 1, 0)


def test_a_panel_without_a_value_says_why_and_has_no_axis(reduced: Reduced) -> None:
    rates = reduced.panels["rates"]
    nothing = np.full_like(rates.mean, np.nan)
    shown = Shown(rates.view, rates.bins, nothing, nothing, nothing, rates.reach)
    made = Picture("", "", "", "", Span(0, DAY_US), [Part(rates.view, shown, None, "no values: $")], [])
    with styled():
        axes = compose(made).axes[0]
    assert [text.get_text() for text in axes.texts][1:] == [r"no values: \$"]
    assert axes.get_yticks().size == 0
    assert data(made)["panels"] == [{"kind": "empty", "title": "Rates $1", "note": "no values: $"}]


def test_why_there_are_no_values_is_told_by_the_flag_of_most_rows(reduced: Reduced) -> None:
    table = DEFINITIONS.tables["hermes.nemisis_l3_ambient"]
    lost = replace(reduced, rows=1000, by_bit={22: 1000, 1: 1000})
    assert without_values(table, lost) == (
        "no values · all rows are flagged: No attitude is known around this time; vectors in GSE are fill"
    )
    assert without_values(table, replace(reduced, rows=1000, by_bit={22: 3})) == "no values: all rows are fill (1,000)"


def test_a_table_without_rows_is_not_said_to_have_a_flag(reduced: Reduced) -> None:
    table = DEFINITIONS.tables["hermes.nemisis_l3_ambient"]
    assert without_values(table, replace(reduced, rows=0, by_bit={})) == "no rows"


def test_rows_outside_of_a_histogram_are_told(reduced: Reduced) -> None:
    old = reduced.panels["rates"]
    view = View(old.view.table, Panel(name="h", kind="histogram", columns=("height",)))
    assert "100 rows are outside of the valid 0 to 255 adu of height and not drawn." in drawn(
        [replace(old, view=view, beyond=100)]
    )


def test_borders_of_a_log_axis_are_geometric_and_those_of_an_even_one_even(lake: Lake) -> None:
    table = lake.definitions.tables[ADDRESS]
    assert np.allclose(cell_edges(table.axis("energy")), [10**0.5, 10**1.5, 10**2.5, 10**3.5, 10**4.5])
    assert cell_edges(table.axis("slot")).tolist() == [-0.5, 0.5, 1.5]


def test_color_limits_leave_out_zeros_on_a_log_scale(reduced: Reduced) -> None:
    view = reduced.panels["counts"].view
    low, high = color_limits(np.array([0.0, 1.0, 10.0, 1000.0, np.nan]), view)
    assert 1.0 <= low < 2.0
    assert 900 < high <= 1000
    assert color_limits(np.array([0.0, np.nan]), view) == (0.1, 1.0)


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (0.01, "0.01"), (1e4, "10⁴"), (2e-5, "2\u00d710⁻⁵"), (1000, "1000"), (0, "")]
)
def test_decades_are_labeled_as_people_write_them(value: float, text: str) -> None:
    assert power_of_ten(value) == text


def test_the_caption_says_what_it_is_made_from_and_what_is_flagged(lake: Lake, reduced: Reduced) -> None:
    table = lake.definitions.tables[ADDRESS]
    assumptions = ["Assumed clock: it ticks.", "Assumed calibration gain_20240101: guessed."]
    found = " ".join(caption_of(table, DAY, Origin("1.0.0", "abc", "0.1.0"), reduced, assumptions))
    for words in (
        "toy.box_l1_sky · 2024-09-16 · 60 rows · product 1.0.0 · rows abc · code 0.1.0",
        "Bins of 60 s. Lines: mean, band from least to greatest.",
        "Open mark at the lower edge: mean not above 0 (50 % of the means).",  # `fast` is 0
        "Amber strip: 1.67 % of rows have a flag, and are drawn (retransmitted); pale: few rows of a bin.",
        "Assumed: gain_20240101, the clock.",
    ):
        assert words in found
    assert mark_of(assumptions) == "assumed calibration"
    assert mark_of(()) == ""


def test_a_flag_of_all_rows_is_named_and_is_not_in_the_strip(lake: Lake, reduced: Reduced) -> None:
    table = lake.definitions.tables[ADDRESS]
    every_row = replace(reduced, by_bit={1: 1, 2: 60}, everywhere=4)
    found = " ".join(caption_of(table, DAY, Origin(), every_row, []))
    names = {flag.bit: flag.name for flag in table.flags}
    assert f"All rows have the flag {names[2]}." in found
    assert f"1.67 % of rows have another flag, and are drawn ({names[1]})" in found
    summary = " ".join(summary_caption({}, [], [(table, every_row)], []))
    assert summary == f"All rows: box_l1_sky {names[2]}. Amber strip, some rows: box_l1_sky {names[1]}."


def test_the_caption_tells_which_moment_of_a_row_its_time_is() -> None:
    for name, words in (
        ("meddea_ql_lightcurve", "Time: start of what a row holds (10 seconds)."),
        ("meddea_l1_photon", ""),  # an event has no length
    ):
        table = DEFINITIONS.tables[f"padre.{name}"]
        assert time_words(table, product_of(DEFINITIONS, table)) == words


def test_color_scales_that_differ_are_told(reduced: Reduced) -> None:
    counts = reduced.panels["counts"]
    assert "Each panel has its own color scale." in drawn([counts, counts])
    assert "color scale" not in drawn([counts])


def test_the_strip_is_pale_where_few_rows_of_a_bin_have_a_flag(reduced: Reduced) -> None:
    share = np.zeros(1440)
    share[700:702] = [0.1, 0.9]
    part = Part(reduced.panels["counts"].view, reduced.panels["counts"], replace(reduced, flagged=share))
    with styled():
        axes = compose(Picture("", "", "", "", Span(MIDNIGHT, MIDNIGHT + DAY_US), [part], [])).axes[0]
    strips = axes.collections[-2:]
    assert [to_hex(np.asarray(strip.get_facecolor())[0].tolist()) for strip in strips] == [PALE_AMBER, AMBER]


def test_a_caption_stays_within_its_picture() -> None:
    found = fitted(["word " * 400])
    assert len(found) == MOST_LINES
    assert max(map(len, found)) <= 190


def test_text_of_definitions_is_not_read_as_a_formula(figure: Figure) -> None:
    assert [text.get_text() for text in figure.axes[0].texts] == [r"Rates \$1"]


def data(made: Picture) -> dict[str, Any]:
    words = script(made).decode().removeprefix("window.swxlakeQuicklook = ").removesuffix(";\n")
    found: dict[str, Any] = json.loads(words)
    return found


def test_the_script_has_the_numbers_of_the_picture(reduced: Reduced) -> None:
    rates, counts, sun = data(picture(reduced))["panels"]
    assert (rates["first"], rates["width"], rates["bins"]) == (MIDNIGHT // 1000, 60_000, 1440)
    line = rates["lines"][0]
    assert (line["label"], line["low"][61], line["mean"][61], line["high"][61]) == ("Rate", 5.0, 154.17, 900.0)
    assert line["mean"][30] is None
    assert (counts["edges"], len(counts["cells"]), counts["cells"][0][0]) == (
        [3.1623, 31.623, 316.23, 3162.3, 31623],
        4,
        2.0,
    )
    assert (sun["kind"], sun["lines"][0]["low"][0], sun["lines"][0]["high"][61]) == ("states", 1, 1)


@pytest.mark.parametrize(
    ("values", "digits", "told"),
    [
        ([48231.0, 48231.25, 48234.0], 9, [48231, 48231.25, 48234]),  # a step of 3 far from zero is a step
        ([692.1234567, 703.0], 6, [692.123, 703]),
        ([0.0, 123.456789, np.nan], 5, [0, 123.46, None]),
        ([7.0, 7.0], 5, [7, 7]),
    ],
)
def test_the_script_has_the_digits_by_which_a_panels_range_is_seen(
    values: list[float], digits: int, told: list[float | None]
) -> None:
    found = np.array(values)
    assert digits_of(found) == digits
    assert numbers(found, digits) == told


def test_a_script_of_many_cells_is_made_coarser_and_stays_small(reduced: Reduced) -> None:
    old = reduced.panels["counts"]
    view = View(old.view.table, Panel(name="h", kind="histogram", columns=("height",)))
    values = np.random.default_rng(1).gamma(2.0, 1e4, (1440, 128))
    wide = Shown(view, old.bins, values, old.low, old.high, old.reach)
    made = script(Picture("", "", "", "", Span(MIDNIGHT, MIDNIGHT + DAY_US), [Part(view, wide)], []))
    panel = json.loads(made.decode().partition(" = ")[2].rstrip(";\n"))["panels"][0]
    assert len(made) < 300_000
    assert panel["bins"] * len(panel["cells"]) <= NUMBERS
    assert np.isclose(panel["cells"][0][0], values[:4, :2].mean(), rtol=1e-3)

# SPDX-License-Identifier: Apache-2.0
"""Lines on a log axis: nothing that it cannot show is silently missing, and noise is not drawn as a signal."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from lake.definition_files import read_definitions
from lake.definitions import Table
from lake.quicklook_definitions import Panel
from monitor.quicklooks.bins import SECOND_US, Bins, Floats, Span
from monitor.quicklooks.captions import drawn
from monitor.quicklooks.drawn_panels import legend_labels
from monitor.quicklooks.figure import Part, Picture, compose
from monitor.quicklooks.interactive import script
from monitor.quicklooks.log_axes import MARK_FIRST, MARK_STEP, above_edge, axis_ends
from monitor.quicklooks.panels import View
from monitor.quicklooks.reduction import Shown
from monitor.quicklooks.style import styled
from tests.monitor.quicklooks.sky import ADDRESS, MIDNIGHT, sky_missions

BINS = Bins(Span(MIDNIGHT, MIDNIGHT + 600 * SECOND_US), 60 * SECOND_US)
MEAN = np.array([1.0, 2.0, -0.5, np.nan, 0.0, 4.0, 5.0, 6.0, 7.0, 800.0])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return read_definitions(sky_missions(tmp_path_factory.mktemp("sky"))).tables[ADDRESS]


def shown(table: Table, names: tuple[str, ...], *means: Floats) -> Shown:
    view = View(table, Panel(name="shown", kind="lines", columns=names, scale="log"))
    mean = np.stack(means, axis=1)
    return Shown(view, BINS, mean, mean - 3, mean + 3, 1)


def picture(found: Shown) -> Picture:
    return Picture("", "", "", "", BINS.span, [Part(found.view, found)], [])


def axes_of(found: Shown) -> Axes:
    with styled():
        return compose(picture(found)).axes[0]


def panel_of(found: Shown) -> dict[str, Any]:
    panels = json.loads(script(picture(found)).decode().partition(" = ")[2].rstrip(";\n"))["panels"]
    return dict(panels[0])


def test_a_mean_that_is_not_above_zero_has_an_open_mark_at_the_lower_edge(table: Table) -> None:
    axes = axes_of(shown(table, ("net",), MEAN))
    marks = [line for line in axes.lines if line.get_marker() == "v"]
    assert [np.asarray(line.get_ydata()).tolist() for line in marks] == [[MARK_FIRST, MARK_FIRST]]
    assert marks[0].get_markerfacecolor() == "none"
    drawn_at = np.asarray(marks[0].get_xdata()) * 86_400 * SECOND_US
    assert np.allclose(drawn_at - MIDNIGHT, [150 * SECOND_US, 270 * SECOND_US], atol=1000)
    low, high = axes.get_ylim()
    assert low * (high / low) ** (MARK_FIRST + MARK_STEP) < 1.0  # the least mean is above the row of marks


def test_the_caption_tells_how_many_means_are_not_above_zero(table: Table) -> None:
    words = drawn([shown(table, ("net",), MEAN)])
    assert "Open mark at the lower edge: mean not above 0 (22.2 % of the means)." in words
    assert "Net values on log axes: means of 60 s without a band" in words
    assert "Open mark" not in drawn([shown(table, ("rate",), np.abs(MEAN) + 1)])


def test_the_page_has_the_bins_the_marks_and_the_ends_of_the_picture(table: Table) -> None:
    found = shown(table, ("net",), MEAN)
    panel = panel_of(found)
    assert (panel["width"], panel["bins"], panel["lines"][0]["below"]) == (60_000, 10, [2, 4])
    assert panel["lines"][0]["mean"] == [1, 2, None, None, None, 4, 5, 6, 7, 800]
    assert panel["lines"][0]["low"] == []
    assert np.allclose(panel["ends"], axes_of(found).get_ylim(), rtol=1e-3)


def test_net_values_have_the_same_bins_in_the_page_however_many_there_are(table: Table) -> None:
    wide = Bins(Span(MIDNIGHT, MIDNIGHT + 40_000 * SECOND_US), SECOND_US)
    view = View(table, Panel(name="shown", kind="lines", columns=("net",), scale="log"))
    mean = np.ones((wide.count, 1))
    assert panel_of(Shown(view, wide, mean, mean, mean, 1))["bins"] == wide.count


def test_an_axis_of_rates_ends_at_one_count_in_a_bin_and_bands_with_it(table: Table) -> None:
    found = shown(table, ("rate",), np.full(10, 0.5))
    low = np.array([[0.0], [0.001], [0.3], [0.5], [0.5], [0.5], [0.5], [0.5], [0.5], [0.5]])
    ends = axis_ends(found.view, 60.0, found.mean, low, found.high)
    assert ends[0] == pytest.approx(1 / 60)
    assert above_edge(found.mean, low, found.high, ends[0])[1][:3, 0].tolist() == [ends[0], ends[0], 0.3]


def test_an_axis_of_rates_goes_as_low_as_a_mean(table: Table) -> None:
    found = shown(table, ("rate",), np.full(10, 0.001))
    assert axis_ends(found.view, 60.0, found.mean, found.low, found.high)[0] < 0.001


def test_a_line_that_is_not_drawn_says_why_in_the_legend(table: Table) -> None:
    nothing, below = np.full(10, np.nan), np.full(10, -1.0)
    found = shown(table, ("rate", "fast"), nothing, below)
    assert legend_labels(found) == ["Rate: all fill", "Fast: not above 0"]
    legend = axes_of(shown(table, ("rate", "fast"), MEAN, nothing)).get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["Rate", "Fast: all fill"]

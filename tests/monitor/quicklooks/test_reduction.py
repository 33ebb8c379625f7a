# SPDX-License-Identifier: Apache-2.0
"""A day reduced to bins, compared with values by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lake.quicklook_definitions import Panel
from lake.store import Lake
from monitor.quicklooks.bins import DAY_US, SECOND_US, Span
from monitor.quicklooks.facts import Sources
from monitor.quicklooks.panels import HISTOGRAM_CELLS, View, histogram_edges
from monitor.quicklooks.reduction import Reduced, reduce_day, times
from tests.monitor.quicklooks.sky import ADDRESS, DAY, MIDNIGHT, every, sky_lake, write

WHOLE = Span(MIDNIGHT, MIDNIGHT + DAY_US)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return sky_lake(tmp_path)


def reduced(lake: Lake, **panel: object) -> Reduced:
    sources = Sources.of(lake)
    view = View(lake.definitions.tables[ADDRESS], Panel.model_validate({"name": "shown", **panel}))
    return reduce_day(lake, view.table, sources.uris(ADDRESS, DAY), [view], WHOLE)


def test_a_bin_has_the_mean_and_both_extremes_so_that_a_spike_remains(lake: Lake) -> None:
    rates = [1.0] * 12
    rates[7] = 1000.0
    write(lake, every(10, 12), rate=rates)
    shown = reduced(lake, kind="lines", columns=["rate"]).panels["shown"]
    assert (shown.mean[0, 0], shown.low[0, 0], shown.high[0, 0]) == (1.0, 1.0, 1.0)
    assert (shown.mean[1, 0], shown.low[1, 0], shown.high[1, 0]) == ((5 + 1000) / 6, 1.0, 1000.0)


def test_where_there_are_no_rows_or_no_values_there_is_nothing_and_not_zero(lake: Lake) -> None:
    time = [*every(10, 6), *every(10, 6, MIDNIGHT + 300 * SECOND_US)]
    write(lake, time, rate=[*[2.0] * 6, *[None] * 6])
    shown = reduced(lake, kind="lines", columns=["rate"]).panels["shown"]
    assert shown.mean[0, 0] == 2.0
    assert np.isnan(shown.mean[1:]).all()


def test_rows_that_are_not_in_order_of_time_fall_into_the_same_bins(lake: Lake) -> None:
    time = every(10, 12)
    write(lake, time[::-1].copy(), rate=np.arange(12.0)[::-1].tolist())
    shown = reduced(lake, kind="lines", columns=["rate"]).panels["shown"]
    assert shown.mean[:2, 0].tolist() == [2.5, 8.5]


def test_a_spectrogram_sums_over_one_axis_and_is_the_mean_of_the_rows(lake: Lake) -> None:
    first, second = [1, 2, 3, 4, 10, 20, 30, 40], [3, 2, 3, 4, 10, 20, 30, 40]
    write(lake, every(10, 2), counts=[first, second])
    shown = reduced(lake, kind="spectrogram", columns=["counts"], sum=["slot"]).panels["shown"]
    assert shown.mean[0].tolist() == [12.0, 22.0, 33.0, 44.0]


def test_cells_without_a_value_do_not_lower_a_mean_or_a_sum(lake: Lake) -> None:
    write(lake, every(10, 1), counts=[[None, 2, 3, 4, 10, 20, None, 40]])
    mean = reduced(lake, kind="spectrogram", columns=["counts"], mean=["slot"]).panels["shown"]
    total = reduced(lake, kind="spectrogram", columns=["counts"], sum=["slot"]).panels["shown"]
    assert mean.mean[0].tolist() == [10.0, 11.0, 3.0, 22.0]
    assert total.mean[0].tolist() == [20.0, 22.0, 6.0, 44.0]


def test_one_cell_of_an_axis_is_taken_by_its_number_or_label(lake: Lake) -> None:
    write(lake, every(10, 2), counts=[[1, 2, 3, 4, 10, 20, 30, 40], None])
    slot = reduced(lake, kind="spectrogram", columns=["counts"], at={"slot": 1}).panels["shown"]
    assert slot.mean[0].tolist() == [10.0, 20.0, 30.0, 40.0]
    vector = reduced(lake, kind="lines", columns=["b_nt"], at={"component": "y"}).panels["shown"]
    assert vector.mean[0].tolist() == [2.0]


def test_a_spectrogram_goes_on_between_two_rows_and_stops_in_a_gap(lake: Lake) -> None:
    write(lake, every(100, 3).tolist() + every(100, 1, MIDNIGHT + 3600 * SECOND_US).tolist())
    shown = reduced(lake, kind="spectrogram", columns=["counts"], sum=["slot"]).panels["shown"]
    assert shown.bins.seconds == 120
    assert np.isfinite(shown.mean[:, 0]).nonzero()[0].tolist() == [0, 1, 30]


def test_a_histogram_counts_rows_by_value_and_second(lake: Lake) -> None:
    write(lake, every(10, 6), height=[3, 3, 3, 2, 200, 255])
    shown = reduced(lake, kind="histogram", columns=["height"]).panels["shown"]
    assert shown.mean.shape == (1440, HISTOGRAM_CELLS)
    assert {cell: shown.mean[0, cell] for cell in np.flatnonzero(shown.mean[0])} == {
        1: 4 / 60,
        100: 1 / 60,
        127: 1 / 60,
    }
    assert histogram_edges(shown.view.columns[0])[:3].tolist() == [-0.5, 1.5, 3.5]


def test_rows_outside_of_a_histogram_are_counted(lake: Lake) -> None:
    write(lake, every(10, 6), height=[3, 300, -1, 2, 200, 255])
    shown = reduced(lake, kind="histogram", columns=["height"]).panels["shown"]
    assert (shown.beyond, round(np.nansum(shown.mean) * 60)) == (2, 4)


def test_a_state_has_the_extremes_of_each_bin_also_between_rows(lake: Lake) -> None:
    write(lake, every(100, 3), sunlit=[True, False, True])
    shown = reduced(lake, kind="states", columns=["sunlit"]).panels["shown"]
    assert (shown.bins.seconds, shown.low[0, 0], shown.high[0, 0]) == (120, 0.0, 1.0)
    assert np.array_equal(np.isfinite(shown.low), np.isfinite(shown.mean))


def test_flagged_rows_are_counted_by_bin_and_bit(lake: Lake) -> None:
    write(lake, every(10, 12), quality_flag=[0] * 6 + [2] * 3 + [6] + [0] * 2)
    found = reduced(lake, kind="lines", columns=["rate"])
    assert found.flagged[:2].tolist() == [0.0, 4 / 6]
    assert (found.rows, found.flagged_rows, found.by_bit) == (12, 4, {1: 4, 2: 1})


def test_the_span_of_files_is_told_by_their_statistics(lake: Lake) -> None:
    write(lake, every(10, 7))
    assert times(lake, Sources.of(lake).uris(ADDRESS, DAY)) == (MIDNIGHT, MIDNIGHT + 60 * SECOND_US)


def test_a_flag_that_all_rows_have_is_told_and_hides_no_other_one(lake: Lake) -> None:
    write(lake, every(10, 12), quality_flag=[1024] * 8 + [1026] * 4)
    found = reduced(lake, kind="lines", columns=["rate"])
    assert (found.everywhere, found.flagged_rows, found.by_bit) == (1024, 4, {1: 4, 10: 12})
    assert found.flagged[:2].tolist() == [0.0, 4 / 6]


def test_net_values_on_a_log_axis_are_means_of_at_least_a_minute(lake: Lake) -> None:
    noise = np.where(np.arange(1800) % 4, -0.2, 5.0)  # one row of four is up, and the mean is 1.1
    write(lake, every(1, 1800), net=noise.tolist(), rate=noise.tolist())
    sources, table = Sources.of(lake), lake.definitions.tables[ADDRESS]
    views = [View(table, Panel(name=name, kind="lines", columns=(name,))) for name in ("net", "rate")]
    short = Span(MIDNIGHT, MIDNIGHT + 1800 * SECOND_US)
    panels = reduce_day(lake, table, sources.uris(ADDRESS, DAY), views, short).panels
    assert (panels["net"].bins.seconds, panels["rate"].bins.seconds) == (60, 2)
    assert np.allclose(panels["net"].mean, 1.1)
    linear = Panel(name="net", kind="lines", columns=("net",), scale="linear")
    assert not View(table, linear).is_net

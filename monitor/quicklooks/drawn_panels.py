# SPDX-License-Identifier: Apache-2.0
"""Drawing one panel: lines with the range of each bin, a spectrogram, or states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lake.definitions import Axis
from monitor.quicklooks.bins import DAY_US, Bins, Floats
from monitor.quicklooks.log_axes import MARK_FIRST, MARK_STEP, above_edge, axis_ends, not_above_zero
from monitor.quicklooks.panels import SUPERSCRIPTS, View, histogram_edges
from monitor.quicklooks.reduction import Shown
from monitor.quicklooks.style import (
    AMBER,
    COLOR_MAP,
    DARK_LINE_COLORS,
    LINE_COLORS,
    PALE_AMBER,
    QUIET,
    RIGHT,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import YAxis

FLAG_PX = 4
MOST_ROWS = 0.5  # of a bin: with so many flagged the strip is not pale
BAND, FAINT_BAND, FEW_LINES = 0.32, 0.16, 3  # bands of more lines lie over each other
LABEL_X = -0.056  # of a panel's width: labels of all panels stand in one column
LOG_DECADES = 6  # a color scale over more shows nothing any more
COLOR_PERCENTILES = (1.0, 99.9)  # of what is drawn: single cells beyond take the end colors
MOST_CELLS = 200_000  # drawn in one spectrogram; more than it has pixels takes time only
NAMED_STATES = 30
NARROW_RATIO = 30.0  # of both ends of a log axis: with less than that it has too few decades to label
PLAIN_DECADES = 3  # 0.001 and 1000 are read faster than powers
UNTRUE, PARTLY = "#c9d0d8", "#8fbfdd"  # states that are not true, and bins in which some rows are
CROPPED_CELLS = 64  # longer even axes are made wider than what can be seen: their empty ends are not drawn


def draw_panel(axes: Axes, shown: Shown) -> None:
    """Draw what is shown, with labels and units."""
    kind = shown.view.panel.kind
    if kind == "lines":
        _draw_lines(axes, shown)
    elif kind == "states":
        _draw_states(axes, shown)
    else:
        _draw_cells(axes, shown)
    axes.set_ylabel(plain(_wrapped(shown.view.vertical_label)))
    axes.yaxis.set_label_coords(LABEL_X, 0.5)


def _wrapped(label: str) -> str:
    """A label whose unit stands on a line of its own, so that it fits a low panel."""
    return label.replace(" [", "\n[", 1)


# ---- lines ----------------------------------------------------------------------------------------------------------
def joined(shown: Shown) -> tuple[Floats, Floats, Floats, Floats]:
    """Times as matplotlib has them, mean, low and high of the bins that hold something, with NaN in each gap.

    Bins between two rows of a slow table are no gap: the line goes on.
    """
    held = np.flatnonzero(np.isfinite(shown.mean).any(axis=1))
    time = shown.bins.centers[held] / DAY_US
    breaks = np.flatnonzero(np.diff(held) > shown.reach) + 1
    gap = np.full((breaks.size, shown.mean.shape[1]), np.nan)
    between = (time[breaks - 1] + time[breaks]) / 2 if breaks.size else np.empty(0)
    values = (np.insert(found[held], breaks, gap, axis=0) for found in (shown.mean, shown.low, shown.high))
    mean, low, high = values
    return np.insert(time, breaks, between), mean, low, high


def _draw_lines(axes: Axes, shown: Shown) -> None:
    time, mean, low, high = joined(shown)
    axes.grid(visible=True)
    axes.margins(x=0, y=0.08)
    if shown.view.panel.limits is not None:
        axes.set_ylim(*shown.view.panel.limits)
    colors = line_colors(shown.view)
    if shown.view.scale == "log":
        ends = axis_ends(shown.view, shown.bins.seconds, mean, low, high)
        _draw_marks(axes, time, not_above_zero(mean), colors)
        mean, low, high = above_edge(mean, low, high, ends[0])
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylim(*ends)
        label_decades(axes.yaxis, ends)
    shade = BAND if len(colors) <= FEW_LINES else FAINT_BAND
    for index, (label, color) in enumerate(zip(legend_labels(shown), colors, strict=True)):
        axes.plot(time, mean[:, index], color=color, linewidth=1.1, label=plain(label))
        alone = lonely(mean[:, index])
        axes.plot(time[alone], mean[alone, index], color=color, marker=".", markersize=3, linestyle="none")
        if not shown.view.is_net:
            axes.fill_between(time, low[:, index], high[:, index], color=color, alpha=shade, linewidth=0.6)
            axes.vlines(time[alone], low[alone, index], high[alone, index], color=color, linewidth=0.8, alpha=0.6)
    _draw_legend(axes, shown.view)


def _draw_marks(axes: Axes, time: Floats, below: npt.NDArray[np.bool_], colors: list[str]) -> None:
    """Small open triangles at the lower edge where a mean is not above 0, a row of them for each line."""
    for index, color in enumerate(colors):
        where = time[below[:, index]]
        place = np.full(where.size, MARK_FIRST + MARK_STEP * index)
        style: dict[str, Any] = {"marker": "v", "markersize": 3.2, "markerfacecolor": "none", "markeredgewidth": 0.6}
        axes.plot(where, place, color=color, linestyle="none", transform=axes.get_xaxis_transform(), **style)


def legend_labels(shown: Shown) -> list[str]:
    """Names of the lines, and of one that is not drawn, why."""
    found = []
    for index, line in enumerate(shown.view.lines):
        values = shown.mean[:, index]
        values = values[np.isfinite(values)]
        lost = shown.view.scale == "log" and values.size and not (values > 0).any()
        found.append(
            f"{line.label}: {'not above 0' if lost else 'all fill'}" if lost or not values.size else line.label
        )
    return found


def lonely(values: Floats) -> npt.NDArray[np.bool_]:
    """Values without a neighbor, which a line would not show."""
    there = np.pad(np.isfinite(values), 1)
    found: npt.NDArray[np.bool_] = there[1:-1] & ~there[:-2] & ~there[2:]
    return found


def line_colors(view: View, dark: bool = False) -> list[str]:
    """Colors of a panel's lines on white, or on a dark page: of a scale where they follow an axis of values."""
    from matplotlib import colormaps  # noqa: PLC0415
    from matplotlib.colors import to_hex  # noqa: PLC0415

    axis = view.axis
    if axis is None or axis.labels:
        colors = DARK_LINE_COLORS if dark else LINE_COLORS
        several = view.panel.kind == "lines"
        return [colors[index % len(colors) if several else 0] for index in range(len(view.lines))]
    # The yellow end is too light for lines on white, the violet one too dark for a dark page.
    places = np.linspace(0.3, 1.0, len(view.lines)) if dark else np.linspace(0.0, 0.86, len(view.lines))
    return [to_hex(colormaps[COLOR_MAP](place)) for place in places]


def _draw_legend(axes: Axes, view: View) -> None:
    if len(view.lines) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.004, 1.04), handlelength=1.1, labelspacing=0.25, borderpad=0.2)


# ---- spectrograms ---------------------------------------------------------------------------------------------------
def _draw_cells(axes: Axes, shown: Shown) -> None:
    from matplotlib.colors import LogNorm, Normalize  # noqa: PLC0415

    edges, values, scale = vertical_cells(shown)
    time = shown.bins.edges / DAY_US
    time, values = _coarse(time, values)
    limits = color_limits(values, shown.view)
    norm = LogNorm(*limits) if shown.view.scale == "log" else Normalize(*limits)
    if shown.view.scale == "log":
        # What is not above zero was measured: it has the color of the least, and not that of a gap.
        values = np.where(values < limits[0], limits[0], values)
    mesh = axes.pcolormesh(time, edges, np.ma.masked_invalid(values.T), cmap=COLOR_MAP, norm=norm, rasterized=True)
    axes.set_yscale(scale)
    axes.set_ylim(edges[0], edges[-1])
    if scale == "log":
        label_decades(axes.yaxis, (edges[0], edges[-1]))
    box = axes.get_position()
    figure = axes.get_figure()
    if figure is None:
        return
    beside = figure.add_axes((RIGHT + 0.010, box.y0, 0.011, box.height), label="colorbar")
    bar = axes.figure.colorbar(mesh, cax=beside)
    if shown.view.scale == "log":
        label_decades(beside.yaxis, limits)
    bar.set_label(plain(_wrapped(shown.view.value_label)), fontsize=9)
    beside.spines[:].set_linewidth(0.5)


def vertical_cells(shown: Shown) -> tuple[Floats, Floats, str]:
    """Borders of the cells from bottom to top, the values (bins, cells) in that order, and the scale of the axis."""
    axis = shown.view.axis
    if axis is None:
        edges = histogram_edges(shown.view.columns[0])
        used = np.flatnonzero(np.nansum(shown.mean, axis=0) > 0)
        last = int(used[-1]) + 1 if used.size else shown.mean.shape[1]
        return edges[: last + 1], shown.mean[:, :last], "linear"
    values, edges = shown.mean[:, np.argsort(axis.values, kind="stable")], cell_edges(axis)
    if shown.view.scale == "log" and axis.scale == "linear" and axis.size > CROPPED_CELLS:
        used = np.flatnonzero((values > 0).any(axis=0))
        first, last = (int(used[0]), int(used[-1]) + 1) if used.size else (0, axis.size)
        values, edges = values[:, first:last], edges[first : last + 1]
    return edges, values, axis.scale


def cell_edges(axis: Axis) -> Floats:
    """Borders of an axis' cells, rising: where two cells meet, and where it tells none, half-way."""
    order = np.argsort(axis.values, kind="stable")
    values = np.asarray(axis.values, dtype=np.float64)[order]
    log = axis.scale == "log"
    if axis.minus:
        low, high = values - np.asarray(axis.minus)[order], values + np.asarray(axis.plus)[order]
        inner = np.sqrt(high[:-1] * low[1:]) if log else (high[:-1] + low[1:]) / 2
        return np.concatenate([low[:1], inner, high[-1:]])
    inner = np.sqrt(values[:-1] * values[1:]) if log else (values[:-1] + values[1:]) / 2
    ends = (
        (values[0] ** 2 / inner[0], values[-1] ** 2 / inner[-1])
        if log
        else (2 * values[0] - inner[0], 2 * values[-1] - inner[-1])
    )
    return np.concatenate([[ends[0]], inner, [ends[1]]])


def _coarse(time: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Half as many bins where there are more cells than a panel has pixels."""
    while values.size > MOST_CELLS and values.shape[0] > 2:
        even = values.shape[0] // 2 * 2
        pairs = values[:even].reshape(-1, 2, values.shape[1])
        time, values = time[: even + 1 : 2], _mean_of(pairs, 1)
    return time, values


def _mean_of(values: Floats, axis: int) -> Floats:
    """The mean of what is not NaN."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(there, values, 0).sum(axis=axis) / there.sum(axis=axis)
    return found


def color_limits(values: Floats, view: View) -> tuple[float, float]:
    """Both ends of the color scale: the panel's limits, or almost all of what is drawn."""
    if view.panel.limits is not None:
        return view.panel.limits
    log = view.scale == "log"
    drawn = values[(values > 0) if log else np.isfinite(values)]
    if not drawn.size:
        return (0.1, 1.0) if log else (0.0, 1.0)
    low, high = (float(found) for found in np.percentile(drawn, COLOR_PERCENTILES))
    if log:
        low = max(low, high / 10**LOG_DECADES)
        return (low, high) if low * 1.5 < high else (low / 2, high * 2)
    return (low, high) if low < high else (low - 1, high + 1)


def label_decades(axis: YAxis, ends: tuple[float, float]) -> None:
    """Label a log axis by its decades, and within one also between. Plain text: matplotlib's own is set as formulas."""
    from matplotlib.ticker import FuncFormatter, NullFormatter  # noqa: PLC0415

    narrow = ends[1] < ends[0] * NARROW_RATIO
    axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
    axis.set_minor_formatter(FuncFormatter(lambda value, _: _between(value)) if narrow else NullFormatter())


def _between(value: float) -> str:
    """Labels of a narrow log axis between its decades: at 2 and 5 only, so that they do not touch."""
    first = value / 10.0 ** np.floor(np.log10(value)) if value > 0 else 0.0
    return power_of_ten(value) if round(first, 6) in (2.0, 5.0) else ""


def power_of_ten(value: float) -> str:
    """A number as log axes have it: 100, or twice ten to the fourth."""
    if value <= 0:
        return ""
    power = int(np.floor(np.log10(value * (1 + 1e-12))))
    first = f"{value / 10.0**power:.3g}"
    if -PLAIN_DECADES <= power <= PLAIN_DECADES:
        return f"{value:g}"
    raised = f"10{str(power).translate(SUPERSCRIPTS)}"
    return raised if first == "1" else f"{first}\u00d7{raised}"


# ---- states and flags -----------------------------------------------------------------------------------------------
def runs_of(held: npt.NDArray[np.bool_], bins: Bins) -> Iterator[tuple[float, float]]:
    """Start and length, as matplotlib has times, of each stretch of bins in which something holds."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], held, [False]]).astype(np.int8)))
    edges = bins.edges / DAY_US
    for first, last in zip(change[::2], change[1::2], strict=True):
        yield float(edges[first]), float(edges[last] - edges[first])


def _draw_states(axes: Axes, shown: Shown) -> None:
    names = [line.label for line in shown.view.lines]
    for index in range(len(names)):
        some, every = true_in(shown.low[:, index], shown.high[:, index])
        known = list(runs_of(np.isfinite(shown.mean[:, index]), shown.bins))
        axes.broken_barh(known, (index - 0.06, 0.12), color=UNTRUE, linewidth=0)
        # An edge makes a bin that is narrower than a pixel seen.
        axes.broken_barh(list(runs_of(some & ~every, shown.bins)), (index - 0.32, 0.64), color=PARTLY, linewidth=0.8)
        axes.broken_barh(list(runs_of(every, shown.bins)), (index - 0.32, 0.64), color=LINE_COLORS[0], linewidth=0)
    axes.set_yticks(range(len(names)), [plain(name[:NAMED_STATES]) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    words = "bar: true\npaler: partly"
    axes.text(1.006, 0.5, words, transform=axes.transAxes, fontsize=9, color=QUIET, va="center")


def true_in(low: Floats, high: Floats) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Of bins with these least and greatest values: those with any row that is not 0, and those with no other rows."""
    low, high = np.nan_to_num(low), np.nan_to_num(high)
    return (low != 0) | (high != 0), (low > 0) | (high < 0)


def draw_flags(axes: Axes, bins: Bins, flagged: Floats, height: int) -> None:
    """A strip above a panel where rows are flagged, paler where few of them are."""
    share, above = np.nan_to_num(flagged), (1 + 1 / height, FLAG_PX / height)
    style: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "linewidth": 0, "clip_on": False}
    axes.broken_barh(list(runs_of((share > 0) & (share < MOST_ROWS), bins)), above, color=PALE_AMBER, **style)
    axes.broken_barh(list(runs_of(share >= MOST_ROWS, bins)), above, color=AMBER, **style)

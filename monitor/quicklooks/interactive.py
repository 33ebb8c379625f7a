# SPDX-License-Identifier: Apache-2.0
"""The data of an interactive picture: what the PNG shows, coarser where it would be too much to load, as a script."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from monitor.quicklooks.bins import SECOND_US, Bins, Floats
from monitor.quicklooks.drawn_panels import color_limits, legend_labels, line_colors, vertical_cells
from monitor.quicklooks.figure import Part, Picture
from monitor.quicklooks.log_axes import MARK_FIRST, MARK_STEP, above_edge, axis_ends, not_above_zero
from monitor.quicklooks.panels import pretty
from monitor.quicklooks.reduction import Shown

NUMBERS = 30_000  # of all panels together: less than 300 kB, for a number takes at most ten characters
# Significant digits: so many of a panel's range are seen when it is zoomed, and no more than a double has certainly.
RANGE_DIGITS, MOST_DIGITS = 5, 12
MOST_WHOLE = 1e9  # greater whole numbers are shorter with an exponent
FEWEST_CELLS = 64  # time is made coarser only after the other axis has no more than twice these


def script(picture: Picture) -> bytes:
    """A script that gives the picture to the page."""
    budget = NUMBERS // max(1, sum(part.has_values for part in picture.parts))
    about = {
        "start": picture.span.start // 1000,
        "stop": picture.span.stop // 1000,
        "panels": [_panel(part, budget) for part in picture.parts],
    }
    return f"window.swxlakeQuicklook = {json.dumps(about, separators=(',', ':'))};\n".encode()


def _panel(part: Part, budget: int) -> dict[str, Any]:
    view, shown = part.view, part.shown
    if shown is None or not part.has_values:
        return {"kind": "empty", "title": view.title, "note": part.note}
    about: dict[str, Any] = {
        "kind": "cells" if view.panel.kind in ("spectrogram", "histogram") else view.panel.kind,
        "title": view.title,
        "basis": view.basis,
        "vertical": view.vertical_label,
        "values": view.value_label,
        "unit": pretty(view.columns[0].unit),
        "scale": view.scale,
    }
    if about["kind"] == "cells":
        return about | _cells(shown, budget)
    return about | _lines(shown, budget)


def _lines(shown: Shown, budget: int) -> dict[str, Any]:
    net = shown.view.is_net  # with other bins than the picture's its noise would look like another signal
    factor = 1 if net else _halvings(shown.mean.size * 3, budget)
    mean, low = _joined(shown.mean, factor, "mean"), _joined(shown.low, factor, "least")
    high = _joined(shown.high, factor, "greatest")
    below, about = np.zeros(mean.shape, np.bool_), _times(shown.bins, factor, mean.shape[0])
    if shown.view.scale == "log" and shown.view.panel.kind == "lines":
        ends = axis_ends(shown.view, shown.bins.seconds * factor, mean, low, high)
        below = not_above_zero(mean)
        mean, low, high = above_edge(mean, low, high, ends[0])
        about |= {"ends": numbers(np.asarray(ends), RANGE_DIGITS), "marks": [MARK_FIRST, MARK_STEP]}
    digits = digits_of(low, high)
    colors = list(zip(line_colors(shown.view), line_colors(shown.view, dark=True), strict=True))
    lines = [
        {
            "label": label,
            "color": colors[index],
            "mean": numbers(mean[:, index], digits),
            "low": [] if net else numbers(low[:, index], digits),
            "high": [] if net else numbers(high[:, index], digits),
            "below": np.flatnonzero(below[:, index]).tolist(),
        }
        for index, label in enumerate(legend_labels(shown))
    ]
    return about | {"lines": lines, "reach": max(1, -(-shown.reach // factor))}


def _cells(shown: Shown, budget: int) -> dict[str, Any]:
    edges, values, scale = vertical_cells(shown)
    limits = color_limits(values, shown.view)
    across = 1
    while values.size > budget and values.shape[1] >= 2 * FEWEST_CELLS:
        edges, values = _pairs_of_cells(edges, values)
    while values.size > budget:
        values, across = _joined(values, 2, "mean"), across * 2
    digits = digits_of(values)
    return _times(shown.bins, across, values.shape[0]) | {
        "verticalScale": scale,
        "edges": numbers(edges, digits_of(edges)),
        "limits": numbers(np.asarray(limits), digits),
        "cells": [numbers(row, digits) for row in values.T],
    }


def _pairs_of_cells(edges: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Neighbors on the vertical axis made one; the last one stays alone if their number is odd."""
    joined = _joined(values.T, 2, "mean").T
    kept = edges[:-1:2]
    return np.append(kept, edges[-1]), joined


def _times(bins: Bins, factor: int, count: int) -> dict[str, Any]:
    """Start and width of the bins in milliseconds since 1970."""
    return {"first": bins.span.start // 1000, "width": bins.width * factor * 1000 // SECOND_US, "bins": count}


def _halvings(size: int, budget: int) -> int:
    factor = 1
    while size / factor > budget:
        factor *= 2
    return factor


def _joined(values: Floats, factor: int, way: str) -> Floats:
    """Each `factor` rows made one; NaN only where all are."""
    if factor == 1 or not values.size:
        return values
    short = -values.shape[0] % factor
    rows = np.concatenate([values, np.full((short, values.shape[1]), np.nan)]).reshape(-1, factor, values.shape[1])
    if way == "least":
        return np.asarray(np.fmin.reduce(rows, axis=1))
    if way == "greatest":
        return np.asarray(np.fmax.reduce(rows, axis=1))
    there = np.isfinite(rows)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(there, rows, 0).sum(axis=1) / there.sum(axis=1))


def digits_of(*values: Floats) -> int:
    """Significant digits by which the range of values is seen: more where it is narrow and far from zero."""
    found = np.concatenate([each[np.isfinite(each)] for each in values])
    width = float(np.ptp(found)) if found.size else 0.0
    more = np.log10(np.abs(found).max() / width) if width > 0 else 0.0
    return int(min(MOST_DIGITS, RANGE_DIGITS + max(0, np.floor(more))))


def numbers(values: Floats, digits: int) -> list[float | None]:
    """To so many significant digits; none where there is nothing."""
    short = (float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in values.tolist())
    return [
        int(value) if value is not None and abs(value) < MOST_WHOLE and value.is_integer() else value for value in short
    ]

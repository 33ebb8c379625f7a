# SPDX-License-Identifier: Apache-2.0
"""Lines on a log axis: where the axis ends, and which means it cannot show.

A flux with the background taken off is below zero in most rows of a quiet time. Drawn row by row on a log axis, only
the upward part of its noise would be seen, as a flux that is not there. Such a quantity is drawn as means of wider bins
(`View.is_net`), without a band, and each mean that is not above zero has a mark.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from monitor.quicklooks.bins import Floats
from monitor.quicklooks.panels import View
from monitor.quicklooks.reduction import Shown

MARGIN = 0.08  # of the decades that are drawn, above and below
MARK_FIRST, MARK_STEP = 0.035, 0.035  # of the axis: where the marks of each line stand
LEAST_ROOM = 0.8  # below the least mean, so that its line does not lie on the edge
NOTHING_DRAWN = (0.1, 1.0)  # ends of an axis without any value above zero


def not_above_zero(mean: Floats) -> npt.NDArray[np.bool_]:
    """Means that a log axis cannot show; what is missing is none."""
    found: npt.NDArray[np.bool_] = np.isfinite(mean) & (np.nan_to_num(mean) <= 0)
    return found


def share_below(panels: Sequence[Shown]) -> float | None:
    """The part of all means on log axes that are not above zero; None if all are, or there is no log axis."""
    logs = [panel for panel in panels if panel.view.panel.kind == "lines" and panel.view.scale == "log"]
    below = sum(int(not_above_zero(panel.mean).sum()) for panel in logs)
    return below / sum(int(np.isfinite(panel.mean).sum()) for panel in logs) if below else None


def axis_ends(view: View, seconds: float, mean: Floats, low: Floats, high: Floats) -> tuple[float, float]:
    """Both ends of a log axis of lines in bins of so many seconds.

    An axis of count rates does not go below one count in a bin, or the least mean: rows with parts of a count, which
    rebinning makes, would stretch it by decades.
    """
    if view.panel.limits is not None:
        return view.panel.limits
    means, *bands = (found[found > 0] for found in ((mean,) if view.is_net else (mean, low, high)))
    drawn = np.concatenate([means, *bands])
    if not drawn.size:
        return NOTHING_DRAWN
    first, last = float(drawn.min()), float(drawn.max())
    room = MARGIN * max(np.log10(last / first), 1.0)
    first, last = first / 10**room, last * 10**room
    if means.size and all(column.unit == "count/s" for column in view.columns):
        first = max(first, min(1 / seconds, LEAST_ROOM * float(means.min())))
    if not_above_zero(mean).any():
        rows = MARK_FIRST + MARK_STEP * mean.shape[1]
        first = last / 10 ** (np.log10(last / first) / (1 - rows))
    return first, last


def above_edge(mean: Floats, low: Floats, high: Floats, edge: float) -> tuple[Floats, Floats, Floats]:
    """What a log axis with this lower edge can show of means, least and greatest values: bands end at the edge."""
    mean = np.where(mean > 0, mean, np.nan)
    low = np.where(low > edge, low, np.where(np.isfinite(mean), edge, np.nan))
    return mean, low, np.where(high > edge, high, low)

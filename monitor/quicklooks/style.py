# SPDX-License-Identifier: Apache-2.0
"""The look of the pictures: one style, colors that can be told apart without full color vision, fonts of matplotlib."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl

DPI = 100
WIDTH_PX = 1400
HEADER_PX, TITLE_PX = 76, 30  # above the first panel, above each panel
FOOTER_PX, CAPTION_PX = 71, 17  # below the last panel, and for each line of the caption
LEFT, RIGHT = 0.078, 0.862  # of the width; color bars and legends stand to the right
PANEL_PX = {1: 500, 2: 335, 3: 235, 4: 185, 5: 160}  # by the number of panels
SMALLEST_PANEL_PX = 148
STATE_ROW_PX = 20
SMALL_WIDTH_PX, SMALL_SHAPE, SMALL_COLORS = 280, 0.75, 64  # of what a calendar shows
TITLE_GAP_PX = 9  # room for the strip of flags below a title
EMPTY_PANEL_PX = 48

# Okabe and Ito, https://jfly.uni-koeln.de/color/, without the two that are too light for lines on white;
# their black is the last.
LINE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7A5195", "#2B2B2B")
DARK_LINE_COLORS = ("#56B4E9", "#F0A35E", "#3FCFA0", "#E79FC7", "#B69CE0", "#E6E9ED")
COLOR_MAP = "viridis"
INK, QUIET, FAINT, AMBER, PALE_AMBER = "#1b1f24", "#59636e", "#d5dae0", "#d98a00", "#f1cf94"

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": "#8a939d",
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.axisbelow": True,
    "axes.formatter.limits": (-4, 5),
    "axes.formatter.useoffset": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9,
    "xtick.direction": "out",
    "ytick.direction": "out",
    "xtick.major.size": 4,
    "ytick.major.size": 4,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "path.simplify": True,
}


@contextmanager
def styled() -> Iterator[None]:
    """Our style alone within the block, whatever the user's own matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def plain(text: str) -> str:
    """Text that matplotlib does not read as mathematics."""
    return text.replace("$", r"\$")

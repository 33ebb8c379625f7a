# SPDX-License-Identifier: Apache-2.0
"""Drawing a picture: a header, panels on one time axis, and a caption that says what they were made from."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monitor.quicklooks.bins import DAY_US, Span
from monitor.quicklooks.drawn_panels import draw_flags, draw_panel
from monitor.quicklooks.panels import View
from monitor.quicklooks.reduction import Reduced, Shown
from monitor.quicklooks.style import (
    AMBER,
    CAPTION_PX,
    DPI,
    EMPTY_PANEL_PX,
    FOOTER_PX,
    HEADER_PX,
    INK,
    LEFT,
    PANEL_PX,
    QUIET,
    RIGHT,
    SMALL_COLORS,
    SMALL_SHAPE,
    SMALL_WIDTH_PX,
    SMALLEST_PANEL_PX,
    STATE_ROW_PX,
    TITLE_GAP_PX,
    TITLE_PX,
    WIDTH_PX,
    plain,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Part:
    """A panel of a picture: what it shows, reduced; None if its table has no rows of the day.

    `table` has the flags of its rows. `note` is what stands in a panel without a single value.
    """

    view: View
    shown: Shown | None
    table: Reduced | None = None
    note: str = "no rows"

    @property
    def has_values(self) -> bool:
        """Whether there is anything to draw."""
        return self.shown is not None and not self.shown.is_empty


@dataclass(frozen=True)
class Picture:
    """All that is drawn: title, the day to its right, a mark below if it rests on assumptions, panels, caption."""

    title: str
    subtitle: str
    corner: str
    mark: str
    span: Span
    parts: Sequence[Part]
    caption: Sequence[str]


def draw(picture: Picture) -> bytes:
    """The picture as PNG: the same bytes for the same data, for it holds no time of its making."""
    with styled():
        figure = compose(picture)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None}, pil_kwargs={"compress_level": 4})
    return buffer.getvalue()


def small(png: bytes, caption: Sequence[str]) -> bytes:
    """The panels of a picture with that caption, small enough for a calendar, as PNG."""
    from PIL import Image  # noqa: PLC0415  matplotlib brings it

    image = Image.open(io.BytesIO(png)).convert("RGB")
    bottom = image.height - footer_px(caption)
    panels = image.crop((round(LEFT * image.width), HEADER_PX, round(RIGHT * image.width), bottom))
    height = round(SMALL_WIDTH_PX * SMALL_SHAPE)
    buffer = io.BytesIO()
    panels.resize((SMALL_WIDTH_PX, height), Image.Resampling.LANCZOS).quantize(SMALL_COLORS).save(buffer, format="png")
    return buffer.getvalue()


def footer_px(caption: Sequence[str]) -> int:
    """The height of what is below the last panel."""
    return FOOTER_PX + CAPTION_PX * len(caption)


def compose(picture: Picture) -> Figure:
    """The picture as a figure of matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    heights = [_panel_px(part, len(picture.parts)) for part in picture.parts]
    total = HEADER_PX + footer_px(picture.caption) + sum(heights) + TITLE_PX * len(heights)
    figure = Figure(figsize=(WIDTH_PX / DPI, total / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    top, first = float(total - HEADER_PX), None
    for index, (part, height) in enumerate(zip(picture.parts, heights, strict=True)):
        bottom = top - TITLE_PX - height
        place = (LEFT, bottom / total, RIGHT - LEFT, height / total)
        axes = figure.add_axes(place, sharex=first)
        first = first or axes
        _draw_part(axes, part, height)
        lowest = index == len(heights) - 1
        axes.tick_params(axis="x", labelbottom=lowest, bottom=lowest)
        top = bottom
    if first is not None:
        _draw_time(figure.axes, picture.span)
    _draw_header(figure, picture, total)
    _draw_caption(figure, picture.caption, total)
    return figure


def _panel_px(part: Part, panels: int) -> int:
    if not part.has_values:
        return EMPTY_PANEL_PX
    if part.view.panel.kind == "states":
        return STATE_ROW_PX * (len(part.view.lines) + 1)
    return PANEL_PX.get(panels, SMALLEST_PANEL_PX)


def _draw_part(axes: Axes, part: Part, height: int) -> None:
    # As a title of matplotlib it would be laid out around all tick labels, which takes a fifth of the time.
    above = 1 + TITLE_GAP_PX / height
    axes.text(0, above, plain(part.view.title), transform=axes.transAxes, fontsize=10, fontweight="bold", color=INK)
    if part.shown is None or not part.has_values:
        axes.set_yticks([])
        axes.text(0.5, 0.5, plain(part.note), transform=axes.transAxes, ha="center", va="center", color=QUIET)
        return
    draw_panel(axes, part.shown)
    if part.view.basis:
        style: dict[str, Any] = {"ha": "right", "fontsize": 9, "color": QUIET}
        axes.text(1, above, plain(part.view.basis), transform=axes.transAxes, **style)
    if part.table is not None:
        draw_flags(axes, part.table.bins, part.table.flagged, height)


def _draw_time(axes: Sequence[Axes], span: Span) -> None:
    """The time axis, which all panels share, of the whole span: a day from 00 to 24 UTC."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415

    panels = [found for found in axes if found.get_label() != "colorbar"]
    locator: Any = AutoDateLocator(minticks=5, maxticks=13)  # type: ignore[no-untyped-call]
    locator.intervald[4] = [1, 2, 3, 6]  # hours; whole parts of a day
    panels[0].set_xlim(span.start / DAY_US, span.stop / DAY_US)
    panels[0].xaxis.set_major_locator(locator)
    formatter: Any = ConciseDateFormatter(locator, show_offset=False)  # type: ignore[no-untyped-call]
    formatter.zero_formats = [*formatter.zero_formats[:3], "%H:%M", *formatter.zero_formats[4:]]
    panels[0].xaxis.set_major_formatter(formatter)
    panels[-1].set_xlabel("UTC")


def _draw_header(figure: Figure, picture: Picture, total: int) -> None:
    line, below = 1 - 30 / total, 1 - 55 / total
    figure.text(LEFT, line, plain(picture.title), fontsize=16, fontweight="bold", va="center")
    figure.text(LEFT, below, plain(picture.subtitle), fontsize=10, color=QUIET, va="center")
    right: dict[str, Any] = {"va": "center", "ha": "right", "fontweight": "bold"}
    figure.text(0.985, line, plain(picture.corner), fontsize=14, **right)
    figure.text(0.985, below, plain(picture.mark), fontsize=10, color=AMBER, **right)


def _draw_caption(figure: Figure, caption: Sequence[str], total: int) -> None:
    for index, line in enumerate(caption):
        figure.text(
            LEFT,
            (footer_px(caption) - 56 - CAPTION_PX * index) / total,
            plain(line),
            fontsize=8.5,
            color=QUIET,
            va="center",
        )

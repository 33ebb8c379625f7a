# SPDX-License-Identifier: Apache-2.0
"""What is written below a picture: what it was made from, how it is drawn, what it rests on; not when it was made."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from lake.definitions import Product, Table
from monitor.quicklooks.log_axes import share_below
from monitor.quicklooks.panels import pretty
from monitor.quicklooks.reduction import Reduced, Shown

LINE_CHARACTERS, MOST_LINES = 185, 7  # as many as are read
NAMED_FLAGS = 6
NOTE_CHARACTERS = 130  # as many as a panel is wide


@dataclass(frozen=True)
class Origin:
    """What a table-day is: the version of its product if it has one, a short hash of its rows, version of the code."""

    version: str = ""
    content: str = ""
    code: str = ""

    @property
    def text(self) -> str:
        """In words."""
        words = {"product": self.version, "rows": self.content, "code": self.code}
        return " · ".join(f"{word} {value}" for word, value in words.items() if value)


def caption_of(
    table: Table,
    day: date,
    origin: Origin,
    reduced: Reduced,
    assumptions: Sequence[str],
    product: Product | None = None,
) -> list[str]:
    """The caption of a table-day's picture, with what its product says of times."""
    made = " · ".join(text for text in (table.address, f"{day}", f"{reduced.rows:,} rows", origin.text) if text)
    lines = [
        made,
        f"{time_words(table, product)} {drawn(reduced.panels.values())} {_flag_words(table, reduced)}".strip(),
    ]
    return fitted([*lines, *assumed(assumptions)])


def summary_caption(
    origins: Mapping[str, Origin],
    panels: Iterable[Shown],
    reduced: Sequence[tuple[Table, Reduced]],
    doubtful: Sequence[str],
) -> list[str]:
    """The caption of a mission's day: the tables that are in it, and which of them rest on assumptions."""
    made = ", ".join(f"{name} {origin.version or origin.content}".strip() for name, origin in origins.items())
    doubt = f"Assumed calibrations go into {', '.join(doubtful)}." if doubtful else ""
    return fitted([made, drawn(panels), _summary_flags(reduced), doubt])


def time_words(table: Table, product: Product | None) -> str:
    """Which moment of what a row holds its time is; empty for events, and where no product tells."""
    if product is None or table.order != "strict":
        return ""
    place = {0.0: "start", 0.5: "middle", 1.0: "end"}.get(product.bin_location, f"{product.bin_location:g} of the way")
    return f"Time: {place} of what a row holds ({product.time_resolution})."


def drawn(panels: Iterable[Shown]) -> str:
    """How rows became what is drawn."""
    shown = list(panels)
    widths = sorted({f"{panel.bins.seconds:g} s" for panel in shown}, key=lambda text: float(text[:-2]))
    kinds = {panel.view.panel.kind for panel in shown}
    words = [f"Bins of {' and '.join(widths)}."] if widths else []
    if "lines" in kinds:
        words.append(_line_words([panel for panel in shown if panel.view.panel.kind == "lines"]))
    if "spectrogram" in kinds:
        words.append("Color: mean; the least color includes zero.")
    if sum(panel.view.panel.kind in ("spectrogram", "histogram") and not panel.is_empty for panel in shown) > 1:
        words.append("Each panel has its own color scale.")
    if "histogram" in kinds:
        words.append("Color: rows per second; the least color includes none.")
    if "states" in kinds:
        words.append("Bars: true or not 0 in all rows of a bin, paler: in some.")
    words += [_beyond(panel) for panel in shown if panel.beyond]
    if (share := share_below(shown)) is not None:
        words.append(f"Open mark at the lower edge: mean not above 0 ({100 * share:.3g} % of the means).")
    return " ".join(words)


def _line_words(panels: Sequence[Shown]) -> str:
    net = sum(panel.view.is_net for panel in panels)
    words = "" if net == len(panels) else "Lines: mean, band from least to greatest."
    wide = next((panel.bins.seconds for panel in panels if panel.view.is_net), 0.0)
    without = f"Net values on log axes: means of {wide:g} s without a band, for their noise would look like signal."
    return f"{words} {without}".strip() if net else words


def _beyond(panel: Shown) -> str:
    """How many rows of a histogram have a value that no cell is for."""
    column = panel.view.columns[0]
    low, high = column.valid or (0.0, 1.0)
    rows = "row is" if panel.beyond == 1 else "rows are"
    valid = f"{low:g} to {high:g} {pretty(column.unit)}".rstrip()
    return f"{panel.beyond:,} {rows} outside of the valid {valid} of {column.name} and not drawn."


def without_values(table: Table, reduced: Reduced) -> str:
    """What stands in a panel of which no row has a value: why, if a flag of most rows says that values are fill."""
    if not reduced.rows:
        return "no rows"
    counts = {flag: reduced.by_bit.get(flag.bit, 0) for flag in table.flags if "fill" in flag.description}
    usual = max(counts, key=lambda flag: counts[flag], default=None)
    if usual is None or 2 * counts[usual] < reduced.rows:
        return f"no values: all rows are fill ({reduced.rows:,})"
    share = "all" if counts[usual] == reduced.rows else "most"
    return textwrap.shorten(
        f"no values · {share} rows are flagged: {usual.description}", NOTE_CHARACTERS, placeholder=" …"
    )


def _flag_words(table: Table, reduced: Reduced) -> str:
    """The flags that all rows have, the part of rows with any other one, and which, the most frequent first."""
    throughout = flag_names(table, reduced, everywhere=True)
    words = [f"All rows have the flag {', '.join(throughout)}."] if throughout else []
    if reduced.flagged_rows:
        share = f"{100 * reduced.flagged_rows / reduced.rows:.3g}"
        which = ", ".join(flag_names(table, reduced, everywhere=False))
        also = " another" if throughout else " a"
        words.append(
            f"Amber strip: {share} % of rows have{also} flag, and are drawn ({which}); pale: few rows of a bin."
        )
    return " ".join(words)


def flag_names(table: Table, reduced: Reduced, everywhere: bool) -> list[str]:
    """Names of the flags that all rows have, or of the others, the most frequent first."""
    names = {flag.bit: flag.name for flag in table.flags}
    bits = [bit for bit in reduced.by_bit if bool(reduced.everywhere >> bit & 1) == everywhere]
    bits.sort(key=lambda bit: (-reduced.by_bit[bit], bit))
    more = ["others"] if len(bits) > NAMED_FLAGS else []
    return [names.get(bit, f"bit {bit}") for bit in bits[:NAMED_FLAGS]] + more


def _summary_flags(found: Sequence[tuple[Table, Reduced]]) -> str:
    """Flags of the rows of all tables of a summary."""
    words = []
    for everywhere, start in ((True, "All rows"), (False, "Amber strip, some rows")):
        named = [(table, flag_names(table, reduced, everywhere)) for table, reduced in found]
        texts = [f"{table.name} {', '.join(names)}" for table, names in named if names]
        words += [f"{start}: {'; '.join(texts)}."] if texts else []
    return " ".join(words)


def assumed(assumptions: Sequence[str]) -> list[str]:
    """Names of what is assumed; the reasons are on the table's page."""
    found = [re.match(r"Assumed calibration (\S+):", text) for text in assumptions]
    names = [match.group(1) for match in found if match]
    others = ["the instrument's definition" for text in assumptions if text.startswith("Status")]
    others += ["the clock" for text in assumptions if text.startswith("Assumed clock")]
    listed = ", ".join(sorted({*names, *others}))
    return [f"Assumed: {listed}."] if listed else []


def mark_of(assumptions: Sequence[str]) -> str:
    """What stands in the picture's corner if it rests on assumptions, the weightiest first."""
    if any(text.startswith("Assumed calibration") for text in assumptions):
        return "assumed calibration"
    return "assumed definition or clock" if assumptions else ""


def fitted(lines: Sequence[str]) -> list[str]:
    """The lines, none longer than a picture is wide and no more than have room below it."""
    broken = [part for line in lines for part in textwrap.wrap(line, LINE_CHARACTERS)]
    return broken if len(broken) <= MOST_LINES else [*broken[: MOST_LINES - 1], f"{broken[MOST_LINES - 1]} …"]

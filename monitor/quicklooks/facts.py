# SPDX-License-Identifier: Apache-2.0
"""What pictures are made from: files of each table-day, where they came from, and marks that change when they would."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property

from lake.definitions import Definitions, Product, Table
from lake.errors import TableError
from lake.ledger import fingerprint, last_runs, read_ops
from lake.quicklook_definitions import Quicklook
from lake.snapshots import Snapshot, snapshot
from lake.store import Lake, iso_day
from monitor.quicklooks.bins import Span, shown_span
from monitor.quicklooks.captions import Origin
from monitor.quicklooks.panels import View, quicklooks
from monitor.quicklooks.reduction import times

DRAWING = 3  # raise it when pictures are drawn otherwise: all are drawn anew
SHOWN_HASH = 12
NO_TIME = (
    "it has no column time, along which it would be drawn. Give it one, or take its picture out of quicklook.yaml."
)


@dataclass
class Sources:
    """The tables that have pictures, as they stand at one moment. `broken` are those that cannot be opened or drawn."""

    lake: Lake
    looks: dict[str, Quicklook] = field(default_factory=dict)
    tables: dict[str, Snapshot] = field(default_factory=dict)
    broken: list[tuple[str, str]] = field(default_factory=list)
    _words: dict[tuple[str, ...], tuple[str, tuple[str, ...]]] = field(default_factory=dict)

    @classmethod
    def of(cls, lake: Lake) -> Sources:
        """All tables with a quick look. Raises StorageError."""
        found = cls(lake, quicklooks(lake.definitions))
        for address in found.looks:
            if "time" not in lake.definitions.tables[address].by_name:
                found.broken.append((address, NO_TIME))
                continue
            try:
                found.tables[address] = snapshot(lake, lake.definitions.tables[address])
            except TableError as error:
                found.broken.append((address, str(error)))
        found.leave_out_empty_days()
        return found

    def leave_out_empty_days(self) -> None:
        """Days that were built and have no row have no picture: rows of their packets may be the next day's."""
        empty = {key for key, run in self._runs.items() if run["status"] == "done" and run["rows"] == 0}
        for address, found in self.tables.items():
            files = {day: names for day, names in found.files.items() if (address, day) not in empty}
            self.tables[address] = replace(found, files=files)

    @property
    def definitions(self) -> Definitions:
        """What missions/ says."""
        return self.lake.definitions

    def days(self, mission: str) -> set[date]:
        """Days of which a table of the mission has rows."""
        return {day for found in self.tables.values() if found.table.mission == mission for day in found.files}

    def of_day(self, mission: str, day: date) -> list[str]:
        """Addresses of the mission's tables that have files of the day."""
        return [a for a, found in self.tables.items() if found.table.mission == mission and day in found.files]

    def uris(self, address: str, day: date) -> list[str]:
        """The files of a table-day as they are opened."""
        found = self.tables[address]
        root = self.lake.table_uri(found.table)
        return [f"{root}/day={iso_day(day)}/{name}" for name in found.files.get(day, ())]

    def files_mark(self, addresses: Iterable[str], day: date) -> str:
        """Changes with the files of these tables."""
        return fingerprint([(address, self.tables[address].files[day]) for address in addresses])

    def span(self, mission: str, day: date) -> Span:
        """What the pictures of a mission's day show. Raises OSError if a file cannot be opened."""
        found = (times(self.lake, self.uris(address, day)) for address in self.of_day(mission, day))
        return shown_span(day, [span for span in found if span])

    def views(self, address: str, day: date) -> list[View]:
        """The panels of a table's picture. Raises CalibrationError if its axes have no values on the day."""
        table = self.definitions.on_day(self.tables[address].table, day)
        return [View(table, panel) for panel in self.looks[address].panels]

    def origin(self, address: str, day: date) -> Origin:
        """Version of the product, hash of the rows, and version of the code that made them."""
        run = self._runs.get((address, day), {})
        content = str(run.get("content") or "")[:SHOWN_HASH]
        return Origin(self._versions.get((address, day), ""), content, self._codes.get(str(run.get("run_id", "")), ""))

    def assumptions(self, address: str, day: date) -> tuple[str, ...]:
        """What a table-day rests on that is assumed."""
        return self._told(address, day)[1]

    def mark(self, address: str, day: date, span: Span) -> str:
        """Changes when the picture of a table-day would. Raises CalibrationError as `views`."""
        files = self.tables[address].files[day]
        return fingerprint(
            DRAWING,
            address,
            day,
            files,
            [span.start, span.stop],
            self._told(address, day)[0],
            self.origin(address, day),
        )

    def _told(self, address: str, day: date) -> tuple[str, tuple[str, ...]]:
        """Fingerprint of what definitions say of a table on a day, and what is assumed; the same from file to file."""
        table = self.tables[address].table
        valid = (i.calibration(name, day) for i, name in self.definitions.calibrations(table))
        key = (address, *(calibration.sha256 if calibration else "" for calibration in valid))
        if key not in self._words:
            assumptions = self.definitions.assumptions(table, day)
            flags = [(flag.bit, flag.name) for flag in table.flags]
            words = [_panel_words(view) for view in self.views(address, day)]
            mission = self.definitions.mission(table.mission).title
            product = product_of(self.definitions, table)
            times = (table.grain, table.order, product and (product.bin_location, product.time_resolution))
            self._words[key] = (fingerprint(mission, table.title, words, flags, assumptions, times), assumptions)
        return self._words[key]

    @cached_property
    def _runs(self) -> dict[tuple[str, date], dict[str, object]]:
        return dict(last_runs(self.lake, self.tables.values()))

    @cached_property
    def _codes(self) -> dict[str, str]:
        rows = read_ops(self.lake, "runs", ["run_id", "code_version"])
        return {str(run): str(code or "") for run, code in rows.iter_rows()}

    @cached_property
    def _versions(self) -> dict[tuple[str, date], str]:
        rows = read_ops(self.lake, "exports", ["product", "day", "version", "run_id"]).sort("run_id")
        return {(product, day): version for product, day, version, _ in rows.iter_rows()}


def _panel_words(view: View) -> object:
    axes = [view.table.axis(name).model_dump(mode="json") for column in view.columns for name in column.axes]
    columns = [column.model_dump(mode="json") for column in view.columns]
    return [view.panel.model_dump(mode="json"), columns, axes]


def product_of(definitions: Definitions, table: Table) -> Product | None:
    """The product that a table is exported as; None if it is none."""
    return next((found for found in definitions.instrument(table).products if found.table == table.name), None)


def title_of(definitions: Definitions, table: Table) -> str:
    """Mission and instrument of a table, as a picture has them below its title."""
    mission, instrument = definitions.mission(table.mission), definitions.instrument(table)
    return f"{mission.name.upper()} · {instrument.title}"

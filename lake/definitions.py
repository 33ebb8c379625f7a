# SPDX-License-Identifier: Apache-2.0
"""The nouns of swxlake, all frozen: what a mission, a packet, a table, a column or a product is.

They are read from missions/ by lake/definition_files.py and passed on as arguments; nothing keeps them in a global.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BeforeValidator, Field, model_validator

from lake.errors import CalibrationError, DefinitionError
from lake.names import NameRules
from lake.packet_definitions import Clock, ColumnType, Name, Noun, Packet
from lake.quicklook_definitions import Quicklook, SummaryPanel
from lake.source_definitions import Records, Transport
from lake.watch_definitions import Channel, Limit, TableRule, Watch

Level = Literal["l0", "l1", "ql", "l2", "l3"]
PLACES = ("epoch_tt2000", "byte_offset", "sequence_count")  # numbers of which a mean tells nothing
Conversion = Literal["polynomial", "spline", "linear", "steps", "states"]


def _entries(value: Any) -> Any:
    return {k: [v] if isinstance(v, str) else v for k, v in value.items()} if isinstance(value, dict) else value


GlobalAttributes = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_entries)]


class Flag(Noun):
    """One bit of `quality_flag`."""

    bit: int = Field(ge=0, le=30)
    name: Name
    description: str

    @property
    def mask(self) -> int:
        """The flag as an integer with one bit set."""
        return 1 << self.bit


class Column(Noun):
    """One column: the only place where its type, unit, description and valid range are written.

    `nullable` allows rows without a value, and in a list cells without one. `frame` names the coordinate system of a
    vector, whose components lie along its only axis.
    """

    name: Name
    type: ColumnType
    unit: str = ""
    description: str
    valid: tuple[float, float] | None = None
    nullable: bool = False
    axes: tuple[str, ...] = ()
    ragged: bool = False
    label: str | None = None
    scale: Literal["linear", "log"] = "linear"
    source: str | None = None
    conversion: Conversion | None = None
    uncertainty: str | None = None
    frame: str | None = None
    spase: str | None = None
    export: bool = True

    @property
    def is_list(self) -> bool:
        """True if each row holds a flat, row-major list: over `axes`, or, if `ragged`, of any length."""
        return bool(self.axes) or self.ragged

    def is_converted_by(self, calibration: str) -> bool:
        """True for the name of a calibration of the column's kind of conversion: `hk_linear` for linear."""
        return self.conversion is not None and f"_{calibration}".endswith(f"_{self.conversion}")

    @property
    def comment(self) -> str:
        """The column's description with its unit, as SQL comments show it."""
        return f"{self.description} [{self.unit}]" if self.unit else self.description


class Axis(Noun):
    """A dimension of array columns, `size` cells long.

    Its values are either even steps (`first`, `step`), or written one by one (`cells`), or the `column` of a dated
    calibration with one row for each cell, or there are only names (`labels`: the components of a vector). `minus` and
    `plus` are the distances from a value to the borders of its cell; from a calibration they come by `minus_column` and
    `plus_column`. There, `key_column` numbers the rows, one more from row to row. `valid` bounds the values of
    all days: those of a calibration change, and the structure of a product may not.
    """

    name: Name
    size: int = Field(ge=2)
    first: float | None = None
    step: float | None = None
    cells: tuple[float, ...] = ()
    minus: tuple[float, ...] = ()
    plus: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    calibration: Name | None = None
    column: Name | None = None
    key_column: Name | None = None
    minus_column: Name | None = None
    plus_column: Name | None = None
    type: ColumnType = "float32"
    unit: str = ""
    description: str
    label: str
    scale: Literal["linear", "log"] = "linear"
    valid: tuple[float, float] | None = None
    spase: str | None = None

    @model_validator(mode="after")
    def _has_values(self) -> Axis:
        if (self.first is None) != (self.step is None) or (self.calibration is None) != (self.column is None):
            raise ValueError("first goes with step, and calibration with column; give both")
        ways = sum((self.first is not None, bool(self.cells), self.column is not None, bool(self.labels)))
        if ways != 1:
            raise ValueError("its values are not given in one way; give first and step, cells, labels or a calibration")
        for name in ("cells", "minus", "plus", "labels"):
            if len(getattr(self, name)) not in (0, self.size):
                raise ValueError(f"{name} has {len(getattr(self, name))} entries, size is {self.size}; make them equal")
        if (bool(self.minus), self.minus_column is None) != (bool(self.plus), self.plus_column is None):
            raise ValueError("minus and plus go together; give both")
        return self

    @property
    def values(self) -> tuple[float, ...]:
        """The value of each cell along the axis; the place, from 0, where cells only have names."""
        if self.cells:
            return self.cells
        if self.column is not None:
            raise DefinitionError(f"axis {self.name}: its values depend on the day. Ask Definitions.on_day.")
        first, step = self.first or 0.0, 1.0 if self.step is None else self.step
        return tuple(first + step * i for i in range(self.size))

    def resolved(self, calibration: Calibration) -> Axis:
        """The axis with the values of a calibration. Raises CalibrationError if they do not fit it."""
        self._check_order(calibration)
        values = {
            "cells": self._cells(calibration, self.column),
            "minus": self._cells(calibration, self.minus_column),
            "plus": self._cells(calibration, self.plus_column),
        }
        dated = dict.fromkeys(("calibration", "column", "key_column", "minus_column", "plus_column"))
        return self.model_copy(update=dated | values)

    def _check_order(self, calibration: Calibration) -> None:
        """Rows are cells in their order; rows that were moved would give cells the values of others."""
        values, keys = self._cells(calibration, self.column), self._cells(calibration, self.key_column)
        steps = [later - value for value, later in pairwise(values)]
        if not (all(step > 0 for step in steps) or all(step < 0 for step in steps)):
            raise CalibrationError(
                f"{calibration.path} ({self.column}): the values of axis {self.name} neither rise nor fall from row to "
                "row. Put the rows in the order of the cells."
            )
        if any(later - key != 1 for key, later in pairwise(keys)):
            raise CalibrationError(
                f"{calibration.path} ({self.key_column}): does not count the rows of axis {self.name}. "
                "Put them in order."
            )
        sizes = (*self._cells(calibration, self.minus_column), *self._cells(calibration, self.plus_column))
        if any(size < 0 for size in sizes):
            raise CalibrationError(f"{calibration.path}: axis {self.name} has a cell of negative size. Correct it.")

    def _cells(self, calibration: Calibration, column: str | None) -> tuple[float, ...]:
        if column is None:
            return ()
        frame = calibration.frame
        if column not in frame.columns or not frame[column].dtype.is_numeric() or frame[column].null_count():
            raise CalibrationError(
                f"{calibration.path} ({column}): axis {self.name} needs a number in each row. Add them."
            )
        if frame.height != self.size:
            raise CalibrationError(
                f"{calibration.path}: has {frame.height} rows, axis {self.name} has {self.size} cells. Make them equal."
            )
        return tuple(float(value) for value in frame[column])


class Table(Noun):
    """A table: grain, columns, and for L0 the packet or records it is decoded from, for higher levels the inputs of its
    transform, which is a function of its name, or the `method` for tables of its kind.

    `identity` are the columns by which a packet or record is known again, those of the table or of its first input.
    `experimental` says why nobody should rely on the table, if so.
    `key` names the columns that identify a row; `order` says what `epoch_tt2000` does from row to row. `margins` are
    the seconds of the day before and of the day after that the transform sees of an input. `rules` hold beyond those
    that follow from the columns; `watch` says what to expect of the table's days.
    """

    mission: Name
    instrument: Name
    name: Name
    level: Level
    title: str
    description: str = ""
    grain: str
    columns: tuple[Column, ...]
    axes: tuple[Axis, ...] = ()
    flags: tuple[Flag, ...] = ()
    key: tuple[str, ...] = ()
    order: Literal["strict", "nondecreasing", "none"] = "none"
    cadence_seconds: float | None = None
    packet: str | None = None
    records: str | None = None
    method: Literal["calibrated"] | None = None
    experimental: str = ""
    identity: tuple[str, ...] = ()
    rows: Literal["packet", "event"] = "packet"
    inputs: dict[str, str] = Field(default_factory=dict)
    calibrations: tuple[str, ...] = ()
    optional_calibrations: tuple[str, ...] = ()
    margins: dict[str, tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]] = Field(
        default_factory=dict
    )
    rules: tuple[TableRule, ...] = ()
    watch: Watch | None = None

    @property
    def address(self) -> str:
        """The table's name in SQL, `<mission>.<table>`."""
        return f"{self.mission}.{self.name}"

    @property
    def descriptor(self) -> str:
        """The table's name without its instrument, as the transform function is called: `l1_photon`."""
        return self.name.removeprefix(f"{self.instrument}_")

    @property
    def comment(self) -> str:
        """What the table is, in one line, as SQL comments show it."""
        doubt = f". Experimental: {self.experimental.strip()}" if self.experimental else ""
        return f"{self.title}: {self.grain}{doubt}"

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by name."""
        return {column.name: column for column in self.columns}

    @property
    def axis_calibrations(self) -> tuple[str, ...]:
        """The calibrations that give its axes their values."""
        return tuple(sorted({axis.calibration for axis in self.axes if axis.calibration}))

    def axis(self, name: str) -> Axis:
        """The axis of that name; KeyError if the table has none."""
        return {axis.name: axis for axis in self.axes}[name]

    def flag(self, name: str) -> int:
        """The mask of the flag of that name; KeyError if the instrument has none."""
        return {flag.name: flag for flag in self.flags}[name].mask

    def has_mean(self, column: Column) -> bool:
        """Whether the mean of a column is a metric of the day: not of places and times, nor of events as sent.

        Every mean has a column read that nothing else has to read, and a night brings most of its rows as events.
        """
        sent = self.level == "l0" and self.rows == "event"
        return not (sent or column.is_list or column.name in ("quality_flag", *PLACES))

    def shape(self, column: Column) -> tuple[int, ...]:
        """Sizes of an array column's axes; () for a scalar."""
        return tuple(self.axis(name).size for name in column.axes)


@dataclass(frozen=True)
class Calibration:
    """A dated calibration: the rows of `<name>_<yyyymmdd>.csv`, valid from that day to the next file of that name.

    One of an XTCE file is valid for ever. `sha256` is that of its `content`.
    """

    name: str
    valid_from: date
    path: Path
    sha256: str
    frame: pl.DataFrame

    @property
    def stem(self) -> str:
        """Its file name without `.csv`."""
        return f"{self.name}_{self.valid_from:%Y%m%d}"

    def content(self) -> bytes:
        """The bytes of its file, or of the file that it would have. Raises OSError if that cannot be read."""
        return self.path.read_bytes() if self.path.suffix == ".csv" else self.frame.write_csv().encode()


class Product(Noun):
    """A CDF product: one table, one UTC day to a file. Structure and variable attributes derive from the table.

    `delta_minus` and `delta_plus` are columns: the time from the record's epoch back to the start, and on to the end,
    of what it holds. `compression` is the gzip level of all that varies by record but times. `doi` and `spase_id` name
    the dataset once somebody has registered it.
    """

    table: Name
    version: str = Field(pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)$")
    title: str
    text: str = Field(min_length=40)
    time_resolution: str
    bin_location: float = Field(ge=0, le=1)
    mods: tuple[str, ...] = Field(min_length=1)
    omit: tuple[str, ...] = ()
    delta_minus: Name | None = None
    delta_plus: Name | None = None
    compression: int = Field(default=1, ge=0, le=9)
    majority: Literal["row", "column"] = "row"
    doi: str | None = Field(default=None, pattern=r"^https://doi\.org/10\.\d{4,9}/\S+$")
    spase_id: str | None = Field(default=None, pattern=r"^spase://[A-Za-z0-9._-]+/NumericalData/[A-Za-z0-9._/-]+$")


class ValidTime(Noun):
    """A half-open range of UTC dates, start included, stop not."""

    start: date
    stop: date

    @model_validator(mode="after")
    def _ordered(self) -> ValidTime:
        if self.start >= self.stop:
            raise ValueError(f"start {self.start} is not before stop {self.stop}; swap them or correct one")
        return self


class Instrument(Noun):
    """An instrument: its clock, packets, tables, calibrations, flags and products.

    `assumed` says why a calibration file, named without `.csv`, is an assumption; `status` says it of everything.
    `valid_time` is that of its data if it is not the mission's.
    """

    name: Name
    short_name: Name
    title: str
    description: str
    status: Literal["flying", "ground", "assumed"]
    status_reason: str = ""
    clock: Clock
    valid_time: ValidTime | None = None
    packets: tuple[Packet, ...] = ()
    records: tuple[Records, ...] = ()
    transports: tuple[Transport, ...] = ()
    tables: tuple[Table, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    flags: tuple[Flag, ...] = ()
    limits: tuple[Limit, ...] = ()
    channels: tuple[Channel, ...] = ()
    products: tuple[Product, ...] = ()
    quicklooks: tuple[Quicklook, ...] = ()
    unknowns: tuple[str, ...] = ()
    assumed: dict[str, str] = Field(default_factory=dict)
    cdf: GlobalAttributes = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_why(self) -> Instrument:
        if self.status == "assumed" and not self.status_reason:
            raise ValueError("status is assumed without a reason; write status_reason")
        if both := {packet.name for packet in self.packets} & {records.name for records in self.records}:
            raise ValueError(f"{min(both)} is both a packet and a type of record; rename one")
        if unknown := sorted(set(self.assumed) - {c.stem for c in self.calibrations}):
            raise ValueError(f"assumed names {', '.join(unknown)}, no file in calibration/; correct the name")
        return self

    def packet(self, name: str) -> Packet:
        """The packet type of that name; KeyError if there is none."""
        return {packet.name: packet for packet in self.packets}[name]

    def calibration(self, name: str, day: date) -> Calibration | None:
        """The newest calibration of that name that is valid on the day, or None."""
        valid = [c for c in self.calibrations if c.name == name and c.valid_from <= day]
        return max(valid, key=lambda c: c.valid_from, default=None)

    @property
    def sources(self) -> tuple[Packet | Records, ...]:
        """The packet types and types of record that L0 tables are decoded from."""
        return (*self.packets, *self.records)

    def l0_tables(self, source: str) -> tuple[Table, ...]:
        """The L0 tables that are decoded from a packet type or a type of record."""
        return tuple(t for t in self.tables if t.level == "l0" and source in (t.packet, t.records))

    def records_of(self, file_name: str) -> Records | None:
        """The type of record that a raw file holds; None if it holds packets, or nothing that is defined."""
        return next((records for records in self.records if records.of_file(file_name)), None)

    def transport_of(self, file_name: str) -> Transport | None:
        """How packets lie in a raw file; None if there are transports, but none for files of this name."""
        plain = None if self.transports else Transport()
        return next((transport for transport in self.transports if transport.of_file(file_name)), plain)


class Mission(Noun):
    """A mission: valid time of its data, length of its orbit, file names, instruments and global CDF attributes.

    `formats` are those that its products are published in; each starts from the CDF. A raw file is late if it arrives
    later than `late_after_hours` after the end of the day in its name.
    """

    name: Name
    title: str
    valid_time: ValidTime
    orbit_seconds: float | None = Field(default=None, gt=0)
    late_after_hours: float = Field(default=72.0, gt=0)
    names: NameRules
    cdf: GlobalAttributes = Field(default_factory=dict)
    formats: tuple[Literal["cdf", "fits"], ...] = ("cdf",)
    instruments: tuple[Instrument, ...] = ()
    summary: tuple[SummaryPanel, ...] = ()

    def instrument(self, name: str) -> Instrument:
        """The instrument of that name; KeyError if there is none."""
        return {instrument.name: instrument for instrument in self.instruments}[name]


@dataclass(frozen=True)
class Definitions:
    """Everything that missions/ says, plus the lake's own ops tables."""

    path: Path
    missions: tuple[Mission, ...]
    ops: tuple[Table, ...]

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Data tables by address (`padre.meddea_l1_photon`), inputs before dependents."""
        return {t.address: t for m in self.missions for i in m.instruments for t in i.tables}

    def mission(self, name: str) -> Mission:
        """The mission of that name; KeyError if there is none."""
        return {mission.name: mission for mission in self.missions}[name]

    def instrument(self, table: Table) -> Instrument:
        """The instrument that a table belongs to."""
        return self.mission(table.mission).instrument(table.instrument)

    def ancestors(self, table: Table) -> list[Table]:
        """The table and everything it descends from."""
        inputs = [self.tables[f"{table.mission}.{name}"] for name in table.inputs.values()]
        return [table, *(ancestor for source in inputs for ancestor in self.ancestors(source))]

    def on_day(self, table: Table, day: date) -> Table:
        """The table with the values that its axes have on a day. Raises CalibrationError if there are none."""
        instrument = self.instrument(table)
        axes = tuple(axis.resolved(self._valid(instrument, axis, day)) if axis.column else axis for axis in table.axes)
        return table.model_copy(update={"axes": axes})

    def _valid(self, instrument: Instrument, axis: Axis, day: date) -> Calibration:
        calibration = instrument.calibration(axis.calibration or "", day)
        if calibration is None:
            raise CalibrationError(
                f"{instrument.name}, axis {axis.name}: no calibration {axis.calibration} is valid on {day}. "
                f"Add calibration/{axis.calibration}_<yyyymmdd>.csv."
            )
        return calibration

    def clock(self, table: Table) -> Clock:
        """The clock that a table's times come from: that of the packet or record of its first ancestor at level 0."""
        decoded = next((t for t in self.ancestors(table) if t.level == "l0"), table)
        instrument = self.instrument(decoded)
        own = [source.clock for source in instrument.sources if source.name in (decoded.packet, decoded.records)]
        return next((clock for clock in own if clock), instrument.clock)

    def calibrations(self, table: Table) -> list[tuple[Instrument, str]]:
        """Names of the calibrations that a table or an ancestor may use, each with the instrument that has it."""
        return [
            (self.instrument(ancestor), name)
            for ancestor in self.ancestors(table)
            for name in (*ancestor.calibrations, *ancestor.optional_calibrations, *ancestor.axis_calibrations)
        ]

    def assumptions(self, table: Table, day: date) -> tuple[str, ...]:
        """What a day of a table rests on that is assumed: instruments, clocks, calibrations of it and its ancestors."""
        found: set[str] = set()
        for ancestor in self.ancestors(table):
            instrument = self.instrument(ancestor)
            if instrument.status == "assumed":
                found.add(f"Status of the instrument's definition: assumed. {instrument.status_reason}")
            if assumed := self.clock(ancestor).assumed:
                found.add(f"Assumed clock: {assumed}")
        for instrument, name in self.calibrations(table):
            calibration = instrument.calibration(name, day)
            reason = self.assumed(instrument, calibration) if calibration else None
            if calibration and reason:
                found.add(f"Assumed calibration {calibration.stem}: {reason}")
        return tuple(sorted(found, reverse=True))

    def assumed(self, instrument: Instrument, calibration: Calibration) -> str | None:
        """Why a calibration that an instrument has is an assumption, if it is; the lender says so of a borrowed one."""
        lenders = (i for m in self.missions for i in m.instruments if calibration.path.parts[-4:-2] == (m.name, i.name))
        return next(lenders, instrument).assumed.get(calibration.stem)

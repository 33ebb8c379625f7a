# SPDX-License-Identifier: Apache-2.0
"""The nouns of swxlake, all frozen: what a mission, a packet, a table, a column or a product is.

They are read from missions/ by lake/definition_files.py and passed on as arguments; nothing keeps them in a global.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lake.names import NameRules

Level = Literal["l0", "l1", "ql", "l2", "l3"]
ColumnType = Literal[
    "bool", "int8", "int16", "int32", "int64", "float32", "float64", "string", "binary", "date", "timestamp"
]
INTEGER_BITS: dict[ColumnType, int] = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}


def _is_name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", text):
        raise ValueError(f"{text!r} is not a name; use lower-case letters, digits and _, starting with a letter")
    return text


CLOCK_EPOCH = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?"


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return re.fullmatch(CLOCK_EPOCH, text) is not None


def _entries(value: Any) -> Any:
    return {k: [v] if isinstance(v, str) else v for k, v in value.items()} if isinstance(value, dict) else value


Name = Annotated[str, AfterValidator(_is_name)]
GlobalAttributes = Annotated[dict[str, tuple[str, ...]], BeforeValidator(_entries)]


class Noun(BaseModel):
    """A frozen definition that refuses unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, ignored_types=(cached_property,)
    )


class Flag(Noun):
    """One bit of `quality_flag`."""

    bit: int = Field(ge=0, le=30)
    name: Name
    description: str

    @property
    def mask(self) -> int:
        """The flag as an integer with one bit set."""
        return 1 << self.bit


class PacketField(Noun):
    """One row of a packet CSV: `bits` wide, repeated over `shape`, or up to the end of the packet (`expand`)."""

    name: Name
    kind: Literal["uint", "int", "float", "str", "bytes", "fill"]
    bits: int = Field(ge=1)
    shape: tuple[int, ...] = ()
    length_field: str | None = None
    expand: bool = False
    byte_order: Literal["big", "little"] = "big"
    unit: str = ""
    description: str = ""
    label: str | None = None
    valid_min: float | None = None
    valid_max: float | None = None

    @model_validator(mode="after")
    def _width_fits_kind(self) -> PacketField:
        if self.kind in ("uint", "int") and self.bits > 64:
            raise ValueError(f"bit_length {self.bits} is too wide for {self.kind}; use bytes")
        if self.kind == "float" and self.bits not in (32, 64):
            raise ValueError(f"a float has 32 or 64 bits, not {self.bits}")
        if self.kind in ("str", "bytes") and self.bits % 8:
            raise ValueError(f"bit_length {self.bits} of a {self.kind} field is not a whole number of bytes")
        if self.byte_order == "little" and self.bits not in (8, 16, 32, 64):
            raise ValueError(f"little-endian fields have 8, 16, 32 or 64 bits, not {self.bits}")
        return self

    @property
    def variable(self) -> bool:
        """True if the number of items differs from packet to packet."""
        return self.expand or self.length_field is not None

    @property
    def items(self) -> int:
        """Number of items of a field with fixed shape."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def column_type(self) -> ColumnType:
        """The narrowest signed column type that holds every value; Delta has no unsigned types."""
        if self.kind == "float":
            return "float32" if self.bits == 32 else "float64"
        if self.kind in ("str", "bytes", "fill"):
            return "string" if self.kind == "str" else "binary"
        needed = self.bits if self.kind == "int" else self.bits + 1
        return next((t for t, bits in INTEGER_BITS.items() if needed <= bits), "int64")


class Packet(Noun):
    """A packet type: its APIDs, its layout after the 6-byte primary header, its checksum.

    `first_words` are the possible values of the first 16 bits (version, type, secondary-header flag, APID).
    """

    name: Name
    apids: tuple[Annotated[int, Field(ge=0, le=2047)], ...] = Field(min_length=1)  # 11 bits, CCSDS 133.0-B-2, 4.1.3.3
    fields: tuple[PacketField, ...]
    max_bytes: int = Field(le=65542)
    version: int = 0
    secondary_header: int = 0
    checksum: Literal["xor16"] | None = None
    unpacker: str | None = None
    cadence_seconds: float | None = None
    identity: tuple[str, ...] = ()

    @property
    def first_words(self) -> tuple[int, ...]:
        """First 16 bits of the primary header, one for each APID (CCSDS 133.0-B-2, 4.1.3)."""
        return tuple(self.version << 13 | self.secondary_header << 11 | apid for apid in self.apids)

    @property
    def min_bytes(self) -> int:
        """Size of the shortest legal packet, primary header included."""
        bits = sum(f.bits * f.items for f in self.fields if not f.variable)
        return 6 + (bits + 7) // 8

    @property
    def variable(self) -> bool:
        """True if packets of this type differ in length."""
        return any(f.variable for f in self.fields)


class Clock(Noun):
    """An instrument's clock: seconds in `coarse` plus ticks in `fine` since `epoch` (UTC).

    `event` is the event column that counts ticks of `event_tick_ns` from the packet's time, where packets carry events.
    `policy` says how the count treats leap seconds: `leap` counts SI seconds (the count runs through leap seconds, as
    TAI does), `posix` counts as Unix time does (86,400 in every day).
    """

    epoch: str
    policy: Literal["leap", "posix"]
    coarse: Name
    fine: Name | None = None
    fine_tick_ns: int = 0
    fine_ticks_per_second: int = 0
    event: Name | None = None
    event_tick_ns: int = 0

    @model_validator(mode="after")
    def _counts_time(self) -> Clock:
        if not _is_time(self.epoch):
            raise ValueError(f"epoch {self.epoch!r} is no time; write it in UTC as 2000-01-01T00:00:00")
        for name, tick in (("fine", self.fine_tick_ns), ("event", self.event_tick_ns)):
            if getattr(self, name) and tick <= 0:
                raise ValueError(f"{name} counts ticks of {tick} ns; give {name}_tick_ns")
        second = self.fine_tick_ns * self.fine_ticks_per_second
        if self.fine and second != 1_000_000_000:
            raise ValueError(f"fine_tick_ns times fine_ticks_per_second is {second} ns, not one second; correct one")
        return self


class Column(Noun):
    """One column: the only place where its type, unit, description and valid range are written."""

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
    conversion: Literal["polynomial", "spline"] | None = None
    uncertainty: str | None = None
    spase: str | None = None
    export: bool = True

    @property
    def is_list(self) -> bool:
        """True if each row holds a flat, row-major list: over `axes`, or, if `ragged`, of any length."""
        return bool(self.axes) or self.ragged

    @property
    def comment(self) -> str:
        """The column's description with its unit, as SQL comments show it."""
        return f"{self.description} [{self.unit}]" if self.unit else self.description


class Axis(Noun):
    """A dimension of array columns: `size` values, from `first` in steps of `step`."""

    name: Name
    size: int = Field(ge=2)
    first: float
    step: float
    type: ColumnType = "float32"
    unit: str = ""
    description: str
    label: str
    spase: str | None = None

    @property
    def values(self) -> tuple[float, ...]:
        """The value of each cell along the axis."""
        return tuple(self.first + self.step * i for i in range(self.size))


class Table(Noun):
    """A table: grain, columns, and for L0 the packet it is decoded from, for higher levels the inputs of its transform.

    `identity` are the columns by which a packet is known again, those of the table's packet or of its first input's.
    `key` names the columns that identify a row; `order` says what `epoch_tt2000` does from row to row.
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
    identity: tuple[str, ...] = ()
    rows: Literal["packet", "event"] = "packet"
    inputs: dict[str, str] = Field(default_factory=dict)
    calibrations: tuple[str, ...] = ()
    optional_calibrations: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The table's name in SQL, `<mission>.<table>`."""
        return f"{self.mission}.{self.name}"

    @property
    def descriptor(self) -> str:
        """The table's name without its instrument, as the transform function is called: `l1_photon`."""
        return self.name.removeprefix(f"{self.instrument}_")

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by name."""
        return {column.name: column for column in self.columns}

    def axis(self, name: str) -> Axis:
        """The axis of that name; KeyError if the table has none."""
        return {axis.name: axis for axis in self.axes}[name]

    def flag(self, name: str) -> int:
        """The mask of the flag of that name; KeyError if the instrument has none."""
        return {flag.name: flag for flag in self.flags}[name].mask

    def shape(self, column: Column) -> tuple[int, ...]:
        """Sizes of an array column's axes; () for a scalar."""
        return tuple(self.axis(name).size for name in column.axes)


@dataclass(frozen=True)
class Calibration:
    """A dated calibration: the rows of `<name>_<yyyymmdd>.csv`, valid from that day to the next file of that name."""

    name: str
    valid_from: date
    path: Path
    sha256: str
    frame: pl.DataFrame


class Product(Noun):
    """A CDF product: one table, one UTC day to a file. Structure and variable attributes derive from the table."""

    table: Name
    version: str = Field(pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)$")
    title: str
    text: str = Field(min_length=40)
    time_resolution: str
    bin_location: float = Field(ge=0, le=1)
    mods: tuple[str, ...] = Field(min_length=1)
    omit: tuple[str, ...] = ()


class Limit(Noun):
    """An alarm limit of one column of a table, both ends in the column's unit. Alarms are shown and never gate."""

    table: Name
    column: Name
    low: float
    high: float
    source: str

    @model_validator(mode="after")
    def _ordered(self) -> Limit:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} > high {self.high:g}; swap them or correct the limit")
        return self


class Instrument(Noun):
    """An instrument: its clock, packets, tables, calibrations, flags and products."""

    name: Name
    short_name: Name
    title: str
    description: str
    status: Literal["flying", "ground", "assumed"]
    status_reason: str = ""
    clock: Clock
    packets: tuple[Packet, ...] = ()
    tables: tuple[Table, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    flags: tuple[Flag, ...] = ()
    limits: tuple[Limit, ...] = ()
    products: tuple[Product, ...] = ()
    unknowns: tuple[str, ...] = ()
    cdf: GlobalAttributes = Field(default_factory=dict)

    def packet(self, name: str) -> Packet:
        """The packet type of that name; KeyError if there is none."""
        return {packet.name: packet for packet in self.packets}[name]

    def calibration(self, name: str, day: date) -> Calibration | None:
        """The newest calibration of that name that is valid on the day, or None."""
        valid = [c for c in self.calibrations if c.name == name and c.valid_from <= day]
        return max(valid, key=lambda c: c.valid_from, default=None)

    def l0_tables(self, packet: str) -> tuple[Table, ...]:
        """The L0 tables that are decoded from a packet type."""
        return tuple(t for t in self.tables if t.level == "l0" and t.packet == packet)


class ValidTime(Noun):
    """A half-open range of UTC dates, start included, stop not."""

    start: date
    stop: date

    @model_validator(mode="after")
    def _ordered(self) -> ValidTime:
        if self.start >= self.stop:
            raise ValueError(f"start {self.start} is not before stop {self.stop}; swap them or correct one")
        return self


class Mission(Noun):
    """A mission: the valid time of its data, its file names, its instruments and its global CDF attributes."""

    name: Name
    title: str
    valid_time: ValidTime
    names: NameRules
    cdf: GlobalAttributes = Field(default_factory=dict)
    instruments: tuple[Instrument, ...] = ()

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

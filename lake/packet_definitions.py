# SPDX-License-Identifier: Apache-2.0
"""What a packet and a clock are, and what all definitions have in common: frozen, named, nothing unknown in them."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

ColumnType = Literal[
    "bool", "int8", "int16", "int32", "int64", "float32", "float64", "string", "binary", "date", "timestamp"
]
INTEGER_BITS: dict[ColumnType, int] = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}


def _is_name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", text):
        raise ValueError(f"{text!r} is not a name; use lower-case letters, digits and _, starting with a letter")
    return text


Name = Annotated[str, AfterValidator(_is_name)]


class Noun(BaseModel):
    """A frozen definition that refuses unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, ignored_types=(cached_property,)
    )


CLOCK_EPOCH = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?"


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return re.fullmatch(CLOCK_EPOCH, text) is not None


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


# xor16: the XOR of all 16-bit words of the packet, itself included, is 0. byte_sum and fletcher255 stand in the last
# 16 bits and cover the bytes from `checksum_first_byte` on: the sum of the bytes modulo 65536, or Fletcher's two sums
# modulo 255 (J. G. Fletcher 1982, IEEE Trans. Commun. 30, 247), the second one in the upper byte.
Checksum = Literal["xor16", "byte_sum", "fletcher255"]


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
    checksum: Checksum | None = None
    checksum_first_byte: int = Field(default=0, ge=0)
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

    A second has `fine_ticks_per_second`; a tick need not be a whole number of nanoseconds. `event` is the event column
    that counts ticks of `event_tick_ns` from the packet's time, where packets carry events. `policy` says how the count
    treats leap seconds: `leap` counts SI seconds (the count runs through leap seconds, as TAI does), `posix` counts as
    Unix time does (86,400 in every day). `assumed` says why this reading of the counters is an assumption, if it is.
    """

    epoch: str
    policy: Literal["leap", "posix"]
    coarse: Name
    fine: Name | None = None
    fine_ticks_per_second: int = Field(default=0, ge=0)
    event: Name | None = None
    event_tick_ns: int = Field(default=0, ge=0)
    assumed: str = ""

    @model_validator(mode="after")
    def _counts_time(self) -> Clock:
        if not _is_time(self.epoch):
            raise ValueError(f"epoch {self.epoch!r} is no time; write it in UTC as 2000-01-01T00:00:00")
        if self.fine and not self.fine_ticks_per_second:
            raise ValueError("fine counts no ticks; give fine_ticks_per_second")
        if self.event and not self.event_tick_ns:
            raise ValueError("event counts ticks of 0 ns; give event_tick_ns")
        return self

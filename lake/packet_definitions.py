# SPDX-License-Identifier: Apache-2.0
"""What a packet and a clock are, and what all definitions have in common: frozen, named, nothing unknown in them."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

ColumnType = Literal[
    "bool", "int8", "int16", "int32", "int64", "float32", "float64", "string", "binary", "date", "timestamp"
]
# Of packets, CCSDS 133.0-B-2: the primary header (4.1.3), and behind it at most 65,536 bytes (4.1.3.5).
HEADER_BYTES = 6
HEADER_BITS = 8 * HEADER_BYTES
LONGEST_PACKET = HEADER_BYTES + 65_536  # bytes
LARGEST = {32: 3.4028234663852886e38, 64: sys.float_info.max}  # floats by their bits
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


def is_time(text: str) -> bool:
    """True for a UTC time as definitions write it, 2000-01-01T00:00:00, with a fraction if need be."""
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return re.fullmatch(CLOCK_EPOCH, text) is not None


class PacketField(Noun):
    """One field of a packet: `bits` wide, repeated over `shape`, or up to the end of the packet (`expand`).

    The number of items may come from an earlier field, `length_field`: its value, or, with `length_bits` (slope,
    intercept), as many items as slope * value + intercept bits hold.
    """

    name: Name
    kind: Literal["uint", "int", "float", "str", "bytes", "fill"]
    bits: int = Field(ge=1)
    shape: tuple[Annotated[int, Field(ge=1)], ...] = ()
    length_field: str | None = None
    length_bits: tuple[int, int] | None = None
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
        if self.byte_order == "little" and self.bits % 8:
            raise ValueError(f"little-endian fields have whole bytes, not {self.bits} bits")
        return self

    @property
    def variable(self) -> bool:
        """True if the number of items differs from packet to packet."""
        return self.expand or self.length_field is not None

    @property
    def is_whole_number(self) -> bool:
        """True for a single integer."""
        return self.kind in ("uint", "int") and not (self.shape or self.variable)

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


def number_range(kind: str, bits: int) -> tuple[float, float]:
    """The least and the greatest number of a kind (uint, int, float) and its bits that a signed column can hold."""
    if kind == "float":
        return -LARGEST[bits], LARGEST[bits]
    if kind == "int":
        return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return 0, 2 ** min(bits, 63) - 1


# xor16: the XOR of all 16-bit words of the packet, itself included, is 0. The others stand in the last bits of the
# packet and cover the bytes from `checksum_first_byte` on. byte_sum: their sum modulo 65536. fletcher255: Fletcher's
# two sums modulo 255 (J. G. Fletcher 1982, IEEE Trans. Commun. 30, 247), the second one in the upper byte. crc16_ccitt:
# x^16 + x^12 + x^5 + 1, preset to ones (CCSDS 132.0-B-3, 4.1.6.2). crc32: IEEE 802.3, reflected, as zlib has it.
Checksum = Literal["xor16", "byte_sum", "fletcher255", "crc16_ccitt", "crc32"]
CHECKSUM_BITS: dict[Checksum, int] = {"xor16": 16, "byte_sum": 16, "fletcher255": 16, "crc16_ccitt": 16, "crc32": 32}


# Fields of the primary header that every packet table has.
HEADER_FIELDS = ("apid", "sequence_flags", "sequence_count")


class Condition(Noun):
    """What a field of a packet must be: `field operator value`. The field is one whole number at a fixed place."""

    field: Name
    operator: Literal["==", "!=", "<", "<=", ">", ">="] = "=="
    value: int


class Clock(Noun):
    """An instrument's clock: seconds in `coarse` plus ticks in `fine` since `epoch` (UTC).

    A second has `coarse_ticks_per_second` of `coarse`, mostly one, and `fine_ticks_per_second`; a tick need not be a
    whole number of nanoseconds. So a CUC time (CCSDS 301.0-B-4, 3.2) of n octets of fine time has 256**n ticks, and a
    CDS time (3.3) has `days` since the epoch, milliseconds of the day as `coarse` and what is below as `fine`.
    `event` is the event column that counts ticks of `event_tick_ns` from the packet's time, where packets carry events.
    `policy` says how the count treats leap seconds: `leap` counts SI seconds (the count runs through leap seconds, as
    TAI does), `posix` counts as Unix time does (86,400 in every day), `none` that it tells no time of day: rows have
    none. `assumed` says why this reading of the counters is an assumption, if it is.
    """

    epoch: str
    policy: Literal["leap", "posix", "none"]
    coarse: Name
    coarse_ticks_per_second: int = Field(default=1, ge=1)
    days: Name | None = None
    fine: Name | None = None
    fine_ticks_per_second: int = Field(default=0, ge=0)
    event: Name | None = None
    event_tick_ns: int = Field(default=0, ge=0)
    assumed: str = ""

    @model_validator(mode="after")
    def _counts_time(self) -> Clock:
        if not is_time(self.epoch):
            raise ValueError(f"epoch {self.epoch!r} is no time; write it in UTC as 2000-01-01T00:00:00")
        if not 1900 <= int(self.epoch[:4]) < 2200:
            raise ValueError(f"epoch {self.epoch!r} is not between 1900 and 2200; nanoseconds count no farther")
        if self.fine and not self.fine_ticks_per_second:
            raise ValueError("fine counts no ticks; give fine_ticks_per_second")
        if self.fine_ticks_per_second % self.coarse_ticks_per_second:
            raise ValueError("a tick of coarse is no whole number of ticks of fine; correct the ticks per second")
        if self.days and self.policy != "posix":
            raise ValueError("days have 86,400 s; give policy posix")
        if self.event and not self.event_tick_ns:
            raise ValueError("event counts ticks of 0 ns; give event_tick_ns")
        return self


class Packet(Noun):
    """A packet type: its APIDs, its layout after the 6-byte primary header, its checksum.

    `first_words` are the possible values of the first 16 bits (version, type, secondary-header flag, APID); the flag
    `secondary_header` is either if it is None. Packet types that share an APID are told apart by `when`: all of its
    conditions hold for a packet of this type. Packets of a `segmented` type may come in parts, by their sequence flags.
    `clock` is its own if it is not the instrument's. `file` is the definition file that its layout was read from.
    """

    name: Name
    apids: tuple[Annotated[int, Field(ge=0, le=2047)], ...] = Field(min_length=1)  # 11 bits, CCSDS 133.0-B-2, 4.1.3.3
    fields: tuple[PacketField, ...]
    max_bytes: int = Field(le=LONGEST_PACKET)
    version: int = Field(default=0, ge=0, le=7)
    secondary_header: Literal[0, 1] | None = 0
    checksum: Checksum | None = None
    checksum_first_byte: int = Field(default=0, ge=0)
    unpacker: str | None = None
    cadence_seconds: float | None = None
    identity: tuple[str, ...] = ()
    when: tuple[Condition, ...] = ()
    segmented: bool = False
    clock: Clock | None = None
    file: str = ""

    @model_validator(mode="after")
    def _apids_are_distinct(self) -> Packet:
        if len(set(self.apids)) < len(self.apids):
            raise ValueError("an APID is there twice; remove one")
        return self

    @property
    def first_words(self) -> tuple[int, ...]:
        """First 16 bits of the primary header (CCSDS 133.0-B-2, 4.1.3): of each APID, and of each flag."""
        flags = (0, 1) if self.secondary_header is None else (self.secondary_header,)
        return tuple(self.version << 13 | flag << 11 | apid for flag in flags for apid in self.apids)

    @property
    def min_bytes(self) -> int:
        """Size of the shortest legal packet, primary header included."""
        bits = sum(f.bits * f.items for f in self.fields if not f.variable)
        return HEADER_BYTES + (bits + 7) // 8

    @property
    def variable(self) -> bool:
        """True if packets of this type differ in length."""
        return any(f.variable for f in self.fields)

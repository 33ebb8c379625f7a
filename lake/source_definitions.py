# SPDX-License-Identifier: Apache-2.0
"""What raw files hold beside plain packets: packets in frames or between markers, and records of text or Parquet."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from lake.packet_definitions import Clock, ColumnType, Name, Noun


def _is_hexadecimal(text: str) -> str:
    text = text.replace(" ", "").lower()
    if not re.fullmatch(r"([0-9a-f]{2})*", text):
        raise ValueError(f"{text!r} is not whole bytes in hexadecimal; write it like 1acffc1d")
    return text


Octets = Annotated[str, AfterValidator(_is_hexadecimal)]


class FromFiles(Noun):
    """Something that holds for raw files whose names match one of the patterns, in any case (`*` and `?` stand for
    letters)."""

    files: tuple[str, ...] = Field(default=("*",), min_length=1)

    def of_file(self, name: str) -> bool:
        """True for files of that name."""
        return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in self.files)


class Frames(Noun):
    """Transfer frames of fixed length that carry packets: TM (CCSDS 132.0-B-3) or AOS (CCSDS 732.0-B-4).

    `length` is that of a frame in bytes, without the marker `sync` before it. `channels` are the virtual channels with
    packets (none: all but idle ones). `insert_zone` (bytes) and `header_error_control` are of AOS frames only;
    `operational_control` tells that AOS frames end in four bytes of it, which TM frames say themselves;
    `error_control` that a CRC-16 is last.
    """

    kind: Literal["tm", "aos"]
    length: int = Field(ge=16, le=65_536)
    sync: Octets = ""
    spacecraft: int | None = None
    channels: tuple[int, ...] = ()
    insert_zone: int = Field(default=0, ge=0)
    header_error_control: bool = False
    operational_control: bool = False
    error_control: bool = False

    @model_validator(mode="after")
    def _fits_kind(self) -> Frames:
        # Bits of spacecraft and virtual channel ids: CCSDS 132.0-B-3, 4.1.2; 732.0-B-4, 4.1.2. AOS channel 63 idles.
        crafts, channels = 1 << 10, 8 if self.kind == "tm" else 63
        if self.kind == "tm" and (self.insert_zone or self.header_error_control or self.operational_control):
            raise ValueError("insert_zone, header_error_control and operational_control are of AOS frames; remove them")
        if self.spacecraft is not None and not 0 <= self.spacecraft < crafts:
            raise ValueError(f"spacecraft {self.spacecraft} is not between 0 and {crafts - 1}; correct it")
        if wrong := [channel for channel in self.channels if not 0 <= channel < channels]:
            raise ValueError(f"channel {wrong[0]} is not between 0 and {channels - 1}; correct it")
        if self.insert_zone + 16 > self.length:  # headers, pointer, control fields and checksum take 16 bytes at most
            raise ValueError(f"an insert_zone of {self.insert_zone} bytes leaves no room for packets; correct it")
        return self


class Transport(FromFiles):
    """How packets lie in raw files: each behind the bytes `prefix` and before the bytes `suffix`, or within `frames`.

    `idle` tells that packets of APID 2047 are only there to fill (CCSDS 133.0-B-2, 4.1.3.3.4.4).
    """

    prefix: Octets = ""
    suffix: Octets = ""
    frames: Frames | None = None
    idle: bool = False

    @model_validator(mode="after")
    def _in_one_way(self) -> Transport:
        if self.frames and (self.prefix or self.suffix):
            raise ValueError("packets in frames have no prefix or suffix of their own; remove one of them")
        if self.suffix and not self.prefix:
            raise ValueError("a suffix alone does not tell where packets begin; give a prefix")
        return self


class RecordField(Noun):
    """One column of a record: `header` is its name in the file; `list` tells that a cell holds any number of values.

    A row with a number outside the valid range of a `strict` field is refused.
    """

    name: Name
    header: str
    type: ColumnType
    list: bool = False
    unit: str = ""
    description: str = ""
    label: str | None = None
    valid_min: float | None = None
    valid_max: float | None = None
    strict: bool = False
    nullable: bool = False


class Records(FromFiles):
    """A type of record: raw files of these names hold rows with these fields.

    Orbit elements (`tle`) have fields among ELEMENTS, and their headers are not asked for. `clock` is that of the
    records if it is not the instrument's. `unlisted` says what becomes of columns of a file
    that no field names: the file is refused, or they are left out. Two rows that are equal in all fields are the same.
    """

    name: Name
    format: Literal["csv", "jsonl", "parquet", "tle"]
    fields: tuple[RecordField, ...] = Field(min_length=1)
    clock: Clock | None = None
    unlisted: Literal["refuse", "ignore"] = "refuse"
    cadence_seconds: float | None = None
    file: str = ""


class Element(NamedTuple):
    """One of the orbit elements: its keyword in a mean-element message, and the type of its column."""

    keyword: str
    type: ColumnType
    nullable: bool = False


# Fields of records of format tle, in the units of an OMM (CCSDS 502.0-B-3, tables 4-1 to 4-3). As in two-line elements,
# mean_motion_dot is half the first derivative in rev/day**2, and mean_motion_ddot a sixth of the second in rev/day**3.
ELEMENTS: dict[str, Element] = {
    "epoch_unix_us": Element("EPOCH", "int64"),
    "norad_id": Element("NORAD_CAT_ID", "int32"),
    "object_name": Element("OBJECT_NAME", "string", nullable=True),
    "object_id": Element("OBJECT_ID", "string", nullable=True),
    "classification": Element("CLASSIFICATION_TYPE", "string", nullable=True),
    "ephemeris_type": Element("EPHEMERIS_TYPE", "int16"),
    "element_set": Element("ELEMENT_SET_NO", "int32"),
    "mean_motion_rev_per_day": Element("MEAN_MOTION", "float64"),
    "mean_motion_dot": Element("MEAN_MOTION_DOT", "float64"),
    "mean_motion_ddot": Element("MEAN_MOTION_DDOT", "float64"),
    "bstar": Element("BSTAR", "float64"),
    "inclination_deg": Element("INCLINATION", "float64"),
    "raan_deg": Element("RA_OF_ASC_NODE", "float64"),
    "eccentricity": Element("ECCENTRICITY", "float64"),
    "arg_of_perigee_deg": Element("ARG_OF_PERICENTER", "float64"),
    "mean_anomaly_deg": Element("MEAN_ANOMALY", "float64"),
    "revolution": Element("REV_AT_EPOCH", "int32"),
}

# SPDX-License-Identifier: Apache-2.0
"""What a new instrument is made from: packet definitions as people have them, read where they lie."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from lake.definition_packets import read_fields
from lake.definition_tables import field_name
from lake.definition_text import numbered_rows
from lake.definitions import Calibration, Conversion
from lake.errors import ConfigurationError, DefinitionError
from lake.packet_definitions import PacketField
from lake.xtce.reading import read_xtce

KINDS: tuple[Conversion, ...] = get_args(Conversion)
NEEDED = ("name", "data_type", "bit_length")
USED = (
    *NEEDED, "bit_offset", "unit", "description", "label", "valid_min", "valid_max", "byte_order",
    "limit_low", "limit_high",
)  # fmt: skip
# What other people call these columns, without blanks and underscores.
OTHER_WORDS = {
    "name": ("field", "fieldname", "mnemonic", "parameter", "parametername", "item"),
    "data_type": ("datatype", "type", "format"),
    "bit_length": ("bits", "bitlength", "length", "lengthbits", "size", "sizebits", "width", "nbits", "bitsize"),
    "bit_offset": ("bitoffset", "offset", "startbit", "bitposition"),
    "unit": ("units", "physicalunit"),
    "description": ("note", "notes", "comment", "comments", "desc", "remark", "remarks", "meaning"),
    "limit_low": ("low", "limitlow", "lowlimit", "redlow", "lowerlimit"),
    "limit_high": ("high", "limithigh", "highlimit", "redhigh", "upperlimit"),
    "valid_min": ("min", "validmin", "minimum"),
    "valid_max": ("max", "validmax", "maximum"),
    "byte_order": ("byteorder", "endian", "endianness"),
}


@dataclass(frozen=True)
class Given:
    """A packet type that was given: its fields, the alarm limits beside them, and the file's name in the new folder.

    Packets of an XTCE file share it; they bring their calibrations, and their APIDs need not be written again.
    `notes` say what of the file is not used.
    """

    name: str
    path: Path
    stored: str
    fields: tuple[PacketField, ...]
    apid: int | None = None
    limits: tuple[tuple[str, float, float], ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    notes: tuple[str, ...] = ()


def read_sources(packets: tuple[Path, ...], xtce: Path | None, apids: tuple[int, ...]) -> list[Given]:
    """The packet types of the files. Raises ConfigurationError if APIDs or names are missing, DefinitionError."""
    if len(packets) != len(apids):
        raise ConfigurationError(
            f"{len(packets)} packet files and {len(apids)} APIDs: give --apid N for each --packets, in their order; "
            "XTCE says its APIDs itself."
        )
    if shared := sorted({apid for apid in apids if apids.count(apid) > 1}):
        raise ConfigurationError(
            f"--apid {shared[0]}: is given to {apids.count(shared[0])} packets, which nothing tells apart. Correct it; "
            "or begin with one of them, add the other under `packets` of instrument.yaml, and write a `when` for both."
        )
    found = [_from_csv(path, apid) for path, apid in zip(packets, apids, strict=True)]
    if xtce is not None:
        found += _from_xtce(xtce)
    names = [given.name for given in found]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"packet {', '.join(repeated)}: is given twice. Rename one of the files.")
    return found


def _from_csv(path: Path, apid: int) -> Given:
    if not 0 <= apid <= 2046:
        raise ConfigurationError(f"--apid {apid}: is not between 0 and 2046. Correct it.")
    name = _name(path)
    notes = _header_notes(path)
    fields = tuple(field for _, field, _ in read_fields(path))
    return Given(name, path, f"{name}.csv", fields, apid, tuple(_limits(path)), notes=notes)


def _header_notes(path: Path) -> tuple[str, ...]:
    """What of the columns of a field table is not used. Raises DefinitionError if a needed one is not there."""
    rows = numbered_rows(path)
    if not rows:
        raise DefinitionError(f"{path}: has no row behind the header. Write one row for each field.")
    header = list(rows[0][1])
    unused = [column for column in header if column not in USED]
    meant = {column: word for column in unused if (word := _meant(column)) is not None and word not in header}
    if missing := [word for word in NEEDED if word not in header]:
        renamed = [f"{column!r} to {word}" for column, word in meant.items() if word in missing]
        raise DefinitionError(
            f"{path} row 1: no column {' and no column '.join(missing)}; the header has {', '.join(header)}. "
            + (f"Rename {', '.join(renamed)}." if renamed else "Correct the header.")
        )
    if not unused:
        return ()
    words = f"columns {', '.join(unused)} are" if len(unused) > 1 else f"column {unused[0]} is"
    return (f"{path.name}: {words} not used" + (f"; did you mean {', '.join(meant.values())}?" if meant else "."),)


def _meant(column: str) -> str | None:
    """The column that is probably meant by another word."""
    plain = re.sub(r"[\W_]", "", column)
    return next((word for word, others in OTHER_WORDS.items() if plain in others), None)


def _name(path: Path) -> str:
    name = re.sub(r"[ -]", "_", path.stem.lower())
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ConfigurationError(
            f"{path}: its name does not name a packet. Rename it, for instance to hk{path.suffix}."
        )
    return name


def _limits(path: Path) -> list[tuple[str, float, float]]:
    """Field, low and high of each row with limit_low and limit_high. Raises DefinitionError."""
    found = []
    for number, row in numbered_rows(path):
        low, high = row.get("limit_low", ""), row.get("limit_high", "")
        if not low and not high:
            continue
        try:
            found.append((field_name(row["name"]), float(low), float(high)))
        except ValueError:
            raise DefinitionError(
                f"{path} row {number} (limit_low, limit_high): {low!r} and {high!r} are not two numbers. "
                "Give both, or none."
            ) from None
    return found


def _from_xtce(path: Path) -> list[Given]:
    tree = read_xtce(path, {}, path)
    if not tree.packets:
        raise DefinitionError(f"{path}: has no container that is not abstract, so no packet. Add one.")
    stored = f"{_name(path)}.xml"
    return [
        Given(
            packet.name, path, stored, packet.fields,
            calibrations=tuple(c for c in tree.calibrations if c.name.removeprefix(f"{packet.name}_") in KINDS),
        )
        for packet in tree.packets
    ]  # fmt: skip

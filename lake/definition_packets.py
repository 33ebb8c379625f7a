# SPDX-License-Identifier: Apache-2.0
"""Reading packet layouts: CSV files as ccsdspy has them, with more columns to the right, and XTCE.

A CSV gives one row a field, in the order of the bits, or with its `bit_offset` from the start of the primary header;
gaps become fill.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import Field

from lake.definition_clocks import clock_of
from lake.definition_tables import Entries, field_name
from lake.definition_text import build, build_at, check_repeats, numbered_rows, yaml_line
from lake.errors import DefinitionError
from lake.packet_definitions import (
    CHECKSUM_BITS,
    HEADER_BITS,
    HEADER_BYTES,
    HEADER_FIELDS,
    LONGEST_PACKET,
    Clock,
    Packet,
    PacketField,
)
from lake.xtce.reading import Xtce, check_not_told, read_xtce

FIELD_KINDS = ("uint", "int", "float", "str", "bytes", "fill")
Numbered = list[tuple[int, PacketField]]


class _Packets(Entries):
    packets: dict[str, dict[str, Any]] = Field(default_factory=dict)


def read_packets(file: Path, entries: object, clocks: dict[str, Clock]) -> tuple[list[Packet], list[Xtce]]:
    """The packet types that an instrument.yaml names under `packets`, and those of the XTCE files beside their CSVs.

    An entry's `clock` is the name of one of `clocks`. Raises DefinitionError.
    """
    named = build_at(_Packets, {"packets": entries or {}}, file, ()).packets
    named = {name: entry | _shorthands(file, name, entry, clocks) for name, entry in named.items()}
    folder = file.parent / "packets"
    trees = [read_xtce(path, named, file) for path in sorted(folder.glob("*.xml"))]
    found = [packet for tree in trees for packet in tree.packets]
    from_xtce = {packet.name for packet in found}
    found += [_read_csv(file, name, entry) for name, entry in named.items() if name not in from_xtce]
    _check_files(file, {packet.name for packet in found})
    _check_names(file, found)
    _check_families(file, found)
    return found, trees


def _shorthands(file: Path, name: str, entry: dict[str, Any], clocks: dict[str, Clock]) -> dict[str, Any]:
    """`when: {field: value}` spelled out, and the clock instead of its name."""
    changed: dict[str, Any] = {}
    if isinstance(entry.get("when"), dict):
        changed["when"] = [{"field": field, "value": value} for field, value in entry["when"].items()]
    if entry.get("clock") is not None:
        changed["clock"] = clock_of(file, ("packets", name, "clock"), entry["clock"], clocks)
    return changed


def _check_files(file: Path, names: set[str]) -> None:
    """A packet file that no one names would look defined and never be decoded."""
    for path in sorted((file.parent / "packets").glob("*.csv")):
        if path.stem not in names:
            raise DefinitionError(f"{path}: {file} names no packet {path.stem}. Add it there, or remove the file.")


def _check_names(file: Path, packets: list[Packet]) -> None:
    names = [packet.name for packet in packets]
    for name in names:
        if names.count(name) > 1:
            raise DefinitionError(f"{file.parent / 'packets'}: packet {name} is there twice. Rename or remove one.")


def _check_families(file: Path, packets: list[Packet]) -> None:
    """Packet types with the same first word are told apart by different conditions, and have the same checksum."""
    for index, packet in enumerate(packets):
        for other in packets[:index]:
            shared = sorted(word & 0x7FF for word in set(packet.first_words) & set(other.first_words))
            problem = _family_problem(other, packet) if shared else ""
            if problem:
                line = yaml_line(file, ("packets", packet.name, "apids"))
                names = f"packets {other.name} and {packet.name}"
                raise DefinitionError(f"{file} line {line} (apids): {names} share APID {shared[0]} {problem}")


def _family_problem(first: Packet, other: Packet) -> str:
    if not (first.when and other.when):
        return "and are not told apart. Give it to one of them, or give both a `when`."
    if first.when == other.when:
        return "and have the same `when`. Correct one."
    if (first.checksum, first.checksum_first_byte) != (other.checksum, other.checksum_first_byte):
        return "and not their checksum. Make it the same."
    return "and are not both segmented. Make it the same." if first.segmented != other.segmented else ""


def check_packet(file: Path, packet: Packet, clock: Clock) -> None:
    """Raises DefinitionError if clock, checksum, identity or conditions of a packet name fields that it lacks."""
    names = {f.name for f in packet.fields}
    _check_clock(file, packet, clock)
    if packet.checksum not in (None, "xor16") and not _ends_in_checksum(packet):
        line = yaml_line(file, ("packets", packet.name, "checksum"))
        raise DefinitionError(
            f"{file} line {line} (checksum): {packet.checksum} needs a last field of "
            f"{CHECKSUM_BITS[packet.checksum]} bits, and checksum_first_byte before it. "
            "Correct the packet's layout or the number."
        )
    conditions = [c.field for c in packet.when if c.field not in HEADER_FIELDS]
    for key, used in (("identity", packet.identity), ("when", conditions)):
        for name in used:
            problem = "" if name in names else f"the packet has no field {name}. Correct the name."
            if problem := problem or (_telling_problem(packet, name) if key == "when" else ""):
                line = yaml_line(file, ("packets", packet.name, key))
                raise DefinitionError(f"{file} line {line} ({key}): {problem}")


def _telling_problem(packet: Packet, name: str) -> str:
    """Why a field cannot tell packet types apart, if it cannot."""
    at = [f.name for f in packet.fields].index(name)
    if not packet.fields[at].is_whole_number:
        return f"{name} is no single whole number, so packets cannot be told by it. Name another field."
    if any(f.variable for f in packet.fields[:at]):
        return f"{name} stands behind a field of variable length. Name another field."
    return ""


def _check_clock(file: Path, packet: Packet, clock: Clock) -> None:
    """Every packet has the clock's fields, and they are single whole numbers; `fine` may be lacking."""
    fields = {f.name: f for f in packet.fields}
    for key in ("coarse", "days", "fine"):
        name = getattr(clock, key)
        if name is None or (key == "fine" and name not in fields):
            continue
        line = yaml_line(file, ("clock", key))
        if name not in fields:
            raise DefinitionError(
                f"{file} line {line} (clock.{key}): {packet.file} has no field {name}. Add it or correct the name."
            )
        if not fields[name].is_whole_number:
            raise DefinitionError(
                f"{file} line {line} (clock.{key}): {name} of {packet.file} is no single whole number. "
                "Name another field."
            )


def _ends_in_checksum(packet: Packet) -> bool:
    assert packet.checksum is not None  # noqa: S101  asked for packets that have one
    last, bits = packet.fields[-1], CHECKSUM_BITS[packet.checksum]
    alone = last.kind == "uint" and last.bits == bits and last.items == 1 and not last.variable
    return alone and packet.checksum_first_byte < packet.min_bytes - bits // 8


def _read_csv(file: Path, name: str, entry: dict[str, Any]) -> Packet:
    path = file.parent / "packets" / f"{name}.csv"
    check_not_told(file, name, entry, ("name", "fields", "file"))
    numbered = _without_gaps(path, read_fields(path))
    fields = [field for _, field in numbered]
    bits = sum(f.bits * f.items for f in fields if not f.variable)
    if bits % 8 and all(f.bits % 8 == 0 for f in fields if f.variable):
        number, odd = next((n, f) for n, f in numbered if f.bits % 8)
        where = f"{path} row {number} ({odd.name})"
        raise DefinitionError(
            f"{where}: the fields add up to {bits} bits, no whole bytes. Correct it or add a fill field."
        )
    longest = LONGEST_PACKET if any(f.variable for f in fields) else HEADER_BYTES + (bits + 7) // 8
    values = {"name": name, "fields": fields, "max_bytes": longest, "file": str(path), **entry}
    return build_at(Packet, values, file, ("packets", name))


def read_fields(path: Path) -> list[tuple[int, PacketField, int | None]]:
    """Row number, field and bit offset, if it is given, of each row of a packet CSV. Raises DefinitionError."""
    rows = [(number, _read_field(path, number, row), _offset(path, number, row)) for number, row in numbered_rows(path)]
    check_repeats(path, "name", ((number, f.name) for number, f, _ in rows if f.kind != "fill"))
    for index, (number, f, _) in enumerate(rows):
        _check_length(f"{path} row {number} ({f.name})", f, [before for _, before, _ in rows[:index]])
    return rows


def _offset(path: Path, number: int, row: dict[str, str]) -> int | None:
    text = row.get("bit_offset", "")
    if text and not text.isdigit():
        raise DefinitionError(f"{path} row {number} (bit_offset): {text!r} is no whole number. Correct it.")
    return int(text) if text else None


def _without_gaps(path: Path, rows: list[tuple[int, PacketField, int | None]]) -> Numbered:
    """The fields with fill wherever the next one begins later than the last one ends."""
    found: Numbered = []
    at: int | None = HEADER_BITS
    for number, field, offset in rows:
        where = f"{path} row {number} ({field.name})"
        if offset is not None and at is None:
            raise DefinitionError(f"{where}: its bit_offset follows a field of variable length. Leave it empty.")
        gap = offset - at if offset is not None and at is not None else 0
        if gap < 0:
            raise DefinitionError(
                f"{where}: begins at bit {offset}, the field before it ends at bit {at}. Correct one."
            )
        if gap:
            found.append((number, PacketField(name=f"gap_{number}", kind="fill", bits=1, shape=(gap,))))
        found.append((number, field))
        at = None if field.variable or at is None else at + gap + field.bits * field.items
    return found


def _check_length(where: str, field: PacketField, before: list[PacketField]) -> None:
    if field.length_field and field.length_field not in [f.name for f in before]:
        raise DefinitionError(
            f"{where}: its length field {field.length_field} does not stand before it. "
            "Name an earlier field, a number or `expand`."
        )
    if field.expand and any(f.expand for f in before):
        raise DefinitionError(f"{where}: a field before it expands. Only one may take the rest of the packet.")


def _read_field(path: Path, number: int, row: dict[str, str]) -> PacketField:
    where = f"{path} row {number}"
    for needed in ("name", "data_type", "bit_length"):
        if not row.get(needed):
            raise DefinitionError(f"{where}: {needed} is missing. Fill in name, data_type and bit_length.")
    name = field_name(row["name"])
    match = re.fullmatch(r"([a-z]+)\s*(?:\(\s*([\w\s,.-]+?)\s*\))?", row["data_type"].lower())
    if match is None or match[1] not in FIELD_KINDS:
        raise DefinitionError(
            f"{where} ({name}): data_type {row['data_type']!r} is unknown. "
            f"Use one of {', '.join(FIELD_KINDS)}, with (n), (n, m), (expand) or (a field's name) for arrays."
        )
    values: dict[str, Any] = {"name": name, "kind": match[1], "bits": _whole_number(where, name, row["bit_length"])}
    values |= _field_shape(match[2])
    values |= {k: row[k] for k in ("unit", "description", "label", "byte_order") if row.get(k)}
    values |= {k: _number(where, name, row[k]) for k in ("valid_min", "valid_max") if row.get(k)}
    if {"valid_min", "valid_max"} <= set(values) and values["valid_min"] > values["valid_max"]:
        raise DefinitionError(
            f"{where} ({name}): valid_min {values['valid_min']:g} > valid_max {values['valid_max']:g}. "
            "Swap or correct them."
        )
    return build(PacketField, values, f"{where} ({name})")


def _field_shape(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    if text == "expand":
        return {"expand": True}
    sizes = [part.strip() for part in text.split(",")]
    if all(size.isdigit() for size in sizes):
        return {"shape": tuple(int(size) for size in sizes if int(size) != 1)}  # an array of one item is that item
    return {"length_field": field_name(text)}


def _whole_number(where: str, name: str, text: str) -> int:
    if not re.fullmatch(r"[1-9]\d*", text):
        raise DefinitionError(f"{where} ({name}): bit_length {text!r} is no positive whole number. Correct it.")
    return int(text)


def _number(where: str, name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DefinitionError(f"{where} ({name}): {text!r} is no number. Correct it.") from None

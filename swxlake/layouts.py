# SPDX-License-Identifier: Apache-2.0
"""What a packet or a record looks like: where each field stands, and what becomes of it."""

from __future__ import annotations

from typing import Any

from lake.definitions import Definitions, Instrument
from lake.packet_definitions import Clock, Packet, PacketField
from lake.source_definitions import ELEMENTS, Records
from swxlake.outcome import Outcome

PRIMARY_HEADER = (  # CCSDS 133.0-B-2, 4.1.3
    ("version", 3, "Packet version number"),
    ("type", 1, "0 telemetry, 1 telecommand"),
    ("secondary_header", 1, "1 if a secondary header follows"),
    ("apid", 11, "Application process identifier"),
    ("sequence_flags", 2, "3 whole, 1 first, 0 continuation, 2 last segment"),
    ("sequence_count", 14, "Packet sequence count of the APID"),
    ("length", 16, "Bytes after the primary header, less one"),
)


def source_names(definitions: Definitions) -> list[str]:
    """Names of all packet types and types of record, as `describe` takes them: mission/instrument/name."""
    instruments = [(mission.name, instrument) for mission in definitions.missions for instrument in mission.instruments]
    return [
        f"{mission}/{instrument.name}/{source.name}"
        for mission, instrument in instruments
        for source in instrument.sources
    ]


def describe_source(definitions: Definitions, name: str) -> Outcome | None:
    """The layout of a packet type or type of record, `mission/instrument/name`; None if there is none of that name."""
    if name not in source_names(definitions):
        return None
    mission, instrument_name, source_name = name.split("/")
    instrument = definitions.mission(mission).instrument(instrument_name)
    sources = {source.name: source for source in instrument.sources}
    source = sources[source_name]
    return _packet(instrument, source) if isinstance(source, Packet) else _record(instrument, source)


def _packet(instrument: Instrument, packet: Packet) -> Outcome:
    longest = packet.max_bytes if packet.variable else packet.min_bytes
    facts: dict[str, Any] = {
        "packet": packet.name,
        "definition": packet.file,
        "apids": list(packet.apids),
        "version": packet.version or None,
        "secondary_header": "0 or 1" if packet.secondary_header is None else packet.secondary_header,
        "when": [f"{c.field} {c.operator} {c.value}" for c in packet.when],
        "bytes": f"{packet.min_bytes} to {longest}" if longest > packet.min_bytes else packet.min_bytes,
        "checksum": packet.checksum,
        "segmented": packet.segmented or None,
        "cadence_seconds": packet.cadence_seconds,
        "clock": _clock(packet.clock or instrument.clock),
        "identity": ["sequence_count", *packet.identity],
        "unpacker": packet.unpacker,
        "tables": [table.address for table in instrument.l0_tables(packet.name)],
    }
    return Outcome(facts=_given(facts), tables={"layout": _layout(packet)})


def _given(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value not in (None, [])}


def _clock(clock: Clock) -> str:
    parts = [name for name in (clock.days, clock.coarse, clock.fine) if name]
    return f"{' + '.join(parts)} since {clock.epoch} UTC, {clock.policy}" if clock.policy != "none" else "tells no time"


def _layout(packet: Packet) -> list[dict[str, Any]]:
    """One row a field: byte and bit at which it begins, if that is fixed, its width, and what it is."""
    rows, bit = [], 0
    for name, bits, description in PRIMARY_HEADER:
        rows.append(_row(bit, PacketField(name=name, kind="uint", bits=bits, description=description)))
        bit += bits
    at: int | None = bit
    for field in packet.fields:
        rows.append(_row(at, field))
        at = None if at is None or field.variable else at + field.bits * field.items
    return rows


def _row(bit: int | None, field: PacketField) -> dict[str, Any]:
    kind = f"{field.kind} {field.byte_order}-endian" if field.byte_order == "little" else field.kind
    return {
        "byte": None if bit is None else bit // 8,
        "bit": None if bit is None else bit % 8,
        "bits": field.bits,
        "items": _items(field),
        "field": field.name,
        "type": kind,
        "unit": field.unit,
        "description": field.description,
    }


def _items(field: PacketField) -> str:
    if field.expand:
        return "to the end"
    if field.length_bits:
        slope, intercept = field.length_bits
        return f"({slope} * {field.length_field} + {intercept}) bits"
    return field.length_field or " x ".join(map(str, field.shape)) or "1"


def _record(instrument: Instrument, records: Records) -> Outcome:
    facts = {
        "records": records.name,
        "definition": records.file,
        "format": records.format,
        "files": list(records.files),
        "other_columns": {"refuse": "make a file be refused", "ignore": "are left out"}[records.unlisted],
        "clock": _clock(records.clock or instrument.clock),
        "tables": [table.address for table in instrument.l0_tables(records.name)],
    }
    fields = [
        {
            "header": ELEMENTS[field.name].keyword if records.format == "tle" else field.header,
            "column": field.name,
            "type": f"list of {field.type}" if field.list else field.type,
            "unit": field.unit,
            "description": field.description,
        }
        for field in records.fields
    ]
    return Outcome(facts=_given(facts), tables={"columns": fields})

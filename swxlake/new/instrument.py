# SPDX-License-Identifier: Apache-2.0
"""The text of an instrument's definition, made around packets that were given: every field gets into tables and CDF."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from lake.definitions import Calibration, Mission
from lake.errors import ConfigurationError
from lake.packet_definitions import CHECKSUM_BITS, PacketField, is_time
from swxlake.new.calibrations import CalibrationFile
from swxlake.new.sources import KINDS, Given
from swxlake.new.tables import Converted, l1_columns, omitted
from swxlake.new.watched import channels_csv, limits_csv, list_notes

COARSE = r"coarse|sec(ond)?s?($|_)|(^|_)time(_s)?$|timestamp|(^|_)met($|_)"
FINE = r"fine|sub_?sec|frac|ticks?($|_)|clocks|(m|milli|u|micro)s(ecs?)?$|micros?"
CHECKSUM = r"checksum|crc|cksum|pec"
PER_SECOND = {"ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}
GUESSED_EPOCH = "2000-01-01T00:00:00"
FEWEST_COARSE_BITS = 24
PLACE = 8  # fields among which a clock is looked for


@dataclass(frozen=True)
class Wanted:
    """What the packets' definitions do not say: None is guessed, and the files say so."""

    coarse: str | None = None
    fine: str | None = None
    epoch: str | None = None
    policy: str = "leap"
    checksum: str | None = None
    cadence_seconds: float | None = None


def check_wanted(wanted: Wanted) -> Wanted:
    """The same, if all of it is known. Raises ConfigurationError."""
    allowed = {"policy": ("leap", "posix", "none"), "checksum": (None, *CHECKSUM_BITS)}
    for option, words in allowed.items():
        if (given := getattr(wanted, option)) not in words:
            raise ConfigurationError(
                f"--{option} {given}: is not known. Use one of {', '.join(w for w in words if w)}."
            )
    if wanted.epoch is not None and not is_time(wanted.epoch):
        raise ConfigurationError(f"--epoch {wanted.epoch}: is no time. Write it in UTC as 2000-01-01T00:00:00.")
    return wanted


@dataclass(frozen=True)
class ClockFields:
    """The fields of a clock and their rates."""

    coarse: str
    coarse_per_second: int
    fine: str | None
    fine_per_second: int


def instrument_files(
    mission: str,
    name: str,
    known: Mission | None,
    sources: list[Given],
    calibrations: list[CalibrationFile],
    wanted: Wanted,
) -> dict[str, bytes]:
    """The files of the instrument's folder but for packets and calibrations, by name.

    Raises ConfigurationError if the clock's fields cannot be found.
    """
    clock = find_clock(sources, wanted)
    converted = {given.name: conversions(given, [file.calibration for file in calibrations]) for given in sources}
    texts = {
        "instrument.yaml": _instrument(mission, name, known, sources, clock, wanted),
        "tables.yaml": _tables(name, sources, converted, clock, wanted),
        "cdf.yaml": _cdf(name, sources, converted, wanted),
        "names.yaml": _names(name, mission, known),
        "flags.csv": "bit,name,description\n8,adc_out_of_range,A converted channel is outside its calibrated range or "
        "has an unknown state; its value is fill\n",
        "limits.csv": limits_csv(name, sources, converted),
        "channels.csv": channels_csv(
            name, sources, converted, (clock.coarse, clock.fine, *_checksums(sources, wanted))
        ),
    }
    return {file: text.encode() for file, text in texts.items()}


# ---- clock ---------------------------------------------------------------------------------------------------------
def find_clock(sources: list[Given], wanted: Wanted) -> ClockFields:
    """The clock's fields: those that were named, or the first ones that look like it in all packets.

    Raises ConfigurationError if there are none.
    """
    common = set.intersection(*({f.name for f in given.fields} for given in sources))
    fields = [f for f in sources[0].fields if f.name in common and f.kind in ("uint", "int") and not f.shape]
    coarse = _named(sources, fields, wanted.coarse, "--coarse") or _coarse(fields)
    if coarse is None:
        raise ConfigurationError(
            f"{sources[0].path}: no field that all packets have looks like a clock's seconds. Name it with "
            f"--coarse FIELD, and with --fine FIELD what counts below."
        )
    behind = fields[fields.index(coarse) + 1 :][:1]
    guess = behind if wanted.fine is None else []
    fine = _named(sources, fields, wanted.fine, "--fine") or next((f for f in guess if re.search(FINE, f.name)), None)
    coarse_rate = PER_SECOND.get(coarse.unit, 1)
    return ClockFields(coarse.name, coarse_rate, fine.name if fine else None, _rate(fine) if fine else 0)


def _named(sources: list[Given], fields: list[PacketField], name: str | None, option: str) -> PacketField | None:
    found = next((f for f in fields if f.name == name), None)
    if name and found is None:
        raise ConfigurationError(f"{option} {name}: {sources[0].path} has no such number. Correct the name.")
    return found


def _coarse(fields: list[PacketField]) -> PacketField | None:
    wide = [f for f in fields[:PLACE] if f.bits >= FEWEST_COARSE_BITS]
    return next((f for f in wide if re.search(COARSE, f.name)), None)


def _rate(fine: PacketField) -> int:
    """Ticks in a second: by the unit, by the name, or one for each value that the field may have."""
    if match := re.fullmatch(r"1/(\d+) s", fine.unit):
        return int(match[1])
    by_name = re.search(r"(m|u|n)s(ecs?)?$", fine.name)
    unit = fine.unit or (f"{by_name[1]}s" if by_name else "")
    return PER_SECOND.get(unit) or int(1 << fine.bits)


# ---- conversions ---------------------------------------------------------------------------------------------------
def conversions(given: Given, calibrations: list[Calibration]) -> list[Converted]:
    """What the calibrations make of the fields of a packet; a file of its own goes before XTCE."""
    found: dict[str, Converted] = {}
    for calibration in (*calibrations, *given.calibrations):
        kind = next(kind for kind in KINDS if f"_{calibration.name}".endswith(f"_{kind}"))
        for field in given.fields:
            rows = calibration.frame.filter(calibration.frame["channel"] == field.name) if _has(calibration) else None
            if rows is None or not len(rows) or field.name in found or field.kind == "fill":
                continue
            unit = str(rows["unit"][0] or "") if "unit" in rows.columns else (field.unit if given.calibrations else "")
            found[field.name] = Converted(field, kind, calibration.name, "" if kind == "states" else unit)
    return list(found.values())


def _has(calibration: Calibration) -> bool:
    return "channel" in calibration.frame.columns


# ---- files ---------------------------------------------------------------------------------------------------------
def _flow(value: Any) -> str:
    """A value as YAML writes it within a line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _instrument(
    mission: str, name: str, known: Mission | None, sources: list[Given], clock: ClockFields, wanted: Wanted
) -> str:
    lines = [
        f"# {name.upper()}: what to correct here is marked with <-.",
        f"name: {name}",
        f"short_name: {name}",
        f"title: {name.upper()}  # <- the full name",
        f"description: The instrument {name} of {mission}.  # <- what it measures, in one or two sentences",
        "# flying, ground or assumed. Products of what does not fly are made and not delivered.",
        "status: ground",
        "",
        *_clock(clock, wanted),
        "",
        "packets:" if any(g.apid is not None for g in sources) or _extras(sources[0], clock, wanted) else "packets: {}",
        *(line for given in sources for line in _packet(given, clock, wanted)),
        "",
        "# What nobody knows goes into the products.",
        "unknowns: []",
        "",
        "cdf:",
        f'  Descriptor: "{name.upper()}>{name.upper()}"  # <- short>long name',
        "  Instrument_type: Housekeeping",
    ]
    people = [key for key in ("PI_name", "PI_affiliation") if known and key not in known.cdf]
    return "\n".join([*lines, *(f"  {key}: to be named  # <-" for key in people)]) + "\n"


def _clock(clock: ClockFields, wanted: Wanted) -> list[str]:
    lines = [
        "# Seconds and ticks since `epoch` (UTC). Policy `leap` counts SI seconds, `posix` leaves leap seconds out as",
        "# Unix time does, `none` tells no time of day.",
        "clock:",
        f'  epoch: "{wanted.epoch or GUESSED_EPOCH}"',
        f"  policy: {wanted.policy}",
        f"  coarse: {_flow(clock.coarse)}",
    ]
    lines += [f"  coarse_ticks_per_second: {clock.coarse_per_second}"] if clock.coarse_per_second > 1 else []
    if clock.fine:
        lines += [f"  fine: {_flow(clock.fine)}", f"  fine_ticks_per_second: {clock.fine_per_second}"]
    if wanted.epoch is None:
        lines += [
            "  assumed: its epoch and ticks were guessed from the names of the fields.  # <- correct, then remove"
        ]
    return lines


def _packet(given: Given, clock: ClockFields, wanted: Wanted) -> list[str]:
    apid = [f"    apids: [{given.apid}]"] if given.apid is not None else []
    extras = _extras(given, clock, wanted)
    return [f"  {given.name}:", *apid, *extras] if apid or extras else []


def _extras(given: Given, clock: ClockFields, wanted: Wanted) -> list[str]:
    """Checksum, cadence and identity of a packet."""
    last, lines = given.fields[-1], []
    looks = re.search(CHECKSUM, last.name) is not None
    if wanted.checksum and {str(kind): bits for kind, bits in CHECKSUM_BITS.items()}[wanted.checksum] == last.bits:
        lines += [f"    checksum: {wanted.checksum}"]
    elif looks:
        lines += [f"    # checksum: crc16_ccitt  # <- how {last.name} is made: one of {', '.join(CHECKSUM_BITS)}"]
    if wanted.cadence_seconds:
        lines += [f"    cadence_seconds: {wanted.cadence_seconds:g}"]
    known_again = [name for name in (clock.coarse, clock.fine, last.name if looks else None) if name]
    lines += ["    # With the sequence count, what tells a packet that was sent again from another one."]
    return [*lines, f"    identity: {_flow(known_again)}"]


def _checksums(sources: list[Given], wanted: Wanted) -> list[str]:
    """The last fields that are or look like checksums."""
    last = [given.fields[-1].name for given in sources]
    return [name for name in last if wanted.checksum or re.search(CHECKSUM, name)]


def _names(name: str, mission: str, known: Mission | None) -> str:
    """A family of its own unless the mission has one for all instruments."""
    lines = [
        f"# {name.upper()}: its name in the archive, and what its raw files are called.",
        f"short_name: {name}",
    ]
    if known and any("{instrument}" in f.pattern and f.kind == "raw" for f in known.names.families):
        return "\n".join([*lines, f"# Raw files are recognised by families of the names.yaml of {mission}."]) + "\n"
    lines += [
        "families:",
        f"  # {mission}_{name}_20260801T120000.bin. Letters match in any case; add a line for each other form.",
        f'  - {{extension: bin, pattern: "{{mission}}_{name}_{{time}}", time: archive}}',
    ]
    return "\n".join(lines) + "\n"


def _tables(
    name: str, sources: list[Given], converted: dict[str, list[Converted]], clock: ClockFields, wanted: Wanted
) -> str:
    lines = [
        f"# {name.upper()}'s tables. A plain name in `columns` is a column of missions/columns.csv, or of an input.",
        "# `valid` holds for the whole mission; values outside it are a failed check.",
        "tables:",
    ]
    for given in sources:
        lines += [
            f"  {name}_l0_{given.name}:",
            f"    title: {name.upper()} {given.name} packets",
            f"    grain: one row per {given.name} packet as received",
            f"    packet: {given.name}",
        ]
    for given in sources:
        lines += _l1(name, given, converted[given.name], clock, wanted)
    return "\n".join(lines) + "\n"


def _l1(name: str, given: Given, converted: list[Converted], clock: ClockFields, wanted: Wanted) -> list[str]:
    clocks = {clock.coarse, clock.fine} - {None}
    columns = l1_columns([f for f in given.fields if f.name not in clocks], converted)
    calibrations = list(dict.fromkeys(c.calibration for c in converted))
    return [
        f"  {name}_l1_{given.name}:",
        f"    title: {name.upper()} {given.name} in physical units",
        f"    grain: one row per {given.name} packet, retransmissions removed",
        "    order: strict",
        "    key: [epoch_tt2000]",
        *([f"    cadence_seconds: {wanted.cadence_seconds:g}"] if wanted.cadence_seconds else []),
        f"    inputs: {{{given.name}: {name}_l0_{given.name}}}",
        "    # Made by swxlake itself: rows with a time, each once, columns with a `source` converted or copied.",
        "    method: calibrated",
        *([f"    calibrations: {_flow(calibrations)}"] if calibrations else []),
        "    # What is usual for channels is learned. If they follow an orbit or the day, add `period: orbit` or day.",
        "    watch: {trends: [latency_p95_s, flagged_share]}",
        "    columns:",
        *(
            f"      - {_flow(column)}"
            for column in ("epoch_tt2000", "time", *columns, "sequence_count", "quality_flag")
        ),
    ]


def _cdf(name: str, sources: list[Given], converted: dict[str, list[Converted]], wanted: Wanted) -> str:
    lines = [
        "# CDF products, one UTC day to a file. Structure and attributes of the variables derive from the tables.",
        "# `version` is X.Y: X rises with the structure, Y with the algorithm or calibration; the lake gives out Z.",
        "products:",
    ]
    every = f"{wanted.cadence_seconds:g} s" if wanted.cadence_seconds else "as sent"
    for given in sources:
        left_out = omitted(list(given.fields), converted[given.name])
        lines += [
            f"  {name}_l1_{given.name}:",
            '    version: "0.1"',
            f"    title: Level 1 {given.name.replace('_', ' ')}",
            f"    time_resolution: {every}",
            "    bin_location: 0.0",
            "    text: >-",
            f"      Packets {given.name} of {name.upper()}, each once and in order of time. Values outside the range",
            "      over which a channel was calibrated are fill and flagged, never extrapolated unless its calibration",
            "      says so.",
            '    mods: ["0.1: first version"]',
            *(
                ["    # Text, bytes and lists of any length have no place in a CDF.", f"    omit: {_flow(left_out)}"]
                if left_out
                else []
            ),
        ]
    return "\n".join(lines) + "\n"


def limit_notes(sources: list[Given], calibrations: list[CalibrationFile]) -> list[str]:
    """The fields whose limits are taken to be in the unit that a calibration gives, because both stand beside them."""
    notes = []
    for given in sources:
        limited = {field for field, _, _ in given.limits}
        found = conversions(given, [file.calibration for file in calibrations])
        names = [c.field.name for c in found if c.kind != "states" and c.field.name in limited]
        if names:
            shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
            notes.append(
                f"{given.path.name}: limit_low and limit_high of {shown} are read in the unit of the converted column. "
                "If they are not, correct limits.csv."
            )
    return notes + list_notes(sources)

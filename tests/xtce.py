# SPDX-License-Identifier: Apache-2.0
"""XTCE files for tests: a CCSDS primary header, and whatever types, parameters and containers a test puts beside it."""

from __future__ import annotations

import re

from lake.packet_definitions import PacketField

HEADER = {"VERSION": 3, "TYPE": 1, "SEC_HDR_FLG": 1, "PKT_APID": 11, "SEQ_FLGS": 2, "SRC_SEQ_CTR": 14, "PKT_LEN": 16}
NAMESPACE = "http://www.omg.org/spec/XTCE/20180204"


def uint(name: str, bits: int, inside: str = "", outside: str = "", attributes: str = "") -> str:
    """An integer type; `inside` its encoding stands the calibrator, `outside` units, ranges and alarms."""
    encoding = f'<xtce:IntegerDataEncoding sizeInBits="{bits}" encoding="unsigned" {attributes}>'
    return (
        f'<xtce:IntegerParameterType name="{name}">{outside}{encoding}{inside}'
        "</xtce:IntegerDataEncoding></xtce:IntegerParameterType>\n"
    )


def parameter(name: str, kind: str, description: str = "") -> str:
    """A parameter of a type."""
    return f'<xtce:Parameter name="{name}" parameterTypeRef="{kind}" shortDescription="{description}"/>\n'


def entry(name: str, inside: str = "") -> str:
    """An entry of a container."""
    return f'<xtce:ParameterRefEntry parameterRef="{name}">{inside}</xtce:ParameterRefEntry>\n'


def compare(name: str, value: object, operator: str = "==", raw: bool = False) -> str:
    """A comparison of a parameter."""
    sign = operator.replace("<", "&lt;").replace(">", "&gt;")
    calibrated = "false" if raw else "true"
    return (
        f'<xtce:Comparison parameterRef="{name}" value="{value}" comparisonOperator="{sign}" '
        f'useCalibratedValue="{calibrated}"/>\n'
    )


def ranges(*found: str) -> str:
    """Static alarm ranges, each by its element with its attributes."""
    inside = "".join(f"<xtce:{each}/>" for each in found)
    return f"<xtce:StaticAlarmRanges>{inside}</xtce:StaticAlarmRanges>"


def alarm(*found: str, attributes: str = "") -> str:
    """A default alarm with these ranges."""
    return f"<xtce:DefaultAlarm {attributes}>{ranges(*found)}</xtce:DefaultAlarm>"


def context(match: str, *found: str, attributes: str = "") -> str:
    """An alarm with these ranges in a context."""
    inside = f"{ranges(*found)}<xtce:ContextMatch>{match}</xtce:ContextMatch>"
    return f"<xtce:ContextAlarm {attributes}>{inside}</xtce:ContextAlarm>"


def container(
    name: str, entries: str, base: str | None = "CCSDSPacket", criteria: str = "", abstract: bool = False
) -> str:
    """A container that inherits from `base` with these comparisons."""
    listed = f"<xtce:ComparisonList>{criteria}</xtce:ComparisonList>" if criteria else ""
    restriction = f"<xtce:RestrictionCriteria>{listed}</xtce:RestrictionCriteria>" if criteria else ""
    inherits = f'<xtce:BaseContainer containerRef="{base}">{restriction}</xtce:BaseContainer>' if base else ""
    return (
        f'<xtce:SequenceContainer name="{name}" abstract="{str(abstract).lower()}">\n'
        f"<xtce:EntryList>\n{entries}</xtce:EntryList>{inherits}</xtce:SequenceContainer>\n"
    )


def document(types: str, parameters: str, containers: str, around: str = "") -> str:
    """A file with a primary header, root container CCSDSPacket, and prefixed names; `around` stands before all else."""
    header_types = "".join(uint(f"U{bits}_header", bits) for bits in sorted(set(HEADER.values())))
    header = "".join(parameter(name, f"U{bits}_header") for name, bits in HEADER.items())
    root = container("CCSDSPacket", "".join(entry(name) for name in HEADER), None, abstract=True)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'{around}<xtce:SpaceSystem xmlns:xtce="{NAMESPACE}" name="Lab">\n'
        '<xtce:Header date="2026-01-01" version="1.0" validationStatus="Draft"/>\n'
        f"<xtce:TelemetryMetaData>\n<xtce:ParameterTypeSet>\n{header_types}{types}</xtce:ParameterTypeSet>\n"
        f"<xtce:ParameterSet>\n{header}{parameters}</xtce:ParameterSet>\n"
        f"<xtce:ContainerSet>\n{root}{containers}</xtce:ContainerSet>\n</xtce:TelemetryMetaData></xtce:SpaceSystem>\n"
    )


def one_packet(types: str, fields: dict[str, str], apid: int = 7) -> str:
    """A file with one packet, `HK`, of these parameters by the names of their types."""
    parameters = "".join(parameter(name, kind) for name, kind in fields.items())
    entries = "".join(entry(name) for name in fields)
    return document(types, parameters, container("HK", entries, criteria=compare("PKT_APID", apid)))


def plain_names(text: str, version: str = "default") -> str:
    """The document without prefixes: with a default namespace, or with `none`."""
    text = re.sub(r"(</?)xtce:", r"\1", text)
    return text.replace("xmlns:xtce=", "xmlns=") if version == "default" else re.sub(r' xmlns:xtce="[^"]*"', "", text)


def of_fields(fields: tuple[PacketField, ...], apid: int) -> str:
    """A file with one packet of unsigned numbers, and of arrays of them as one parameter each."""
    types = "".join(uint(f"U{bits}", bits) for bits in sorted({f.bits for f in fields}))
    names = [f"{f.name}_{i}" if f.shape else f.name for f in fields for i in range(f.items)]
    widths = [f.bits for f in fields for _ in range(f.items)]
    return one_packet(types, {name: f"U{bits}" for name, bits in zip(names, widths, strict=True)}, apid)

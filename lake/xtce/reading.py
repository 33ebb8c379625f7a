# SPDX-License-Identifier: Apache-2.0
"""Packet layouts, calibrations and alarm ranges out of an XTCE file (OMG XTCE 1.2 and 1.3).

docs/reference/xtce.md says what is read; everything else is refused with its line.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from lake.definition_text import build_at, yaml_line
from lake.definitions import Calibration
from lake.errors import DefinitionError
from lake.packet_definitions import HEADER_BYTES, LONGEST_PACKET, Packet
from lake.xtce.aggregates import add_members
from lake.xtce.calibrators import MOST_ROWS, Calibrator, frame
from lake.xtce.conditions import HeaderRestrictions
from lake.xtce.containers import Container, ContainerReader, Entry
from lake.xtce.contexts import ChannelLimit, channel_limits
from lake.xtce.elements import Element, read_elements
from lake.xtce.families import tell_apart
from lake.xtce.layout import Layout, field_conditions, header_restrictions, holds_more_than_header, lay_out, read_header
from lake.xtce.spaces import Space, plain_name, read_space
from lake.xtce.vocabulary import check_vocabulary

TOLD = ("name", "fields", "file", "when", "version", "secondary_header", "max_bytes")  # by the file, of a packet
ALWAYS = date(1970, 1, 1)  # calibrations in a file hold for all days


@dataclass(frozen=True)
class Xtce:
    """What a file defines. Calibrations are named `<packet>_polynomial`, ..., with the rows that conversions read."""

    packets: tuple[Packet, ...]
    calibrations: tuple[Calibration, ...]
    limits: tuple[ChannelLimit, ...]


def read_xtce(path: Path, entries: dict[str, dict[str, Any]], file: Path) -> Xtce:
    """The packets of an XTCE file; `entries` of instrument.yaml (`file`) add checksum, identity and the like by name.

    Raises DefinitionError, with file and line, for whatever cannot be decoded as the file says.
    """
    root = read_elements(path)
    if root.name != "SpaceSystem":
        raise root.error("is no SpaceSystem, so the file is no XTCE. Move it elsewhere.")
    check_vocabulary(root)
    layouts: dict[str, Layout] = {}
    space = read_space(root)
    add_members(space)
    for name, layout in _layouts(space, entries):
        if name in layouts:
            raise layout.container.element.error(f"there is a packet {name} already. Rename one.")
        layouts[name] = layout
    packets = {name: _packet(name, layout, entries.get(name, {}), path, file) for name, layout in layouts.items()}
    told_apart = tell_apart(packets, {name: layout.container for name, layout in layouts.items()})
    kept = {packet.name: layouts[packet.name] for packet in told_apart}
    limits = [limit for name, layout in kept.items() for limit in channel_limits(name, layout)]
    return Xtce(told_apart, tuple(_calibrations(path, kept)), tuple(limits))


def field_line(path: Path, name: str) -> int:
    """The line of the parameter that becomes a field of that name; 1 if there is none. Raises DefinitionError."""
    space = read_space(read_elements(path))
    add_members(space)
    parameters = (parameter for system in space.all for parameter in system.parameters.values())
    return next((parameter.line for parameter in parameters if plain_name(parameter) == name), 1)


def _layouts(space: Space, entries: dict[str, dict[str, Any]]) -> list[tuple[str, Layout]]:
    """The packet types by name, those that inherit before those that they inherit from."""
    reader = ContainerReader()
    reader.check_types(space)
    containers = reader.containers(space)
    for container in containers:
        reader.entries(container)  # wrong ones are found even if no packet has them
    included, found = _included(space), []
    for container in _children_first(containers):
        parts_only = container.base is None and container.element in included
        if not (container.abstract or parts_only):
            inherited = any(other.base and other.base.element is container.element for other in containers)
            found += _layout(container, reader.entries(container), inherited, entries)
    return found


def _layout(
    container: Container, parts: list[Entry], inherited: bool, entries: dict[str, dict[str, Any]]
) -> list[tuple[str, Layout]]:
    """A packet type by name; none for a container that is `inherited` and no packet by itself."""
    if inherited and not holds_more_than_header(parts):
        return []
    name, layout = plain_name(container.element), read_header(container, parts)
    if header_restrictions(layout).restricts_apid or "apids" in entries.get(name, {}):
        lay_out(layout)
        return [(name, layout)]
    if inherited:
        return []
    raise container.element.error(
        f"no restriction tells its APID. Add one, or `apids` under {name} in instrument.yaml."
    )


def _included(space: Space) -> set[Element]:
    """The containers that others include."""
    return {
        system.find("containers", entry, "containerRef")[1]
        for system in space.all
        for container in system.containers.values()
        for entry in container.needed("EntryList").all("ContainerRefEntry")
    }


def _children_first(containers: list[Container]) -> list[Container]:
    """The containers in the order of the file, each after those that inherit from it."""
    ordered: list[Container] = []

    def visit(container: Container) -> None:
        for other in containers:
            if other.base and other.base.element is container.element:
                visit(other)
        ordered.append(container)

    for container in containers:
        if container.base is None:
            visit(container)
    return ordered


def check_not_told(file: Path, name: str, entry: dict[str, Any], told: tuple[str, ...]) -> None:
    """Raises DefinitionError if an entry of instrument.yaml gives what the packet's layout tells."""
    for key in entry:
        if key in told:
            line = yaml_line(file, ("packets", name, key))
            raise DefinitionError(f"{file} line {line} ({key}): the layout of {name} tells it. Remove it here.")


def _packet(name: str, layout: Layout, entry: dict[str, Any], path: Path, file: Path) -> Packet:
    check_not_told(file, name, entry, TOLD)
    header = header_restrictions(layout)
    variable = any(f.variable for f in layout.fields)
    values = {
        "name": name,
        "fields": layout.fields,
        "max_bytes": LONGEST_PACKET if variable else HEADER_BYTES + layout.bits // 8,
        "file": str(path),
        "when": header.when + field_conditions(layout),
        **_header_values(layout.container.element, header),
        **entry,
    }
    return build_at(Packet, values, file, ("packets", name))


def _header_values(element: Element, header: HeaderRestrictions) -> dict[str, Any]:
    """Version, secondary header flag and APIDs that are left; a version that is not told is 0, a flag is either."""
    left = header.left
    values: dict[str, Any] = {}
    if 0 not in left["type"]:
        raise element.error("its packet type is 1, a telecommand, and only telemetry is decoded. Remove it.")
    if len(left["version"]) not in (1, 8):
        raise element.error("it has packets of several versions. Restrict the version to one.")
    values["version"] = min(left["version"])
    values["secondary_header"] = min(left["secondary_header"]) if len(left["secondary_header"]) == 1 else None
    if header.restricts_apid:
        values["apids"] = tuple(sorted(left["apid"]))
    return values


def _calibrations(path: Path, layouts: dict[str, Layout]) -> list[Calibration]:
    found, height = [], 0
    for name, layout in layouts.items():
        channels: dict[str, list[tuple[str, Calibrator, str]]] = {}
        for _, parameter, kind in layout.entries:
            if kind.calibrator:
                height += kind.calibrator.height
                if height > MOST_ROWS:
                    raise kind.element.error(
                        f"with the labels or points of {parameter.name}, calibrations have more than {MOST_ROWS} rows. "
                        "Give fewer."
                    )
                channel = (parameter.name, kind.calibrator, kind.unit)
                channels.setdefault(kind.calibrator.kind, []).append(channel)
        for kind_name, rows in channels.items():
            unhashed = Calibration(f"{name}_{kind_name}", ALWAYS, path, "", frame(kind_name, rows))
            found.append(replace(unhashed, sha256=hashlib.sha256(unhashed.content()).hexdigest()))
    return found

# SPDX-License-Identifier: Apache-2.0
"""The entries of an XTCE container as a packet: its primary header, and the fields behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

from lake.definition_tables import SHARED_COLUMNS
from lake.packet_definitions import HEADER_BITS, Condition, PacketField
from lake.xtce.conditions import HEADER, FieldRestrictions, HeaderRestrictions, comparisons
from lake.xtce.containers import Container, Entry, Parameter
from lake.xtce.elements import Element
from lake.xtce.parameter_types import FieldType, Size

EDGES = {first + bits for first, bits in HEADER.values()}


@dataclass
class Layout:
    """A container as a packet: header fields by parameter, what stands `behind` the header, and the fields of that."""

    container: Container
    header: dict[Element, tuple[tuple[str, ...], FieldType]] = field(default_factory=dict)
    behind: list[Entry] = field(default_factory=list)
    entries: list[tuple[Entry, Parameter, FieldType]] = field(default_factory=list)
    fields: list[PacketField] = field(default_factory=list)

    @property
    def bits(self) -> int:
        """Bits behind the header, without those of fields of variable length."""
        return sum(f.bits * f.items for f in self.fields if not f.variable)


def holds_more_than_header(entries: list[Entry]) -> bool:
    """True if entries have more bits than the primary header, so that they may be a packet."""
    return sum(entry.bits or 0 for entry in entries) > HEADER_BITS


def read_header(container: Container, entries: list[Entry]) -> Layout:
    """A layout of which the primary header is known. Raises DefinitionError if the container does not begin with it."""
    layout = Layout(container)
    start = 0
    for index, entry in enumerate(entries):
        if start == HEADER_BITS:
            layout.behind = entries[index:]
            break
        stop = start + (entry.bits or 0)
        if stop not in EDGES or entry.type is None or entry.parameter is None or not _is_plain(entry.type):
            raise entry.element.error(
                f"begins at bit {start} of {container.element.needed_text('name')} and is no field of the CCSDS "
                f"primary header. Begin with {', '.join(f'{name} ({bits})' for name, (_, bits) in HEADER.items())}, "
                "all unsigned."
            )
        names = tuple(name for name, (first, _) in HEADER.items() if start <= first < stop)
        if entry.parameter.element in layout.header:
            raise entry.element.error("the parameter stands in the primary header already. Remove one.")
        layout.header[entry.parameter.element] = (names, entry.type)
        start = stop
    if not layout.behind:
        raise container.element.error(f"has {start} bits, not more than the CCSDS primary header. Add its fields.")
    return layout


def lay_out(layout: Layout) -> None:
    """Add the fields behind the header. Raises DefinitionError if they cannot be decoded or are no whole bytes."""
    _check_names(layout)
    for entry in layout.behind:
        if entry.parameter is None or entry.type is None:
            at = HEADER_BITS + layout.bits
            layout.fields.append(PacketField(name=f"gap_{at}", kind="fill", bits=1, shape=(entry.gap,)))
            continue
        layout.fields.append(_field(layout, entry, entry.parameter, entry.type))
        layout.entries.append((entry, entry.parameter, entry.type))
    _fill_the_rest(layout)
    bits = HEADER_BITS + layout.bits
    if bits % 8 and all(f.bits % 8 == 0 for f in layout.fields if f.variable):
        raise layout.container.element.error(
            f"its fields add up to {bits} bits, no whole bytes. Correct a size or add a spare field."
        )


def _is_plain(found: FieldType) -> bool:
    return found.kind == "uint" and not (found.little or found.shape or found.size)


def _check_names(layout: Layout) -> None:
    seen: set[str] = set()
    for entry in layout.behind:
        name = entry.parameter.name if entry.parameter else None
        if entry.parameter and entry.parameter.element in layout.header:
            raise entry.element.error("the parameter stands in the primary header already. Remove one.")
        if name in SHARED_COLUMNS:
            raise entry.element.error(f"{name} is a column that every table has. Rename the parameter.")
        if name in seen:
            raise entry.element.error(f"there is a field {name} before it in the packet. Rename or remove one.")
        if name:
            seen.add(name)


def _field(layout: Layout, entry: Entry, parameter: Parameter, found: FieldType) -> PacketField:
    sized = _sizing(layout, entry, found.size) if found.size else {}
    low, high = found.valid or (None, None)
    return PacketField(
        name=parameter.name,
        kind=found.kind,
        bits=found.bits,
        shape=tuple(size for size in found.shape if size > 1),  # an array of one item is that item
        byte_order="little" if found.little and found.bits > 8 else "big",
        unit="" if found.calibrator else found.unit,
        description=parameter.description,
        valid_min=low,
        valid_max=high,
        **sized,  # type: ignore[arg-type]
    )


def _sizing(layout: Layout, entry: Entry, size: Size) -> dict[str, object]:
    """How a field's length follows from an earlier one, or from the packet length."""
    assert entry.type is not None  # noqa: S101  it has the size
    calibrated = size.reference.flag("useCalibratedValue", True)
    if size.parameter in layout.header:
        names, kind = layout.header[size.parameter]
        _check_counts(size, kind, calibrated)
        if names != ("length",):
            raise size.reference.error(
                "a length cannot come from that header field. Name the packet length or a field."
            )
        return {"expand": True}
    found = next(((p.name, kind) for _, p, kind in layout.entries if p.element is size.parameter), None)
    if found is None:
        raise size.reference.error(f"stands in no entry before {entry.type.element.needed_text('name')}. Name one.")
    _check_counts(size, found[1], calibrated)
    if (size.slope, size.intercept) == (entry.type.bits, 0):
        return {"length_field": found[0]}
    return {"length_field": found[0], "length_bits": (size.slope, size.intercept)}


def _check_counts(size: Size, kind: FieldType, calibrated: bool) -> None:
    if kind.kind not in ("uint", "int") or kind.shape or kind.size:
        raise size.reference.error("is no single whole number, so it cannot be a length. Name another parameter.")
    if calibrated and kind.calibrator:
        raise size.reference.error('a calibrated length is not supported. Write useCalibratedValue="false" or another.')


def _fill_the_rest(layout: Layout) -> None:
    """Check a field whose size comes from the packet length, and add fill where it leaves the end of the packet over.

    The packet length counts the bytes behind the header, less one (CCSDS 133.0-B-2, 4.1.3.5.3).
    """
    expanding = [e for e, f in zip(layout.behind, layout.fields, strict=True) if f.expand]
    if not expanding:
        return
    entry = expanding[0]
    size = entry.type.size if entry.type else None
    assert size is not None  # noqa: S101  it expands because of its size
    if sum(f.variable for f in layout.fields) > 1:
        raise size.reference.error("a size from the packet length next to other variable sizes is not supported.")
    over = 8 - layout.bits - size.intercept
    if size.slope != 8 or over < 0:
        raise size.reference.error(
            f"with slope {size.slope} and intercept {size.intercept} the fields end behind the packet or leave a "
            f"varying rest. The length counts bytes, so {8 - layout.bits} and slope 8 fill the packet. Correct them."
        )
    if over:
        layout.fields.append(
            PacketField(name=f"gap_{HEADER_BITS + layout.bits}_end", kind="fill", bits=1, shape=(over,))
        )


def header_restrictions(layout: Layout) -> HeaderRestrictions:
    """What a container and those it inherits from say of the primary header. Raises DefinitionError."""
    found = HeaderRestrictions()
    for comparison in comparisons(layout.container):
        if comparison.parameter in layout.header:
            found.add(comparison, *layout.header[comparison.parameter])
    return found


def field_conditions(layout: Layout) -> list[Condition]:
    """What they say of fields behind the primary header. Raises DefinitionError."""
    fields = {parameter.element: (parameter.name, found) for _, parameter, found in layout.entries}
    names, restrictions = [f.name for f in layout.fields], FieldRestrictions()
    for comparison in comparisons(layout.container):
        if comparison.parameter in layout.header:
            continue
        if comparison.parameter not in fields:
            raise comparison.element.error("the parameter is no entry of the container. Add it or compare another one.")
        name, found = fields[comparison.parameter]
        if any(f.variable for f in layout.fields[: names.index(name)]):
            raise comparison.element.error(f"{name} stands behind a field of variable length. Compare another one.")
        restrictions.add(comparison, name, found)
    return restrictions.when

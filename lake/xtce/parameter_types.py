# SPDX-License-Identifier: Apache-2.0
"""Parameter types of an XTCE file: how a value is encoded in the packet, and what becomes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from lake.packet_definitions import number_range
from lake.xtce.alarms import Alarm, read_alarms, read_range
from lake.xtce.calibrators import Calibrator, polynomial, read_calibrator, read_label, read_states, states
from lake.xtce.elements import Element
from lake.xtce.spaces import Space

Kind = Literal["uint", "int", "float", "str", "bytes"]
ENCODINGS = ("IntegerDataEncoding", "FloatDataEncoding", "StringDataEncoding", "BinaryDataEncoding")
# What each type may be encoded as; other pairs would need an algorithm.
ENCODED_AS = {
    "IntegerParameterType": ENCODINGS[:2],
    "FloatParameterType": ENCODINGS[:2],
    "BooleanParameterType": ENCODINGS[:1],
    "EnumeratedParameterType": ENCODINGS[:1],
    "StringParameterType": ENCODINGS[2:3],
    "BinaryParameterType": ENCODINGS[3:],
    "AbsoluteTimeParameterType": ENCODINGS,
    "RelativeTimeParameterType": ENCODINGS,
}
TIME_UNITS = {"seconds": "s", "picoSeconds": "ps", "days": "d", "months": "month", "years": "year"}
WIDEST_BOOLEAN = 8  # bits; each value of it gets a label


@dataclass(frozen=True)
class Size:
    """Bits that a field takes up: slope * value + intercept of a parameter, which a reference names."""

    reference: Element
    parameter: Element
    slope: int
    intercept: int


@dataclass(frozen=True)
class FieldType:
    """How a parameter is sent and what it means: `bits` an item, of which there are as many as `shape` or `size` say.

    `unit` is that of the converted value if there is a `calibrator`, as are the ends of `alarms`. `valid` is of what
    was sent. `labels` are those by which comparisons name values of enumerations and booleans.
    """

    element: Element
    kind: Kind
    bits: int
    little: bool = False
    shape: tuple[int, ...] = ()
    size: Size | None = None
    calibrator: Calibrator | None = None
    unit: str = ""
    valid: tuple[float, float] | None = None
    alarms: tuple[Alarm, ...] = ()

    @property
    def total_bits(self) -> int | None:
        """Bits in the packet; None if they differ from packet to packet."""
        return None if self.size else self.bits * math.prod(self.shape)

    @property
    def labels(self) -> dict[str, list[tuple[int, int]]] | None:
        """The first and last values of the ranges of each label; None for types that have none."""
        if self.calibrator is None or self.calibrator.kind != "states":
            return None
        found: dict[str, list[tuple[int, int]]] = {}
        for row in self.calibrator.rows:
            found.setdefault(row["label"], []).append((row["low"], row["high"]))
        return found


def read_type(space: Space, element: Element) -> FieldType | None:
    """The type that an element of a ParameterTypeSet defines; None if it has no encoding of its own.

    Raises DefinitionError if it cannot be decoded as it says.
    """
    if element.name == "AggregateParameterType":
        return None  # its members are sent
    if element.name == "ArrayParameterType":
        return _array(space, element)
    time = element.first("Encoding")
    holder = time or element
    encoding = holder.first(*ENCODINGS)
    if encoding is None:
        return None
    if encoding.name not in ENCODED_AS[element.name]:
        raise encoding.error(f"is not supported in {element.name}. Use {' or '.join(ENCODED_AS[element.name])}.")
    found = _encoded(space, element, encoding)
    if element.name == "BooleanParameterType":
        return replace(found, calibrator=_boolean(element, found))
    if element.name == "EnumeratedParameterType":
        return replace(found, calibrator=_enumerated(element, found))
    return _timed(found, time) if time is not None else _with_ranges(space, found, element)


def _encoded(space: Space, element: Element, encoding: Element) -> FieldType:
    encoding.one_of("bitOrder", "mostSignificantBitFirst")
    little = encoding.one_of("byteOrder", "mostSignificantByteFirst", "leastSignificantByteFirst").startswith("least")
    if encoding.name == "IntegerDataEncoding":
        found = _integer(element, encoding)
    elif encoding.name == "FloatDataEncoding":
        encoding.one_of("encoding", "IEEE754_1985", "IEEE754")
        found = FieldType(element, "float", encoding.whole("sizeInBits", 32))
        if found.bits not in (32, 64):
            raise encoding.error(f"a float of {found.bits} bits is not supported. Use 32 or 64.")
    else:
        if little:
            raise encoding.error("leastSignificantByteFirst is not supported for bytes. Remove byteOrder.")
        return _octets(space, element, encoding)
    if little and found.bits % 8:
        raise encoding.error(f"leastSignificantByteFirst needs whole bytes, not {found.bits} bits. Correct one.")
    return replace(found, little=little, calibrator=read_calibrator(encoding), unit=_unit(element))


def _integer(element: Element, encoding: Element) -> FieldType:
    # XTCE 1.1 spells it twosCompliment, and tools write signed.
    signed = encoding.one_of("encoding", "unsigned", "twosComplement", "twosCompliment", "signed") != "unsigned"
    bits = encoding.whole("sizeInBits", 8)
    if not 1 <= bits <= 64:
        raise encoding.error(f"an integer of {bits} bits is not supported. Use 1 to 64, or a BinaryParameterType.")
    return FieldType(element, "int" if signed else "uint", bits)


def _octets(space: Space, element: Element, encoding: Element) -> FieldType:
    """Strings and binaries: whole bytes, as many as a number says or as a parameter says in bits."""
    if encoding.name == "StringDataEncoding":
        encoding.one_of("encoding", "UTF-8", "US-ASCII")
        kind: Kind = "str"
        size = encoding.needed("SizeInBits", "Variable")
        fixed = size.first("Fixed", "FixedValue")
        holder = fixed if fixed is not None and fixed.name == "Fixed" else size
    else:
        kind, holder = "bytes", encoding.needed("SizeInBits")
    value = holder.needed("FixedValue", "DynamicValue")
    if value.name == "DynamicValue":
        return FieldType(element, kind, 8, size=read_size(space, value), unit=_unit(element))
    bits = value.as_whole(value.text, "the size")
    if bits < 8 or bits % 8:
        raise value.error(f"{bits} bits are no whole number of bytes. Correct it, or use an integer.")
    return FieldType(element, kind, bits, unit=_unit(element))


def read_size(space: Space, dynamic: Element) -> Size:
    """The bits or items that a DynamicValue in a system says. Raises DefinitionError."""
    reference, adjustment = dynamic.needed("ParameterInstanceRef"), dynamic.first("LinearAdjustment")
    if reference.whole("instance", 0):
        raise reference.error("another instance than 0 is not supported. Remove it.")
    _, parameter = space.find("parameters", reference, "parameterRef")
    if adjustment is None:
        return Size(reference, parameter, 1, 0)
    slope, intercept = adjustment.number("slope"), adjustment.number("intercept", 0.0)
    if not (slope.is_integer() and intercept.is_integer()) or max(abs(slope), abs(intercept)) > 2**24:
        raise adjustment.error(f"slope {slope:g} and intercept {intercept:g} are no small whole numbers. Correct them.")
    return Size(reference, parameter, int(slope), int(intercept))


def _boolean(element: Element, found: FieldType) -> Calibrator:
    """Zero has one label and everything else the other."""
    _check_plain(element, found)
    if found.bits > WIDEST_BOOLEAN or found.kind != "uint":
        raise element.error(f"a boolean is unsigned and has at most {WIDEST_BOOLEAN} bits. Use an integer type.")
    zero, one = read_label(element, "zeroStringValue", "False"), read_label(element, "oneStringValue", "True")
    if zero == one:
        raise element.error(f"zero and one have the same label {zero!r}. Change one.")
    return states([(0, 0, zero), (1, 2**found.bits - 1, one)])


def _enumerated(element: Element, found: FieldType) -> Calibrator:
    _check_plain(element, found)
    return read_states(element)


def _check_plain(element: Element, found: FieldType) -> None:
    if found.calibrator:
        raise element.error("its labels are those of what was sent, so a calibrator has no use. Remove it.")


def _timed(found: FieldType, time: Element) -> FieldType:
    """Times: `scale` and `offset` are a polynomial, and the unit is that of the result."""
    units = time.one_of("units", "seconds", *list(TIME_UNITS)[1:])
    number = found.kind not in ("str", "bytes")
    scaled = "scale" in time.attributes or "offset" in time.attributes
    if scaled and (found.calibrator or not number):
        raise time.error("scale and offset need a number without calibrator. Remove one of them.")
    calibrator = polynomial([time.number("offset", 0.0), time.number("scale", 1.0)]) if scaled else found.calibrator
    return replace(found, calibrator=calibrator, unit=TIME_UNITS[units] if number else "")


def _with_ranges(space: Space, found: FieldType, element: Element) -> FieldType:
    valid, alarms = element.first("ValidRange"), read_alarms(space, element)
    sent = valid is not None and not (found.calibrator and valid.flag("validRangeAppliesToCalibrated", True))
    limits = read_range(valid) if valid is not None else None
    if valid is None or not sent or limits is None:
        return replace(found, alarms=alarms)
    limits = _within(limits, found)
    if limits[0] > limits[1]:
        raise valid.error(f"no value of {found.bits} bits lies in it. Correct the range or the encoding.")
    return replace(found, valid=limits, alarms=alarms)


def _within(limits: tuple[float, float], found: FieldType) -> tuple[float, float]:
    """A range with both its ends, those of the encoding where it is open."""
    low, high = number_range(found.kind, found.bits)
    return max(limits[0], low), min(limits[1], high)


def _unit(element: Element) -> str:
    """The units of a type, multiplied; those of the value that was sent are left out."""
    units = element.first("UnitSet")
    return " ".join(text for unit in (units.children if units else ()) if (text := _factor(unit)))


def _factor(unit: Element) -> str:
    if unit.one_of("form", "calibrated", "uncalibrated", "raw") != "calibrated":
        return ""
    if unit.number("factor", 1.0) != 1:
        raise unit.error("a factor is not supported. Write it into the unit, such as 0.1 V.")
    power = unit.number("power", 1.0)
    text = " ".join(unit.text.split())
    return text if power == 1 or not text else f"{text}{power:g}"


def _array(space: Space, element: Element) -> FieldType | None:
    home, item = space.find("types", element, "arrayTypeRef")
    if item.name in ("ArrayParameterType", "AggregateParameterType"):
        raise element.error("an array of arrays or aggregates is not supported. Describe its items one by one.")
    found = read_type(home, item)
    if found is None:
        return None
    if found.size:
        raise element.error("items of variable size cannot be repeated. Give them a fixed size.")
    dimensions, found = element.first("DimensionList"), replace(found, element=element)
    return dimensioned(space, found, dimensions) if dimensions is not None else found


def dimensioned(space: Space, found: FieldType, dimensions: Element) -> FieldType:
    """A type repeated over dimensions, the last one running fastest. Raises DefinitionError."""
    ends = [(_start(dimension), dimension.needed("EndingIndex")) for dimension in dimensions.all("Dimension")]
    values = [(start, end.needed("FixedValue", "DynamicValue")) for start, end in ends]
    if len(values) != found.element.whole("numberOfDimensions", len(values)) or not values:
        raise dimensions.error(f"has {len(values)} dimensions. Give one or more, as many as numberOfDimensions says.")
    if len(values) == 1 and values[0][1].name == "DynamicValue":
        start, value = values[0]
        last = read_size(space, value)
        return repeated(found, replace(last, intercept=last.intercept - start + 1))
    return replace(found, shape=tuple(_items(start, value) for start, value in values))


def _start(dimension: Element) -> int:
    value = dimension.needed("StartingIndex").needed("FixedValue")
    return value.as_whole(value.text, "the index")


def _items(start: int, end: Element) -> int:
    if end.name == "DynamicValue":
        raise end.error("an array of several dimensions has fixed ones only. Give a FixedValue.")
    items = end.as_whole(end.text, "the index") - start + 1
    if not 1 <= items <= 2**20:
        raise end.error(f"{items} items are too few or too many. Correct StartingIndex or EndingIndex.")
    return items


def repeated(found: FieldType, count: Size | int) -> FieldType:
    """A type of fixed size, as many times as a number or a parameter says."""
    if isinstance(count, int):
        return replace(found, shape=(count,))
    return replace(found, size=replace(count, slope=count.slope * found.bits, intercept=count.intercept * found.bits))

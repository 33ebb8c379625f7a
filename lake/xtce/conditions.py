# SPDX-License-Identifier: Apache-2.0
"""Restriction criteria of XTCE containers: what the primary header and fields of a packet must be."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lake.packet_definitions import HEADER_FIELDS, Condition, number_range
from lake.xtce.containers import Container
from lake.xtce.elements import Element
from lake.xtce.parameter_types import FieldType
from lake.xtce.spaces import Space

# CCSDS 133.0-B-2, 4.1.3: the fields of the primary header, their first bit and their width.
HEADER = {
    "version": (0, 3),
    "type": (3, 1),
    "secondary_header": (4, 1),
    "apid": (5, 11),
    "sequence_flags": (16, 2),
    "sequence_count": (18, 14),
    "length": (32, 16),
}
OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Comparison:
    """What a restriction compares: a parameter with a number or a label, which it is if `calibrated`."""

    element: Element
    parameter: Element
    operator: str
    text: str
    calibrated: bool


def comparisons(container: Container) -> Iterator[Comparison]:
    """All that a container and those that it inherits from restrict. Raises DefinitionError."""
    for ancestor in container.lineage:
        base = ancestor.element.first("BaseContainer")
        criteria = base.first("RestrictionCriteria") if base else None
        if criteria is not None:
            yield from compared(ancestor.space, criteria.needed("Comparison", "ComparisonList", "BooleanExpression"))


def compared(space: Space, element: Element) -> Iterator[Comparison]:
    """What a comparison, a list of them or an expression in a system compares. Raises DefinitionError."""
    for leaf in _leaves(element):
        yield _comparison(space, leaf)


def _leaves(element: Element) -> Iterator[Element]:
    """The comparisons and conditions that all must hold."""
    if element.name in ("Comparison", "Condition"):
        yield element
    elif element.name == "BooleanExpression":
        yield from _leaves(element.needed("Condition", "ANDedConditions"))
    elif not element.children:
        raise element.error("is empty. Add a condition or remove it.")
    else:
        for child in element.children:
            yield from _leaves(child)


def _comparison(space: Space, element: Element) -> Comparison:
    if element.name == "Condition":
        reference, sign = element.needed("ParameterInstanceRef"), element.needed("ComparisonOperator").text.strip()
        text = element.needed("Value").text.strip()
    else:
        reference, sign = element, element.attributes.get("comparisonOperator", "==")
        text = element.needed_text("value").strip()
    if sign not in OPERATORS:
        raise element.error(f"the operator {sign!r} is none of {' '.join(OPERATORS)}. Correct it.")
    if reference.whole("instance", 0):
        raise reference.error("another instance than 0 is not supported. Remove it.")
    _, parameter = space.find("parameters", reference, "parameterRef")
    return Comparison(element, parameter, sign, text, reference.flag("useCalibratedValue", True))


def condition(comparison: Comparison, name: str, found: FieldType) -> list[Condition]:
    """A comparison of a field as conditions on what was sent. Raises DefinitionError."""
    element, sign = comparison.element, comparison.operator
    if found.kind not in ("uint", "int") or found.shape or found.size:
        raise element.error(f"{name} is no single whole number, so packets cannot be told by it. Use another field.")
    if not comparison.calibrated or found.calibrator is None:
        return [_made(comparison, name, sign, element.as_whole(comparison.text, "the value"))]
    labels = found.labels
    if labels is None:
        raise element.error(f'{name} is compared after calibration. Add useCalibratedValue="false" and the raw value.')
    text = _boolean(comparison.text, labels) if found.element.name == "BooleanParameterType" else comparison.text
    if text not in labels:
        raise element.error(f"{name} has no label {comparison.text!r}. Correct it.")
    return _of_label(comparison, name, labels[text])


def _boolean(text: str, labels: dict[str, list[tuple[int, int]]]) -> str:
    """The label of a truth value: XTCE allows xs:boolean for it too."""
    value = {"true": 1, "1": 1, "false": 0, "0": 0}.get(text.lower())
    return text if text in labels or value is None else list(labels)[value]  # zero comes first


def _of_label(comparison: Comparison, name: str, ranges: list[tuple[int, int]]) -> list[Condition]:
    """Conditions for the values that have a label: one value, or a range without holes."""
    low, high, sign = min(low for low, _ in ranges), max(high for _, high in ranges), comparison.operator
    if sign == "==" and high - low + 1 == sum(last - first + 1 for first, last in ranges):
        bounds = (("==", low),) if low == high else ((">=", low), ("<=", high))
        return [_made(comparison, name, bound, value) for bound, value in bounds]
    if sign not in ("==", "!=") or (sign == "!=" and low != high):
        raise comparison.element.error(
            f"{sign} with the label {comparison.text!r} is not supported. Compare raw values."
        )
    if low != high:
        raise comparison.element.error(f"the values of {comparison.text!r} have holes. Compare raw values.")
    return [_made(comparison, name, sign, low)]


def _made(comparison: Comparison, name: str, sign: str, value: int) -> Condition:
    if not -(2**63) <= value < 2**63:
        raise comparison.element.error(f"{value} is no number of 64 bits. Correct it.")
    return Condition.model_validate({"field": name, "operator": sign, "value": value})


@dataclass
class ValuesLeft:
    """The values of a whole number that conditions leave: from `low` to `high`, but not those of `without`."""

    low: int
    high: int
    without: set[int] = field(default_factory=set)

    def restrict(self, comparison: Comparison, made: Condition) -> None:
        """Leave only what meets one more condition. Raises DefinitionError if nothing does."""
        sign, value = made.operator, made.value
        if sign == "!=":
            self.without.add(value)
        if sign in ("==", ">=", ">"):
            self.low = max(self.low, value + (sign == ">"))
        if sign in ("==", "<=", "<"):
            self.high = min(self.high, value - (sign == "<"))
        few = self.high - self.low < len(self.without)
        if few and self.without.issuperset(range(self.low, self.high + 1)):
            raise comparison.element.error(
                f"no {made.field} is left that meets this and the other restrictions. Correct one."
            )


class FieldRestrictions:
    """The conditions on fields behind the primary header."""

    def __init__(self) -> None:
        self.when: list[Condition] = []
        self._left: dict[str, ValuesLeft] = {}

    def add(self, comparison: Comparison, name: str, found: FieldType) -> None:
        """Restrict a field. Raises DefinitionError."""
        for made in condition(comparison, name, found):
            low, high = number_range(found.kind, found.bits)
            self._left.setdefault(name, ValuesLeft(int(low), int(high))).restrict(comparison, made)
            self.when.append(made)


class HeaderRestrictions:
    """Which values of the fields of the primary header are left by the comparisons that were added."""

    def __init__(self) -> None:
        self.left = {name: set(range(2**bits)) for name, (_, bits) in HEADER.items() if name in _TELLING}
        self.when: list[Condition] = []
        self._more = {name: ValuesLeft(0, 2 ** HEADER[name][1] - 1) for name in HEADER_FIELDS if name not in _TELLING}

    def add(self, comparison: Comparison, names: tuple[str, ...], found: FieldType) -> None:
        """Restrict the header fields that a parameter of a type covers. Raises DefinitionError."""
        for made in condition(comparison, names[0], found):
            if len(names) > 1 and made.operator != "==":
                raise comparison.element.error(
                    "several header fields at once can only be compared by ==. Use one field."
                )
            for name, value in _parts(made.value, names):
                self._add(comparison, name, made.operator, value)

    def _add(self, comparison: Comparison, name: str, sign: str, value: int) -> None:
        element = comparison.element
        if name == "length":
            raise element.error("a restriction on the packet length is not supported. Restrict another field.")
        if name not in self.left:
            made = _made(comparison, name, sign, value)
            self._more[name].restrict(comparison, made)
            self.when.append(made)
            return
        self.left[name] = {known for known in self.left[name] if OPERATORS[sign](known, value)}
        if not self.left[name]:
            raise element.error(f"no {name} is left that meets this and the other restrictions. Correct one.")

    @property
    def restricts_apid(self) -> bool:
        """True if not every APID is left."""
        return len(self.left["apid"]) < 1 << HEADER["apid"][1]


_TELLING = ("version", "type", "secondary_header", "apid")


def _parts(value: int, names: tuple[str, ...]) -> list[tuple[str, int]]:
    """The value of each of several header fields that stand side by side; a negative value is in the first one."""
    found = []
    for name in reversed(names[1:]):
        width = HEADER[name][1]
        found.append((name, value % 2**width))
        value >>= width
    return [(names[0], value), *reversed(found)]

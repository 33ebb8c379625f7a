# SPDX-License-Identifier: Apache-2.0
"""Calibrators and enumerations of XTCE, as the rows that conversions read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import polars as pl

from lake.xtce.elements import Element

HIGHEST_POWER = 20
MOST_ROWS = 100_000  # of all calibrations of a file; a few ranges of values may stand for more than a memory holds


@dataclass(frozen=True)
class Calibrator:
    """How a value that was sent becomes a physical one or a label: the kind of conversion, and its rows.

    A row of states is a label for the values from `low` to `high`; the others are those of the calibration.
    """

    kind: str
    rows: tuple[dict[str, Any], ...]

    @property
    def height(self) -> int:
        """The number of rows that it gives to the calibration of each channel."""
        return sum(row["high"] - row["low"] + 1 for row in self.rows) if self.kind == "states" else len(self.rows)

    def calibration_rows(self) -> Iterator[dict[str, Any]]:
        """Its rows as conversions read them: states by value."""
        if self.kind != "states":
            yield from self.rows
            return
        for row in self.rows:
            yield from ({"value": value, "label": row["label"]} for value in range(row["low"], row["high"] + 1))


def read_calibrator(encoding: Element) -> Calibrator | None:
    """The calibrator of an encoding, if it has one. Raises DefinitionError."""
    default = encoding.first("DefaultCalibrator")
    if default is None:
        return None
    element = default.needed("PolynomialCalibrator", "SplineCalibrator")
    return _polynomial(element) if element.name == "PolynomialCalibrator" else _spline(element)


def _polynomial(element: Element) -> Calibrator:
    terms: dict[int, float] = {}
    for term in element.all("Term"):
        power = term.whole("exponent")
        if not 0 <= power <= HIGHEST_POWER:
            raise term.error(f"exponent {power} is not between 0 and {HIGHEST_POWER}. Correct it.")
        if power in terms:
            raise term.error(f"there is a term of exponent {power} already. Leave one.")
        terms[power] = term.number("coefficient")
    if not terms:
        raise element.error("has no Term. Add one.")
    return polynomial([terms.get(power, 0.0) for power in range(max(terms) + 1)])


def polynomial(coefficients: list[float]) -> Calibrator:
    """A polynomial without bounds, its lowest power first."""
    row = {"adc_min": None, "adc_max": None} | {f"c{power}": value for power, value in enumerate(coefficients)}
    return Calibrator("polynomial", (row,))


def _spline(element: Element) -> Calibrator:
    """Straight lines from point to point, or for order 0 the value of the point below."""
    order, extrapolate = element.whole("order", 1), element.flag("extrapolate", False)
    if order not in (0, 1):
        raise element.error(f"a spline of order {order} is not supported. Use order 0 or 1.")
    points = sorted(((p.number("raw"), p.number("calibrated"), p) for p in element.all("SplinePoint")), key=_raw)
    for _, _, point in points:
        if point.whole("order", order) != order:
            raise point.error(f"has another order than the spline, which is {order}. Make them the same.")
    for before, after in pairwise(points):
        if before[0] == after[0]:
            raise after[2].error(f"there is a point at raw {after[0]:g} already. Leave one.")
    if len(points) < 2:
        raise element.error(f"has {len(points)} points. Give two or more.")
    rows = ({"adc": raw, "value": value, "extrapolate": extrapolate} for raw, value, _ in points)
    return Calibrator("linear" if order else "steps", tuple(rows))


def _raw(point: tuple[float, float, Element]) -> float:
    return point[0]


def read_states(element: Element) -> Calibrator:
    """The labels of an enumerated type; a range of values gives each of them the label. Raises DefinitionError."""
    labels: list[tuple[int, int, str]] = []
    entries: list[Element] = []
    for entry in element.needed("EnumerationList").all("Enumeration"):
        low = entry.whole("value")
        high = entry.whole("maxValue", low)
        if low > high:
            raise entry.error(f"value {low} > maxValue {high}. Swap or correct them.")
        if not -(2**63) <= low <= high < 2**63:
            raise entry.error(f"{high} is no number of 64 bits. Correct it.")
        labels.append((low, high, read_label(entry, "label")))
        entries.append(entry)
    if not labels:
        raise element.error("its EnumerationList is empty. Add an Enumeration.")
    by_value = sorted(zip(labels, entries, strict=True), key=_low)
    for (before, _), ((low, _, _), entry) in pairwise(by_value):
        if low <= before[1]:
            raise entry.error(f"value {low} has a label already. Leave one.")
    return states(labels)


def _low(labelled: tuple[tuple[int, int, str], Element]) -> int:
    return labelled[0][0]


def read_label(element: Element, attribute: str, default: str = "") -> str:
    """A label. Raises DefinitionError for one that a CSV could not hold: empty, or with spaces around it."""
    text = element.attributes.get(attribute, default)
    if not text or text != text.strip() or not text.isprintable():
        raise element.error(f"{attribute} {text!r} is empty, or has spaces around it or signs. Correct it.")
    return text


def states(labels: list[tuple[int, int, str]]) -> Calibrator:
    """A label for each range of values, first and last included."""
    return Calibrator("states", tuple({"low": low, "high": high, "label": label} for low, high, label in labels))


def frame(kind: str, channels: list[tuple[str, Calibrator, str]]) -> pl.DataFrame:
    """The calibration table of one kind: the rows of each channel, with the unit of what they give."""
    rows = [
        {"channel": name, **row, "unit": unit} for name, found, unit in channels for row in found.calibration_rows()
    ]
    if kind == "polynomial":
        powers = max(sum(key.startswith("c") and key != "channel" for key in row) for row in rows)
        schema = {"channel": pl.String, "adc_min": pl.Float64, "adc_max": pl.Float64}
        schema |= {f"c{power}": pl.Float64 for power in range(powers)}
        rows = [{f"c{power}": 0.0 for power in range(powers)} | row for row in rows]
    elif kind == "states":
        schema = {"channel": pl.String, "value": pl.Int64, "label": pl.String}
    else:
        schema = {"channel": pl.String, "adc": pl.Float64, "value": pl.Float64, "extrapolate": pl.Boolean}
    return pl.DataFrame(rows, schema=schema | {"unit": pl.String})

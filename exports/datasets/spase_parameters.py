# SPDX-License-Identifier: Apache-2.0
"""The parameters of a SPASE record: one for each variable that holds numbers, in the order of the schema 2.7."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from exports.cdf.spec import Attribute
from exports.datasets.dataset import Dataset
from exports.istp.variable import Variable
from lake.definitions import Axis

Parts: TypeAlias = Sequence[tuple[str, "str | Parts"]]

# The keywords of each kind of parameter in the order of their elements.
KINDS = {
    "Field": ("Qualifier", "FieldQuantity"),
    "Particle": ("ParticleType", "Qualifier", "ParticleQuantity"),
    "Wave": ("WaveType", "Qualifier", "WaveQuantity"),
    "Mixed": ("MixedQuantity", "ParticleType", "Qualifier"),
    "Support": ("Qualifier", "SupportQuantity"),
}
# Frames that SPASE knows by this name. An instrument's own is told by the attribute COORDINATE_SYSTEM alone.
FRAMES = ("GEI", "GEO", "GSE", "GSM", "HAE", "HCI", "HEE", "HEEQ", "J2000", "MAG", "RTN", "SM", "WGS84")
DISPLAYS = {"time_series": "TimeSeries", "spectrogram": "Spectrogram", "stack_plot": "StackPlot", "image": "Image"}
SCALES = {"linear": "LinearScale", "log": "LogScale"}


def parameter(dataset: Dataset, variable: Variable) -> Parts:
    """A variable as a SPASE parameter; what it lacks is left out."""
    found = {attribute.name: attribute for attribute in variable.spec.attributes}
    cadence = dataset.structure.table.cadence_seconds if variable.column else None
    parts: list[tuple[str, str | Parts]] = [
        ("Name", _text(found, "CATDESC")),
        ("ParameterKey", variable.spec.name),
        ("Description", _text(found, "VAR_NOTES")),
        ("Cadence", f"PT{cadence:.12g}S" if cadence else ""),
        ("Units", _text(found, "UNITS").strip()),
        ("UnitsConversion", _text(found, "SI_CONVERSION")),
        ("CoordinateSystem", _frame(found)),
        ("RenderingHints", _hints(found)),
        ("Structure", _structure(dataset, variable)),
        *((name, _number(found, attribute)) for name, attribute in LIMITS),
        _keyword(_text(found, "DICT_KEY")),
    ]
    return [(name, value) for name, value in parts if value]


LIMITS = (("ValidMin", "VALIDMIN"), ("ValidMax", "VALIDMAX"), ("FillValue", "FILLVAL"))


def _text(found: dict[str, Attribute], name: str) -> str:
    return str(found[name].value) if name in found else ""


def _number(found: dict[str, Attribute], name: str) -> str:
    value = found[name].value if name in found else ()
    return value if isinstance(value, str) else " ".join(str(number) for number in value)


def _frame(found: dict[str, Attribute]) -> Parts:
    frame = _text(found, "COORDINATE_SYSTEM")
    known = frame in FRAMES
    return [("CoordinateRepresentation", "Cartesian"), ("CoordinateSystemName", frame)] if known else []


def _hints(found: dict[str, Attribute]) -> Parts:
    if "DISPLAY_TYPE" not in found:
        return []
    hints = [
        ("DisplayType", DISPLAYS.get(_text(found, "DISPLAY_TYPE"), "")),
        ("AxisLabel", _text(found, "LABLAXIS")),
        ("ValueFormat", _text(found, "FORMAT")),
        ("ScaleType", SCALES[_text(found, "SCALETYP")]),
    ]
    return [(name, text) for name, text in hints if text]


def _structure(dataset: Dataset, variable: Variable) -> Parts:
    """Sizes of a record with several values, the axes in words, and the components of a vector by name."""
    spec, table = variable.spec, dataset.structure.table
    if not spec.dims:
        return []
    sizes = ("Size", " ".join(str(size) for size in spec.dims))
    if variable.column is None:
        return [sizes]
    axes = [table.axis(name) for name in variable.column.axes]
    words = ("Description", "Axes: " + "; ".join(f"{axis.name}, {axis.description}" for axis in axes))
    return [sizes, words, *(_elements(axes[0]) if len(axes) == 1 else [])]


def _elements(axis: Axis) -> list[tuple[str, Parts]]:
    return [("Element", [("Name", label), ("Index", str(i))]) for i, label in enumerate(axis.labels, 1)]


def _keyword(key: str) -> tuple[str, Parts]:
    """`SPASE>Particle>ParticleType:Proton_Ion,ParticleQuantity:Counts` as an element with its parts in their order."""
    kind, _, pairs = key.removeprefix("SPASE>").partition(">")
    given = dict(pair.split(":") for pair in pairs.split(","))
    return kind, [(name, value) for name in KINDS[kind] if name in given for value in given[name].split("_")]

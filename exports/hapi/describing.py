# SPDX-License-Identifier: Apache-2.0
"""What HAPI's `info` says of a dataset and of its parameters, from the attributes that its CDF files have."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from exports.hapi.fields import Field, cells
from exports.hapi.holdings import Dataset
from exports.hapi.times import LENGTH, text
from exports.istp.variable import Variable
from lake.clock import NS
from lake.definitions import Axis, Column

Document = dict[str, Any]

SAMPLE_RECORDS = 1000  # about as many are in the sample that clients may try
DAY_SECONDS = 86400
TITLE_LENGTH = 40  # that HAPI suggests for a catalog
LOCATIONS = {0.0: "begin", 0.5: "center", 1.0: "end"}
UNITS = "astropy3"  # reads all units of the definitions
CARTESIAN = ("x", "y", "z")


def title(dataset: Dataset) -> str:
    """A few words for a list of datasets."""
    return textwrap.shorten(dataset.product.title, TITLE_LENGTH, placeholder="")


def info(dataset: Dataset, fields: Sequence[Field], longest_records: int) -> Document:
    """The description of a dataset with these of its fields, without status.

    `longest_records` is how many records one request may give, of which follows how long a time it may ask for.
    """
    days, product, attributes = dataset.days, dataset.product, dict(dataset.structure.global_attributes)
    first, last = sample(dataset)
    known = {
        "startDate": _day(days[0].start),
        "stopDate": _day(days[-1].stop),
        "sampleStartDate": first,
        "sampleStopDate": last,
        "cadence": _duration(dataset.table.cadence_seconds),
        "maxRequestDuration": _longest(dataset, longest_records),
        "unitsSchema": UNITS,
        "timeStampLocation": LOCATIONS.get(product.bin_location, "other"),
        "description": " ".join((attributes["TITLE"][0] + ".", *attributes["TEXT"])),
        "resourceID": product.spase_id or product.doi,
        "resourceURL": next(iter(attributes["HTTP_LINK"]), None),
        "datasetCitation": product.doi,
        "contact": ", ".join(attributes["PI_name"]),
        "modificationDate": f"{max(day.published_at for day in days).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "provenance": f"The values are those of the newest CDF file of {dataset.id} of each day.",
        "note": [*attributes["Rules_of_use"], *attributes["Acknowledgement"]],
        "x_table": dataset.table.address,
        "parameters": [parameter(dataset, field) for field in fields],
    }
    return {name: value for name, value in known.items() if value is not None}


def _longest(dataset: Dataset, records: int) -> str | None:
    """How long a time has so many records on the busiest day; None if a request may ask for all that there is."""
    if sum(day.records for day in dataset.days) <= records:
        return None
    seconds = records * DAY_SECONDS // max(day.records for day in dataset.days)
    return f"P{seconds // DAY_SECONDS}D" if seconds >= DAY_SECONDS else f"PT{max(1, seconds)}S"


def _day(tt2000: int) -> str:
    return f"{text(tt2000)[:10]}Z"


def sample(dataset: Dataset) -> tuple[str, str]:
    """The first records of the last day, in whole seconds."""
    day = dataset.days[-1]
    start = day.start + (day.first_tt2000 - day.start) // NS * NS
    seconds = max(1, (day.last_tt2000 - start) * SAMPLE_RECORDS // (max(1, day.records) * NS))
    return _second(start), _second(min(day.stop, start + seconds * NS))


def _second(tt2000: int) -> str:
    return f"{text(tt2000)[:19]}Z"


def _duration(seconds: float | None) -> str | None:
    return None if seconds is None else f"PT{seconds:.9f}".rstrip("0").rstrip(".") + "S"


def parameter(dataset: Dataset, field: Field) -> Document:
    """One parameter: type, size, units, fill value, words, and the values of its axes."""
    words = _of_axis(field, field.axis) if field.axis else _of_variable(dataset, field)
    units = "UTC" if field.kind == "isotime" else words.pop("units")
    length = LENGTH if field.kind == "isotime" else None
    needed = {"name": field.name, "type": field.kind, "units": units, "fill": field.fill}
    more = {"length": length, "size": list(field.size) or None} | words
    return needed | {name: value for name, value in more.items() if value is not None and name != "units"}


def _of_axis(field: Field, axis: Axis) -> Document:
    what = "" if field.part == "centers" else "Borders of the cells. "
    return {"units": axis.unit or None, "description": f"{what}{axis.description}", "label": axis.label}


def _of_variable(dataset: Dataset, field: Field) -> Document:
    variable = field.variable
    if variable is None or variable.column is None:
        return {}
    texts = {a.name: a.value for a in variable.spec.attributes if isinstance(a.value, str)}
    frame = texts.get("COORDINATE_SYSTEM")
    return {
        "units": texts.get("UNITS", "").strip() or None,
        "description": _description(variable, variable.column, texts),
        "label": _label(dataset, variable, variable.column, texts.get("LABLAXIS")),
        "coordinateSystemName": frame,
        "vectorComponents": _components(dataset, variable.column) if frame else None,
        "bins": _bins(dataset, variable.column),
    }


def _description(variable: Variable, column: Column, texts: dict[str, str]) -> str:
    """The column's words; of flags what each bit means, too; of the reach of a record those of its variable."""
    if column.name == "quality_flag":
        return f"{texts['CATDESC']}. {texts.get('VAR_NOTES', '')}".strip()
    return " ".join(column.description.split()) if variable.spec.name == column.name else texts["CATDESC"]


def _label(dataset: Dataset, variable: Variable, column: Column, label: str | None) -> str | list[str]:
    """One label, or one for each component of a vector."""
    if label is not None:
        return label
    axis = dataset.newest.axis(column.axes[0])
    return list(axis.labels) if axis.labels and len(column.axes) == 1 else column.label or variable.spec.name


def _components(dataset: Dataset, column: Column) -> list[str] | None:
    labels = dataset.newest.axis(column.axes[0]).labels
    return [label if label in CARTESIAN else "other" for label in labels] if labels else None


def _bins(dataset: Dataset, column: Column) -> list[Document] | None:
    """The values along each dimension; none where all dimensions have names alone."""
    axes = [dataset.newest.axis(name) for name in column.axes]
    return [_bin(dataset, axis) for axis in axes] if not all(axis.labels for axis in axes) else None


def _bin(dataset: Dataset, axis: Axis) -> Document:
    """One dimension: its values, or the name of the parameter that has them where they change with time."""
    words = {"name": axis.name, "units": axis.unit or None, "label": axis.label, "description": axis.description}
    if axis.labels:
        return words | {"centers": None}  # cells with names, which are no bins
    ranges = axis.minus != ()
    if axis in dataset.varying:
        return words | {"centers": axis.name} | ({"ranges": f"{axis.name}_ranges"} if ranges else {})
    return (
        words
        | {"centers": cells(axis, "centers").tolist()}
        | ({"ranges": cells(axis, "ranges").tolist()} if ranges else {})
    )

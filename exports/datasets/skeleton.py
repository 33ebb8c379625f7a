# SPDX-License-Identifier: Apache-2.0
"""A listing of a dataset's master in the manner of a skeleton table, for people to read and compare."""

from __future__ import annotations

from collections.abc import Iterator

from exports.cdf.spec import Attribute, VariableSpec
from exports.datasets.dataset import Dataset
from exports.datasets.master import master_globals, master_name
from exports.istp.variable import Variable


def skeleton(dataset: Dataset) -> str:
    """Header, global attributes, and each variable with its attributes and, if it is constant, its values."""
    return "\n".join([*_header(dataset), *_globals(dataset), *_local_names(dataset), *_variables(dataset), "#end", ""])


def _header(dataset: Dataset) -> Iterator[str]:
    variables = dataset.structure.variables
    local = {attribute.name for variable in variables for attribute in variable.spec.attributes}
    yield f'! Skeleton table of the dataset "{dataset.name}", made from its definition.'
    yield ""
    yield "#header"
    yield f"                       CDF NAME: {master_name(dataset)}"
    yield "                  DATA ENCODING: IBMPC"
    yield f"                       MAJORITY: {dataset.structure.majority.upper()}"
    yield "                         FORMAT: SINGLE"
    yield f"                     zVARIABLES: {len(variables)}"
    yield f"              GLOBAL ATTRIBUTES: {len(master_globals(dataset))}"
    yield f"            VARIABLE ATTRIBUTES: {len(local)}"
    yield ""


def _globals(dataset: Dataset) -> Iterator[str]:
    yield "#GLOBALattributes"
    yield ""
    for name, texts in master_globals(dataset):
        lead = f'"{name}"'
        for number, text in enumerate(texts, 1):
            yield f"{lead:<28} {number:>3}: CDF_CHAR {_quoted(text)}{'.' if number == len(texts) else ''}"
            lead = ""
    yield ""


def _local_names(dataset: Dataset) -> Iterator[str]:
    yield "#VARIABLEattributes"
    yield ""
    attributes = (a.name for variable in dataset.structure.variables for a in variable.spec.attributes)
    yield from (f'"{name}"' for name in dict.fromkeys(attributes))
    yield ""


def _variables(dataset: Dataset) -> Iterator[str]:
    yield "#variables"
    yield ""
    yield "! No rVariables."
    yield ""
    yield "#zVariables"
    yield ""
    yield "! name, type, elements, dimensions, sizes, record variance, dimension variances"
    for variable in dataset.structure.variables:
        yield ""
        yield _declaration(variable.spec)
        yield from (_attribute(attribute) for attribute in variable.spec.attributes)
        yield from _values(variable)
    yield ""


def _declaration(spec: VariableSpec) -> str:
    numbers = " ".join(str(number) for number in (spec.elements, len(spec.dims), *spec.dims))
    variances = " ".join(["T" if spec.record_variance else "F", *(["T" * len(spec.dims)] if spec.dims else [])])
    packed = f"  ! gzip {spec.compression}" if spec.compression else ""
    return f'"{spec.name}" {spec.type} {numbers} {variances}{packed}'


def _attribute(attribute: Attribute) -> str:
    value = attribute.value
    text = _quoted(value) if isinstance(value, str) else "{ " + ", ".join(str(number) for number in value) + " }"
    return f'  "{attribute.name}" {attribute.type} {text}'


def _values(variable: Variable) -> Iterator[str]:
    """One line for each value of a constant, numbered from 1."""
    if variable.column is not None:
        yield "  ! no records"
        return
    for number, value in enumerate(variable.constant()[0], 1):
        text = f'"{value.decode("ascii")}"' if isinstance(value, bytes) else str(value)
        yield f"  [{number}] = {text}"


def _quoted(text: str) -> str:
    return '{ "' + text.replace('"', '""') + '" }'

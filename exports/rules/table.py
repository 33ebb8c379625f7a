# SPDX-License-Identifier: Apache-2.0
"""Rules that compare a file with the rows of its table, which no rule about the file alone can see: T01 to T03.

The values are converted here once more, in another way than the writer does it, so that an error there is seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from exports.cdf.reader import CdfReader, Values, VariableInfo
from exports.istp.structure import Structure
from exports.istp.variable import Variable
from exports.rules.attributes import FLOATS
from exports.rules.data import summary
from exports.rules.nouns import Findings, error
from exports.rules.numbers import FILLS
from exports.table_rows import Footer, TableRows

EXPORT = "Export the day again; if it comes back, the writer is wrong"


def against_table(file: CdfReader, structure: Structure, rows: TableRows) -> Findings:
    """T01 to T03: what is in the file is what is in the table."""
    for variable in structure.variables:
        spec = variable.spec
        found = file.variables.get(spec.name)
        if variable.column is None or found is None or (found.type, found.dims) != (spec.type, spec.dims):
            continue  # a constant, or M01 and M02 say so
        if found.records != rows.records:
            what = f"has {found.records} records, the table {rows.records} rows"
            yield error("T01", found.name, what, EXPORT)
            continue
        yield from _summaries(file, found, variable, rows.footer(variable.column.name))
        yield from _samples(file, found, variable, rows)


def _summaries(file: CdfReader, found: VariableInfo, variable: Variable, footer: Footer | None) -> Findings:
    if footer is None:
        return
    known = summary(file, found)
    # Footers do not count NaN, which is a fill value in the file too.
    if known.fills != footer.nulls and not (_is_float(variable) and known.fills > footer.nulls):
        yield error("T02", found.name, f"has {known.fills} fill values, the table {footer.nulls} nulls", EXPORT)
    pairs = (("smallest", known.low, footer.low), ("largest", known.high, footer.high))
    for word, is_, number in pairs:
        wanted = _number(number, variable.factor)
        if is_ != wanted:
            yield error("T02", found.name, f"its {word} value is {is_}, the table's {wanted}", EXPORT)


def _is_float(variable: Variable) -> bool:
    return variable.column is not None and variable.column.type.startswith("float")


def _number(value: float | None, factor: float | None) -> float | None:
    return value if value is None or factor is None else round(value * factor)


def _samples(file: CdfReader, found: VariableInfo, variable: Variable, rows: TableRows) -> Findings:
    if variable.column is None:
        return
    for start, column in rows.samples(variable.column.name, found.record_bytes):
        wanted = expected(found, column, variable.factor)
        values = file.values(found.name, start, start + len(column)).reshape(len(column), -1)
        unlike = (values != wanted).any(axis=1)
        if unlike.any():
            record, cell = int(unlike.argmax()), int((values != wanted)[unlike.argmax()].argmax())
            what = (
                f"record {start + record} is {values[record, cell]} in cell {cell}, the table's {wanted[record, cell]}"
            )
            yield error("T03", found.name, what, EXPORT)
            return


def expected(found: VariableInfo, column: Any, factor: float | None) -> Values:
    """The rows of a column as the file has to hold them, of shape (n, cells)."""
    cells = int(np.prod(found.dims, dtype=np.int64))
    (fill,) = FILLS[found.type]
    wanted = np.full((len(column), cells), fill, found.dtype)
    for i in range(len(column)) if found.dims else ():
        if column[i].is_valid:
            wanted[i] = _cells(column[i].values, fill, found, factor)
    if not found.dims:
        wanted[:, 0] = _cells(column, fill, found, factor)
    return wanted


def _cells(array: Any, fill: float, found: VariableInfo, factor: float | None) -> Values:
    cells: Values = np.full(len(array), fill, found.dtype)
    present = array.is_valid().to_numpy(zero_copy_only=False)
    numbers = array.drop_null().to_numpy(zero_copy_only=False)
    is_nan = np.isnan(numbers) if numbers.dtype.kind == "f" else np.zeros(len(numbers), np.bool_)
    if factor is not None:
        numbers = np.array([fill if v != v else round(v * factor) for v in numbers.tolist()], found.dtype)  # noqa: PLR0124
    elif found.type in FLOATS:
        numbers = np.where(is_nan, numbers.dtype.type(fill), numbers)
    cells[present] = numbers
    return cells

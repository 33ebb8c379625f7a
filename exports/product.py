# SPDX-License-Identifier: Apache-2.0
"""Writes one day of a product as a CDF file, and validates it."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cdflib

from exports.cdf.checksum import checksum_is_right
from exports.cdf.file import CdfFile
from exports.cdf.spec import VariableSpec
from exports.istp.globals import Edition
from exports.istp.structure import Structure
from exports.istp.variable import EPOCH, Variable
from exports.values import Piece, in_order, in_range, pieces
from lake.errors import ExportError
from lake.files import sha256_of, sync

log = logging.getLogger(__name__)

# A column's values by its name, as pyarrow Arrays or ChunkedArrays in record order.
Batches = Callable[[str], Iterator[Any]]


@dataclass(frozen=True)
class WrittenProduct:
    """A file that was written and validated, still aside."""

    path: Path
    bytes: int
    sha256: str
    records: int


def write_product(structure: Structure, path: Path, batches: Batches, records: int, edition: Edition) -> WrittenProduct:
    """Write and validate one day of a product; equal inputs give equal bytes.

    `path` is a new name that ends in .cdf, in a folder aside. `batches` is called once per column, in the order of
    `structure.columns`; each call yields `records` values in record order.

    Raises
    ------
    ExportError
        Values of another type than the column's, outside its valid range, or of another day; times that go back;
        more or fewer values than `records`; a file that does not validate. No file is left then.
    """
    specs = [variable.spec for variable in structure.variables]
    with CdfFile(path, structure.attributes(edition), specs, structure.majority) as file:
        for variable in structure.variables:
            _write_variable(structure, file, variable, batches, records, edition)
    try:
        validate_cdf(path, structure, records)
        sync(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    written = WrittenProduct(path, path.stat().st_size, sha256_of(path), records)
    log.info(
        "export product=%s day=%s records=%d bytes=%d", structure.table.address, edition.day, records, written.bytes
    )
    return written


def validate_cdf(path: Path, structure: Structure, records: int) -> None:
    """Open a closed file again and compare it with its structure; ExportError at the first difference.

    Checks the MD5 checksum, the variables, their order, types, sizes and numbers of records, and reads the last block
    of each compressed variable, which is found only if the index is right.
    """
    # First of all, because a reader that believes a damaged length may ask for all the memory there is.
    if not checksum_is_right(path):
        raise ExportError(f"{path.name}: cannot be read back (wrong MD5 checksum). Write it again")
    try:
        file = cdflib.CDF(path)
        info = file.cdf_info()
        if not info.Checksum or info.zVariables != [variable.spec.name for variable in structure.variables]:
            raise ExportError(f"{path.name}: no checksum, or other variables: {info.zVariables}. Write it again")
        for variable in structure.variables:
            _validate_variable(file, path, variable.spec, records if variable.column else 1)
    except (OSError, ValueError, KeyError, IndexError, zlib.error) as error:
        raise ExportError(f"{path.name}: cannot be read back ({error}). Write it again") from error


def _write_variable(
    structure: Structure, file: CdfFile, variable: Variable, batches: Batches, records: int, edition: Edition
) -> None:
    name = variable.spec.name
    if variable.column is None:
        with file.records(name, 1) as constant:
            constant.append(variable.constant())
        return
    where = f"product {structure.table.address}, day {edition.day}, column {variable.column.name}"
    parts: Iterator[Piece] = pieces(where, variable, batches(variable.column.name))
    if name == EPOCH:
        parts = in_order(where, parts, edition.day, strict=structure.table.order == "strict")
    with file.records(name, records) as stream:
        for piece in in_range(where, variable, parts):
            stream.append(piece.rows)


def _validate_variable(file: Any, path: Path, spec: VariableSpec, records: int) -> None:
    found = file.varinq(spec.name)
    shape = (found.Data_Type_Description, tuple(found.Dim_Sizes), found.Num_Elements, found.Rec_Vary)
    expected = (spec.type, spec.dims, spec.elements, spec.record_variance)
    if shape != expected or found.Last_Rec + 1 != records:
        raise ExportError(
            f"{path.name}: variable {spec.name} is {shape} with {found.Last_Rec + 1} records, "
            f"not {expected} with {records}. Write it again"
        )
    if found.Compress and records:
        file.varget(spec.name, startrec=records - 1, endrec=records - 1)

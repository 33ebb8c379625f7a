# SPDX-License-Identifier: Apache-2.0
"""Rows of Parquet files, known by their number: values are cast to the types of the fields, exactly or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ingest.record.columns import arrow_type, nulls, object_column
from ingest.record.csv_files import Unlisted, header_of
from ingest.record.piece import Column, Piece, Places, sifted
from lake.errors import RecordFileError
from lake.packet_definitions import INTEGER_BITS
from lake.source_definitions import RecordField

ROWS_AT_A_TIME = 1 << 16
Mask = NDArray[np.bool_]


def parquet_pieces(
    path: Path, fields: Sequence[RecordField], unlisted: Unlisted, rows_at_a_time: int = ROWS_AT_A_TIME
) -> Iterator[Piece]:
    """Pieces of a Parquet file; offsets are row numbers from 0, bad rows have no bytes, and the file's are all decoded.

    Raises RecordFileError if its columns are not those of the fields, or its bytes are damaged, which may show late.
    """
    try:
        yield from _pieces(path, fields, unlisted, rows_at_a_time)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno:  # the disk's fault, not the file's
            raise
        reason = " ".join(str(error).split())[:200]
        raise RecordFileError(f"is damaged, or no Parquet file ({reason}). Ask for it again") from None


def _pieces(path: Path, fields: Sequence[RecordField], unlisted: Unlisted, count: int) -> Iterator[Piece]:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema = file.schema_arrow
        header = header_of(list(schema.names), fields, unlisted)
        for field, place in zip(fields, header.places, strict=True):
            if place is not None and not _fits(field, schema.field(place).type):
                raise RecordFileError(
                    f"has {schema.field(place).type} in column {field.header}, which is no {field.type}"
                    f"{' list' if field.list else ''}. Correct the field's type"
                )
        first = 0
        for batch in file.iter_batches(count, columns=[schema.names[place] for place in header.used]):
            batch.validate(full=False)
            taken = {name: batch.column(i) for i, name in enumerate(batch.schema.names)}
            columns = {
                field.name: nulls(field, len(batch)) if place is None else _column(field, taken[schema.names[place]])
                for field, place in zip(fields, header.places, strict=True)
            }
            numbers = np.arange(first, first + len(batch))
            if len(batch):
                yield sifted(fields, columns, Places(numbers, np.zeros_like(numbers), numbers))
            first += len(batch)
    yield Piece(decoded=path.stat().st_size)


def _fits(field: RecordField, kind: pa.DataType) -> bool:
    """True if values of a type may be values of a field."""
    if field.list:
        lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        return lists and _fits(field.model_copy(update={"list": False}), kind.value_type)
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if field.type in (*INTEGER_BITS, "float32", "float64"):
        return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
    tests = {
        "bool": (pa.types.is_boolean,),
        "string": (pa.types.is_string, pa.types.is_large_string),
        "binary": (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary),
        "date": (pa.types.is_date32,),
        "timestamp": (pa.types.is_timestamp,),
    }
    return any(test(kind) for test in tests[field.type])


def _column(field: RecordField, values: pa.Array) -> Column:
    """A column of the file as one of the field's type, with an error in each row where that cannot be."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if field.list:
        return _lists(field, values)
    column = _cast(field, values)
    missing = {} if field.nullable else _where(values.is_null(), "has no value, and the field needs one", values)
    return Column(column.values, {**column.errors, **missing})


def _cast(field: RecordField, values: pa.Array) -> Column:
    """Values in the field's type; null is null."""
    if field.type == "string":
        return _text(field, values.cast(pa.binary()))
    kind = arrow_type(field)
    if field.type == "timestamp":
        return _times(values, kind)
    if field.type in INTEGER_BITS:
        return _integers(field, values, kind)
    if field.type in ("float32", "float64"):
        return _reals(field, values, kind)
    return Column(values.cast(kind), {})


def _integers(field: RecordField, values: pa.Array, kind: pa.DataType) -> Column:
    half = 1 << INTEGER_BITS[field.type] - 1
    if pa.types.is_floating(values.type):
        values = values.cast(pa.float64())
        numbers = np.asarray(values.fill_null(0))
        odd = ~((np.floor(numbers) == numbers) & (numbers >= -float(half)) & (numbers < float(half)))
        return _without(values, kind, odd, f"is no whole number that fits {field.type}")
    if pa.types.is_unsigned_integer(values.type):
        odd = np.asarray(values.fill_null(0)) >= np.uint64(half)
    else:
        wide = np.asarray(values.cast(pa.int64()).fill_null(0))
        odd = (wide < -half) | (wide >= half)
    return _without(values, kind, odd, f"does not fit {field.type}")


def _reals(field: RecordField, values: pa.Array, kind: pa.DataType) -> Column:
    real = values.cast(pa.float64(), safe=False)
    numbers = np.asarray(real.fill_null(0))
    with np.errstate(over="ignore"):
        odd = np.isfinite(numbers) & np.isinf(numbers.astype(field.type))
    return _without(real, kind, odd, f"does not fit {field.type}")


def _without(values: pa.Array, kind: pa.DataType, odd: Mask, wrong: str) -> Column:
    """Values in another type, those that are odd as null with an error."""
    errors = _where(pa.array(odd), wrong, values)
    kept = pc.if_else(pa.array(~odd), values, pa.scalar(None, values.type)) if errors else values
    return Column(kept.cast(kind, safe=False), errors)


def _times(values: pa.Array, kind: pa.DataType) -> Column:
    micro = values.cast(pa.timestamp("us", values.type.tz), safe=False)
    back = pc.fill_null(pc.equal(micro.cast(values.type), values), True)
    finer = ~np.asarray(back.to_numpy(zero_copy_only=False), np.bool_)
    return Column(
        micro.cast(pa.int64()).cast(kind),
        _where(pa.array(finer), "is finer than a microsecond", values.cast(pa.int64())),
    )


def _text(field: RecordField, values: pa.Array) -> Column:
    """Text, which Parquet does not promise to be UTF-8; without a letter it is null where it may be."""
    try:
        text = values.cast(pa.string())
    except pa.ArrowInvalid:
        return _each_text(field, values)
    empty = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text) if field.nullable else text
    return Column(empty, {})


def _each_text(field: RecordField, values: pa.Array) -> Column:
    texts: list[str | None] = []
    errors: dict[int, tuple[str, object]] = {}
    for row, cell in enumerate(values.to_pylist()):
        try:
            texts.append(None if cell is None else cell.decode())
        except UnicodeDecodeError:
            texts.append(None)
            errors[row] = ("is not UTF-8", cell)
    read = object_column(field.model_copy(update={"nullable": True}), texts)
    return Column(read.values, errors)


def _lists(field: RecordField, values: pa.Array) -> Column:
    """Lists, in which no item may be odd; null is null."""
    values = values.cast(pa.list_(values.type.value_type))
    sizes = np.asarray(pc.fill_null(pc.list_value_length(values), 0))
    rows = np.repeat(np.arange(len(values)), sizes)  # null lists of a fixed size have items too, which do not count
    items = _cast(field.model_copy(update={"list": False}), values.flatten())
    errors = {int(rows[item]): (f"has an item that {wrong}", cell) for item, (wrong, cell) in items.errors.items()}
    if not field.nullable:
        empty = np.asarray(values.flatten().is_null().to_numpy(zero_copy_only=False), np.bool_)
        errors |= dict.fromkeys(rows[empty].tolist(), ("has an item without a value", None))
        errors |= _where(values.is_null(), "has no value, and the field needs one", values)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
    lists = pa.ListArray.from_arrays(offsets, items.values, mask=values.is_null())
    return Column(lists, errors)


def _where(wrong: pa.BooleanArray, text: str, values: pa.Array) -> dict[int, tuple[str, object]]:
    rows = np.flatnonzero(np.asarray(wrong.to_numpy(zero_copy_only=False), np.bool_)).tolist()
    return {row: (text, values[row].as_py()) for row in rows}

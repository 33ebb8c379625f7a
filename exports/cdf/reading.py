# SPDX-License-Identifier: Apache-2.0
"""An ISTP CDF as a polars DataFrame: records as rows, fill values as null, and beside it what explains the columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from exports.cdf.reader import CdfReader, Entry, Values, VariableInfo
from exports.cdf.records import TEXT_TYPES, TIME_TYPES
from lake.clock import tt2000_from_unix_ns, unix_ns_from_tt2000
from lake.errors import ExportError

# CDF_EPOCH counts milliseconds, CDF_EPOCH16 seconds and picoseconds from year 0 of the Gregorian calendar.
YEAR_0_TO_1970_MS = 62_167_219_200_000
NS_PER_MS, NS_PER_S, PS_PER_NS = 1_000_000, 1_000_000_000, 1000
# Fill, pad and "not a time" of CDF_TIME_TT2000 are the smallest numbers; NASA's library writes no time below them.
LAST_OF_NO_TIME = -(2**63) + 2
# 64-bit nanoseconds end in 1677 and 2262; a margin of a day holds all offsets of time scales.
UNIX_NS_LIMIT = 2**63 - 86_400 * NS_PER_S
UTC_COLUMN = "time"

Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class CdfTable:
    """The records of one time variable of a CDF, and what explains them.

    Attributes
    ----------
    frame : one row per record. `time` is UTC to the microsecond (`time_utc` where the file has a variable `time`). All
        time variables are TT2000 [ns] in int64, whatever they are in the file; before 1972, when UTC had no leap
        seconds, `time` is right and TT2000 is off by some seconds for files with CDF_EPOCH, the other way round for
        files with TT2000. Arrays are pl.Array of the shape of a record, text is without the blanks behind it.
    epoch : name of the time variable; empty where only constants were asked for, and the frame is, too
    units, labels : UNITS (or those of each cell, by UNIT_PTR), LABLAXIS (or those of each cell, by LABL_PTR_1) by
        variable
    shapes, axes : shape of a record, and names of the variables in DEPEND_1, DEPEND_2, ..., by variable
    constants : variables with one value for the file, as arrays (fill values of floats as NaN) or lists of text
    attributes, globals : all attributes as they stand in the file
    left_out : variables that vary otherwise than by the epoch, each with the reason
    """

    frame: pl.DataFrame
    epoch: str
    units: dict[str, str | list[str]]
    labels: dict[str, str | list[str]]
    shapes: dict[str, tuple[int, ...]]
    axes: dict[str, tuple[str, ...]]
    constants: dict[str, Any]
    attributes: dict[str, dict[str, Any]] = field(repr=False)
    globals: dict[str, tuple[Any, ...]] = field(repr=False)
    left_out: dict[str, str] = field(default_factory=dict)


def read_table(path: Path, variables: Sequence[str] | None, epoch: str | None, valid: bool) -> CdfTable:
    """As exports.cdf.read."""
    with CdfReader(path) as file:
        if file.checksum_is_right is False:
            raise ExportError(f"{path}: is damaged (wrong MD5 checksum). Fetch it again")
        wanted = _wanted(file, variables)
        if variables and not wanted and epoch is None:
            return _table(file, pl.DataFrame(), "", [], {})  # constants alone, which have no times
        main = _main_epoch(file, wanted, epoch)
        fitting, left_out = _by_epoch(file, wanted, main)
        if variables and left_out:
            raise ExportError(f"{path}: {'; '.join(f'{name} {why}' for name, why in left_out.items())}. Read it alone")
        columns = [_column(file, file.variables[name], main.records, valid) for name in fitting]
        return _table(file, pl.DataFrame([_utc(columns[0], file.variables), *columns]), main.name, fitting, left_out)


def _table(file: CdfReader, frame: pl.DataFrame, epoch: str, names: list[str], left_out: dict[str, str]) -> CdfTable:
    """The frame with what explains its columns, `names`, and the constants."""
    constants = {name: _constant(file, info) for name, info in file.variables.items() if not info.record_variance}
    infos = [file.variables[name] for name in (*names, *constants)]
    return CdfTable(
        frame=frame,
        epoch=epoch,
        units={info.name: found for info in infos if (found := _words(info, "UNITS", "UNIT_PTR", constants))},
        labels={info.name: found for info in infos if (found := _words(info, "LABLAXIS", "LABL_PTR_1", constants))},
        shapes={info.name: info.dims for info in infos},
        axes={info.name: _axes(info) for info in infos if _axes(info)},
        constants=constants,
        attributes={info.name: {n: _plain(e) for n, e in info.attributes.items()} for info in infos},
        globals={name: tuple(_plain(entry) for entry in entries) for name, entries in file.globals.items()},
        left_out=left_out,
    )


def _wanted(file: CdfReader, names: Sequence[str] | None) -> list[VariableInfo]:
    """The variables asked for that vary by record."""
    missing = [name for name in names or () if name not in file.variables]
    if missing:
        raise ExportError(f"{file.path}: has no variable {', '.join(missing)}. It has {', '.join(file.variables)}")
    twice = [name for name, count in Counter(names or ()).items() if count > 1]
    if twice:
        raise ExportError(f"{file.path}: {', '.join(twice)} is asked for more than once. Name each variable once")
    return [
        file.variables[n] for n in (file.variables if names is None else names) if file.variables[n].record_variance
    ]


def _main_epoch(file: CdfReader, wanted: Sequence[VariableInfo], asked: str | None) -> VariableInfo:
    """The time variable of the rows: the one asked for, or the only one that the wanted variables depend on."""
    times = {name: info for name, info in file.variables.items() if _is_epoch(info)}
    if asked is not None:
        if asked not in times:
            raise ExportError(f"{file.path}: {asked} is no time of records. Choose {_choices(times)}")
        return times[asked]
    used = {name for info in wanted if (name := _text(info, "DEPEND_0")) in times}
    choices = {name: times[name] for name in times if name in used} or times
    if len(choices) != 1:
        what = f"several times: {_choices(choices)}. Ask for one: epoch=NAME" if choices else "no time of records"
        raise ExportError(f"{file.path}: has {what}")
    return next(iter(choices.values()))


def _is_epoch(info: VariableInfo) -> bool:
    return info.type in TIME_TYPES and info.record_variance and not info.dims


def _choices(times: dict[str, VariableInfo]) -> str:
    return ", ".join(f"{name} ({info.records} records)" for name, info in times.items()) or "none; the file has none"


def _by_epoch(file: CdfReader, wanted: Sequence[VariableInfo], main: VariableInfo) -> tuple[list[str], dict[str, str]]:
    """Names of the variables that have a record for each of the epoch's, and why the others have not."""
    fitting, left_out = [main.name], {}
    for info in wanted:
        depends = _text(info, "DEPEND_0")
        if info.name == main.name:
            continue
        if depends and depends != main.name:
            left_out[info.name] = f"varies with {depends}, not with {main.name}"
        elif info.records != main.records and not info.repeats:
            left_out[info.name] = f"has {info.records} records, {main.name} has {main.records}"
        else:
            fitting.append(info.name)
    return fitting, left_out


def _column(file: CdfReader, info: VariableInfo, records: int, valid: bool) -> pl.Series:
    """The records of a variable with null for what is no value."""
    values = file.values(info.name)
    if len(values) < records:  # a variable whose last record goes on
        values = np.concatenate([values, np.repeat(values[-1:], records - len(values), axis=0)])
    if info.type in TEXT_TYPES:
        return _texts(info, values)
    if info.type in TIME_TYPES:
        values, missing = _tt2000(info, values)
    else:
        missing = _missing(info, values)
        missing = missing | _invalid(info, values) if valid else missing
    flat = pl.Series(info.name, np.ascontiguousarray(values).reshape(-1))
    if missing.any():
        flat = flat.set(pl.Series(missing.reshape(-1)), None)
    return _shaped(flat, records, info.dims)


def _shaped(flat: pl.Series, records: int, dims: tuple[int, ...]) -> pl.Series:
    if not dims:
        return flat
    if not records:
        return pl.Series(flat.name, [], pl.Array(flat.dtype, dims))
    return flat.reshape((records, *dims))


def _texts(info: VariableInfo, values: Values) -> pl.Series:
    """Text without blanks and NUL behind it; arrays as nested lists, for polars has no arrays of text with a shape."""
    texts = _decoded(values)
    dtype: Any = pl.String
    for _ in info.dims:
        dtype = pl.List(dtype)
    return pl.Series(info.name, texts.tolist(), dtype)


def _decoded(values: Values) -> Values:
    return np.strings.rstrip(np.strings.decode(values, "latin-1"), " \0")


def _tt2000(info: VariableInfo, values: Values) -> tuple[Values, Mask]:
    """TT2000 [ns] of a time variable, and where it has no time."""
    if info.type == "CDF_TIME_TT2000":
        return values, values <= LAST_OF_NO_TIME
    if info.type == "CDF_EPOCH":
        whole = np.floor(values)
        seconds, ns = (whole - YEAR_0_TO_1970_MS) / 1000, np.rint((values - whole) * NS_PER_MS)
        exact = (whole - YEAR_0_TO_1970_MS).clip(-UNIX_NS_LIMIT / NS_PER_MS, UNIX_NS_LIMIT / NS_PER_MS)
        unix = np.nan_to_num(exact).astype(np.int64) * NS_PER_MS
    else:
        seconds, ns = values[..., 0] - YEAR_0_TO_1970_MS / 1000, np.floor(values[..., 1] / PS_PER_NS)
        exact = seconds.clip(-UNIX_NS_LIMIT / NS_PER_S, UNIX_NS_LIMIT / NS_PER_S)
        unix = np.nan_to_num(exact).astype(np.int64) * NS_PER_S
    missing = ~(np.abs(seconds) < UNIX_NS_LIMIT / NS_PER_S) | ~np.isfinite(ns)
    unix = np.where(missing, 0, unix) + np.where(missing, 0, ns).astype(np.int64)
    return tt2000_from_unix_ns(unix), missing


def _missing(info: VariableInfo, values: Values) -> Mask:
    """Where the fill value stands, or NaN. A fill value of another type counts as what it is in the variable's."""
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)
    for fill in _numbers(info, "FILLVAL"):
        same = _as_type(fill, values.dtype)
        if same is not None:
            missing |= values == same
    return missing


def _as_type(number: float, dtype: np.dtype[Any]) -> Any:
    """The number as a value of a type; None if the type has no such value."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(number)
    limits = np.iinfo(dtype)
    return dtype.type(int(number)) if number == number // 1 and limits.min <= number <= limits.max else None


def _invalid(info: VariableInfo, values: Values) -> Mask:
    """Where values are outside VALIDMIN to VALIDMAX: one number each, or one for each cell of the last dimension."""
    outside = np.zeros(values.shape, np.bool_)
    for name, compare in (("VALIDMIN", np.less), ("VALIDMAX", np.greater)):
        limits = np.array(_numbers(info, name))
        if limits.size == 1 or (limits.size and info.dims and limits.size == info.dims[-1]):
            outside |= compare(values, limits)
    return outside


def _utc(epoch: pl.Series, names: dict[str, VariableInfo]) -> pl.Series:
    known = epoch.is_not_null().to_numpy()
    unix = unix_ns_from_tt2000(np.where(known, epoch.fill_null(0).to_numpy(), 0)) // 1000
    name = f"{UTC_COLUMN}_utc" if UTC_COLUMN in names else UTC_COLUMN
    return pl.Series(name, unix).set(pl.Series(~known), None).cast(pl.Datetime("us", "UTC"))


def _constant(file: CdfReader, info: VariableInfo) -> Any:
    """The only record: numbers as an array, times as TT2000 (None for fill), text as a list; a scalar by itself."""
    values = file.values(info.name)
    if not len(values):
        return None
    record = values[0]
    if info.type in TEXT_TYPES:
        return _decoded(record).tolist()
    if info.type in TIME_TYPES:
        record, missing = _tt2000(info, record)
        if np.any(missing):
            record = np.array(record, dtype=object)
            record[missing] = None
    elif record.dtype.kind == "f":
        record = np.where(_missing(info, record), record.dtype.type(np.nan), record)
    return np.asarray(record) if info.dims else np.asarray(record).item()


def _words(info: VariableInfo, literal: str, pointer: str, constants: dict[str, Any]) -> str | list[str]:
    """A text of the variable, or the texts of its cells that a pointer names."""
    texts = constants.get(_text(info, pointer))
    if isinstance(texts, list) and prod(info.dims) > 1:
        return texts
    return _text(info, literal)


def _axes(info: VariableInfo) -> tuple[str, ...]:
    names = (_text(info, f"DEPEND_{i}") for i in range(1, len(info.dims) + 1))
    return tuple(name for name in names if name)


def _text(info: VariableInfo, name: str) -> str:
    entry = info.attributes.get(name)
    return entry.value.strip() if entry is not None and isinstance(entry.value, str) else ""


def _numbers(info: VariableInfo, name: str) -> tuple[float, ...]:
    """The numbers of an attribute; none if it is text."""
    entry = info.attributes.get(name)
    return entry.value if entry is not None and isinstance(entry.value, tuple) else ()


def _plain(entry: Entry) -> Any:
    value = entry.value
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value

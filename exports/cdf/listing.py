# SPDX-License-Identifier: Apache-2.0
"""What a CDF file holds, as text to read and to compare, and as a document for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from exports.cdf.reader import CdfReader, Entry, Values, VariableInfo
from exports.cdf.records import TEXT_TYPES
from lake.clock import unix_ns_from_tt2000

NAME_WIDTH = 26
MAX_SHOWN = 12  # values of a record in the text; the document has all of them
LAST_OF_NO_TIME = -(2**63) + 2  # fill, pad and "not a time" of CDF_TIME_TT2000


def listing(file: CdfReader, data: int = 0) -> Iterator[str]:
    """Lines of text: the file, its global attributes, each variable with its attributes and first `data` records."""
    for name, value in facts(file).items():
        yield _line(0, name, str(value))
    yield ""
    yield "global attributes"
    for name, entries in file.globals.items():
        for i, entry in enumerate(entries):
            yield _line(2, "" if i else name, shown(entry))
    for info in file.variables.values():
        yield ""
        yield _line(0, info.name, _kind(info))
        for name, entry in info.attributes.items():
            yield _line(2, name, shown(entry))
        file.values(info.name, 0, 0)  # a damaged index is told where no record is asked for, too
        for i in range(min(data, info.records)):
            yield _line(2, f"record {i}", _values(info, file.values(info.name, i, i + 1)))


def document(file: CdfReader, data: int = 0) -> dict[str, Any]:
    """The same as nested dictionaries, with all values of a record."""
    return {
        **facts(file),
        "global_attributes": {name: [_entry(e) for e in entries] for name, entries in file.globals.items()},
        "variables": {name: _variable(file, info, data) for name, info in file.variables.items()},
    }


def facts(file: CdfReader) -> dict[str, Any]:
    """What the file is as such."""
    checksum = {True: "right", False: "wrong", None: "none"}[file.checksum_is_right]
    return {
        "file": file.path.name,
        "bytes": file.path.stat().st_size,
        "version": file.version,
        "encoding": file.encoding,
        "majority": file.majority,
        "checksum": checksum,
        "compressed": file.file_compression,
        "leap_seconds": file.leap_second_last_updated,
    }


def records(file: CdfReader, info: VariableInfo, count: int) -> list[Any]:
    """The first records as lists, texts as str."""
    return [_plain(info, file.values(info.name, i, i + 1)[0]) for i in range(min(count, info.records))]


def _plain(info: VariableInfo, values: Values) -> Any:
    return (np.strings.decode(values, "latin-1") if info.type in TEXT_TYPES else np.asarray(values)).tolist()


def shown(entry: Entry) -> str:
    """The value of an attribute with its type, which is left out for text."""
    if isinstance(entry.value, str):
        return entry.value
    return f"{', '.join(_number(entry.type, value) for value in entry.value)} ({entry.type})"


def _variable(file: CdfReader, info: VariableInfo, data: int) -> dict[str, Any]:
    found = {
        "type": info.type,
        "dims": list(info.dims),
        "elements": info.elements,
        "record_variance": info.record_variance,
        "dim_variances": list(info.dim_variances),
        "records": info.records,
        "codec": info.codec,
        "compression": info.compression,
        "block_records": info.block_records,
        "sparse": info.sparse,
        "pad": info.pad,
        "attributes": {name: _entry(entry) for name, entry in info.attributes.items()},
    }
    return found | ({"data": records(file, info, data)} if data else {})


def _entry(entry: Entry) -> dict[str, Any]:
    return {"type": entry.type, "value": entry.value if isinstance(entry.value, str) else list(entry.value)}


def _kind(info: VariableInfo) -> str:
    """Type, shape, number of records and how they are stored, in a line."""
    size = f"[{' x '.join(map(str, info.dims))}]" if info.dims else ""
    long = f"of {info.elements} characters" if info.type in TEXT_TYPES else ""
    count = "constant" if not info.record_variance else f"{info.records} records"
    packed = "" if info.codec == "none" else f"{info.codec} {info.compression or ''}".strip()
    sparse = "" if not info.sparse else "sparse, repeats the last" if info.repeats else "sparse, padded"
    first = " ".join(filter(None, (info.type, long, size)))
    return ", ".join(filter(None, (first, count, packed, sparse)))


def _number(kind: str, value: Any) -> str:
    """A number; a TT2000 with its UTC."""
    if kind != "CDF_TIME_TT2000" or value <= LAST_OF_NO_TIME:
        return repr(value)
    return f"{value} = {np.datetime64(int(unix_ns_from_tt2000(value)), 'ns')}"


def _values(info: VariableInfo, record: Values) -> str:
    flat = record.reshape(-1)
    shown_values = _plain(info, flat[:MAX_SHOWN])
    texts = [value if isinstance(value, str) else _number(info.type, value) for value in shown_values]
    more = f", ... ({len(flat)} values)" if len(flat) > MAX_SHOWN else ""
    return ", ".join(texts) + more


def _line(indent: int, name: str, text: str) -> str:
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"{' ' * indent}{name:<{NAME_WIDTH - indent}} {printable}".rstrip()

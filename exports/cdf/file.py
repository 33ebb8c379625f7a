# SPDX-License-Identifier: Apache-2.0
"""A strict, streaming, reproducible CDF writer: structure first, then one variable after the other in pieces.

cdflib writes the descriptive records (header, attributes, variable descriptors) through its public interface; the
values are written here, because cdflib casts, wraps, reshapes and time-stamps without a word and wants every variable
in memory. Whatever could change the meaning of a value is refused with an ExportError, and an interrupted file is
removed. IBMPC encoding, MD5 checksum, zVariables only, no compression of the file as a whole; compressed variables are
gzip blocks by libdeflate. Memory holds one piece of rows and one block, whatever the size of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

import numpy as np
from cdflib.cdfwrite import CDF

from exports.cdf.records import CDF_TYPES, TEXT_TYPES, Block, open_values, write_block, write_index
from exports.cdf.spec import GlobalAttributes, Values, VariableSpec, check_structure, numbers
from lake.errors import ExportError
from lake.leap_seconds import LEAP_SECONDS

MAX_RECORDS = 2**31 - 1
# Offsets in a variable's descriptor record (zVDR) and in the file's (GDR), which cdflib writes with empty values.
VDR_MAX_RECORD, VDR_INDEX, GDR_LEAP_SECOND = 24, 28, 76
IBMPC_ENCODING = 6
MAJORITIES = {"row": 1, "column": 2}


class CdfFile:
    """A CDF file that is being written. Use as a context manager: an exception removes the file.

    Parameters
    ----------
    path : Path
        A new file that ends in .cdf.
    global_attributes : pairs of name and text entries
    variables : the zVariables, in the order of the file; each must be written, if only with zero records
    majority : which index of a record's array changes slowest in the file; rows are given in one way, whatever it is

    Raises
    ------
    ExportError
        Whatever is not exactly as announced, and whatever a CDF reader could misread.
    """

    def __init__(
        self,
        path: Path,
        global_attributes: GlobalAttributes,
        variables: Sequence[VariableSpec],
        majority: Literal["row", "column"] = "row",
    ) -> None:
        self.path = path
        self._specs = {spec.name: spec for spec in variables}
        _check_path(path)
        check_structure(global_attributes, variables)
        self._written: set[str] = set()
        self._open = True
        if majority not in MAJORITIES:
            raise ExportError(f"{path.name}: majority {majority!r}. Use {' or '.join(MAJORITIES)}")
        self._by_columns = majority == "column"
        settings = {"Majority": MAJORITIES[majority], "Encoding": IBMPC_ENCODING, "Checksum": True, "Compressed": 0}
        self._cdf = CDF(path, settings)
        try:
            self._write_structure(global_attributes, variables)
        except BaseException:
            self.discard()
            raise

    def __enter__(self) -> CdfFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def close(self) -> None:
        """Finish the file with its checksum. A file with an unwritten variable is removed and an ExportError raised."""
        missing = [name for name in self._specs if name not in self._written]
        if missing:
            self.discard()
            raise ExportError(
                f"{self.path.name}: no records of {', '.join(missing)}. Write each variable, even if with 0"
            )
        try:
            self._cdf.close()
        except BaseException:
            self.discard()
            raise
        self._open = False

    def discard(self) -> None:
        """Remove the file, unless it was closed."""
        if self._open:
            self._open = False
            self._cdf.is_closed = True
            self.path.unlink(missing_ok=True)

    @contextmanager
    def records(self, name: str, count: int) -> Iterator[Records]:
        """Open a variable for exactly `count` records; they are appended inside the `with` block."""
        spec = self._announced(name, count)
        try:
            with self.path.open("rb+") as stream:
                stream.seek(0, 2)
                records = Records(spec, count, stream, self._by_columns)
                yield records
                self._link(stream, name, count, records.finish())
        except BaseException:
            self.discard()
            raise
        self._written.add(name)

    def _announced(self, name: str, count: int) -> VariableSpec:
        spec = self._specs.get(name)
        if not self._open or spec is None or name in self._written:
            raise ExportError(f"{self.path.name}: variable {name} is not waiting for records. Write each one once")
        if not 0 <= count <= MAX_RECORDS or (not spec.record_variance and count != 1):
            raise ExportError(f"variable {name}: {count} records. A constant has 1, any other 0 to {MAX_RECORDS}")
        return spec

    def _write_structure(self, global_attributes: GlobalAttributes, variables: Sequence[VariableSpec]) -> None:
        entries = {name: dict(enumerate([t, "CDF_CHAR"] for t in texts)) for name, texts in global_attributes}
        self._cdf.write_globalattrs(entries)
        for spec in variables:
            self._cdf.write_var(_cdflib_spec(spec))
        self._cdf.write_variableattrs(_entries_by_attribute(variables))
        last_leap_second = int(LEAP_SECONDS[-1][0].replace("-", ""))
        with self.path.open("rb+") as stream:
            stream.seek(self._cdf.gdr_head + GDR_LEAP_SECOND)
            stream.write(struct.pack(">i", last_leap_second))

    def _link(self, stream: BinaryIO, name: str, count: int, root: int | None) -> None:
        if root is None:
            return
        descriptor = self._cdf.zvarsinfo[self._cdf.zvars.index(name)][1]
        stream.seek(descriptor + VDR_MAX_RECORD)
        stream.write(struct.pack(">i", count - 1))
        stream.seek(descriptor + VDR_INDEX)
        stream.write(struct.pack(">qq", root, root))


class Records:
    """The open end of one variable: takes arrays of shape (n, *dims) in the variable's own type, in record order.

    CDF_EPOCH16 is a last dimension of 2 numbers.
    """

    def __init__(self, spec: VariableSpec, count: int, stream: BinaryIO, by_columns: bool = False) -> None:
        self._spec, self._count, self._stream = spec, count, stream
        # The first dimension of a record changes fastest, but the parts of a value stay together.
        axes = range(1, len(spec.dims) + 1)
        self._axes = (0, *reversed(axes), *range(len(axes) + 1, len(spec.shape) + 1)) if by_columns else None
        self._done = 0
        self._blocks: list[Block] = []
        self._pending = bytearray()
        if not spec.compression and count:
            self._blocks.append(Block(0, count - 1, open_values(stream, count * spec.record_bytes)))

    def append(self, rows: Values) -> None:
        """Add records. ExportError for another type, another shape, more records than announced, or odd text."""
        self._check(rows)
        self._done += len(rows)
        ordered = rows if self._axes is None else rows.transpose(self._axes)
        data = np.ascontiguousarray(ordered, dtype=self._spec.dtype).reshape(-1).view(np.uint8).data
        if not self._spec.compression:
            self._stream.write(data)
            return
        size = self._spec.block_records * self._spec.record_bytes
        if self._pending:  # the block that was begun before
            missing = size - len(self._pending)
            self._pending += data[:missing]
            data = data[missing:]
            if len(self._pending) < size:
                return
            self._write_block(self._pending)
        whole = len(data) - len(data) % size
        for start in range(0, whole, size):
            self._write_block(data[start : start + size])
        self._pending = bytearray(data[whole:])

    def finish(self) -> int | None:
        """Write what is left and the index; the offset of its root, or None without records."""
        if self._done != self._count:
            raise ExportError(
                f"variable {self._spec.name}: {self._done} of {self._count} announced records. Count again"
            )
        if self._pending:
            self._write_block(self._pending)
        return write_index(self._stream, self._blocks) if self._blocks else None

    def _write_block(self, block: bytearray | memoryview) -> None:
        first = self._blocks[-1].last + 1 if self._blocks else 0
        offset = write_block(self._stream, block, self._spec.compression)
        self._blocks.append(Block(first, first + len(block) // self._spec.record_bytes - 1, offset))

    def _check(self, rows: Values) -> None:
        spec = self._spec
        # Not a subclass: a masked array would lose its mask.
        if type(rows) is not np.ndarray or rows.dtype.newbyteorder("<") != spec.dtype:
            kind = f"{type(rows).__name__} of {getattr(rows, 'dtype', 'no type')}"
            raise ExportError(f"variable {spec.name}: rows are {kind}, not of {spec.dtype}. Convert them on purpose")
        if rows.shape[1:] != spec.shape or rows.ndim != 1 + len(spec.shape):
            raise ExportError(f"variable {spec.name}: rows have shape {rows.shape}, not (n, *{spec.shape}). Reshape")
        if self._done + len(rows) > self._count:
            raise ExportError(f"variable {spec.name}: more than {self._count} records. Announce all of them")
        if spec.type in TEXT_TYPES and not _printable(rows):
            raise ExportError(f"variable {spec.name}: text is not blank-padded printable ASCII. Use text_values()")


def _printable(rows: Values) -> bool:
    data = np.ascontiguousarray(rows).reshape(-1).view(np.uint8)
    return bool(((data >= ord(" ")) & (data <= ord("~"))).all())


def _cdflib_spec(spec: VariableSpec) -> dict[str, Any]:
    return {
        "Variable": spec.name,
        "Data_Type": CDF_TYPES[spec.type].code,
        "Num_Elements": spec.elements,
        "Rec_Vary": spec.record_variance,
        "Dim_Sizes": list(spec.dims),
        "Sparse": "no_sparse",
        "Compress": spec.compression,
        "Block_Factor": spec.block_records if spec.compression else 1,
    }


def _entries_by_attribute(variables: Sequence[VariableSpec]) -> dict[str, dict[str, list[Any]]]:
    entries: dict[str, dict[str, list[Any]]] = {}
    for spec in variables:
        for attribute in spec.attributes:
            value = attribute.value if isinstance(attribute.value, str) else numbers(spec, attribute)
            if attribute.type == "CDF_EPOCH16":
                value = [complex(*pair) for pair in zip(value[::2], value[1::2], strict=True)]
            entries.setdefault(attribute.name, {})[spec.name] = [value, attribute.type]
    return entries


def _check_path(path: Path) -> None:
    if path.suffix != ".cdf" or len(str(path)) > CDF.CDF_PATHNAME_LEN:
        raise ExportError(f"{path}: not a path of a CDF file. Use one that ends in .cdf and has at most 512 characters")
    if path.exists():
        raise ExportError(f"{path} exists. Products are never overwritten: choose another name")
    if not path.parent.is_dir():
        raise ExportError(f"{path.parent} is not a folder. Create it first")

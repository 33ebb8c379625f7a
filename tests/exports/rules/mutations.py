# SPDX-License-Identifier: Apache-2.0
"""Ways to spoil a good CDF file: by NASA's library (spacepy.pycdf), or byte by byte where it would not do it."""

from __future__ import annotations

import hashlib
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from spacepy import pycdf

How = Callable[[Path], Path]
Change = Callable[[Any], object]
MD5_BYTES = 16
CDR, GDR_OFFSET, VERSION, ENCODING = 8, 20, 28, 36  # of the file's first record, and in it
GDR_LEAP_SECOND, VDR_NAME, NAME_BYTES = 76, 84, 256
VDR_BLOCK = 80  # the blocking factor
TYPES = {name: getattr(pycdf.const, name) for name in dir(pycdf.const) if name.startswith("CDF_")}


def edited(*changes: Change) -> How:
    """Changes by NASA's library, which writes the checksum anew."""

    def how(path: Path) -> Path:
        with warnings.catch_warnings(), pycdf.CDF(str(path)) as file:
            warnings.simplefilter("ignore")  # NASA's library says what it thinks of some of this
            file.readonly(False)
            for change in changes:
                change(file)
        return path

    return how


def put(name: str, *texts: Any, kind: str | None = None) -> Change:
    """Give a global attribute these entries and no others."""

    def change(file: Any) -> None:
        if name in file.attrs:
            del file.attrs[name]
        for i, text in enumerate(texts):
            file.attrs.new(name) if name not in file.attrs else None
            file.attrs[name].new(text, type=kind and TYPES[kind], number=i)

    return change


def numbered_from(name: str, first: int) -> Change:
    """The same entries of a global attribute under other numbers."""

    def change(file: Any) -> None:
        texts = list(file.attrs[name])
        del file.attrs[name]
        file.attrs.new(name)
        for i, text in enumerate(texts, first):
            file.attrs[name].new(text, number=i)

    return change


def drop(name: str) -> Change:
    def change(file: Any) -> None:
        del file.attrs[name]

    return change


def attribute(variable: str, name: str, value: Any, kind: str | None = None) -> Change:
    """Give an attribute of a variable another value, of its former type if none is said."""

    def change(file: Any) -> None:
        attributes = file[variable].attrs
        before = attributes.type(name) if name in attributes else None
        if name in attributes:
            del attributes[name]
        attributes.new(name, value, type=TYPES[kind] if kind else None if isinstance(value, str) else before)

    return change


def without(variable: str, *names: str) -> Change:
    def change(file: Any) -> None:
        for name in names:
            del file[variable].attrs[name]

    return change


def renamed_attribute(variable: str, old: str, new: str) -> Change:
    def change(file: Any) -> None:
        value = file[variable].attrs[old]
        del file[variable].attrs[old]
        file[variable].attrs[new] = value

    return change


def values(variable: str, at: Any, value: Any) -> Change:
    """Write values; times as they are in the file."""

    def change(file: Any) -> None:
        (file.raw_var(variable) if variable == "Epoch" else file[variable])[at] = value

    return change


def variable_renamed(old: str, new: str) -> Change:
    return lambda file: file[old].rename(new)


def removed(variable: str) -> Change:
    def change(file: Any) -> None:
        del file[variable]

    return change


def added(name: str, data: Any, kind: str, like: str | None = None, attributes: Any = (), **more: Any) -> Change:
    """A new variable, with the attributes of another one and some of its own."""

    def change(file: Any) -> None:
        file.new(name, data, type=TYPES[kind], **more)
        if like is not None:
            file[name].attrs.clone(file[like].attrs)
        for attribute_name, value in dict(attributes).items():
            file[name].attrs[attribute_name] = value

    return change


def compressed(variable: str, method: int = pycdf.const.GZIP_COMPRESSION, level: int | None = 1) -> Change:
    def change(file: Any) -> None:
        data = file.raw_var(variable)[...]
        before = file[variable]
        facts = {
            "type": before.type(),
            "recVary": before.rv(),
            "dims": before.shape[1:] if before.rv() else before.shape,
        }
        attributes = {k: (before.attrs[k], before.attrs.type(k)) for k in before.attrs}
        del file[variable]
        file.new(variable, compress=method, compress_param=level, **facts)
        file.raw_var(variable)[...] = data
        for k, (value, kind) in attributes.items():
            file[variable].attrs.new(k, value, type=kind)

    return change


def renamed(name: str) -> How:
    return lambda path: path.rename(path.with_name(name))


def raw(change: Callable[[bytearray], None], seal: bool = True) -> How:
    """A change of bytes; the checksum is made right again unless it is what should be wrong."""

    def how(path: Path) -> Path:
        content = bytearray(path.read_bytes())
        change(content)
        if seal:
            content[-MD5_BYTES:] = hashlib.md5(content[:-MD5_BYTES], usedforsecurity=False).digest()
        path.write_bytes(content)
        return path

    return how


def text(old: bytes, new: bytes) -> How:
    """Other characters for a text of the file, as many as it had."""
    assert len(old) == len(new)

    def change(content: bytearray) -> None:
        assert old in content
        content[:] = content.replace(old, new)

    return raw(change)


def number(place: Callable[[bytes], int], value: int) -> How:
    return raw(lambda content: struct.pack_into(">i", content, place(content), value))


def in_header(offset: int) -> Callable[[bytes], int]:
    return lambda _: offset


def in_gdr(offset: int) -> Callable[[bytes], int]:
    return lambda content: int(struct.unpack_from(">q", content, GDR_OFFSET)[0]) + offset


def in_vdr(variable: str, offset: int) -> Callable[[bytes], int]:
    name = variable.encode().ljust(NAME_BYTES, b"\0")
    return lambda content: bytes(content).index(name) - VDR_NAME + offset


def both(*steps: How) -> How:
    def how(path: Path) -> Path:
        for step in steps:
            path = step(path)
        return path

    return how


def truncated(path: Path) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def flipped(content: bytearray) -> None:
    content[len(content) // 2] ^= 1


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)

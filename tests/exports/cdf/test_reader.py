# SPDX-License-Identifier: Apache-2.0
"""The CDF reader: what NASA's library writes comes back as it is, and damage is one clear error."""

from __future__ import annotations

import ctypes
import random
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exports.cdf.file import CdfFile
from exports.cdf.reader import CdfReader, Entry
from exports.cdf.records import CDF_TYPES, TEXT_TYPES
from exports.cdf.spec import Attribute, VariableSpec
from lake.errors import ExportError

RECORDS = 400
RNG = np.random.default_rng(3)
NUMBERS = [name for name in CDF_TYPES if name not in TEXT_TYPES]
ENCODINGS = {1: "NETWORK", 2: "SUN", 4: "DECSTATION", 9: "PPC", 12: "NeXT", 13: "ALPHAOSF1"}


@pytest.fixture
def pycdf() -> Any:
    return pytest.importorskip("spacepy.pycdf", reason="needs NASA's CDF library")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.cdf"


def examples(name: str) -> np.ndarray[Any, Any]:
    cdf_type = CDF_TYPES[name]  # type: ignore[index]
    if name in TEXT_TYPES:
        return np.array([[b"ab", b"cdefg"], [b" x", b"y "]] * 200, "S5").reshape(RECORDS, 2)
    shape = (10, 2, 3) if cdf_type.parts == 1 else (10, 2, 3, 2)
    # Repeated, so that it can be compressed: what cannot is a warning of NASA's library.
    return np.concatenate([(RNG.random(shape) * 100).astype(cdf_type.dtype)] * (RECORDS // 10))


def new(pycdf: Any, path: Path, work: Callable[[Any], None], backward: bool = False) -> CdfReader:
    pycdf.lib.set_backward(backward)
    try:
        with pycdf.CDF(str(path), "") as file:
            work(file)
    finally:
        pycdf.lib.set_backward(False)
    return CdfReader(path)


def add(pycdf: Any, file: Any, name: str, values: np.ndarray[Any, Any], **more: Any) -> Any:
    """A variable with its values, an attribute of its own type, and the values of record 0 as a constant."""
    kind, dims = getattr(pycdf.const, name), [2] if name in TEXT_TYPES else [2, 3]
    size = {"n_elements": 5} if name in TEXT_TYPES else {}
    file.new("x", type=kind, dims=dims, recVary=True, **size, **more)
    file.new("constant", type=kind, dims=dims, recVary=False, **size)
    file.raw_var("x")[...] = values
    file.raw_var("constant")[...] = values[0]
    file.raw_var("x").attrs.new("OWN", values[0, 0] if name in TEXT_TYPES else values[0, 0, 0], kind)


@pytest.mark.oracle
@pytest.mark.parametrize(("column", "level"), [(False, 0), (False, 5), (True, 0), (True, 5)])
@pytest.mark.parametrize("name", [name for name in CDF_TYPES if name != "CDF_EPOCH16"])
def test_every_type_of_the_nasa_library_in_both_majorities(
    path: Path, pycdf: Any, name: str, column: bool, level: int
) -> None:
    values = examples(name)

    def write(file: Any) -> None:
        file.col_major(column)
        packing = {"compress": pycdf.const.GZIP_COMPRESSION, "compress_param": level} if level else {}
        add(pycdf, file, name, values, **packing)

    reader = new(pycdf, path, write)
    info = reader.variables["x"]
    assert (info.type, info.dims, info.records) == (name, values.shape[1:3], RECORDS)
    assert (info.compression, info.codec) == ((level, "gzip") if level else (0, "none"))
    assert reader.majority == ("column" if column else "row")
    padded = values if name not in TEXT_TYPES else np.strings.ljust(values, 5)
    np.testing.assert_array_equal(padded_text(reader.values("x")), padded)
    np.testing.assert_array_equal(padded_text(reader.values("constant")), padded[:1])
    np.testing.assert_array_equal(padded_text(reader.values("x", 3, 9)), padded[3:9])
    own = info.attributes["OWN"]
    assert own.type == name
    assert own.value == ("ab" if name in TEXT_TYPES else (values[0, 0, 0].item(),))


def padded_text(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """NASA's library fills text of a file with NUL where Python gives less."""
    return values if values.dtype.kind != "S" else np.strings.ljust(values, values.dtype.itemsize)


@pytest.mark.oracle
def test_an_epoch16_is_a_pair_of_numbers(path: Path, pycdf: Any) -> None:
    values = examples("CDF_EPOCH16")
    reader = new(pycdf, path, lambda file: add(pycdf, file, "CDF_EPOCH16", values))
    np.testing.assert_array_equal(reader.values("x"), values)
    assert reader.variables["x"].attributes["OWN"].value == tuple(values[0, 0, 0].tolist())


@pytest.mark.oracle
@pytest.mark.parametrize("code", ENCODINGS)
def test_encodings_of_other_machines(path: Path, pycdf: Any, code: int) -> None:
    values = examples("CDF_REAL8")

    def write(file: Any) -> None:
        file._call(pycdf.const.PUT_, pycdf.const.CDF_ENCODING_, ctypes.c_long(code))
        add(pycdf, file, "CDF_REAL8", values)

    reader = new(pycdf, path, write)
    assert reader.encoding == ENCODINGS[code]
    np.testing.assert_array_equal(reader.values("x"), values)
    assert reader.variables["x"].attributes["OWN"].value == (values[0, 0, 0],)


@pytest.mark.oracle
@pytest.mark.parametrize("codec", ["GZIP_COMPRESSION", "RLE_COMPRESSION"])
def test_a_file_that_is_compressed_as_a_whole(path: Path, pycdf: Any, codec: str) -> None:
    values = examples("CDF_INT4")

    def write(file: Any) -> None:
        file.compress(getattr(pycdf.const, codec))
        file.checksum(True)
        add(pycdf, file, "CDF_INT4", values)

    reader = new(pycdf, path, write)
    assert reader.file_compression
    assert reader.checksum_is_right
    np.testing.assert_array_equal(reader.values("x"), values)


@pytest.mark.oracle
def test_version_2_files_have_short_offsets_and_names(path: Path, pycdf: Any) -> None:
    values = examples("CDF_INT2")
    reader = new(pycdf, path, lambda file: add(pycdf, file, "CDF_INT2", values), backward=True)
    assert reader.version.startswith("2.")
    assert reader.leap_second_last_updated == 0
    np.testing.assert_array_equal(reader.values("x"), values)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("sparse", "expected"),
    [("PAD_SPARSERECORDS", [77, 77, 5, 6, 77, 7]), ("PREV_SPARSERECORDS", [77, 77, 5, 6, 6, 7])],
)
def test_missing_records_are_padded_or_repeat(path: Path, pycdf: Any, sparse: str, expected: list[int]) -> None:
    const = pycdf.const

    def write(file: Any) -> None:
        variable = file.new("x", type=const.CDF_INT4, sparse=getattr(const, sparse))
        variable.pad(77)
        for record, value in ((2, 5), (3, 6), (5, 7)):
            data = ctypes.byref(ctypes.c_int32(value))
            place = (const.SELECT_, const.zVAR_RECNUMBER_, ctypes.c_long(record))
            variable._call(*place, const.PUT_, const.zVAR_DATA_, data)

    reader = new(pycdf, path, write)
    info = reader.variables["x"]
    assert (info.sparse, info.repeats, info.pad) == (True, sparse.startswith("PREV"), 77)
    assert reader.values("x").tolist() == expected
    assert reader.values("x", 4, 6).tolist() == expected[4:]


@pytest.mark.oracle
def test_old_variables_have_those_dimensions_of_the_file_that_they_vary_by(path: Path, pycdf: Any) -> None:
    library, const, number = pycdf.lib._library, pycdf.const, ctypes.c_long()
    file, sizes = ctypes.c_void_p(), (ctypes.c_long * 2)(3, 2)

    def call(*arguments: Any) -> None:
        assert library.CDFlib(*arguments, const.NULL_) == 0

    def put(name: bytes, varies: tuple[int, int], counts: tuple[int, int], values: list[int]) -> None:
        variances, one = (ctypes.c_long * 2)(*varies), ctypes.c_long(1)
        kind = (const.CREATE_, const.rVAR_, name, ctypes.c_long(4), one, ctypes.c_long(-1), variances)
        call(const.SELECT_, const.CDF_, file, *kind, ctypes.byref(number))
        data = np.array(values, "i4")
        place = (
            const.rVARs_DIMINDICES_,
            (ctypes.c_long * 2)(0, 0),
            const.rVARs_DIMCOUNTS_,
            (ctypes.c_long * 2)(*counts),
        )
        every = (const.rVARs_DIMINTERVALS_, (ctypes.c_long * 2)(1, 1), const.rVARs_RECCOUNT_, one)
        target = (const.SELECT_, const.rVAR_, number, const.rVARs_RECNUMBER_, ctypes.c_long(0))
        call(*target, *place, *every, const.PUT_, const.rVAR_HYPERDATA_, data.ctypes.data_as(ctypes.c_void_p))

    call(const.CREATE_, const.CDF_, str(path.with_suffix("")).encode(), ctypes.c_long(2), sizes, ctypes.byref(file))
    put(b"scalar", (0, 0), (1, 1), [7])
    put(b"vector", (-1, 0), (3, 1), [1, 2, 3])
    put(b"matrix", (-1, -1), (3, 2), [1, 2, 3, 4, 5, 6])
    call(const.SELECT_, const.CDF_, file, const.CLOSE_, const.CDF_)
    reader = CdfReader(path)
    assert reader.r_variables == ("scalar", "vector", "matrix")
    assert {name: info.dims for name, info in reader.variables.items()} == {
        "scalar": (),
        "vector": (3,),
        "matrix": (3, 2),
    }
    assert [reader.values(name)[0].tolist() for name in ("scalar", "vector")] == [7, [1, 2, 3]]


@pytest.mark.oracle
def test_along_a_dimension_without_variance_values_are_the_same(path: Path, pycdf: Any) -> None:
    def write(file: Any) -> None:
        file.new("x", type=pycdf.const.CDF_INT4, dims=[2, 3], dimVarys=[True, False])
        data = (ctypes.c_int32 * 6)(1, 1, 1, 2, 2, 2)
        variable = file["x"]
        place = (pycdf.const.SELECT_, pycdf.const.zVAR_RECNUMBER_, ctypes.c_long(0))
        spans = (pycdf.const.zVAR_DIMINDICES_, (ctypes.c_long * 2)(0, 0), pycdf.const.zVAR_DIMCOUNTS_)
        every = (
            pycdf.const.zVAR_DIMINTERVALS_,
            (ctypes.c_long * 2)(1, 1),
            pycdf.const.zVAR_RECCOUNT_,
            ctypes.c_long(1),
        )
        counts = (ctypes.c_long * 2)(2, 1)
        variable._call(*place, *spans, counts, *every, pycdf.const.PUT_, pycdf.const.zVAR_HYPERDATA_, data)

    reader = new(pycdf, path, write)
    info = reader.variables["x"]
    assert (info.dims, info.dim_variances, info.record_bytes) == ((2, 3), (True, False), 8)
    assert reader.values("x").shape == (1, 2, 3)
    assert (reader.values("x") == reader.values("x")[..., :1]).all()


@pytest.mark.oracle
def test_global_entries_keep_their_types_and_order(path: Path, pycdf: Any) -> None:
    def write(file: Any) -> None:
        file.attrs["TEXTS"] = ["one", " ", "three"]
        file.attrs.new("NUMBER")
        file.attrs["NUMBER"].new(5, pycdf.const.CDF_INT2.value)
        file.attrs["NUMBER"].new(-1.5, pycdf.const.CDF_REAL4.value, number=3)

    reader = new(pycdf, path, write)
    assert reader.globals["NUMBER"] == (Entry("CDF_INT2", (5,)), Entry("CDF_REAL4", (-1.5,)))
    assert [entry.value for entry in reader.globals["TEXTS"]] == ["one", " ", "three"]


def written(path: Path, records: int = 3000) -> Path:
    attributes = (Attribute("UNITS", "CDF_CHAR", "count"), Attribute("VALIDMIN", "CDF_UINT2", (1,)))
    spec = VariableSpec("x", "CDF_UINT2", (3, 4), compression=1, block_bytes=16384, attributes=attributes)
    rows = np.arange(records * 12, dtype="<u2").reshape(-1, 3, 4)
    with CdfFile(path, [("TITLE", ["A title"])], [spec]) as file, file.records("x", records) as stream:
        stream.append(rows)
    return path


def test_ends_of_records_asked_for_are_those_of_the_variable(path: Path) -> None:
    with CdfReader(written(path)) as reader:
        assert reader.values("x", 2999, 9999).shape == (1, 3, 4)
        assert reader.values("x", 5000).shape == (0, 3, 4)
        with pytest.raises(ExportError, match=r"has no variable y\. It has x"):
            reader.values("y")


def test_a_wrong_checksum_is_known_and_values_are_still_read(path: Path) -> None:
    data = bytearray(written(path).read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert CdfReader(path).checksum_is_right is False
    assert CdfReader(path, verify=False).checksum_is_right is None
    assert CdfReader(path).values("x").shape == (3000, 3, 4)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"SIMPLE  =                    T", "does not begin as a CDF does"),
        (bytes.fromhex("cdf30001 0000ffff"), "a record at 8 in a file of 8 bytes"),
    ],
)
def test_what_is_no_cdf_is_refused_in_one_line(path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ExportError, match=why) as caught:
        CdfReader(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"no\.cdf: cannot be read as a CDF \(No such file or directory\)"):
        CdfReader(tmp_path / "no.cdf")


@pytest.fixture
def little_memory() -> Iterator[None]:
    """A reader that believes a damaged length may ask for all the memory there is: let that fail."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (16 * 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_damaged_ends_in_values_or_in_an_error_of_ours(path: Path, seed: int) -> None:
    whole, rng = written(path, 300).read_bytes(), random.Random(seed)
    outcomes = {True: 0, False: 0}
    for i in range(100):
        data = bytearray(whole)
        if i % 2:
            del data[rng.randrange(len(data)) :]
        else:
            at = rng.randrange(8, len(data) - 4)
            data[at : at + 4] = rng.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(4), b"\0\0\x10\0"])
        path.write_bytes(data)
        outcomes[_reads(path)] += 1
    assert min(outcomes.values()) > 2


def _reads(path: Path) -> bool:
    try:
        with CdfReader(path) as reader:
            _ = reader.globals
            for name in reader.variables:
                reader.values(name)
    except ExportError:
        return False
    return True

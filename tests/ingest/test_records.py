# SPDX-License-Identifier: Apache-2.0
"""Rows of CSV, JSON lines and Parquet files: each value exactly or not at all, and a place for every byte."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.record import csv_files
from ingest.record.columns import object_column, text_column
from ingest.record.csv_files import csv_pieces
from ingest.record.json_lines import json_pieces
from ingest.record.known_by import clock_counters, row_ids
from ingest.record.lines import BLOCK_BYTES, LONGEST_BYTES
from ingest.record.parquet_files import parquet_pieces
from ingest.record.piece import Piece
from lake.clock import tt2000_from_met, tt2000_from_unix_ns
from lake.errors import RecordFileError
from lake.packet_definitions import Clock, ColumnType
from lake.source_definitions import RecordField

TIME = RecordField(name="time_ms", header="timestamp_ms", type="int64")
COUNT = RecordField(name="count", header="Count", type="int16")
REAL = RecordField(name="temperature", header="Temp", type="float32", nullable=True)
MODE = RecordField(name="mode", header="Mode", type="string", nullable=True)
WORDS = RecordField(name="words", header="Words", type="int16", list=True)
FIELDS = (TIME, COUNT, REAL, MODE, WORDS)
HEADER = b"timestamp_ms,Count,Temp,Mode,Words\n"

Found = tuple[list[tuple[Any, ...]], list[tuple[int, int, str]]]


def read(pieces: Iterable[Piece], size: int) -> Found:
    """Rows with their offsets, and bad rows; every byte must be in one of them, or counted."""
    kept = list(pieces)
    bad = [(row.offset, row.length, row.detail) for piece in kept for row in piece.bad]
    assert sum(piece.decoded for piece in kept) + sum(length for _, length, _ in bad) == size
    rows = []
    for piece in kept:
        columns = [column.to_pylist() for column in piece.columns.values()]
        rows += list(zip(piece.offsets.tolist(), *columns, strict=True)) if columns else []
    return rows, sorted(bad)


def csv_rows(data: bytes, fields: tuple[RecordField, ...] = FIELDS, block_bytes: int = BLOCK_BYTES) -> Found:
    return read(csv_pieces(io.BytesIO(data), fields, "refuse", block_bytes), len(data))


def json_rows(*lines: str | bytes, fields: tuple[RecordField, ...] = FIELDS) -> Found:
    data = b"\n".join(line.encode() if isinstance(line, str) else line for line in lines)
    return read(json_pieces(io.BytesIO(data), fields, "refuse"), len(data))


def cell(field: RecordField, text: object) -> object:
    """The value of one cell, or what is wrong with it."""
    column = object_column(field, [text])
    return column.errors[0][0] if column.errors else column.values[0].as_py()


# ---- CSV -----------------------------------------------------------------------------------------------------------
def test_a_row_has_the_offset_of_its_first_byte_and_the_values_of_its_cells() -> None:
    rows, bad = csv_rows(HEADER + b'5,-7,21.5,SAFE,"[66, 69]"\n4,0,,,[]')
    assert rows == [(35, 5, -7, 21.5, "SAFE", [66, 69]), (61, 4, 0, None, None, [])]
    assert bad == []


def test_a_byte_order_mark_carriage_returns_and_blank_lines_are_no_rows() -> None:
    rows, bad = csv_rows(b"\xef\xbb\xbf\r\n" + HEADER[:-1] + b"\r\n\r\n1,2,3,x,[4]\r\n  \r\n5,6,7,y,[8]\r\n\n")
    assert [row[:3] for row in rows] == [(43, 1, 2), (60, 5, 6)]
    assert bad == []


def test_columns_come_in_any_order_and_their_names_in_any_case() -> None:
    rows, _ = csv_rows(b"WORDS,mode,count,TIMESTAMP_MS\n[1],a,2,3\n")
    assert rows == [(30, 3, 2, None, "a", [1])]


def test_an_exact_name_comes_before_one_in_another_case() -> None:
    rows, _ = csv_rows(b"count,Count\n1,2\n", (COUNT, RecordField(name="other", header="count", type="int8")))
    assert rows == [(12, 2, 1)]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (b"1,2,3,x", "row 3: has 4 cells, the header has 5"),
        (b"1,2,3,x,[4],", "row 3: has 6 cells, the header has 5"),
        (b"1,two,3,x,[4]", "row 3 (Count): 'two' is no number"),
        (b"1,2.5,3,x,[4]", "row 3 (Count): '2.5' is no whole number"),
        (b"1,32768,3,x,[4]", "row 3 (Count): '32768' does not fit int16"),
        (b"9223372036854775808,2,3,x,[4]", "row 3 (timestamp_ms): '9223372036854775808' does not fit int64"),
        (b"1,,3,x,[4]", "row 3 (Count): '' has no value, and the field needs one"),
        (b"1,2,1e39,x,[4]", "row 3 (Temp): '1e39' does not fit float32"),
        (b"1,2,0x10,x,[4]", "row 3 (Temp): '0x10' is no number"),
        (b"1,2,1_0,x,[4]", "row 3 (Temp): '1_0' is no number"),
        (b'1,2,3,x,"[1, 70000]"', "row 3 (Words): '[1, 70000]' does not fit int16"),
        (b'1,2,3,x,"[1, [2]]"', "row 3 (Words): '[1, [2]]' is no number"),
        (b'1,2,3,x,"[1, 2"', "row 3 (Words): '[1, 2' is no list such as [1, 2]"),
        (b"1,2,3,\xff,[4]", "row 3: is not UTF-8 at byte 6"),
        (b'1,2,3,"x,[4]', "row 3: is no row: unexpected end of data"),
        (b'1,2,3,"x"y,[4]', "row 3: is no row: ',' expected after '\"'"),
        (b"1,2,3,x\ry,[4]", "row 3: "),
    ],
)
def test_a_row_that_cannot_be_read_is_quarantined_alone_with_row_column_and_value(line: bytes, wrong: str) -> None:
    rows, bad = csv_rows(HEADER + b"1,1,1,a,[1]\n" + line + b'\n2,2,2,b,"[2]"\n')
    assert [row[1] for row in rows] == [1, 2]
    [(offset, length, detail)] = bad
    assert (offset, length) == (47, len(line) + 1)
    assert detail.startswith(wrong)


def test_a_quoted_cell_may_hold_commas_quotes_and_newlines() -> None:
    rows, bad = csv_rows(HEADER + b'1,2,3,"a ""b"",\r\nc\nd",[4]\n5,6,7,e,[8]\n')
    assert [(row[0], row[4]) for row in rows] == [(35, 'a "b",\r\nc\nd'), (61, "e")]
    assert bad == []


def test_a_quote_that_is_never_closed_costs_its_line_even_if_others_hold_quotes() -> None:
    data = HEADER + b'1,2,3,"a,[4]\n' + b'5,6,7,"b","[8, 9]"\n' * 3 + b'1,"2,3,x,[4]\n5,6,7,"c",[1]'
    rows, bad = csv_rows(data)
    assert [row[4] for row in rows] == ["b", "b", "b", "c"]
    assert [(offset, length) for offset, length, _ in bad] == [(35, 13), (105, 13)]


def test_a_newline_in_a_cell_that_is_no_text_is_a_quote_that_was_not_closed() -> None:
    rows, bad = csv_rows(HEADER + b'1,"2\n,3",4,x,[5]\n6,7,8,y,[9]\n')
    assert [row[1] for row in rows] == [6]
    assert [offset for offset, _, _ in bad] == [35, 40]


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (b"timestamp_ms,Temp,Mode,Words\n1,2,x,[3]\n", "lacks the column 'Count'"),
        (HEADER[:-1] + b",Extra\n1,2,3,x,[4],5\n", "has the column 'Extra', which no field names"),
        (b"Count," + HEADER + b"1,1,2,3,x,[4]\n", "has the column 'Count' 2 times"),
        (b"\xef\xbb\xbf\n \n", "has no header row"),
        (b'"timestamp_ms,Count\n', "row 1: the header row is no row"),
        (b"\xff\xfe" + HEADER, "row 1: the header row is not UTF-8"),
    ],
)
def test_a_file_with_another_header_is_refused_as_a_whole(data: bytes, wrong: str) -> None:
    with pytest.raises(RecordFileError, match=wrong):
        csv_rows(data)


def test_columns_that_no_field_names_are_left_out_where_the_definition_says_so() -> None:
    data = b"x,Count,y\nnonsense,7,\xc3\xa9\n"
    assert read(csv_pieces(io.BytesIO(data), (COUNT,), "ignore"), len(data)) == ([(10, 7)], [])


def test_a_line_longer_than_a_record_may_be_is_one_bad_row_however_the_file_is_read() -> None:
    data = HEADER + b"1,1,1,a,[1]\n" + b"x" * (LONGEST_BYTES + 2) + b"\n2,2,2,b,[2]\n"
    for block_bytes in (BLOCK_BYTES, 1 << 19, 300_000):
        rows, bad = csv_rows(data, block_bytes=block_bytes)
        assert [row[1] for row in rows] == [1, 2]
        assert bad == [(47, LONGEST_BYTES + 3, bad[0][2])]
        assert bad[0][2].startswith("row 3: 1048579 bytes without a newline")


CELLS = st.sampled_from(
    ["1", "-2", "+3", "4.0", "2.5", "7e1", "1e99", "40000", "", "x", "nan", '"', '"a"', '"a\nb"', '"[1, 2]"', "[3]",
     '"[', "é", "\x00", "\r", " 5 ", "null", "0" * 30 + "1", "9" * 40]
)  # fmt: skip
LINES = st.one_of(
    st.lists(CELLS, min_size=1, max_size=6).map(",".join),
    st.just("1,2,3.5,mode,[4]"),
    st.tuples(CELLS, CELLS, CELLS).map(lambda cells: f"1,{cells[0]},{cells[1]},{cells[2]},[6]"),
    st.just(""),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.integers(1, 60))
def test_every_byte_has_its_place_wherever_blocks_are_cut(
    lines: list[str], newline: str, closed: bool, block_bytes: int
) -> None:
    data = HEADER + newline.join(lines).encode() + (newline.encode() if closed else b"")
    whole = csv_rows(data)
    assert repr(csv_rows(data, block_bytes=block_bytes)) == repr(whole)
    spans = sorted([(row[0], row[0] + 1) for row in whole[0]] + [(o, o + n) for o, n, _ in whole[1]])
    assert all(stop <= start for (_, stop), (start, _) in pairwise(spans))


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, max_size=8))
def test_reading_all_at_once_finds_what_reading_row_by_row_finds(lines: list[str]) -> None:
    data = HEADER + "\n".join(lines).encode()
    fast = csv_rows(data)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(csv_files, "_plain", lambda header, block: None)
        assert repr(csv_rows(data)) == repr(fast)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["int8", "int16", "int32", "int64", "float32", "float64", "string"]),
    st.booleans(),
    st.lists(
        st.one_of(
            st.integers(-(2**70), 2**70).map(str),
            st.integers(-300, 300).map(str),
            st.floats().map(repr),
            st.decimals(allow_nan=False, allow_infinity=False, places=6).map(str),
            st.text("0123456789+-.eE x", max_size=8),
        ),
        min_size=1,
        max_size=20,
    ),
)
def test_the_fast_way_and_the_slow_way_find_the_same_values(kind: ColumnType, nullable: bool, texts: list[str]) -> None:
    field = RecordField(name="a", header="a", type=kind, nullable=nullable)
    fast, slow = text_column(field, pa.array(texts, pa.string())), object_column(field, texts)
    assert fast.values.type == slow.values.type
    assert repr(fast.values.to_pylist()) == repr(slow.values.to_pylist())
    assert fast.errors == slow.errors


# ---- cells ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int32", "+5", 5),
        ("int32", "5.0", 5),
        ("int32", "5e3", 5000),
        ("int64", "-9223372036854775808", -(2**63)),
        ("int8", "1e1000", "does not fit int8"),
        ("int8", "nan", "is no whole number"),
        ("int16", True, "is no number"),
        ("int64", 10**400, "does not fit int64"),
        ("float64", "0.1", 0.1),
        ("float64", "-Infinity", float("-inf")),
        ("float64", "1e309", "does not fit float64"),
        ("float64", 10**400, "does not fit float64"),
        ("bool", "TRUE", True),
        ("bool", "2", "is neither true nor false"),
        ("binary", "0x00ff", b"\x00\xff"),
        ("binary", "abc", "is not whole bytes in hexadecimal"),
        ("binary", 12, "is not whole bytes in hexadecimal"),
        ("date", "2024-02-29", date(2024, 2, 29)),
        ("date", "2023-02-29", "is no date; dates are written 2024-09-16"),
        ("string", "\ud800", "is no text that UTF-8 can hold"),
        ("timestamp", "2024-09-16T12:00:60Z", "is no time; times are written 2024-09-16T12:00:00.5Z"),
        ("timestamp", "2024-09-16T23:59:60Z", "is no time; times are written 2024-09-16T12:00:00.5Z"),
        ("timestamp", "2016-12-31T23:59:61Z", "is no time; times are written 2024-09-16T12:00:00.5Z"),
        ("timestamp", "2024-09-16T12:00:00+05:99", "is no time; times are written 2024-09-16T12:00:00.5Z"),
        ("timestamp", "2024-09-16T12:00:00.0000001", "is finer than a microsecond, which timestamp cannot hold"),
    ],
)
def test_a_cell_is_its_value_or_says_what_is_wrong(kind: ColumnType, text: object, value: object) -> None:
    assert cell(RecordField(name="a", header="a", type=kind), text) == value


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2024-09-16T12:00:00.000123Z", 1_726_488_000_000_123),
        ("2024-09-16 12:00:00", 1_726_488_000_000_000),
        ("2024-09-16T14:00:00.5+02:00", 1_726_488_000_500_000),
        ("1969-12-31T23:59:59.9Z", -100_000),
        ("2024-09-16", 1_726_444_800_000_000),
        ("2016-12-31T23:59:59.999999Z", 1_483_228_799_999_999),
        ("2016-12-31T23:59:60.25Z", 1_483_228_799_999_999),  # a leap second, which Unix time cannot tell
        ("2017-01-01T00:59:60+01:00", 1_483_228_799_999_999),
    ],
)
def test_a_time_counts_microseconds_in_utc(text: str, microseconds: int) -> None:
    column = object_column(RecordField(name="a", header="a", type="timestamp"), [text])
    assert column.values.cast(pa.int64()).to_pylist() == [microseconds]


# ---- JSON lines ----------------------------------------------------------------------------------------------------
def test_each_line_of_json_is_a_row() -> None:
    rows, bad = json_rows(
        '\ufeff{"timestamp_ms": 5, "Count": 2.0, "Temp": null, "Mode": "x", "Words": [1, 2]}',
        "",
        '{"WORDS": "[3]", "timestamp_ms": "6", "Count": -7}',
    )
    assert rows == [(0, 5, 2, None, "x", [1, 2]), (82, 6, -7, None, None, [3])]
    assert bad == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ('{"timestamp_ms": 5, "Words": []}', "row 1: lacks the column 'Count'"),
        ('{"timestamp_ms": 5, "Count": 1, "Words": [], "z": 1}', "row 1: has the column 'z', which no field names"),
        ('{"timestamp_ms": 5, "Count": 1, "Count": 1, "Words": []}', "row 1: has a key twice"),
        ('{"timestamp_ms": 5, "Count": 1e999, "Words": []}', "row 1 (Count): '1e999' does not fit int16"),
        ('{"timestamp_ms": 5, "Count": true, "Words": []}', "row 1 (Count): True is no number"),
        ('{"timestamp_ms": 5, "Count": 1, "Words": [1, null]}', "row 1 (Words): [1, None] has an item without a value"),
        ('{"timestamp_ms": 5', "row 1: is no JSON: Expecting ',' delimiter at column 19"),
        ("[1, 2]", "row 1: is no object such as {...}"),
        ("[" * 100_000, "row 1: is no JSON that can be read"),
        ('{"Count": ' + "1" * 5000 + "}", "row 1: is no JSON that can be read"),
        (b"\xff", "row 1: is not UTF-8 at byte 0"),
    ],
)
def test_a_line_that_is_no_row_is_quarantined_alone(line: str | bytes, wrong: str) -> None:
    rows, bad = json_rows(line, '{"timestamp_ms": 5, "Count": 1, "Words": []}')
    assert len(rows) == 1
    assert [detail[: len(wrong)] for _, _, detail in bad] == [wrong]


# ---- Parquet -------------------------------------------------------------------------------------------------------
def parquet_rows(path: Path, table: pa.Table, fields: tuple[RecordField, ...], count: int = 2) -> Found:
    pq.write_table(table, path, row_group_size=3)
    return read(parquet_pieces(path, fields, "refuse", count), path.stat().st_size)


def test_rows_of_parquet_are_known_by_number_and_bad_ones_have_no_bytes(tmp_path: Path) -> None:
    table = pa.table(
        {
            "timestamp_ms": pa.array([1, 2, 3, 2**63, 5], pa.uint64()),
            "Count": [1.0, 2.5, 3.0, 4.0, 40000.0],
            "Temp": pa.array([1.5, None, 1e39, 4.0, 5.0]),
            "Mode": pa.array(["x", "", "y", "z", None]).dictionary_encode(),
            "Words": pa.array([[1], [], [2], [3], [4]], pa.large_list(pa.int64())),
        }
    )
    rows, bad = parquet_rows(tmp_path / "a.parquet", table, FIELDS)
    assert rows == [(0, 1, 1, 1.5, "x", [1])]
    assert bad == [
        (1, 0, "row 1 (Count): 2.5 is no whole number that fits int16"),
        (2, 0, "row 2 (Temp): 1e+39 does not fit float32"),
        (3, 0, "row 3 (timestamp_ms): 9223372036854775808 does not fit int64"),
        (4, 0, "row 4 (Count): 40000.0 is no whole number that fits int16"),
    ]


def test_nulls_lists_and_text_of_parquet_are_checked_row_by_row(tmp_path: Path) -> None:
    texts = pa.Array.from_buffers(
        pa.string(), 4, [None, pa.py_buffer(np.array([0, 1, 2, 3, 4], np.int32)), pa.py_buffer(b"a\xffcd")]
    )
    table = pa.table({"Words": [[1, None], [2], [70_000], None], "Mode": texts})
    rows, bad = parquet_rows(tmp_path / "a.parquet", table, (WORDS, MODE), 4)
    assert rows == []
    assert [detail for _, _, detail in bad] == [
        "row 0 (Words): None has an item without a value",
        "row 1 (Mode): b'\\xff' is not UTF-8",
        "row 2 (Words): 70000 has an item that does not fit int16",
        "row 3 (Words): None has no value, and the field needs one",
    ]


def test_a_null_list_of_a_fixed_size_does_not_shift_the_rows_behind_it(tmp_path: Path) -> None:
    words = WORDS.model_copy(update={"nullable": True})
    table = pa.table({"Words": pa.array([[1, 2], None, [70_000, 4], [5, 6]], pa.list_(pa.int32(), 2))})
    rows, bad = parquet_rows(tmp_path / "a.parquet", table, (words,), 4)
    assert [detail for _, _, detail in bad] == ["row 2 (Words): 70000 has an item that does not fit int16"]
    assert [row[-1] for row in rows] == [[1, 2], None, [5, 6]]


def test_times_of_parquet_keep_their_microsecond_or_are_refused(tmp_path: Path) -> None:
    field = RecordField(name="t", header="t", type="timestamp", nullable=True)
    table = pa.table({"t": pa.array([1_000, None, 1_001], pa.timestamp("ns"))})
    rows, bad = parquet_rows(tmp_path / "a.parquet", table, (field,))
    assert [row[1] and row[1].microsecond for row in rows] == [1, None]
    assert [detail for _, _, detail in bad] == ["row 2 (t): 1001 is finer than a microsecond"]


def test_a_parquet_file_with_another_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordFileError, match="has string in column Count, which is no int16"):
        parquet_rows(tmp_path / "a.parquet", pa.table({"Count": ["1"]}), (COUNT,))


@pytest.mark.parametrize("damage", ["cut", "turned", "text"])
def test_a_damaged_parquet_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"Count": list(range(10_000))}), path, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[500] ^= 0x55
    path.write_bytes({"cut": bytes(data[:-200]), "turned": bytes(data), "text": HEADER}[damage])
    with pytest.raises(RecordFileError, match="is damaged, or no Parquet file"):
        list(parquet_pieces(path, (COUNT,), "refuse"))


# ---- what is found out about rows ----------------------------------------------------------------------------------
def test_equal_rows_have_equal_numbers_in_every_format(tmp_path: Path) -> None:
    data = b'Mode,Words,Temp,Count,timestamp_ms\nx,"[1, 2]",1.0,7,5\n,[],,8,6\n'
    lines = [
        {"timestamp_ms": 5, "Count": 7, "Temp": 1, "Mode": "x", "Words": [1, 2]},
        {"timestamp_ms": 6, "Count": 8, "Temp": None, "Mode": None, "Words": []},
    ]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(lines), path)
    text = "\n".join(json.dumps(line) for line in lines).encode()
    files = [
        csv_pieces(io.BytesIO(data), FIELDS, "refuse"),
        json_pieces(io.BytesIO(text), FIELDS, "refuse"),
        parquet_pieces(path, FIELDS[::-1], "refuse"),
    ]
    ids = [[n for piece in file if piece.columns for n in row_ids(piece.columns).tolist()] for file in files]
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids[0])) == 2


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-2, 2)),
            st.one_of(st.none(), st.sampled_from(["", "a", "ab", "b"])),
            st.one_of(st.none(), st.lists(st.sampled_from(["", "a", "ab"]), max_size=3)),
            st.sampled_from([0.0, -0.0, float("nan"), 1.5]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_rows_have_the_same_number_exactly_if_they_are_equal(rows: list[tuple[Any, ...]]) -> None:
    number, text, texts, real = zip(*rows, strict=True)
    columns = {
        "a": pa.array(number, pa.int8()),
        "b": pa.array(text, pa.string()),
        "c": pa.array(texts, pa.list_(pa.string())),
        "d": pa.array(real, pa.float32()),
    }
    ids = row_ids(columns).tolist()
    equal = [repr((*row[:3], row[3] + 0.0)) for row in rows]
    assert len(set(ids)) == len(set(equal))
    assert [ids.index(each) for each in ids] == [equal.index(each) for each in equal]
    wide = columns | {"a": columns["a"].cast(pa.int64()), "d": columns["d"].cast(pa.float64())}
    assert row_ids({name: wide[name] for name in reversed(wide)}).tolist() == ids


def test_the_number_of_a_row_stays_what_it_is() -> None:
    # sha256 of 01 0000000000000005 01 3ff8000000000000, then 01 0000000000000001 61: by hand with sha256sum.
    columns = {"a": pa.array([5]), "b": pa.array([1.5]), "c": pa.array(["a"])}
    assert row_ids(columns).tolist() == [int.from_bytes(bytes.fromhex("dff36374f7edbe34"), "big", signed=True)]


POSIX = Clock(epoch="1970-01-01T00:00:00", policy="posix", coarse="t")


def times(clock: Clock, **columns: pa.Array) -> list[int | None]:
    counters, rest, known = clock_counters(clock, columns)
    fine = counters.get(clock.fine or "")
    tt2000 = tt2000_from_met(clock, counters[clock.coarse], fine, counters.get(clock.days or "")) + rest
    return [int(time) if has else None for time, has in zip(tt2000, known, strict=True)]


def test_a_clock_may_count_whole_ticks_or_real_seconds_to_the_microsecond() -> None:
    wanted = int(tt2000_from_unix_ns(1_762_023_976_398_000_000))
    milli = POSIX.model_copy(update={"coarse_ticks_per_second": 1000})
    assert times(milli, t=pa.array([1_762_023_976_398])) == [wanted]
    assert times(POSIX, t=pa.array([1_762_023_976.398])) == [wanted]
    assert times(milli, t=pa.array([1_762_023_976_398.0])) == [wanted]
    split = POSIX.model_copy(update={"coarse_ticks_per_second": 1000, "days": "d"})
    assert times(split, t=pa.array([68_776_398]), d=pa.array([20_393], pa.int16())) == [wanted]
    assert times(split, t=pa.array([86_400_000, -1]), d=pa.array([20_393, 20_393])) == [None, None]


def test_a_row_without_a_time_or_with_an_absurd_one_has_none() -> None:
    assert times(POSIX, t=pa.array([None, 2**62, -(2**63), 5])) == [None, None, None, times(POSIX, t=pa.array([5]))[0]]
    assert times(POSIX, t=pa.array([float("nan"), float("inf"), 1e300])) == [None, None, None]

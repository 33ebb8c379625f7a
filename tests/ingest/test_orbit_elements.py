# SPDX-License-Identifier: Apache-2.0
"""Orbit elements in two lines and as CSV messages. The example is the one of Wikipedia's article on two-line elements,
whose values sgp4 reads too."""

from __future__ import annotations

import io
from math import degrees, pi
from typing import Any

import pytest
from sgp4.api import Satrec  # type: ignore[import-untyped]
from sgp4.conveniences import sat_epoch_datetime  # type: ignore[import-untyped]
from sgp4.io import fix_checksum  # type: ignore[import-untyped]

from ingest.record.elements import element_pieces
from ingest.record.known_by import row_ids
from ingest.record.lines import BLOCK_BYTES
from lake.errors import RecordFileError
from lake.source_definitions import ELEMENTS, RecordField

FIELDS = [RecordField(name=n, header=n, type=e.type, nullable=e.nullable) for n, e in ELEMENTS.items()]
NAME = b"ISS (ZARYA)\n"
FIRST = b"1 25544U 98067A   08264.51782528 -.00002182  00000-0 -11606-4 0  2927\n"
SECOND = b"2 25544  51.6416 247.4627 0006703 130.5360 325.0288 15.72125391563537\n"
KEYWORDS = ",".join(element.keyword for element in ELEMENTS.values())
MESSAGE = (
    "2008-09-20T12:25:40.104192,25544,ISS (ZARYA),1998-067A,U,0,292,15.72125391,-.00002182,0,-1.1606E-5,51.6416,"
    "247.4627,.0006703,130.536,325.0288,56353"
)


def read(data: bytes, block_bytes: int = BLOCK_BYTES) -> tuple[list[dict[str, Any]], list[tuple[int, int, str]]]:
    """Element sets with their offsets, and bad lines; every byte must be in one of them, or counted."""
    pieces = list(element_pieces(io.BytesIO(data), FIELDS, block_bytes))
    bad = sorted((row.offset, row.length, row.detail) for piece in pieces for row in piece.bad)
    assert sum(piece.decoded for piece in pieces) + sum(length for _, length, _ in bad) == len(data)
    sets = []
    for piece in pieces:
        columns = {"offset": piece.offsets.tolist()} | {name: c.to_pylist() for name, c in piece.columns.items()}
        sets += [{name: column[i] for name, column in columns.items()} for i in range(len(piece.offsets))]
    return sets, bad


def test_the_two_lines_give_the_values_that_are_written_there() -> None:
    [found], bad = read(NAME + FIRST + SECOND)
    assert bad == []
    assert found == {
        "offset": 0, "epoch_unix_us": 1_221_913_540_104_192, "norad_id": 25544, "object_name": "ISS (ZARYA)",
        "object_id": "1998-067A", "classification": "U", "ephemeris_type": 0, "element_set": 292,
        "mean_motion_rev_per_day": 15.72125391, "mean_motion_dot": -0.00002182, "mean_motion_ddot": 0.0,
        "bstar": -1.1606e-5, "inclination_deg": 51.6416, "raan_deg": 247.4627, "eccentricity": 0.0006703,
        "arg_of_perigee_deg": 130.536, "mean_anomaly_deg": 325.0288, "revolution": 56353,
    }  # fmt: skip


def test_the_values_are_those_of_sgp4() -> None:
    first = fix_checksum("1 A5544U 20001B   24366.98765432  .00012345  12345-3  98765-4 0   12").encode()
    second = fix_checksum("2 A5544  97.1234   1.0001 0012345   0.0000  10.5000 15.12345678    9").encode()
    [found], _ = read(first + b"\n" + second + b"\n")
    oracle = Satrec.twoline2rv(first.decode(), second.decode())
    assert found["norad_id"] == oracle.satnum == 105_544
    assert (found["object_id"], oracle.intldesg) == ("2020-001B", "20001B")
    assert found["epoch_unix_us"] == pytest.approx(sat_epoch_datetime(oracle).timestamp() * 1e6, abs=50)
    turns = oracle.no_kozai * 1440 / (2 * pi)
    assert found["mean_motion_rev_per_day"] == pytest.approx(turns, rel=1e-12)
    assert found["mean_motion_dot"] == pytest.approx(oracle.ndot * 1440**2 / (2 * pi), rel=1e-12)
    assert found["mean_motion_ddot"] == pytest.approx(oracle.nddot * 1440**3 / (2 * pi), rel=1e-12)
    assert found["bstar"] == pytest.approx(oracle.bstar, rel=1e-12)
    for name, angle in (("inclination_deg", "inclo"), ("raan_deg", "nodeo"), ("mean_anomaly_deg", "mo")):
        assert found[name] == pytest.approx(degrees(getattr(oracle, angle)), rel=1e-12)
    assert (found["eccentricity"], found["revolution"], found["element_set"]) == (oracle.ecco, 9, oracle.elnum)


def test_both_forms_give_equal_rows() -> None:
    texts = (NAME + FIRST + SECOND, b"0 " + NAME + FIRST + SECOND, f"{KEYWORDS}\n{MESSAGE}\n".encode())
    pieces = [piece for text in texts for piece in element_pieces(io.BytesIO(text), FIELDS) if piece.columns]
    assert [piece.columns for piece in pieces] == [pieces[0].columns] * 3
    assert len({int(row_ids(piece.columns)[0]) for piece in pieces}) == 1


def test_sets_follow_each_other_with_names_and_without_and_wherever_blocks_are_cut() -> None:
    data = b"\xef\xbb\xbf\r\n" + (FIRST + SECOND).replace(b"\n", b"\r\n") + b"\n" + NAME + FIRST + SECOND[:-1]
    for block_bytes in (BLOCK_BYTES, 50, 1):
        sets, bad = read(data, block_bytes)
        assert [(row["offset"], row["object_name"]) for row in sets] == [(5, None), (148, "ISS (ZARYA)")]
        assert bad == []


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ([FIRST.replace(b"2927", b"2928"), SECOND], "the first line has checksum 8, its letters give 7"),
        ([NAME, FIRST, SECOND.replace(b"51.6416", b"51.6417")], "the second line has checksum 7, its letters give 8"),
        ([FIRST, SECOND[:60] + b"\n"], "the second line is not in the form of two-line elements"),
        ([FIRST, SECOND.replace(b"25544", b"25535")], "the lines are of two satellites, 25544 and 25535"),
        ([FIRST], "a first line without the second"),
        (
            [fix_checksum(FIRST.decode().replace("08264.", "07366.")).encode() + b"\n", SECOND],
            "there is no day 366.51782528 in 2007",
        ),
        ([SECOND], "a second line without the first"),
        ([b"A LINE\n"], "a line that no elements follow"),
        ([b"\xff\xfe\n"], "a line that no elements follow"),
    ],
)
def test_lines_that_are_no_elements_are_quarantined_and_those_around_them_are_read(
    lines: list[bytes], wrong: str
) -> None:
    good = NAME + FIRST + SECOND
    sets, bad = read(good + b"".join(lines) + good)
    assert [row["offset"] for row in sets] == [0, len(good) + sum(map(len, lines))]
    assert [length for _, length, _ in bad] == [len(line) for line in lines]
    assert [detail.partition(": ")[2] for _, _, detail in bad] == [wrong] * len(lines)


def test_a_name_may_hold_a_comma() -> None:
    [found], bad = read(b"SAT, THE SECOND\n" + FIRST + SECOND)
    assert (found["object_name"], bad) == ("SAT, THE SECOND", [])


def test_a_message_has_the_columns_it_needs_and_may_have_more() -> None:
    sets, bad = read(f"GP_ID,{KEYWORDS}\n7,{MESSAGE}\n8,{MESSAGE.replace('.0006703', 'x')}\n".encode())
    assert [row["element_set"] for row in sets] == [292]
    assert [detail for _, _, detail in bad] == ["row 3 (ECCENTRICITY): 'x' is no number"]
    with pytest.raises(RecordFileError, match="lacks the column 'EPOCH'"):
        read(f"{KEYWORDS.replace('EPOCH', 'Epoch of it')}\n".encode())


@pytest.mark.parametrize("data", [NAME + FIRST + SECOND, f"{KEYWORDS}\n{MESSAGE}\n".encode()])
def test_elements_outside_of_strict_ranges_are_refused(data: bytes) -> None:
    strict = {"valid_min": 0.0, "valid_max": 10.0, "strict": True}
    fields = [f.model_copy(update=strict) if f.name == "mean_motion_rev_per_day" else f for f in FIELDS]
    pieces = list(element_pieces(io.BytesIO(data), fields, BLOCK_BYTES))
    (bad,) = (row for piece in pieces for row in piece.bad)
    assert bad.detail.endswith("15.72125391 is not between 0 and 10")
    assert sum(len(piece.offsets) for piece in pieces) == 0

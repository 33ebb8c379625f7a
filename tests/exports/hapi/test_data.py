# SPDX-License-Identifier: Apache-2.0
"""Records: those of the newest CDF, in a time range, in three formats."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import cdflib
import numpy as np
import pytest

from exports.hapi.streaming import takes_gzip
from lake.catalog import refresh
from lake.ledger import read_ops
from lake.store import Lake
from lake.tables import append_ops
from tests.exports.hapi.asking import Client
from tests.exports.hapi.conftest import DATASET
from tests.product_lakes import products_of
from tests.toy import DAY, L1

FORMATS = ("csv", "binary", "json")
FIRST = "2024-09-16T00:00:00.000000000Z"


@pytest.mark.parametrize("form", FORMATS)
def test_values_are_those_of_the_cdfs(client: Client, toy: Lake, form: str) -> None:
    got = client.columns(DATASET, form)
    files = [cdflib.CDF(path) for (product, _), path in sorted(products_of(toy).items()) if product == L1]
    assert len(files) == 2
    for name in ("voltage_v", "halves_v"):
        assert np.array_equal(got[name], np.concatenate([file.varget(name) for file in files]))
    texts = [f"{text}Z".encode() for file in files for text in cdflib.cdfepoch.encode_tt2000(file.varget("Epoch"))]
    assert got["Time"].tolist() == texts


def test_csv_is_a_line_to_a_record_with_arrays_unrolled(client: Client) -> None:
    got = client.data(DATASET, parameters="voltage_v,halves_v", stop="2024-09-16T00:00:02")
    assert got.body == (b"2024-09-16T00:00:00.000000000Z,2.0,1.0,1.0\n2024-09-16T00:00:01.000000000Z,4.0,2.0,2.0\n")
    assert got.headers["content-type"] == "text/csv; charset=utf-8"


def test_json_has_arrays_in_brackets_after_the_header(client: Client) -> None:
    got = client.data(DATASET, parameters="voltage_v,halves_v", stop="2024-09-16T00:00:01", format="json")
    assert got.json["data"] == [[FIRST, 2.0, [1.0, 1.0]]]
    assert got.json["format"] == "json"
    assert got.json["status"] == {"code": 1200, "message": "OK"}


def test_binary_has_texts_of_their_length_and_little_endian_numbers(client: Client) -> None:
    got = client.data(DATASET, parameters="voltage_v,halves_v", stop="2024-09-16T00:00:01", format="binary")
    assert got.body == FIRST.encode() + bytes.fromhex("0000000000000040 000000000000f03f 000000000000f03f")


def test_start_is_included_and_stop_is_not(client: Client) -> None:
    second = client.columns(DATASET, "csv", start="2024-09-16T00:00:01Z", stop="2024-09-16T00:00:02Z")
    assert second["voltage_v"].tolist() == [4.0]
    after = client.columns(DATASET, "csv", start="2024-09-16T00:00:01.000000001Z", stop="2024-09-16T00:00:02.1Z")
    assert after["voltage_v"].tolist() == [6.0]


def test_adjacent_ranges_make_the_whole(client: Client) -> None:
    cuts = ["2024-09-16", "2024-09-16T00:00:01", "2024-09-16T12", "2024-09-17", "2024-09-17T00:00:00.5", "2024-09-18"]
    parts = [client.data(DATASET, start=a, stop=b).body for a, b in pairwise(cuts)]
    assert b"".join(parts) == client.data(DATASET).body
    assert [len(part.splitlines()) for part in parts] == [1, 2, 0, 1, 1]


@pytest.mark.parametrize("form", FORMATS)
def test_a_range_without_records_is_no_error(client: Client, form: str) -> None:
    got = client.data(DATASET, start="2024-09-16T05", stop="2024-09-16T06", format=form)
    assert (got.http, got.code) == (200, 1201)
    assert got.json["data"] == [] if form == "json" else got.body == b""


def test_time_comes_even_where_it_was_not_asked_for(client: Client) -> None:
    both = [client.data(DATASET, parameters=names).body for names in ("voltage_v", "Time,voltage_v")]
    assert both[0] == both[1]
    assert client.data(DATASET, parameters="Time").body.splitlines()[0] == FIRST.encode()


def test_no_parameters_are_all(client: Client) -> None:
    assert client.data(DATASET, parameters="").body == client.data(DATASET).body


@pytest.mark.parametrize("form", ["csv", "binary"])
def test_a_header_stands_before_the_data_as_info_says_it(client: Client, form: str) -> None:
    plain = client.data(DATASET, format=form, parameters="halves_v").body
    got = client.data(DATASET, format=form, parameters="halves_v", include="header").body
    assert got.endswith(plain)
    header = json.loads("".join(line[1:] for line in got.removesuffix(plain).decode().splitlines(keepends=True)))
    assert header.pop("format") == form
    assert header == client.get("/info", dataset=DATASET, parameters="halves_v").json


def test_the_names_of_hapi_2_are_understood(client: Client) -> None:
    former = client.get("/data", "GET", f"id={DATASET}&time.min=2024-260Z&time.max=2024-261Z")
    assert former.body == client.get("/data", dataset=DATASET, start="2024-09-16", stop="2024-09-17").body


def test_text_is_compressed_for_who_asks(client: Client) -> None:
    asked = {"dataset": DATASET, "start": "2024-09-16", "stop": "2024-09-18"}
    packed = client.get("/data", "GET", "", True, **asked)
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == client.get("/data", **asked).body


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ([], False),
        ([b"gzip"], True),
        ([b"deflate, GZIP;q=0.001"], True),
        ([b"identity, gzip"], True),
        ([b"br", b"x-gzip"], True),
        ([b"*"], True),
        ([b"gzip ; q=1.000"], True),
        ([b"identity, gzip;q=0"], False),
        ([b"gzip;q=0.000, *"], False),
        ([b"*;q=0"], False),
        ([b"identity, gzip;q=0.5"], False),
        ([b"gzip;q=2"], False),
        ([b"nogzip, gzipped"], False),
        ([b""], False),
    ],
)
def test_only_who_takes_gzip_gets_it(given: list[bytes], taken: bool) -> None:
    assert takes_gzip({"headers": [(b"accept-encoding", value) for value in given]}) == taken


def test_values_of_axes_that_changed_come_with_each_record(client: Client) -> None:
    got = client.columns(DATASET, "json", parameters="halves_v,part,part_ranges")
    assert got["part"].tolist() == [[1.0, 2.0]] * 3 + [[1.1, 2.2]] * 2
    assert got["part_ranges"][-1].tolist() == [[0.6, 1.6], [1.6, 3.7]]
    (halves,) = [p for p in client.parameters(DATASET) if p["name"] == "halves_v"]
    assert (halves["bins"][0]["centers"], halves["bins"][0]["ranges"]) == ("part", "part_ranges")


def test_a_day_whose_table_moved_on_is_that_of_its_cdf(own: Lake, client: Client) -> None:
    """Rows that were built anew and not exported are not given: nobody has released them."""
    whole = client.data(DATASET).body
    assert isinstance(own.root, Path)
    (path,) = own.root.glob(f"tables/toy/box_l1_tick/day={DAY}/*.parquet")
    _rebuilt(own)
    path.unlink()  # so that only the CDF can tell
    got = Client(own).data(DATASET)
    assert got.whole
    assert got.body == whole


def _rebuilt(lake: Lake) -> None:
    """Note that the first day was built again, with other rows."""
    runs = read_ops(lake, "runs")
    row = next(row for row in runs.iter_rows(named=True) if row["table_name"] == L1 and row["day"] == DAY)
    later = datetime.now(UTC) + timedelta(seconds=1)
    append_ops(lake, "runs", [row | {"run_id": "run-later", "started_at": later, "content": "other rows"}])
    assert refresh(lake)

# SPDX-License-Identifier: Apache-2.0
"""What the server refuses, and how: the rules of HAPI 3.3 that a verifier asks for."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exports.hapi.requests import OF_CATALOG, OF_DATA
from exports.hapi.serving import Manner
from lake.store import Lake
from tests.exports.hapi.asking import Client
from tests.exports.hapi.conftest import DATASET

RANGE = "start=2024-09-16&stop=2024-09-18"
DATA = f"dataset={DATASET}&{RANGE}"


@pytest.mark.parametrize(
    ("path", "query", "http", "code"),
    [
        ("", "", 200, 1200),
        ("/capabilities", "", 200, 1200),
        ("/about", "", 200, 1200),
        ("/catalog", "", 200, 1200),
        ("/catalog", "depth=all&resolve_references=false", 200, 1200),
        ("/info", f"dataset={DATASET}&resolve_references=true", 200, 1200),
        ("/data", DATA, 200, 1200),
        ("", "x=1", 400, 1401),
        ("/capabilities", "dataset=1", 400, 1401),
        ("/about", "x=1", 400, 1401),
        ("/catalog", "x=1", 400, 1401),
        ("/catalog", "depth=deep", 400, 1413),
        ("/catalog", "resolve_references=maybe", 400, 1412),
        ("/info", "", 400, 1400),
        ("/info", "dataset=", 400, 1400),
        ("/info", "dataset=toy.box_l1_tick", 404, 1406),
        ("/info", f"id={DATASET}&dataset={DATASET}", 400, 1400),
        ("/info", f"dataset={DATASET}&start=2024", 400, 1401),
        ("/info", f"dataset={DATASET}&parameters=nothing", 404, 1407),
        ("/info", f"dataset={DATASET}&parameters=time", 404, 1407),
        ("/info", f"dataset={DATASET}&parameters=halves_v,voltage_v", 400, 1411),
        ("/info", f"dataset={DATASET}&parameters=voltage_v,voltage_v", 400, 1411),
        ("/info", f"dataset={DATASET}&parameters=voltage_v,Time", 400, 1411),
        ("/info", f"dataset={DATASET}&parameters=voltage_v,", 404, 1407),
        ("/data", f"{DATA}&averagingInterval=5s", 400, 1401),
        ("/data", f"{DATA}&Format=csv", 400, 1401),
        ("/data", f"{DATA}&start=2024-09-16", 400, 1400),
        ("/data", f"dataset={DATASET}&stop=2024-09-18", 400, 1402),
        ("/data", f"dataset={DATASET}&start=2024-09-16", 400, 1403),
        ("/data", f"dataset={DATASET}&start=1999-13&stop=2024-09-18", 400, 1402),
        ("/data", f"dataset={DATASET}&start=2024-09-16&stop=tomorrow", 400, 1403),
        ("/data", f"dataset={DATASET}&start=2024-09-17&stop=2024-09-17", 400, 1404),
        ("/data", f"dataset={DATASET}&start=2024-09-18&stop=2024-09-17", 400, 1404),
        ("/data", f"dataset={DATASET}&start=2024-09-15&stop=2024-09-17", 400, 1405),
        ("/data", f"dataset={DATASET}&start=2024-09-16&stop=2024-09-18T00:00:00.000000001Z", 400, 1405),
        ("/data", f"dataset=nothing&{RANGE}", 404, 1406),
        ("/data", f"{DATA}&parameters=nothing", 404, 1407),
        ("/data", f"{DATA}&format=xml", 400, 1409),
        ("/data", f"{DATA}&format=", 400, 1409),
        ("/data", f"{DATA}&include=everything", 400, 1410),
        ("/data", f"{DATA}&parameters=halves_v,voltage_v", 400, 1411),
        ("/nothing", "", 404, 1400),
        ("/data/more", "", 404, 1400),
        ("/../catalog", "", 404, 1400),
    ],
)  # fmt: skip
def test_a_request_has_the_status_of_the_specification(
    client: Client, path: str, query: str, http: int, code: int
) -> None:
    got = client.get(path, "GET", query)
    assert (got.http, got.code) == (http, code)
    if http != 200:
        assert got.headers["content-type"] == "application/json"
        assert (got.json["HAPI"], got.json["status"]["code"]) == ("3.3", code)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_but_get_and_head_is_answered(client: Client, method: str) -> None:
    assert client.get("/catalog", method).http == 405


def test_head_has_the_status_and_no_body(client: Client) -> None:
    assert (got := client.get("/data", "HEAD", DATA)).code == 1200
    assert got.body == b""
    none = client.get("/data", "HEAD", f"dataset={DATASET}&start=2024-09-16T05&stop=2024-09-16T06")
    assert (none.http, none.code, none.body) == (200, 1201, b"")


@pytest.mark.parametrize("path", ["/", "/info/", "/data/"])
def test_a_slash_at_the_end_leads_to_the_path_without(client: Client, path: str) -> None:
    got = client.get(path, "GET", "dataset=a%20b&x=http://other")
    assert (got.http, got.headers["location"]) == (301, f"/hapi{path[:-1]}?dataset=a%20b&x=http:%2F%2Fother")


@pytest.mark.parametrize("path", ["", "/", "/capabilities", "/about", "/catalog", "/info", "/data"])
def test_programs_in_pages_of_anybody_may_ask_if_products_are_public(client: Client, toy: Lake, path: str) -> None:
    assert Client(toy, Manner(public=True)).get(path, "GET", DATA).headers["access-control-allow-origin"] == "*"
    assert not [name for name in client.get(path, "GET", DATA).headers if "access-control" in name]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8090", "localhost.evil.example", ""])
def test_a_page_of_another_site_gets_nothing_by_a_name_that_points_here(client: Client, host: str) -> None:
    got = client.called(host).get("/data", "GET", DATA)
    assert (got.http, b"2024" in got.body) == (421, False)
    assert all(client.called(name).get("/catalog").http == 200 for name in ("localhost:8090", "127.0.0.1", "[::1]:80"))


def test_a_server_that_is_called_by_any_name_answers(toy: Lake) -> None:
    assert Client(toy, hosts=None).called("data.example.org").get("/catalog").http == 200


@pytest.mark.parametrize("path", ["/about", "/catalog", "/info"])
def test_an_answer_says_when_the_data_changed_last(client: Client, path: str) -> None:
    got = client.get(path, "GET", f"dataset={DATASET}" if path == "/info" else "")
    assert got.headers["last-modified"].endswith(" GMT")


def test_more_records_than_are_given_at_a_time_are_refused(toy: Lake) -> None:
    small = Client(toy, Manner(records=4))
    assert small.get("/data", "GET", DATA).code == 1408
    assert small.get("/data", "GET", f"dataset={DATASET}&start=2024-09-16&stop=2024-09-17").code == 1200


@pytest.mark.parametrize(("records", "duration"), [(1, "PT28800S"), (2, "PT57600S"), (3, "P1D"), (4, "P1D"), (5, None)])
def test_the_longest_request_follows_from_the_records_and_is_left_out_where_all_may_be_asked_for(
    toy: Lake, records: int, duration: str | None
) -> None:
    """The busiest day has three records, both days have five."""
    small = Client(toy, Manner(records=records))
    assert small.get("/info", dataset=DATASET).json.get("maxRequestDuration") == duration


def test_what_was_asked_is_shown_as_text_in_bounds(client: Client) -> None:
    got = client.get("/info", dataset="<script>alert('\r\nX-Evil: 1')</script>" + "x" * 5000)
    message = got.json["status"]["message"]
    assert len(message) < 250
    assert "\n" not in message
    assert "script" not in got.headers["x-reason-phrase"]


def test_many_request_parameters_are_refused(client: Client) -> None:
    assert client.get("/data", "GET", "&".join("dataset=x" for _ in range(100))).code == 1400


WORDS = st.sampled_from(
    [DATASET, "", "Time", "voltage_v", "Time,halves_v", "2024-09-16", "2024-09-17T00:00:00Z", "2024-260T12", "header",
     "csv", "json", "binary", "all", "true", "'; DROP TABLE x; --", "../../etc/passwd", "\0", "%", "9" * 400, "٣", "-1"]
)  # fmt: skip
NAMES = st.sampled_from([*OF_DATA, *OF_CATALOG, "id", "time.min", "time.max", "x"])
PATHS = st.sampled_from(["", "/", "/capabilities", "/about", "/catalog", "/info", "/data", "/data", "/data", "/x"])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PATHS, st.dictionaries(NAMES, WORDS | st.text(max_size=30), max_size=7), st.sampled_from(["GET", "HEAD"]))
def test_no_request_is_an_error_of_the_server(client: Client, path: str, asked: dict[str, str], method: str) -> None:
    got = client.get(path, method, **asked)
    assert got.http in (200, 301, 400, 404)
    assert got.whole


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_no_query_is_an_error_of_the_server(client: Client, query: str) -> None:
    assert client.get("/data", "GET", query).http == 400

# SPDX-License-Identifier: Apache-2.0
"""The server gives what it is asked for within limits, says what is wrong with a question, and writes nothing."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from lake.answers import Answers, Limits, Parameters
from lake.errors import LimitError, TimeLimitError
from lake.hosts import name_of
from lake.store import Lake
from monitor.site import places
from monitor.viewer.asking import Desk
from tests.monitor.envelopes.box import ADDRESS
from tests.monitor.viewer.viewed_lake import ask, rows, served

SERIES = f"/api/series?table={ADDRESS}&channel=temp_degc&start=2024-09-16&stop=2024-09-19"
ROWS = f"/api/rows?table={ADDRESS}&columns=temp_degc&start=2024-09-16&stop=2024-09-17"
ENDLESS = "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b"


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/series", 400, "missing"),
        (SERIES + "&nonsense=1", 400, "no parameter"),
        (SERIES + "&points=9", 400, "points"),
        (SERIES + "&points=5001", 400, "points"),
        (SERIES + "&points=1e3", 400, "points"),
        (SERIES + "&start=2024-09-17", 400, "twice"),
        (SERIES.replace("2024-09-19", "yesterday"), 400, "no time"),
        (SERIES.replace("2024-09-19", "2024-09-19T24:01"), 400, "no time"),
        (SERIES.replace("2024-09-19", "2024-09-19T23:59:60Z"), 400, "leap second"),
        (SERIES.replace("2024-09-19", "2024-09-16"), 400, "Swap"),
        (SERIES.replace("2024-09-19", "2999-01-01"), 400, "1970 to 2200"),
        (SERIES.replace("2024-09-16", "1970-01-01").replace("2024-09-19", "2199-01-01"), 413, "shorter"),
        (SERIES.replace("temp_degc", "mode"), 404, "Choose"),
        (SERIES.replace("temp_degc", quote('temp_degc" FROM ops.files --')), 404, "Choose"),
        (SERIES.replace("temp_degc", quote("x'; DROP TABLE ops.files; --")), 404, "Choose"),
        (SERIES.replace("temp_degc", "temp%00degc"), 400, "no text"),
        (SERIES.replace(ADDRESS, "ops.files"), 404, "Choose"),
        (SERIES.replace(ADDRESS, quote("../../etc/passwd", safe="")), 404, "Choose"),
        (SERIES.replace("temp_degc", "x" * 500), 400, "too long"),
        (ROWS.replace("2024-09-17", "2024-12-01"), 413, "shorter"),
        (ROWS + "&limit=1001", 400, "limit"),
        (ROWS + "&limit=0", 400, "limit"),
        (ROWS + "&limit=-1", 400, "limit"),
        (ROWS.replace("temp_degc", "temp_degc,file_sha256"), 404, "Choose"),
        (ROWS.replace("temp_degc", ",".join(["temp_degc"] * 30)), 413, "fewer"),
        ("/api/channels?table=toy.box_l0_tick", 404, "Choose"),
        ("/api/else", 404, "no such page"),
    ],
)
def test_what_is_wrong_is_said(address: str, path: str, status: int, words: str) -> None:
    answer = ask(address, path)
    assert answer.status == status
    assert words in answer.json["error"]
    assert "Traceback" not in answer.json["error"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/index.html", "/api/status", SERIES])
def test_only_reading_is_answered(address: str, method: str, path: str) -> None:
    answer = ask(address, path, method)
    assert (answer.status, "GET" in answer.headers["allow"]) == (405, True)
    assert "error" in answer.json


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "", "[::2]"])
def test_another_host_is_not_answered(address: str, host: str) -> None:
    assert ask(address, "/index.html", headers={"Host": host}).status == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080"])
def test_this_machine_is_answered_by_its_names(address: str, host: str) -> None:
    assert name_of(host.encode()) in {"localhost", "127.0.0.1", "::1"}
    assert ask(address, "/health", headers={"Host": host}).status == 200


# ---- files


def test_a_page_is_given_once_and_then_said_to_be_the_same(viewed: Lake, address: str) -> None:
    path = "/" + places.channels(ADDRESS)
    first = ask(address, path)
    assert first.body == viewed.storage.read(places.SITE + path[1:])
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    again = ask(address, path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    assert ask(address, path, headers={"If-None-Match": '"other"'}).status == 200
    assert ask(address, path, "HEAD").body == b""
    assert "default-src 'self'" in first.headers["content-security-policy"]
    assert first.headers["x-content-type-options"] == "nosniff"


def test_a_folder_is_its_index_and_a_script_is_one(address: str) -> None:
    assert ask(address, "/channels/").body == ask(address, "/channels/index.html").body
    assert ask(address, "/assets/viewer.js").headers["content-type"] == "text/javascript; charset=utf-8"


def test_pages_learn_that_they_may_ask(viewed: Lake, address: str) -> None:
    assert ask(address, "/assets/viewer-served.js").body == b'window.swxlakeApi = "api/";\n'
    assert b'window.swxlakeApi = "";' in viewed.storage.read("site/assets/viewer-served.js")


@pytest.mark.parametrize(
    "path",
    [
        "/../catalog.duckdb",
        "/%2e%2e/catalog.duckdb",
        "/..%2fcatalog.duckdb",
        "/assets/..%2f..%2fcatalog.duckdb",
        "/assets/../../catalog.duckdb",
        "//etc/passwd",
        "/%00",
        "/channels%2findex.html",
        "/.hidden.html",
        "/channels",
        "/catalog.duckdb",
        "/channels/index.html/",
        "/assets/" + "a" * 300 + ".js",
        "/channels\\index.html",
    ],
)
def test_what_is_no_path_of_the_site_is_not_there(address: str, path: str) -> None:
    assert ask(address, path).status == 404


def test_a_site_in_a_bucket_is_served(s3_root: str, viewed: Lake) -> None:
    in_bucket = Lake(s3_root, viewed.definitions)
    in_bucket.storage.publish("site/index.html", b"<p>calm</p>", "text/html")
    in_bucket.storage.publish("catalog.duckdb", viewed.storage.read("catalog.duckdb"), "application/octet-stream")
    with served(in_bucket) as at:
        assert ask(at, "/").body == b"<p>calm</p>"
        assert ask(at, "/none.html").status == 404
        assert ask(at, "/health").body == b"ok\n"


# ---- what is told of the lake


@pytest.fixture
def bare(tmp_path: Path, viewed: Lake) -> Lake:
    """A lake with the catalog alone: no site was built, and there are no books."""
    lake = Lake(tmp_path, viewed.definitions)
    lake.storage.publish("catalog.duckdb", viewed.storage.read("catalog.duckdb"), "application/octet-stream")
    return lake


def test_the_status_is_that_of_the_last_build(bare: Lake) -> None:
    with served(bare) as at:
        before = ask(at, "/api/status")
        bare.storage.publish(places.SITE + places.STATUS, b"{}", "application/json")
        assert ask(at, "/api/status").json == {}
    assert (before.status, before.headers["retry-after"]) == (503, "1")
    assert "cannot be read" in before.json["error"]


def test_metrics_are_those_of_the_last_build_of_the_machine_and_of_the_server(bare: Lake) -> None:
    told = b"# TYPE swxlake_open_alerts gauge\nswxlake_open_alerts 2.0\n"
    with served(bare) as at:
        before = ask(at, "/metrics")
        bare.storage.publish(places.SITE + places.METRICS, told, "text/plain")
        after = ask(at, "/metrics")
    assert (before.status, b"swxlake_open_alerts" in before.body) == (200, False)
    assert after.body.startswith(told)
    assert after.body.count(b"\nswxlake_machine_cpus ") == 1
    assert after.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b'swxlake_monitor_requests_total{status="200"} 1.0' in after.body


def test_whether_the_lake_answers_is_told_while_no_question_can_be_asked(bare: Lake) -> None:
    with served(bare, desk=Desk(at_once=1, waiting=-1)) as at:
        refused = ask(at, SERIES)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert "Too many questions" in refused.json["error"]
        assert ask(at, "/health").body == b"ok\n"
        assert ask(at, "/health.json").json["state"] == "well"
        assert ask(at, "/metrics").status == 200


# ---- limits


def _tree(root: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        found.update(f"{path} {path.stat().st_mtime_ns}".encode() + path.read_bytes())
    return found.hexdigest()


def _status(address: str, path: str) -> int:
    """The status of an answer; 503 if the server closes the connection, as it may when there are too many."""
    try:
        return ask(address, path).status
    except (ConnectionError, http.client.BadStatusLine):
        return 503


def test_two_hundred_at_once_are_answered_or_sent_away_and_write_nothing(viewed: Lake, address: str) -> None:
    before = _tree(Path(viewed.root))
    paths = [SERIES, ROWS, "/index.html", "/%2e%2e/catalog.duckdb", SERIES + "&x=1"] * 40
    with ThreadPoolExecutor(200) as clients:
        found = Counter(clients.map(lambda path: _status(address, path), paths))
    assert set(found) <= {200, 400, 404, 503}
    assert found[200] > 0
    for _ in range(50):  # what is under way comes to its end, and it goes on
        if _status(address, SERIES) == 200:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the server answers no more")
    assert _tree(Path(viewed.root)) == before


class Slow(Answers):
    """Answers to questions of which each takes hours."""

    def ask(self, sql: str, parameters: Parameters = ()) -> pa.Table:
        """Never comes to its end."""
        del sql, parameters
        return super().ask(ENDLESS)


def test_a_question_that_takes_too_long_is_cut(viewed: Lake) -> None:
    slow = Slow(viewed, Limits(seconds=0.1))
    with served(viewed, slow) as at:
        answer = rows(at, "2024-09-16", "2024-09-17")
    assert (answer.status, "longer than 0.1 s" in answer.json["error"]) == (504, True)
    with pytest.raises(TimeLimitError, match="longer than"):
        slow.ask("SELECT 1")


def test_more_rows_than_may_be_are_refused(viewed: Lake) -> None:
    with served(viewed, rows=10) as at:
        answer = rows(at, "2024-09-16", "2024-09-17")
    assert (answer.status, "more than 10 rows" in answer.json["error"]) == (413, True)


class Gone(Request):
    """A request whose client has gone away."""

    def __init__(self) -> None:
        super().__init__({"type": "http", "headers": []})

    async def is_disconnected(self) -> bool:
        return True


class Patient(Gone):
    """One whose client waits."""

    async def is_disconnected(self) -> bool:
        return False


def test_a_question_is_ended_with_its_client(viewed: Lake) -> None:
    answers = Answers(viewed, Limits(seconds=60))
    started = time.monotonic()
    with pytest.raises(LimitError):
        asyncio.run(Desk().ask(Gone(), lambda: answers.ask(ENDLESS)))
    assert time.monotonic() - started < 20
    assert answers.ask("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_who_comes_when_all_seats_are_taken_is_told_to_come_again() -> None:
    async def three() -> list[object]:
        desk = Desk(at_once=1, waiting=1)
        asked = [desk.ask(Patient(), lambda: time.sleep(0.2) or 1) for _ in range(3)]
        return await asyncio.gather(*asked, return_exceptions=True)

    first, second, third = asyncio.run(three())
    assert (first, second) == (1, 1)
    assert isinstance(third, HTTPException)
    assert (third.status_code, third.headers) == (503, {"Retry-After": "1"})

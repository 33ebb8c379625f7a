# SPDX-License-Identifier: Apache-2.0
"""A lake with few rows in its books, some of them hostile, and a reader of the pages that the site makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from lake.store import Lake, name_hash
from lake.tables import append_ops
from monitor.site.facts import Facts
from monitor.site.page import Asset, Page
from monitor.site.writing import environment
from tests.meddea import DEFINITIONS

DAY = date(2026, 8, 1)
NIGHT = datetime(2026, 8, 2, 2, 0, 5, tzinfo=UTC)
TABLE = "padre.meddea_l1_housekeeping"
RUN = "20260802T020000.000000Z-aaaaaa"
SCRIPT = "<script>alert(1)</script>.dat"
HOSTILE = (
    SCRIPT,
    "\"'><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "two\nlines.dat",
    "\u202etad.exe\u202c.dat",
    "it's {{ 7 * 7 }} &lt;b&gt;.dat",
    "long" * 500 + ".dat",
)
PLAIN = "padreMDA0_260801000000.DAT"

Row = dict[str, Any]


def file_row(name: str, number: int, **more: Any) -> Row:
    """A raw file of MeDDEA: a million bytes, of which 512 were quarantined."""
    sha = f"{number:064x}"
    return {
        "file_sha256": sha,
        "name": name,
        "mission": "padre",
        "instrument": "meddea",
        "received_at": NIGHT,
        "bytes": 1_000_000,
        "bytes_decoded": 999_488,
        "bytes_quarantined": 512,
        "packets": 1000,
        "duplicates": 7,
        "status": "ingested",
        "reason": "",
        "revision": 1,
        "arrival": number,
        "definition": "d",
        "receipt": f"{sha}-{name_hash(name)}",
        "run_id": RUN,
    } | more


def stretch_row(file: Row, detail: str) -> Row:
    same = {name: file[name] for name in ("file_sha256", "name", "mission", "instrument", "run_id")}
    return same | {
        "byte_offset": 2048,
        "bytes": 512,
        "reason": "BAD_CHECKSUM",
        "detail": detail,
        "packets": 1,
        "day": DAY,
    }


def content_row(file: Row) -> Row:
    return {
        "table_name": "padre.meddea_l0_housekeeping",
        "day": DAY,
        "file_sha256": file["file_sha256"],
        "rows": 1000,
        "new_rows": 993,
        "definition": "d",
        "table_id": "t",
        "run_id": RUN,
        "mission": "padre",
        "instrument": "meddea",
    }


def failed_run_row(error: str) -> Row:
    return {
        "run_id": RUN,
        "table_name": TABLE,
        "day": DAY,
        "fingerprint": "f",
        "reason": "new",
        "rows": 0,
        "input_rows": 0,
        "seconds": 1.5,
        "started_at": NIGHT,
        "code_version": "0.1.0",
        "status": "failed",
        "error": error,
        "depends_on": "{}",
        "table_id": "t",
    }


def export_row(files: Iterable[Row], version: str, **more: Any) -> Row:
    """A version of the housekeeping of the day, made from files."""
    files = list(files)
    made_from = {"raw": [file["receipt"] for file in files], "calibrations": {"hk_linear_20240101": "c" * 64}}
    return {
        "product": TABLE,
        "day": DAY,
        "version": version,
        "path": f"exports/padre/meddea/l1/2026/padre_meddea_l1-housekeeping_20260801_v{version}.cdf",
        "bytes": 123_456,
        "sha256": version.replace(".", "") * 21,
        "records": 8640,
        "parents": json.dumps([file["name"] for file in files]),
        "created_at": NIGHT,
        "run_id": f"20260802T020000.000000Z-{version.replace('.', '0')}",
        "status": "published",
        "fingerprint": "f",
        "code_version": "0.1.0",
        "deliverable": True,
        "made_from": json.dumps(made_from | {"commit": "b890667e8dd9f5ef"}),
        "first_epoch_tt2000": 838_814_469_184_000_000,
        "last_epoch_tt2000": 838_814_469_184_000_000 + 86_390 * 10**9,
    } | more


def delivery_row(event: str, number: int, detail: str = "", recipient: str = "spdf") -> Row:
    return {
        "recipient": recipient,
        "product": TABLE,
        "day": DAY,
        "version": "1.0.10",
        "format": "cdf",
        "dataset": "padre_meddea_l1-housekeeping",
        "path": "padre/meddea/x.cdf",
        "bytes": 1,
        "sha256": "0" * 64,
        "event": event,
        "attempted_at": NIGHT,
        "delivered_at": NIGHT if event == "delivered" else None,
        "verified_at": None,
        "detail": detail or None,
        "batch": "b",
        "entry": "e",
        "number": number,
        "place": "p",
    }


def check_row(rule: str, passed: bool, severity: str = "fail") -> Row:
    return {
        "table_name": TABLE,
        "day": DAY,
        "rule": rule,
        "severity": severity,
        "passed": passed,
        "value": 12.0,
        "detail": f"what {rule} says",
        "content": "c",
        "rules": "r",
        "checked_at": NIGHT,
        "run_id": RUN,
    }


def night_row(*problems: str, **more: Any) -> Row:
    """The stage of a night that exports, with what it could not do."""
    return {
        "night_id": RUN,
        "number": 6,
        "stage": "export",
        "started_at": NIGHT + timedelta(minutes=5),
        "seconds": 1.0,
        "state": "failed" if problems else "ok",
        "facts": "{}",
        "notes": "[]",
        "problems": json.dumps(problems),
        "code_version": "0.1.0",
        "run_id": RUN,
    } | more


def alert_row(alert_id: str, **more: Any) -> Row:
    """An alert about a temperature, that a spike of three minutes raised."""
    noon = datetime(2026, 8, 1, 12, tzinfo=UTC)
    return {
        "alert_id": alert_id,
        "subject": f"{TABLE} fp_temp_degc",
        "mission": "padre",
        "instrument": "meddea",
        "table_name": TABLE,
        "column_name": "fp_temp_degc",
        "rules": "red_high",
        "severity": "red",
        "state": "open",
        "start_time": noon,
        "since_time": noon,
        "end_time": noon + timedelta(minutes=3),
        "episodes": 1,
        "value": 84_601.73,
        "baseline": 40.0,
        "message": "too warm for 3 min",
        "plot": "SELECT 1",
        "opened_at": NIGHT,
        "changed_at": NIGHT,
        "acknowledged_by": None,
        "note": None,
        "run_id": RUN,
    } | more


def event_row(alert_id: str, event: str, **more: Any) -> Row:
    about = {"alert_id": alert_id, "event": event, "at": NIGHT, "severity": "red", "by": "", "run_id": RUN}
    return about | {"detail": "told so"} | more


def anomaly_row(column: str, minutes: int, **more: Any) -> Row:
    start = datetime(2026, 8, 1, 12, tzinfo=UTC) + timedelta(minutes=minutes)
    return {
        "mission": "padre",
        "instrument": "meddea",
        "table_name": TABLE,
        "day": DAY,
        "column_name": column,
        "rule": "red_high",
        "severity": "red",
        "start_time": start,
        "end_time": start + timedelta(minutes=1),
        "ended": True,
        "value": 84_601.73,
        "baseline": 40.0,
        "score": 9.0,
        "samples": 6,
        "detail": f"{column} is too warm",
        "plot": "SELECT 1",
        "run_id": RUN,
    } | more


def story(root: Path, **rows: list[Row]) -> Facts:
    """The facts of a lake with the real definitions, no data tables, and these rows in its books."""
    lake = Lake(root, DEFINITIONS)
    for name, its_rows in rows.items():
        append_ops(lake, name, its_rows)
    return Facts(lake, NIGHT + timedelta(hours=4))


# ---- reading pages -------------------------------------------------------------------------------------------------
@dataclass
class Html(HTMLParser):
    """A page as a browser takes it: elements with their attributes, and the text of the content."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag in ("td", "th", "dt", "dd"):
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        """The words of the page, with single spaces."""
        return " ".join("".join(self.words).split())

    @property
    def links(self) -> list[str]:
        """Where its links lead, below the site's root."""
        found = [attributes["href"] for tag, attributes in self.elements if tag == "a" and "href" in attributes]
        return [href.replace("../", "") for href in found]

    def row(self, *cells: str) -> bool:
        """Whether cells with these texts stand side by side."""
        return " ".join(cells) in self.text


def pages(facts: Facts, *parts: Callable[[Facts], Iterable[Page | Asset]]) -> dict[str, str]:
    """The HTML of all pages of these parts of the site, by path."""
    templates = environment()
    made = [page for part in parts for page in part(facts) if isinstance(page, Page)]
    return {
        page.path: templates.get_template(page.template).render(page.about, root=page.root, path=page.path)
        for page in made
    }


def read(html: str) -> Html:
    found = Html()
    found.feed(html)
    return found


def assert_only_text(html: str) -> None:
    """No element, attribute or address of the page comes from a hostile text."""
    found = read(html)
    for tag, attributes in found.elements:
        assert tag not in ("iframe", "object", "b"), tag
        assert not [name for name in attributes if name.startswith("on")], attributes
        for name in ("href", "src"):
            assert not attributes.get(name, "").lower().startswith("javascript:"), attributes
        assert tag != "img" or attributes["src"] != "x"
    scripts = [attributes.get("src", "") for tag, attributes in found.elements if tag == "script"]
    assert all("assets/" in src for src in scripts), scripts
    assert "\u202e" not in html
    assert "alert(1)" not in "".join(scripts)

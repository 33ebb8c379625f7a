# SPDX-License-Identifier: Apache-2.0
"""`swxlake report`: the pages of a toy lake, what they tell, and how they are written."""

from __future__ import annotations

from datetime import UTC, date, datetime
from html import unescape
from pathlib import Path

import pytest

from lake.definition_files import read_definitions
from lake.errors import StorageError
from lake.store import Lake
from lake.tables import append_ops
from quality.checks import check_all
from swxlake.report import write_report
from tests.toy import DAY, L0, receive, toy_lake, write_missions

NOW, LATER = datetime(2024, 9, 20, tzinfo=UTC), datetime(2024, 9, 21, tzinfo=UTC)
NEXT = date(2024, 9, 17)
RULES = "rules: [{name: small, column: value, high: 5, severity: fail, description: <b>Values</b> are small}]"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two days of ticks, of which the first breaks a rule, with an anomaly and packets counted; a third, unchecked."""
    folder = tmp_path_factory.mktemp("toy")
    path = write_missions(folder / "missions") / "toy" / "box" / "tables.yaml"
    path.write_text(path.read_text().replace("    packet: tick\n", f"    packet: tick\n    {RULES}\n"))
    lake = Lake(toy_lake(folder).root, read_definitions(folder / "missions"))
    receive(lake, "a", [1, 9, 9])
    receive(lake, "b", [1, 2], NEXT)
    check_all(lake, "run-1")
    receive(lake, "c", [1], date(2024, 9, 18))
    counts = ("received", "distinct", "duplicates", "expected", "missing", "gaps", "restarts", "checksum_failures")
    packets = dict.fromkeys(counts, 3) | {"bytes": 90, "missing": 77, "apid": 7, "day": DAY, "run_id": "run-1"}
    append_ops(lake, "packets", [{"mission": "toy", "instrument": "box"} | packets])
    anomaly = {"mission": "toy", "instrument": "box", "table_name": L0, "day": DAY, "column_name": "value"}
    span = {"start_time": datetime(2024, 9, 16, 3, tzinfo=UTC), "end_time": datetime(2024, 9, 16, 4, tzinfo=UTC)}
    words = {"rule": "level", "severity": "red", "ended": True, "samples": 2, "plot": "SELECT 1", "run_id": "run-1"}
    append_ops(lake, "anomalies", [anomaly | span | words | {"detail": "<i>9 is far from 1</i>"}])
    return lake


def text_of(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def write(lake: Lake, folder: Path, days: set[date] | None = None, now: datetime = NOW) -> str:
    write_report(lake, folder, days, now, data_docs=False)
    return text_of(folder)


def test_what_was_found_is_told_with_the_command_for_its_rows(lake: Lake, tmp_path: Path) -> None:
    text = write(lake, tmp_path / "out")
    assert '<td class="fail">■ fail</td>' in text
    assert '<td class="unchecked">○ unchecked</td>' in text
    assert f"<code>swxlake check {L0}@{DAY} --rows --rule rule:small</code>" in text
    assert "0 rows break the rule that value is 5 or less. <b>Values</b> are small." in unescape(text)
    assert "<b>" not in text
    assert "&lt;i&gt;9 is far from 1&lt;/i&gt;" in text
    assert '<td class="number">77</td>' in text


def test_a_report_is_about_the_days_asked_for(lake: Lake, tmp_path: Path) -> None:
    text = write(lake, tmp_path / "out", {NEXT, date(2030, 1, 1)})
    assert "Checks of 2024-09-17 to 2024-09-17" in text
    assert "rule:small" not in text
    assert "far from" not in text
    assert "Checks of no days" in write(lake, tmp_path / "out", {date(2030, 1, 1)})


def test_two_reports_differ_in_the_line_that_says_when(lake: Lake, tmp_path: Path) -> None:
    one, other = (write(lake, tmp_path / "out", now=now).splitlines() for now in (NOW, LATER))
    different = [line for line, its in zip(one, other, strict=True) if line != its]
    assert len(different) == 1
    assert "Made 2024-09-20 00:00:00 UTC" in different[0]


def test_great_expectations_makes_its_pages_beside_it(lake: Lake, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for now in (NOW, LATER):
        outcome = write_report(lake, out, None, now)
        assert sorted(path.name for path in out.iterdir()) == ["data_docs", "report.html"]
    assert outcome.facts["written"] == [str(out / "report.html"), str(out / "data_docs" / "index.html")]
    assert (out / "data_docs" / "index.html").is_file()
    pages = [path.read_text(encoding="utf-8") for path in (out / "data_docs" / "validations").rglob("*.html")]
    assert any(L0 in page and "rule:small" in page for page in pages)


def test_a_folder_that_cannot_be_written_is_named(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("-")
    with pytest.raises(StorageError, match=r"file: .*exists\. Give --out a folder that can be written\."):
        write_report(lake, tmp_path / "file", None, NOW, data_docs=False)

# SPDX-License-Identifier: Apache-2.0
"""What is served, and what is left out and said at the start."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exports.hapi.serving import Manner, application
from lake.answers import Answers, Limits
from lake.catalog import refresh
from lake.definition_files import read_definitions
from lake.health import Health
from lake.ledger import read_ops
from lake.store import Lake
from lake.tables import append_ops
from tests.exports.hapi.asking import Client
from tests.exports.hapi.conftest import DATASET
from tests.toy_product import edit

RANGE = "start=2024-09-16&stop=2024-09-18"


def _long_label(box: Path) -> None:
    edit(box / "tables.yaml", "label: Part}", f"label: {'Part ' * 5}}}")


def _no_calibration(box: Path) -> None:
    """Of the first day."""
    (box / "calibration/parts_20240101.csv").unlink()
    edit(box / "instrument.yaml", "parts_20240101", "parts_20240917")


@pytest.mark.parametrize(
    ("spoil", "file", "remedy"),
    [(_long_label, "tables.yaml line ", "Write it shorter"), (_no_calibration, "", "Add calibration/parts_<yyyymmdd>")],
)
def test_a_product_with_a_faulty_definition_is_left_out_and_told_at_the_start(
    toy: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None], file: str, remedy: str
) -> None:
    missions = Path(shutil.copytree(toy.definitions.path, tmp_path / "missions"))
    spoil(missions / "toy/box")
    client = Client(Lake(toy.root, read_definitions(missions)), Manner(records=1))
    (record,) = [record for record in caplog.records if "left_out" in record.message]
    assert record.levelname == "WARNING"
    assert DATASET in record.message
    assert file in record.message
    assert remedy in record.message
    assert client.get("/catalog", depth="all").json["catalog"] == []
    assert [client.get(path).http for path in ("", "/about")] == [200, 200]
    assert client.get("/info", dataset=DATASET).code == 1406
    assert client.get("/data", "GET", f"dataset={DATASET}&{RANGE}").code == 1406
    assert len([record for record in caplog.records if "left_out" in record.message]) == 1


def test_a_lake_that_cannot_be_asked_at_the_start_is_asked_again(toy: Lake, caplog: pytest.LogCaptureFixture) -> None:
    application(toy, Answers(toy, Limits(rows=1)), Health("hapi"))  # there are two product-days
    assert "hapi start error=" in caplog.text


def test_an_export_that_found_the_same_bytes_is_no_change(own: Lake) -> None:
    changed = ("last-modified", "modificationDate")
    before = Client(own).get("/info", dataset=DATASET)
    row = read_ops(own, "exports").sort("created_at").row(-1, named=True)
    assert row["status"] == "published"
    later = datetime.now(UTC) + timedelta(days=3)
    append_ops(own, "exports", [row | {"run_id": "run-later", "created_at": later, "status": "unchanged"}])
    assert refresh(own)
    after = Client(own).get("/info", dataset=DATASET)
    assert after.headers[changed[0]] == before.headers[changed[0]] == f"{row['created_at']:%a, %d %b %Y %H:%M:%S GMT}"
    assert after.json[changed[1]] == before.json[changed[1]]

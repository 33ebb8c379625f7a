# SPDX-License-Identifier: Apache-2.0
"""What recipients say of what they got."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from exports.delivery.ledger import Ledger, standing
from lake.catalog import open_catalog
from lake.ledger import read_ops
from lake.store import Lake
from tests.exports.delivery.stage import BOX, DAYS, NOW, events, path_of, publish, run, settings, stage

PATHS = [path_of(BOX, day) for day in DAYS]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake of which all was delivered."""
    lake = stage(tmp_path)
    run(lake, settings(tmp_path))
    return lake


def receipt(folder: Path, name: str, content: dict[str, Any] | str) -> None:
    path = folder / "spdf" / "receipts" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def about(folder: Path, path: str, status: str, **also: Any) -> dict[str, Any]:
    return {
        "path": path,
        "sha256": hashlib.sha256((folder / "spdf" / path).read_bytes()).hexdigest(),
        "status": status,
    } | also


def test_a_receipt_for_a_batch_accepts_all_of_it_once(lake: Lake, tmp_path: Path) -> None:
    batch = read_ops(lake, "deliveries")["batch"][0]
    receipt(tmp_path, "1.json", {"batch": batch, "status": "accepted", "reason": None})
    assert run(lake, settings(tmp_path), 24).recipients[0].accepted == 3
    assert run(lake, settings(tmp_path), 48).recipients[0].accepted == 0
    assert sorted(events(lake)[3:]) == [("accepted", path) for path in PATHS]


def test_a_rejected_file_is_a_problem_until_a_new_version_comes(lake: Lake, tmp_path: Path) -> None:
    receipt(tmp_path, "1.json", about(tmp_path, PATHS[1], "rejected", reason="TITLE\nis wrong"))
    line = f"recipient spdf: rejected {PATHS[1]} (receipts/1.json: TITLE is wrong)"
    assert run(lake, settings(tmp_path), 24).problems == [line]
    again = run(lake, settings(tmp_path), 48, verify=True)
    assert (again.problems, again.recipients[0].verified, again.count("sent")) == ([line], 2, 0)
    publish(lake, (BOX, DAYS[1], "1.0.1"), run="run-2")
    assert run(lake, settings(tmp_path), 72).problems == []
    assert events(lake)[-1] == ("delivered", path_of(BOX, DAYS[1], "1.0.1"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no JSON object with the status accepted or rejected"),
        ("[" * 100_000, "is no JSON object with the status accepted or rejected"),
        ('["accepted"]', "is no JSON object with the status accepted or rejected"),
        ({"path": PATHS[0], "sha256": "0", "status": "fine"}, "is no JSON object with the status"),
        ({"batch": [[]], "status": "accepted"}, "names neither a batch nor a path with its sha256"),
        ({"status": "accepted"}, "names neither a batch nor a path with its sha256"),
        ({"path": PATHS[0], "status": "accepted"}, "names neither a batch nor a path with its sha256"),
        ({"path": PATHS[0], "sha256": "0", "status": "rejected"}, "is about nothing that is there"),
        ({"batch": "20260801", "status": "rejected"}, "is about nothing that is there"),
    ],
)
def test_a_receipt_that_cannot_be_believed_is_a_problem(
    lake: Lake, tmp_path: Path, content: dict[str, Any] | str, words: str
) -> None:
    receipt(tmp_path, "1.json", content)
    (line,) = run(lake, settings(tmp_path), 24).problems
    assert line.startswith(f"recipient spdf: receipts/1.json: {words}")
    assert run(lake, settings(tmp_path), 48).problems == []  # it was told
    assert len(events(lake)) == 3


def test_a_receipt_whose_name_could_not_be_remembered_is_not_read(lake: Lake, tmp_path: Path) -> None:
    receipt(tmp_path, "a: b.json", about(tmp_path, PATHS[0], "rejected"))
    (line,) = run(lake, settings(tmp_path), 24).problems
    assert line.startswith("recipient spdf: receipts/a: b.json: is no name of a receipt")
    assert len(events(lake)) == 3


def test_a_receipt_that_is_too_large_is_told_once_and_stops_nothing(tmp_path: Path) -> None:
    lake, wanted = stage(tmp_path), settings(tmp_path)
    receipt(tmp_path, "1.json", " " * 1_000_001)
    found = run(lake, wanted)
    assert found.problems[0].startswith("recipient spdf: receipts/1.json: is larger than 1000000 bytes.")
    assert found.recipients[0].sent == PATHS
    assert run(lake, wanted, 24).problems == []


def test_a_receipt_that_is_nested_without_end_stops_nothing(lake: Lake, tmp_path: Path) -> None:
    for number, depth in enumerate(range(300, 1100, 100)):
        receipt(tmp_path, f"{number}.json", '{"status": "accepted", "batch": ' + "[" * depth + "]" * depth + "}")
    found = run(lake, settings(tmp_path), 24)
    assert len(found.problems) == 8


def test_what_a_recipient_accepted_stays_accepted_when_it_is_verified(lake: Lake, tmp_path: Path) -> None:
    receipt(tmp_path, "1.json", about(tmp_path, PATHS[0], "accepted"))
    receipt(tmp_path, "2.json", about(tmp_path, PATHS[1], "accepted"))
    run(lake, settings(tmp_path), 24)
    (tmp_path / "spdf" / PATHS[1]).unlink()
    run(lake, settings(tmp_path), 48, verify=True)  # the second one is sent again, and has to be accepted anew
    stands = standing(Ledger(lake, NOW, dry=True).history("spdf"))
    assert stands.filter("accepted")["path"].to_list() == PATHS[:1]


def test_the_later_of_two_receipts_of_a_run_counts_in_ledger_and_view(lake: Lake, tmp_path: Path) -> None:
    receipt(tmp_path, "a.json", about(tmp_path, PATHS[0], "rejected"))
    receipt(tmp_path, "b.json", about(tmp_path, PATHS[0], "accepted"))
    assert run(lake, settings(tmp_path), 24).problems == []
    with open_catalog(lake) as connection:
        found = dict(connection.sql("SELECT path, event FROM ops.latest_deliveries").fetchall())
    assert found == {PATHS[0]: "accepted", PATHS[1]: "delivered", PATHS[2]: "delivered"}


def test_a_hash_in_capitals_is_the_same_and_other_files_are_no_receipts(lake: Lake, tmp_path: Path) -> None:
    told = about(tmp_path, PATHS[0], "accepted")
    receipt(tmp_path, "1.json", told | {"sha256": told["sha256"].upper()})
    receipt(tmp_path, "README.txt", "how we write receipts")
    receipt(tmp_path, ".2.json.part", "{")
    found = run(lake, settings(tmp_path), 24)
    assert (found.recipients[0].accepted, found.problems) == (1, [])

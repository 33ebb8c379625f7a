# SPDX-License-Identifier: Apache-2.0
"""Receipts: what became of each delivery, told once, whatever dies in between."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exports.contacts.outbox import Outbox, Pushed, push
from exports.contacts.receipts import KIND, Receipt, files_of, new_receipts, waiting, write_receipts
from exports.contacts.settings import Answers
from lake.errors import WayError
from lake.state import State
from lake.store import Journal, Lake
from lake.tables import append_ops
from lake.ways.settings import FolderWay
from tests.toy import toy_lake

NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)
SHA = "a" * 64


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return toy_lake(tmp_path)


@pytest.fixture
def answers(tmp_path: Path) -> Answers:
    (tmp_path / "moc").mkdir()
    return Answers(folder=FolderWay(path=tmp_path / "moc"))


def archived(name: str = "a.dat", sha: str = SHA, minute: int = 0, **facts: Any) -> dict[str, Any]:
    """A row of ops.files: a file of 100 bytes and 5 packets."""
    row = {"name": name, "file_sha256": sha, "mission": "toy", "instrument": "box", "bytes": 100, "packets": 5,
           "bytes_decoded": 100, "bytes_quarantined": 0, "duplicates": 0, "status": "ingested", "reason": "",
           "revision": 1, "arrival": minute + 1, "definition": "", "receipt": f"{sha}-{name}", "run_id": "run-1",
           "received_at": NOON + timedelta(minutes=minute)}  # fmt: skip
    return row | facts


def reception(path: str, state: str, minute: int = 0, **facts: Any) -> dict[str, Any]:
    at = NOON + timedelta(minutes=minute)
    row = {"source": "moc", "path": path, "state": state, "detail": "", "attempts": 1, "bytes": 100,
           "file_sha256": None, "first_seen_at": at, "noted_at": at, "run_id": "run-1"}  # fmt: skip
    return row | facts


def told(lake: Lake, answers: Answers) -> dict[str, Receipt]:
    return {one.name: one for one in new_receipts(lake, answers, set())}


def send(lake: Lake, answers: Answers) -> Pushed:
    return push(lake, answers, Outbox(lake, KIND), lambda entry: files_of(answers, entry), NOON)


def sent(answers: Answers) -> list[Path]:
    assert answers.folder is not None
    return sorted(answers.folder.path.rglob("*.json"))


# ---- what is told --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("facts", "status", "reason"),
    [
        ({}, "landed", ""),
        ({"bytes_quarantined": 20, "reason": "JUNK"}, "landed", "20 of 100 bytes are quarantined; JUNK"),
        ({"duplicates": 4}, "landed", ""),
        ({"duplicates": 5}, "duplicate", "every packet had been received before"),
        ({"status": "empty", "packets": 0, "reason": "holds no byte"}, "refused", "holds no byte"),
        ({"status": "refused", "packets": 0, "reason": "NO_DEFINITION: x"}, "quarantined", "NO_DEFINITION: x"),
        ({"bytes_quarantined": 100, "packets": 0}, "quarantined", "100 of 100 bytes are quarantined"),
    ],
)
def test_what_became_of_an_archived_file(
    lake: Lake, answers: Answers, facts: dict[str, Any], status: str, reason: str
) -> None:
    append_ops(lake, "files", [archived(**facts)])
    (one,) = told(lake, answers).values()
    assert (one.status, one.reason, one.sha256, one.size) == (status, reason, SHA, 100)
    assert one.received_at == "2026-08-01T12:00:00.000000Z"


def test_a_file_that_a_source_gave_again_is_a_duplicate_and_the_first_one_is_not(lake: Lake, answers: Answers) -> None:
    append_ops(lake, "files", [archived()])
    again = reception("in/a.dat", "known", 30, file_sha256=SHA)
    # Another process died behind the archive, and what it had archived was looked at again.
    first = reception("b/a.dat", "known", 2, file_sha256=SHA, first_seen_at=NOON - timedelta(minutes=1))
    append_ops(lake, "receptions", [again, first])
    found = new_receipts(lake, answers, set())
    assert [(one.name, one.status) for one in found] == [("a.dat", "landed"), ("a.dat", "duplicate")]


def test_a_refused_file_is_told_once_whoever_refused_it(lake: Lake, answers: Answers) -> None:
    refused = {"file_sha256": "", "byte_offset": 0, "bytes": 7, "reason": "BAD_MISSION", "packets": 0}
    runs = ("20260801T120000.000000Z-abc", "20260802T120000.000000Z-abc")  # of two nights on one drop folder
    for name, run in (("x.dat", runs[0]), ("x.dat", runs[1]), ("y.dat", runs[0])):
        append_ops(lake, "quarantine", [refused | {"name": name, "detail": "is of no mission", "run_id": run}])
    append_ops(lake, "receptions", [reception("in/y.dat", "refused", detail="BAD_MISSION")])
    append_ops(lake, "receptions", [reception("in/z.dat", "mismatched", detail="another sha256")])
    found = told(lake, answers)
    assert {name: one.status for name, one in found.items()} == dict.fromkeys(("x.dat", "y.dat", "z.dat"), "refused")
    assert (found["x.dat"].reason, found["x.dat"].size) == ("BAD_MISSION: is of no mission", 7)
    assert len(new_receipts(lake, answers, set())) == 3


def test_a_file_that_its_manifest_contradicts_has_one_receipt_that_says_so(lake: Lake, answers: Answers) -> None:
    wrong = reception("in/a.dat", "mismatched", 1, file_sha256=SHA, detail="its bytes are not those that m.json names")
    append_ops(lake, "receptions", [reception("in/a.dat", "landed", file_sha256=SHA), wrong])
    assert new_receipts(lake, answers, set()) == [], "it waits until the file was looked at"
    append_ops(lake, "files", [archived()])
    (one,) = new_receipts(lake, answers, set())
    assert (one.status, one.reason) == ("landed", "its bytes are not those that m.json names")
    append_ops(lake, "receptions", [reception("in/a.dat", "landed", 2, file_sha256=SHA)])  # a new manifest has it right
    (one,) = new_receipts(lake, answers, set())
    assert (one.status, one.reason) == ("landed", "")


def test_files_from_before_a_day_are_not_told(lake: Lake, answers: Answers) -> None:
    append_ops(lake, "files", [archived("old.dat", "b" * 64, -24 * 60), archived()])
    since = answers.model_copy(update={"since": date(2026, 8, 1)})
    assert list(told(lake, since)) == ["a.dat"]


def test_names_of_others_are_told_on_one_line(lake: Lake, answers: Answers) -> None:
    append_ops(lake, "receptions", [reception("in/../a\n\x1b[31m.dat", "refused", detail="x" * 5000)])
    (one,) = told(lake, answers).values()
    assert one.name == r"a\n\x1b[31m.dat"
    assert len(one.reason) == 300


# ---- once, and in order --------------------------------------------------------------------------------------------
def test_two_files_of_one_name_have_receipts_of_two_names(lake: Lake, answers: Answers) -> None:
    append_ops(lake, "files", [archived(), archived(sha="b" * 64, minute=1, revision=2)])
    assert write_receipts(lake, answers, NOON) == 2
    assert send(lake, answers).files == 2
    assert [path.name for path in sent(answers)] == [f"00000001-{SHA}-a.dat.json", f"00000002-{'b' * 64}-a.dat.json"]
    assert all(path.parent.name == "2026-08-01" for path in sent(answers))


def test_a_file_that_is_decoded_again_is_not_told_again(lake: Lake, answers: Answers) -> None:
    append_ops(lake, "files", [archived()])
    write_receipts(lake, answers, NOON)
    append_ops(lake, "files", [archived(packets=4, run_id="run-2")])
    assert write_receipts(lake, answers, NOON) == 0
    State(lake, "contacts").remove("told")
    assert write_receipts(lake, answers, NOON) == 0
    assert waiting(lake, answers) == []


def test_what_was_written_before_a_crash_is_sent_behind_it(lake: Lake, answers: Answers) -> None:
    append_ops(lake, "files", [archived()])
    write_receipts(lake, answers, NOON)
    append_ops(lake, "files", [archived("b.dat", "b" * 64, 1)])
    assert write_receipts(lake, answers, NOON) == 1
    send(lake, answers)
    assert [json.loads(path.read_text())["number"] for path in sent(answers)] == [1, 2]


def test_what_was_sent_before_a_crash_is_not_written_again(lake: Lake, answers: Answers) -> None:
    append_ops(lake, "files", [archived()])
    write_receipts(lake, answers, NOON)
    send(lake, answers)
    (path,) = sent(answers)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    lake.storage.remove(f"journal/{KIND}-sent/00000001.json")  # as if the process had died before it was noted
    assert send(lake, answers).files == 1
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert Journal(lake).keys(f"{KIND}-sent") == ["00000001"]


def test_receipts_that_another_process_wrote_are_not_written_twice(
    lake: Lake, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_ops(lake, "files", [archived()])
    add, others = Outbox.add, list[int]()

    def late(box: Outbox, keys: list[str], content: dict[str, Any]) -> str | None:
        if not others:
            others.append(0)
            others.append(write_receipts(lake, answers, NOON))
        return add(box, keys, content)

    monkeypatch.setattr(Outbox, "add", late)
    assert write_receipts(lake, answers, NOON) == 0
    assert others == [0, 1]
    assert Journal(lake).keys(KIND) == ["00000001"]


# ---- numbers after a restore -----------------------------------------------------------------------------------------
def tell(lake: Lake, answers: Answers, name: str, now: datetime) -> None:
    """One file comes, and its receipt is sent."""
    append_ops(lake, "files", [archived(name, name[0] * 64)])
    write_receipts(lake, answers, now)
    send(lake, answers)


def forget(lake: Lake, number: int) -> None:
    """What a lake that was restored does not know."""
    for kind in (KIND, f"{KIND}-sent"):
        lake.storage.remove(f"journal/{kind}/{number:08}.json")
    State(lake, "contacts").remove("told")


@pytest.mark.parametrize("lost", [(2, 3), (1, 2, 3)])
def test_numbers_that_were_sent_after_the_last_copy_are_not_given_again(
    lake: Lake, answers: Answers, lost: tuple[int, ...]
) -> None:
    for days, name in enumerate(("a.dat", "b.dat", "c.dat")):
        tell(lake, answers, name, NOON + timedelta(days=days))
    for number in lost:
        forget(lake, number)
    tell(lake, answers, "d.dat", NOON + timedelta(days=5))
    numbers = [json.loads(path.read_text())["number"] for path in sent(answers)]
    assert (len(set(numbers)), max(numbers)) == (len(numbers), 3 + len(lost) + 1)


def test_nothing_is_numbered_as_long_as_the_center_cannot_be_asked(
    lake: Lake, answers: Answers, tmp_path: Path
) -> None:
    assert write_receipts(lake, answers, NOON) == 0
    append_ops(lake, "files", [archived()])
    (tmp_path / "moc").rename(tmp_path / "away")
    with pytest.raises(WayError):
        write_receipts(lake, answers, NOON)
    assert Journal(lake).keys(KIND) == []
    (tmp_path / "away").rename(tmp_path / "moc")
    assert write_receipts(lake, answers, NOON) == 1


def test_names_of_others_are_no_numbers(lake: Lake, answers: Answers, tmp_path: Path) -> None:
    folder = tmp_path / "moc/receipts/2026-08-01"
    folder.mkdir(parents=True)
    for name in ("00000007-a.txt", "notes.json", f"{'9' * 30}-a.json", "00000004-a.json"):
        (folder / name).write_text("{}")
    tell(lake, answers, "a.dat", NOON)
    assert any(path.name.startswith(f"00000005-{'a' * 64}-") for path in sent(answers))

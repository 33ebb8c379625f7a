# SPDX-License-Identifier: Apache-2.0
"""Copies of a lake: what is sent, what is not sent again, and that a restore gives every byte back."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from lake.backup import contents as contents_module
from lake.backup.contents import contents, pin
from lake.backup.snapshots import Line, order_of
from lake.backup.vault import Vault
from lake.errors import ConfigurationError, WayError
from lake.ledger import read_ops
from lake.reading import open_table
from lake.store import Lake
from lake.tables import append_ops
from tests.lake.backup.copies import (
    KEY,
    NOW,
    OTHER_KEY,
    archive,
    copied,
    folder_place,
    held,
    objects_at,
    restored,
    sealed_place,
    small_lake,
    verified,
)

RUN = {
    "place_name": "vault", "place": "p", "act": "run", "snapshot": None, "seconds": 1.0, "files": 1, "bytes": 1,
    "new_files": 1, "new_bytes": 1, "damaged": 0, "repaired": 0, "state": "done", "detail": "",
}  # fmt: skip


def backup_row(run: str) -> dict[str, Any]:
    return RUN | {"started_at": NOW, "run_id": run}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return small_lake(tmp_path)


@pytest.mark.parametrize("make", [folder_place, sealed_place])
def test_a_restored_lake_has_every_byte(lake: Lake, tmp_path: Path, make: Any) -> None:
    place = make(tmp_path / "vault")
    done = copied(lake, place)
    assert (done.problems, done.files, done.new_files) == ([], done.new_files, done.files)
    got = restored(place, tmp_path / "new")
    assert (got.problems, got.files, got.bytes) == ([], done.files, done.bytes)
    assert held(Lake(tmp_path / "new", lake.definitions)) == held(lake)
    assert not (tmp_path / "new" / ".restore").exists()
    assert (tmp_path / "new-config/missions/x.yaml").read_bytes() == (
        lake.definitions.path / "columns.csv"
    ).read_bytes()


def test_a_second_copy_sends_only_what_is_new(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    first = copied(lake, place)
    archive(lake, tmp_path, b"more telemetry")
    second = copied(lake, place, days=1)
    assert (second.files, second.new_files) == (first.files + 2, 2)  # bytes and receipt
    assert (second.lost, second.problems) == ([], [])
    assert copied(lake, place, days=2).new_files == 0


def test_what_never_changes_is_not_read_again(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folder_place(tmp_path / "vault")
    copied(lake, place)
    read: list[str] = []
    local = type(lake.storage).local
    monkeypatch.setattr(type(lake.storage), "local", lambda self, key: (read.append(key), local(self, key))[1])
    assert copied(lake, place, days=1).new_files == 0
    assert read == []


def test_a_document_of_state_is_sent_again_when_it_has_changed(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    copied(lake, place)
    lake.storage.put("state/forward/team.json", b'{"cursor": 2}\n')
    assert copied(lake, place, days=1).new_files == 1
    restored(place, tmp_path / "now")
    restored(place, tmp_path / "then", as_of="2026-08-01T12:00")
    cursors = [(tmp_path / name / "state/forward/team.json").read_bytes() for name in ("then", "now")]
    assert cursors == [b'{"cursor": 1}\n', b'{"cursor": 2}\n']


def test_equal_bytes_are_stored_once(lake: Lake, tmp_path: Path) -> None:
    for name in ("one", "two"):
        lake.storage.put(f"state/forward/{name}.json", b"the same")
    copied(lake, folder_place(tmp_path / "vault"))
    sha256 = hashlib.sha256(b"the same").hexdigest()
    assert (tmp_path / "vault/objects" / sha256[:2] / sha256).read_bytes() == b"the same"
    assert len({path.name for path in objects_at(tmp_path / "vault")}) == len(objects_at(tmp_path / "vault"))


@pytest.mark.parametrize("make", [folder_place, sealed_place])
def test_a_copy_that_was_cut_off_is_continued_and_sends_nothing_twice(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    place, sent = make(tmp_path / "vault"), list[str]()
    put = Vault.put

    def counted(self: Vault, line: Line, path: Path, replace: bool) -> None:
        if len(sent) == 7:
            raise WayError("the line is cut")
        sent.append(line.object)
        put(self, line, path, replace)

    monkeypatch.setattr(Vault, "put", counted)
    with pytest.raises(WayError):
        copied(lake, place)
    assert (tmp_path / "vault/snapshots").exists() is False
    first = sent.copy()
    sent.clear()
    monkeypatch.setattr(Vault, "put", lambda *given: (sent.append(given[1].object), put(*given))[1])
    assert copied(lake, place).problems == []
    assert len(first) == 7
    assert set(first).isdisjoint(sent)
    assert (verified(place, deep=True).bad, verified(place).problems) == ([], [])


def test_nothing_in_the_clear_is_at_an_encrypted_place(lake: Lake, tmp_path: Path) -> None:
    copied(lake, sealed_place(tmp_path / "vault"))
    files = objects_at(tmp_path / "vault")
    assert all(path.read_bytes().startswith(b"age-encryption.org/v1\n") for path in files)


def test_a_new_key_seals_everything_anew_and_the_old_copy_stays(lake: Lake, tmp_path: Path) -> None:
    old = sealed_place(tmp_path / "vault")
    first = copied(lake, old)
    new = sealed_place(tmp_path / "vault", encrypt_to=[str(KEY.to_public()), str(OTHER_KEY.to_public())])
    assert copied(lake, new, days=1).new_files == first.new_files
    assert restored(old, tmp_path / "then", as_of="2026-08-01T12:00").problems == []
    (tmp_path / "key").write_text(str(OTHER_KEY))
    assert restored(new, tmp_path / "now").problems == []


def test_verifying_an_encrypted_copy_needs_no_key(lake: Lake, tmp_path: Path) -> None:
    place = sealed_place(tmp_path / "vault")
    copied(lake, place)
    (tmp_path / "key").unlink()
    assert (verified(place).bad, verified(place).problems) == ([], [])


def test_a_dry_run_writes_nothing_and_says_what_the_run_then_sends(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    planned = copied(lake, place, dry_run=True)
    assert list((tmp_path / "vault").iterdir()) == []
    done = copied(lake, place)
    assert (planned.new_files, planned.new_bytes, planned.files) == (done.new_files, done.new_bytes, done.files)


def test_a_damaged_raw_file_is_named_and_its_good_copy_is_kept(lake: Lake, tmp_path: Path) -> None:
    key = archive(lake, tmp_path, b"a whole file")
    place = folder_place(tmp_path / "vault")
    copied(lake, place)
    path = Path(lake.storage.uri(key))
    path.chmod(0o644)
    path.write_bytes(b"a holed file")
    (problem,) = copied(lake, place, days=1).problems
    assert problem.startswith(f"{key}: is not copied as it is")
    assert problem.endswith("The copy of before is kept.")
    restored(place, tmp_path / "new")
    assert (tmp_path / "new" / key).read_bytes() == b"a whole file"


def test_an_object_that_was_deleted_at_the_place_is_sent_again_by_the_next_run(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    copied(lake, place)
    gone = objects_at(tmp_path / "vault")[3]
    content = gone.read_bytes()
    gone.unlink()
    done = copied(lake, place, days=1)
    assert done.lost == [gone.relative_to(tmp_path / "vault").as_posix()]
    assert gone.read_bytes() == content


def test_what_is_committed_while_a_copy_is_made_is_not_half_in_it(lake: Lake, tmp_path: Path) -> None:
    """Rows that come between the lookup of versions and the listing of files are of the next copy."""
    append_ops(lake, "backups", [backup_row("run-1")])
    place = folder_place(tmp_path / "vault")
    pins = pin(lake)
    append_ops(lake, "backups", [backup_row("run-2")])
    items = {item.key for item in contents(lake, pins, {})}
    log = [key for key in items if key.startswith("tables/ops/backups/_delta_log/") and key.endswith(".json")]
    assert sorted(log)[-1].endswith(f"{pins.tables['ops.backups'].version:020}.json")
    copied(lake, place)
    restored(place, tmp_path / "new")
    assert read_ops(Lake(tmp_path / "new", lake.definitions), "backups").height == 2


def test_a_lake_that_is_written_all_the_time_gives_copies_that_can_be_read(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night holds its lease and commits between any two files that are copied."""
    place, count = folder_place(tmp_path / "vault"), [0]
    item = contents_module._item

    def meanwhile(entry: Any, is_steady: bool) -> Any:
        if count[0] % 3 == 0:
            archive(lake, tmp_path, b"%d" % count[0], f"late-{count[0]}")
            append_ops(lake, "backups", [backup_row(f"run-{count[0]:03}")])
        count[0] += 1
        return item(entry, is_steady)

    monkeypatch.setattr(contents_module, "_item", meanwhile)
    ready, done = threading.Event(), threading.Event()

    def night() -> None:
        with lake.storage.alone("ingest"):
            ready.set()
            done.wait(60)

    at_work = threading.Thread(target=night)
    at_work.start()
    ready.wait(60)
    copy = copied(lake, place)
    done.set()
    at_work.join()
    monkeypatch.undo()
    assert (copy.problems, copy.at_rest, count[0] > 15) == ([], False, True)
    restored(place, tmp_path / "new")
    new = Lake(tmp_path / "new", lake.definitions)
    assert read_ops(new, "exports").equals(read_ops(lake, "exports"))
    names = {entry.key for entry in new.storage.entries("raw/")}
    receipts = [key for key in names if key.endswith(".json")]
    assert all(key[: key.rindex("-")] in names for key in receipts)


def test_files_are_in_the_order_in_which_the_next_copy_looks_for_them(lake: Lake, tmp_path: Path) -> None:
    copied(lake, folder_place(tmp_path / "vault"))
    (path,) = (tmp_path / "vault/snapshots").iterdir()
    head, *lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    keys = [line["key"] for line in lines]
    assert keys == sorted(keys, key=order_of)
    assert (head["files"], head["bytes"]) == (len(lines), sum(line["bytes"] for line in lines))
    assert head["tables"]["ops.exports"]["version"] == 2  # made, and two commits
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] in path.name
    assert [key.partition("/")[0] for key in keys if key.startswith(("locks", "catalog", ".scratch"))] == []


def test_the_note_on_the_last_checkpoint_is_not_copied_and_the_table_is_read_without_it(
    lake: Lake, tmp_path: Path
) -> None:
    """A service may write it anew at any time: then it would be of a later version than the log that is copied."""
    append_ops(lake, "backups", [backup_row("run-1")])
    table = open_table(lake, lake.ops("backups"))
    assert table is not None
    table.create_checkpoint()
    keys = [item.key for item in contents(lake, pin(lake), {})]
    assert any(key.endswith(".checkpoint.parquet") for key in keys)
    assert not any(key.endswith("_last_checkpoint") for key in keys)
    assert keys == sorted(keys, key=order_of)
    copied(lake, folder_place(tmp_path / "vault"))
    restored(folder_place(tmp_path / "vault"), tmp_path / "new")
    assert read_ops(Lake(tmp_path / "new", lake.definitions), "backups").height == 1


def test_a_root_that_is_not_empty_is_refused_and_left_alone(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    copied(lake, place)
    (tmp_path / "new").mkdir()
    (tmp_path / "new/thesis.tex").write_text("years of work")
    with pytest.raises(ConfigurationError, match=r"new: is not empty, it has 'thesis\.tex'"):
        restored(place, tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["thesis.tex"]


def test_settings_are_not_mixed_with_those_of_another_restore(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    copied(lake, place)
    (tmp_path / "new-config").mkdir()
    (tmp_path / "new-config/backup.toml").write_text("")
    with pytest.raises(ConfigurationError, match="new-config: is not empty"):
        restored(place, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_restore_that_was_cut_off_goes_on_where_it_was(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder_place(tmp_path / "vault")
    whole = copied(lake, place)
    fetched, calls = Vault.fetched, [0]

    def cut(self: Vault, path: str, folder: Path) -> Any:
        calls[0] += 1
        if calls[0] == 9:
            raise WayError("the line is cut")
        return fetched(self, path, folder)

    monkeypatch.setattr(Vault, "fetched", cut)
    with pytest.raises(WayError):
        restored(place, tmp_path / "new")
    monkeypatch.undo()
    assert list((tmp_path / "new").rglob("_delta_log")) == []
    with pytest.raises(ConfigurationError, match="another snapshot was being restored there"):
        restored(place, tmp_path / "new", only="raw")
    done = restored(place, tmp_path / "new")
    assert (done.there, done.files) == (8, whole.files - 8)
    assert held(Lake(tmp_path / "new", lake.definitions)) == held(lake)


def test_a_damaged_object_does_not_get_the_place_of_a_file(lake: Lake, tmp_path: Path) -> None:
    key = archive(lake, tmp_path, b"a whole file")
    place = folder_place(tmp_path / "vault")
    copied(lake, place)
    sha256 = hashlib.sha256(b"a whole file").hexdigest()
    (tmp_path / "vault/objects" / sha256[:2] / sha256).write_bytes(b"a holed file")
    done = restored(place, tmp_path / "new")
    assert done.problems == [f"{key}: objects/{sha256[:2]}/{sha256} has changed; it is not restored"]
    assert not (tmp_path / "new" / key).exists()
    verified(place, lake)
    assert restored(place, tmp_path / "new").files == 1


def test_one_day_of_raw_files_can_be_restored_alone(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    copied(lake, place)
    restored(place, tmp_path / "new", only="raw/toy/box/2024-09-16")
    files = sorted(path for path in (tmp_path / "new").rglob("*") if path.is_file() and "locks" not in path.parts)
    assert [path.suffix for path in files] == ["", ".json"]
    with pytest.raises(ConfigurationError, match=r"nothing of snapshot .* is below 'raw/to'"):
        restored(place, tmp_path / "other", only="raw/to")


@pytest.mark.parametrize("key", ["raw/../../outside", "/etc/passwd", "raw//x", "raw/a\nb", "elsewhere/x"])
def test_a_snapshot_leads_nowhere_but_into_the_lake(lake: Lake, tmp_path: Path, key: str) -> None:
    place = folder_place(tmp_path / "vault")
    copied(lake, place)
    (path,) = (tmp_path / "vault/snapshots").iterdir()
    head, first, *_ = gzip.decompress(path.read_bytes()).splitlines()
    forged = gzip.compress(b"\n".join([head, json.dumps(json.loads(first) | {"key": key}).encode(), b""]))
    path.unlink()
    name = f"20260802T000000Z-{hashlib.sha256(forged).hexdigest()[:16]}.jsonl.gz"
    (tmp_path / "vault/snapshots" / name).write_bytes(forged)
    with pytest.raises(WayError):
        restored(place, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_snapshot_that_has_changed_is_not_believed(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    copied(lake, place)
    (path,) = (tmp_path / "vault/snapshots").iterdir()
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(WayError, match=r"has changed there\. Take another one by --as-of"):
        restored(place, tmp_path / "new")
    done = copied(lake, place, days=1)
    assert (done.new_files, [path.name in note for note in done.notes]) == (0, [True])
    assert restored(place, tmp_path / "new").problems == []


def test_a_state_that_no_snapshot_has_is_refused(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    with pytest.raises(WayError, match=r"has no snapshot\. Make one"):
        restored(place, tmp_path / "new")
    copied(lake, place)
    with pytest.raises(WayError, match="has no snapshot '2026-07-31' or of that time"):
        restored(place, tmp_path / "new", as_of="2026-07-31")

# SPDX-License-Identifier: Apache-2.0
"""Recipients get what they lack, once, and are told of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from exports.delivery.settings import DeliverySettings
from lake.errors import ConfigurationError, StorageError
from lake.ledger import read_ops
from lake.store import Lake
from lake.tables import append_ops
from lake.ways.settings import FolderWay
from tests.exports.delivery.stage import (
    BOX,
    DAYS,
    events,
    feed,
    manifests,
    path_of,
    products_at,
    publish,
    run,
    settings,
    stage,
)

PATHS = [path_of(BOX, day) for day in DAYS]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return stage(tmp_path)


def test_a_recipient_gets_each_file_once(lake: Lake, tmp_path: Path) -> None:
    wanted = settings(tmp_path)
    assert run(lake, wanted).recipients[0].sent == PATHS
    assert products_at(tmp_path / "spdf") == PATHS
    second = run(lake, wanted, 24)
    assert (second.recipients[0].sent, second.recipients[0].there, second.problems) == ([], 0, [])
    assert events(lake) == [("delivered", path) for path in PATHS]
    assert len(manifests(tmp_path / "spdf")) == 1


def test_the_manifest_has_hashes_and_epochs_of_each_file(lake: Lake, tmp_path: Path) -> None:
    run(lake, settings(tmp_path))
    (manifest,) = manifests(tmp_path / "spdf")
    assert [file["path"] for file in manifest["files"]] == PATHS
    content = (tmp_path / "spdf" / PATHS[0]).read_bytes()
    assert manifest["files"][0] == {
        "change": "added", "at": "2026-08-01T02:00:00+00:00", "path": PATHS[0], "product": BOX, "day": "2024-09-16",
        "version": "1.0.0", "format": "cdf", "dataset": "toy_box_l1-tick", "bytes": len(content), "records": 3,
        "sha256": hashlib.sha256(content).hexdigest(), "md5": hashlib.md5(content).hexdigest(),  # noqa: S324
        "first_epoch_tt2000": 779_760_069_184_000_000, "first_epoch_utc": "2024-09-16T12:00:00.000000000Z",
        "last_epoch_tt2000": 779_760_070_684_000_000, "last_epoch_utc": "2024-09-16T12:00:01.500000000Z",
    }  # fmt: skip


def test_a_recipient_that_is_down_costs_the_others_nothing(lake: Lake, tmp_path: Path) -> None:
    wanted = settings(tmp_path, ("down", "spdf"))
    (tmp_path / "down").rmdir()
    found = run(lake, wanted)
    assert products_at(tmp_path / "spdf") == PATHS
    assert (found.waiting, len(found.problems)) == (3, 1)
    assert found.problems[0].startswith(f"recipient down: {tmp_path / 'down'} is no folder")
    assert events(lake, "down") == [("blocked", PATHS[0])]
    (tmp_path / "down").mkdir()
    assert sorted(run(lake, wanted, 24).recipients[0].sent) == PATHS
    assert products_at(tmp_path / "down") == PATHS


def test_a_new_version_supersedes_the_one_before(lake: Lake, tmp_path: Path) -> None:
    run(lake, settings(tmp_path))
    publish(lake, (BOX, DAYS[1], "1.0.1"), run="run-2")
    new = path_of(BOX, DAYS[1], "1.0.1")
    assert run(lake, settings(tmp_path), 24).recipients[0].sent == [new]
    assert feed(tmp_path / "spdf") == [*(("added", path) for path in PATHS), ("superseded", PATHS[1]), ("added", new)]
    old, added = manifests(tmp_path / "spdf")[1]["files"]
    assert (old["change"], old["superseded_by"], old["version"]) == ("superseded", new, "1.0.0")
    assert (added["change"], added["supersedes"], added["version"]) == ("added", PATHS[1], "1.0.1")
    assert PATHS[1] in products_at(tmp_path / "spdf")  # nobody else's files are removed


def test_version_ten_is_newer_than_nine(lake: Lake, tmp_path: Path) -> None:
    publish(lake, (BOX, DAYS[0], "1.0.10"), (BOX, DAYS[0], "1.0.9"), run="run-2")
    assert path_of(BOX, DAYS[0], "1.0.10") in run(lake, settings(tmp_path)).recipients[0].sent
    assert len(products_at(tmp_path / "spdf")) == 3


def test_all_versions_are_sent_in_their_order(lake: Lake, tmp_path: Path) -> None:
    publish(lake, (BOX, DAYS[0], "1.0.1"), run="run-2")
    wanted = settings(tmp_path, send=[{"products": [BOX], "versions": "all", "to": DAYS[0]}])
    assert run(lake, wanted).recipients[0].sent == [PATHS[0], path_of(BOX, DAYS[0], "1.0.1")]
    assert [change for change, _ in feed(tmp_path / "spdf")] == ["added", "superseded", "added"]


def test_verify_finds_what_is_missing_or_changed_and_sends_it_again(lake: Lake, tmp_path: Path) -> None:
    run(lake, settings(tmp_path))
    there = tmp_path / "spdf"
    (there / PATHS[0]).unlink()
    (there / PATHS[2]).write_bytes(b"x")
    assert run(lake, settings(tmp_path), 24).recipients[0].sent == []  # nobody looked
    found = run(lake, settings(tmp_path), 48, verify=True).recipients[0]
    assert (found.verified, sorted(found.sent)) == (1, [PATHS[0], PATHS[2]])
    assert found.lost == [
        f"recipient spdf: {PATHS[0]} is missing there", f"recipient spdf: {PATHS[2]} has changed there",
    ]  # fmt: skip
    assert (there / PATHS[2]).read_bytes() == (there / PATHS[2]).stem.encode() * 20
    assert run(lake, settings(tmp_path), 72, verify=True).recipients[0].verified == 3


def test_a_file_that_is_damaged_in_the_lake_is_never_sent(lake: Lake, tmp_path: Path) -> None:
    first, second = sorted(lake.storage.entries("exports/toy/box/"))[:2]
    lake.storage.put(first.key, b"x" * first.bytes)
    lake.storage.remove(second.key)
    found = run(lake, settings(tmp_path))
    assert products_at(tmp_path / "spdf") == [PATHS[2]]
    assert found.waiting == 2
    (line,) = found.problems
    assert line.endswith(
        "has changed since it was exported; 2 of its files are so and were not sent. Run `swxlake fsck`."
    )


def test_a_name_that_somebody_else_has_taken_is_left_alone(lake: Lake, tmp_path: Path) -> None:
    wanted = settings(tmp_path)
    (tmp_path / "spdf" / PATHS[0]).parent.mkdir(parents=True)
    (tmp_path / "spdf" / PATHS[0]).write_text("theirs")
    found = run(lake, wanted)
    assert (tmp_path / "spdf" / PATHS[0]).read_text() == "theirs"
    assert sorted(found.recipients[0].sent) == PATHS[1:]
    assert found.problems == [
        f"recipient spdf: {PATHS[0]}: another file has this name. Remove it there, or give another layout."
    ]


def test_a_dry_run_changes_nothing_and_says_what_would_be_sent(lake: Lake, tmp_path: Path) -> None:
    wanted = settings(tmp_path)
    before = sorted(path for path in tmp_path.rglob("*"))
    found = run(lake, wanted, dry_run=True)
    assert found.recipients[0].planned == [f"{path}: new" for path in PATHS]
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_a_lost_ledger_comes_back_from_the_journal(lake: Lake, tmp_path: Path) -> None:
    run(lake, settings(tmp_path, ("spdf", "team")))
    before = read_ops(lake, "deliveries").sort("recipient", "path")
    shutil.rmtree(tmp_path / "lake" / "tables" / "ops" / "deliveries")
    assert run(lake, settings(tmp_path, ("spdf", "team")), 24, dry_run=True).count("planned") == 0
    assert run(lake, settings(tmp_path, ("spdf", "team")), 24).count("sent") == 0
    assert read_ops(lake, "deliveries").sort("recipient", "path").equals(before)


def test_a_clock_that_goes_back_does_not_confuse_the_ledger(lake: Lake, tmp_path: Path) -> None:
    run(lake, settings(tmp_path))
    (tmp_path / "spdf" / PATHS[0]).unlink()
    run(lake, settings(tmp_path), -48, verify=True)
    assert run(lake, settings(tmp_path), -72).count("sent") == 0
    assert [event for event, path in events(lake) if path == PATHS[0]] == ["delivered", "lost", "delivered"]


def test_a_recipient_that_is_not_known_is_a_mistake(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"recipient 'spd': is not in the settings; did you mean spdf\?"):
        run(lake, settings(tmp_path), only=["spd"])


def test_only_the_named_recipients_are_served(lake: Lake, tmp_path: Path) -> None:
    found = run(lake, settings(tmp_path, ("spdf", "team")), only=["team"])
    assert [one.recipient for one in found.recipients] == ["team"]
    assert products_at(tmp_path / "spdf") == []


def test_a_version_that_has_other_bytes_now_is_a_problem(lake: Lake, tmp_path: Path) -> None:
    run(lake, settings(tmp_path))
    row = read_ops(lake, "exports").filter(product=BOX, day=DAYS[0]).row(0, named=True)
    append_ops(lake, "exports", [row | {"sha256": "0" * 64, "run_id": "run-2"}])
    found = run(lake, settings(tmp_path), 24)
    assert found.problems == [
        f"recipient spdf: {PATHS[0]} was sent with other bytes than the lake has. Run `swxlake fsck`."
    ]
    assert found.count("sent") == 0


def test_settings_of_another_lake_send_nothing(lake: Lake, tmp_path: Path) -> None:
    wanted = settings(tmp_path).model_copy(update={"lake": str(tmp_path / "other")})
    with pytest.raises(ConfigurationError, match=f"is of the lake {tmp_path}/other, and this one is {lake.root}"):
        run(lake, wanted)
    assert products_at(tmp_path / "spdf") == []


def test_an_older_version_that_the_lake_has_lost_is_told_once(lake: Lake, tmp_path: Path) -> None:
    publish(lake, (BOX, DAYS[0], "1.0.1"), run="run-2")
    old = next(entry.key for entry in lake.storage.entries("exports/toy/box/") if "20240916_v1.0.0" in entry.key)
    content = lake.storage.read(old)
    lake.storage.remove(old)
    wanted = settings(tmp_path, send=[{"products": [BOX], "versions": "all"}])
    first = run(lake, wanted)
    assert (len(first.recipients[0].sent), first.waiting, first.problems) == (3, 0, [])
    assert first.recipients[0].notes == [
        f"recipient spdf: {PATHS[0]} is an older version that the lake does not have any more; it is not sent"
    ]
    second = run(lake, wanted, 24)
    assert (second.recipients[0].notes, second.problems, run(lake, wanted, 48, dry_run=True).count("planned")) == (
        [],
        [],
        0,
    )
    lake.storage.put(old, content)
    assert run(lake, wanted, 72).recipients[0].sent == [PATHS[0]]


def test_an_old_version_that_was_lost_and_sent_again_is_no_news_of_its_day(lake: Lake, tmp_path: Path) -> None:
    publish(lake, (BOX, DAYS[0], "1.0.1"), run="run-2")
    wanted = settings(tmp_path, send=[{"products": [BOX], "versions": "all", "to": DAYS[0]}])
    run(lake, wanted)
    (tmp_path / "spdf" / PATHS[0]).unlink()
    run(lake, wanted, 24, verify=True)
    assert feed(tmp_path / "spdf")[-1] == ("restored", PATHS[0])
    assert manifests(tmp_path / "spdf")[1]["files"][0]["md5"]


def test_a_foreign_file_in_the_ledger_is_named(lake: Lake, tmp_path: Path) -> None:
    lake.storage.put("journal/deliveries/README.json", b"{}")
    with pytest.raises(StorageError, match=r"journal/deliveries/README\.json: is no entry of the ledger.* Move it out"):
        run(lake, settings(tmp_path))


def at(folder: Path, place: Path) -> DeliverySettings:
    """The usual settings of a recipient that is somewhere else."""
    usual = settings(folder)
    moved = usual.recipients["spdf"].model_copy(update={"folder": FolderWay(path=place)})
    return usual.model_copy(update={"recipients": {"spdf": moved}})


def test_a_recipient_that_moved_gets_all_of_it_and_one_that_moved_back_has_what_it_had(tmp_path: Path) -> None:
    lake = stage(tmp_path)
    (tmp_path / "new").mkdir()
    old, new = settings(tmp_path), at(tmp_path, tmp_path / "new")
    run(lake, old)
    assert len(run(lake, new, 24).recipients[0].sent) == 3
    assert products_at(tmp_path / "new") == PATHS
    assert [change for change, _ in feed(tmp_path / "new")] == ["added"] * 3
    assert run(lake, new, 48).recipients[0].sent == []
    back = run(lake, at(tmp_path, tmp_path / "new" / ".." / "spdf"), 72, verify=True)
    assert (back.recipients[0].sent, back.recipients[0].verified) == ([], 3)


def test_files_that_moved_with_their_recipient_are_not_sent_again(tmp_path: Path) -> None:
    lake = stage(tmp_path)
    run(lake, settings(tmp_path))
    (tmp_path / "spdf").rename(tmp_path / "new")
    found = run(lake, at(tmp_path, tmp_path / "new"), 24).recipients[0]
    assert (found.sent, found.there, found.problems) == ([], 3, [])


def test_what_was_delivered_before_places_were_noted_counts_as_here(tmp_path: Path) -> None:
    lake = stage(tmp_path)
    run(lake, settings(tmp_path))
    for path in sorted((lake.root / "journal" / "deliveries").iterdir()):
        entry = json.loads(path.read_text())
        assert entry.pop("place") == f"folder {tmp_path / 'spdf'}"
        path.write_text(json.dumps(entry))
    shutil.rmtree(lake.root / "tables" / "ops" / "deliveries")
    assert run(lake, settings(tmp_path), 24).recipients[0].sent == []


def test_verifying_puts_lists_and_manifests_again_that_are_missing_there(tmp_path: Path) -> None:
    lake = stage(tmp_path)
    run(lake, settings(tmp_path, pull=True))
    there = tmp_path / "spdf"
    before = {path: path.read_bytes() for path in sorted(there.rglob("*")) if path.is_file()}
    for path in before:
        if path.relative_to(there).parts[0] != "toy":
            path.unlink()
    assert run(lake, settings(tmp_path, pull=True), 24).problems == []
    assert manifests(there) == []  # nobody looks for them
    assert run(lake, settings(tmp_path, pull=True), 48, verify=True).problems == []
    assert {path: path.read_bytes() for path in sorted(there.rglob("*")) if path.is_file()} == before

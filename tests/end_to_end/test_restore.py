# SPDX-License-Identifier: Apache-2.0
"""The drill: the whole primary is deleted, and a lake with equal tables and products comes back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import polars as pl
import pyrage

from bench.torture.state import data_state, newest_products, product_state, table_state
from lake.config import Settings
from lake.ledger import read_ops
from lake.store import Lake
from swxlake.backing_up import Wanted, list_snapshots, run, verify_copies
from swxlake.restoring import Order, restore_lake
from tests.kept_lake import flip, late_inbox, look, night, root_of
from tests.servers import CHECKOUT, wait_until

KEY = pyrage.x25519.Identity.generate()
COPIES = ("ops.backups",)  # has a row about the restore


def settings(lake: Lake, folder: Path, sealed: bool = False) -> Settings:
    """A vault beside the lake, and the settings that name it."""
    (folder / "vault").mkdir(exist_ok=True)
    (folder / "key").write_text(str(KEY))
    lines = [f'lake = "{lake.root}"', "[places.vault]", 'folder = {path = "vault"}']
    if sealed:
        lines += [f'encrypt_to = ["{KEY.to_public()}"]', 'identity_file = "key"']
    (folder / "backup.toml").write_text("\n".join(lines))
    return Settings(root=lake.root, backup=folder / "backup.toml", settle_seconds=0)


def restored(lake: Lake, folder: Path, found: Settings, as_of: str | None = None) -> Lake:
    outcome = restore_lake(found.model_copy(update={"root": folder / "new"}), Order("vault", as_of=as_of))
    assert outcome.problems == []
    return Lake(folder / "new", lake.definitions)


def states(lake: Lake) -> dict[str, pl.DataFrame]:
    return {name: frame for name, frame in table_state(lake).items() if name not in COPIES}


def assert_equal(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> None:
    assert one.keys() == other.keys()
    for name, frame in one.items():
        assert frame.equals(other[name]), name


def test_a_damaged_copy_is_repaired_and_brings_the_lost_lake_back(kept: Lake, tmp_path: Path) -> None:
    """An encrypted one; the next test restores one in the clear."""
    found = settings(kept, tmp_path, sealed=True)
    assert run(kept, found).problems == []
    objects = sorted((tmp_path / "vault/objects").rglob("*"))
    files = [path for path in objects if path.is_file()]
    flip(files[7], 3)
    files[11].unlink()
    outcome = verify_copies(kept, found, "vault", Wanted(share=1))
    assert [any(path.name in problem for problem in outcome.problems) for path in (files[7], files[11])] == [True, True]
    assert verify_copies(kept, found, "vault", Wanted(share=1, deep=True, repair=True)).problems == []
    tables, products = states(kept), product_state(kept)
    shutil.rmtree(root_of(kept))
    again = restored(kept, tmp_path, found)
    assert_equal(states(again), tables)
    assert product_state(again) == products
    assert look(again).problems == []


def test_after_a_restore_a_night_does_nothing_new(kept: Lake, tmp_path: Path) -> None:
    """And what a rebuild begins with is there, byte for byte: what comes of it is told by test_rebuild.py."""
    found = settings(kept, tmp_path)
    run(kept, found)
    again = restored(kept, tmp_path, found)
    assert_equal(states(again), states(kept))
    runs, products = read_ops(again, "runs").height, product_state(again)
    assert products == product_state(kept)
    assert begun_with(again) == begun_with(kept)
    assert night(again).problems == []
    assert (read_ops(again, "runs").height, product_state(again)) == (runs, products)
    assert_equal(data_state(again), data_state(kept))


def begun_with(lake: Lake) -> dict[str, bytes]:
    """What cannot be made again."""
    return {
        entry.key: lake.storage.read(entry.key) for part in ("raw/", "journal/") for entry in lake.storage.entries(part)
    }


def test_a_copy_made_while_a_night_is_at_work_becomes_a_lake_that_the_next_night_finishes(
    first_night: Lake, tmp_path: Path
) -> None:
    """Copies are made one after the other until the night is over; one from the midst of it is restored."""
    lake = Lake(Path(shutil.copytree(root_of(first_night), tmp_path / "lake")), first_night.definitions)
    found = settings(lake, tmp_path)
    at_work = threading.Thread(target=night, args=(lake, late_inbox(tmp_path / "late")))
    at_work.start()
    while at_work.is_alive():
        assert run(lake, found).problems == []
        at_work.join(0.3)
    listed = [row for row in list_snapshots(found, None, 100).tables["snapshots"] if not row["at_rest"]]
    again = restored(lake, tmp_path, found, as_of=listed[len(listed) // 2]["snapshot"])
    night(again, late_inbox(tmp_path / "again"))  # which the copy may or may not have
    assert_equal(data_state(again), data_state(lake))
    assert newest_products(again) == newest_products(lake)
    assert look(again).problems == []


def test_a_copy_that_was_killed_is_continued_and_no_snapshot_names_what_is_not_there(
    kept: Lake, tmp_path: Path
) -> None:
    found = settings(kept, tmp_path)
    command = [sys.executable, "-c", "from swxlake.cli import main; main()", "backup", "run"]
    environment = os.environ | {"SWXLAKE_BACKUP": str(found.backup), "SWXLAKE_ROOT": str(kept.root)}
    objects = tmp_path / "vault/objects"

    def sent() -> set[str]:
        return {path.name for path in objects.rglob("*") if path.is_file()}

    with subprocess.Popen(command, cwd=CHECKOUT, env=environment) as process:
        wait_until(lambda: len(sent()) > 20)
        process.send_signal(signal.SIGKILL)
    before = {path.name: path.stat().st_ino for path in objects.rglob("*") if path.is_file()}
    assert not (tmp_path / "vault/snapshots").exists()
    outcome = run(kept, found)
    assert outcome.problems == []
    assert outcome.tables["backups"][0]["new_files"] <= len(sent()) - len(before)
    after = {path.name: path.stat().st_ino for path in objects.rglob("*") if path.is_file()}
    assert {name: after[name] for name in before} == before, "nothing was sent twice"

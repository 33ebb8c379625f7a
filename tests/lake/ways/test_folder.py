# SPDX-License-Identifier: Apache-2.0
"""Delivery into a folder: what others may see of it, and what it does not let out of itself."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import IO

import pytest

from lake.errors import PathError, WayError
from lake.files import copy_hashed
from lake.ways import folder
from lake.ways.settings import FolderWay, open_way


def source(folder: Path) -> Path:
    (folder / "source").write_bytes(b"x")
    return folder / "source"


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "r", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "padre").symlink_to(outside)
    (outside / "a.cdf").write_text("not ours")
    with open_way("recipient r", FolderWay(path=root)) as to:
        for attempt in (to.size, to.read, to.sha256, to.remove, lambda path: to.put(path, source(tmp_path))):
            with pytest.raises(PathError, match="leads out of the folder by a link"):
                attempt("padre/a.cdf")
    assert (outside / "a.cdf").read_text() == "not ours"


def test_a_link_in_place_of_a_file_is_none(tmp_path: Path) -> None:
    root = tmp_path / "r"
    root.mkdir()
    (root / "a.cdf").symlink_to("/etc/hostname")
    with open_way("recipient r", FolderWay(path=root)) as to:
        assert to.size("a.cdf") is None
        with pytest.raises(WayError, match="is there already"):
            to.put("a.cdf", source(tmp_path))


def test_others_may_read_what_is_delivered(tmp_path: Path) -> None:
    root = tmp_path / "r"
    root.mkdir()
    with open_way("recipient r", FolderWay(path=root)) as to:
        to.put("a/b/c.cdf", source(tmp_path))
    assert (root / "a/b/c.cdf").stat().st_mode & 0o777 == 0o644
    assert (root / "a/b").stat().st_mode & 0o755 == 0o755


def test_what_a_dead_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    incoming = tmp_path / ".incoming"
    incoming.mkdir()
    for name, hours in (("old.part", 25), ("young.part", 23), ("old.txt", 25)):
        (incoming / name).write_text("half")
        os.utime(incoming / name, (time.time() - hours * 3600,) * 2)
    with open_way("recipient r", FolderWay(path=tmp_path)):
        assert sorted(p.name for p in incoming.iterdir()) == ["old.txt", "young.part"]


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(WayError, match="cannot be written"), open_way("recipient r", FolderWay(path=tmp_path)):
        pass


def test_a_file_that_came_as_other_bytes_never_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(path: Path, file: IO[bytes]) -> str:
        sha256 = copy_hashed(path, file)
        file.seek(0)
        file.write(b"y")
        return sha256

    root = tmp_path / "r"
    root.mkdir()
    with open_way("recipient r", FolderWay(path=root)) as to:
        with monkeypatch.context() as disk:
            disk.setattr(folder, "copy_hashed", spoilt)
            with pytest.raises(WayError, match=r"recipient r: .*a/b\.cdf: came as other bytes"):
                to.put("a/b.cdf", source(tmp_path))
        assert [path for path in root.rglob("*") if path.is_file()] == []
        assert to.put("a/b.cdf", source(tmp_path))
    assert (root / "a/b.cdf").read_bytes() == b"x"


def test_two_lakes_that_send_one_path_do_not_write_into_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, parts = tmp_path / "r", []
    root.mkdir()
    with open_way("recipient a", FolderWay(path=root)) as one, open_way("recipient b", FolderWay(path=root)) as other:

        def meanwhile(path: Path, file: IO[bytes]) -> str:
            parts.append(Path(file.name))
            if len(parts) == 1:
                other.put("a.cdf", source(tmp_path))
            return copy_hashed(path, file)

        monkeypatch.setattr(folder, "copy_hashed", meanwhile)
        one.put("a.cdf", source(tmp_path))
    assert len(set(parts)) == 2
    assert (root / "a.cdf").read_bytes() == b"x"
    assert list((root / ".incoming").iterdir()) == []


def test_a_path_that_is_blocked_says_nothing_of_the_others(tmp_path: Path) -> None:
    root = tmp_path / "r"
    root.mkdir()
    (root / "padre").write_text("a file where a folder should be")
    with open_way("recipient r", FolderWay(path=root)) as to:
        with pytest.raises(PathError, match=r"recipient r: .*padre"):
            to.put("padre/a.cdf", source(tmp_path))
        assert to.put("hermes/a.cdf", source(tmp_path))
        (root / "padre").unlink()
        shutil.rmtree(root)
        with pytest.raises(WayError) as found:
            to.put("padre/a.cdf", source(tmp_path))
        assert not isinstance(found.value, PathError), "the disk is gone"

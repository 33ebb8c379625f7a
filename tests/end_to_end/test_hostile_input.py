# SPDX-License-Identifier: Apache-2.0
"""Hostile input by every way in: refused and told, nothing written outside the lake, and no memory for it."""

from __future__ import annotations

import gzip
import io
import os
import resource
import socket
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest

from ingest.sources.books import Books
from ingest.sources.lander import Lander
from ingest.sources.opening import open_source
from ingest.sources.rounds import Follower, Round
from ingest.sources.settings import SourceSettings
from lake.definitions import Definitions
from lake.ledger import read_ops
from lake.store import Lake, RawArchive
from tests.ingest.sources.uploading import TOKEN, Client, header, read_all, upload_server
from tests.s3_server import Server, environment
from tests.sftp_server import PASSWORD, sftp_server
from tests.toy import toy_lake

NOW = datetime(2026, 11, 22, tzinfo=UTC)
GOOD, OTHER = "toyMDA0_240916034739.dat", "toyMDA0_240916034740.dat"
LINKED, DANGLING, LOOP = (f"toyMDA0_24091605000{number}.dat" for number in range(3))
PIPE, SOCKET, DEVICE, HUGE = (f"toyMDA0_24091606000{number}.dat" for number in range(4))
MANIFEST = "file_manifest_20240916.txt"
MEMORY = 128 << 20  # bytes by which the process may grow; each bomb here is larger
KINDS = (stat.S_ISLNK, stat.S_ISFIFO, stat.S_ISSOCK, stat.S_ISCHR, stat.S_ISDIR)


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    return toy_lake(tmp_path_factory.mktemp("toy")).definitions


@pytest.fixture
def lake(definitions: Definitions, tmp_path: Path) -> Iterator[Lake]:
    """A lake in surroundings that stay as they are, in a process that does not grow."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / GOOD).write_text("a secret of this machine")
    (tmp_path / "home/lake").mkdir(parents=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    yield Lake(tmp_path / "home/lake", definitions)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before < MEMORY


def surroundings(folder: Path) -> list[tuple[str, int, int, int]]:
    """All that is below a folder, but for the lake: path, kind, size and time of change."""
    found = [
        (path, path.lstat()) for path in sorted(folder.rglob("*")) if folder / "home/lake" not in (path, *path.parents)
    ]
    return [(str(path), stat.S_IFMT(status.st_mode), status.st_size, status.st_mtime_ns) for path, status in found
            if path != folder / "home"]  # fmt: skip


def archived(lake: Lake) -> dict[str, int]:
    """Sizes of what is archived, by name; nothing else lies in the lake than belongs there."""
    parts = {path.relative_to(Path(lake.root)).parts[0] for path in Path(lake.root).rglob("*") if path.is_file()}
    assert parts <= {"raw", "journal", "state", "tables", "locks"}, "something was left behind"
    archive = RawArchive(lake)
    receipts = [archive.receipt(key) for key in archive.keys().values()]
    return {receipt.name: receipt.bytes for receipt in receipts}


def one_round(lake: Lake, **way: Any) -> Round:
    """What a round of receiving does with all that a source gives."""
    settings = SourceSettings.model_validate({"settle_seconds": 0, "max_bytes": 1 << 30, **way})
    follower = Follower("moc", settings, Lander(lake), Books(lake))
    with closing(open_source("moc", settings)) as source:
        done = follower.look(source, NOW)
        again = follower.look(source, NOW)
    assert not again.landed
    assert all(line.isprintable() and len(line) < 1000 for line in done.problems)
    return done


def refusals(lake: Lake) -> dict[str, str]:
    """What ops.receptions says was refused, and why."""
    rows = read_ops(lake, "receptions").filter(state="refused")
    return dict(zip(rows["path"], rows["detail"], strict=True))


def zip_bomb() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../" + GOOD, bytes(1 << 20))
    return content.getvalue()


def evil_inbox(folder: Path, outside: Path) -> None:
    """Everything that a folder can hold and should not."""
    folder.mkdir()
    (folder / GOOD).write_bytes(b"packets")
    (folder / LINKED).symlink_to("/etc/passwd")
    (folder / DANGLING).symlink_to(outside / "nothing")
    (folder / LOOP).symlink_to(LOOP)
    os.mkfifo(folder / PIPE)
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(folder)  # the path of a socket has at most 108 characters
        listener.bind(SOCKET)
    (folder / "pass").symlink_to(outside, target_is_directory=True)
    for name in (f"{GOOD}\n", f"\x1b[2J{GOOD}", f"\u202e{GOOD}", f"a\\{GOOD}", "x" * 251 + ".dat"):
        (folder / name).write_bytes(b"x")
    (folder / f"{GOOD}.gz").write_bytes(gzip.compress(bytes(1 << 20)))
    (folder / f"{GOOD}.zip").write_bytes(zip_bomb())
    (folder / OTHER).write_bytes(gzip.compress(bytes(1 << 20)))
    for name, size in ((HUGE, 1 << 40), (f"{GOOD}.md5", 1 << 30)):
        with (folder / name).open("wb") as file:
            file.truncate(size)  # a hole, so that the disk holds it
    (folder / MANIFEST).write_text(f"{'0' * 64}  ../../etc/{GOOD}\n{'0' * 64}  /etc/passwd\n{'0' * 64}  ..\n")


def test_a_folder(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # put back at the end
    inbox = tmp_path / "inbox"
    evil_inbox(inbox, tmp_path / "etc")
    monkeypatch.chdir(tmp_path)
    before = surroundings(tmp_path)
    one_round(lake, folder={"path": inbox}, subfolders=True, complete="rename")
    assert archived(lake) == {GOOD: 7, OTHER: len(gzip.compress(bytes(1 << 20)))}
    assert surroundings(tmp_path) == before
    reasons = refusals(lake)
    for name, words in {
        LINKED: "is a link", DANGLING: "is a link", LOOP: "is a link", "pass": "is a link", PIPE: "no regular file",
        SOCKET: "no regular file", HUGE: "max_bytes", f"{GOOD}.gz": "UNKNOWN_EXT", f"{GOOD}.zip": "UNKNOWN_EXT",
        f"{GOOD}.md5": "bytes", f"a\\{GOOD}": "backslash", "x" * 251 + ".dat": "BAD_MISSION",
    }.items():  # fmt: skip
        assert words in reasons.get(name, ""), name
    assert sum("control characters" in reason for reason in reasons.values()) >= 3
    manifest = read_ops(lake, "receptions").row(by_predicate=pl.col("path") == MANIFEST, named=True)
    assert manifest["detail"] == "names 0 files; lines not understood: 1, 2, 3"


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser makes devices")
def test_a_device(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    os.mknod(tmp_path / "inbox" / DEVICE, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # endless zeros
    one_round(lake, folder={"path": tmp_path / "inbox"}, complete="rename")
    assert archived(lake) == {}
    assert "no regular file" in refusals(lake)[DEVICE]


def test_a_bucket(lake: Lake, moto: Server, tmp_path: Path) -> None:
    before = surroundings(tmp_path)
    keys = [f"../{GOOD}", f"a/../../{GOOD}", f"a/..\\{GOOD}", f"%2e%2e/{GOOD}.gz", f"a/\x01{GOOD}", f"a/\u202e{GOOD}"]
    with environment(moto.environment):
        bucket, client = moto.make_bucket(), boto3.client("s3")
        for key in (*keys, f"{'x' * 300}.dat", f"pass/{GOOD}.zip"):
            client.put_object(Bucket=bucket, Key=f"in/{key}", Body=b"x")
        client.put_object(Bucket=bucket, Key=f"in/pass/{GOOD}", Body=b"packets")
        client.put_object(Bucket=bucket, Key=f"in/{OTHER}", Body=gzip.compress(bytes(1 << 20)), ContentEncoding="gzip")
        client.put_object(Bucket=bucket, Key=f"in/{MANIFEST}", Body=f"{'0' * 64}  ../../etc/{GOOD}\n".encode())
        one_round(lake, s3={"address": f"s3://{bucket}/in"})
    assert archived(lake) == {GOOD: 7, OTHER: len(gzip.compress(bytes(1 << 20)))}
    assert surroundings(tmp_path) == before
    assert len(refusals(lake)) == len(keys) + 2


def test_an_sftp_server(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWX_SFTP_PASSWORD", PASSWORD)
    monkeypatch.chdir(tmp_path)
    evil_inbox(tmp_path / "inbox", tmp_path / "etc")
    with sftp_server(tmp_path / "inbox", tmp_path / "state") as server:
        before = surroundings(tmp_path / "etc")
        one_round(lake, sftp=server.way(), complete="rename")
        assert surroundings(tmp_path / "etc") == before
    assert archived(lake) == {GOOD: 7, OTHER: len(gzip.compress(bytes(1 << 20)))}
    assert {HUGE, PIPE, SOCKET, f"{GOOD}.gz", f"{GOOD}.md5"} <= refusals(lake).keys()
    assert sum("control characters" in reason for reason in refusals(lake).values()) >= 3


# ---- the upload server -----------------------------------------------------------------------------------------------
Attack = Callable[[Client], int]
PATHS = [
    f"/../{GOOD}", f"/%2e%2e/%2e%2e/etc/{GOOD}", f"//etc/{GOOD}", f"/a/%00{GOOD}", f"/{GOOD}%0a", f"/%E2%80%AE{GOOD}",
    f"/..%5c{GOOD}", f"/{'x' * 300}.dat", f"/{GOOD}.gz", f"/{GOOD}.zip", "/etc/passwd", f"/%c0%ae%c0%ae/{GOOD}",
]  # fmt: skip


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ")[1]) if answer else 0


def test_uploads(lake: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    limits = {"header_seconds": 0.2, "seconds": 0.2}
    with upload_server(lake, tmp_path / "etc", **limits) as client:
        before = surroundings(tmp_path)
        assert {client.put(path, b"x").status for path in PATHS} == {400}
        assert client.put(body=gzip.compress(bytes(1 << 20)), Content_Encoding="gzip").status == 415
        assert client.put(Authorization="Bearer " + "x" * 24).status == 401
        assert status_of(read_all(client.raw(header(1 << 40)))) == 413
        assert status_of(read_all(client.raw(b"GET /" + b"x" * (1 << 20)))) == 400
        assert read_all(client.raw(f"PUT /{GOOD} HTTP/1.1\r\n".encode())) == b""
        assert status_of(read_all(client.raw(header(1000), b"x"))) == 408
        assert client.put(f"/etc/{GOOD}", b"packets").status == 201
        assert client.put(f"/{OTHER}", gzip.compress(bytes(1 << 20))).status == 201
        assert surroundings(tmp_path) == before
    assert archived(lake) == {GOOD: 7, OTHER: len(gzip.compress(bytes(1 << 20)))}
    ours = ("ingest.sources.upload", "lake.connections")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith(ours)]
    assert len(lines) >= len(PATHS) + 5
    assert all(line.isprintable() and TOKEN not in line for line in lines)


def sent_until_the_server_hangs_up(line: socket.socket) -> Iterator[int]:
    """Sizes of what could be sent."""
    stop = time.monotonic() + 10
    while time.monotonic() < stop:
        try:
            yield line.send(bytes(1 << 16))
        except OSError:
            return


def test_a_terabyte_that_is_sent_is_not_read(lake: Lake, tmp_path: Path) -> None:
    with upload_server(lake, tmp_path / "etc") as client, client.raw(header(1 << 40)) as line:
        sent = list(sent_until_the_server_hangs_up(line))
    assert sum(sent) < MEMORY

# SPDX-License-Identifier: Apache-2.0
"""What holds for every way to a recipient, asked of a folder, a bucket, an SFTP server and an HTTPS server."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lake.errors import WayError
from lake.storage import open_storage
from lake.ways.settings import AnyWay, FolderWay, HttpsWay, S3Way, SftpWay, open_way
from lake.ways.transport import Transport
from tests.sftp_server import PASSWORD, SftpServer, sftp_server
from tests.upload_server import TOKEN, UploadServer, upload_server

CONTENT = os.urandom(300_001)
PATH = "padre/meddea/padre_meddea_l1-photon/2024/padre_meddea_l1-photon_20240916_v1.0.0.cdf"


@dataclass
class Recipient:
    """An open way, and the bytes that are there by another way."""

    kind: str
    transport: Transport
    root: Path | str

    def there(self, path: str) -> bytes:
        if isinstance(self.root, str):
            return open_storage(self.root).read(path)
        return (self.root / path).read_bytes()

    def spoil(self, path: str) -> None:
        if isinstance(self.root, str):
            open_storage(self.root).put(path, b"something else")
        else:
            (self.root / path).write_bytes(b"something else")


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    folder = tmp_path_factory.mktemp("sftp")
    with sftp_server(folder, folder / "state") as server:
        yield server


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UploadServer]:
    folder = tmp_path_factory.mktemp("https")
    with upload_server(folder, folder / "state") as server:
        yield server


@pytest.fixture(params=["folder", "s3", "sftp", "https"])
def recipient(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recipient]:
    monkeypatch.setenv("SWX_SFTP_PASSWORD", PASSWORD)
    monkeypatch.setenv("SWX_HTTPS_TOKEN", TOKEN)
    root: Path | str = tmp_path / "recipient"
    way: AnyWay
    if request.param == "folder":
        way = FolderWay(path=tmp_path / "recipient")
    elif request.param == "s3":
        root = request.getfixturevalue("s3_root")
        way = S3Way(address=str(root))
    elif request.param == "sftp":
        server: SftpServer = request.getfixturevalue("ssh")
        root = server.folder / tmp_path.name
        way = SftpWay(**server.way(path=f"/{tmp_path.name}"))
    else:
        served: UploadServer = request.getfixturevalue("web")
        root = served.folder / tmp_path.name
        settings = served.way()
        way = HttpsWay(**settings | {"url": f"{settings['url']}/{tmp_path.name}"})
    if isinstance(root, Path):
        root.mkdir()
    with open_way("recipient r", way) as transport:
        yield Recipient(request.param, transport, root)


def source(folder: Path, content: bytes = CONTENT) -> Path:
    path = folder / "source"
    path.write_bytes(content)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def test_a_file_arrives_whole_and_is_read_back(recipient: Recipient, tmp_path: Path) -> None:
    to = recipient.transport
    assert (to.size(PATH), to.sha256(PATH), to.read(PATH)) == (None, None, None)
    to.put(PATH, source(tmp_path))
    assert recipient.there(PATH) == CONTENT
    assert (to.size(PATH), to.read(PATH)) == (len(CONTENT), CONTENT)
    assert to.sha256(PATH) == hashlib.sha256(CONTENT).hexdigest()
    if isinstance(recipient.root, Path):
        found = {path for path in recipient.root.rglob("*") if path.is_file()}
        assert found == {recipient.root / PATH}
    if recipient.kind in {"folder", "sftp"}:
        assert (recipient.root / PATH).stat().st_mtime == 1_700_000_000  # type: ignore[operator]
        assert (recipient.root / PATH).stat().st_mode & 0o777 == 0o644  # type: ignore[operator]


def test_a_taken_name_is_refused_unless_it_shall_be_replaced(recipient: Recipient, tmp_path: Path) -> None:
    to = recipient.transport
    to.put("feed.jsonl", source(tmp_path, b"first"))
    with pytest.raises(WayError, match=r"recipient r: .*feed.jsonl:? is there already"):
        to.put("feed.jsonl", source(tmp_path, b"second"))
    assert recipient.there("feed.jsonl") == b"first"
    to.put("feed.jsonl", source(tmp_path, b"third"), replace=True)
    assert recipient.there("feed.jsonl") == b"third"


def test_a_changed_file_has_another_hash(recipient: Recipient, tmp_path: Path) -> None:
    recipient.transport.put(PATH, source(tmp_path))
    recipient.spoil(PATH)
    assert recipient.transport.sha256(PATH) == hashlib.sha256(b"something else").hexdigest()


def test_an_empty_file_is_a_file(recipient: Recipient, tmp_path: Path) -> None:
    recipient.transport.put("a/empty", source(tmp_path, b""))
    assert recipient.transport.size("a/empty") == 0
    assert recipient.transport.sha256("a/empty") == hashlib.sha256(b"").hexdigest()


def test_removing_is_done_once_and_can_be_repeated(recipient: Recipient, tmp_path: Path) -> None:
    to = recipient.transport
    to.put(PATH, source(tmp_path))
    to.remove(PATH)
    to.remove(PATH)
    assert to.size(PATH) is None


def test_names_are_those_of_files_right_in_a_folder(recipient: Recipient, tmp_path: Path) -> None:
    to = recipient.transport
    assert to.names("receipts") == []
    for name in ("receipts/b.json", "receipts/a.json", "receipts/old/c.json", "receipt.json"):
        to.put(name, source(tmp_path))
    for name in (".hidden", "line\nbreak", "back\\slash") if isinstance(recipient.root, Path) else ():
        (recipient.root / "receipts" / name).write_bytes(b"{}")
    assert to.names("receipts") == ([] if recipient.kind == "https" else ["a.json", "b.json"])


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a//b", "a/./b", "", ".incoming/x", "a\\..\\x", "a\nb"])
def test_a_path_out_of_the_folder_is_refused(recipient: Recipient, tmp_path: Path, path: str) -> None:
    to = recipient.transport
    for attempt in (to.size, to.sha256, to.read, to.remove, lambda p: to.put(p, source(tmp_path))):
        with pytest.raises(WayError, match="is no path below its folder"):
            attempt(path)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["a b.txt", "ü+&#%.txt", "x=1;y.txt"])
def test_unusual_names_stay_as_they_are(recipient: Recipient, tmp_path: Path, name: str) -> None:
    recipient.transport.put(f"d/{name}", source(tmp_path, b"x"))
    assert recipient.there(f"d/{name}") == b"x"
    assert recipient.transport.read(f"d/{name}") == b"x"

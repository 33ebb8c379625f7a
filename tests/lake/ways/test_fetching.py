# SPDX-License-Identifier: Apache-2.0
"""Fetching and listing by each way: whole files or none, whatever a server says of names, sizes and its own end."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lake.errors import PathError, WayError
from lake.files import copy_hashed
from lake.storage import open_storage
from lake.ways import folder as folder_way
from lake.ways import sftp
from lake.ways.settings import AnyWay, FolderWay, HttpsWay, S3Way, SftpWay, open_to_read, open_way
from lake.ways.transport import Readable, Transport
from tests.sftp_server import PASSWORD, SftpServer, sftp_server
from tests.upload_server import TOKEN, UploadServer, upload_server

CONTENT = bytes(range(256)) * 1200
HOSTILE = ["..", "../up.dat", "a/../../up.dat", "/etc/passwd", "a/b.dat", "line\nbreak", "bell\x07", "nul\0", ".hidden",
           "back\\slash", "\u202egnp.exe", ""]  # fmt: skip


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    root = tmp_path_factory.mktemp("sftp")
    with sftp_server(root / "root", root / "state") as server:
        yield server


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UploadServer]:
    root = tmp_path_factory.mktemp("https")
    with upload_server(root, root / "state", tls=False) as server:
        yield server


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWX_SFTP_PASSWORD", PASSWORD)
    monkeypatch.setenv("SWX_HTTPS_TOKEN", TOKEN)


@dataclass
class Place:
    """An open way, and another one by which things are put there."""

    kind: str
    transport: Transport
    root: Path | str

    def put(self, path: str, content: bytes = CONTENT) -> None:
        open_storage(self.root).put(path, content)


def way_to(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> tuple[AnyWay, Path | str]:
    """A way to an empty place, and where that is."""
    root: Path | str = tmp_path / "place"
    if kind == "s3":
        root = request.getfixturevalue("s3_root")
        return S3Way(address=str(root)), root
    if kind == "sftp":
        server: SftpServer = request.getfixturevalue("ssh")
        root = server.folder / tmp_path.name
        way: AnyWay = SftpWay(**server.way(path=f"/{tmp_path.name}"))
    elif kind == "https":
        served: UploadServer = request.getfixturevalue("web")
        root = served.folder / tmp_path.name
        way = HttpsWay(**served.way() | {"url": f"{served.way()['url']}/{tmp_path.name}"})
    else:
        way = FolderWay(path=Path(root))
    Path(root).mkdir()
    return way, root


@pytest.fixture(params=["folder", "s3", "sftp", "https"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    way, root = way_to(request.param, request, tmp_path)
    with open_way("source moc", way) as transport:
        yield Place(request.param, transport, root)


@pytest.fixture(params=["folder", "s3", "sftp"])
def listed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    way, root = way_to(request.param, request, tmp_path)
    assert not isinstance(way, HttpsWay)
    with open_to_read("source moc", way) as transport:
        yield Place(request.param, transport, root)


@pytest.fixture
def server(ssh: SftpServer) -> Iterator[SftpServer]:
    yield ssh
    ssh.running.say()


@pytest.fixture
def far(server: SftpServer, tmp_path: Path) -> Iterator[Place]:
    root = server.folder / tmp_path.name
    root.mkdir()
    with open_to_read("source moc", SftpWay(**server.way(path=f"/{tmp_path.name}"))) as transport:
        yield Place("sftp", transport, root)


def paths(transport: Any, folder: str = "") -> list[str]:
    return [found.path for found in transport.entries(folder)]


# ---- fetching --------------------------------------------------------------------------------------------------
def test_a_file_is_fetched_as_it_is(place: Place, tmp_path: Path) -> None:
    for path, content in {"d/a b+ü.dat": CONTENT, "empty": b""}.items():
        place.put(path, content)
        assert place.transport.fetch(path, tmp_path / "a") == hashlib.sha256(content).hexdigest()
        assert (tmp_path / "a").read_bytes() == content
        (tmp_path / "a").unlink()


def test_what_is_not_there_leaves_nothing(place: Place, tmp_path: Path) -> None:
    with pytest.raises(PathError, match=r"source moc: .*none\.dat.* is not there"):
        place.transport.fetch("none.dat", tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a\nb", "", ".incoming/x", "nul\0"])
def test_a_path_out_of_the_place_is_refused(place: Place, tmp_path: Path, path: str) -> None:
    with pytest.raises(PathError, match="is no path below its folder"):
        place.transport.fetch(path, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_file_of_ours_is_never_overwritten(place: Place, tmp_path: Path) -> None:
    place.put("a.dat")
    (tmp_path / "a").write_bytes(b"ours")
    with pytest.raises(Exception, match="File exists"):
        place.transport.fetch("a.dat", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"ours"


@pytest.mark.parametrize(("more", "words"), [(100, "holds fewer bytes"), (-100, "holds more bytes")])
def test_a_file_behind_ssh_that_shrinks_or_grows_is_not_taken(
    server: SftpServer, far: Place, tmp_path: Path, more: int, words: str
) -> None:
    far.put("a.dat")
    server.running.say(more=more)
    with pytest.raises(PathError, match=rf"a\.dat: {words} than the {len(CONTENT) + more}"):
        far.transport.fetch("a.dat", tmp_path / "a")
    assert not (tmp_path / "a").exists()
    server.running.say()
    assert far.transport.fetch("a.dat", tmp_path / "a") == hashlib.sha256(CONTENT).hexdigest()


def test_a_file_behind_ssh_that_is_rewritten_meanwhile_is_not_taken(
    server: SftpServer, far: Place, tmp_path: Path
) -> None:
    far.put("a.dat")
    server.running.say(ages=True)
    with pytest.raises(PathError, match=r"a\.dat: changed while it was read"):
        far.transport.fetch("a.dat", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_file_in_a_folder_that_grows_while_it_is_read_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "place").mkdir()
    grown = tmp_path / "place/a.dat"
    grown.write_bytes(CONTENT)

    def written_to(source: Path, file: Any) -> str:
        with source.open("ab") as stream:
            stream.write(b"more")
        return copy_hashed(source, file)

    monkeypatch.setattr(folder_way, "copy_hashed", written_to)
    opened = open_to_read("source moc", FolderWay(path=tmp_path / "place"))
    with opened as transport, pytest.raises(PathError, match=r"a\.dat changed while it was read"):
        transport.fetch("a.dat", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_file_that_has_become_larger_than_it_was_judged_is_not_fetched(place: Place, tmp_path: Path) -> None:
    place.put("a.dat", b"12345")
    with pytest.raises(PathError, match=r"a\.dat.* holds 5 bytes, of which 4 are to be taken"):
        place.transport.fetch("a.dat", tmp_path / "a", 4)
    assert not (tmp_path / "a").exists()
    assert place.transport.fetch("a.dat", tmp_path / "a", 5) == hashlib.sha256(b"12345").hexdigest()


def test_a_file_in_a_folder_that_grows_for_ever_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "place/a.dat").write_bytes(b"x")
    taken: list[int] = []

    def endless(_: Path, file: Any) -> str:
        while True:
            taken.append(file.write(b"x"))

    monkeypatch.setattr(folder_way, "copy_hashed", endless)
    opened = open_to_read("source moc", FolderWay(path=tmp_path / "place"))
    with opened as transport, pytest.raises(PathError, match=r"a\.dat changed while it was read"):
        transport.fetch("a.dat", tmp_path / "a")
    assert taken == [1]


def test_a_web_server_that_gives_other_bytes_than_it_says_is_not_believed(
    web: UploadServer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    way, root = way_to("https", request, tmp_path)
    Path(root).joinpath("a.dat").write_bytes(CONTENT)
    with open_way("source moc", way) as transport:
        web.running.say(more=10)
        with pytest.raises(WayError, match=r"a\.dat"):
            transport.fetch("a.dat", tmp_path / "a")
        web.running.say()
    assert not (tmp_path / "a").exists()


# ---- listing ---------------------------------------------------------------------------------------------------
def test_a_listing_has_all_files_however_deep(listed: Place) -> None:
    given = ["a.dat", "b/c/d.dat", "b/x y+ü.dat"]
    for path in given:
        listed.put(path, b"xyz")
    listed.put(".incoming/e.part", b"x")
    listed.put("b/.hidden", b"x")
    found = list(listed.transport.entries())
    assert sorted(one.path for one in found) == given
    assert {one.bytes for one in found} == {3}
    assert all(one.modified > 1_700_000_000 and one.mark for one in found)
    assert sorted(paths(listed.transport, "b")) == given[1:]
    assert paths(listed.transport, "none") == []


def test_one_file_is_found_as_the_listing_has_it(listed: Place) -> None:
    listed.put("b/a.dat", b"xyz")
    listed.put("b/a.dat.more", b"x")
    transport: Any = listed.transport
    readable: Readable = transport
    assert readable.found("b/a.dat") == next(iter(readable.entries()))
    assert (readable.found("b/a"), readable.found("none/a.dat")) == (None, None)


def test_other_bytes_of_the_same_length_have_another_mark(listed: Place) -> None:
    listed.put("a.dat", b"one")
    if isinstance(listed.root, Path):
        os.utime(listed.root / "a.dat", (1_700_000_000, 1_700_000_000))
    before = next(iter(listed.transport.entries()))
    listed.put("a.dat", b"two")
    after = next(iter(listed.transport.entries()))
    assert (before.path, before.bytes) == (after.path, after.bytes)
    assert before.mark != after.mark


def test_a_web_server_cannot_be_listed(web: UploadServer) -> None:
    with open_way("source moc", HttpsWay(**web.way())) as transport, pytest.raises(WayError, match="cannot be listed"):
        list(transport.entries())


def test_links_and_devices_are_no_files(tmp_path: Path, far: Place) -> None:
    here = tmp_path / "place"
    here.mkdir()
    for root in (here, Path(str(far.root))):
        (root / "a.dat").write_bytes(b"x")
        (root / "link.dat").symlink_to("/etc/hostname")
        (root / "linked").symlink_to("/etc")
        (root / "loop").symlink_to(".")
        os.mkfifo(root / "pipe.dat")
        with socket.socket(socket.AF_UNIX) as line:
            line.bind(os.path.relpath(root / "socket.dat"))
    with open_to_read("source moc", FolderWay(path=here)) as transport:
        assert paths(transport) == ["a.dat"]
        with pytest.raises(PathError, match="is not there"):
            transport.fetch("link.dat", tmp_path / "a")
        with pytest.raises(PathError, match="leads out of the folder by a link"):
            transport.fetch("linked/hostname", tmp_path / "a")
    assert paths(far.transport) == ["a.dat"]
    with pytest.raises(PathError, match=r"link\.dat: File exists"):
        far.transport.fetch("link.dat", tmp_path / "a")


def test_names_that_a_server_makes_up_lead_nowhere(server: SftpServer, far: Place) -> None:
    far.put("a.dat", b"x")
    server.running.say(offered=HOSTILE)
    assert paths(far.transport) == ["a.dat"]


def test_keys_that_are_no_paths_are_left_out(s3_root: str) -> None:
    with open_to_read("source moc", S3Way(address=s3_root)) as transport:
        for key in ("../up.dat", "a//b.dat", "a/", "./c.dat", "bell\x07.dat", "a.dat"):
            open_storage(s3_root).put(key, b"x")
        assert paths(transport) == ["a.dat"]


def test_as_many_names_as_a_folder_may_have_are_listed_and_one_more_is_refused(
    server: SftpServer, far: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sftp.MOST_LISTED == 500_000, "for which the test's server needs minutes"
    monkeypatch.setattr(sftp, "MOST_NAMES", 10)  # of folders that we write to, which is another limit
    monkeypatch.setattr(sftp, "MOST_LISTED", 3000)
    server.running.say(many=3000)
    assert sum(1 for _ in far.transport.entries()) == 3000
    server.running.say(many=3001)
    with pytest.raises(WayError, match="holds more than 3000 names"):
        next(iter(far.transport.entries()))


def test_of_a_server_whose_folders_never_end_the_first_ones_are_listed(server: SftpServer, far: Place) -> None:
    far.put("more/a.dat", b"x")
    server.running.say(nested=True, offered=["b.dat"])
    transport: Any = far.transport
    assert len(paths(transport)) == 33
    [(path, why)] = transport.refused.items()
    assert (path.count("/"), why) == (32, "lies more than 32 folders deep; look there")


@pytest.mark.parametrize("kind", ["folder", "sftp"])
def test_a_folder_that_may_not_be_listed_keeps_nobody_from_the_others(
    kind: str, server: SftpServer, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way, root = way_to(kind, request, tmp_path)
    assert isinstance(way, FolderWay | SftpWay)
    for path in ("a.dat", "private/b.dat", "x/y/private/c.dat", "z/d.dat"):
        open_storage(root).put(path, b"x")
    server.running.say(denied="private")
    scan = os.scandir

    def scandir(path: Any) -> Any:
        if "private" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    with open_to_read("source moc", way) as transport:
        if kind == "folder":
            monkeypatch.setattr(os, "scandir", scandir)  # root may list everything
        assert sorted(paths(transport)) == ["a.dat", "z/d.dat"]
        assert transport.refused.folders == set(transport.refused) == {"private", "x/y/private"}
        assert "right to" in transport.refused["private"]
        assert (transport.refused.hides("private/b.dat"), transport.refused.hides("z/d.dat")) == (True, False)
        with pytest.raises(WayError, match="private"):
            list(transport.entries("private"))
        with open_way("backup vault", way) as writing, pytest.raises(WayError, match="private"):
            list(writing.entries())  # whoever writes there would take what is in it for lost
        monkeypatch.undo()
        server.running.say()
        assert len(paths(transport)) == 4
        assert dict(transport.refused) == {}


def test_a_folder_that_holds_too_much_keeps_nobody_from_the_others(far: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp, "MOST_LISTED", 2)
    for number in range(3):
        far.put(f"a/{number}.dat", b"x")
    far.put("b/c.dat", b"x")
    transport: Any = far.transport
    assert paths(transport) == ["b/c.dat"]
    assert dict(transport.refused) == {"a": "cannot be listed: holds more than 2 names. Look there"}


@pytest.mark.parametrize("kind", ["folder", "sftp"])
def test_a_name_that_is_not_utf_8_is_refused_alone(
    kind: str, server: SftpServer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    way, root = way_to(kind, request, tmp_path)
    assert isinstance(way, FolderWay | SftpWay)
    (Path(root) / "a.dat").write_bytes(b"x")
    (Path(root) / "ü.dat").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(root) + b"/b\xff.dat")).write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(root) + b"/c\xfe")).mkdir()
    why = "has a name that is not UTF-8; rename it"
    with open_to_read("source moc", way) as transport:
        assert sorted(paths(transport)) == ["a.dat", "ü.dat"]
        assert dict(transport.refused) == {"b\\xff.dat": why, "c\\xfe": why}
        assert transport.names("") == ["a.dat", "ü.dat"]


def test_a_server_that_never_ends_its_listing_is_not_listened_to(
    server: SftpServer, far: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp, "MOST_NAMES", 500)
    monkeypatch.setattr(sftp, "MOST_LISTED", 700)
    server.running.say(endless=True)
    with pytest.raises(WayError, match="holds more than 700 names"):
        list(far.transport.entries())
    with pytest.raises(WayError, match="holds more than 500 names"):
        far.transport.names("")
    server.running.say()
    assert paths(far.transport) == []


def test_a_place_that_holds_too_many_files_is_told(far: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp, "MOST_FILES", 5)
    for number in range(3):
        far.put(f"{number}/a.dat", b"x")
    listing = far.transport.entries()
    assert [next(listing).path, next(listing).path] == ["0/a.dat", "1/a.dat"]
    with pytest.raises(WayError, match="holds more than 5 files and folders"):
        next(listing)


@pytest.mark.parametrize("kind", ["folder", "sftp"])
def test_a_place_that_is_gone_is_no_empty_one(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    way, root = way_to(kind, request, tmp_path)
    assert isinstance(way, FolderWay | SftpWay)
    with open_to_read("source moc", way) as transport:
        assert paths(transport) == []
        Path(root).rmdir()
        with pytest.raises(WayError, match="source moc: "):
            list(transport.entries())


def test_reading_writes_and_removes_nothing_there(tmp_path: Path, far: Place) -> None:
    stale = Path(str(far.root)) / ".incoming/0.part"
    stale.parent.mkdir()
    stale.write_bytes(b"of another sender")
    os.utime(stale, (0, 0))
    far.put("a.dat", b"x")
    assert paths(far.transport) == ["a.dat"]
    far.transport.fetch("a.dat", tmp_path / "a")
    assert stale.exists()

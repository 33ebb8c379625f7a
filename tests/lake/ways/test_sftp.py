# SPDX-License-Identifier: Apache-2.0
"""Delivery behind SSH, against a real server: who it is, who we are, and what it does to files on their way."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lake.errors import PathError, WayError
from lake.ways import sftp
from lake.ways.settings import SftpWay, open_way
from lake.ways.transport import Transport
from tests.sftp_server import PASSWORD, SftpServer, make_key, sftp_server

PASSPHRASE = {"passphrase_env": "SWX_PASSPHRASE"}
MEGABYTE = bytes(range(256)) * 4096


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWX_SFTP_PASSWORD", PASSWORD)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[SftpServer]:
    folder = tmp_path_factory.mktemp("sftp")
    with sftp_server(folder / "root", folder / "state", logins=make_key(keys / "id", "pass phrase")) as running:
        yield running


@pytest.fixture
def server(shared: SftpServer) -> Iterator[SftpServer]:
    yield shared
    shared.running.say()


@pytest.fixture
def transport(server: SftpServer) -> Iterator[Transport]:
    with open_way("recipient spdf", SftpWay(**server.way())) as opened:
        yield opened


def source(folder: Path, content: bytes = MEGABYTE) -> Path:
    (folder / "source").write_bytes(content)
    return folder / "source"


def refusal(server: SftpServer, **more: Any) -> str:
    with pytest.raises(WayError) as found, open_way("recipient spdf", SftpWay(**server.way(**more))):
        pass
    assert PASSWORD not in str(found.value)
    assert str(found.value).startswith("recipient spdf: ")
    return str(found.value)


def test_a_server_with_another_key_gets_nothing(server: SftpServer, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    assert "shows another key than the pinned one" in refusal(server, host_key=other)
    hosts = tmp_path / "known_hosts"
    hosts.write_text(f"[127.0.0.1]:{server.running.port} {other}\n")
    assert "shows another key than the pinned one" in refusal(server, known_hosts=str(hosts))


def test_an_unknown_server_gets_nothing(server: SftpServer, tmp_path: Path) -> None:
    hosts = tmp_path / "known_hosts"
    hosts.write_text(f"another.example {server.host_key}\n")
    assert "is not in known_hosts" in refusal(server, known_hosts=str(hosts))


def test_a_server_in_known_hosts_is_known(server: SftpServer, tmp_path: Path) -> None:
    hosts = tmp_path / "known_hosts"
    hosts.write_text(f"[127.0.0.1]:{server.running.port} {server.host_key}\n")
    with open_way("recipient spdf", SftpWay(**server.way(known_hosts=str(hosts)))) as opened:
        assert opened.size("nothing") is None


def test_a_wrong_password_is_not_repeated(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWX_SFTP_PASSWORD", "hunter2")
    told = refusal(server)
    assert "does not accept user and key or password" in told
    assert "hunter2" not in told


def test_a_private_key_opens_the_door(server: SftpServer, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWX_PASSPHRASE", "pass phrase")
    way = server.way(key_file=str(keys / "id"), **PASSPHRASE)
    with open_way("recipient spdf", SftpWay(**way)) as opened:
        assert opened.size("nothing") is None


def test_a_private_key_that_cannot_be_used_is_named(
    server: SftpServer, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWX_PASSPHRASE", "hunter2")
    (tmp_path / "text").write_text("no key")
    make_key(tmp_path / "stranger")
    assert "id is encrypted" in refusal(server, key_file=str(keys / "id"))
    told = refusal(server, key_file=str(keys / "id"), **PASSPHRASE)
    assert "has another passphrase" in told
    assert "hunter2" not in told
    assert "text is no private key" in refusal(server, key_file=str(tmp_path / "text"))
    assert "gone cannot be read (No such file" in refusal(server, key_file=str(tmp_path / "gone"))
    assert "does not accept user and key" in refusal(server, key_file=str(tmp_path / "stranger"))


def test_nobody_at_the_port_is_said_in_words(server: SftpServer) -> None:
    assert "Connection refused. Correct host, port" in refusal(server, port=1)
    assert "Name or service not known" in refusal(server, host="no-such-host.invalid")


def test_the_folder_must_be_there(server: SftpServer) -> None:
    assert "/not/there: No such file or directory" in refusal(server, path="/not/there")


def test_no_name_is_visible_before_its_file_is_whole(server: SftpServer, transport: Transport, tmp_path: Path) -> None:
    transport.put("whole/a.cdf", source(tmp_path))
    written, named = server.running.calls("write")[-1], server.running.calls("named")[-1]
    assert written.startswith("./.incoming/")
    assert named == "./whole/a.cdf"


def test_a_line_that_drops_leaves_no_file_and_is_taken_up_again(
    server: SftpServer, transport: Transport, tmp_path: Path
) -> None:
    server.running.say(drop_after=200_000)
    with pytest.raises(WayError, match=r"recipient spdf: sftp://.*/dropped/a.cdf: .*(broke off|hung up)"):
        transport.put("dropped/a.cdf", source(tmp_path))
    assert not (server.folder / "dropped/a.cdf").exists()
    transport.put("dropped/a.cdf", source(tmp_path))  # by a new connection
    assert (server.folder / "dropped/a.cdf").read_bytes() == MEGABYTE
    assert list((server.folder / ".incoming").iterdir()) == []


@pytest.mark.parametrize("more", [7, -7])
def test_a_server_that_lies_about_its_size_is_found_out(
    server: SftpServer, transport: Transport, tmp_path: Path, more: int
) -> None:
    transport.put(f"lied{more}/a.cdf", source(tmp_path))
    server.running.say(more=more)
    with pytest.raises(WayError, match=r"holds (fewer|more) bytes than|broke off"):
        transport.sha256(f"lied{more}/a.cdf")
    with pytest.raises(WayError, match=f"1048576 bytes were sent, and {1048576 + more} are there"):
        transport.put(f"lied{more}/b.cdf", source(tmp_path))
    assert not (server.folder / f"lied{more}/b.cdf").exists()
    server.running.say()
    assert transport.sha256(f"lied{more}/a.cdf") == hashlib.sha256(MEGABYTE).hexdigest()


def test_a_full_disk_is_told(server: SftpServer, transport: Transport, tmp_path: Path) -> None:
    server.running.say(full=True)
    with pytest.raises(
        WayError, match=r"recipient spdf: .*full/a.cdf: (the server refuses|1048576 bytes were sent, and 0 are)"
    ):
        transport.put("full/a.cdf", source(tmp_path))
    assert not (server.folder / "full/a.cdf").exists()


def test_a_file_that_came_as_other_bytes_never_gets_its_name(
    server: SftpServer, transport: Transport, tmp_path: Path
) -> None:
    server.running.say(spoils=True)
    with pytest.raises(WayError, match=r"recipient spdf: .*spoiled/a.cdf: came as other bytes"):
        transport.put("spoiled/a.cdf", source(tmp_path))
    assert not (server.folder / "spoiled").exists()
    server.running.say()
    assert transport.put("spoiled/a.cdf", source(tmp_path))


def test_a_simple_server_will_do(server: SftpServer, transport: Transport, tmp_path: Path) -> None:
    server.running.say(simple=True)
    transport.put("simple/feed", source(tmp_path, b"first"), replace=True)
    transport.put("simple/feed", source(tmp_path, b"second"), replace=True)
    assert (server.folder / "simple/feed").read_bytes() == b"second"


def test_a_server_that_does_not_answer_is_given_up(server: SftpServer, tmp_path: Path) -> None:
    with open_way("recipient spdf", SftpWay(**server.way(seconds=0.5))) as opened:
        server.running.say(slow=1.2)
        with pytest.raises(WayError, match=r"no answer in time|only .* bytes in"):
            opened.put("slow/a.cdf", source(tmp_path, MEGABYTE[:100]))


def test_what_a_dead_process_left_is_removed_after_a_day(server: SftpServer) -> None:
    incoming = server.folder / ".incoming"
    incoming.mkdir(exist_ok=True)
    for name, hours in (("old.part", 25), ("young.part", 23), ("old.txt", 25)):
        (incoming / name).write_text("half")
        os.utime(incoming / name, (time.time() - hours * 3600,) * 2)
    with open_way("recipient spdf", SftpWay(**server.way())):
        assert {p.name for p in incoming.iterdir()} & {"old.part", "young.part", "old.txt"} == {"old.txt", "young.part"}


def test_a_link_at_the_recipient_is_no_file_of_ours(server: SftpServer, transport: Transport, tmp_path: Path) -> None:
    (server.folder / "linked").mkdir()
    (server.folder / "linked/a.cdf").symlink_to("/etc/hostname")
    with pytest.raises(WayError, match=r"linked/a\.cdf: File exists"):
        transport.put("linked/a.cdf", source(tmp_path))


def test_the_library_logs_nothing_of_it(server: SftpServer, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    with open_way("recipient spdf", SftpWay(**server.way())) as opened:
        opened.put("logged/a.cdf", source(tmp_path, b"x"))
    refusal(server, port=1)
    assert [record for record in caplog.records if record.name.startswith("paramiko")] == []


# ---- known hosts -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "line",
    [b"*.example.org @cert-authority x", b"@cert-authority *.x.org ssh-ed25519 AAAAC3Nza", b"caf\xe9 ssh-rsa AAAA",
     b"h ssh-ed25519 AAAAC3Nza", b"h ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQI=", b"h ssh-rsa", b"# remark"],
)  # fmt: skip
def test_a_line_about_another_host_may_hold_anything(server: SftpServer, tmp_path: Path, line: bytes) -> None:
    hosts = tmp_path / "known_hosts"
    hosts.write_bytes(line + b"\n")
    assert f"[127.0.0.1]:{server.running.port} is not in known_hosts" in refusal(server, known_hosts=str(hosts))
    hosts.write_bytes(line + f"\n[127.0.0.1]:{server.running.port} {server.host_key}\n".encode())
    with open_way("recipient spdf", SftpWay(**server.way(known_hosts=str(hosts)))) as opened:
        assert opened.size("nothing") is None


def test_a_key_that_was_revoked_is_not_trusted(server: SftpServer, tmp_path: Path) -> None:
    hosts = tmp_path / "known_hosts"
    hosts.write_text(f"[127.0.0.1]:{server.running.port} {server.host_key}\n@revoked * {server.host_key}\n")
    assert "or revoked there" in refusal(server, known_hosts=str(hosts))


def test_known_hosts_that_cannot_be_read_is_named(server: SftpServer, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert f"{gone} cannot be read (No such file or directory)" in refusal(server, known_hosts=str(gone))
    gone.write_text(f"# of spdf\n[127.0.0.1]:{server.running.port} ssh-rsa AAAA\n")
    assert "(line 2 holds no key)" in refusal(server, known_hosts=str(gone))


# ---- one path, or all of them ----------------------------------------------------------------------------------------
def test_what_is_refused_about_one_path_says_nothing_of_the_others(
    server: SftpServer, transport: Transport, tmp_path: Path
) -> None:
    transport.put("some/secret.cdf", source(tmp_path))
    (server.folder / "some/link.cdf").symlink_to("secret.cdf")
    server.running.say(denied="secret")
    for path in ("some/secret.cdf", "some/link.cdf"):
        for attempt in (transport.size, transport.sha256, lambda p: transport.put(p, source(tmp_path))):
            with pytest.raises(PathError, match=rf"recipient spdf: sftp://.*{path}: "):
                attempt(path)
    assert transport.put("some/other.cdf", source(tmp_path))


def test_a_recipient_that_takes_nothing_is_not_asked_path_by_path(
    server: SftpServer, transport: Transport, tmp_path: Path
) -> None:
    for fault in ({"full": True}, {"spoils": True}, {"drop_after": 200_000}):
        server.running.say(**fault)
        with pytest.raises(WayError) as found:
            transport.put("taken/a.cdf", source(tmp_path))
        assert not isinstance(found.value, PathError)


def test_a_listing_without_end_is_not_listened_to(server: SftpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp, "MOST_NAMES", 500)
    with open_way("recipient spdf", SftpWay(**server.way())) as opened:
        server.running.say(endless=True)
        with pytest.raises(PathError, match="receipts: holds more than 500 names"):
            opened.names("receipts")
        server.running.say()
        assert opened.names("receipts") == []


def test_a_call_that_takes_too_long_is_ended_although_bytes_come(
    server: SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp, "MOST_NAMES", 10**9)
    monkeypatch.setattr(sftp, "CALLS", 1)
    with open_way("recipient spdf", SftpWay(**server.way(seconds=0.5))) as opened:
        server.running.say(endless=True)
        begun = time.monotonic()
        with pytest.raises(WayError, match="no answer in time"):
            opened.names("receipts")
        assert time.monotonic() - begun < 5


def test_two_lakes_that_send_one_path_do_not_write_into_one_file(
    server: SftpServer, transport: Transport, tmp_path: Path
) -> None:
    with open_way("recipient spdf", SftpWay(**server.way())) as other:
        other.put("twice/a.cdf", source(tmp_path))
        transport.put("twice/a.cdf", source(tmp_path), replace=True)
    first, second = server.running.calls("write")[-2:]
    assert first != second
    assert first.rpartition("-")[0] == second.rpartition("-")[0]

# SPDX-License-Identifier: Apache-2.0
"""A real SFTP server for tests: asyncssh in a process of its own, with one folder as its whole world.

Faults: `slow` (seconds per block that is written), `drop_after` (bytes), `more` (bytes that it says it holds beyond
those that it does), `full` (writes fail), `spoils` (a bit of each block is flipped), `simple` (neither times and modes
nor posix-rename@openssh.com), `denied` (a word; paths that have it are refused), `endless` (listings do not end),
`offered` (names that each listing begins with), `many` (so many of them), `nested` (each folder has a folder without
end), `ages` (a file is another second old whenever its time is asked for), `cuts` (so many reads drop the connection).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from tests.servers import Book, Running, running

USER, PASSWORD = "swx", "pa55-that-no-log-may-show"


@dataclass
class SftpServer:
    """A server that runs, and how to reach it."""

    running: Running
    folder: Path
    host_key: str

    def way(self, **more: Any) -> dict[str, Any]:
        """Settings of a way to it, by password in $SWX_SFTP_PASSWORD."""
        pinned = {} if "known_hosts" in more else {"host_key": self.host_key}
        login = {} if "key_file" in more else {"password_env": "SWX_SFTP_PASSWORD"}
        return {
            "host": "127.0.0.1",
            "port": self.running.port,
            "user": USER,
            "seconds": 10.0,
            **pinned,
            **login,
            **more,
        }


def make_key(path: Path, passphrase: str | None = None) -> str:
    """Write a private key unless it is there; its public half as one line."""
    if not path.exists():
        kind = "ecdsa-sha2-nistp256" if passphrase else "ssh-ed25519"
        form = "pkcs1-pem" if passphrase else "openssh"  # the newer one takes a second to decrypt
        key = asyncssh.generate_private_key(kind)
        path.write_bytes(key.export_private_key(form, passphrase))
        path.chmod(0o600)
    public: str = asyncssh.read_private_key(path, passphrase).export_public_key().decode().strip()
    return public


@contextmanager
def sftp_server(folder: Path, state: Path, port: int = 0, logins: str = "") -> Iterator[SftpServer]:
    """A server over a folder; `state` keeps its key and log from one to the next, `logins` are public keys."""
    folder.mkdir(parents=True, exist_ok=True)
    state.mkdir(parents=True, exist_ok=True)
    key = make_key(state / "host_key")
    settings = {"folder": str(folder), "key": str(state / "host_key"), "port": port, "logins": logins}
    with running("sftp_server", state / "calls.jsonl", **settings) as process:
        yield SftpServer(process, folder, key)


class Login(asyncssh.SSHServer):  # type: ignore[misc]
    """One user with a password; keys are asyncssh's business."""

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


class Folder(asyncssh.SFTPServer):  # type: ignore[misc]
    """One folder; what is asked of it is written down."""

    book: Book
    folder: str

    def __init__(self, channel: Any) -> None:
        super().__init__(channel, chroot=self.folder)

    def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
        self.book.note("write" if pflags & asyncssh.FXF_WRITE else "read", path.decode())
        return super().open(path, pflags, attrs)

    def write(self, file: Any, offset: int, data: bytes) -> Any:
        if self.book.faults.get("full"):
            raise asyncssh.SFTPFailure("no space")
        if self.book.took(len(data)):
            self.channel.get_connection().abort()
        if self.book.faults.get("spoils"):
            data = bytes([data[0] ^ 1]) + data[1:]
        return super().write(file, offset, data)

    def read(self, file: Any, offset: int, size: int) -> Any:
        if offset and self.book.faults.get("cuts"):
            self.book.faults["cuts"] -= 1
            self.channel.get_connection().abort()
        return super().read(file, offset, size)

    def rename(self, old: bytes, new: bytes) -> Any:
        self.book.note("named", new.decode())
        return super().rename(old, new)

    def posix_rename(self, old: bytes, new: bytes) -> Any:
        self._is_not_simple()
        self.book.note("replaced", new.decode())
        return super().posix_rename(old, new)

    def setstat(self, path: bytes, attrs: Any) -> Any:
        self._is_not_simple()
        return super().setstat(path, attrs)

    def _is_not_simple(self) -> None:
        if self.book.faults.get("simple"):
            raise asyncssh.SFTPOpUnsupported("not here")

    def remove(self, path: bytes) -> Any:
        self.book.note("removed", path.decode())
        return super().remove(path)

    async def scandir(self, path: bytes) -> Any:
        self._is_allowed(path)
        number = 0
        while self.book.faults.get("endless"):
            number += 1
            yield asyncssh.SFTPName(b"%09d.json" % number, attrs=asyncssh.SFTPAttrs())
        made_up = [b"%07d.dat" % number for number in range(self.book.faults.get("many", 0))]
        for name in [*(name.encode() for name in self.book.faults.get("offered", ())), *made_up]:
            yield asyncssh.SFTPName(name, attrs=asyncssh.SFTPAttrs(permissions=0o100644, size=1, mtime=1))
        if self.book.faults.get("nested"):
            yield asyncssh.SFTPName(b"more", attrs=asyncssh.SFTPAttrs(permissions=0o40755))
        else:
            async for found in super().scandir(path):
                yield found

    def _is_allowed(self, path: bytes) -> None:
        if (word := self.book.faults.get("denied")) and word.encode() in path:
            raise asyncssh.SFTPPermissionDenied("not yours")

    def lstat(self, path: bytes) -> Any:
        self._is_allowed(path)
        attrs = asyncssh.SFTPAttrs.from_local(super().lstat(path))
        attrs.size += self.book.faults.get("more", 0)
        if self.book.faults.get("ages"):
            self.book.took(1)
            attrs.mtime += self.book.bytes
        return attrs


async def serve(settings: dict[str, Any]) -> None:
    Folder.book, Folder.folder = Book(settings["log"]), settings["folder"]
    logins = asyncssh.import_authorized_keys(settings["logins"]) if settings["logins"] else None
    server = await asyncssh.listen(
        "127.0.0.1", settings["port"], server_factory=Login, server_host_keys=[settings["key"]],
        authorized_client_keys=logins, sftp_factory=Folder, allow_scp=False,
    )  # fmt: skip
    Folder.book.listen(server.get_port())
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))

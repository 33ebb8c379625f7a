# SPDX-License-Identifier: Apache-2.0
"""Delivery behind SSH. The server must be the one whose key is pinned; files get their name by a rename when whole."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from exports.delivery.transport import PathError
from exports.delivery.transports.host_keys import host_key, known_keys, name_of
from exports.delivery.transports.names import (
    INCOMING,
    SLOWEST_BYTES_PER_SECOND,
    SMALL_BYTES,
    Patience,
    checked,
    hung_up_after,
    is_stale,
    new_sender,
    plain,
    sent_as,
)
from exports.delivery.ways import SftpWay, secret
from lake.errors import DeliveryError

CONNECT_SECONDS = 10.0
KEEPALIVE_SECONDS = 15  # firewalls between institutes forget a silent connection after some minutes
BLOCK = 32768  # what a server must take and give in one packet (draft-ietf-secsh-filexfer-02, section 3)
WINDOW = 128 * BLOCK  # asked for at once when reading back
CALLS = 10  # that one of ours may consist of: looks at folders, a rename, or pages of a listing
MOST_NAMES = 100_000  # in a folder that is listed; receipts of a century are fewer
FILE_MODE, FOLDER_MODE = 0o644, 0o755
KEY_KINDS: tuple[type[paramiko.PKey], ...] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
REFUSALS = (OSError, EOFError, UnicodeError, paramiko.SSHException, paramiko.SFTPError)


@contextmanager
def connected(recipient: str, way: SftpWay) -> Iterator[SftpTransport]:
    """The folder behind SSH; connected for the block. Raises DeliveryError."""
    # Each failure is told once and in words; what the library logs of it holds tracebacks, or names of users.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
    transport = SftpTransport(recipient, way)
    try:
        transport.begin()
        yield transport
    finally:
        transport.close()


class SftpTransport:
    """A folder of an SFTP server. A connection that is lost is made anew by the next call."""

    def __init__(self, recipient: str, way: SftpWay) -> None:
        self.recipient, self.way, self.sender = recipient, way, new_sender()
        self._ssh: paramiko.SSHClient | None = None
        self._sftp: paramiko.SFTPClient | None = None
        self._made: set[str] = set()  # folders that are known to be there

    # ---- the connection --------------------------------------------------------------------------------------------
    def begin(self) -> None:
        """Connect, and remove what processes that died have left in `.incoming`."""
        with self._told(""), self._limited():
            if not stat.S_ISDIR(self._client().stat(self.way.path).st_mode or 0):
                raise NotADirectoryError(errno.ENOTDIR, "")
            for entry in self._listed(INCOMING, self._at(INCOMING)):
                if is_stale(entry.filename, float(entry.st_mtime or 0)):
                    self._client().remove(self._at(f"{INCOMING}/{entry.filename}"))

    def close(self) -> None:
        """Hang up."""
        if self._ssh is not None:
            self._ssh.close()
        self._ssh = self._sftp = None

    def _client(self) -> paramiko.SFTPClient:
        """The connection; a new one if there is none that lives."""
        if self._sftp is None or not self._lives():
            self.close()
            self._ssh = self._connect()
            self._sftp = self._ssh.open_sftp()
            self._settle(self._ssh, self._sftp)
        return self._sftp

    def _lives(self) -> bool:
        """Whether there is a connection that neither side has closed."""
        link = self._ssh.get_transport() if self._ssh is not None else None
        channel = self._sftp.get_channel() if self._sftp is not None else None
        return link is not None and link.is_active() and channel is not None and not channel.closed

    def _hang_up(self) -> None:
        """Close the connection under a call that waits for it."""
        if self._ssh is not None:
            self._ssh.close()

    def _limited(self, size: int = 0) -> AbstractContextManager[None]:
        """A time limit for a call that transfers so many bytes."""
        return hung_up_after(CALLS * self.way.seconds + size / SLOWEST_BYTES_PER_SECOND, self._hang_up)

    def _settle(self, ssh: paramiko.SSHClient, sftp: paramiko.SFTPClient) -> None:
        """Time limits of the connection."""
        if (channel := sftp.get_channel()) is not None:
            channel.settimeout(self.way.seconds)
        if (link := ssh.get_transport()) is not None:
            link.set_keepalive(KEEPALIVE_SECONDS)

    def _connect(self) -> paramiko.SSHClient:
        way, seconds = self.way, min(CONNECT_SECONDS, self.way.seconds)
        key, password = self._key(), secret(self.recipient, way.password_env, way.password_file)
        ssh = paramiko.SSHClient()
        try:
            self._pin(ssh)
            ssh.connect(
                way.host, way.port, way.user, password=password, pkey=key, timeout=seconds, banner_timeout=seconds,
                auth_timeout=seconds, channel_timeout=seconds, allow_agent=False, look_for_keys=False,
            )  # fmt: skip
        except BaseException:
            ssh.close()
            raise
        return ssh

    def _pin(self, ssh: paramiko.SSHClient) -> None:
        """Trust the given key of the server, or those of known hosts, and nothing else."""
        ssh.set_missing_host_key_policy(paramiko.RejectPolicy())
        name = name_of(self.way.host, self.way.port)
        for key in self._trusted(name):
            ssh.get_host_keys().add(name, key.get_name(), key)

    def _trusted(self, name: str) -> list[paramiko.PKey]:
        """Keys of the server, of each kind the first; an error if there are none."""
        path = self.way.known_hosts
        try:
            if path is None:
                return [host_key(self.way.host_key or "")]
            found = known_keys(path, name)
        except OSError as error:
            raise self._refused("", f"{path} cannot be read ({error.strerror}). Correct known_hosts") from None
        except ValueError as error:
            raise self._refused("", f"host_key {error}") from None
        if not found.trusted:
            unread = f" (line {found.unread[0]} holds no key)" if found.unread else ""
            raise self._refused("", f"{name} is not in known_hosts, {path}{unread}, or revoked there. Pin its key")
        return list({key.get_name(): key for key in reversed(found.trusted)}.values())

    def _key(self) -> paramiko.PKey | None:
        """Our private key, if the settings name one."""
        path = self.way.key_file
        if path is None:
            return None
        passphrase = secret(self.recipient, self.way.passphrase_env, self.way.passphrase_file)
        wrong = "is no private key in OpenSSH's format, or has another passphrase. Correct key_file or the passphrase"
        for kind in KEY_KINDS:  # the library's own search does not take a passphrase
            try:
                return kind.from_private_key_file(str(path), passphrase)
            except OSError as error:
                wrong = f"cannot be read ({error.strerror}). Correct key_file"
            except paramiko.PasswordRequiredException:
                wrong = "is encrypted. Give passphrase_env or passphrase_file"
            except (paramiko.SSHException, ValueError):
                continue  # of another kind
        raise DeliveryError(f"recipient {self.recipient}: {path} {wrong}.")

    # ---- files -----------------------------------------------------------------------------------------------------
    def size(self, path: str) -> int | None:
        """Bytes of a file, as the server says."""
        with self._told(path), self._limited():
            return self._size(self._named(path))

    def sha256(self, path: str) -> str | None:
        """sha256 of a file's bytes, fetched."""
        with self._told(path):
            size = self.size(path)
            return None if size is None else self._hashed(path, self._named(path), size)

    def put(self, path: str, source: Path, replace: bool = False) -> bool:
        """Send to `.incoming`, read it back, rename. Its time is that of the source, as rsync compares it."""
        with self._told(path), self._limited(2 * source.stat().st_size):
            target, part = self._named(path), self._at(sent_as(path, self.sender))
            if not replace and self._size(target) is not None:
                raise self._refused(path, "is there already. Compare it, or remove it")
            with self._gone_on_failure(part):
                with self._told(path, DeliveryError):  # what is refused here would be so for each file
                    self._make(part)
                    self._send(path, source, part)
                self._make(target)
                if replace:
                    self._replace(part, target)
                else:  # refused by the server if the name was taken in the meantime
                    self._client().rename(part, target)
        return True

    def read(self, path: str) -> bytes | None:
        """All bytes of a small file."""
        with self._told(path):
            size = self.size(path)
            if size is None:
                return None
            if size > SMALL_BYTES:
                raise self._refused(path, "is too large to be read. Remove it there")
            with self._limited(size), closing(self._client().open(self._named(path), "rb")) as file:
                return b"".join(self._blocks(path, file, size))

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder; those that begin with a dot are no business of ours."""
        with self._told(folder), self._limited():
            found = self._listed(folder, self._named(folder) if folder else self.way.path)
            return plain(entry.filename for entry in found if stat.S_ISREG(entry.st_mode or 0))

    def remove(self, path: str) -> None:
        """Remove a file."""
        with self._told(path), self._limited():
            if self._size(self._named(path)) is not None:
                self._client().remove(self._named(path))

    # ---- parts of these --------------------------------------------------------------------------------------------
    def _named(self, path: str) -> str:
        return self._at(checked(self.recipient, path))

    def _at(self, path: str) -> str:
        return f"{self.way.path.rstrip('/')}/{path}"

    def _size(self, place: str) -> int | None:
        """Bytes of a file; None if there is none. A folder or a link of that name is refused."""
        try:
            found = self._client().lstat(place)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        if not stat.S_ISREG(found.st_mode or 0):
            raise FileExistsError(errno.EEXIST, "")
        return int(found.st_size or 0)

    def _listed(self, path: str, place: str) -> list[paramiko.SFTPAttributes]:
        """What is in a folder; nothing if there is none."""
        found: list[paramiko.SFTPAttributes] = []
        try:
            for entry in self._client().listdir_iter(place, read_aheads=1):
                found.append(entry)
                if len(found) > MOST_NAMES:
                    self.close()  # the rest of the listing is on its way
                    raise self._refused(path, f"holds more than {MOST_NAMES} names. Look there")
            return found
        except OSError as error:
            if error.errno == errno.ENOENT:
                return []
            raise

    def _make(self, place: str) -> None:
        """Make the folder of a file, and those above it."""
        folder = place.rpartition("/")[0]
        if folder in self._made or folder == self.way.path.rstrip("/"):
            return
        try:
            self._client().stat(folder)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            self._make(folder)
            self._client().mkdir(folder, FOLDER_MODE)
        self._made.add(folder)

    def _hashed(self, path: str, place: str, size: int) -> str:
        """sha256 of what is read from a place of the server, which is to have this size."""
        digest = hashlib.sha256()
        with self._limited(size), closing(self._client().open(place, "rb")) as file:
            for block in self._blocks(path, file, size):
                digest.update(block)
        return digest.hexdigest()

    def _send(self, path: str, source: Path, part: str) -> None:
        """Send a file under a name out of sight. Raises DeliveryError if other bytes are read back from there."""
        status, patience, done = source.stat(), Patience(self.recipient, path, self.way.seconds), 0
        digest = hashlib.sha256()
        with source.open("rb") as stream, closing(self._client().open(part, "wb")) as file:
            file.set_pipelined(True)
            while block := stream.read(BLOCK):
                file.write(block)
                digest.update(block)
                done += len(block)
                patience.after(done)
        held = self._size(part)
        if held != done:
            what = f"{done} bytes were sent, and {held} are there. Look at the recipient's disk"
            raise self._refused(path, what, DeliveryError)
        if self._hashed(path, part, done) != digest.hexdigest():
            raise self._refused(path, "came as other bytes. Look at the link and the recipient's disk", DeliveryError)
        with suppress(OSError):  # servers in front of object storage have neither; the file is whole nevertheless
            self._client().chmod(part, FILE_MODE)
            self._client().utime(part, (int(status.st_atime), int(status.st_mtime)))

    @contextmanager
    def _gone_on_failure(self, part: str) -> Iterator[None]:
        """Remove a part that gets no name, if the connection is still there."""
        try:
            yield
        except (DeliveryError, *REFUSALS):
            with suppress(*REFUSALS):
                if self._lives():
                    self._client().remove(part)
            raise

    def _replace(self, part: str, target: str) -> None:
        """Give a file a name that may be taken."""
        try:
            self._client().posix_rename(part, target)
        except OSError as error:
            if error.errno is not None:
                raise
            # A server without posix-rename@openssh.com: for a moment nothing has the name, never a part of the file.
            if self._size(target) is not None:
                self._client().remove(target)
            self._client().rename(part, target)

    def _blocks(self, path: str, file: paramiko.SFTPFile, size: int) -> Iterator[bytes]:
        """All bytes of a file, a window at a time. Raises DeliveryError unless there are `size`."""
        patience, done = Patience(self.recipient, path, self.way.seconds), 0
        while done < size:
            stop = min(done + WINDOW, size)
            wanted = [(at, min(BLOCK, stop - at)) for at in range(done, stop, BLOCK)]
            for (_, length), block in zip(wanted, file.readv(wanted), strict=True):
                if len(block) != length:
                    self.close()  # more answers may be on their way
                    raise self._refused(path, f"holds fewer bytes than the {size} that the server says. Look there")
                yield block
            done = stop
            patience.after(done)
        file.seek(size)
        if file.read(1):
            raise self._refused(path, f"holds more bytes than the {size} that the server says. Look there")

    # ---- in words --------------------------------------------------------------------------------------------------
    def _refused(self, path: str, what: str, kind: type[DeliveryError] = PathError) -> DeliveryError:
        """The refusal of a path, or of the whole folder if there is none."""
        place = f"{self.way.place}/{path}" if path else self.way.place
        return (kind if path else DeliveryError)(f"recipient {self.recipient}: {place}: {what}.")

    @contextmanager
    def _told(self, path: str, kind: type[DeliveryError] = PathError) -> Iterator[None]:
        """Turn what the library raises into an error that names recipient and file: of `kind` if the server answered.

        A call that ends without an answer is a DeliveryError, and the next one connects anew.
        """
        try:
            yield
        except REFUSALS as error:
            self._made.clear()  # a folder may have been removed there
            is_answer = isinstance(error, OSError) and not isinstance(error, TimeoutError) and self._lives()
            if not is_answer:
                self.close()  # what is left of the conversation is of no use
            raise self._refused(path, _words(error), kind if is_answer else DeliveryError) from None


def _words(error: BaseException) -> str:
    """What went wrong and what to do, without what the server wrote."""
    for kind, words in WORDS.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, UnicodeError):
        return "the server gives names that are not UTF-8. Rename those files there"
    if isinstance(error, OSError):
        return f"{_reason(error)}. Correct host, port and path, or repeat when the server is up"
    return "the connection broke off. Repeat when the server is up"


WORDS: dict[type[BaseException], str] = {
    paramiko.BadHostKeyException: (
        "the server shows another key than the pinned one. Ask its keeper whether it was changed, then pin it"
    ),
    paramiko.AuthenticationException: (
        "the server does not accept user and key or password. Correct them, or ask its keeper"
    ),
    TimeoutError: "no answer in time. Repeat when the server is up, or give it more `seconds`",
    PermissionError: "is refused. Ask the server's keeper for the right to write there",
}


def _reason(error: OSError) -> str:
    """The operating system's words; where a host has several addresses, those about the first one."""
    first: object = next(iter(error.errors.values())) if isinstance(error, NoValidConnectionsError) else error
    if isinstance(first, socket.gaierror):
        return str(first.strerror)
    number = first.errno if isinstance(first, OSError) else None
    return os.strerror(number) if number else "the server refuses, or hung up"

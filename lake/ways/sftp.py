# SPDX-License-Identifier: Apache-2.0
"""A folder behind SSH. The server must be the one whose key is pinned; files get their name by a rename when whole."""

from __future__ import annotations

import errno
import hashlib
import logging
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

import paramiko

from lake.errors import PathError, WayError
from lake.files import new_file, writing
from lake.ways.host_keys import host_key, known_keys, name_of
from lake.ways.names import (
    INCOMING,
    SLOWEST_BYTES_PER_SECOND,
    SMALL_BYTES,
    PassedOver,
    Patience,
    check_size,
    checked,
    hung_up_after,
    is_path,
    is_stale,
    new_sender,
    passed_over,
    plain,
    sent_as,
)
from lake.ways.settings import SftpWay, secret
from lake.ways.sftp_listing import pages
from lake.ways.sftp_words import words_of
from lake.ways.transport import Found

CONNECT_SECONDS = 10.0
KEEPALIVE_SECONDS = 15  # firewalls between institutes forget a silent connection after some minutes
BLOCK = 32768  # what a server must take and give in one packet (draft-ietf-secsh-filexfer-02, section 3)
WINDOW = 128 * BLOCK  # asked for at once when reading back
CALLS = 10  # that one of ours may consist of: looks at folders, a rename, or pages of a listing
MOST_NAMES = 100_000  # in a folder that we write to; receipts of a century are fewer
MOST_LISTED = 500_000  # in one folder of a source: ten instruments' files of each half hour of three years
NAME_BYTES = 100  # of an entry in an answer, at least: name, line for people, size, rights and times
ELSEWHERE = "has a slash in its name; look at the server"
MOST_FILES = 1_000_000  # and folders below a place that is walked through; more is a server that makes names up
MOST_DEPTH = 32  # of folders there; layouts have six or seven, and one without end is made up
FILE_MODE, FOLDER_MODE = 0o644, 0o755
KEY_KINDS: tuple[type[paramiko.PKey], ...] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
REFUSALS = (OSError, EOFError, UnicodeError, paramiko.SSHException, paramiko.SFTPError)


@contextmanager
def connected(who: str, way: SftpWay) -> Iterator[SftpTransport]:
    """The folder behind SSH; connected for the block. Raises WayError."""
    with unconnected(who, way, goes_on=False) as transport:
        transport.begin()
        yield transport


@contextmanager
def unconnected(who: str, way: SftpWay, goes_on: bool = True) -> Iterator[SftpTransport]:
    """The folder behind SSH, for the block; the first call connects."""
    # Each failure is told once and in words; what the library logs of it holds tracebacks, or names of users.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
    transport = SftpTransport(who, way, goes_on)
    try:
        yield transport
    finally:
        transport.close()


class SftpTransport:
    """A folder of an SFTP server. A connection that is lost is made anew by the next call."""

    def __init__(self, who: str, way: SftpWay, goes_on: bool = False) -> None:
        self.who, self.way, self.sender = who, way, new_sender()
        self.goes_on = goes_on  # past what a listing cannot look at
        self.refused = PassedOver()
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
                if is_path(entry.filename) and is_stale(entry.filename, float(entry.st_mtime or 0)):
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
        key, password = self._key(), secret(self.who, way.password_env, way.password_file)
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
        passphrase = secret(self.who, self.way.passphrase_env, self.way.passphrase_file)
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
        raise WayError(f"{self.who}: {path} {wrong}.")

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
                with self._told(path, WayError):  # what is refused here would be so for each file
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

    def fetch(self, path: str, target: Path, most: int | None = None) -> str:
        """Fetch a file that stands still. Raises PathError if it changed meanwhile; nothing is left then."""
        digest = hashlib.sha256()
        with self._told(path):
            before = self._status(self._named(path))
            if before is None:
                raise self._refused(path, "is not there")
            size = int(before.st_size or 0)
            check_size(self.who, f"{self.way.place}/{path}", size, most)
            opened = closing(self._client().open(self._named(path), "rb"))
            with self._limited(size), opened as file, new_file(target) as copy:
                for block in self._blocks(path, file, size):
                    digest.update(block)
                    with writing(target):
                        copy.write(block)
                after = self._status(self._named(path))
                if after is None or (after.st_size, after.st_mtime) != (before.st_size, before.st_mtime):
                    raise self._refused(path, "changed while it was read. Repeat when its writer has finished")
        return digest.hexdigest()

    def entries(self, folder: str = "") -> Iterator[Found]:
        """Files below a folder, a folder at a time; links are not followed. `refused` has what was passed over.

        Raises WayError if there is no such place at all, or more in it than anybody means to offer. A way that goes on
        passes over a folder in it that may not be listed, holds too much, or lies too deep.
        """
        self.refused.clear()
        with self._told(""), self._limited():  # a place that is gone must not look as if it were empty
            self._client().stat(self.way.path)
        folders, names = [folder], 0
        while folders:
            at = folders.pop()
            listed = self._offered(at, is_first=at == folder)
            names += len(listed)
            if names > MOST_FILES:
                raise self._refused("", f"holds more than {MOST_FILES} files and folders. Look there")
            below = [(f"{at}/{entry.filename}" if at else entry.filename, entry) for entry in listed]
            folders += [path for path, entry in reversed(below) if self._enters(path, entry)]
            yield from (_found(path, entry) for path, entry in below if self._takes(path, entry))

    def _offered(self, folder: str, is_first: bool) -> list[paramiko.SFTPAttributes]:
        """What is in a folder of a source, by name; nothing if it is passed over, unless it is the one asked for."""
        try:
            with self._told(folder):
                listed = self._listed(folder, self._named(folder) if folder else self.way.path, MOST_LISTED)
        except PathError as error:
            if is_first or not self.goes_on:
                raise
            what = str(error).removeprefix(f"{self.who}: {self.way.place}/{folder}: ").removesuffix(".")
            self.refused.note(folder, f"cannot be listed: {what}", is_folder=True)
            return []
        return sorted(listed, key=lambda entry: entry.filename)

    def _enters(self, path: str, entry: paramiko.SFTPAttributes) -> bool:
        """Whether something is a folder that is walked through; one that lies too deep is noted."""
        if not stat.S_ISDIR(entry.st_mode or 0) or "/" in entry.filename or not is_path(path):
            return False
        if is_deep := path.count("/") >= MOST_DEPTH:
            if not self.goes_on:
                raise self._refused(path, f"lies more than {MOST_DEPTH} folders deep. Look there")
            self.refused.note(path, f"lies more than {MOST_DEPTH} folders deep; look there", is_folder=True)
        return not is_deep

    def _takes(self, path: str, entry: paramiko.SFTPAttributes) -> bool:
        """Whether something is a file; what is neither that nor a folder is noted. A server may say anything."""
        if "/" in entry.filename or not is_path(path):
            self.refused.note(path, passed_over(path) or (ELSEWHERE if "/" in entry.filename else ""))
            return False
        if not stat.S_ISDIR(entry.st_mode or 0) and not stat.S_ISREG(entry.st_mode or 0):
            self.refused.note(path, "is no regular file; remove it")
        return stat.S_ISREG(entry.st_mode or 0)

    def found(self, path: str) -> Found | None:
        """A file as `entries` gives it."""
        with self._told(path), self._limited():
            status = self._status(self._named(path))
            return _found(path, status) if status is not None and is_path(path) else None

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
        return self._at(checked(self.who, path))

    def _at(self, path: str) -> str:
        return f"{self.way.path.rstrip('/')}/{path}"

    def _size(self, place: str) -> int | None:
        """Bytes of a file; None if there is none. A folder or a link of that name is refused."""
        found = self._status(place)
        return None if found is None else int(found.st_size or 0)

    def _status(self, place: str) -> paramiko.SFTPAttributes | None:
        """What the server says of a file; as `_size`."""
        try:
            found = self._client().lstat(place)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        if not stat.S_ISREG(found.st_mode or 0):
            raise FileExistsError(errno.EEXIST, "")
        return found

    def _listed(self, path: str, place: str, most: int | None = None) -> list[paramiko.SFTPAttributes]:
        """What is in a folder; nothing if there is none."""
        found: list[paramiko.SFTPAttributes] = []
        most = MOST_NAMES if most is None else most
        patience, listing = Patience(self.who, path, CALLS * self.way.seconds), pages(self._client(), place)
        try:
            while True:
                with self._limited():
                    page = next(listing, None)
                if page is None:
                    return found
                found += page
                if len(found) > most:
                    self.close()  # so that the server ends its listing, too
                    raise self._refused(path, f"holds more than {most} names. Look there")
                patience.after(NAME_BYTES * len(found))
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
        """Send a file under a name out of sight. Raises WayError if other bytes are read back from there."""
        status, patience, done = source.stat(), Patience(self.who, path, self.way.seconds), 0
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
            what = f"{done} bytes were sent, and {held} are there. Look at the disk there"
            raise self._refused(path, what, WayError)
        if self._hashed(path, part, done) != digest.hexdigest():
            raise self._refused(path, "came as other bytes. Look at the link and the disk there", WayError)
        with suppress(OSError):  # servers in front of object storage have neither; the file is whole nevertheless
            self._client().chmod(part, FILE_MODE)
            self._client().utime(part, (int(status.st_atime), int(status.st_mtime)))

    @contextmanager
    def _gone_on_failure(self, part: str) -> Iterator[None]:
        """Remove a part that gets no name, if the connection is still there."""
        try:
            yield
        except (WayError, *REFUSALS):
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
        """All bytes of a file, a window at a time. Raises WayError unless there are `size`."""
        patience, done = Patience(self.who, path, self.way.seconds), 0
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
    def _refused(self, path: str, what: str, kind: type[WayError] = PathError) -> WayError:
        """The refusal of a path, or of the whole folder if there is none."""
        place = f"{self.way.place}/{path}" if path else self.way.place
        return (kind if path else WayError)(f"{self.who}: {place}: {what}.")

    @contextmanager
    def _told(self, path: str, kind: type[WayError] = PathError) -> Iterator[None]:
        """Turn what the library raises into an error that names place and file: of `kind` if the server answered.

        A call that ends without an answer is a WayError, and the next one connects anew.
        """
        try:
            yield
        except REFUSALS as error:
            self._made.clear()  # a folder may have been removed there
            is_answer = isinstance(error, OSError) and not isinstance(error, TimeoutError) and self._lives()
            if not is_answer:
                self.close()  # what is left of the conversation is of no use
            raise self._refused(path, words_of(error), kind if is_answer else WayError) from None


def _found(path: str, entry: paramiko.SFTPAttributes) -> Found:
    return Found(path, int(entry.st_size or 0), float(entry.st_mtime or 0), f"{entry.st_mtime}")

# SPDX-License-Identifier: Apache-2.0
"""The ways to places of others as settings in TOML give them, and opening one.

A secret never stands in the settings: `*_env` names an environment variable that holds it, `*_file` a file. No message
repeats a value of a setting that could be one.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from lake.errors import WayError
from lake.ways.transport import Readable, Transport

LITERAL = "a secret never stands in this file. Put it into an environment variable or a file and name that"
SECRETS = {"password", "passphrase", "token", "secret", "access_key", "secret_key", "key", "authorization", "headers"}
SECONDS = 30.0  # without an answer; links between institutes stall for some seconds now and then, not for longer
BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9][A-Za-z0-9._=-]*)*/?")


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"is no name of an environment variable; {LITERAL} here")
    return name


def _local(path: Path) -> Path:
    if not path.parts or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", str(path)) or "\n" in str(path):
        raise ValueError("is no path of this machine; write one")
    return path


def _bucket(address: str) -> str:
    if not BUCKET.fullmatch(address):
        raise ValueError("is no s3://bucket/prefix of letters, digits and . _ = -; correct it")
    return address.rstrip("/")


def _web(url: str) -> str:
    """An address of a server: encrypted unless it is this machine, without a user, a query or a fragment."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is no https://host/path; correct it")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(f"holds more than host and path; {LITERAL}")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("is not encrypted; write https, http is for this machine alone")
    return url.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or number."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host(host: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", host):
        raise ValueError("is no name or number of a host; write that alone, user and port have keys of their own")
    return host


def _host_key(line: str) -> str:
    from lake.ways.host_keys import host_key  # noqa: PLC0415  loading paramiko takes half a second

    host_key(line)
    return line


def _remote(path: str) -> str:
    """A folder of an SFTP server; "." is where a login begins."""
    if "\0" in path or "\n" in path or ".." in path.split("/"):
        raise ValueError("is no folder of the server; write it without ..")
    return path.rstrip("/") or path[:1] or "."


Variable = Annotated[str, AfterValidator(_variable)]
LocalPath = Annotated[Path, AfterValidator(_local)]
Web = Annotated[str, AfterValidator(_web)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class Way(BaseModel):
    """What all ways have in common: nothing unknown, nothing changes, no secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_literal(cls, values: Any) -> Any:
        literal = sorted(SECRETS & set(values)) if isinstance(values, dict) else []
        if literal:
            raise ValueError(f"gives a literal {literal[0]}; {LITERAL} with {literal[0]}_env or {literal[0]}_file")
        return values

    @property
    def place(self) -> str:
        """Where it leads, for messages; it holds no secret."""
        raise AssertionError("each way has a place of its own")

    def placed(self, folder: Path) -> Way:
        """The same way with relative paths taken from `folder`, that of the settings."""
        paths = {name: value for name, value in self if isinstance(value, Path)}
        return self.model_copy(update={name: folder / path.expanduser() for name, path in paths.items()})


class FolderWay(Way):
    """A folder of this machine or of a mounted disk. It must be there: a disk that is not mounted is not written to."""

    path: LocalPath

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.path)


class S3Way(Way):
    """A bucket.

    address : s3://bucket/prefix.
    profile : credentials of the AWS configuration; without one the usual chain, as for a lake in S3.
    endpoint : of another service than that which the environment names.
    """

    address: Annotated[str, AfterValidator(_bucket)]
    profile: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@/+=:-]+$")] | None = None
    endpoint: Web | None = None
    seconds: Seconds = SECONDS

    @property
    def place(self) -> str:
        """The address."""
        return self.address


class SftpWay(Way):
    """A folder behind SSH.

    host_key, known_hosts : the server's public key, or a file with it; one of them, since an unknown server gets
        nothing.
    key_file : our private key, with passphrase_env or passphrase_file if it is encrypted; or password_env,
        password_file.
    """

    host: Annotated[str, AfterValidator(_host)]
    port: int = Field(default=22, gt=0, lt=65536)
    user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@-]+$")]
    path: Annotated[str, AfterValidator(_remote)] = "."
    host_key: Annotated[str, AfterValidator(_host_key)] | None = None
    known_hosts: LocalPath | None = None
    key_file: LocalPath | None = None
    passphrase_env: Variable | None = None
    passphrase_file: LocalPath | None = None
    password_env: Variable | None = None
    password_file: LocalPath | None = None
    seconds: Seconds = SECONDS

    @model_validator(mode="after")
    def _is_complete(self) -> SftpWay:
        _exactly_one(self, ("host_key", "known_hosts"))
        _exactly_one(self, ("key_file", "password_env", "password_file"))
        _at_most_one(self, ("passphrase_env", "passphrase_file"))
        if (self.passphrase_env or self.passphrase_file) and not self.key_file:
            raise ValueError("has a passphrase without a key; add key_file, or remove the passphrase")
        return self

    @property
    def place(self) -> str:
        """As a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        path = self.path if self.path.startswith("/") else f"/~/{self.path}".removesuffix("/.")
        return f"sftp://{host}:{self.port}{path}"


class HttpsWay(Way):
    """A server that takes PUT requests below `url`.

    token_env, token_file : bearer token. ca_file : certificates to trust instead of the usual ones.
    """

    url: Web
    token_env: Variable | None = None
    token_file: LocalPath | None = None
    ca_file: LocalPath | None = None
    seconds: Seconds = SECONDS

    @model_validator(mode="after")
    def _is_complete(self) -> HttpsWay:
        _at_most_one(self, ("token_env", "token_file"))
        return self

    @property
    def place(self) -> str:
        """The URL."""
        return self.url


AnyWay = FolderWay | S3Way | SftpWay | HttpsWay


def _given(way: Way, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if getattr(way, name) is not None]


def _exactly_one(way: Way, names: tuple[str, ...]) -> None:
    if len(given := _given(way, names)) != 1:
        raise ValueError(f"has {' and '.join(given) or 'none'} of {', '.join(names)}; give one of them")


def _at_most_one(way: Way, names: tuple[str, ...]) -> None:
    if len(given := _given(way, names)) > 1:
        raise ValueError(f"has {' and '.join(given)}; give one of them")


def secret(who: str, variable: str | None, path: Path | None) -> str | None:
    """The secret that is referred to; None if none is. Raises WayError that names the reference, not the value."""
    if variable is not None:
        found, reference = os.environ.get(variable, ""), f"the environment variable {variable}"
        wrong = "is not set"
    elif path is not None:
        found, wrong = _first_line(path)
        reference = str(path)
    else:
        return None
    if not found.strip() or not found.isprintable():
        wrong = wrong if not found.strip() else "holds characters that no secret has"
        raise WayError(f"{who}: {reference} {wrong}. Put the secret there.")
    return found.strip()


def _first_line(path: Path) -> tuple[str, str]:
    """The first line of a file without its end, and what is wrong if it is empty."""
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r"), "is empty"
    except OSError as error:
        return "", f"cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        return "", "is not UTF-8"


@contextmanager
def open_way(who: str, way: AnyWay) -> Iterator[Transport]:
    """The way, open for the block. Raises WayError, which begins with `who`, as in `recipient spdf`, if it is closed.

    What a way costs to import, only who takes it pays.
    """
    if isinstance(way, FolderWay):
        from lake.ways.folder import open_folder  # noqa: PLC0415

        yield open_folder(who, way)
    elif isinstance(way, S3Way):
        from lake.ways.bucket import open_place  # noqa: PLC0415

        yield open_place(who, way)
    elif isinstance(way, SftpWay):
        from lake.ways.sftp import connected  # noqa: PLC0415

        with connected(who, way) as transport:
            yield transport
    else:
        from lake.ways.https import session  # noqa: PLC0415

        with session(who, way) as transport:
            yield transport


@contextmanager
def open_to_read(who: str, way: FolderWay | S3Way | SftpWay) -> Iterator[Readable]:
    """A way that files are fetched by, for the block. Nothing is asked of it, written or removed there before a call.

    So a place that is down, or may only be read, is told of by the call that meets it. A listing goes on past a folder
    that cannot be listed, which is in `refused` then: whoever writes there would take what it holds for lost.
    """
    if isinstance(way, FolderWay):
        from lake.ways.folder import FolderTransport  # noqa: PLC0415

        yield FolderTransport(who, way.path, goes_on=True)
    elif isinstance(way, S3Way):
        from lake.ways.bucket import open_place  # noqa: PLC0415

        yield open_place(who, way)
    else:
        from lake.ways.sftp import unconnected  # noqa: PLC0415

        with unconnected(who, way) as transport:
            yield transport

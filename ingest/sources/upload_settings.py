# SPDX-License-Identifier: Apache-2.0
"""Who may upload telemetry, where the server listens, and how much of it is taken: `[upload]` of receive.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from lake.errors import ConfigurationError, WayError
from lake.serving import Listen
from lake.setting_files import Setting
from lake.ways.settings import LocalPath, Seconds, Variable, secret

MOST_BYTES = 1 << 43  # 8 TiB, beyond the file of any pass
TOKEN_FILE_BYTES = 65536  # more is no file of tokens
TOKEN_LENGTH = 16  # characters; shorter ones can be guessed over a network


class Sender(Setting):
    """Who uploads, known by a bearer token.

    token_env : an environment variable that holds it.
    token_file : a file with one token per line, all of which hold; it is read anew for each request, so that a token is
        replaced without a restart: add the new one, tell the sender, remove the old one.
    """

    token_env: Variable | None = None
    token_file: LocalPath | None = None

    @model_validator(mode="after")
    def _has_one(self) -> Sender:
        if (self.token_env is None) == (self.token_file is None):
            raise ValueError("needs either `token_env` or `token_file`; give one of them")
        return self

    def tokens(self, who: str) -> list[str]:
        """The tokens that hold now. Raises ConfigurationError that names the reference, never what it holds."""
        try:
            found = [secret(who, self.token_env, None) or ""] if self.token_file is None else _lines(self.token_file)
        except (WayError, OSError, UnicodeDecodeError) as error:
            reason = str(error) if isinstance(error, WayError) else f"{who}: {self.token_file} cannot be read."
            raise ConfigurationError(reason) from None
        reference = self.token_file or f"the environment variable {self.token_env}"
        if not found or any(len(token) < TOKEN_LENGTH or not token.isascii() for token in found):
            what = f"no tokens of {TOKEN_LENGTH} ASCII characters or more"
            raise ConfigurationError(f"{who}: {reference} holds {what}. Put them there, one per line.")
        return found


def _lines(path: Path) -> list[str]:
    with path.open("rb") as stream:
        text = stream.read(TOKEN_FILE_BYTES).decode()
    return [line.strip() for line in text.splitlines() if line.strip()]


class UploadSettings(Listen):
    """All of `[upload]`; without it no server is started. Where it listens is as in `Listen`.

    max_bytes : of one file.
    max_connections : at a time, those of senders who are not known, and handshakes of TLS, included.
    max_waiting_bytes : announced by all uploads that are under way; beyond it senders are told to come back.
    keep_free_bytes : of the disk that uploads are written to.
    header_seconds : for the handshake of TLS, and for the header of a request to be complete.
    seconds : for a body, beyond the time that its bytes take at 1000 bytes per second.
    request_seconds : for a whole request, however fast it comes.
    """

    senders: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")], Sender] = Field(min_length=1)
    max_bytes: int = Field(default=4 << 30, gt=0, le=MOST_BYTES)
    max_connections: int = Field(default=32, gt=0, le=1000)
    max_waiting_bytes: int = Field(default=16 << 30, gt=0, le=MOST_BYTES)
    keep_free_bytes: int = Field(default=1 << 30, ge=0, le=MOST_BYTES)
    header_seconds: Seconds = 10.0
    seconds: Seconds = 30.0
    request_seconds: Annotated[float, Field(gt=0, le=86400)] = 3600.0

    def placed(self, folder: Path) -> UploadSettings:
        """The same with relative paths taken from `folder`, that of the settings."""
        senders = {
            name: sender.model_copy(update={"token_file": folder / sender.token_file.expanduser()})
            if sender.token_file
            else sender
            for name, sender in self.senders.items()
        }
        paths = {name: folder / value.expanduser() for name, value in self if isinstance(value, Path)}
        return self.model_copy(update={**paths, "senders": senders})

# SPDX-License-Identifier: Apache-2.0
"""Settings: where the lake and the definitions are, and how to work. From options, SWXLAKE_* variables, defaults."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from lake.errors import ConfigurationError

CHECKOUT = Path(__file__).resolve().parent.parent


def _here(name: str) -> Path | None:
    """A settings file of this name in the working directory, where the command is run; None if there is none."""
    return Path(name).resolve() if Path(name).is_file() else None


class Settings(BaseSettings):
    """Settings of one process.

    root : the folder that holds all state, or `s3://bucket/prefix`.
    missions : the folder of definitions.
    settle_seconds : a file that changed less than this long ago is looked at twice before it is taken.
    workers : processes that decode and transform; 1 does all in this one.
    dask : address of a Dask scheduler whose workers do it instead.
    wait_seconds : how long to wait for another process that does the same kind of work.
    lease_seconds : a lease in object storage that stands still for this long is taken over.
    s3_timeout_seconds : how long one call to object storage may take.
    alerts : the file that says who is told of alerts; without one nobody is, and alerts are recorded alone.
    delivery : the file that says who gets which products; without one nothing leaves the lake.
    receive : the file that says where telemetry comes from; without one only the inbox is looked at.
    contacts : the file that says when passes are planned; without one no pass is accounted for.
    forward : the file that says who gets packets as they arrive; without one nobody does.
    backup : the file that says where copies of the lake are kept; without one there are none.
    site : whether the night also draws quick looks and writes the status site.
    health : a folder for the heartbeats and metrics of services; without one they write none.
    skteditor : the folder of SPDF's own checker (SKTEditor, Java), which then judges every product as well.
    """

    model_config = SettingsConfigDict(env_prefix="SWXLAKE_", frozen=True)

    root: Path | str = Path("lakehouse")
    missions: Path = CHECKOUT / "missions"
    settle_seconds: float = Field(default=1.0, ge=0, le=60)
    workers: int = Field(default=1, ge=1, le=1024)
    dask: str | None = None
    wait_seconds: float = Field(default=3600, ge=0)
    lease_seconds: float = Field(default=60, gt=0)
    s3_timeout_seconds: float = Field(default=60, gt=0)
    alerts: Path | None = Field(default_factory=lambda: _here("alerts.toml"))
    delivery: Path | None = Field(default_factory=lambda: _here("delivery.toml"))
    receive: Path | None = Field(default_factory=lambda: _here("receive.toml"))
    contacts: Path | None = Field(default_factory=lambda: _here("contacts.toml"))
    forward: Path | None = Field(default_factory=lambda: _here("forward.toml"))
    backup: Path | None = Field(default_factory=lambda: _here("backup.toml"))
    site: bool = True
    health: Path | None = None
    skteditor: Path | None = None

    @field_validator("skteditor")
    @classmethod
    def _is_a_folder(cls, path: Path | None) -> Path | None:
        if path is None:
            return None
        if not (place := path.expanduser().resolve()).is_dir():
            raise ValueError("is no folder; name the one that holds spdfjavaClasses.jar")
        return place

    @field_validator("alerts", "delivery", "receive", "contacts", "forward", "backup")
    @classmethod
    def _is_no_folder(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is None:
            return None
        if (place := path.expanduser().resolve()).is_dir():  # so is the place of an empty name
            raise ValueError(f"is empty or a folder; name a file such as {info.field_name}.toml")
        return place


def read_settings(root: str | None = None) -> Settings:
    """The settings of this process, `root` taking precedence. Raises ConfigurationError."""
    try:
        settings = Settings() if root is None else Settings(root=root)
    except ValidationError as error:
        first = error.errors()[0]
        name = "SWXLAKE_" + "_".join(str(part) for part in first["loc"]).upper()
        what = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{name}={first['input']!r}: {what}. Correct or unset it.") from None
    return settings.model_copy(update={"root": _place(str(root or settings.root))})


def _place(root: str) -> Path | str:
    """An absolute folder, or the address of a prefix in object storage."""
    if root.startswith("s3:"):
        return _bucket(root)
    if "://" in root or root.startswith("gs:"):
        raise ConfigurationError(f"lake {root!r}: give --root or SWXLAKE_ROOT a folder or s3://bucket/prefix.")
    if any(character in root for character in "*?[]%\n\0"):
        raise ConfigurationError(f"lake {root!r}: the path holds one of * ? [ ] %. Choose a folder without them.")
    return Path(root).expanduser().resolve()


def _bucket(root: str) -> str:
    address = root.rstrip("/")
    if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9][A-Za-z0-9._=-]*)*", address):
        raise ConfigurationError(
            f"lake {root!r}: is no s3://bucket/prefix of letters, digits and . _ = -. Correct --root or SWXLAKE_ROOT."
        )
    return address

# SPDX-License-Identifier: Apache-2.0
"""Where telemetry comes from: the nouns of `receive.toml`, and reading it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, Field, model_validator

from ingest.filing import FilingSettings
from ingest.sources.upload_settings import UploadSettings
from lake.config import Settings
from lake.errors import ConfigurationError
from lake.setting_files import OfLake, Setting, check_lake, placed_lake, read_setting_file
from lake.ways.settings import FolderWay, S3Way, SftpWay, Web

VARIABLE = f"{Settings.model_config['env_prefix']}RECEIVE"  # names the file
WAYS = ("folder", "s3", "sftp")
Complete = Literal["stable", "marker", "rename", "whole"]
SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]


def _suffix(text: str) -> str:
    """A suffix that makes another name of a name."""
    if not re.fullmatch(r"[._-][A-Za-z0-9._-]{1,31}", text):
        raise ValueError("is no suffix such as .done; begin it with a dot, - or _")
    return text


class BucketWay(S3Way):
    """A bucket to be followed. `queue` is the URL of an SQS queue that its events come to; without one it is listed."""

    queue: Web | None = None


class SourceSettings(Setting):
    """One source; exactly one of `folder`, `s3`, `sftp` says where.

    subfolders : of a folder, too; the other ways are always searched below their prefix.
    complete : how a whole file is told from one that is being written. "stable": it is `settle_seconds` old and the
        same at two looks so far apart; "marker": a file of its name and `marker` is there; "rename": it gets a name
        that the grammar takes when it is whole; "whole": the place shows whole files only, as object storage does.
    every_seconds : how often all of it is listed; news of changes come sooner where there are any.
    manifests : manifests are read, and what they name is compared with what came.
    first, last (`from`, `to`) : days of the names of files, both included; others are passed over.
    max_bytes : a larger file is refused. max_waiting, max_waiting_bytes : fetched at a time and not yet archived.
    """

    folder: FolderWay | None = None
    s3: BucketWay | None = None
    sftp: SftpWay | None = None
    subfolders: bool = False
    complete: Complete | None = None
    settle_seconds: float = Field(default=5.0, ge=0, le=3600)
    marker: Annotated[str, AfterValidator(_suffix)] = ".done"
    every_seconds: float = Field(default=30.0, gt=0, le=86400)
    manifests: bool = True
    first: date | None = Field(default=None, alias="from")
    last: date | None = Field(default=None, alias="to")
    max_bytes: int = Field(default=16 << 30, gt=0)
    max_waiting: int = Field(default=1000, gt=0, le=100_000)
    max_waiting_bytes: int = Field(default=16 << 30, gt=0)

    @model_validator(mode="after")
    def _is_consistent(self) -> SourceSettings:
        given = [name for name in WAYS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"has {' and '.join(given) or 'no way'}; give one of {', '.join(WAYS)}")
        if self.subfolders and not self.folder:
            raise ValueError(f"has `subfolders` behind {given[0]}, which is searched as a whole; remove the key")
        if self.first and self.last and self.first > self.last:
            raise ValueError("has its `from` after its `to`; swap them or correct one")
        if self.complete == "whole" and not self.s3:
            raise ValueError(f"says that {given[0]} shows whole files only, which no one can know; write another rule")
        return self

    @property
    def way(self) -> FolderWay | BucketWay | SftpWay:
        """Where it is."""
        ways = (getattr(self, name) for name in WAYS)
        return cast("FolderWay | BucketWay | SftpWay", next(way for way in ways if way is not None))

    @property
    def rule(self) -> Complete:
        """How a whole file is told; by itself an object is whole, and a file when it stands still."""
        return self.complete or ("whole" if self.s3 else "stable")

    def placed(self, folder: Path) -> SourceSettings:
        """The same with relative paths of its way taken from `folder`."""
        name = next(name for name in WAYS if getattr(self, name) is not None)
        return self.model_copy(update={name: self.way.placed(folder)})


class ReceiveSettings(OfLake):
    """All of `receive.toml`; without one only the inbox of a night is looked at.

    lake : the one that the settings are of, a folder or s3://bucket/prefix. Into no other one is anything received.
    """

    sources: dict[SourceName, SourceSettings] = Field(default_factory=dict)
    upload: UploadSettings | None = None
    filing: FilingSettings | None = None


def read_receive_settings(path: Path) -> ReceiveSettings:
    """The settings in a TOML file, paths in it taken from its folder.

    Raises ConfigurationError: file, key, what is wrong, what to do.
    """
    settings = read_setting_file(path, ReceiveSettings, VARIABLE)
    folder = path.parent
    placed = {
        "sources": {name: source.placed(folder) for name, source in settings.sources.items()},
        "upload": settings.upload and settings.upload.placed(folder),
        "filing": settings.filing and settings.filing.placed(folder),
        "lake": placed_lake(settings, folder),
    }
    return settings.model_copy(update=placed)


def check_receive_settings(settings: ReceiveSettings, root: Path | str, place: Path | str) -> None:
    """Raises ConfigurationError if the settings are of another lake, or a source is a folder within the lake, or one in
    which the lake lies and would be searched.
    """
    check_lake(settings, root, place)
    for name, source in settings.sources.items():
        if source.folder is None or not isinstance(root, Path):
            continue
        if _within(source.folder.path, root):
            raise ConfigurationError(f"{place} (sources.{name}.folder): lies within the lake. Choose another folder.")
        if source.subfolders and _within(root, source.folder.path):
            raise ConfigurationError(
                f"{place} (sources.{name}.folder): the lake lies below it. Choose another one, or remove `subfolders`."
            )


def _within(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())

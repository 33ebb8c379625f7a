# SPDX-License-Identifier: Apache-2.0
"""What is mirrored from where to where, as `mirror.toml` says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, Field, model_validator

from lake.setting_files import Setting, read_setting_file
from lake.ways.names import is_path
from lake.ways.settings import FolderWay, LocalPath, S3Way, SftpWay, Web

VARIABLE = "--settings"  # what names the file, in messages
RECEIPTS = "receipts"
SWEEP_SECONDS = 300.0  # from one listing to the next; events come in between
NAME = re.compile(r"(?P<dataset>.+?)_\d{8}(T\d{6})?_v\d+\.\d+\.\d+\.[a-z]+")  # ISTP: dataset, date, version

ReadWay = FolderWay | S3Way | SftpWay


def _below(folder: str) -> str:
    if folder and (not is_path(folder) or folder.split("/", maxsplit=1)[0] == RECEIPTS):
        raise ValueError("is no folder below the mirror's, or its receipts; write one such as meddea/l1")
    return folder


def _not_empty(patterns: tuple[str, ...]) -> tuple[str, ...]:
    if not patterns:
        raise ValueError("is empty; name what is meant, or remove the key, which means all that there is")
    return patterns


Patterns = Annotated[tuple[str, ...], AfterValidator(_not_empty)]


class Source(Setting):
    """Where files come from: exactly one of `folder`, `s3`, `sftp`.

    queue : the URL of a queue of SQS that gets the events of the bucket; each mirror needs one of its own.
    """

    folder: FolderWay | None = None
    s3: S3Way | None = None
    sftp: SftpWay | None = None
    queue: Web | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Source:
        given = [name for name in ("folder", "s3", "sftp") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"has {' and '.join(given) or 'none'} of folder, s3, sftp; give one of them")
        if self.queue is not None and self.s3 is None:
            raise ValueError("has a queue without s3; remove `queue`, or give s3")
        return self

    @property
    def way(self) -> ReadWay:
        """The one that is given."""
        return cast("ReadWay", self.folder or self.s3 or self.sftp)

    def placed(self, folder: Path) -> Source:
        """The same with relative paths of its way taken from `folder`."""
        ways = {"folder": self.folder, "s3": self.s3, "sftp": self.sftp}
        return self.model_copy(update={name: way.placed(folder) for name, way in ways.items() if way is not None})


class Take(Setting):
    """Files that are taken, and where to; what is left out fits all.

    paths : patterns with * and ? of the whole path there; * goes through folders, too.
    products : such patterns of a product or its dataset, as the delivery's manifest or else the file's name says.
    into : a folder below the mirror's. flat : without the folders that the file has there.
    """

    paths: Patterns = ("*",)
    products: Patterns | None = None
    into: Annotated[str, AfterValidator(_below)] = ""
    flat: bool = False

    def fits(self, path: str, products: Iterable[str]) -> bool:
        """Whether a file of these names of products is meant."""
        if not any(fnmatchcase(path, pattern) for pattern in self.paths):
            return False
        return self.products is None or any(fnmatchcase(name, one) for name in products for one in self.products)

    def target(self, path: str) -> str:
        """Where the file is put, below the mirror's folder."""
        kept = path.rpartition("/")[2] if self.flat else path
        return f"{self.into}/{kept}" if self.into else kept


class MirrorSettings(Setting):
    """All of `mirror.toml`.

    folder : the mirror; it must be there, so that a disk that is not mounted is not written to.
    every_seconds : from one listing of the source to the next. transfers : files that are fetched at once.
    keep_free_bytes : of the disk, that are left to others.
    receipts : "there" also puts them into `receipts/` of the source, where our center reads them.
    take : of several that fit a file the first one counts; without any all files are taken.
    """

    folder: LocalPath
    source: Source
    every_seconds: float = Field(default=SWEEP_SECONDS, ge=1, le=86400)
    transfers: int = Field(default=4, ge=1, le=32)
    keep_free_bytes: int = Field(default=256 << 20, ge=0)
    receipts: Literal["there", "here"] = "there"
    take: tuple[Take, ...] = (Take(),)

    def target(self, path: str, products: Iterable[str]) -> str | None:
        """Where a file of the source is put; None if it is not taken. Receipts are our own answers."""
        if path.split("/", maxsplit=1)[0] == RECEIPTS:
            return None
        names = [*products, *dataset_of(path)]
        return next((take.target(path) for take in self.take if take.fits(path, names)), None)


def dataset_of(path: str) -> list[str]:
    """The dataset that the name of a product's file begins with; empty if it is no such name."""
    found = NAME.fullmatch(path.rpartition("/")[2])
    return [found["dataset"]] if found else []


def read_mirror_settings(path: Path) -> MirrorSettings:
    """The settings in a TOML file, paths in it taken from its folder. Raises ConfigurationError."""
    found = read_setting_file(path, MirrorSettings, VARIABLE)
    folder = path.resolve().parent
    here = {"folder": folder / found.folder.expanduser(), "source": found.source.placed(folder)}
    return found.model_copy(update=here)

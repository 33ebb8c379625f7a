# SPDX-License-Identifier: Apache-2.0
"""Where copies of the lake are kept: the nouns of `backup.toml`, and reading it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, Field, model_validator

from lake.errors import ConfigurationError
from lake.setting_files import OfLake, Setting, absolute, near, placed_lake, read_setting_file
from lake.ways.settings import FolderWay, LocalPath, S3Way, SftpWay, Variable

WAYS = ("folder", "s3", "sftp")
MOST_DAYS = 36525  # a century; more is a slip of the pen
PUBLIC_KEY = re.compile(r"age1[02-9ac-hj-np-z]{58}")  # bech32 of 32 bytes, https://age-encryption.org/v1

StorageClass = Literal[
    "STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"
]
COLD = ("GLACIER", "DEEP_ARCHIVE")  # cannot be read before it was asked for, hours earlier


class StorageClasses(Setting):
    """The storage class of S3 in which each kind is kept; the bucket's own without one. Exports are CDF and FITS."""

    raw: StorageClass | None = None
    tables: StorageClass | None = None
    exports: StorageClass | None = None


def _public_key(key: str) -> str:
    if not PUBLIC_KEY.fullmatch(key):
        raise ValueError("is no public key of age, age1 and 58 letters and digits; the private one never stands here")
    return key


class Place(Setting):
    """Where copies are kept; exactly one of `folder`, `s3`, `sftp` says where.

    encrypt_to : public keys of age; whoever has the private half of one of them can read the copy. None: in the clear.
    identity_file, identity_env : that private half, for `restore` and `verify --deep` alone.
    object_lock_days : how long nobody can delete or overwrite what was sent, in a bucket made with object lock.
    read_back : each object is read back from a bucket after it was sent; without, S3's own checksum has to do.
    verify_share, verify_every_days : how much of the copy a run reads back in addition, and how often.
    max_age_hours : how old the newest snapshot may be before the doctor speaks of it.
    """

    folder: FolderWay | None = None
    s3: S3Way | None = None
    sftp: SftpWay | None = None
    encrypt_to: tuple[Annotated[str, AfterValidator(_public_key)], ...] = ()
    identity_file: LocalPath | None = None
    identity_env: Variable | None = None
    storage_class: StorageClasses = StorageClasses()
    object_lock_days: int | None = Field(default=None, gt=0, le=MOST_DAYS)
    object_lock_mode: Literal["governance", "compliance"] = "governance"
    read_back: bool = True
    verify_share: float = Field(default=0.1, gt=0, le=1)
    verify_every_days: float = Field(default=7, gt=0, le=MOST_DAYS)
    max_age_hours: float = Field(default=36, gt=0)

    @model_validator(mode="after")
    def _is_consistent(self) -> Place:
        given = [name for name in WAYS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"has {' and '.join(given) or 'no way'}; give one of {', '.join(WAYS)}")
        if self.identity_file is not None and self.identity_env is not None:
            raise ValueError("has identity_file and identity_env; give one of them")
        for_s3 = self.object_lock_days is not None or any(value for _, value in self.storage_class)
        if for_s3 and self.s3 is None:
            raise ValueError(f"has a storage class or an object lock behind {given[0]}; only S3 has them, remove it")
        return self

    @property
    def way(self) -> FolderWay | S3Way | SftpWay:
        """Where it is."""
        return cast("FolderWay | S3Way | SftpWay", next(w for name in WAYS if (w := getattr(self, name)) is not None))

    def class_of(self, kind: str) -> str | None:
        """The storage class of a kind of content."""
        return {
            "raw": self.storage_class.raw,
            "tables": self.storage_class.tables,
            "exports": self.storage_class.exports,
            "fits": self.storage_class.exports,
        }.get(kind)

    def opened_by(self, identity_file: Path | None) -> Place:
        """The same with another private key, if one is given."""
        if identity_file is None:
            return self
        return self.model_copy(update={"identity_file": identity_file, "identity_env": None})

    def placed(self, folder: Path) -> Place:
        """The same with relative paths taken from `folder`."""
        name = next(name for name in WAYS if getattr(self, name) is not None)
        update = {name: self.way.placed(folder)}
        if self.identity_file is not None:
            update["identity_file"] = folder / self.identity_file.expanduser()  # type: ignore[assignment]
        return self.model_copy(update=update)


class BackupSettings(OfLake):
    """All of `backup.toml`; without one there are no copies.

    lake : the one that is copied, a folder or s3://bucket/prefix. No other one is, such as a demonstration.
    """

    places: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")], Place] = Field(default_factory=dict)

    def chosen(self, name: str | None, path: Path) -> dict[str, Place]:
        """The place of a name, or all. Raises ConfigurationError if there is none; `path` is the file."""
        if not self.places:
            raise ConfigurationError(f"{path}: has no place. Add [places.NAME].")
        if name is None:
            return self.places
        if name not in self.places:
            raise ConfigurationError(f"{path}: there is no place {name!r}{near(name, self.places)}")
        return {name: self.places[name]}


def read_backup_settings(path: Path) -> BackupSettings:
    """The settings in a TOML file, paths in it taken from its folder.

    Raises ConfigurationError: file, key, what is wrong, what to do.
    """
    settings = read_setting_file(path, BackupSettings, "SWXLAKE_BACKUP")
    placed = {name: place.placed(path.parent) for name, place in settings.places.items()}
    lake = placed_lake(settings, path.parent)
    for name, place in placed.items():
        if _is_below(place.way.place, lake) or _is_below(lake, place.way.place):
            raise ConfigurationError(
                f"{path} (places.{name}): is in the lake, or the lake in it. Choose another place."
            )
    return settings.model_copy(update={"places": placed, "lake": lake})


def _is_below(one: str, other: str) -> bool:
    """Whether one place is the other or below it."""
    return f"{absolute(one)}/".startswith(f"{absolute(other)}/")

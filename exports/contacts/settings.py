# SPDX-License-Identifier: Apache-2.0
"""When passes are planned, and what their operations center is told: the nouns of `contacts.toml`, and reading it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, cast

from pydantic import AfterValidator, Field, model_validator

from lake.definitions import Definitions
from lake.errors import ConfigurationError
from lake.setting_files import OfLake, Setting, near, placed_lake, read_setting_file
from lake.ways.settings import AnyWay, FolderWay, HttpsWay, S3Way, SftpWay

PLACE = "the settings of contacts"  # as long as nobody says which file they come from
WHO = "operations center"  # what messages about the way to it begin with
WAYS = ("folder", "s3", "sftp", "https")
WEEK_MINUTES = 7 * 24 * 60
YEAR_HOURS = 366 * 24
YEAR_DAYS = 366
TREE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


def _folder(path: str) -> str:
    if not TREE.fullmatch(path):
        raise ValueError("is no folder there; write letters, digits and . _ - between slashes, such as to/soc/receipts")
    return path


Folder = Annotated[str, AfterValidator(_folder)]


class MissionContacts(Setting):
    """What is expected of the passes of a mission where its plan does not say.

    due_minutes : from the end of a contact until its files are to be here.
    early_minutes : so long before a contact begins its files may be here, as where clocks differ.
    late_hours : so long after they were due files without an announced name still count as those of the pass.
    tolerance_percent : of the packets of a pass may be missing, and it is complete.
    """

    due_minutes: float = Field(default=60.0, ge=0, le=WEEK_MINUTES)
    early_minutes: float = Field(default=0.0, ge=0, le=WEEK_MINUTES)
    late_hours: float = Field(default=24.0, ge=0, le=YEAR_HOURS)
    tolerance_percent: float = Field(default=0.0, ge=0, lt=100)


class Answers(Setting):
    """Where receipts and requests go: exactly one of `folder`, `s3`, `sftp`, `https`, and two folders there.

    since : files that arrived before this day have no receipt.
    """

    folder: FolderWay | None = None
    s3: S3Way | None = None
    sftp: SftpWay | None = None
    https: HttpsWay | None = None
    receipts: Folder = "receipts"
    requests: Folder = "requests"
    since: date | None = None

    @model_validator(mode="after")
    def _is_one_way(self) -> Answers:
        given = [name for name in WAYS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"has {' and '.join(given) or 'no way'}; give one of {', '.join(WAYS)}")
        if self.receipts == self.requests:
            raise ValueError("has one folder for receipts and requests; give each its own")
        return self

    @property
    def way(self) -> AnyWay:
        """Where it is."""
        return cast("AnyWay", next(way for name in WAYS if (way := getattr(self, name)) is not None))

    def placed(self, folder: Path) -> Answers:
        """The same with relative paths of its way taken from `folder`."""
        name = next(name for name in WAYS if getattr(self, name) is not None)
        return self.model_copy(update={name: self.way.placed(folder)})


class Requests(Setting):
    """How missing packets are asked for.

    automatic : every night; else by `swxlake contacts request` alone.
    ask_again_hours : a gap is not asked for again before so long.
    wait_hours : a gap is asked for when it ended so long ago, for files may come in another order than packets.
    last_days : only gaps that end within so many days; what is older has been overwritten on board.
    """

    automatic: bool = False
    ask_again_hours: float = Field(default=24.0, gt=0, le=YEAR_HOURS)
    wait_hours: float = Field(default=0.0, ge=0, le=YEAR_HOURS)
    last_days: int = Field(default=14, gt=0, le=YEAR_DAYS)


def _plan(path: str) -> str:
    if not path.isprintable() or not Path(path).name or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", path):
        raise ValueError("is no path of this machine; write one, with * and ? in the name of the file if you like")
    return path


class ContactSettings(OfLake):
    """All of `contacts.toml`; without one no pass is accounted for.

    lake : the one that the settings are of, a folder or s3://bucket/prefix.
    plan : files with planned passes; the name of the file may have * and ?. Without it, `swxlake contacts plan` alone
        brings plans.
    last_days : passes that began longer ago stay as they are.
    """

    plan: Annotated[str, AfterValidator(_plan)] | None = None
    last_days: int = Field(default=30, gt=0, le=100 * YEAR_DAYS)
    missions: dict[str, MissionContacts] = Field(default_factory=dict)
    answers: Answers | None = None
    requests: Requests = Requests()

    def of(self, mission: str) -> MissionContacts:
        """What is expected of the passes of a mission."""
        return self.missions.get(mission, MissionContacts())


def read_contact_settings(path: Path) -> ContactSettings:
    """The settings in a TOML file, paths in it taken from its folder.

    Raises ConfigurationError: file, key, what is wrong, what to do.
    """
    settings = read_setting_file(path, ContactSettings, "SWXLAKE_CONTACTS")
    lake = placed_lake(settings, path.parent)
    plan = settings.plan and str(path.parent / Path(settings.plan).expanduser())
    answers = settings.answers and settings.answers.placed(path.parent)
    return settings.model_copy(update={"lake": lake, "plan": plan, "answers": answers})


def check_contact_settings(settings: ContactSettings, definitions: Definitions, place: Path | str = PLACE) -> None:
    """Raises ConfigurationError for a mission that is not defined; `place` is the file."""
    known = {mission.name for mission in definitions.missions}
    for name in settings.missions:
        if name not in known:
            raise ConfigurationError(f"{place} (missions.{name}): there is no such mission{near(name, known)}")

# SPDX-License-Identifier: Apache-2.0
"""A rehearsal of passes: a plan of one day, and files that come as planned, late, cut, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingest.intake import take_in
from lake.config import Settings
from lake.store import Lake
from tests.meddea import DEFINITIONS, drop, housekeeping, met

HEADER = "pass_id,mission,station,start,end,due,files,names,packets,instruments\n"
EVENING = datetime(2024, 9, 16, 23, 30, tzinfo=UTC)
# What the plan announces for each pass of ten minutes, and when which of its packets came.
REHEARSED = {
    "good": "complete", "late-file": "late", "lost-file": "incomplete", "half": "incomplete", "silent": "missing",
    "tomorrow": "planned",
}  # fmt: skip


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2024, 9, 16, hour, minute, tzinfo=UTC)


def name(hour: int, second: int = 0) -> str:
    """A file of housekeeping of that hour."""
    return f"padreMDU8_240916{hour:02}00{second:02}.dat"


def planned(pass_id: str, hour: int, rest: str, day: int = 16) -> str:
    """A line of a plan: a pass of ten minutes, due after an hour."""
    time = f"2024-09-{day}T{hour:02}"
    return f"{pass_id},padre,Station A,{time}:00:00Z,{time}:10:00Z,{time}:59:00Z,{rest}\n"


PLAN = HEADER + "".join([
    planned("good", 6, f"2,{name(6)};{name(6, 1)},12,meddea"),
    planned("late-file", 8, f"2,{name(8)};{name(8, 1)},,"),
    planned("lost-file", 10, f"2,{name(10)};{name(10, 1)},,"),
    planned("half", 12, f"1,{name(12)},12,"),
    planned("silent", 14, f",{name(14)},,"),
    planned("tomorrow", 6, "2,,,", 17),
])  # fmt: skip


def packets(hour: int, first: int, number: int) -> list[bytes]:
    """Housekeeping packets of an hour, one each 5 s, with counts from `first` on."""
    start = met(2024, 9, 16, hour)
    return [housekeeping(count, start + 5 * (count - first), 20_000) for count in range(first, first + number)]


def come(lake: Lake, folder: Path, file: str, when: datetime, content: list[bytes]) -> None:
    """A file arrives at a time, and is decoded."""
    path = drop(folder, file, *content)
    take_in(lake, [path], f"{when:%Y%m%dT%H%M%S.%f}Z-000000", when, 0)


def rehearse(folder: Path) -> Lake:
    """A lake in folder/lake that took in the files of the rehearsal; counts go on from file to file."""
    lake, inbox = Lake(folder / "lake", DEFINITIONS), folder / "inbox"
    come(lake, inbox, name(6), at(6, 20), packets(6, 0, 6))
    come(
        lake, inbox, name(6, 1), at(6, 21), [housekeeping(n, met(2024, 9, 16, 6) + 5 * n, 20_000) for n in range(6, 12)]
    )
    come(lake, inbox, name(8), at(8, 20), packets(8, 12, 6))
    come(
        lake,
        inbox,
        name(8, 1),
        at(11, 30),
        [housekeeping(n, met(2024, 9, 16, 8) + 5 * n, 20_000) for n in range(18, 24)],
    )
    come(lake, inbox, name(10), at(10, 20), packets(10, 24, 6))
    come(lake, inbox, name(12), at(12, 20), packets(12, 30, 6)[:3] + packets(12, 30, 12)[9:])
    return lake


def write_settings(folder: Path, more: str = "") -> Settings:
    """contacts.toml of the lake in folder/lake, with a plan beside it and a folder for answers."""
    (folder / "moc").mkdir(exist_ok=True)
    (folder / "plan.csv").write_text(PLAN)
    text = f'lake = "lake"\nplan = "plan*.csv"\n[answers]\nfolder = {{path = "moc"}}\n{more}'
    (folder / "contacts.toml").write_text(text)
    return Settings(root=folder / "lake", contacts=folder / "contacts.toml")


TOMORROW = EVENING + timedelta(days=1)

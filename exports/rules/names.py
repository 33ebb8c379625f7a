# SPDX-License-Identifier: Apache-2.0
"""Rules about the name of a file and the attributes that it is made of: G07, G08, G09, G16 and G20."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from exports.cdf.reader import CdfReader
from exports.rules.attributes import epochs, first_text, short
from exports.rules.nouns import Findings, error, warning
from lake.clock import day_number, unix_ns_from_tt2000

STEM = re.compile(
    r"(?P<source>.+)_(?P<date>\d{8})(?P<time>[tT]?\d{4,6})?(?:-(?P<end>\d{8}(?:[tT]?\d{4,6})?))?_v(?P<version>[\d.]+)"
)
CONVENTION = re.compile(
    r"source_(?P<parts>descriptor_datatype|datatype_descriptor)_yyyyMMdd(?P<time>t?HHmm(ss)?)?(-yyyyMMdd(t?HHmm(ss)?)?)?"
)
VERSION = re.compile(r"\d+(\.\d+)*")
NO_DATE = "00000000"  # in the name of a master
DERIVED = "It is derived: export the day again, or correct Source_name, Descriptor and Data_type"


@dataclass(frozen=True)
class Name:
    """The parts of a file's name; `time` is digits without the t before them, `mark` that t."""

    source: str
    date: str
    time: str
    mark: str
    version: str


def name_of(text: str) -> Name | None:
    """The parts of a Logical_file_id; None if it is not made of them."""
    match = STEM.fullmatch(text)
    if match is None:
        return None
    time = match["time"] or ""
    return Name(
        match["source"], match["date"], time.lstrip("tT"), time[:1] if time[:1].isalpha() else "", match["version"]
    )


def logical_sources(file: CdfReader) -> tuple[str, ...]:
    """Logical_source as SPDF makes it, in the order of File_naming_convention; in both orders without a known one."""
    source, descriptor, kind = (short(first_text(file, n)).lower() for n in ("Source_name", "Descriptor", "Data_type"))
    new, old = f"{source}_{descriptor}_{kind}", f"{source}_{kind}_{descriptor}"
    match = CONVENTION.fullmatch(first_text(file, "File_naming_convention"))
    if match is None:
        return (new, old)
    return (new,) if match["parts"] == "descriptor_datatype" else (old,)


def version_in_name(version: str) -> str:
    """Data_version as it stands in a name: one digit alone has two there."""
    return version.zfill(2)


def first_and_last(file: CdfReader) -> tuple[int, int] | None:
    """TT2000 of the first and the last record of the file's epoch; None without records or with other times."""
    epoch = next(iter(epochs(file)), None)
    if epoch is None or epoch.type != "CDF_TIME_TT2000" or not epoch.records or epoch.dims:
        return None
    first, last = (file.values(epoch.name, i, i + 1) for i in (0, epoch.records - 1))
    return int(first.ravel()[0]), int(last.ravel()[0])


def digits(tt2000: int) -> str:
    """A time as yyyymmddHHMMSS UTC."""
    seconds = unix_ns_from_tt2000(np.array([tt2000])) // 1_000_000_000
    return re.sub(r"\D", "", str(np.datetime64(int(seconds[0]), "s")))


def logical_source(file: CdfReader) -> Findings:
    """G07, G16: the dataset's name and how it is made."""
    found, made = first_text(file, "Logical_source"), logical_sources(file)
    if found and found.lower() not in made:
        yield error("G07", "Logical_source", f"is {found}, the short names make {' or '.join(made)}", DERIVED)
    convention = first_text(file, "File_naming_convention")
    if convention.strip() and not CONVENTION.fullmatch(convention):
        yield warning(
            "G16", "File_naming_convention", f"{convention!r} is not known to SPDF",
            "Use source_descriptor_datatype_yyyyMMdd, and tHHmmss behind it where names have a time",
        )  # fmt: skip


def file_id(file: CdfReader) -> Findings:
    """G08: Logical_file_id is the name, and both are made of known parts."""
    where, found, stem = "Logical_file_id", first_text(file, "Logical_file_id"), file.path.stem
    if found and found != stem:
        yield error("G08", where, f"is {found}, the file is {stem}", "Name the file as its Logical_file_id says")
    if file.path.suffix != ".cdf":
        yield error("G08", "", f"its name ends in {file.path.suffix or 'nothing'}", "Use .cdf")
    yield from _parts("", stem, first_text(file, "Logical_source"))
    if found and found != stem:
        yield from _parts(where, found, first_text(file, "Logical_source"))


def _parts(where: str, text: str, source: str) -> Findings:
    name = name_of(text)
    if not re.fullmatch(r"[A-Za-z0-9._-]+", text):
        yield error("G08", where, f"{text!r} has other characters than A-Z a-z 0-9 . _ -", "Rename it")
    elif name is None or name.source != (source or name.source):
        yield error("G08", where, f"{text} is not Logical_source_date_vVERSION", DERIVED)
    elif name.mark == "T":
        yield error("G08", where, f"{text} has an uppercase T before its time", "Use a lowercase t")
    elif text != text.lower():
        yield warning("G08", where, f"{text} is not all lowercase", "Rename it")


def data_version(file: CdfReader) -> Findings:
    """G09: the version, alone and in the name."""
    version, name = first_text(file, "Data_version"), name_of(file.path.stem)
    if not version:
        return
    if not VERSION.fullmatch(version):
        yield error("G09", "Data_version", f"{version!r} is no bare number such as 1.0.0", "Leave out the v")
    elif name and name.version != version_in_name(version):
        told = f"is {version}, the name says v{name.version} instead of v{version_in_name(version)}"
        yield error("G09", "Data_version", told, "Export the day again")


def name_and_epoch(file: CdfReader) -> Findings:
    """G20: the time in the name is that of the first record."""
    name, found = name_of(file.path.stem), first_and_last(file)
    if name is None or found is None or name.date == NO_DATE:
        return
    where, begins = epochs(file)[0].name, digits(found[0])
    said = name.date + name.time
    if not begins.startswith(said):
        what = f"begins at {begins[: max(len(said), 8)]}, the name says {said}"
        yield error("G20", where, what, "Export each day by itself, and name the file by its first epoch")
    days = day_number(np.array(found))
    if not name.time and days[0] != days[-1]:
        yield warning("G20", where, f"ends on another UTC day: {digits(found[1])}", "Export each day by itself")


CHECKS = (logical_source, file_id, data_version, name_and_epoch)

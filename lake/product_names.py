# SPDX-License-Identifier: Apache-2.0
"""Names that we give: archive names, the names of CDF products, and what a careless name should have been.

CDF products are `<mission>_<short instrument>_<level>-<descriptor>_<yyyymmdd>_v<X.Y.Z>.cdf`: ISTP joins source,
descriptor and data type by `_`, so the words of the data type are joined by `-`, and all of it is in lower case.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from lake.names import (
    TAI_UTC,
    Instant,
    NameRules,
    archive_tokens,
    base_name,
    check_word,
    instant_of,
    lower_ascii,
    parse_name,
    read_short_name,
    read_time,
    read_version,
    refusal,
    shown,
)

log = logging.getLogger(__name__)

Scale = Literal["utc", "tai"]

_ISO = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.[0-9]+)?)?)?(?P<zone>Z|\+00:00)?"
)
_WORDS = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@dataclass(frozen=True)
class ScienceName:
    """What an archive name is made of: the instrument's long name, and a time whose digits are in `scale`.

    `time` is an aware datetime or ISO text; fractions of a second are dropped.
    """

    instrument: str
    level: str
    time: datetime | str
    version: str
    mode: str | None = None
    descriptor: str | None = None
    test: bool = False
    scale: Scale = "utc"


@dataclass(frozen=True)
class ProductName:
    """What the name of a CDF product says; `instrument` is the long name."""

    mission: str
    instrument: str
    level: str
    descriptor: str
    day: date
    version: str


@dataclass(frozen=True)
class Normalised:
    """The name as it should have been, and each change that leads there."""

    name: str
    changes: tuple[str, ...]


def create_name(rules: NameRules, wanted: ScienceName, now: datetime) -> str:
    """The archive name, which `parse_name` reads back to the same fields; its time is UTC.

    Raises: FileNameError as `parse_name` does, the valid range at `now` (aware) included.
    """
    what = f"new {rules.mission} name"
    if wanted.instrument not in rules.instruments:
        remedy = f"Use a long name: {' '.join(rules.instruments)}"
        raise refusal("BAD_INSTRUMENT", what, f"{shown(wanted.instrument)} is no instrument", remedy)
    if wanted.level not in rules.levels:
        remedy = f"Use one of {' '.join(rules.levels)}"
        raise refusal("BAD_LEVEL", what, f"{shown(wanted.level)} is no level of {rules.mission}", remedy)
    version = read_version(what, f"v{wanted.version}")
    words = [word for word in (wanted.mode, wanted.descriptor) if word is not None]
    for word in words:
        check_word(rules, what, word)
    stamp = _utc(what, wanted.time, wanted.scale).stamp
    name = _join(rules, wanted, stamp, version)
    parse_name(rules, name, now)
    return name


def _join(rules: NameRules, wanted: ScienceName, stamp: str, version: str) -> str:
    short = rules.instruments[wanted.instrument].short_name
    level = f"{wanted.level}test" if wanted.test else wanted.level
    parts = (rules.mission, short, wanted.mode, level, wanted.descriptor, stamp, f"v{version}")
    return f"{'_'.join(part for part in parts if part is not None)}.{rules.extension}"


def _utc(what: str, time: datetime | str, scale: Scale) -> Instant:
    given = _from_iso(time, scale) if isinstance(time, str) else _from_datetime(time)
    if given is None:
        remedy = "Give an aware datetime or ISO text such as 2024-04-06T12:06:21"
        raise refusal("BAD_TIME", what, f"{shown(str(time))} is no {scale} time", remedy)
    if scale == "utc":
        return given
    try:
        instant = _tai_to_utc(given.time)
    except OverflowError:
        raise refusal("BAD_TIME", what, f"{shown(str(time))} is before the first year", "Correct the time") from None
    log.info("name time converted from=%s given=%s utc=%s", scale, given.stamp, instant.stamp)
    return instant


def _from_iso(text: str, scale: Scale) -> Instant | None:
    match = _ISO.fullmatch(text)
    if match is None or (match["zone"] and scale != "utc"):
        return None
    instant = instant_of({k: int(v) for k, v in match.groupdict().items() if v and k != "zone"})
    return None if instant and instant.leap_second and scale != "utc" else instant


def _from_datetime(time: datetime) -> Instant | None:
    if time.utcoffset() is None:
        return None
    try:
        return Instant(time.astimezone(UTC).replace(microsecond=0))
    except OverflowError:
        return None


def _tai_to_utc(tai: datetime) -> Instant:
    """UTC of a datetime whose digits are TAI; before 1972 with the difference of 1972."""
    for start, offset in reversed(TAI_UTC):
        if tai >= start + timedelta(seconds=offset):
            return Instant(tai - timedelta(seconds=offset))
        if tai >= start + timedelta(seconds=offset - 1) and start != TAI_UTC[0][0]:
            return Instant(start - timedelta(seconds=1), leap_second=True)
    return Instant(tai - timedelta(seconds=TAI_UTC[0][1]))


def product_name(mission: str, short: str, level: str, descriptor: str, day: date, version: str) -> str:
    """The file name of a CDF product, whose stem is its Logical_file_id; words of `descriptor` are joined by `-`.

    Raises: FileNameError if a part would not be read back.
    """
    what = f"new {mission} product"
    plain = {"BAD_MISSION": mission, "BAD_INSTRUMENT": short, "BAD_LEVEL": level}
    for code, part in plain.items():
        if not re.fullmatch("[a-z][a-z0-9]*", part):
            raise refusal(code, what, f"{shown(part)} is not of lower-case letters and digits", "Correct it")
    if not _WORDS.fullmatch(descriptor):
        raise refusal("BAD_SHAPE", what, f"{shown(descriptor)} is no descriptor", "Join lower-case words by -")
    number = read_version(what, f"v{version}")
    return f"{mission}_{short}_{level}-{descriptor}_{day.year:04d}{day:%m%d}_v{number}.cdf"


def parse_product_name(rules: NameRules, name: str) -> ProductName:
    """What the name of a CDF product says; directories before it are dropped.

    Raises: FileNameError with the reason codes of `parse_name`.
    """
    base = base_name(name)
    tokens = _product_tokens(rules, base)
    instrument = read_short_name(rules, base, tokens[0])
    version = read_version(base, tokens[3])
    day = read_time(base, "date", tokens[2]).time.date()
    level, _, descriptor = tokens[1].partition("-")
    if level not in rules.levels:
        remedy = f"Use one of {' '.join(rules.levels)}"
        raise refusal("BAD_LEVEL", base, f"{shown(level)} is no level of {rules.mission}", remedy)
    if not _WORDS.fullmatch(descriptor):
        raise refusal("BAD_SHAPE", base, f"{shown(descriptor)} is no descriptor", "Write level-words-joined-by-hyphens")
    return ProductName(rules.mission, instrument, level, descriptor, day, version)


def _product_tokens(rules: NameRules, name: str) -> list[str]:
    stem, dot, extension = name.rpartition(".")
    tokens = archive_tokens(rules, name, stem if dot else name)
    if extension != "cdf" or not dot:
        code = "NONCANONICAL_CASE" if dot and lower_ascii(extension) == "cdf" else "UNKNOWN_EXT"
        raise refusal(code, name, "is no CDF file", "Write .cdf")
    if len(tokens) != 4:
        remedy = "Write mission_instrument_level-descriptor_yyyymmdd_vX.Y.Z.cdf"
        raise refusal("BAD_SHAPE", name, f"has {len(tokens) + 1} parts, not 5", remedy)
    return tokens


def normalise_name(rules: NameRules, name: str) -> Normalised:
    """What a careless archive name should have been: for people to read, never applied to files that come in.

    Drops a query string and a browser's copy number, and corrects case, zeros that lead a version, and long names.
    A name that stays wrong is left for `parse_name` to refuse.
    """
    given = name.rpartition("/")[2] if "?" not in name else f"{name.partition('?')[0].rpartition('/')[2]}?"
    base = re.sub(r" ?\([0-9]+\)(?=\.[A-Za-z0-9]+$)", "", given.removesuffix("?"))
    stem, _, extension = base.rpartition(".")
    if not _in_archive_form(rules, stem, lower_ascii(extension)):
        return Normalised(base, ())
    tokens = [*stem.split("_"), f".{extension}"]
    better = [_normal_token(rules, i, token) for i, token in enumerate(tokens)]
    pairs = [(given, base), *zip(tokens, better, strict=True)]
    changes = tuple(f"{old} -> {new}" for old, new in pairs if old != new)
    return Normalised("_".join(better[:-1]) + better[-1], changes)


def _in_archive_form(rules: NameRules, stem: str, extension: str) -> bool:
    three_part = stem.rpartition("_")[2].count(".") == 2
    return extension == rules.extension or (extension in rules.archive_shaped and three_part)


def _normal_token(rules: NameRules, place: int, token: str) -> str:
    """One part of an archive name in its canonical spelling."""
    lower = lower_ascii(token)
    if re.fullmatch(r"[0-9]{8}t[0-9]{6}", lower):
        return lower.upper()
    if re.fullmatch(r"v[0-9]+(?:\.[0-9]+){2}", lower):
        return "v" + ".".join(number.lstrip("0") or "0" for number in lower[1:].split("."))
    if place == 1 + rules.mission.count("_") and lower in rules.names:
        return rules.instruments[rules.names[lower]].short_name
    return lower

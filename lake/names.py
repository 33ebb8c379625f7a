# SPDX-License-Identifier: Apache-2.0
"""File names: what a mission's names mean, and how archive names are made.

Archive form: `<mission>_<short instrument>[_<mode>]_<level>[test][_<descriptor>]_<yyyymmddThhmmss>_v<X.Y.Z>.<ext>`.
Everything else that a mission sends is a raw family, declared in its names.yaml. A name is read from its right end,
strictly; a refused name has one reason, the first check that fails. lake/product_names.py makes names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Annotated, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from lake.errors import FileNameError
from lake.leap_seconds import LEAP_SECONDS

Kind = Literal["science", "raw", "sidecar", "manifest", "ancillary", "ignored"]
TimeForm = Literal["archive", "day_of_year", "two_digit_year", "date", "unix_ms", "unix_s"]
Token = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")]
Extension = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]*$")]

VERSION = re.compile(r"v((?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){2})")
_TOKEN = re.compile(r"[a-z0-9-]+")
_THREE_PART = re.compile(r".*_v[^_.]*\.[^_.]*\.[^_.]*")
_MANIFEST = re.compile(r"file_manifest_([0-9]{8})\.txt")
_DIGESTS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")

_CLOCK = "(?P<hour>[0-9]{2})(?P<minute>[0-9]{2})(?P<second>[0-9]{2})"
_DATE = "(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})"
_TIMES: dict[TimeForm, re.Pattern[str]] = {
    "archive": re.compile(f"{_DATE}T{_CLOCK}"),
    "day_of_year": re.compile(f"(?P<year>[0-9]{{4}})(?P<day>[0-9]{{3}})-{_CLOCK}"),
    "two_digit_year": re.compile(f"(?P<short_year>[0-9]{{2}})(?P<month>[0-9]{{2}})(?P<day>[0-9]{{2}}){_CLOCK}"),
    "date": re.compile(_DATE),
    "unix_ms": re.compile(r"(?P<milliseconds>[0-9]{13})"),
    "unix_s": re.compile(r"(?P<seconds>[0-9]{10})"),
}
_TIME_REMEDIES: dict[TimeForm, str] = {
    "archive": "yyyymmddThhmmss", "day_of_year": "yyyyddd-hhmmss", "two_digit_year": "yymmddhhmmss",
    "date": "yyyymmdd", "unix_ms": "13 digits of unix milliseconds", "unix_s": "10 digits of unix seconds",
}  # fmt: skip
# The day that begins after a leap second, or with TAI - UTC = 10 s in 1972, and TAI - UTC in seconds from then on.
TAI_UTC = [(datetime.fromisoformat(f"{day}T00:00:00+00:00"), seconds) for day, seconds in LEAP_SECONDS]

LEAP_DAYS = frozenset((start - timedelta(days=1)).date() for start, _ in TAI_UTC[1:])

# What a field of a raw pattern may look like before it is checked, so that a near miss gets its own reason.
_FIELDS = {"descriptor": ".+", **dict.fromkeys(("instrument", "mode", "level"), "[^_]+")}
_FIELDS |= dict.fromkeys(("stream", "apid", "time", "end", "raw_version"), "[^_]*")


class Instant(NamedTuple):
    """A UTC second. datetime cannot hold second 60: then `leap_second` is true and `time` is second 59."""

    time: datetime
    leap_second: bool = False

    @property
    def stamp(self) -> str:
        """The second as archive names write it."""
        text = f"{self.time.year:04d}{self.time:%m%dT%H%M%S}"
        return f"{text[:-2]}60" if self.leap_second else text


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InstrumentNames(_Facts):
    """The names of one instrument beside its long name."""

    short_name: Token
    other_names: tuple[Token, ...] = ()


class RawFamily(_Facts):
    """One form of names that are not in archive form; letters match in any case.

    Fields of `pattern`: {mission} {instrument} {mode} {level} {stream} {apid} {descriptor} {time} {end} {raw_version};
    [ ] is optional. {stream} is one of `aliases` and up to three hexadecimal digits. A pattern that does not begin with
    {mission} accepts names without the mission's prefix.
    """

    extension: Extension
    pattern: str
    level: Token
    time: TimeForm
    kind: Literal["raw", "ancillary"] = "raw"
    instrument: Token | None = None
    aliases: tuple[Token, ...] = ()
    descriptor: Token | None = None
    keep_case: bool = False

    @property
    def prefixed(self) -> bool:
        """True if names of the family begin with the mission."""
        return self.pattern.startswith("{mission}")

    @model_validator(mode="after")
    def _fields_are_known(self) -> RawFamily:
        fields = re.findall(r"\{(\w*)\}", self.pattern)
        known = {"mission", *_FIELDS}
        if unknown := set(fields) - known:
            raise ValueError(f"pattern {self.pattern!r} has unknown fields {sorted(unknown)}; use {sorted(known)}")
        if fields.count("time") != 1 or (self.instrument is None and not {"instrument", "stream"} & set(fields)):
            raise ValueError(f"pattern {self.pattern!r} needs one {{time}} and an instrument. Add the field")
        return self

    def regex(self, mission: str) -> re.Pattern[str]:
        """The pattern as a regular expression with one group for each field."""
        text = re.escape(self.pattern).replace(r"\[", "(?:").replace(r"\]", ")??")
        text = text.replace(r"\{mission\}", re.escape(mission))
        for field, loose in _FIELDS.items():
            text = text.replace(re.escape(f"{{{field}}}"), f"(?P<{field}>{loose})")
        return re.compile(text, re.ASCII | re.IGNORECASE)


class NameRules(_Facts):
    """The file-name facts of a mission.

    `archive_shaped` are raw extensions whose names with a three-part version are in archive form; `sidecars` maps the
    extension of an index file to that of its data file; `companions` are names of files that come beside telemetry and
    hold none; `descriptors` translates a raw stream.
    """

    mission: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    extension: Extension
    levels: tuple[Token, ...] = Field(min_length=1)
    instruments: dict[Token, InstrumentNames] = Field(min_length=1)
    min_valid_time: AwareDatetime
    clock_skew: timedelta = timedelta(days=1)
    archive_shaped: tuple[Extension, ...] = ()
    sidecars: dict[Extension, Extension] = Field(default_factory=dict)
    companions: tuple[str, ...] = ()
    descriptors: dict[Token, Token] = Field(default_factory=dict)
    families: tuple[RawFamily, ...] = ()

    @model_validator(mode="after")
    def _names_are_distinct(self) -> NameRules:
        pairs = {(name, long) for long, i in self.instruments.items() for name in _all_names(long, i)}
        if shared := sorted(name for name, long in pairs if self.names[name] != long):
            raise ValueError(f"{shared} are names of more than one instrument. Give each to one of them")
        if confusing := set(self.levels) & {f"{level}test" for level in self.levels}:
            raise ValueError(f"levels {sorted(confusing)} read as test files of another level. Rename them")
        if self.min_valid_time.year < 1972:
            raise ValueError("min_valid_time is before 1972, when UTC began to keep whole leap seconds. Correct it")
        return self

    @cached_property
    def names(self) -> dict[str, str]:
        """Long names of instruments by every name they have."""
        return {name: long for long, i in self.instruments.items() for name in _all_names(long, i)}

    @cached_property
    def short_names(self) -> dict[str, str]:
        """Long names of instruments by short name."""
        return {i.short_name: long for long, i in self.instruments.items()}

    @cached_property
    def level_tokens(self) -> frozenset[str]:
        """Every token that stands for a level, with and without `test`."""
        return frozenset(self.levels) | {f"{level}test" for level in self.levels}

    @cached_property
    def forms(self) -> tuple[tuple[RawFamily, re.Pattern[str]], ...]:
        """Raw families with their compiled patterns."""
        return tuple((family, family.regex(self.mission)) for family in self.families)


def _all_names(long: str, names: InstrumentNames) -> tuple[str, ...]:
    return (long, names.short_name, *names.other_names)


@dataclass(frozen=True)
class ParsedName:
    """What a name says; fields that it does not have are None.

    `name` is the base name as spelled, `instrument` the long name, `time` and `end` are UTC, `of` is the file that a
    sidecar belongs to, `reason` why a file is ignored.
    """

    kind: Kind
    name: str
    mission: str | None = None
    instrument: str | None = None
    level: str | None = None
    mode: str | None = None
    descriptor: str | None = None
    test: bool = False
    version: str | None = None
    raw_version: str | None = None
    time: datetime | None = None
    leap_second: bool = False
    end: datetime | None = None
    date: date | None = None
    of: str | None = None
    algorithm: str | None = None
    reason: Literal["TEMP_FILE", "LOG_FILE", "NO_TELEMETRY"] | None = None


class OutOfRangeError(FileNameError):
    """A well-formed name whose time the mission cannot have; `parsed` holds what the name says."""

    def __init__(self, message: str, parsed: ParsedName) -> None:
        super().__init__("OUT_OF_RANGE", message)
        self.parsed = parsed


def parse_name(rules: NameRules, name: str, now: datetime) -> ParsedName:
    """What the name of a file says; directories before it are dropped.

    Raises: FileNameError with a reason code; OutOfRangeError if only the time is impossible at `now` (aware).
    """
    base = base_name(name)
    return _companion(rules, base) or _in_range(rules, _mission_file(rules, base), now)


def refusal(code: str, name: str, wrong: str, remedy: str) -> FileNameError:
    """The error for a name: which, what is wrong, what to do, in one line."""
    return FileNameError(code, f"{shown(name)}: {wrong}. {remedy}.")


def shown(text: str) -> str:
    """Text quoted for a message: one line, at most 120 characters of it."""
    return ascii(text) if len(text) <= 120 else f"{text[:80]!a}... ({len(text)} characters)"


def base_name(name: str) -> str:
    """The name without directories; refused if it holds characters that no file name of ours has."""
    base = name.rpartition("/")[2]
    if bad := sorted({c for c in base if c in '?:*"<>|\\' or not c.isprintable()}):
        remedy = "Remove a query string before parsing, or rename the file"
        raise refusal("BAD_SHAPE", base, f"has the characters {shown(''.join(bad))}", remedy)
    return base


def _companion(rules: NameRules, name: str) -> ParsedName | None:
    stem, _, extension = name.rpartition(".")
    suffix = lower_ascii(extension)
    if name.startswith(".") or (stem and suffix in ("tmp", "part")):
        return ParsedName("ignored", name, reason="TEMP_FILE")
    if name in rules.companions or (stem and suffix == "log"):
        return ParsedName("ignored", name, reason="NO_TELEMETRY" if name in rules.companions else "LOG_FILE")
    if manifest := _MANIFEST.fullmatch(name):
        return ParsedName("manifest", name, date=read_time(name, "date", manifest[1]).time.date())
    if stem and suffix in _DIGESTS:
        return ParsedName("sidecar", name, of=stem, algorithm=suffix)
    if stem and suffix in rules.sidecars:
        data = rules.sidecars[suffix]
        return ParsedName("sidecar", name, of=f"{stem}.{data.upper() if extension.isupper() else data}")
    return None


def _mission_file(rules: NameRules, name: str) -> ParsedName:
    stem, _, extension = name.rpartition(".") if "." in name else (name, "", "")
    suffix = lower_ascii(extension)
    forms = [(f, m) for f, regex in rules.forms if f.extension == suffix and (m := regex.fullmatch(stem))]
    prefixed = _has_prefix(rules, name)
    forms = [(family, match) for family, match in forms if family.prefixed == prefixed]
    if not prefixed and not forms:
        remedy = f"Begin it with {rules.mission}_, or parse it with its own mission's rules"
        raise refusal("BAD_MISSION", name, f"is no name of mission {rules.mission}", remedy)
    _check_extension(rules, name, extension)
    if extension == rules.extension:
        return _archive_file(rules, name, stem, "science")
    if suffix in rules.archive_shaped and _THREE_PART.fullmatch(stem):
        return _archive_file(rules, name, stem, "raw")
    if not forms:
        raise _misfit(rules, name, stem, suffix)
    family, match = forms[0]
    return _raw_file(rules, name, family, match.groupdict())


def _has_prefix(rules: NameRules, name: str) -> bool:
    glued = any(re.match(r"\{mission\}[^_]", family.pattern) for family in rules.families)
    return bool(re.match(rules.mission + ("" if glued else "(?:[_.]|$)"), name, re.ASCII | re.IGNORECASE))


def _check_extension(rules: NameRules, name: str, extension: str) -> None:
    raw = {family.extension for family in rules.families} | set(rules.archive_shaped)
    if extension != rules.extension and lower_ascii(extension) == rules.extension:
        remedy = f"Write .{rules.extension}"
        raise refusal("NONCANONICAL_CASE", name, f"extension {shown(extension)} is not in lower case", remedy)
    if lower_ascii(extension) not in raw | {rules.extension}:
        remedy = f"Use one of {' '.join(sorted(raw | {rules.extension}))}"
        raise refusal("UNKNOWN_EXT", name, f"extension {shown(extension)} is not used by {rules.mission}", remedy)


def _archive_file(rules: NameRules, name: str, stem: str, kind: Literal["science", "raw"]) -> ParsedName:
    tokens = archive_tokens(rules, name, stem)
    if "" in tokens or len(tokens) < 3:
        remedy = "Write mission_instrument_level_time_version"
        raise refusal("BAD_SHAPE", name, "has an empty part or too few parts", remedy)
    short, *middle, time, version = tokens
    instrument = read_short_name(rules, name, short)
    number = read_version(name, version)
    instant = read_time(name, "archive", time)
    mode, level, descriptor = _middle(rules, name, middle)
    return ParsedName(
        kind, name, rules.mission, instrument, level.removesuffix("test"), mode, descriptor, level.endswith("test"),
        version=number, time=instant.time, leap_second=instant.leap_second,
    )  # fmt: skip


def archive_tokens(rules: NameRules, name: str, stem: str) -> list[str]:
    """The parts of a stem after its mission, which stands at the beginning in lower case."""
    mission, rest = stem[: len(rules.mission)], stem[len(rules.mission) :]
    if lower_ascii(mission) != rules.mission or rest[:1] not in ("_", ""):
        raise refusal("BAD_MISSION", name, f"does not begin with {rules.mission}_", "Correct the mission")
    if mission != rules.mission:
        raise refusal("NONCANONICAL_CASE", name, f"{mission} is not in lower case", f"Write {rules.mission}")
    return rest[1:].split("_")


def read_short_name(rules: NameRules, name: str, short: str) -> str:
    """The long name of the instrument with that short name."""
    if short in rules.short_names:
        return rules.short_names[short]
    if lower_ascii(short) in rules.short_names:
        raise refusal(
            "NONCANONICAL_CASE", name, f"instrument {short} is not in lower case", f"Write {lower_ascii(short)}"
        )
    remedy = f"Use a short name: {' '.join(rules.short_names)}"
    raise refusal("BAD_INSTRUMENT", name, f"{shown(short)} is no instrument of {rules.mission}", remedy)


def read_version(name: str, text: str) -> str:
    """The version X.Y.Z of a part vX.Y.Z."""
    if match := VERSION.fullmatch(text):
        return match[1]
    raise refusal("BAD_VERSION", name, f"{shown(text)} is no version", "Write vX.Y.Z, numbers without leading zeros")


def _middle(rules: NameRules, name: str, tokens: list[str]) -> tuple[str | None, str, str | None]:
    places = [i for i, token in enumerate(tokens) if token in rules.level_tokens]
    if not places:
        wrong = f"{shown('_'.join(tokens))} has no level of {rules.mission}"
        raise refusal("BAD_LEVEL", name, wrong, f"Use one of {' '.join(rules.levels)}")
    before, after = tokens[: places[0]], tokens[places[0] + 1 :]
    if len(places) > 1 or len(before) > 1 or len(after) > 1:
        wrong = f"{shown('_'.join(tokens))} is more than [mode] level[test] [descriptor]"
        raise refusal("BAD_SHAPE", name, wrong, "Remove what does not belong there")
    for token in before + after:
        check_word(rules, name, token)
    return next(iter(before), None), tokens[places[0]], next(iter(after), None)


def check_word(rules: NameRules, name: str, word: str) -> None:
    """Refuses a mode or descriptor that could be read as something else."""
    remedy = "Write a mode or descriptor of a-z, 0-9 and -, which is neither a level nor a time"
    if word in rules.level_tokens or re.fullmatch("[0-9]{8}[Tt][0-9]{6}", word):
        raise refusal("BAD_SHAPE", name, f"{shown(word)} reads as a level or a time", remedy)
    if not _TOKEN.fullmatch(word):
        code = "NONCANONICAL_CASE" if _TOKEN.fullmatch(lower_ascii(word)) else "BAD_SHAPE"
        raise refusal(code, name, f"{shown(word)} is no word of a file name", remedy)


def _raw_file(rules: NameRules, name: str, family: RawFamily, found: dict[str, str | None]) -> ParsedName:
    instrument = _raw_instrument(rules, name, family, found)
    _check_raw_parts(rules, name, family, found)
    instant = read_time(name, family.time, found["time"] or "")
    end = read_time(name, family.time, found["end"] or "").time if "end" in found else None
    if end and end < instant.time:
        raise refusal("BAD_TIME", name, "ends before it begins", "Correct the second time")
    return ParsedName(
        family.kind, name, rules.mission, instrument, family.level, found.get("mode"),
        _raw_descriptor(rules, name, family, found), raw_version=_raw_version(name, found),
        time=instant.time, leap_second=instant.leap_second, end=end,
    )  # fmt: skip


def _raw_instrument(rules: NameRules, name: str, family: RawFamily, found: dict[str, str | None]) -> str:
    word = lower_ascii(found.get("instrument") or found.get("stream") or family.instrument or "")
    if "stream" in found:
        word = next((a for a in sorted(family.aliases, key=len, reverse=True) if word.startswith(a)), word)
    if word in rules.names:
        return rules.names[word]
    remedy = f"Use one of {' '.join(family.aliases or rules.names)}"
    raise refusal("BAD_INSTRUMENT", name, f"{shown(word)} is no instrument of {rules.mission}", remedy)


def _check_raw_parts(rules: NameRules, name: str, family: RawFamily, found: dict[str, str | None]) -> None:
    parts = [lower_ascii(found.get(field) or "") for field in ("mode", "level", "time", "end")]
    if second := next((part for part in parts if part in rules.names), None):
        raise refusal("BAD_SHAPE", name, f"names a second instrument, {second}", "Keep one of them")
    if parts[0] in rules.level_tokens or not _TOKEN.fullmatch(parts[0] or "-"):
        raise refusal("BAD_SHAPE", name, f"{shown(parts[0])} is no mode", "Write letters, digits and -, but no level")
    if "level" in found and parts[1] != family.level:
        raise refusal("BAD_LEVEL", name, f"{shown(parts[1])} is not the level of such files", f"Write {family.level}")


def _raw_descriptor(rules: NameRules, name: str, family: RawFamily, found: dict[str, str | None]) -> str | None:
    field = next((f for f in ("stream", "apid", "descriptor") if f in found), None)
    if field is None:
        return family.descriptor
    text = found[field] or ""
    alias = "|".join(map(re.escape, family.aliases))
    shape, remedy = {
        "stream": (f"(?:{alias})[0-9a-f]{{1,3}}", f"Write {alias} and one to three hexadecimal digits"),
        "apid": ("[0-9]+", "Write the APID in decimal digits"),
        "descriptor": ("[a-z0-9_-]+", "Write letters, digits, _ and -"),
    }[field]
    if not re.fullmatch(shape, text, re.ASCII | re.IGNORECASE):
        raise refusal("BAD_SHAPE", name, f"{shown(text)} is no {field}", remedy)
    text = text if family.keep_case else text.lower()
    return f"apid{text}" if field == "apid" else rules.descriptors.get(text, text)


def _raw_version(name: str, found: dict[str, str | None]) -> str | None:
    text = found.get("raw_version")
    if text is not None and not re.fullmatch("[0-9]+", text):
        raise refusal("BAD_VERSION", name, f"{shown(text)} is no version of a raw file", "Write v and digits")
    return text


def _misfit(rules: NameRules, name: str, stem: str, extension: str) -> FileNameError:
    """The reason why a name fits no family: instrument, version, time or shape, in this order."""
    parts = lower_ascii(stem[len(rules.mission) :]).lstrip("_").split("_")
    named = {rules.names[part] for part in (re.sub("[0-9]+$", "", p) or p for p in parts) if part in rules.names}
    if not named:
        remedy = f"Use one of {' '.join(rules.names)}"
        return refusal("BAD_INSTRUMENT", name, f"has no instrument of {rules.mission}", remedy)
    if len(named) > 1:
        return refusal("BAD_SHAPE", name, f"names the instruments {' and '.join(sorted(named))}", "Keep one of them")
    forms = [(family, regex) for family, regex in rules.forms if family.extension == extension]
    versioned = [regex for family, regex in forms if "{raw_version}" in family.pattern]
    if any(regex.fullmatch(f"{text}_v0") for regex in versioned for text in (stem, stem.rpartition("_")[0])):
        return refusal("BAD_VERSION", name, "has no version", "Write _v and digits before the extension")
    patterns = " or ".join(family.pattern for family, _ in forms)
    if not any(_TIMES[family.time].fullmatch(part) for family, _ in forms for part in parts):
        return refusal("BAD_TIME", name, "has no time", f"Write {patterns}")
    return refusal("BAD_SHAPE", name, "fits no raw form", f"Write {patterns}")


def _in_range(rules: NameRules, parsed: ParsedName, now: datetime) -> ParsedName:
    for time in (parsed.time, parsed.end):
        if time is not None and (time < rules.min_valid_time or time - now > rules.clock_skew):
            wrong = f"{time.isoformat()} is not between {rules.min_valid_time.isoformat()} and {now.isoformat()}"
            raise OutOfRangeError(f"{shown(parsed.name)}: {wrong}. Correct the clock that named it.", parsed)
    return parsed


def read_time(name: str, form: TimeForm, text: str) -> Instant:
    """The instant that a part of a name stands for."""
    match = _TIMES[form].fullmatch(text)
    instant = instant_of({k: int(v) for k, v in match.groupdict().items()}) if match else None
    if instant is None:
        raise refusal("BAD_TIME", name, f"{shown(text)} is no {form} time", f"Write {_TIME_REMEDIES[form]}, UTC")
    return instant


def instant_of(parts: dict[str, int]) -> Instant | None:
    """The instant of calendar parts or unix counts; None if it never was. Without a month, day is that of the year."""
    if "day" not in parts:
        return Instant(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(**parts))
    year = 2000 + parts["short_year"] if "short_year" in parts else parts["year"]
    try:
        day = datetime(year, parts.get("month", 1), parts["day"] if "month" in parts else 1, tzinfo=UTC)
        day += timedelta(days=0 if "month" in parts else parts["day"] - 1)
    except (ValueError, OverflowError):
        return None
    return _at_clock(day, parts) if day.year == year else None


def _at_clock(day: datetime, parts: dict[str, int]) -> Instant | None:
    hour, minute, second = (parts.get(part, 0) for part in ("hour", "minute", "second"))
    leap = second == 60 and (hour, minute) == (23, 59) and day.date() in LEAP_DAYS
    try:
        return Instant(day.replace(hour=hour, minute=minute, second=59 if leap else second), leap)
    except ValueError:
        return None


def lower_ascii(text: str) -> str:
    """ASCII text in lower case; other text as it is, so that look-alike letters stay different."""
    return text.lower() if text.isascii() else text

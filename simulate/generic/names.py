# SPDX-License-Identifier: Apache-2.0
"""Names for simulated raw files, made from the patterns that a mission's names.yaml recognises them by."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import numpy as np

from lake.clock import unix_ns_from_tt2000
from lake.definitions import Instrument, Mission
from lake.errors import FileNameError
from lake.names import NameRules, RawFamily, TimeForm, parse_name
from simulate.files import FileName

FORMATS: dict[TimeForm, str] = {
    "archive": "%Y%m%dT%H%M%S",
    "day_of_year": "%Y%j-%H%M%S",
    "two_digit_year": "%y%m%d%H%M%S",
    "date": "%Y%m%d",
}
ANY_TIME = datetime(2100, 1, 1, tzinfo=UTC)  # what a name says is of interest, not whether it lies in the past


def raw_name(
    mission: Mission, instrument: Instrument, tt2000: int, fits: Callable[[str], bool], words: tuple[str, ...] = ()
) -> FileName | None:
    """How raw files of an instrument are named by the time of their first packet; None if no pattern gives such names.

    `fits` tells which names are right, tried at `tt2000`; `words` are descriptors to try where a pattern has one.
    """
    for name in _names(mission.names, instrument, words):
        if _is_of(mission.names, instrument, name(tt2000)) and fits(name(tt2000)):
            return name
    return None


def _is_of(rules: NameRules, instrument: Instrument, name: str) -> bool:
    try:
        parsed = parse_name(rules, name, ANY_TIME)
    except FileNameError:
        return False
    return parsed.kind in ("raw", "ancillary") and parsed.instrument == instrument.name


def _names(rules: NameRules, instrument: Instrument, words: tuple[str, ...]) -> Iterator[FileName]:
    """Every way to name a file, by each family and in archive form."""
    if instrument.name not in rules.instruments:
        return
    for family in rules.families:
        found = [word for text in words if (word := _descriptor(rules, family, text))]
        for descriptor in dict.fromkeys((*found, *words, family.descriptor or "data")):
            yield _by_family(rules, family, instrument, descriptor)
    short, level = rules.instruments[instrument.name].short_name, "raw" if "raw" in rules.levels else rules.levels[0]
    for extension in rules.archive_shaped:
        yield lambda time, end=extension: f"{rules.mission}_{short}_{level}_{stamp('archive', time)}_v0.0.0.{end}"  # type: ignore[misc]


def _descriptor(rules: NameRules, family: RawFamily, files: str) -> str:
    """What stands at {descriptor} in names that a pattern with * and ? describes, as far as it says; else nothing."""
    before, _, behind = family.pattern.partition("{descriptor}")
    before = before.replace("{mission}", rules.mission).lower()
    text, after = files.lower(), behind.partition("{")[0].lower()
    if "{" in before or not text.startswith(before):
        return ""
    word = text.removeprefix(before).partition(after)[0] if after else text.removeprefix(before)
    return re.sub(r"[^a-z0-9_-]", "", word).strip("_")


def _by_family(rules: NameRules, family: RawFamily, instrument: Instrument, descriptor: str) -> FileName:
    apid = instrument.packets[0].apids[0] if instrument.packets else 0
    own = [alias for alias in family.aliases if rules.names.get(alias) == instrument.name]
    parts = {
        "mission": rules.mission,
        "mode": "sim",
        "instrument": rules.instruments[instrument.name].short_name,
        "level": family.level,
        "stream": f"{(own or ['x'])[0]}{apid:x}".upper(),
        "apid": str(apid),
        "descriptor": descriptor,
        "raw_version": "0",
    }
    pattern = re.sub(r"\[[^\]]*\]", "", family.pattern)
    end = f".{family.extension}" if family.extension else ""
    return lambda time: pattern.format(**parts, time=stamp(family.time, time), end=stamp(family.time, time)) + end


def stamp(form: TimeForm, tt2000: int) -> str:
    """A TT2000 [ns] as names in one of the forms of time have it."""
    unix_ns = int(unix_ns_from_tt2000(tt2000))
    if form in ("unix_ms", "unix_s"):
        return f"{unix_ns // 1_000_000:013d}" if form == "unix_ms" else f"{unix_ns // 1_000_000_000:010d}"
    second: datetime = np.datetime64(unix_ns // 1_000_000_000, "s").item()
    return second.strftime(FORMATS[form])

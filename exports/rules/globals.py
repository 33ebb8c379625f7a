# SPDX-License-Identifier: Apache-2.0
"""Rules about global attributes, those that make the file's name apart: G01 to G06, G10 to G19 and G21."""

from __future__ import annotations

import re

from exports.cdf.reader import CdfReader
from exports.cdf.records import TEXT_TYPES
from exports.istp.globals import DISCIPLINES, INSTRUMENT_TYPES, LINKS
from exports.rules.attributes import NAME, is_ascii, is_empty, texts_of
from exports.rules.nouns import Findings, error, warning

REQUIRED = (
    "Data_type",
    "Data_version",
    "Descriptor",
    "Logical_file_id",
    "Logical_source",
    "Logical_source_description",
    "PI_affiliation",
    "PI_name",
    "Source_name",
    "TEXT",
)
REQUIRED_AT_SPDF = ("Instrument_type", "Mission_group", "Project", "Discipline")
RECOMMENDED = (
    "Acknowledgement",
    "DOI",
    "File_naming_convention",
    "Generated_by",
    "Generation_date",
    "HTTP_LINK",
    "LINK_TEXT",
    "LINK_TITLE",
    "MODS",
    "Rules_of_use",
    "spase_DatasetResourceID",
    "Time_resolution",
)
OURS = ("MODS", "Software_version", "Skeleton_version")
OTHERS = ("Parents", "TITLE", "Validate", "Data_processing_level", "Spase_id", "ADID_ref")
KNOWN = {name.lower(): name for name in (*REQUIRED, *REQUIRED_AT_SPDF, *RECOMMENDED, *OURS, *OTHERS)}
SINGLE = (
    "Source_name",
    "Descriptor",
    "Logical_source",
    "Logical_source_description",
    "Logical_file_id",
    "Data_version",
    "Mission_group",
)
NAMED_TWICE = {"Source_name": error, "Descriptor": error, "Data_type": error, "Project": warning, "Discipline": warning}
MOST_ENTRIES = 5  # that CDAWeb shows
SHORTEST_TEXT = 40
IN_DEFINITION = "Give it under cdf: in mission.yaml or instrument.yaml"
IN_PRODUCT = "Correct the product in cdf.yaml"


def presence(file: CdfReader) -> Findings:
    """G01, G02, G03, P04: what has to be there, and what should be."""
    for rule, names in (("G01", REQUIRED), ("G02", REQUIRED_AT_SPDF)):
        for name in names:
            if not "".join(texts_of(file, name)).strip():
                yield error(rule, name, "is missing or blank", IN_DEFINITION)
    for name in RECOMMENDED:
        if not file.globals.get(name):
            yield warning("G03", name, "is missing, and recommended", "Give it, as soon as it is known")
    for name in OURS:
        if not file.globals.get(name):
            yield warning("P04", name, "is missing", "Say what made the file, and what changed")


def entries(file: CdfReader) -> Findings:
    """G04, G14, G17: entries are texts of ASCII, and not empty."""
    for name, found in file.globals.items():
        for i, entry in enumerate(found):
            if entry.type not in TEXT_TYPES:
                yield error("G04", name, f"entry {i} is {entry.type}", "Write it as CDF_CHAR")
            elif is_empty(entry):
                yield error("G14", name, f"entry {i} is an empty string", "Write one blank, or leave it out")
            elif not is_ascii(str(entry.value)):
                yield error("G17", name, f"entry {i} is not printable ASCII: {entry.value!a}", "Rewrite it in ASCII")


def names(file: CdfReader) -> Findings:
    """G05: how attributes are called."""
    seen: dict[str, str] = {}
    for name in file.globals:
        official = KNOWN.get(name.lower(), name)
        if not NAME.fullmatch(name):
            yield error("G05", name, "has other characters than letters, digits and _", "Rename it")
        elif official != name:
            yield error("G05", name, f"is {official} in ISTP", f"Rename it to {official}")
        other = seen.setdefault(name.lower(), name)
        if other != name:
            yield error("G05", name, f"is the same as {other} to some readers", "Rename or remove one of them")


def short_and_long(file: CdfReader) -> Findings:
    """G06: the attributes that have a short and a long name."""
    for name, finding in NAMED_TWICE.items():
        for text in texts_of(file, name):
            if text.strip() and not re.fullmatch(r"[^>\s][^>]*>[^>].*", text):
                yield finding("G06", name, f"{text!r} is not short>long", "Give both names")


def lists(file: CdfReader) -> Findings:
    """G11, G18: attributes with a list to choose from."""
    for text in texts_of(file, "Instrument_type"):
        if text.strip() and text not in INSTRUMENT_TYPES:
            yield error("G11", "Instrument_type", f"{text!r} is not in ISTP's list", "Choose one of the list")
    for text in texts_of(file, "Discipline"):
        if text.strip() and text not in DISCIPLINES:
            yield warning("G18", "Discipline", f"{text!r} is not in ISTP's list", "Choose one of the list")


def counts(file: CdfReader) -> Findings:
    """G12, G15: how many entries there are."""
    found = {name: len(file.globals.get(name, ())) for name in LINKS}
    if len(set(found.values())) > 1:
        told = ", ".join(f"{name} {number}" for name, number in found.items())
        yield error("G12", LINKS[0], f"links have different numbers of entries: {told}", "Give one of each per link")
    for name in (*LINKS, "Instrument_type"):
        if (number := len(file.globals.get(name, ()))) > MOST_ENTRIES:
            yield error("G12", name, f"has {number} entries, CDAWeb takes {MOST_ENTRIES}", "Remove some")
    for name in SINGLE:
        if (number := len(file.globals.get(name, ()))) > 1:
            yield error("G15", name, f"has {number} entries", "Give one")


FORMS = (
    ("G10", "Generation_date", r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", "no yyyymmdd"),
    ("G12", "HTTP_LINK", r"https?://\S+", "no http(s) address"),
    ("G13", "DOI", r"https://doi\.org/10\.\d{4,9}/\S+", "no address below https://doi.org/10"),
    (
        "G13",
        "spase_DatasetResourceID",
        r"spase://[\w.-]+/(NumericalData|DisplayData)/\S+",
        "no id below spase://authority/NumericalData/",
    ),
    ("G21", "Parents", r"[A-Za-z0-9]+>\S+|[^\s>]+\.\w+", "no file name and no CDF>logical_file_id"),
)


def forms(file: CdfReader) -> Findings:
    """G10, G12, G13, G21: what is written in a certain form."""
    for rule, name, pattern, what in FORMS:
        for text in texts_of(file, name):
            if text.strip() and not re.fullmatch(pattern, text):
                yield warning(rule, name, f"{text!r} is {what}", "Correct it")
    if len(file.globals.get("spase_DatasetResourceID", ())) > 1:
        yield warning("G13", "spase_DatasetResourceID", "has several entries", "Give one")


def description(file: CdfReader) -> Findings:
    """G19: TEXT says something."""
    text = " ".join(texts_of(file, "TEXT")).strip()
    if 0 < len(text) < SHORTEST_TEXT:
        yield error("G19", "TEXT", f"has {len(text)} characters: {text!r}", f"Describe the dataset. {IN_PRODUCT}")


CHECKS = (presence, entries, names, short_and_long, lists, counts, forms, description)

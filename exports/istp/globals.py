# SPDX-License-Identifier: Apache-2.0
"""Global attributes of a product after the ISTP Metadata Guidelines 1.0: few typed by hand, all others derived."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from exports.cdf.spec import check_text
from exports.istp.places import Place, TemplateError, of_attribute, of_typed
from lake.definitions import Instrument, Mission, Product, Table
from lake.errors import ExportError

GlobalEntries = tuple[tuple[str, tuple[str, ...]], ...]
Places = Callable[[str], Place]  # where a global attribute is written

# What only people know; without these SPDF or CDAWeb would send the file back.
TYPED = (
    "Source_name",
    "Discipline",
    "Project",
    "Mission_group",
    "Descriptor",
    "PI_name",
    "PI_affiliation",
    "Instrument_type",
    "Acknowledgement",
    "Rules_of_use",
    "HTTP_LINK",
    "LINK_TEXT",
    "LINK_TITLE",
)
DERIVED = (
    "TITLE",
    "TEXT",
    "MODS",
    "Data_type",
    "Data_version",
    "Data_processing_level",
    "Logical_source",
    "Logical_source_description",
    "Logical_file_id",
    "File_naming_convention",
    "Time_resolution",
    "DOI",
    "spase_DatasetResourceID",
    "Generated_by",
    "Generation_date",
    "Parents",
    "Software_version",
    "Skeleton_version",
)
SINGLE = ("Source_name", "Descriptor", "Mission_group")
LINKS = ("HTTP_LINK", "LINK_TEXT", "LINK_TITLE")
LEVELS = {"l0": "Level 0", "l1": "Level 1", "ql": "Quicklook", "l2": "Level 2", "l3": "Level 3"}
DISCIPLINES = (
    "Solar Physics>Heliospheric Physics",
    "Space Physics>Interplanetary Studies",
    "Space Physics>Magnetospheric Science",
    "Space Physics>Ionospheric Science",
    "Space Physics>Astrophysics Science",
)
INSTRUMENT_TYPES = (
    "Activity Indices",
    "Dust and Debris",
    "Electric Fields (space)",
    "Engineering",
    "Ephemeris/Attitude/Ancillary",
    "Ground-Based HF-Radars",
    "Ground-Based Imagers",
    "Ground-Based Magnetometers, Riometers, Sounders",
    "Ground-Based VLF/ELF/ULF, Photometers",
    "Housekeeping",
    "Imaging and Remote Sensing (ITM/Earth)",
    "Imaging and Remote Sensing (Magnetosphere/Earth)",
    "Imaging and Remote Sensing (Sun)",
    "Magnetic Fields (Balloon)",
    "Magnetic Fields (space)",
    "Particles (space)",
    "Plasma and Solar Wind",
    "Radio and Plasma Waves (space)",
)


@dataclass(frozen=True)
class Edition:
    """What tells one file of a product from the next: its day, version, sources, and what made it.

    `version` is the bare X.Y.Z, `parents` are file names or `CDF>logical_file_id`, `generation_date` is the date of
    the newest input (never the clock's), so that equal inputs give equal bytes.
    """

    day: date
    version: str
    parents: tuple[str, ...]
    generation_date: date
    software_version: str


def short_name(entry: str) -> str:
    """The part of a `short>long` entry before the `>`."""
    return entry.partition(">")[0].strip()


def logical_source(table: Table, instrument: Instrument) -> str:
    """The dataset's name, e.g. `padre_meddea_l1-photon`; ISTP joins by `_`, hence `-` within the data type."""
    return f"{table.mission}_{instrument.short_name}_{_data_type(table)}"


def compile_globals(
    product: Product, table: Table, instrument: Instrument, mission: Mission, assumptions: Sequence[str]
) -> GlobalEntries:
    """The global attributes that are equal in every file of the product that rests on the same assumptions.

    They are in the order of the file.
    Raises TemplateError if an attribute is missing, typed although derived, or not as the guidelines want it.
    """
    typed = {**mission.cdf, **instrument.cdf}
    _check_typed(lambda name: of_typed(table, name, instrument), typed, table, instrument)
    source, descriptor = short_name(typed["Source_name"][0]), short_name(typed["Descriptor"][0])
    level = LEVELS[table.level]
    derived = {
        "TITLE": (f"{source} {descriptor}: {product.title}",),
        "TEXT": _text(product, instrument, assumptions),
        "MODS": product.mods,
        "Data_type": (f"{_data_type(table)}>{product.title}",),
        "Data_processing_level": (level,),
        "Logical_source": (logical_source(table, instrument),),
        "Logical_source_description": (f"{level} data of {source} {descriptor}: {product.title}",),
        "File_naming_convention": ("source_descriptor_datatype_yyyyMMdd",),
        "Time_resolution": (product.time_resolution,),
        **({"DOI": (product.doi,)} if product.doi else {}),
        **({"spase_DatasetResourceID": (product.spase_id,)} if product.spase_id else {}),
        "Generated_by": ("swxlake",),
    }
    entries = tuple({**{name: tuple(texts) for name, texts in typed.items()}, **derived}.items())
    _check_texts(entries, table, instrument)
    return entries


def edition_globals(source: str, edition: Edition) -> GlobalEntries:
    """The global attributes that differ from file to file; ExportError if the edition is not as ISTP wants it."""
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", edition.version):
        raise ExportError(f"{source}: version {edition.version} is no X.Y.Z. Give three whole numbers")
    for parent in edition.parents:
        if not re.fullmatch(r"[A-Za-z0-9]+>\S+|\S+\.\w+", parent):
            raise ExportError(f"{source}: parent {parent!r} is no file name and no CDF>logical_file_id. Name the file")
    entries: list[tuple[str, tuple[str, ...]]] = [
        ("Skeleton_version", (edition.version.partition(".")[0],)),
        ("Logical_file_id", (file_id(source, edition),)),
        ("Data_version", (edition.version,)),
        ("Generation_date", (edition.generation_date.strftime("%Y%m%d"),)),
        ("Software_version", (edition.software_version,)),
    ]
    return (*entries, *((("Parents", edition.parents),) if edition.parents else ()))


def file_id(source: str, edition: Edition) -> str:
    """The name of the edition's file without `.cdf`, as SPDF recomputes it from the attributes."""
    return f"{source}_{edition.day:%Y%m%d}_v{edition.version}"


def _data_type(table: Table) -> str:
    return table.descriptor.replace("_", "-")


def _text(product: Product, instrument: Instrument, assumptions: Sequence[str]) -> tuple[str, ...]:
    """One entry to a paragraph: the product's own, then what is assumed or not known, and whether it has flown."""
    paragraphs = [" ".join(p.split()) for p in re.split(r"\n\s*\n", product.text)]
    if instrument.status == "ground":
        paragraphs.append(f"Status of the instrument: on the ground, not flying. {instrument.status_reason}".strip())
    paragraphs += [" ".join(text.split()) for text in assumptions]
    paragraphs += [f"Not known: {unknown}" for unknown in instrument.unknowns]
    return tuple(paragraph for paragraph in paragraphs if paragraph)


def _check_typed(place: Places, typed: Mapping[str, tuple[str, ...]], table: Table, instrument: Instrument) -> None:
    missing = [name for name in TYPED if not "".join(typed.get(name, ())).strip()]
    if missing:
        remedy = "Add to cdf: in mission.yaml or instrument.yaml"
        raise TemplateError(place(missing[0]), f"no {', '.join(missing)}. {remedy}")
    by_hand = [name for name in DERIVED if name in typed]
    if by_hand:
        problem = f"{', '.join(by_hand)} typed by hand, but derived. Remove from cdf:"
        raise TemplateError(place(by_hand[0]), problem)
    _check_counts(place, typed)
    for name in ("Source_name", "Descriptor", "Project"):
        if not all(re.fullmatch(r"[^>]+>[^>].*", text) for text in typed[name]):
            raise TemplateError(place(name), f"{typed[name]} is not 'short>long'. Give both names")
    _check_lists(place, typed)
    _check_names(place, typed, table, instrument)


def _check_names(place: Places, typed: Mapping[str, tuple[str, ...]], table: Table, instrument: Instrument) -> None:
    for name, defined in (("Source_name", table.mission), ("Descriptor", instrument.short_name)):
        short = short_name(typed[name][0]).lower()
        if short != defined:
            problem = f"is {short}, the definitions say {defined}. File names are made of both: use the same"
            raise TemplateError(place(name), problem)


def _check_lists(place: Places, typed: Mapping[str, tuple[str, ...]]) -> None:
    for name, allowed in (("Discipline", DISCIPLINES), ("Instrument_type", INSTRUMENT_TYPES)):
        for text in typed[name]:
            if text not in allowed:
                raise TemplateError(place(name), f"{text!r} is not in the ISTP list. Use one of {allowed}")
    for url in typed["HTTP_LINK"]:
        if not re.fullmatch(r"https?://\S+", url):
            raise TemplateError(place("HTTP_LINK"), f"{url!r} is no http(s) address. Correct it")


def _check_counts(place: Places, typed: Mapping[str, tuple[str, ...]]) -> None:
    for name in SINGLE:
        if len(typed[name]) != 1:
            raise TemplateError(place(name), f"has {len(typed[name])} entries. Give one")
    for name in LINKS:
        if len(typed[name]) != len(typed[LINKS[0]]):
            problem = f"has {len(typed[name])} entries, {LINKS[0]} {len(typed[LINKS[0]])}. Give one of each per link"
            raise TemplateError(place(name), problem)
    for name in ("HTTP_LINK", "Instrument_type"):
        if len(typed[name]) > 5:
            raise TemplateError(place(name), f"has {len(typed[name])} entries; CDAWeb takes 5. Remove some")


def _check_texts(entries: GlobalEntries, table: Table, instrument: Instrument) -> None:
    for name, texts in entries:
        for text in texts:
            try:
                check_text("", text)
            except ExportError as error:
                raise TemplateError(of_attribute(table, name, instrument, text), str(error).strip()) from error

# SPDX-License-Identifier: Apache-2.0
"""Headers of FITS files as the SOLARNET recommendations want them, from what the CDF says and nothing else.

Source: SOLARNET Metadata Recommendations for Solar Observations, parts A and B; FITS standard 4.0. The file is
partially compliant (SOLARNET = 0.5), because the CDF does not know where instrument and spacecraft were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, NoReturn

from astropy.io import fits

from exports.cdf.reader import CdfReader
from exports.fits.columns import TableColumn, row_type, short_card
from exports.fits.names import ProductFile, of_cdf
from exports.fits.times import modified_julian_date
from exports.utc import day_of, iso_utc
from lake.errors import ExportError

PARTIALLY_COMPLIANT = 0.5
# Keywords that other programs look for: no CONTINUE cards for them (SOLARNET, section 2; FITS standard 4.0, 4.4.2).
LONGEST_TEXT = 68
COMMENT_WIDTH = 72
# What a variable's DICT_KEY begins with if it was made of what the instrument saw; all else is auxiliary (SOLARNET 2).
OBSERVED = ("SPASE>Wave", "SPASE>Particle", "SPASE>Field")
CONSTANTS = "CONSTANTS"
SUM_PLACES = (("CHECKSUM", "0" * 16, "sum of header and data"), ("DATASUM", "0", "sum of data"))


@dataclass(frozen=True)
class Origin:
    """What an open CDF says of itself. Raises ExportError where it lacks what a FITS header needs."""

    cdf: CdfReader

    @cached_property
    def file(self) -> ProductFile:
        """What Logical_file_id says."""
        found = of_cdf(text := self.text("Logical_file_id"))
        if found is None:
            self._refuse(f"Logical_file_id {text!r} is not that of a product", "Export the product again")
        return found

    @property
    def day(self) -> date:
        """The UTC day that the file is of."""
        return self.file.day

    @property
    def name(self) -> str:
        """EXTNAME of the table of records."""
        return self.file.descriptor.upper()

    @property
    def is_observed(self) -> bool:
        """True if a variable holds what the instrument saw."""
        keys = (v.attributes.get("DICT_KEY") for v in self.cdf.variables.values() if v.record_variance)
        return any(str(key.value).startswith(OBSERVED) for key in keys if key)

    @cached_property
    def records(self) -> int:
        """Records of the file, as many for each variable that varies."""
        counts = {v.records for v in self.cdf.variables.values() if v.record_variance}
        if len(counts) != 1 or 0 in counts:
            self._refuse(f"its variables have {sorted(counts)} records", "All need as many, and one at least")
        return counts.pop()

    @cached_property
    def epochs(self) -> tuple[int, int]:
        """TT2000 of the first and last record, both on the day."""
        if "Epoch" not in self.cdf.variables or self.cdf.variables["Epoch"].type != "CDF_TIME_TT2000":
            self._refuse("has no Epoch in TT2000", "Export the product again")
        ends = ((0, 1), (self.records - 1, self.records))
        first, last = (int(self.cdf.values("Epoch", *end)[0]) for end in ends)
        if not self.day == day_of(first) == day_of(last):
            self._refuse(f"its first and last Epoch {first}, {last} are not on {self.day}", "Export the product again")
        return first, last

    @cached_property
    def span(self) -> tuple[int, int]:
        """TT2000 from which to which the records reach, by the deltas of Epoch where the CDF has them."""
        first, last = self.epochs
        return first - self._reach("DELTA_MINUS_VAR", 0), last + self._reach("DELTA_PLUS_VAR", self.records - 1)

    @property
    def has_deltas(self) -> bool:
        """Whether the CDF says how far a record reaches."""
        return "DELTA_PLUS_VAR" in self.cdf.variables["Epoch"].attributes

    def _reach(self, attribute: str, record: int) -> int:
        """The delta of a record in ns; 0 if there is none, or it is not known."""
        entry = self.cdf.variables["Epoch"].attributes.get(attribute)
        if entry is None:
            return 0
        column = TableColumn(self.cdf.variables[str(entry.value).strip()])
        ns = int(self.cdf.values(column.variable.name, record, record + 1)[0])
        return 0 if ns == column.fill else ns

    def text(self, name: str) -> str:
        """The first entry of a global attribute."""
        if name not in self.cdf.globals:
            self._refuse(f"has no global attribute {name}", "Add it to cdf: in mission.yaml or instrument.yaml")
        return self.texts(name)[0]

    def texts(self, name: str) -> list[str]:
        """All entries of a global attribute; none if it is not there."""
        return [str(entry.value).strip() for entry in self.cdf.globals.get(name, ())]

    def short(self, name: str) -> str:
        """What stands before the `>` of an entry."""
        return self.text(name).partition(">")[0].strip()

    def long(self, name: str) -> str:
        """What stands behind the `>` of an entry."""
        return self.text(name).rpartition(">")[2].strip()

    def _refuse(self, what: str, remedy: str) -> NoReturn:
        raise ExportError(f"{self.cdf.path.name}: {what}. {remedy}")


def common_cards(origin: Origin) -> Iterator[fits.Card]:
    """The cards that the primary header and the header of the records share."""
    first, last = origin.span
    ends = ("start of the", "end of the") if origin.has_deltas else ("Epoch of the", "Epoch of the")
    generated = origin.text("Generation_date")
    yield from _cards(
        ("FILENAME", origin.file.fits_name, "name of this file"),
        ("DATE", f"{generated[:4]}-{generated[4:6]}-{generated[6:8]}", "date of the newest input"),
        ("ORIGIN", origin.text("PI_affiliation"), "where it was made"),
        ("CREATOR", origin.text("Generated_by"), "software that made it"),
        ("VERS_SW", origin.text("Software_version").rpartition(" ")[2], "version of the software"),
        ("VERSION", origin.text("Data_version"), "version of the data, X.Y.Z"),
        ("SOLNETEX", "VERSION", "keywords of another meaning than SOLARNET's"),
        ("LEVEL", origin.file.level, origin.text("Data_processing_level")),
        ("MISSION", origin.short("Source_name"), origin.long("Source_name")),
        ("OBSRVTRY", origin.short("Source_name"), "spacecraft"),
        ("TELESCOP", origin.short("Source_name"), "spacecraft"),
        ("INSTRUME", origin.short("Descriptor"), origin.long("Descriptor")),
        ("PROJECT", origin.short("Project"), origin.long("Project")),
        ("BTYPE", origin.file.descriptor, "what the data are"),
        ("BNAME", origin.long("Data_type"), "the same in words"),
        ("TIMESYS", "UTC", "time scale"),
        ("TIMEUNIT", "s", "unit of times"),
        ("DATEREF", f"{origin.day}T00:00:00", "zero point of times"),
        ("MJDREF", float(modified_julian_date(origin.day)), "[d] the same"),
        ("DATE-BEG", iso_utc(first), f"{ends[0]} first record"),
        ("DATE-AVG", iso_utc((first + last) // 2), "midway between them"),
        ("DATE-END", iso_utc(last), f"{ends[1]} last record"),
        *(("INFO_URL", url, "") for url in origin.texts("HTTP_LINK")[:1]),
        *(("DOI", doi, "") for doi in origin.texts("DOI")[:1]),
        ("PARENTXT", ", ".join([f"{origin.text('Logical_file_id')}.cdf", *origin.texts("Parents")]), ""),
    )


LONG = ("FILENAME", "BNAME", "INFO_URL", "DOI", "PARENTXT")  # of these keywords FITS reserves none


def _cards(*entries: tuple[str, Any, str]) -> Iterator[fits.Card]:
    for keyword, value, comment in entries:
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            if keyword not in LONG:
                what = f"{value!r} is longer than the {LONGEST_TEXT} characters of {keyword}"
                raise ExportError(f"FITS header: {what}. Shorten the global attribute that it comes from")
            comment = ""  # noqa: PLW2901  there is no room on cards that go on
        yield short_card(keyword, value, comment)


def _compliance(origin: Origin) -> Iterator[fits.Card]:
    """Whether a unit holds what the instrument saw, and how much of what SOLARNET wants is said of that."""
    if origin.is_observed:
        yield fits.Card("SOLARNET", PARTIALLY_COMPLIANT, "partially compliant with SOLARNET")
    yield fits.Card("OBS_HDU", int(origin.is_observed), "1 if it holds what the instrument saw")


def primary_header(origin: Origin) -> fits.Header:
    """The header of the first unit, which has no data; TEXT, rules and acknowledgement stand in its comments."""
    header = fits.Header(
        [
            fits.Card("SIMPLE", True, "conforms to FITS standard"),
            fits.Card("BITPIX", 8),
            fits.Card("NAXIS", 0),
            fits.Card("EXTEND", True),
            fits.Card("EXTNAME", "PRIMARY", "name of this unit"),
            *common_cards(origin),
            fits.Card("OBS_HDU", 0, "no data here"),
        ]
    )
    for name in ("TITLE", "TEXT", "Rules_of_use", "Acknowledgement"):
        _remark(header, "COMMENT", origin.texts(name))
    _remark(header, "HISTORY", origin.texts("MODS"))
    return _with_sums(header)


def table_header(origin: Origin, columns: tuple[TableColumn, ...], rows: int) -> fits.Header:
    """The header of a table: of the records, or of the constants if that is what its columns are."""
    is_main = any(column.day for column in columns)
    header = _table_head(columns, rows)
    for number, column in enumerate(columns, 1):
        header.extend(column.cards(number), end=True)
    header.append(fits.Card("EXTNAME", origin.name if is_main else CONSTANTS, "name of this unit"), end=True)
    header.extend([*common_cards(origin), *_compliance(origin)] if is_main else [fits.Card("OBS_HDU", 0)], end=True)
    foreign = [f"{column.name} [{column.foreign_unit}]" for column in columns if column.foreign_unit]
    if foreign:
        _remark(header, "COMMENT", [f"Units that FITS has no name for: {', '.join(foreign)}"])
    return _with_sums(header)


def _table_head(columns: tuple[TableColumn, ...], rows: int) -> fits.Header:
    """The cards that every binary table begins with (FITS standard 4.0, section 7.3.1)."""
    sizes = {"NAXIS1": row_type(columns).itemsize, "NAXIS2": rows, "PCOUNT": 0, "GCOUNT": 1, "TFIELDS": len(columns)}
    first = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, **sizes}
    return fits.Header([fits.Card(keyword, value) for keyword, value in first.items()])


def _remark(header: fits.Header, keyword: str, paragraphs: list[str]) -> None:
    for line in (line for text in paragraphs for line in _lines(text)):
        header.append(fits.Card(keyword, line), end=True)


def _lines(text: str) -> Iterator[str]:
    """The text in lines of a card, broken at blanks; a longer word is broken where the card ends."""
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > COMMENT_WIDTH:
            yield line
            line = ""
        line = f"{line} {word}" if line else word
        while len(line) > COMMENT_WIDTH:
            yield line[:COMMENT_WIDTH]
            line = line[COMMENT_WIDTH:]
    if line:
        yield line


def _with_sums(header: fits.Header) -> fits.Header:
    """The header with room for the checksums, whose comments do not carry the time of day as astropy's do."""
    header.extend([fits.Card(*place) for place in SUM_PLACES], end=True)
    return header

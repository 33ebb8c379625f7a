# SPDX-License-Identifier: Apache-2.0
"""Units as pint knows them: whether those that definitions name exist, and what leads to SI.

Loading pint takes a second, so only who checks definitions or makes a product asks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from lake.definition_tables import column_line, field_name
from lake.definition_text import numbered_rows, yaml_line
from lake.definitions import Calibration, Column, Definitions, Instrument, Mission, Table
from lake.errors import DefinitionError
from lake.xtce.reading import field_line

# What the field writes and SI does not have: steps of a converter, and the charge of an ion in eV/q.
OWN_UNITS = ("adu = []", "DN = adu", "LSB = adu", "q = elementary_charge")
POWERS = re.compile(r"(?<![\d.][eE])(?<=[A-Za-z])(-?\d+)")  # `cm2`, and not the exponent of `1e-9 T`
DEGREES = re.compile(r"\b(deg[CF])\b(?=.)|(?<=.)\b(deg[CF])\b")  # beside something else they are differences
SPELLING = re.compile(r"[\w\s./*^()%·-]+")
NUMBER_BEFORE = re.compile(r"^[\d.]+(?:[eE][-+]?\d+)?(?:/\d+)?\s+(?=[A-Za-z])")  # `12.8 us`: a factor, no unit
TEN_TO_THE = re.compile(
    r"[\d.][eE]-?\d"
)  # some libraries take the e of a number within a unit for the electron's charge
SYMBOLS = re.compile(r"[A-Za-z]+")
# The SI units with names of their own (SI Brochure, 9th edition), as the ISTP guidelines write them.
SI_UNITS = ("m", "s", "kg", "A", "K", "N", "Pa", "Hz", "V", "W", "J", "C", "T", "ohm", "H", "F")
# What a unit without dimension is a multiple of.
BARE_UNITS = {"radian": "rad", "radian ** 2": "sr", "count": "count", "dimensionless": "unitless"}
ANGLE = "radian"
PRODUCTS = re.compile(r"(?<=[\w)])[ ·]+(?=[A-Za-z(])")


@cache
def _registry() -> Any:
    from pint import UnitRegistry  # noqa: PLC0415  takes a second

    registry: Any = UnitRegistry(cache_folder=None)
    for line in OWN_UNITS:
        registry.define(line)
    return registry


def _parsed(text: str) -> Any:
    """A unit as pint has it. Raises an error of any kind if pint cannot read it."""
    spelled = PRODUCTS.sub("*", POWERS.sub(r"**(\1)", DEGREES.sub(r"delta_\1\2", text)))
    return _registry().parse_expression(spelled)


@cache
def is_unit(text: str) -> bool:
    """True for a unit as `km/s`, `1/(cm2 s sr MeV)`, `12.8 us`, `degC/128`; an empty one and `1` are none and right.

    A power of ten may stand before it (`1e-9 T`), but not within.
    """
    if text in ("", "1"):
        return True
    if not SPELLING.fullmatch(text) or TEN_TO_THE.search(NUMBER_BEFORE.sub("", text)):
        return False
    try:
        _parsed(text)
    except Exception:  # noqa: BLE001  pint raises errors of many kinds for what it cannot read
        return False
    return text == "%" or any(letter.isalpha() for letter in text)


@cache
def is_same_unit(one: str, other: str) -> bool:
    """True for two units of the same quantity and scale, however they are written: `mA` and `milliampere`."""
    if one == other:
        return True
    first, second = (_registry().Quantity(_parsed(text)).to_base_units() for text in (one, other))
    return bool(first.units == second.units and math.isclose(first.magnitude, second.magnitude, rel_tol=1e-9))


@cache
def si_factor(text: str) -> tuple[float, str] | None:
    """The factor that leads from a unit to SI, and the SI unit in the same form: (1e-9, `T`) of `nT`, (1e4, `1/m2`).

    None for no unit, for one with an offset (degC), and for one that SI does not know, as steps of a converter, or that
    has an angle in it without saying so (rpm): Hz, which it measures by dimension, is not rad/s.
    """
    if text in ("", "1") or not is_unit(text):
        return None
    plain = NUMBER_BEFORE.sub("", text).replace("%", "percent")
    symbols = {symbol: _si_symbol(symbol) for symbol in SYMBOLS.findall(plain)}
    if None in symbols.values():
        return None
    si = SYMBOLS.sub(lambda found: str(symbols[found[0]]), plain)
    comparable = "1" if si == BARE_UNITS["dimensionless"] else si
    factor = _registry().Quantity(_parsed(text)) / _registry().Quantity(_parsed(comparable))
    return float(factor.to_base_units().magnitude), si


@cache
def _si_symbol(symbol: str) -> str | None:
    """The SI unit of what a unit measures; None if there is none, if an offset leads there, or if an angle is in it."""
    unit = _registry().Unit(symbol)
    if not _registry().Quantity(1, unit)._is_multiplicative:  # pint has no other word for it
        return None
    roots = str(_registry().Quantity(1, unit).to_root_units().units)
    if unit.dimensionless:
        return BARE_UNITS.get(roots)
    if ANGLE in roots:
        return None
    return _si_of_dimension().get(str(unit.dimensionality))


@cache
def _si_of_dimension() -> dict[str, str]:
    return {str(_registry().Unit(symbol).dimensionality): symbol for symbol in SI_UNITS}


def check_units(definitions: Definitions) -> int:
    """Number of different units in the definitions. Raises DefinitionError for the first that is none.

    Also for a column that is converted to another unit than it has.
    """
    known = set()
    for place, unit in _units(definitions):
        if not is_unit(unit):
            raise DefinitionError(f"{place()}: {unit!r} is no unit. Write it as SI does, such as mA, degC or km/s.")
        known.add(unit)
    for mission in definitions.missions:
        for instrument in mission.instruments:
            for table in instrument.tables:
                _check_conversions(_tables_file(definitions, mission, instrument), instrument, table)
    return len(known - {""})


def units_of(definitions: Definitions) -> set[str]:
    """All units that the definitions name, none included."""
    return {unit for _, unit in _units(definitions)}


def _units(definitions: Definitions) -> Iterator[tuple[Any, str]]:
    """Each unit, with a function that tells where it stands."""
    shared = definitions.path / "columns.csv"
    for number, row in numbered_rows(shared):
        yield (lambda number=number, row=row: f"{shared} row {number} ({row['name']})"), row.get("unit", "")
    for mission in definitions.missions:
        for instrument in mission.instruments:
            yield from _of_sources(instrument)
            yield from _of_calibrations(instrument)
            yield from _of_tables(_tables_file(definitions, mission, instrument), instrument)


def _tables_file(definitions: Definitions, mission: Mission, instrument: Instrument) -> Path:
    return definitions.path / mission.name / instrument.name / "tables.yaml"


def _of_sources(instrument: Instrument) -> Iterator[tuple[Any, str]]:
    for source in instrument.sources:
        for field in source.fields:
            yield (lambda file=source.file, name=field.name: _in_file(Path(file), name)), field.unit


def _of_calibrations(instrument: Instrument) -> Iterator[tuple[Any, str]]:
    """The units of what channels are converted to."""
    for calibration in instrument.calibrations:
        for channel, unit in _channel_units(calibration):
            yield (lambda path=calibration.path, name=channel: _in_file(path, name, "channel")), unit


def _channel_units(calibration: Calibration) -> list[tuple[str, str]]:
    """Each channel with its unit, if a calibration has both columns; a column of nothing but 1 was read as numbers."""
    if not {"channel", "unit"} <= set(calibration.frame.columns):
        return []
    rows = calibration.frame.select("channel", "unit").unique(maintain_order=True).iter_rows()
    return [(str(channel), "" if unit is None else str(unit)) for channel, unit in rows]


def _in_file(path: Path, name: str, key: str = "name") -> str:
    """The row or line of a field or channel in its CSV or XTCE file."""
    if path.suffix != ".csv":
        return f"{path} line {field_line(path, name)} ({name})"
    rows = (number for number, row in numbered_rows(path) if name in (row[key], field_name(row[key])))
    return f"{path} row {next(rows, 1)} ({name})"


def _check_conversions(path: Path, instrument: Instrument, table: Table) -> None:
    """Raises DefinitionError if a calibration gives a column in another unit than the column's."""
    names = (*table.calibrations, *table.optional_calibrations)
    for column in (column for column in table.columns if column.conversion and column.unit):
        for calibration in instrument.calibrations:
            if calibration.name in names and column.is_converted_by(calibration.name):
                unit = _unit_of_channel(calibration, column)
                if unit and not is_same_unit(unit, column.unit):
                    raise DefinitionError(
                        f"{_in_yaml(path, table.name, column.name, 'columns')}: its unit is {column.unit}, but "
                        f"{calibration.path} converts {column.source} to {unit}. Correct one."
                    )


def _unit_of_channel(calibration: Calibration, column: Column) -> str:
    """The unit that a calibration tells of a column: that of the channel of its own name, or else of its source."""
    units = dict(_channel_units(calibration))
    return units.get(column.name, units.get(column.source or "", ""))


def _of_tables(path: Path, instrument: Instrument) -> Iterator[tuple[Any, str]]:
    for table in instrument.tables:
        for kind, nouns in (("columns", table.columns), ("axes", table.axes)):
            for noun in nouns:
                yield (lambda t=table.name, n=noun.name, k=kind: _in_yaml(path, t, n, k)), noun.unit


def _in_yaml(path: Path, table: str, name: str, kind: str) -> str:
    """The line of the column, or of its table if it has none of its own, or of the axis."""
    line = yaml_line(path, ("axes", name)) if kind == "axes" else column_line(path, table, name)
    return f"{path} line {line} ({table}.{name})"

# SPDX-License-Identifier: Apache-2.0
"""Reading limits.csv and channels.csv: what of an instrument is watched, with every name looked up in its tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path

from lake.definition_text import build, check_repeats, numbered_rows
from lake.definitions import Calibration, Definitions, Table
from lake.errors import DefinitionError
from lake.packet_definitions import INTEGER_BITS
from lake.watch_definitions import Channel, Limit, Mode
from lake.xtce.contexts import ChannelLimit

NUMBERS = (*INTEGER_BITS, "float32", "float64")
TOLD = ("string", "bool")  # what a state or a constant may be besides a number
KEYED = (*INTEGER_BITS, *TOLD)  # what has few enough values that each can be a mode of its own

Tables = Mapping[str, Table]
Labels = Mapping[str, frozenset[str]]
Placed = tuple[str, Limit]  # a limit, and the file and row or line where it stands


# ---- names ---------------------------------------------------------------------------------------------------------
def remedy(word: str, known: Iterable[str]) -> str:
    """What to do about a word that is not known: the nearest one that is."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Correct it, perhaps to {near[0]}." if near else "Correct the name."


def table_problem(tables: Tables, name: str) -> str | None:
    """What is wrong with the name of a table, and what to do."""
    return None if name in tables else f"there is no table {name}. {remedy(name, tables)}"


def column_problem(table: Table, name: str) -> str | None:
    """What is wrong with the name of a column that has to have one value in each row."""
    column = table.by_name.get(name)
    if column is None:
        return f"table {table.name} has no column {name}. {remedy(name, table.by_name)}"
    if column.is_list:
        return f"{name} of {table.name} holds a list in each row. Name a column with one value."
    return None


def number_problem(table: Table, name: str) -> str | None:
    """What is wrong with the name of a column that has to be a number."""
    if (problem := column_problem(table, name)) is not None:
        return problem
    kind = table.by_name[name].type
    return None if kind in NUMBERS else f"{name} of {table.name} is {kind} and no number. Name a column of numbers."


# ---- modes ---------------------------------------------------------------------------------------------------------
def labels_of(table: Table, calibrations: Iterable[Calibration]) -> Labels:
    """The words that the states of each converted column can be, of all dates together."""
    named = {*table.calibrations, *table.optional_calibrations}
    files = [calibration for calibration in calibrations if calibration.name in named]
    found: dict[str, frozenset[str]] = {}
    for column in (column for column in table.columns if column.conversion == "states"):
        for calibration in (file for file in files if column.is_converted_by(file.name)):
            if {"channel", "label"} <= set(calibration.frame.columns):
                rows = calibration.frame.select("channel", "label").iter_rows()
                words = {str(label) for channel, label in rows if channel in (column.name, column.source)}
                found[column.name] = found.get(column.name, frozenset()) | words
    return found


def mode_problem(table: Table, mode: Mode, labels: Labels) -> str | None:
    """What is wrong with a mode of a table: no row could ever be in it."""
    if (problem := column_problem(table, mode.column)) is not None:
        return problem
    column = table.by_name[mode.column]
    if column.type == "string":
        known = labels.get(mode.column)
        unknown = [word for word in mode.any_of if known and word not in known]
        return f"{mode.column} is never {unknown[0]!r}. {remedy(unknown[0], known or ())}" if unknown else None
    if column.type not in NUMBERS:
        return f"{mode.column} of {table.name} is {column.type}, and a mode is a number or a text. Name another column."
    low, high = column.valid or (-math.inf, math.inf)
    for text in mode.any_of:
        ends = _ends(text)
        if ends is None:
            return f"{text!r} is no number and no range low..high, and {mode.column} is a number. Correct it."
        if ends[1] < low or ends[0] > high:
            return f"{mode.column} is never {text}: its valid range is {low:g} to {high:g}. Correct one."
    return None


def _ends(text: str) -> tuple[float, float] | None:
    """Both ends of a number or of `low..high`; None if it is neither."""
    low, dots, high = text.partition("..")
    try:
        ends = float(low), float(high if dots else low)
    except ValueError:
        return None
    return ends if math.isfinite(ends[0]) and math.isfinite(ends[1]) and ends[0] <= ends[1] else None


def same_mode(one: Mode | None, other: Mode | None) -> bool:
    """True for two modes that are the same, in whatever order their values are."""
    if one is None or other is None:
        return one is other
    return one.column == other.column and set(map(_value, one.any_of)) == set(map(_value, other.any_of))


def _value(text: str) -> object:
    """A value of a mode: both ends of a number or range, so that 1 is 1.0 and 1..1; else the text."""
    return _ends(text) or text


# ---- limits --------------------------------------------------------------------------------------------------------
def read_limits(path: Path, tables: Tables, calibrations: Iterable[Calibration]) -> list[Placed]:
    """The limits of a limits.csv, in its order; none without the file. Raises DefinitionError."""
    if not path.exists():
        return []
    found: list[Placed] = []
    for number, row in numbered_rows(path):
        place = f"{path} row {number}"
        limit = build(Limit, row, f"{place} ({row.get('column', '')})")
        if (problem := _limit_problem(tables, limit, tuple(calibrations))) is not None:
            raise DefinitionError(f"{place} ({limit.column}): {problem}")
        found.append((place, limit))
    return found


def _limit_problem(tables: Tables, limit: Limit, calibrations: tuple[Calibration, ...]) -> str | None:
    if (problem := table_problem(tables, limit.table)) is not None:
        return problem
    table = tables[limit.table]
    if (problem := number_problem(table, limit.column)) is not None:
        return problem
    if table.watch is None:
        return _unwatched(table)
    if limit.when is None:
        return None
    return mode_problem(table, limit.when, labels_of(table, calibrations))


def _unwatched(table: Table) -> str:
    return f"table {table.name} is not watched. Add `watch: {{}}` to it in tables.yaml, or remove the row."


def unheard_alarms(definitions: Definitions) -> list[str]:
    """A line for each table that has limits and is not watched, so that they are counted and alert nobody.

    Only alarm ranges of XTCE files can be such: limits.csv is refused.
    """
    limits = [
        (mission.name, limit.table)
        for mission in definitions.missions
        for i in mission.instruments
        for limit in i.limits
    ]
    tables = {table: len(list(same)) for table, same in groupby(sorted(limits))}
    return [
        f"{mission}.{name}: its {count} alarm ranges of XTCE files alert nobody, for the table is not watched. "
        "Add `watch: {}` to it in tables.yaml."
        for (mission, name), count in tables.items()
        if definitions.tables[f"{mission}.{name}"].watch is None
    ]


def check_limits(limits: list[Placed]) -> None:
    """Raises DefinitionError for a limit that is there twice, or a yellow one that a red one of its mode covers."""
    for index, (place, limit) in enumerate(limits):
        alike = [
            (other_place, other)
            for other_place, other in limits[:index]
            if (other.table, other.column) == (limit.table, limit.column) and same_mode(other.when, limit.when)
        ]
        for other_place, other in alike:
            where = f"{place} ({limit.column})"
            if other.severity == limit.severity:
                mode = "of the same mode " if limit.when else ""
                raise DefinitionError(
                    f"{where}: a {limit.severity} limit {mode}is there already, at {_short(other_place)}. Remove one."
                )
            yellow, red = (limit, other) if limit.severity == "yellow" else (other, limit)
            if (problem := _cover(yellow, red)) is not None:
                raise DefinitionError(f"{where}: {problem}")


def _cover(yellow: Limit, red: Limit) -> str | None:
    """Why a yellow limit can never be seen first: red begins before it, or with it. An open end covers nothing."""
    for end, inner, outer in (("low", yellow.low, red.low), ("high", yellow.high, red.high)):
        covered = inner <= outer if end == "low" else inner >= outer
        if covered and math.isfinite(inner) and math.isfinite(outer):
            return (
                f"the yellow {end} {inner:g} is not inside the red {end} {outer:g}, so it could never be seen first. "
                "Move it inside, or leave it empty."
            )
    return None


def _short(place: str) -> str:
    """A place in a folder without the folder."""
    return place.rpartition("/")[2]


def alarm_limits(folder: Path, alarms: Iterable[ChannelLimit], tables: Tables) -> list[Placed]:
    """Alarm ranges of XTCE files, for the columns that the fields become in tables made from level 0.

    One of calibrated values is for converted columns, one of what was sent for copies. Raises DefinitionError.
    """
    return [
        (place := str(folder / alarm.place), _alarm_limit(place, alarm, table, column))
        for alarm in alarms
        for table in tables.values()
        if alarm.packet in {tables[name].packet for name in table.inputs.values() if name in tables}
        for column in _copies(table, alarm.field, alarm.calibrated)
    ]


def _copies(table: Table, field: str, converted: bool) -> list[str]:
    """The columns that hold what a field is converted to, or what was sent."""
    of_field = [column for column in table.columns if field == (column.source or column.name)]
    return [column.name for column in of_field if converted == (column.conversion is not None)]


def _alarm_limit(place: str, alarm: ChannelLimit, table: Table, column: str) -> Limit:
    when = alarm.when
    if when is not None:
        sent = _copies(table, when.column, converted=False)
        if not sent:
            raise DefinitionError(
                f"{place} ({alarm.field}): the range holds by the value of {when.column}, of which table {table.name} "
                f"has no column. Add {when.column} to its columns."
            )
        when = when.model_copy(update={"column": sent[0]})
    return Limit(
        table=table.name, column=column, severity=alarm.severity, low=alarm.low, high=alarm.high, when=when,
        samples=alarm.samples, source=alarm.place,
    )  # fmt: skip


# ---- channels ------------------------------------------------------------------------------------------------------
def read_channels(path: Path, tables: Tables) -> tuple[Channel, ...]:
    """The channels of a channels.csv, in its order; none without the file. Raises DefinitionError."""
    if not path.exists():
        return ()
    found = []
    for number, row in numbered_rows(path):
        place = f"{path} row {number} ({row.get('column', '')})"
        channel = build(Channel, row, place)
        if (problem := _channel_problem(tables, channel)) is not None:
            raise DefinitionError(f"{place}: {problem}")
        found.append((number, channel))
    check_repeats(path, "column", ((number, f"{channel.table}.{channel.column}") for number, channel in found))
    return tuple(channel for _, channel in found)


def _channel_problem(tables: Tables, channel: Channel) -> str | None:
    if (problem := table_problem(tables, channel.table)) is not None:
        return problem
    table = tables[channel.table]
    if (problem := column_problem(table, channel.column)) is not None:
        return problem
    if table.watch is None:
        return _unwatched(table)
    kind = table.by_name[channel.column].type
    if channel.kind in ("analog", "counter", "science") and kind not in NUMBERS:
        return f"{channel.column} is {kind}, and {channel.kind} is a kind of numbers. Write state or constant."
    if kind not in (*NUMBERS, *TOLD):
        return f"{channel.column} is {kind}, which cannot be watched. Remove the row."
    return _key_problem(table, channel)


def _key_problem(table: Table, channel: Channel) -> str | None:
    """What is wrong with the column whose values are the modes of a channel."""
    if channel.mode is None:
        return None
    if channel.mode == channel.column:
        return f"its mode is {channel.mode} itself. Name another column, or leave the cell empty."
    if (problem := column_problem(table, channel.mode)) is not None:
        return problem
    kind = table.by_name[channel.mode].type
    return None if kind in KEYED else f"its mode {channel.mode} is {kind}. Name a column of whole numbers or text."

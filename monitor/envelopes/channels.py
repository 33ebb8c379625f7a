# SPDX-License-Identifier: Apache-2.0
"""The channels that can be viewed over time: numbers of which a row has one, and each component of a vector."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from lake.definitions import PLACES, Column, Definitions, Table
from lake.errors import QueryError
from lake.packet_definitions import INTEGER_BITS
from lake.watch_definitions import QUALITY_FLAG, Channel

NUMBERS = (*INTEGER_BITS, "float32", "float64", "bool")
CLOCK_UNIT = "ns"  # integers of it count from an epoch: they pass 2^53 within 104 days, and a plot of them is a slope


@dataclass(frozen=True)
class Viewed:
    """A channel: a column of a table, of a vector its component at `place` from 0."""

    table: Table
    column: Column
    place: int | None = None

    @property
    def name(self) -> str:
        """The column's name, of a component with the component's: `fg_b.x`."""
        return self.column.name + (f".{self._component}" if self._component else "")

    @property
    def label(self) -> str:
        """What an axis calls it: the column's label, or its name, with the component's."""
        return (self.column.label or self.column.name) + (f" {self._component}" if self._component else "")

    @property
    def unit(self) -> str:
        """The column's unit; empty if it has none."""
        return self.column.unit

    @property
    def description(self) -> str:
        """What the column holds."""
        return self.column.description

    @property
    def _component(self) -> str:
        return "" if self.place is None else self.table.axis(self.column.axes[0]).labels[self.place]


def viewed(table: Table, watched: Iterable[Channel] = (), spans: Collection[str] = ()) -> tuple[Viewed, ...]:
    """The channels of a table in the order of its columns: all numbers of a table of level 1 or above with a strict
    order in time, of another one those that are `watched`.

    Numbers that tell which row it is are none but if they are watched: where it came from and when it was (PLACES, what
    is called the first_ or last_ of one, integers of nanoseconds), how long it lasted (`spans`), quality_flag.
    """
    everything = table.level != "l0" and table.order == "strict"
    named = {channel.column for channel in watched if channel.table == table.name}
    untold = {QUALITY_FLAG, *spans}
    columns = [
        c for c in table.columns if c.name in named or (everything and c.name not in untold and not _is_place(c))
    ]
    return tuple(channel for column in columns for channel in _channels(table, column))


def _is_place(column: Column) -> bool:
    """Whether a column counts packets, bytes or the ticks of a clock, so that a plot of it is a slope."""
    is_named = any(column.name == place or column.name.endswith(f"_{place}") for place in PLACES)
    return is_named or (column.type in INTEGER_BITS and column.unit == CLOCK_UNIT)


def viewed_of(definitions: Definitions, table: Table) -> tuple[Viewed, ...]:
    """The channels of a table, with those that the channels.csv of its instrument names, without the columns from which
    its products say how far a record reaches from its epoch."""
    instrument = definitions.instrument(table)
    spans = {name for product in instrument.products for name in (product.delta_minus, product.delta_plus) if name}
    return viewed(table, instrument.channels, spans)


def viewed_tables(definitions: Definitions) -> list[Table]:
    """The tables that have channels, in the order of the definitions."""
    return [table for table in definitions.tables.values() if viewed_of(definitions, table)]


def find(definitions: Definitions, address: str, name: str) -> Viewed:
    """The channel of that name. Raises QueryError if there is none."""
    found = {channel.name: channel for channel in viewed_of(definitions, find_table(definitions, address))}
    if name not in found:
        raise QueryError(f"{address}: has no channel {name[:80]!r}. Choose one that its page lists.")
    return found[name]


def find_table(definitions: Definitions, address: str) -> Table:
    """The table at an address, if it has channels. Raises QueryError if not."""
    table = definitions.tables.get(address)
    if table is None or not viewed_of(definitions, table):
        raise QueryError(f"{address[:80]!r}: is no table with channels. Choose one that the viewer lists.")
    return table


def _channels(table: Table, column: Column) -> list[Viewed]:
    if column.type not in NUMBERS or column.ragged:
        return []
    if not column.axes:
        return [Viewed(table, column)]
    labels = table.axis(column.axes[0]).labels if len(column.axes) == 1 else ()
    return [Viewed(table, column, place) for place in range(len(labels))]

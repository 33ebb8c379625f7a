# SPDX-License-Identifier: Apache-2.0
"""What a client asks for, read strictly: HAPI wants what a server does not know to be refused, never passed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import cast, get_args
from urllib.parse import parse_qsl

from exports.hapi.encoding import Format
from exports.hapi.fields import TIME, Field
from exports.hapi.holdings import Dataset, Day
from exports.hapi.status import (
    BAD_START,
    BAD_STOP,
    EMPTY_RANGE,
    INPUT,
    OUT_OF_ORDER,
    OUTSIDE,
    TOO_MUCH,
    UNKNOWN_DATASET,
    UNKNOWN_DEPTH,
    UNKNOWN_FORMAT,
    UNKNOWN_INCLUDE,
    UNKNOWN_PARAMETER,
    UNKNOWN_REQUEST_PARAMETER,
    UNKNOWN_RESOLVE,
    Refusal,
)
from exports.hapi.times import parse_time, text

# Names of HAPI 2, which servers of HAPI 3 must take as well.
FORMER = {"id": "dataset", "time.min": "start", "time.max": "stop"}
OF_CATALOG = ("depth", "resolve_references")
OF_INFO = ("dataset", "parameters", "resolve_references")
OF_DATA = (*OF_INFO, "start", "stop", "include", "format")
MOST_PAIRS = 16  # more than there are request parameters
SHOWN = 60  # characters of what was asked, in the answer that refuses it

Query = Mapping[str, str]
Datasets = Mapping[str, Dataset]


@dataclass(frozen=True)
class DataRequest:
    """Records of a dataset with start <= time < stop [TT2000 ns], and how they are wanted."""

    dataset: Dataset
    fields: tuple[Field, ...]
    start: int
    stop: int
    format: Format
    header: bool

    @property
    def days(self) -> list[Day]:
        """The days that it has a part of."""
        return self.dataset.within(self.start, self.stop)

    @property
    def expected(self) -> int:
        """About how many records there will be: those of each day, by the part of it that is asked for."""
        parts = (
            day.records * (min(self.stop, day.stop) - max(self.start, day.start)) / (day.stop - day.start)
            for day in self.days
        )
        return round(sum(parts))


def read_query(query: str, known: tuple[str, ...]) -> Query:
    """The request parameters by name. Raises Refusal for unknown ones, and for those that come twice."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="replace", max_num_fields=MOST_PAIRS)
    except ValueError:
        raise Refusal(INPUT, f"There are more than {MOST_PAIRS} request parameters.") from None
    found: dict[str, str] = {}
    for given, value in pairs:
        name = FORMER.get(given, given)
        if name not in known:
            raise Refusal(
                UNKNOWN_REQUEST_PARAMETER, f"{_shown(given)} is none; there are: {', '.join(known) or 'none'}."
            )
        if name in found:
            raise Refusal(INPUT, f"{name} is given twice.")
        found[name] = value
    _choice(found, "resolve_references", ("true", "false"), UNKNOWN_RESOLVE)
    return found


def depth_of(query: Query) -> str:
    """How deep a catalog is wanted."""
    return _choice(query, "depth", ("dataset", "all"), UNKNOWN_DEPTH)


def dataset_of(query: Query, datasets: Datasets) -> Dataset:
    """The dataset that is asked for."""
    name = query.get("dataset", "")
    if not name:
        raise Refusal(INPUT, "Give dataset=, one of /hapi/catalog.")
    if name not in datasets:
        raise Refusal(UNKNOWN_DATASET, f"{_shown(name)} is not in /hapi/catalog.")
    return datasets[name]


def fields_of(query: Query, dataset: Dataset) -> tuple[Field, ...]:
    """The fields that are asked for, time first; all of them where none are named."""
    wanted = query.get("parameters", "")
    if not wanted:
        return dataset.fields
    places = {field.name: place for place, field in enumerate(dataset.fields)}
    names = wanted.split(",")
    for name in names:
        if name not in places:
            raise Refusal(UNKNOWN_PARAMETER, f"{dataset.id} has no parameter {_shown(name)}.")
    chosen = [places[name] for name in names]
    if any(later <= place for place, later in pairwise(chosen)):
        raise Refusal(OUT_OF_ORDER, f"Name each once, in the order of /hapi/info?dataset={dataset.id}.")
    return tuple(dataset.fields[place] for place in dict.fromkeys([places[TIME], *chosen]))


def data_request(query: Query, datasets: Datasets, most_records: int) -> DataRequest:
    """A request for data. Raises Refusal, also where it is for more records than are given at a time."""
    dataset = dataset_of(query, datasets)
    fields = fields_of(query, dataset)
    wanted = cast("Format", _choice(query, "format", get_args(Format), UNKNOWN_FORMAT))
    header = _choice(query, "include", ("", "header"), UNKNOWN_INCLUDE) == "header"
    start, stop = _time(query, "start", BAD_START), _time(query, "stop", BAD_STOP)
    _check_range(dataset, start, stop)
    request = DataRequest(dataset, fields, start, stop, wanted, header)
    if request.expected > most_records:
        detail = f"These are about {request.expected} records, at most {most_records} are given. Ask for less time."
        raise Refusal(TOO_MUCH, detail)
    return request


def _check_range(dataset: Dataset, start: int, stop: int) -> None:
    if start >= stop:
        raise Refusal(EMPTY_RANGE, f"{text(start)} is not before {text(stop)}.")
    first, last = dataset.days[0].start, dataset.days[-1].stop
    if start < first or stop > last:
        raise Refusal(OUTSIDE, f"There are data from {text(first)[:10]}Z to {text(last)[:10]}Z.")


def _time(query: Query, name: str, code: int) -> int:
    given = query.get(name, "")
    if not given:
        raise Refusal(code, f"Give {name}=, such as 2026-08-01T00:00:00Z.")
    try:
        return parse_time(given)
    except ValueError as error:
        raise Refusal(code, f"{_shown(given)} {error}.") from None


def _choice(query: Query, name: str, choices: tuple[str, ...], code: int) -> str:
    """One of the words that are allowed, the first by default."""
    given = query.get(name, choices[0])
    if given not in choices:
        raise Refusal(code, f"{_shown(given)} is none of {', '.join(filter(None, choices))}.")
    return given


def _shown(given: str) -> str:
    return ascii(given if len(given) <= SHOWN else f"{given[:SHOWN]}...")

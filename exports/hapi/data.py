# SPDX-License-Identifier: Apache-2.0
"""The body of an answer to a request for data: a header if one is wanted, then records, a few megabytes at a time."""

from __future__ import annotations

import json
from collections.abc import Generator
from itertools import islice
from typing import Any

from exports.hapi.describing import info
from exports.hapi.encoding import ENCODERS
from exports.hapi.requests import DataRequest
from exports.hapi.rows import Columns, records
from exports.hapi.status import NO_DATA, OK, Status
from exports.hapi.streaming import Chunks
from lake.store import Lake


class Body:
    """The records of a request; the first are read at once, by which it is known whether there are any.

    Raises what exports.hapi.rows raises.
    """

    def __init__(self, lake: Lake, request: DataRequest, most_records: int) -> None:
        self.request, self.most_records = request, most_records
        self._columns = _columns(lake, request)
        self._first = list(islice(self._columns, 1))
        self.status = Status(OK if self._first else NO_DATA)

    def close(self) -> None:
        """Read no more."""
        self._columns.close()

    def chunks(self) -> Chunks:
        """The bytes."""
        try:
            yield from self._json() if self.request.format == "json" else self._plain()
        finally:
            self.close()

    def _plain(self) -> Chunks:
        if self.request.header:
            lines = json.dumps(self._header(), indent=1).splitlines()
            yield "".join(f"#{line}\n" for line in lines).encode()
        yield from self._encoded()

    def _json(self) -> Chunks:
        """One document: the header, and the records in it as its last entry."""
        yield json.dumps(self._header())[:-1].encode() + b',\n"data": ['
        rows = self._encoded()
        yield next(rows, b"").removeprefix(b",")
        yield from rows
        yield b"\n]}\n"

    def _encoded(self) -> Chunks:
        encode = ENCODERS[self.request.format]
        while self._first:  # not kept while others are made
            yield encode(self.request.fields, self._first.pop())
        for columns in self._columns:
            yield encode(self.request.fields, columns)

    def _header(self) -> dict[str, Any]:
        about = info(self.request.dataset, self.request.fields, self.most_records)
        return self.status.document() | {"format": self.request.format} | about


def _columns(lake: Lake, request: DataRequest) -> Generator[Columns]:
    dataset = request.dataset
    for day in request.days:
        yield from records(lake, dataset.table, day, request.fields, dataset.axes(day), request.start, request.stop)

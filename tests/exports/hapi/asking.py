# SPDX-License-Identifier: Apache-2.0
"""Asks the HAPI application without a server, and reads what it says."""

from __future__ import annotations

import asyncio
import json
from copy import copy
from dataclasses import dataclass
from math import prod
from typing import Any
from urllib.parse import urlencode

import numpy as np

from exports.hapi.serving import Manner, application
from lake.answers import Answers
from lake.health import Health
from lake.hosts import LOOPBACK
from lake.store import Lake

Values = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Got:
    """What came back; `whole` is false if the body has no end."""

    http: int
    headers: dict[str, str]
    body: bytes
    whole: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> int:
        """HAPI's own status, of the body or else of the line before it."""
        return int(self.headers["x-reason-phrase"].split()[1])


class Client:
    """One application, asked in the process of the test."""

    def __init__(self, lake: Lake, manner: Manner | None = None, hosts: frozenset[str] | None = LOOPBACK) -> None:
        self.app = application(lake, Answers(lake), Health("hapi"), manner, hosts)
        self.host = "localhost"

    def called(self, host: str) -> Client:
        """The same server, called by another name."""
        other = copy(self)
        other.host = host
        return other

    def get(self, path: str, method: str = "GET", query: str = "", gzip: bool = False, /, **asked: str) -> Got:
        """An answer to a path below /hapi; what is asked for is quoted."""
        return asyncio.run(self._get(f"/hapi{path}", method, query or urlencode(asked), gzip))

    async def _get(self, path: str, method: str, query: str, gzip: bool) -> Got:
        sent: list[Any] = []

        async def receive() -> Any:
            return await asyncio.Future()  # a client that stays

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", self.host.encode()), *([(b"accept-encoding", b"gzip")] if gzip else [])]
        scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": headers}
        await self.app(scope, receive, send)
        known = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        body = b"".join(message.get("body", b"") for message in sent[1:])
        return Got(sent[0]["status"], known, body, not sent[-1].get("more_body", False))

    def parameters(self, dataset: str) -> list[Any]:
        return list(self.get("/info", dataset=dataset).json["parameters"])

    def data(self, dataset: str, **asked: str) -> Got:
        """All days of a dataset, unless something else is asked for."""
        about = self.get("/info", dataset=dataset).json
        return self.get("/data", **{"dataset": dataset, "start": about["startDate"], "stop": about["stopDate"]} | asked)

    def columns(self, dataset: str, form: str, **asked: str) -> dict[str, Values]:
        """The values of each parameter."""
        wanted = asked.get("parameters")
        parameters = self.get("/info", dataset=dataset, **({"parameters": wanted} if wanted else {})).json["parameters"]
        body = self.data(dataset, format=form, **asked).body
        return READERS[form](body, parameters)


def _binary(body: bytes, parameters: list[Any]) -> dict[str, Values]:
    kinds = {"double": "<f8", "integer": "<i4", "isotime": "S30"}
    dtype = np.dtype([(p["name"], kinds[p["type"]], tuple(p.get("size", ()))) for p in parameters])
    records = np.frombuffer(body, dtype)
    return {p["name"]: records[p["name"]] for p in parameters}


def _csv(body: bytes, parameters: list[Any]) -> dict[str, Values]:
    lines = [line.split(",") for line in body.decode().splitlines() if not line.startswith("#")]
    found, place = {}, 0
    for p in parameters:
        shape = tuple(p.get("size", ()))
        cells = [line[place : place + prod(shape)] for line in lines]
        found[p["name"]] = np.array(cells).astype(_dtype(p)).reshape(len(lines), *shape)
        place += prod(shape)
    assert all(len(line) == place for line in lines)
    return found


def _json(body: bytes, parameters: list[Any]) -> dict[str, Values]:
    rows = json.loads(body)["data"]
    return {p["name"]: np.array([row[i] for row in rows]).astype(_dtype(p)) for i, p in enumerate(parameters)}


def _dtype(parameter: Any) -> str:
    return {"double": "f8", "integer": "i4", "isotime": "S30"}[parameter["type"]]


READERS = {"binary": _binary, "csv": _csv, "json": _json}

# SPDX-License-Identifier: Apache-2.0
"""The documents of HAPI without their status: what the server can do, who runs it, what it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exports.hapi import describing
from exports.hapi.encoding import ENCODERS
from exports.hapi.fields import Field
from exports.hapi.holdings import Dataset
from lake.definitions import Definitions

Document = dict[str, Any]
Datasets = Mapping[str, Dataset]


def capabilities() -> Document:
    """The formats of data, and how deep a catalog may be asked for."""
    return {"outputFormats": list(ENCODERS), "catalogDepthOptions": ["dataset", "all"]}


def about(definitions: Definitions, datasets: Datasets, contact: str) -> Document:
    """What the server is, and a request that gives some records, by which clients see whether it works."""
    missions = ", ".join(mission.title for mission in definitions.missions)
    document = {
        "id": "swxlake",
        "title": "Products of a swxlake",
        "contact": contact,
        "description": f"Products of {missions}: the values of their newest CDF files.",
    }
    first = next(iter(datasets.values()), None)
    return document | ({} if first is None else {"dataTest": {"name": "Some records", "query": _sample(first)}})


def _sample(dataset: Dataset) -> Document:
    start, stop = describing.sample(dataset)
    return {"dataset": dataset.id, "start": start, "stop": stop}


def catalog(datasets: Datasets, depth: str, most_records: int) -> Document:
    """The datasets, with all that is said of them if `depth` is `all`."""
    entries: list[Document] = []
    for dataset in datasets.values():
        more = {"info": info(dataset, dataset.fields, most_records)} if depth == "all" else {}
        entries.append({"id": dataset.id, "title": describing.title(dataset)} | more)
    return {"catalog": entries}


def info(dataset: Dataset, fields: Sequence[Field], most_records: int) -> Document:
    """A dataset with some of its fields."""
    return describing.info(dataset, fields, most_records)

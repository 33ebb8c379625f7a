# SPDX-License-Identifier: Apache-2.0
"""The generated page of each dataset, and the lock of each instrument's datasets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from exports.cdf.spec import Attribute
from exports.datasets.dataset import Dataset
from exports.datasets.lock import FILE, lock_path, lock_text, violations
from exports.datasets.master import PER_FILE, master_name
from exports.istp.variable import Variable
from swxlake.markdown import GENERATED, grid, page

HEADER = ("variable", "type", "sizes", "unit", "fill", "valid", "depends on", "description")


def dataset_pages(datasets: Sequence[Dataset]) -> dict[str, str]:
    """A page for each dataset with the variables of its files and their global attributes, by file name."""
    return {f"{dataset.name}.md": page(_dataset(dataset)) for dataset in datasets}


def locks(missions: Path, datasets: Sequence[Dataset]) -> dict[Path, str]:
    """The text that each instrument's lock should have, by its path."""
    by_path = groupby(datasets, lambda dataset: lock_path(missions, dataset))
    return {path: lock_text(list(own)) for path, own in by_path}


def broken_locks(missions: Path, datasets: Sequence[Dataset]) -> dict[Path, list[str]]:
    """Locks that must not be written anew, for a structure changed without a new X, or the lock did: why, by path."""
    own: dict[Path, list[Dataset]] = {path: [] for path in sorted(missions.glob(f"*/*/{FILE}"))}
    for dataset in datasets:
        own.setdefault(lock_path(missions, dataset), []).append(dataset)
    found = {path: violations(path, its) for path, its in own.items()}
    return {path: problems for path, problems in found.items() if problems}


def _dataset(dataset: Dataset) -> list[str]:
    structure, product = dataset.structure, dataset.product
    made = f"Files of one UTC day, made of [{structure.table.address}](../dictionary/{_page_of(dataset)})."
    facts = [
        f"Version {product.version}.Z.",
        f"Master: `{master_name(dataset)}.cdf`.",
        f"Majority: {product.majority}.",
    ]
    facts += [f"DOI: {product.doi}." if product.doi else "DOI: to be assigned."]
    facts += [f"SPASE: {product.spase_id}." if product.spase_id else "SPASE: to be assigned."]
    entries = [(f"`{name}`", "; ".join(texts)) for name, texts in structure.global_attributes if name not in PER_FILE]
    return [
        f"# {dataset.name}: {product.title}",
        GENERATED,
        " ".join([made, *facts]),
        " ".join(product.text.split()),
        "## Variables",
        grid(HEADER, [_variable(variable) for variable in structure.variables]),
        "## Global attributes",
        f"Besides these, each file has its own {', '.join(f'`{name}`' for name in PER_FILE)}.",
        grid(("attribute", "value"), entries),
    ]


def _page_of(dataset: Dataset) -> str:
    return f"{dataset.mission.name}_{dataset.instrument.name}.md"


def _variable(variable: Variable) -> tuple[str, ...]:
    spec = variable.spec
    found = {attribute.name: attribute for attribute in spec.attributes}
    sizes = " x ".join(str(size) for size in spec.dims) or "1"
    low, high, fill = (_text(found.get(name)) for name in ("VALIDMIN", "VALIDMAX", "FILLVAL"))
    depends = [f"`{a.value}`" for a in spec.attributes if a.name.startswith("DEPEND_")]
    kind = spec.type.removeprefix("CDF_") + ("" if spec.record_variance else ", constant")
    valid = f"{low} to {high}" if low else ""
    unit = _text(found.get("UNITS")).strip()
    words = _text(found.get("CATDESC"))
    return (f"`{spec.name}`", kind, sizes, unit, fill.strip(), valid, ", ".join(depends), words)


def _text(attribute: Attribute | None) -> str:
    if attribute is None:
        return ""
    value = attribute.value
    return (
        value if isinstance(value, str) else ", ".join(f"{n:.12g}" if isinstance(n, float) else str(n) for n in value)
    )

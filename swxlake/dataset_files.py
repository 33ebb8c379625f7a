# SPDX-License-Identifier: Apache-2.0
"""What is known of each dataset, and its master CDF, skeleton and SPASE record as files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from exports.datasets.dataset import Dataset, datasets
from exports.datasets.master import master_name, write_master
from exports.datasets.skeleton import skeleton
from exports.datasets.spase import spase_record
from lake.definitions import Definitions
from lake.errors import ConfigurationError, StorageError
from swxlake.cli_options import similar
from swxlake.outcome import Outcome


def list_datasets(definitions: Definitions, name: str | None = None, out: Path | None = None) -> Outcome:
    """The datasets, or the one of that name, and the files written to `out`, over those of an earlier time.

    Raises ConfigurationError if there is none of that name, StorageError if the folder cannot be written.
    """
    known = datasets(definitions)
    chosen = [dataset for dataset in known if name in (None, dataset.name)]
    if not chosen:
        raise ConfigurationError(f"there is no dataset {name!r}.{similar(str(name), [d.name for d in known])}")
    outcome = Outcome(tables={"datasets": [_row(dataset) for dataset in chosen]})
    if out is not None:
        outcome.facts["written"] = [str(path) for dataset in chosen for path in write_files(dataset, out)]
    return outcome


def _row(dataset: Dataset) -> dict[str, Any]:
    product, variables = dataset.product, dataset.structure.variables
    return {
        "dataset": dataset.name,
        "version": f"{product.version}.Z",
        "table": dataset.structure.table.address,
        "variables": len(variables),
        "formats": ", ".join(dataset.mission.formats),
        "doi": product.doi or "to be assigned",
        "spase": product.spase_id or "to be assigned",
    }


def write_files(dataset: Dataset, folder: Path) -> list[Path]:
    """Write master CDF, skeleton and SPASE record of a dataset; each appears whole."""
    stem = master_name(dataset)
    texts = {f"{stem}.skt": skeleton(dataset), f"{stem}.xml": spase_record(dataset)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".datasets-", dir=folder) as aside:
            made = [write_master(dataset, Path(aside))]
            for name, text in texts.items():
                (Path(aside) / name).write_text(text, encoding="utf-8")
                made.append(Path(aside) / name)
            return [path.replace(folder / path.name) for path in made]
    except OSError as error:
        raise StorageError(f"{folder}: {error.strerror}. Choose another --out.") from error

# SPDX-License-Identifier: Apache-2.0
"""The master CDF of a dataset: every variable and attribute, the values of constants, and no record of anything else.

SPDF makes one from the first files that it gets, and refuses later ones of another structure. This one is made before.
"""

from __future__ import annotations

from pathlib import Path

from exports.cdf.file import CdfFile
from exports.datasets.dataset import Dataset
from exports.istp.globals import GlobalEntries

# The global attributes that may differ from file to file; all others are those of the master. TEXT tells what a day
# rests on that is assumed; the others are those of the edition.
PER_FILE = (
    "TEXT",
    "Skeleton_version",
    "Logical_file_id",
    "Data_version",
    "Generation_date",
    "Software_version",
    "Parents",
)
NO_DAY = "00000000"  # in place of the date, as SPDF names masters


def master_name(dataset: Dataset) -> str:
    """The master's file name without `.cdf`, such as `padre_meddea_l1-photon_00000000_v01`."""
    return f"{dataset.name}_{NO_DAY}_v{_version(dataset)}"


def master_globals(dataset: Dataset) -> GlobalEntries:
    """The master's global attributes: those of the dataset, and of its own version instead of a day's."""
    own = {
        "Skeleton_version": str(dataset.major),
        "Logical_file_id": master_name(dataset),
        "Data_version": _version(dataset),
    }
    return (*dataset.structure.global_attributes, *((name, (text,)) for name, text in own.items()))


def write_master(dataset: Dataset, folder: Path) -> Path:
    """Write the master into a folder; equal definitions give equal bytes. Raises ExportError if it is there already."""
    structure = dataset.structure
    path = folder / f"{master_name(dataset)}.cdf"
    specs = [variable.spec for variable in structure.variables]
    with CdfFile(path, master_globals(dataset), specs, majority=structure.majority) as file:
        for variable in structure.variables:
            with file.records(variable.spec.name, 0 if variable.column else 1) as records:
                if variable.column is None:
                    records.append(variable.constant())
    return path


def _version(dataset: Dataset) -> str:
    return f"{dataset.major:02d}"

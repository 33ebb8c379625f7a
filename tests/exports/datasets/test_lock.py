# SPDX-License-Identifier: Apache-2.0
"""The lock notices a change of structure without a new major version, and lets all else pass."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from exports.datasets.dataset import Dataset
from exports.datasets.lock import lock_path, lock_text, violations
from exports.provenance import outline_of
from swxlake.reference_datasets import broken_locks
from tests.exports.datasets.conftest import Changed

TABLES, PRODUCTS = "box/tables.yaml", "box/cdf.yaml"
STRUCTURE = {
    "a unit": (TABLES, "unit: eV", "unit: keV", "heat was `CDF_REAL4[2,3] by record VAR_TYPE=data UNITS=eV"),
    "a type": (TABLES, "flow_km_s, type: float32", "flow_km_s, type: float64", "and is `CDF_REAL8[2] by record"),
    "a size": (TABLES, "size: 3, first: 1, step: 2", "size: 4, first: 1, step: 2", "level was `CDF_REAL4[3] constant"),
    "a valid range": (TABLES, "[0, 4095]", "[0, 4094]", "VALIDMAX=4094"),
    "a role": (TABLES, "Particle>ParticleType:Proton,ParticleQ", "Support>SupportQ", "VAR_TYPE=support_data UNITS=eV"),
    "a name": (TABLES, "name: heat,", "name: warmth,", "no heat any more and warmth is new"),
    "a new variable": (TABLES, "type: string, export: false", "type: int8, valid: [0, 9]", "word is new"),
    "one less": (PRODUCTS, "mods:", "omit: [heat]\n    mods:", "no level, level_label, heat any more"),
    "an uncertainty": (TABLES, "uncertainty: voltage_sigma_v, ", "", "voltage_v was `CDF_REAL8 by record"),
    "the range of all days": (TABLES, "[0, 10], description: Place", "[0, 11], description: Place", "part was"),
    "a longer label": (TABLES, "a part, label: Part", "a part, label: Parts", "CDF_CHAR*21"),
    "exchanged labels": (TABLES, "[left, right]", "[right, left]", "side_label was `CDF_CHAR*5[2] constant values"),
    "a label of equal length": (TABLES, "[left, right]", "[left, wrong]", "values=left,wrong"),
    "a cell that no calibration gives": (TABLES, "first: 1, step: 2", "cells: [1, 3, 4]", "values=1.0,3.0,4.0"),
    "borders of cells": (TABLES, "step: 2, unit", "step: 2, minus: 1, plus: 1, unit", "delta_minus, level_delta_plus"),
    "a frame": (TABLES, "frame: BOX", "frame: GSE", "COORDINATE_SYSTEM=GSE"),
    "the place of the time": (PRODUCTS, "bin_location: 0.5", "bin_location: 0.0", "Epoch was `CDF_TIME_TT2000 by"),
    "a missing attribute": (TABLES, "unit: cm", 'unit: "1"', "level was `CDF_REAL4[3] constant values=1.0,3.0,5.0"),
    "a global attribute": ("mission.yaml", "Discipline:", "Box: one\n  Discipline:", "attributes: was"),
    "majority": (PRODUCTS, "mods:", "majority: column\n    mods:", "majority: was `row` and is `column`"),
}  # fmt: skip
WORDS = {
    "a description": (TABLES, "Heat of each", "Warmth of each"),
    "a scale": (TABLES, "unit: eV", "scale: log, unit: eV"),
    "a title": (PRODUCTS, "title: Ticks", "title: All ticks"),
    "compression": (PRODUCTS, "mods:", "compression: 6\n    mods:"),
    "an algorithm": (PRODUCTS, '"1.0"', '"1.1"'),
    "notes": (
        TABLES,
        "Heat of each part and level",
        "Heat of each part and level. " + "It is measured with care. " * 4,
    ),
    "a person": ("mission.yaml", "A. Tester", "B. Tester"),
    "a calibration": ("box/calibration/parts_20250101.csv", "9.5,", "9.25,"),
    "an identifier": (PRODUCTS, "mods:", "doi: https://doi.org/10.1234/x\n    mods:"),
}


@pytest.fixture
def lock(box: Dataset, missions: Path) -> Path:
    path = lock_path(missions, box)
    path.write_text(lock_text([box]))
    return path


def test_a_lock_reads_line_by_line(box: Dataset, missions: Path) -> None:
    assert lock_path(missions, box) == missions / "toy" / "box" / "cdf.lock"
    lines = lock_text([box]).splitlines()
    assert lines[4:7] == ["dataset: toy_box_l1-tick", "version: 1", "majority: row"]
    assert lines[7].startswith("attributes: Source_name Project Discipline ")
    assert "flow_km_s CDF_REAL4[2] by record VAR_TYPE=data UNITS=km/s DEPEND_0=Epoch LABL_PTR_1=side_label " \
        "COORDINATE_SYSTEM=BOX TENSOR_ORDER=1 REPRESENTATION_1=side_label VALIDMIN=-1e+30 VALIDMAX=1e+30 " \
        "FILLVAL=-1e+31 and CATDESC FIELDNAM SI_CONVERSION FORMAT SCALETYP DISPLAY_TYPE DICT_KEY" in lines  # fmt: skip
    assert any(line.startswith("level CDF_REAL4[3] constant values=1.0,3.0,5.0 ") for line in lines)
    assert any(line.startswith("part CDF_REAL4[2] constant VAR_TYPE=") for line in lines)  # others on another day
    assert lines[-1].startswith("sha256: ")


def test_an_unchanged_structure_is_as_locked(box: Dataset, lock: Path) -> None:
    assert violations(lock, [box]) == []


def test_without_a_lock_nothing_is_broken(box: Dataset, missions: Path) -> None:
    assert violations(lock_path(missions, box), [box]) == []


@pytest.mark.parametrize("name", STRUCTURE)
def test_a_changed_structure_is_told_with_what_changed_and_the_remedy(name: str, lock: Path, changed: Changed) -> None:
    file, before, after, word = STRUCTURE[name]
    (problem,) = violations(lock, [changed((file, before, after))])
    assert problem.startswith(f"{lock}: the structure of toy_box_l1-tick changed within version 1: ")
    assert word in problem
    assert f"raise `version` of box_l1_tick in {lock.with_name('cdf.yaml')} to 2.0 and run `make docs`." in problem


@pytest.mark.parametrize("name", STRUCTURE)
def test_with_a_new_major_version_it_may_change(name: str, lock: Path, changed: Changed) -> None:
    file, before, after, _ = STRUCTURE[name]
    box = changed((file, before, after), (PRODUCTS, 'version: "1.0"', 'version: "2.0"'))
    assert violations(lock, [box]) == []
    assert lock_text([box]) != lock.read_text()


@pytest.mark.parametrize("name", WORDS)
def test_words_formats_and_compression_are_no_structure(name: str, lock: Path, changed: Changed) -> None:
    box = changed(WORDS[name])
    assert violations(lock, [box]) == []
    assert lock_text([box]) == lock.read_text()


def test_variables_that_changed_places_are_told(lock: Path, changed: Changed, missions: Path) -> None:
    path = missions / "toy" / TABLES
    lines = path.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if "voltage_sigma_v, type" in line)
    lines[at - 1], lines[at] = lines[at], lines[at - 1]
    path.write_text("\n".join(lines) + "\n")
    (problem,) = violations(lock, [changed()])
    assert "voltage_sigma_v is at another place" in problem


def test_many_values_are_told_by_their_ends_and_a_hash(lock: Path, changed: Changed) -> None:
    lock.write_text(lock_text([changed((TABLES, "size: 3, first: 1, step: 2", "size: 10, first: 1, step: 2"))]))
    digest = sha256(b"1.0,3.0,5.0,7.0,9.0,11.0,13.0,15.0,17.0,19.0").hexdigest()[:16]
    assert f"level CDF_REAL4[10] constant values=1.0..19.0#{digest} VAR_TYPE=" in lock.read_text()
    (problem,) = violations(
        lock, [changed((TABLES, "first: 1, step: 2", "cells: [1, 2, 5, 7, 9, 11, 13, 15, 17, 19]"))]
    )
    assert "and is `CDF_REAL4[10] constant values=1.0..19.0#" in problem


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_dataset_that_is_renamed_or_gone_is_told_until_its_block_is_removed(
    version: str, missions: Path, lock: Path, changed: Changed
) -> None:
    box = changed(
        (TABLES, "  box_l1_tick:", "  box_l1_tock:"),
        (PRODUCTS, "box_l1_tick:", "box_l1_tock:"),
        (PRODUCTS, '"1.0"', f'"{version}"'),
    )
    locked = lock.read_text()
    for left in ([box], []):
        (problem,) = violations(lock, left)
        assert problem == (
            f"{lock}: toy_box_l1-tick is locked, and no dataset of {lock.with_name('cdf.yaml')} has this name. "
            "Define it again under this name, or, if it shall be no more, remove its block from the lock by hand."
        )
    assert broken_locks(missions, []) == {lock: [problem]}  # where the instrument has no dataset any more
    lock.write_text(locked[: locked.index("dataset:")])
    assert broken_locks(missions, [box]) == {}


@pytest.mark.parametrize("name", STRUCTURE)
def test_what_breaks_a_lock_gives_files_a_new_x(name: str, box: Dataset, changed: Changed) -> None:
    assert outline_of(box.structure) != outline_of(changed(STRUCTURE[name][:3]).structure)


@pytest.mark.parametrize("name", WORDS)
def test_what_breaks_no_lock_gives_files_no_new_x(name: str, box: Dataset, changed: Changed) -> None:
    assert outline_of(box.structure) == outline_of(changed(WORDS[name]).structure)


def test_a_version_does_not_fall(lock: Path, changed: Changed) -> None:
    (problem,) = violations(lock, [changed((PRODUCTS, 'version: "1.0"', 'version: "0.9"'))])
    assert "toy_box_l1-tick is locked at version 1.Y" in problem


def test_a_new_dataset_breaks_no_lock(box: Dataset, lock: Path) -> None:
    lock.write_text(lock_text([]))
    assert violations(lock, [box]) == []


def test_a_lock_that_was_edited_is_told(box: Dataset, lock: Path) -> None:
    lock.write_text(lock.read_text().replace("VALIDMAX=4095", "VALIDMAX=4096"))
    assert violations(lock, [box]) == [
        f"{lock}: toy_box_l1-tick was changed by hand. Restore the file from version control."
    ]

# SPDX-License-Identifier: Apache-2.0
"""The master CDF holds the whole structure and no data, and NASA's own library reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from exports.datasets.dataset import Dataset
from exports.datasets.master import PER_FILE, master_name, write_master
from exports.istp.globals import edition_globals
from lake.errors import ExportError
from tests.exports.conftest import EDITION

pycdf = pytest.importorskip("spacepy.pycdf", reason="needs spacepy and NASA's CDF library")


def test_the_master_is_named_by_a_day_of_zeros_and_the_major_version(box: Dataset) -> None:
    assert master_name(box) == "toy_box_l1-tick_00000000_v01"


def test_it_has_every_variable_and_no_record_but_constants(box: Dataset, tmp_path: Path) -> None:
    with pycdf.CDF(str(write_master(box, tmp_path))) as file:
        assert list(file) == [variable.spec.name for variable in box.structure.variables]
        lengths = {name: len(file[name]) for name in file if file[name].rv()}
        assert set(lengths.values()) == {0}
        assert set(file) - set(lengths) == {
            *("part", "part_delta_minus", "part_delta_plus", "part_label"),
            *("side_label", "level", "level_label"),
        }
        assert file["part"][...].tolist() == [1.0625, 9.5]
        assert file["side_label"][...].tolist() == ["left ", "right"]
        assert (file["heat"].shape, file["heat"].compress()) == ((0, 2, 3), (pycdf.const.GZIP_COMPRESSION, 1))
        assert file["count_of_parts"].attrs["DEPEND_1"] == "part"
        assert (file["count_of_parts"].attrs["FILLVAL"], file["Epoch"].attrs["UNITS"]) == (-32768, "ns")


def test_its_global_attributes_are_those_of_the_dataset(box: Dataset, tmp_path: Path) -> None:
    with pycdf.CDF(str(write_master(box, tmp_path))) as file:
        found = {name: list(file.attrs[name]) for name in file.attrs}
    assert (found["Logical_file_id"], found["Data_version"]) == (["toy_box_l1-tick_00000000_v01"], ["01"])
    assert found["Skeleton_version"] == ["1"] == list(dict(edition_globals("x", EDITION))["Skeleton_version"])
    assert found["Logical_source"] == ["toy_box_l1-tick"]
    assert not {"Parents", "Generation_date", "Software_version"} & set(found)


def test_what_may_differ_from_file_to_file_is_text_and_the_edition() -> None:
    assert set(PER_FILE) == {"TEXT", *(name for name, _ in edition_globals("x", EDITION))}


def test_equal_definitions_give_equal_bytes(box: Dataset, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (write_master(box, folder) for folder in folders)
    assert one.read_bytes() == two.read_bytes()
    with pytest.raises(ExportError, match="exists"):
        write_master(box, folders[0])

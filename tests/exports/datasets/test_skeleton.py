# SPDX-License-Identifier: Apache-2.0
"""The skeleton lists the master in the manner of a skeleton table."""

from __future__ import annotations

import re

from exports.datasets.dataset import Dataset
from exports.datasets.skeleton import skeleton


def test_parts_stand_in_the_order_of_a_skeleton_table(box: Dataset) -> None:
    lines = skeleton(box).splitlines()
    heads = [line for line in lines if line.startswith("#")]
    assert heads == ["#header", "#GLOBALattributes", "#VARIABLEattributes", "#variables", "#zVariables", "#end"]
    assert "                       CDF NAME: toy_box_l1-tick_00000000_v01" in lines


def test_a_variable_has_its_type_sizes_and_attributes(box: Dataset) -> None:
    text = skeleton(box)
    block = text[text.index('"count_of_parts" CDF_INT2') :].split("\n\n")[0].splitlines()
    assert block[0] == '"count_of_parts" CDF_INT2 1 1 2 T T  ! gzip 1'
    assert '  "DEPEND_1" CDF_CHAR { "part" }' in block
    assert '  "VALIDMAX" CDF_INT2 { 4095 }' in block
    assert block[-1] == "  ! no records"
    assert '"Epoch" CDF_TIME_TT2000 1 0 T' in text.splitlines()
    assert '"heat" CDF_REAL4 1 2 2 3 T TT  ! gzip 1' in text.splitlines()


def test_constants_have_their_values_and_texts_their_quotes(box: Dataset) -> None:
    text = skeleton(box)
    assert re.search(r'"part" CDF_REAL4 1 1 2 F T\n(  ".*\n)+  \[1\] = 1\.0625\n  \[2\] = 9\.5\n', text)
    assert '  [1] = "left "' in text
    assert '"Descriptor"                   1: CDF_CHAR { "BOX>A box" }.' in text

# SPDX-License-Identifier: Apache-2.0
"""`swxlake describe` and the data dictionary tell what a table rests on: status, assumptions, unknowns, dated axes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.store import Lake
from swxlake.describe import describe_day, describe_table
from swxlake.reference import dictionary_pages
from tests.toy import DAY, L0, L1, QL, toy_lake, write_missions

PART = (
    "part: {size: 2, calibration: gain, column: centre, minus_column: below, plus_column: above, unit: mm,"
    " description: Part, label: Part}"
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """The toy with a dated axis, an assumed calibration, something unknown, and a table that looks beyond its day."""
    box = write_missions(tmp_path / "missions") / "toy" / "box"
    path = box / "tables.yaml"
    text = path.read_text().replace(
        "part: {size: 2, first: 0, step: 1, type: int16, description: Part, label: Part}", PART
    )
    path.write_text(
        text.replace("inputs: {tick: box_l0_tick}", "inputs: {tick: box_l0_tick}\n    margins: {tick: [3, 0.5]}")
    )
    (box / "calibration/gain_20240101.csv").write_text("factor,centre,below,above\n2,5,1,1\n2,6,1,1\n")
    (box / "calibration/spare_20240101.csv").write_text("number\n2\n")
    path = box / "instrument.yaml"
    text = path.read_text().replace("status: flying", "status: assumed\nstatus_reason: No document was seen.")
    reasons = "assumed: {gain_20240101: As of its sister., spare_20240101: Guessed.}"
    path.write_text(f"{text}unknowns: [Sign of the gain.]\n{reasons}\n")
    return toy_lake(tmp_path)


def test_a_table_tells_what_it_rests_on(lake: Lake) -> None:
    outcome = describe_table(lake, lake.definitions.tables[L1])
    assert outcome.facts["status"] == "assumed: No document was seen."
    assert outcome.facts["assumed"] == ["gain_20240101: As of its sister."]
    assert outcome.facts["unknowns"] == ["Sign of the gain."]
    assert outcome.facts["margins"] == ["tick: 3 s before the day, 0.5 s after"]
    (axis,) = outcome.tables["axes"]
    assert (axis["axis"], axis["unit"]) == ("part", "mm")
    assert axis["values"] == "column centre of calibration gain, borders below and above"


def test_what_descends_from_a_table_rests_on_its_assumptions(lake: Lake) -> None:
    facts = describe_table(lake, lake.definitions.tables[QL]).facts
    assert (facts["assumed"], "margins" in facts) == (["gain_20240101: As of its sister."], False)
    assert "assumed" not in describe_table(lake, lake.definitions.tables[L0]).facts


def test_a_day_tells_what_it_rests_on(lake: Lake) -> None:
    outcome = describe_day(lake, lake.definitions.tables[QL], DAY)
    assert outcome.facts["assumptions"] == [
        "Status of the instrument's definition: assumed. No document was seen.",
        "Assumed calibration gain_20240101: As of its sister.",
    ]


def test_the_lake_s_own_tables_rest_on_nothing(lake: Lake) -> None:
    facts = describe_table(lake, lake.ops("exports")).facts
    assert not {"status", "assumed", "unknowns"} & set(facts)


def test_the_dictionary_tells_the_same(lake: Lake) -> None:
    text = dictionary_pages(lake.definitions)["toy_box.md"]
    assert "Status: assumed. No document was seen." in text
    assert "| `gain_20240101.csv` | As of its sister. |" in text
    assert "| `spare_20240101.csv` | Guessed. |" in text
    assert "* Sign of the gain." in text
    assert "Sees beyond the day: `tick` 3 s before and 0.5 s after." in text
    assert "`part`: 2 values in mm from `centre` of the calibration `gain` with borders by `below` and `above`" in text


def test_the_dictionary_names_the_cells_of_a_vector(tmp_path: Path) -> None:
    path = write_missions(tmp_path / "missions") / "toy/box/tables.yaml"
    path.write_text(path.read_text().replace("first: 0, step: 1, type: int16", "labels: [left, right]"))
    lake = toy_lake(tmp_path)
    assert "`part`: 2 cells named `left`, `right`, Part" in dictionary_pages(lake.definitions)["toy_box.md"]
    (axis,) = describe_table(lake, lake.definitions.tables[L1]).tables["axes"]
    assert axis["values"] == "left, right"

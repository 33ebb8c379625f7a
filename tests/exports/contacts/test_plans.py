# SPDX-License-Identifier: Apache-2.0
"""Plans of passes as files: what they say, and what is told of rows that are wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exports.contacts import plans
from exports.contacts.plans import Pass, plan_files, read_plan
from lake.errors import ConfigurationError
from tests.meddea import DEFINITIONS
from tests.passes import HEADER

NOON = "2026-08-01T12:00:00Z,2026-08-01T12:10:00Z"
WHOLE = f"p-1,padre,Station A,{NOON},2026-08-01T14:00+01:00,2,a*.dat; b.dat,120,meddea;craft\n"
PASS = Pass(
    "padre", "p-1", "Station A", datetime(2026, 8, 1, 12, tzinfo=UTC), datetime(2026, 8, 1, 12, 10, tzinfo=UTC),
    datetime(2026, 8, 1, 13, tzinfo=UTC), 2, ("a*.dat", "b.dat"), 120, ("meddea", "craft"),
)  # fmt: skip


def plan(folder: Path, text: str | bytes, name: str = "plan.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def wrong(folder: Path, text: str) -> str:
    """What is told of the one row that is wrong, behind the name of the file."""
    path = plan(folder, HEADER + text)
    (line,) = read_plan(path, DEFINITIONS).wrong
    return line.removeprefix(f"{path} ")


def test_csv_and_json_say_the_same(tmp_path: Path) -> None:
    row = {"pass_id": "p-1", "mission": "padre", "station": "Station A", "start": "2026-08-01T12:00:00Z",
           "end": "2026-08-01T12:10:00", "due": "2026-08-01T13:00:00+00:00", "files": 2, "packets": 120,
           "names": ["a*.dat", "b.dat"], "instruments": "meddea;craft"}  # fmt: skip
    assert read_plan(plan(tmp_path, HEADER + WHOLE), DEFINITIONS).passes == (PASS,)
    assert read_plan(plan(tmp_path, json.dumps([row]), "plan.json"), DEFINITIONS).passes == (PASS,)
    assert read_plan(plan(tmp_path, json.dumps({"passes": [row]}), "plan.json"), DEFINITIONS).passes == (PASS,)


def test_what_is_left_out_is_not_known(tmp_path: Path) -> None:
    text = f"\ufeffmission,pass_id,station,start,end\r\npadre,p,A,{NOON}\r\n\r\n"
    (one,) = read_plan(plan(tmp_path, text), DEFINITIONS).passes
    assert (one.due, one.files, one.names, one.packets, one.instruments) == (None, None, (), None, ())


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (f"p,padra,A,{NOON},,,,,", "line 2 (mission): 'padra' is no mission; did you mean padre?"),
        (f"p/..,padre,A,{NOON},,,,,", "line 2 (pass_id): 'p/..' is no name of a pass; write letters, digits and"),
        (f"p,padre,,{NOON},,,,,", "line 2 (station): is no name of a station. Write one line of text."),
        ("p,padre,A,2026-08-01,2026-08-02,,,,,", "line 2 (start): '2026-08-01' is no UTC time. Write it as 2026-08"),
        (f"p,padre,A,{NOON},2026-08-01T12:00:00Z,,,,", "line 2 (due): 2026-08-01T12:00:00Z is before the end"),
        (f"p,padre,A,{NOON},,many,,,", "line 2 (files): 'many' is no number of files. Write digits, or leave it"),
        (f"p,padre,A,{NOON},,,,-1,", "line 2 (packets): '-1' is no number of packets."),
        (f"p,padre,A,{NOON},,,../x,,", "line 2 (names): '../x' is no name of a file."),
        (f"p,padre,A,{NOON},,,{'a;' * 1001},,", "line 2 (names): are more than 1000. Write them with * and ?"),
        (f"p,padre,A,{NOON},,,,,medea", "line 2 (instruments): 'medea' is no instrument of padre; did you mean"),
        (f"p,padre,A,{NOON},,,,,,,", "line 2: has 12 cells for 10 columns. Quote commas."),
        (WHOLE + WHOLE, "line 3 (pass_id): p-1 is there twice; the first one counts. Give each its own."),
    ],
)
def test_a_row_that_is_wrong_is_told_with_line_column_and_remedy(tmp_path: Path, row: str, words: str) -> None:
    assert wrong(tmp_path, row).startswith(words)


def test_rows_beside_a_wrong_one_are_read(tmp_path: Path) -> None:
    found = read_plan(plan(tmp_path, HEADER + "x,\n" + WHOLE), DEFINITIONS)
    assert found.passes == (PASS,)
    assert len(found.wrong) == 1


def test_a_column_that_means_nothing_is_told(tmp_path: Path) -> None:
    text = HEADER.replace("due", "duee") + WHOLE
    path = plan(tmp_path, text)
    found = read_plan(path, DEFINITIONS)
    assert found.wrong == (f"{path} line 1 (duee): is no column; did you mean due?",)
    assert found.passes[0].due is None


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("plan.txt", HEADER, "is no plan. Give a file whose name ends with .csv or .json."),
        ("plan.csv", "pass_id,mission,start,end\n", "line 1: lacks the column station."),
        ("plan.csv", HEADER.replace("due", "end"), "line 1: has the column end twice."),
        ("plan.csv", b"\xff\xfe", "byte 0 is not UTF-8."),
        ("plan.csv", HEADER + '"p', "is no CSV"),
        ("plan.json", "[" * 100_000, "is no JSON. Correct it."),
        ("plan.json", '{"pass": []}', "has no list of passes."),
    ],
)
def test_a_file_of_which_nothing_can_be_read_is_refused(
    tmp_path: Path, name: str, text: str | bytes, words: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_plan(plan(tmp_path, text, name), DEFINITIONS)
    assert words in str(refused.value)


def test_a_file_without_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "LARGEST_BYTES", 100)
    with pytest.raises(ConfigurationError, match="is larger than 100 bytes"):
        read_plan(plan(tmp_path, HEADER + WHOLE), DEFINITIONS)


def test_text_of_others_is_told_without_what_a_terminal_acts_on(tmp_path: Path) -> None:
    told = wrong(tmp_path, f"p,padre\x1b[31m{'x' * 1000},A,{NOON},,,,,")
    assert told.isprintable()
    assert len(told) < 400


def test_a_pattern_names_files_and_a_file_may_have_its_characters(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c.json", "x[1].csv"):
        plan(tmp_path, HEADER, name)
    assert [path.name for path in plan_files(f"{tmp_path}/?.csv")] == ["a.csv", "b.csv"]
    assert [path.name for path in plan_files(f"{tmp_path}/x[1].csv")] == ["x[1].csv"]
    assert plan_files(f"{tmp_path}/none/*.csv") == []

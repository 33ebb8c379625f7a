# SPDX-License-Identifier: Apache-2.0
"""`swxlake cdf`: what a file holds, where two differ, which rules one breaks, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from exports.cdf.file import CdfFile
from exports.cdf.spec import Attribute, VariableSpec
from lake.errors import ConfigurationError, ExportError
from swxlake.cli_cdf import app

NEW_YEAR = 536500869184000000  # 2017-01-01T00:00:00


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["cdf", *map(str, arguments)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "a.cdf")


def write(path: Path, title: str = "A title", count: int = 3) -> Path:
    start = Attribute("VALIDMIN", "CDF_TIME_TT2000", (NEW_YEAR,))
    specs = (
        VariableSpec("Epoch", "CDF_TIME_TT2000", attributes=(start,)),
        VariableSpec("x", "CDF_INT2", (2, 3), compression=1, attributes=(Attribute("UNITS", "CDF_CHAR", "count"),)),
    )
    with CdfFile(path, [("TITLE", [title]), ("Generation_date", [title])], specs) as file:
        with file.records("Epoch", 2) as records:
            records.append(np.array([NEW_YEAR, NEW_YEAR + 5], "<i8"))
        with file.records("x", 2) as records:
            records.append(np.full((2, 2, 3), count, "<i2"))
    return path


def damaged(path: Path, size: int) -> Path:
    other = path.with_name("damaged.cdf")
    other.write_bytes(path.read_bytes()[:size])
    return other


def test_dump_shows_types_times_and_records(path: Path) -> None:
    found = run("dump", path, "--data", 1)
    assert found.exit_code == 0
    lines = [" ".join(line.split()) for line in found.stdout.splitlines()]
    assert "checksum right" in lines
    assert "TITLE A title" in lines
    assert "x CDF_INT2 [2 x 3], 2 records, gzip 1" in lines
    assert f"VALIDMIN {NEW_YEAR} = 2017-01-01T00:00:00.000000000 (CDF_TIME_TT2000)" in lines
    assert lines.count(f"record 0 {NEW_YEAR} = 2017-01-01T00:00:00.000000000") == 1
    assert "record 0 3, 3, 3, 3, 3, 3" in lines


def test_dump_is_one_document_for_programs(path: Path) -> None:
    found = json.loads(run("dump", path, "--data", 2, "--json").stdout)
    assert found["variables"]["x"]["data"] == [[[3, 3, 3], [3, 3, 3]]] * 2
    assert found["variables"]["x"]["attributes"]["UNITS"] == {"type": "CDF_CHAR", "value": "count"}
    assert found["global_attributes"]["TITLE"] == [{"type": "CDF_CHAR", "value": "A title"}]
    assert found["problems"] == []


def test_a_wrong_checksum_is_shown_with_the_content_and_fails(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    found = run("dump", path)
    assert found.exit_code == 1
    assert "is damaged (wrong MD5 checksum)" in found.stdout
    assert "A title" in found.stdout


def test_diff_lists_every_difference_and_fails(path: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "b.cdf", "B", 4)
    found = run("diff", path, other, "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["problems"] == [
        "variable x: 2 records differ, the first is 0: [0, 0] 3 in one and 4 in the other",
        "global attribute TITLE: A title in one and B in the other",
        "global attribute Generation_date: A title in one and B in the other",
    ]
    tolerant = json.loads(run("diff", path, other, "--same-dataset", "--ignore", "TITLE", "--json").stdout)
    assert tolerant["differences"] == 1


def test_diff_of_equal_files_is_0(path: Path, tmp_path: Path) -> None:
    assert run("diff", path, write(tmp_path / "b.cdf")).exit_code == 0


def test_check_names_broken_rules_and_fails(path: Path) -> None:
    found = json.loads(run("check", path, "--json").stdout)
    assert run("check", path).exit_code == 1
    assert found["checked"] == 1
    assert found["errors"] == len(found["problems"]) > 0
    assert all(line.startswith(f"{path}: ") for line in found["problems"])


@pytest.mark.parametrize("size", [0, 4, 100, 1000, -100])
def test_truncated_files_are_one_clear_line(path: Path, size: int) -> None:
    broken = damaged(path, size)
    for arguments in (("dump", broken), ("diff", path, broken), ("diff", broken, path)):
        error = run(*arguments).exception
        assert isinstance(error, ExportError)
        assert str(broken) in str(error)
        assert "\n" not in str(error)
    checked = run("check", broken)
    assert (checked.exit_code, "F06" in checked.stdout or "F04" in checked.stdout) == (1, True)


def test_a_file_that_is_not_there_is_a_mistake_of_the_user(path: Path) -> None:
    for arguments in (("dump", "no.cdf"), ("diff", path, "no.cdf"), ("check", path.parent / "none")):
        assert isinstance(run(*arguments).exception, ConfigurationError)


def test_a_folder_is_checked_with_all_that_is_below_it(path: Path) -> None:
    (path.parent / "below").mkdir()
    write(path.parent / "below" / "b.cdf")
    (path.parent / "below" / "notes.txt").touch()
    assert json.loads(run("check", path.parent, "--json").stdout)["checked"] == 2
    (path.parent / "empty").mkdir()
    error = run("check", path.parent / "empty").exception
    assert isinstance(error, ConfigurationError)
    assert "has no .cdf file below it" in str(error)


def test_a_name_to_ignore_that_no_file_has_is_a_mistake_of_the_user(path: Path) -> None:
    other = write(path.with_name("b.cdf"), "Another title")
    assert run("diff", path, other, "--ignore", "TITLE", "--ignore", "Generation_date").exit_code == 0
    error = run("diff", path, other, "--ignore", "Generation_dat").exception
    assert isinstance(error, ConfigurationError)
    assert "--ignore Generation_dat: is no global attribute of these files; did you mean Generation_date?" in str(error)

# SPDX-License-Identifier: Apache-2.0
"""SPDF's checker is run as a program; a shell script stands for Java here, as the real one cannot be had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exports.rules.skteditor import JARS, MAIN, ask_skteditor
from lake.errors import ConfigurationError

FILE = Path("padre_meddea_l1-photon_20240916_v1.0.0.cdf")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the jars; `java` is searched beside it."""
    jars, programs = tmp_path / "jars", tmp_path / "bin"
    jars.mkdir()
    programs.mkdir()
    for name in JARS:
        (jars / name).touch()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return jars


def java(folder: Path, script: str, mode: int = 0o755) -> None:
    program = folder.parent / "bin" / "java"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(mode)


def said(folder: Path, seconds: float = 20) -> list[str]:
    findings = ask_skteditor(folder, FILE, seconds=seconds)
    assert all((f.rule, f.severity, f.where) == ("SKT", "error", "") for f in findings)
    return [finding.what for finding in findings]


def test_it_is_asked_about_the_file_with_all_jars_of_the_folder(folder: Path) -> None:
    java(folder, f'echo "$@" > {folder}/called')
    assert said(folder) == []
    jars = os.pathsep.join(str(folder / name) for name in sorted(JARS))
    assert (folder / "called").read_text() == f"-Djava.library.path={folder} -cp {jars} {MAIN} {FILE}\n"


def test_each_line_that_speaks_of_an_error_is_a_finding_once(folder: Path) -> None:
    java(
        folder,
        'echo "Checking"; echo "ERROR:  Epoch has no   UNITS."; echo "Error: Epoch has no UNITS"; echo "3 found" >&2',
    )
    assert said(folder) == [
        "SPDF's checker says: ERROR: Epoch has no UNITS",
        "SPDF's checker says: Error: Epoch has no UNITS",
    ]


def test_lines_that_say_there_is_no_error_are_none(folder: Path) -> None:
    java(folder, 'echo "0 errors found"; echo "No errors"; echo "10 errors in all"')
    assert said(folder) == ["SPDF's checker says: 10 errors in all"]


@pytest.mark.parametrize(
    "line",
    ["Checking for errors in: a.cdf", "No errors found", "Errors: 0", "Error count: 0", "Number of errors = 0",
     "Variable errorbar: ok", "rate_error is fine", "0 missing attributes", "Missing attributes: none"],
)  # fmt: skip
def test_a_line_that_only_has_the_word_does_not_stop_a_good_file(folder: Path, line: str) -> None:
    java(folder, f'echo "{line}"')
    assert said(folder) == []


@pytest.mark.parametrize(
    "line",
    ["Logical_file_id is not correct", "Global attribute PI_name missing", "FILLVAL of flux: invalid", "Errors: 3",
     "No errors in variables, 1 error in global attributes", "Cannot read a.cdf", "Error count: 10"],
)  # fmt: skip
def test_a_line_that_speaks_of_something_wrong_stops_the_file_whatever_the_exit_code(folder: Path, line: str) -> None:
    java(folder, f'echo "{line}"')
    assert said(folder) == [f"SPDF's checker says: {line}"]


def test_a_failure_without_a_word_of_errors_stops_the_file_too(folder: Path) -> None:
    java(folder, 'echo "Segmentation fault" >&2; exit 3')
    assert said(folder) == ["SPDF's checker says: ended with code 3: Segmentation fault"]
    java(folder, "exit 1")
    assert said(folder) == ["SPDF's checker says: ended with code 1: without a word"]


def test_output_that_is_no_text_does_not_stop_the_night(folder: Path) -> None:
    java(folder, r"printf 'Error \377\n'")
    assert said(folder) == ["SPDF's checker says: Error \ufffd"]


def test_a_checker_that_never_ends_is_ended(folder: Path) -> None:
    java(folder, "exec sleep 60")
    assert said(folder, seconds=0.2) == ["SPDF's checker did not end within 0.2 s"]


def test_a_missing_jar_is_a_mistake_of_who_configured_it(folder: Path) -> None:
    java(folder, "exit 0")
    (folder / JARS[0]).unlink()
    with pytest.raises(ConfigurationError, match=r"jars: has no spdfjavaClasses\.jar\. Correct SWXLAKE_SKTEDITOR"):
        ask_skteditor(folder, FILE)


def test_missing_java_is_a_mistake_of_who_configured_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(ConfigurationError, match=r"there is no java\. Install Java, or unset it"):
        ask_skteditor(folder, FILE)


def test_java_that_cannot_be_run_is_named(folder: Path) -> None:
    program = folder.parent / "bin" / "java"
    program.write_bytes(b"\x7fELF no program")
    program.chmod(0o755)
    with pytest.raises(ConfigurationError, match=r"java cannot be run \(.*\)\. Correct it, or unset SWXLAKE_SKTEDITOR"):
        ask_skteditor(folder, FILE)

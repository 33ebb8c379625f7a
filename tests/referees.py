# SPDX-License-Identifier: Apache-2.0
"""What independent checkers say of CDF files: the shared ISTP checker, AstraLint, and spacepy on NASA's C library."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.shared_data import shared_folder

# Nobody has given these out yet, and they are never invented.
UNASSIGNED = frozenset(("G03", name) for name in ("DOI", "spase_DatasetResourceID"))
# AstraLint wants the names above too, and prefers 10 characters for units and labels (20 are allowed).
WAIVED_BY_ASTRALINT = re.compile(
    r"WARNING ISTP-GA-002  missing recommended global attribute\(s\): (DOI|DOI, )?(spase_DatasetResourceID)?"
    r"|WARNING ISTP-VA-0(32|08)  \w+/(UNITS|LABLAXIS) .* 10 characters or less"
)
# spacepy 0.7 asks for a spectrogram where a variable is a vector, and for times where SPDF wants integers.
WAIVED_BY_SPACEPY = re.compile(
    r"\w+: Multi dim variable with time_series display type\."
    r"|Epoch: DELTA_(PLUS|MINUS)_VAR type CDF_INT8 does not match variable type CDF_TIME_TT2000\."
)


def istp_findings(files: Iterable[Path], *options: str) -> set[tuple[str, str, str]]:
    """File name, rule and place of what the shared checker finds, warnings too. Skips the test if it is not there."""
    checker = shared_folder() / "tools" / "check_istp.py"
    if not checker.is_file():
        pytest.skip(f"{checker} is neither beside the checkout nor beside SWXLAKE_TELEMETRY")
    paths = [str(file) for file in files]
    command = [sys.executable, str(checker), "--strict", "--json", *options, *paths]
    done = subprocess.run(command, capture_output=True, check=False)
    found = json.loads(done.stdout)
    assert set(found) == set(paths), done.stderr
    return {(Path(file).name, row["rule"], row["where"]) for file, rows in found.items() for row in rows}


def astralint_problems(folder: Path) -> list[str]:
    """Its lines about what breaks a rule of CDAWeb's suite, in all files below a folder."""
    program = Path(sys.executable).with_name("astralint")
    command = [str(program), "lint", "--strict", "--suite", "CDAWeb", str(folder)]
    wide = {**os.environ, "COLUMNS": "250"}
    done = subprocess.run(command, capture_output=True, check=False, text=True, env=wide)
    lines = [line.strip() for line in done.stdout.splitlines()]
    judged = {line for line in lines if line.endswith(".cdf")}
    assert len(judged) == len(list(folder.rglob("*.cdf"))), done.stderr
    return [line for line in lines if line.startswith(("ERROR", "FATAL", "CRITICAL", "WARNING"))]


def spacepy_complaints(path: Path) -> list[str]:
    """What it says of a file and of each of its variables."""
    from spacepy import pycdf  # noqa: PLC0415
    from spacepy.pycdf import istp  # noqa: PLC0415

    with warnings.catch_warnings(), pycdf.CDF(str(path)) as file:
        warnings.simplefilter("ignore")
        return sorted(istp.FileChecks.all(file, catch=True))

# SPDX-License-Identifier: Apache-2.0
"""Where the real telemetry and its expected values are: in the folder `shared` beside the checkout, or as told.

SWXLAKE_TELEMETRY names the folder of telemetry files; `golden`, `facts` and `tools` are its neighbours.
With SWXLAKE_REQUIRE_TELEMETRY=1 a test that would skip for want of these files fails (tests/conftest.py).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
ABOUT_SHARED_FILES = re.compile(r"telemetry|golden file|beside the checkout", re.IGNORECASE)


def shared_folder() -> Path:
    """The folder that holds telemetry, golden, facts and tools; it need not exist."""
    named = os.environ.get("SWXLAKE_TELEMETRY")
    return Path(named).resolve().parent if named else CHECKOUT.parent / "shared"


def telemetry_root() -> Path:
    """The folder of telemetry files; it need not exist."""
    named = os.environ.get("SWXLAKE_TELEMETRY")
    return Path(named) if named else shared_folder() / "telemetry"


def telemetry_folder(mission: str, instrument: str) -> Path:
    """The real files of an instrument. Skips the test if they are not there."""
    folder = telemetry_root() / mission / instrument
    if not folder.is_dir():
        pytest.skip(f"no telemetry in {folder}; set SWXLAKE_TELEMETRY to the folder of the telemetry files")
    return folder


def golden_folder(mission: str) -> Path:
    """The expected values of a mission's real files. Skips the test if they are not there."""
    folder = shared_folder() / "golden" / mission
    if not folder.is_dir():
        pytest.skip(f"no golden files in {folder}; set SWXLAKE_TELEMETRY to the folder of the telemetry files")
    return folder


def telemetry_is_required() -> bool:
    """True if the real files have to be there, as in continuous integration."""
    return os.environ.get("SWXLAKE_REQUIRE_TELEMETRY", "") not in ("", "0")


def forbidden_skip(reason: str) -> bool:
    """True if a skip for this reason is a failure here."""
    return telemetry_is_required() and ABOUT_SHARED_FILES.search(reason) is not None

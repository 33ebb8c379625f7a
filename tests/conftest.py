# SPDX-License-Identifier: Apache-2.0
"""What all tests share: the real telemetry, and the rule that it may be required."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.shared_data import forbidden_skip, telemetry_folder


@pytest.fixture(scope="session")
def meddea_files() -> Path:
    """The folder of real MeDDEA files; the test is skipped, or fails if telemetry is required, where there is none."""
    return telemetry_folder("padre", "meddea")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_forbidden_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_forbidden_skip(report)
    return report


def _fail_forbidden_skip(report: Any) -> None:
    """Turn a skip for want of telemetry into a failure where telemetry is required."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if forbidden_skip(reason):
        report.outcome = "failed"
        report.longrepr = f"SWXLAKE_REQUIRE_TELEMETRY is set, so this may not be skipped: {reason}"

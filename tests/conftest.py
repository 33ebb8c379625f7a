# SPDX-License-Identifier: Apache-2.0
"""What all tests share: the real telemetry, and the rule that it may be required."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.s3_server import Server, fresh_bucket, fresh_prefix, s3_server
from tests.shared_data import forbidden_skip, telemetry_folder

# Nights of tests draw no pictures unless a test is about them: they would cost each night some seconds.
os.environ.setdefault("SWXLAKE_SITE", "false")

Place = Callable[[], AbstractContextManager[str]]


@pytest.fixture(scope="session")
def meddea_files() -> Path:
    """The folder of real MeDDEA files; the test is skipped, or fails if telemetry is required, where there is none."""
    return telemetry_folder("padre", "meddea")


@pytest.fixture(scope="session")
def moto() -> Iterator[Server]:
    """An S3 server for this process' tests."""
    with s3_server() as server:
        yield server


@pytest.fixture(scope="session")
def s3_place(request: pytest.FixtureRequest) -> Place:
    """Gives, for a block, the address of an empty place in S3, reachable: below $SWXLAKE_TEST_S3 if that is set."""
    real = os.environ.get("SWXLAKE_TEST_S3")
    if real:
        return lambda: fresh_prefix(real)
    server: Server = request.getfixturevalue("moto")
    return lambda: fresh_bucket(server)


@pytest.fixture
def s3_root(s3_place: Place) -> Iterator[str]:
    """The address of an empty place in S3."""
    with s3_place() as root:
        yield root


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

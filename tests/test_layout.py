# SPDX-License-Identifier: Apache-2.0
"""The house: where code is imported from, and what may not grow in it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.shared_data import forbidden_skip

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGES = ("swxlake", "lake", "ingest", "transforms", "quality", "exports", "monitor", "simulate")
CODE = sorted(path for name in (*PACKAGES, "bench") for path in (CHECKOUT / name).rglob("*.py"))
SHAPELESS = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager", "handler"}
LONGEST = 500


@pytest.mark.parametrize("name", PACKAGES)
def test_a_stage_is_imported_from_this_checkout(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve() == CHECKOUT / name / "__init__.py"


def test_no_file_of_code_is_longer_than_500_lines() -> None:
    lengths = {str(path.relative_to(CHECKOUT)): len(path.read_text().splitlines()) for path in CODE}
    assert len(lengths) > len(PACKAGES)
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_every_module_has_a_name_that_says_something() -> None:
    assert [str(path) for path in CODE if path.stem in SHAPELESS or path.parent.name in SHAPELESS] == []


@pytest.mark.parametrize("folder", ["sql", "notebooks"])
def test_a_folder_for_readers_is_no_package(folder: str) -> None:
    assert list((CHECKOUT / folder).rglob("__init__.py")) == []


def test_the_tests_are_one_package_for_others_install_one_of_that_name() -> None:
    assert list((CHECKOUT / "tests").rglob("__init__.py")) == [CHECKOUT / "tests" / "__init__.py"]


def test_the_lock_names_no_host() -> None:
    text = (CHECKOUT / "requirements.lock").read_text()
    assert "--hash=sha256:" in text
    assert "://" not in text


def test_every_folder_of_code_is_known_to_the_linters() -> None:
    settings = (CHECKOUT / "pyproject.toml").read_text()
    folders = {path.parent.name for path in CHECKOUT.glob("*/__init__.py")}
    assert folders == {*PACKAGES, "bench", "tests"}
    assert all(f'"{name}"' in settings for name in folders - {"tests"})


def test_only_a_skip_for_want_of_shared_files_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWXLAKE_REQUIRE_TELEMETRY", "1")
    assert forbidden_skip("Skipped: no telemetry in /data; set SWXLAKE_TELEMETRY")
    assert forbidden_skip("facts/name_vectors.jsonl is not beside the checkout")
    assert not forbidden_skip("needs NASA's CDF library")
    monkeypatch.delenv("SWXLAKE_REQUIRE_TELEMETRY")
    assert not forbidden_skip("Skipped: no telemetry in /data; set SWXLAKE_TELEMETRY")

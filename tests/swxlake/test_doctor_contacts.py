# SPDX-License-Identifier: Apache-2.0
"""What the doctor says about contacts.toml before a night needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.store import Lake
from swxlake.doctor_contacts import examine_contacts
from tests.meddea import DEFINITIONS
from tests.passes import HEADER, write_settings


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake in a folder without contacts.toml, in which commands work."""
    monkeypatch.delenv("SWXLAKE_CONTACTS", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lake").mkdir()
    return Lake(tmp_path / "lake", DEFINITIONS)


def test_without_a_file_no_pass_is_accounted_for_and_it_is_no_problem(lake: Lake) -> None:
    outcome = examine_contacts(lake)
    assert outcome.facts["contacts"].endswith("no pass is accounted for")
    assert outcome.problems == []


def test_what_is_well_is_told_and_nothing_is_kept(lake: Lake, tmp_path: Path) -> None:
    write_settings(tmp_path)
    outcome = examine_contacts(lake)
    path = tmp_path / "contacts.toml"
    assert outcome.facts["contacts"] == f"{path}: 1 plans can be read; {tmp_path / 'moc'} can be reached"
    assert outcome.problems == []
    assert [*(tmp_path / "lake").iterdir(), *(tmp_path / "moc").iterdir()] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[answers", "contacts.toml: is no TOML at"),
        ('plan = "none/*.csv"\n', "there is no such plan. Correct `plan`, or put one there."),
        ('plan = "bad.csv"\n', "bad.csv line 2 (mission): '' is no mission"),
        ('plan = "note.txt"\n', "note.txt: is no plan."),
        ('[answers]\nfolder = {path = "away"}\n', "contacts: operations center: "),
    ],
)
def test_what_is_not_well_is_a_problem(lake: Lake, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.csv").write_text(HEADER + "x,,,,,,,,,\n")
    (tmp_path / "note.txt").write_text("-")
    (tmp_path / "contacts.toml").write_text(f'lake = "lake"\n{text}')
    outcome = examine_contacts(lake)
    (problem,) = outcome.problems
    assert words in problem
    assert outcome.facts["contacts"] == "not well"

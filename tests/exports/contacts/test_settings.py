# SPDX-License-Identifier: Apache-2.0
"""contacts.toml: the example can be read, and what is wrong is told with key and remedy."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from exports.contacts.settings import check_contact_settings, read_contact_settings
from lake.config import CHECKOUT
from lake.errors import ConfigurationError
from lake.setting_files import is_of
from tests.meddea import DEFINITIONS

EXAMPLE = CHECKOUT / "docs" / "contacts.example.toml"
LAKE = 'lake = "lake"\n'


def test_the_example_can_be_read_and_is_of_missions_that_there_are() -> None:
    settings = read_contact_settings(EXAMPLE)
    check_contact_settings(settings, DEFINITIONS, EXAMPLE)
    assert settings.lake == str(EXAMPLE.parent / "lakehouse")
    assert settings.plan == str(EXAMPLE.parent / "plans/*.csv")
    assert settings.of("padre").due_minutes == 90
    assert settings.of("hermes").due_minutes == 60
    assert settings.answers is not None
    assert settings.answers.since == date(2026, 8, 1)
    assert settings.requests.automatic


def test_paths_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "contacts.toml"
    path.write_text(LAKE + '[answers]\nfolder = {path = "moc"}\n')
    settings = read_contact_settings(path)
    assert settings.answers is not None
    assert settings.answers.way.place == str(tmp_path / "moc")
    assert is_of(settings, tmp_path / "lake")
    assert not is_of(settings, tmp_path / "other")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[answers]\n", "(answers): has no way; give one of folder, s3, sftp, https"),
        ('[answers]\nfolder = {path = "m"}\nreceipts = "../x"\n', "(answers.receipts): is no folder there"),
        ('[answers]\nfolder = {path = "m"}\nreceipts = "x"\nrequests = "x"\n', "one folder for receipts and requests"),
        ('[answers]\nhttps = {url = "https://a.b", token = "s3cret"}\n', "gives a literal token"),
        ("[missions.padre]\ndue_minute = 1\n", "(missions.padre.due_minute): is no setting; did you mean due_minutes?"),
        ("[missions.padre]\ntolerance_percent = 100\n", "(missions.padre.tolerance_percent)"),
        ('plan = "s3://bucket/plan.csv"\n', "(plan): is no path of this machine"),
        ("[missions.padra]\n", "(missions.padra): there is no such mission; did you mean padre?"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "contacts.toml"
    path.write_text(LAKE + text)
    with pytest.raises(ConfigurationError) as refused:
        check_contact_settings(read_contact_settings(path), DEFINITIONS, path)
    assert words in str(refused.value)
    assert "s3cret" not in str(refused.value)

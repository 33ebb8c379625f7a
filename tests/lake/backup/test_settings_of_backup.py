# SPDX-License-Identifier: Apache-2.0
"""backup.toml: what it says, and what is wrong with it in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.backup.settings import BackupSettings, read_backup_settings
from lake.config import CHECKOUT
from lake.errors import ConfigurationError
from lake.setting_files import is_of
from tests.lake.backup.copies import KEY

FOLDER = 'lake = "lake"\n[places.vault]\nfolder = {path = "copies"}\n'


def read(folder: Path, text: str) -> BackupSettings:
    path = folder / "backup.toml"
    path.write_text(text)
    return read_backup_settings(path)


def test_the_example_can_be_read() -> None:
    found = read_backup_settings(CHECKOUT / "docs/backup.example.toml")
    assert [type(place.way).__name__ for place in found.places.values()] == ["FolderWay", "S3Way", "SftpWay"]
    assert found.places["cloud"].class_of("fits") == found.places["cloud"].class_of("exports")


def test_paths_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    found = read(tmp_path, FOLDER + 'identity_file = "secrets/key"\n')
    place = found.places["vault"]
    assert place.folder is not None
    assert (place.folder.path, place.identity_file) == (tmp_path / "copies", tmp_path / "secrets/key")
    assert is_of(found, tmp_path / "lake")
    assert not is_of(found, tmp_path / "new-lake")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('s3 = {address = "s3://bucket/x"}', r"places\.vault\): has folder and s3; give one of folder, s3, sftp"),
        ("object_lock_days = 3", "a storage class or an object lock behind folder; only S3 has them"),
        ('storage_class = {raw = "STANDARD_IA"}', "a storage class or an object lock behind folder"),
        ('identity_file = "k"\nidentity_env = "K"', "has identity_file and identity_env; give one of them"),
        ("verify_share = 2", r"places\.vault\.verify_share\): input should be less than or equal to 1"),
        ("keep_days = 3", r"places\.vault\.keep_days\): is no setting"),
    ],
)
def test_what_is_wrong_is_told_with_file_key_and_remedy(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(tmp_path, f"{FOLDER}{more}\n")


@pytest.mark.parametrize(("lake", "place"), [("lake", "lake/copies"), ("lake", "lake"), ("disk/lake", "disk")])
def test_a_copy_does_not_lie_in_the_lake_nor_the_lake_in_it(tmp_path: Path, lake: str, place: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\(places\.vault\): is in the lake, or the lake in it"):
        read(tmp_path, f'lake = "{lake}"\n[places.vault]\nfolder = {{path = "{place}"}}\n')


def test_a_private_key_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no public key of age") as refused:
        read(tmp_path, f'{FOLDER}encrypt_to = ["{KEY}"]\n')
    assert str(KEY) not in str(refused.value)


def test_a_place_that_is_not_there_is_answered_with_a_near_one(tmp_path: Path) -> None:
    found = read(tmp_path, FOLDER)
    with pytest.raises(ConfigurationError, match=r"there is no place 'valut'; did you mean vault\?"):
        found.chosen("valut", tmp_path / "backup.toml")
    with pytest.raises(ConfigurationError, match=r"has no place\. Add"):
        read(tmp_path, 'lake = "lake"\n').chosen(None, tmp_path / "backup.toml")

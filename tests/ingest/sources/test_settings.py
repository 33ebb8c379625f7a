# SPDX-License-Identifier: Apache-2.0
"""receive.toml: what it may say, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.sources.settings import check_receive_settings, read_receive_settings
from lake.config import CHECKOUT
from lake.errors import ConfigurationError
from lake.setting_files import is_of


def settings_file(folder: Path, text: str, lake: str = "lake") -> Path:
    path = folder / "receive.toml"
    path.write_text(f'lake = "{lake}"\n{text}')
    return path


def test_the_example_can_be_read_and_has_every_way() -> None:
    settings = read_receive_settings(CHECKOUT / "docs/receive.example.toml")
    assert {name: (source.rule, type(source.way).__name__) for name, source in settings.sources.items()} == {
        "moc": ("stable", "FolderWay"),
        "partner": ("whole", "BucketWay"),
        "station": ("rename", "SftpWay"),
    }
    assert is_of(settings, CHECKOUT / "docs/lakehouse")


def test_paths_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    settings = read_receive_settings(settings_file(tmp_path, '[sources.a]\nfolder = { path = "drop" }'))
    assert (settings.sources["a"].way.place, settings.lake) == (str(tmp_path / "drop"), str(tmp_path / "lake"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[sources.a]\nevery_seconds = 1", "sources.a.* has no way; give one of folder, s3, sftp"),
        ('[sources.a]\nfolder = { path = "x" }\ns3 = { address = "s3://some-bucket" }', "has folder and s3"),
        ('[sources.a]\nfolder = { path = "x" }\ncomplete = "whole"', "which no one can know"),
        ('[sources.a]\nfolder = { path = "x" }\nfrom = 2024-02-01\nto = 2024-01-01', "`from` after its `to`"),
        ('[sources.a]\nfolder = { path = "x" }\nsettle = 1', r"settle\): is no setting; did you mean settle_seconds"),
        ('[sources.a]\nfolder = { path = "x" }\nmarker = "done"', "is no suffix"),
        ('[sources.A]\nfolder = { path = "x" }', "is no name of a source"),
        ('[sources.a]\ns3 = { address = "s3://some-bucket" }\nsubfolders = true', "has `subfolders` behind s3"),
    ],
)
def test_mistakes_are_told_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = settings_file(tmp_path, text)
    with pytest.raises(ConfigurationError, match=message) as told:
        read_receive_settings(path)
    assert str(told.value).startswith(str(path))


def test_settings_of_another_lake_and_a_source_within_the_lake_are_mistakes(tmp_path: Path) -> None:
    path = settings_file(tmp_path, '[sources.a]\nfolder = { path = "lake/drop" }')
    settings = read_receive_settings(path)
    with pytest.raises(ConfigurationError, match="is of the lake"):
        check_receive_settings(settings, tmp_path / "other", path)
    with pytest.raises(ConfigurationError, match="lies within the lake"):
        check_receive_settings(settings, tmp_path / "lake", path)


def test_a_lake_below_a_source_is_a_mistake_only_if_the_source_is_searched_there(tmp_path: Path) -> None:
    text = '[sources.a]\nfolder = { path = "drop" }\nsubfolders = '
    path = settings_file(tmp_path, f"{text}true", "drop/lake")
    with pytest.raises(ConfigurationError, match=r"sources.a.folder\): the lake lies below it"):
        check_receive_settings(read_receive_settings(path), tmp_path / "drop/lake", path)
    path = settings_file(tmp_path, f"{text}false", "drop/lake")
    check_receive_settings(read_receive_settings(path), tmp_path / "drop/lake", path)

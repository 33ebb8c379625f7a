# SPDX-License-Identifier: Apache-2.0
"""Filing: what is archived comes to the places of the reference, once, and nothing there is written over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

from ingest.filing import Filed, FilingSettings, file_all, plan_all
from ingest.landing import land
from lake.definitions import Definitions
from lake.state import State
from lake.store import Lake
from lake.ways.folder import FolderTransport
from tests.s3_server import Server, environment
from tests.toy import toy_lake

NOW = datetime(2026, 11, 22, tzinfo=UTC)
NAME, KEY = "toyMDA0_240916034739.dat", "raw/2024/09/16/toyMDA0_240916034739.dat"
SECOND, SECOND_KEY = "toy_BOX_l0_2024260-010203_v1.bin", "l0/unknown/2024/09/16/toy_BOX_l0_2024260-010203_v1.bin"
Drop = Callable[[str, bytes], None]


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    return toy_lake(tmp_path_factory.mktemp("toy")).definitions


@pytest.fixture
def lake(definitions: Definitions, tmp_path: Path) -> Lake:
    (tmp_path / "lake").mkdir()
    return Lake(tmp_path / "lake", definitions)


@pytest.fixture
def drop(lake: Lake, tmp_path: Path) -> Drop:
    """Archive a file."""

    def landed(name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        assert land(lake, [tmp_path / name], NOW, 0).new

    return landed


@pytest.fixture
def settings(tmp_path: Path) -> FilingSettings:
    (tmp_path / "archive").mkdir()
    return FilingSettings.model_validate({"prefix": "dev-", "folder": {"path": tmp_path / "archive"}})


def filed_files(folder: Path) -> dict[str, bytes]:
    """Everything below a folder, hidden names included, by path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_come_to_the_folders_of_the_reference_and_only_once(
    lake: Lake, drop: Drop, settings: FilingSettings, tmp_path: Path
) -> None:
    drop(NAME, b"one")
    drop(SECOND, b"two")
    first, again = file_all(lake, settings, NOW), file_all(lake, settings, NOW)
    assert filed_files(tmp_path / "archive") == {f"dev-toy-box/{KEY}": b"one", f"dev-toy-box/{SECOND_KEY}": b"two"}
    assert (len(first.filed), first.known) == (2, 0)
    assert again == Filed(known=2)


def test_a_plan_says_the_same_and_changes_nothing(
    lake: Lake, drop: Drop, settings: FilingSettings, tmp_path: Path
) -> None:
    drop(NAME, b"one")
    planned = plan_all(lake, settings, NOW)
    assert filed_files(tmp_path / "archive") == {}
    assert not (tmp_path / "lake/state").exists()
    assert planned == file_all(lake, settings, NOW)


def test_a_revision_is_kept_in_the_lake_where_nothing_keeps_versions(
    lake: Lake, drop: Drop, settings: FilingSettings, tmp_path: Path
) -> None:
    drop(NAME, b"one")
    file_all(lake, settings, NOW)
    drop(NAME, b"corrected")
    second, third = file_all(lake, settings, NOW), file_all(lake, settings, NOW)
    assert filed_files(tmp_path / "archive") == {f"dev-toy-box/{KEY}": b"one"}
    assert [line.rpartition("/")[2] for line in second.kept] == [
        f"{NAME}: revision 2 is kept in the lake: nothing is written over"
    ]
    assert (second.filed, third) == ([], Filed(known=2))


def test_bytes_of_others_are_never_written_over(
    lake: Lake, drop: Drop, settings: FilingSettings, tmp_path: Path
) -> None:
    place = tmp_path / "archive/dev-toy-box" / KEY
    place.parent.mkdir(parents=True)
    place.write_bytes(b"of somebody else")
    drop(NAME, b"one")
    drop(SECOND, b"two")
    result = file_all(lake, settings, NOW)
    assert (place.read_bytes(), len(result.filed)) == (b"of somebody else", 1)
    assert "has bytes that were not filed from here" in result.problems[0]


def test_what_is_gone_from_its_place_is_found_by_listing_and_filed_again(
    lake: Lake, drop: Drop, settings: FilingSettings, tmp_path: Path
) -> None:
    drop(NAME, b"one")
    file_all(lake, settings, NOW)
    (tmp_path / "archive/dev-toy-box" / KEY).unlink()
    assert file_all(lake, settings, NOW + timedelta(hours=23)) == Filed(known=1)
    result = file_all(lake, settings, NOW + timedelta(hours=25))
    assert (len(result.lost), result.filed) == (1, result.lost)
    assert filed_files(tmp_path / "archive") == {f"dev-toy-box/{KEY}": b"one"}


def test_a_filing_that_dies_is_taken_up_where_it_was(
    lake: Lake, drop: Drop, settings: FilingSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [NAME.replace("034739", f"03470{number}") for number in range(4)]
    for name in names:
        drop(name, name.encode())
    put, calls = FolderTransport.put, list[str]()

    def dying(self: FolderTransport, path: str, source: Path, replace: bool = False) -> bool:
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return put(self, path, source, replace)

    monkeypatch.setattr(FolderTransport, "put", dying)
    with pytest.raises(KeyboardInterrupt):
        file_all(lake, settings, NOW)
    state = State(lake, "filing")
    for name in state.names():  # a power cut would have left no notes
        state.remove(name)
    result = file_all(lake, settings, NOW)
    assert (result.known, len(result.filed), len(calls)) == (2, 2, 5)
    assert sorted(filed_files(tmp_path / "archive").values()) == [name.encode() for name in names]


def test_a_place_that_is_gone_is_a_problem_and_no_crash(
    lake: Lake, drop: Drop, settings: FilingSettings, tmp_path: Path
) -> None:
    drop(NAME, b"one")
    (tmp_path / "archive").rmdir()
    result = file_all(lake, settings, NOW)
    assert (result.filed, len(result.problems)) == ([], 1)
    assert result.problems[0].startswith("filing: ")


def test_damaged_bytes_are_not_filed(lake: Lake, drop: Drop, settings: FilingSettings, tmp_path: Path) -> None:
    drop(NAME, b"one")
    archived = next((tmp_path / "lake/raw/toy/box/2024-09-16").glob("*[!n]"))
    archived.chmod(0o644)
    archived.write_bytes(b"two")
    assert "has changed in the archive" in file_all(lake, settings, NOW).problems[0]
    assert filed_files(tmp_path / "archive") == {}


def test_a_receipt_that_cannot_be_read_is_told_and_all_others_are_filed(
    lake: Lake, drop: Drop, settings: FilingSettings, tmp_path: Path
) -> None:
    drop(NAME, b"one")
    [receipt] = (tmp_path / "lake/raw/toy/box/2024-09-16").glob("*.json")
    drop(SECOND, b"two")
    receipt.chmod(0o644)
    receipt.write_text("{")
    for result in (plan_all(lake, settings, NOW), file_all(lake, settings, NOW)):
        assert [f"{receipt.name}: is no readable receipt" in line for line in result.problems] == [True]
    assert filed_files(tmp_path / "archive") == {f"dev-toy-box/{SECOND_KEY}": b"two"}


def test_filing_ends_between_two_files_when_it_is_asked_to_and_goes_on_the_next_time(
    lake: Lake, drop: Drop, settings: FilingSettings, tmp_path: Path
) -> None:
    drop(NAME, b"one")
    drop(SECOND, b"two")
    assert len(file_all(lake, settings, NOW, lambda: bool(filed_files(tmp_path / "archive"))).filed) == 1
    assert len(file_all(lake, settings, NOW).filed) == 1


@pytest.mark.parametrize("versions", [False, True])
def test_a_revision_replaces_an_object_only_in_a_bucket_that_keeps_versions(
    lake: Lake, drop: Drop, moto: Server, *, versions: bool
) -> None:
    with environment(moto.environment):
        client, bucket = boto3.client("s3"), f"swx{versions:d}-toy-box"
        client.create_bucket(Bucket=bucket)
        if versions:
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        settings = FilingSettings.model_validate({"prefix": f"swx{versions:d}-", "s3": {}})
        drop(NAME, b"one")
        assert file_all(lake, settings, NOW).filed == [f"s3://{bucket}/{KEY}"]
        drop(NAME, b"corrected")
        second = file_all(lake, settings, NOW)
        now_there = client.get_object(Bucket=bucket, Key=KEY)["Body"].read()
        for name in (state := State(lake, "filing")).names():
            state.remove(name)
        without_notes = file_all(lake, settings, NOW)
        kept = client.list_object_versions(Bucket=bucket)["Versions"]
    assert (now_there, len(second.filed), len(second.kept)) == ((b"corrected", 1, 0) if versions else (b"one", 0, 1))
    assert (len(kept), without_notes.filed, without_notes.problems) == (1 + versions, [], [])


def test_a_bucket_that_is_not_there_is_named(lake: Lake, drop: Drop, moto: Server) -> None:
    drop(NAME, b"one")
    with environment(moto.environment):
        result = file_all(lake, FilingSettings.model_validate({"prefix": "none-", "s3": {}}), NOW)
    assert "s3://none-toy-box" in result.problems[0]


def test_settings_name_one_place(tmp_path: Path) -> None:
    for given in ({}, {"s3": {}, "folder": {"path": tmp_path}}):
        with pytest.raises(ValueError, match="needs either `s3` or `folder`"):
            FilingSettings.model_validate(given)
    placed = FilingSettings.model_validate({"folder": {"path": "archive"}}).placed(tmp_path)
    assert placed.folder is not None
    assert placed.folder.path == tmp_path / "archive"

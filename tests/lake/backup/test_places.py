# SPDX-License-Identifier: Apache-2.0
"""Places of copies that are not a folder: buckets with storage classes and object lock, and SFTP."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from lake.backup.settings import Place
from lake.errors import WayError
from lake.store import Lake
from tests.lake.backup.copies import KEY, copied, held, restored, tiny_lake, verified
from tests.s3_server import Faults, Server, environment
from tests.sftp_server import PASSWORD, sftp_server


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tiny_lake(tmp_path)


@pytest.fixture
def bucket(moto: Server) -> Iterator[str]:
    """A bucket in which objects can be locked."""
    with environment(moto.environment):
        name = moto.make_bucket() + "-locked"
        boto3.client("s3").create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        yield name


def s3_place(bucket: str, **facts: Any) -> Place:
    return Place.model_validate({"s3": {"address": f"s3://{bucket}/vault"}, **facts})


def listed(bucket: str) -> dict[str, dict[str, Any]]:
    """What a bucket has, by key without the prefix."""
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {item["Key"].removeprefix("vault/"): item for page in pages for item in page["Contents"]}


def raw_key(lake: Lake) -> str:
    (key,) = (entry.key for entry in lake.storage.entries("raw/") if not entry.key.endswith(".json"))
    return key


def object_of(key: str) -> str:
    sha256 = key.rpartition("/")[2]
    return f"objects/{sha256[:2]}/{sha256}"


def test_a_bucket_gives_every_byte_back_and_is_repaired(
    lake: Lake, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWX_AGE_KEY", str(KEY))
    place = s3_place(bucket, encrypt_to=[str(KEY.to_public())], identity_env="SWX_AGE_KEY")
    assert copied(lake, place).problems == []
    hashes = [hashlib.sha256(lake.storage.read(key)).hexdigest() for key in (raw_key(lake), _receipt(lake))]
    objects = sorted(key for key in listed(bucket) if any(sha256 in key for sha256 in hashes))
    client = boto3.client("s3")
    client.delete_object(Bucket=bucket, Key=f"vault/{objects[0]}")
    content = client.get_object(Bucket=bucket, Key=f"vault/{objects[1]}")["Body"].read()
    client.put_object(Bucket=bucket, Key=f"vault/{objects[1]}", Body=content[:-1] + bytes([content[-1] ^ 1]))
    found = verified(place, lake)
    assert [(bad.object, bad.what, bad.is_mended) for bad in found.bad] == [
        (objects[0], "is missing", True),
        (objects[1], "has changed", True),
    ]
    assert copied(lake, place, days=1).new_files == 0
    assert restored(place, tmp_path / "new").problems == []
    assert held(Lake(tmp_path / "new", lake.definitions)) == held(lake)


def test_objects_cannot_be_deleted_before_their_time(lake: Lake, bucket: str) -> None:
    copied(lake, s3_place(bucket, object_lock_days=30, object_lock_mode="compliance"))
    client, key = boto3.client("s3"), f"vault/{object_of(raw_key(lake))}"
    found = client.head_object(Bucket=bucket, Key=key)
    assert found["ObjectLockMode"] == "COMPLIANCE"
    until = found["ObjectLockRetainUntilDate"] - datetime.now(UTC)
    assert timedelta(days=29.9) < until <= timedelta(days=30.1)
    (snapshot,) = (name for name in listed(bucket) if name.startswith("snapshots/"))
    for locked in (key, f"vault/{snapshot}"):
        version = client.head_object(Bucket=bucket, Key=locked)["VersionId"]
        with pytest.raises(ClientError, match="AccessDenied"):
            client.delete_object(Bucket=bucket, Key=locked, VersionId=version)


def test_each_kind_has_its_storage_class(lake: Lake, bucket: str) -> None:
    classes = {"raw": "DEEP_ARCHIVE", "tables": "STANDARD_IA", "exports": "GLACIER_IR"}
    place = s3_place(bucket, storage_class=classes)
    copied(lake, place)
    found = {key: item["StorageClass"] for key, item in listed(bucket).items()}
    assert found[object_of(raw_key(lake))] == "DEEP_ARCHIVE"
    assert set(found.values()) == {"STANDARD", *classes.values()}
    assert {found[key] for key in found if key.startswith("snapshots/")} == {"STANDARD"}


def test_what_lies_in_cold_storage_is_counted_and_not_read(lake: Lake, tmp_path: Path, bucket: str) -> None:
    place = s3_place(bucket, storage_class={"raw": "DEEP_ARCHIVE"})
    copied(lake, place)
    found = verified(place)
    assert (found.bad, found.cold) == ([], 2)  # the bytes and their receipt
    assert found.read == found.objects - 2
    done = restored(place, tmp_path / "new")
    assert [problem.partition(":")[0] for problem in done.problems] == [raw_key(lake), _receipt(lake)]
    assert all("is missing, or cannot be read" in problem for problem in done.problems)


def _receipt(lake: Lake) -> str:
    (key,) = (entry.key for entry in lake.storage.entries("raw/") if entry.key.endswith(".json"))
    return key


def test_bytes_that_were_spoiled_on_their_way_make_no_snapshot(lake: Lake, moto: Server, bucket: str) -> None:
    lake.storage.put("state/forward/a.json", b"AAAA")
    with moto.faults(Faults(spoil=True)), pytest.raises(WayError):
        copied(lake, s3_place(bucket))
    assert [key for key in listed(bucket) if key.startswith("snapshots/")] == []


def test_a_lake_can_be_restored_into_a_bucket(lake: Lake, tmp_path: Path, bucket: str, moto: Server) -> None:
    place = s3_place(bucket)
    copied(lake, place)
    root = f"s3://{moto.make_bucket()}/lake"
    done = restored(place, root, only="raw")
    assert (done.problems, done.files) == ([], 2)
    again = Lake(root, lake.definitions)
    assert again.storage.read(raw_key(lake)) == b"telemetry " * 100


def test_an_sftp_server_gives_every_byte_back_and_is_repaired(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWX_SFTP_PASSWORD", PASSWORD)
    with sftp_server(tmp_path / "served", tmp_path / "state") as server:
        place = Place.model_validate({"sftp": server.way(path="vault")})
        (tmp_path / "served/vault").mkdir()
        assert copied(lake, place).problems == []
        assert copied(lake, place, days=1).new_files == 0
        path = tmp_path / "served/vault" / object_of(raw_key(lake))
        path.write_bytes(path.read_bytes().swapcase())
        assert [bad.what for bad in verified(place).bad] == ["has changed"]
        assert verified(place, lake).mended == 1
        assert restored(place, tmp_path / "new").problems == []
    assert held(Lake(tmp_path / "new", lake.definitions)) == held(lake)

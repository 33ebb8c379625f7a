# SPDX-License-Identifier: Apache-2.0
"""Delivery into a bucket of others: with credentials and a service of its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lake.errors import PathError, WayError
from lake.ways.settings import S3Way, open_way
from tests.s3_server import KEY_ID, SECRET, Faults, Server


def profile(path: Path) -> None:
    path.write_text(f"[partner]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\nregion = us-east-1\n")


@pytest.fixture
def elsewhere(moto: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket that the environment, where the lake's own service is named, does not lead to."""
    profile(tmp_path / "credentials")
    bucket = moto.make_bucket()
    settings = moto.environment | {
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "AKIAOFTHELAKE",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return bucket


def test_a_recipient_has_credentials_and_a_service_of_its_own(moto: Server, elsewhere: str, tmp_path: Path) -> None:
    (tmp_path / "a.cdf").write_bytes(b"x")
    way = S3Way(address=f"s3://{elsewhere}/in", profile="partner", endpoint=f"http://127.0.0.1:{moto.port}")
    with open_way("recipient r", way) as to:
        to.put("a.cdf", tmp_path / "a.cdf")
        assert to.read("a.cdf") == b"x"
        assert to.storage._identity()[0] == KEY_ID  # type: ignore[attr-defined]


def test_a_profile_that_is_not_there_is_named(elsewhere: str) -> None:
    way = S3Way(address=f"s3://{elsewhere}/in", profile="stranger")
    with open_way("recipient r", way) as to, pytest.raises(WayError, match=r"recipient r: s3://.*profile \(stranger\)"):
        to.size("a.cdf")


def test_a_bucket_that_is_not_there_is_refused(moto: Server, elsewhere: str, tmp_path: Path) -> None:
    (tmp_path / "a.cdf").write_bytes(b"x")
    way = S3Way(address="s3://no-such-bucket/in", profile="partner", endpoint=f"http://127.0.0.1:{moto.port}")
    with (
        open_way("recipient r", way) as to,
        pytest.raises(WayError, match=r"recipient r: s3://no-such-bucket/in/a\.cdf"),
    ):
        to.put("a.cdf", tmp_path / "a.cdf")
    assert SECRET not in str(way)


def test_a_service_that_is_down_is_given_up_soon(elsewhere: str) -> None:
    way = S3Way(address=f"s3://{elsewhere}/in", profile="partner", endpoint="http://127.0.0.1:1", seconds=1)
    with open_way("recipient r", way) as to, pytest.raises(WayError, match="recipient r: "):
        to.size("a.cdf")


def test_bytes_do_not_travel_in_the_clear_to_a_service_that_a_profile_names(
    elsewhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile(tmp_path / "credentials")
    (tmp_path / "config").write_text("[profile partner]\nendpoint_url = http://s3.example.org:9000\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    way = S3Way(address=f"s3://{elsewhere}/in", profile="partner", seconds=1)
    with (
        open_way("recipient r", way) as to,
        pytest.raises(WayError, match=r"http://s3\.example\.org:9000: is not encrypted"),
    ):
        to.size("a.cdf")


def test_a_sender_that_may_not_list_can_send(moto: Server, elsewhere: str, tmp_path: Path) -> None:
    (tmp_path / "a.cdf").write_bytes(b"x")
    way = S3Way(address=f"s3://{elsewhere}/in", profile="partner", endpoint=f"http://127.0.0.1:{moto.port}")
    with open_way("recipient r", way) as to, moto.faults(Faults(unlisted=True)):
        assert (to.size("a.cdf"), to.read("a.cdf")) == (None, None)
        to.put("a.cdf", tmp_path / "a.cdf")
        assert to.sha256("a.cdf") == hashlib.sha256(b"x").hexdigest()
        with pytest.raises(PathError, match=r"a\.cdf is there already"):
            to.put("a.cdf", tmp_path / "a.cdf")
        with pytest.raises(PathError, match=r"recipient r: .*b.cdf: refused"):
            to.sha256("b.cdf")
        with pytest.raises(PathError, match=r"recipient r: .*receipts.*AccessDenied"):
            to.names("receipts")


def test_a_file_that_came_as_other_bytes_is_found_out(moto: Server, elsewhere: str, tmp_path: Path) -> None:
    (tmp_path / "a.cdf").write_bytes(b"AAAA")
    way = S3Way(address=f"s3://{elsewhere}/in", profile="partner", endpoint=f"http://127.0.0.1:{moto.port}")
    with open_way("recipient r", way) as to:
        with moto.faults(Faults(spoil=True)):
            assert not to.put("a.cdf", tmp_path / "a.cdf"), "nobody has read it back yet"
        with pytest.raises(PathError, match=r"recipient r: .*a\.cdf: .*checksum"):
            to.sha256("a.cdf")
        to.put("a.cdf", tmp_path / "a.cdf", replace=True)
        assert to.sha256("a.cdf") == hashlib.sha256(b"AAAA").hexdigest()

# SPDX-License-Identifier: Apache-2.0
"""Which recipients would get in each other's way, or in the lake's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exports.delivery.places import check_places
from exports.delivery.settings import DeliverySettings, Recipient
from lake.errors import ConfigurationError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDFux090r5Ge8tQb5CXRcGDrRyytj1BCfvUMwShbbhY1"


def recipients(*ways: dict[str, Any]) -> dict[str, Recipient]:
    facts = {name: {**way, "send": [{"levels": ["l1"]}]} for name, way in zip("ab", ways, strict=False)}
    return DeliverySettings.model_validate({"lake": "lake", "recipients": facts}).recipients


def sftp(host: str = "host", port: int = 22, user: str = "u", path: str = ".") -> dict[str, Any]:
    way = {"host": host, "port": port, "user": user, "path": path}
    return {"sftp": {**way, "host_key": KEY, "password_env": "PASSWORD"}}


def s3(address: str, **more: str) -> dict[str, Any]:
    return {"s3": {"address": address, **more}}


def https(url: str) -> dict[str, Any]:
    return {"https": {"url": url}}


@pytest.fixture(autouse=True)
def usual_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://usual.example.org")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)


@pytest.mark.parametrize("place", ["lake", "lake/exports", ".", "other/../lake", "linked/exports"])
def test_a_recipient_within_the_lake_or_around_it_is_a_mistake(tmp_path: Path, place: str) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "linked").symlink_to("lake")
    with pytest.raises(ConfigurationError, match=r"recipient a: .* is within the lake, or around it"):
        check_places(tmp_path / "lake", recipients({"folder": {"path": tmp_path / place}}))


@pytest.mark.parametrize("address", ["s3://bucket", "s3://bucket/swx/exports", "s3://bucket/swx/"])
def test_a_bucket_within_the_lake_or_around_it_is_a_mistake(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"recipient a: s3://bucket.* is within the lake, or around it"):
        check_places("s3://bucket/swx", recipients(s3(address)))
    check_places("s3://bucket/swx", recipients(s3("s3://bucket/swx-partner")))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"folder": {"path": "/srv/out"}}, {"folder": {"path": "/srv/out/team"}}),
        ({"folder": {"path": "/srv/out/team"}}, {"folder": {"path": "/srv/./out/x/.."}}),
        (s3("s3://bucket/a"), s3("s3://bucket/a/team", profile="other")),
        (s3("s3://bucket/a"), s3("s3://bucket/a", endpoint="https://usual.example.org/")),
        (sftp(), sftp(host="HOST.", path="./incoming/")),
        (sftp(path="/in"), sftp(path="//in/./team")),
        (https("https://host/in"), https("https://HOST:443/in/team")),
    ],
)
def test_two_recipients_in_one_place_or_one_within_the_other_are_a_mistake(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=r"recipients a and b: .* are one place, or one is within the other"):
        check_places(Path("/lake"), recipients(one, other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"folder": {"path": "/srv/out"}}, {"folder": {"path": "/srv/out2"}}),
        (s3("s3://bucket/a"), s3("s3://bucket/ab")),
        (s3("s3://bucket/a"), s3("s3://bucket/a", endpoint="https://other.example.org")),
        (sftp(), sftp(port=2222)),
        (sftp(), sftp(user="v")),
        (sftp(path="/in"), sftp(path="/out")),
        (https("https://host/in"), https("https://host/out")),
    ],
)
def test_places_beside_each_other_are_fine(one: dict[str, Any], other: dict[str, Any]) -> None:
    check_places(Path("/lake"), recipients(one, other))

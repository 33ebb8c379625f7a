# SPDX-License-Identifier: Apache-2.0
"""What the settings say of a way to a recipient: nothing wrong gets through, and no secret is ever repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lake.errors import WayError
from lake.ways.settings import FolderWay, HttpsWay, S3Way, SftpWay, Way, open_way, secret

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDh7Qy3pVzWUdFvV0a2sU3nqP8b0Y6PsyVd7sVxJt0Hk"
SFTP: dict[str, Any] = {"host": "h", "user": "u", "host_key": KEY, "password_env": "P"}
HTTPS: dict[str, Any] = {"url": "https://h/in"}

WRONG = [
    (SftpWay, {"host": "h", "user": "u", "password_env": "P"}, "none of host_key, known_hosts"),
    (SftpWay, SFTP | {"known_hosts": "/k"}, "host_key and known_hosts of"),
    (SftpWay, {"host": "h", "user": "u", "host_key": KEY}, "none of key_file, password_env, password_file"),
    (SftpWay, SFTP | {"passphrase_env": "X"}, "a passphrase without a key"),
    (SftpWay, SFTP | {"host_key": "SHA256:abc"}, "is no public key"),
    *(
        (SftpWay, SFTP | {"host_key": line}, "is no public key")
        for line in (
            "ssh-ed25519 AAAA",
            "ssh-rsa AAAAB3NzaC1yc2E=",
            "ecdsa-sha2-nistp256 AAAA",
            "ssh-foo AAAA",
            "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQI=",
            KEY[:-8],
            "ssh-rsa caf\u00e9",
        )
    ),
    (SftpWay, SFTP | {"host": "u:hunter2@h"}, "is no name or number of a host"),
    (SftpWay, SFTP | {"path": "../other"}, "without .."),
    (SftpWay, SFTP | {"password": "hunter2"}, "gives a literal password"),
    (SftpWay, SFTP | {"password_env": "hunter2!"}, "is no name of an environment variable"),
    (HttpsWay, {"url": "http://example.org/in"}, "is not encrypted"),
    (HttpsWay, {"url": "https://u:hunter2@h/in"}, "holds more than host and path"),
    (HttpsWay, {"url": "https://h/in?token=hunter2"}, "holds more than host and path"),
    (HttpsWay, {"url": "ftp://h/in"}, "is no https"),
    (HttpsWay, HTTPS | {"token": "hunter2"}, "with token_env or token_file"),
    (HttpsWay, HTTPS | {"token_env": "A", "token_file": "/b"}, "token_env and token_file"),
    (HttpsWay, HTTPS | {"seconds": 0}, "greater than 0"),
    (S3Way, {"address": "bucket/prefix"}, "is no s3://bucket/prefix"),
    (S3Way, {"address": "s3://b-1/x", "endpoint": "http://minio.example"}, "is not encrypted"),
    (S3Way, {"address": "s3://b-1/x", "secret_key": "hunter2"}, "gives a literal secret_key"),
    (FolderWay, {"path": "sftp://h/x"}, "is no path of this machine"),
    (FolderWay, {"path": "/x", "paht": "/y"}, "paht"),
]


@pytest.mark.parametrize(("kind", "values", "words"), WRONG)
def test_what_is_wrong_is_said_without_what_stands_there(kind: type[Way], values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as found:
        kind.model_validate(values)
    told = str([error | {"input": None} for error in found.value.errors(include_url=False, include_input=False)])
    assert words in told
    assert "hunter2" not in told


def test_paths_are_taken_from_the_folder_of_the_settings() -> None:
    way = SftpWay(host="h", user="u", known_hosts=Path("hosts"), key_file=Path("/keys/id")).placed(Path("/etc/swx"))
    assert isinstance(way, SftpWay)
    assert (way.known_hosts, way.key_file, way.password_file) == (Path("/etc/swx/hosts"), Path("/keys/id"), None)


@pytest.mark.parametrize(
    ("way", "place"),
    [
        (SftpWay(**SFTP), "sftp://h:22/~"),
        (SftpWay(**SFTP, path="in/padre/", port=2022), "sftp://h:2022/~/in/padre"),
        (SftpWay(**SFTP | {"host": "::1"}, path="/in"), "sftp://[::1]:22/in"),
        (HttpsWay(url="http://127.0.0.1:8080/in/"), "http://127.0.0.1:8080/in"),
        (S3Way(address="s3://some-bucket/a/"), "s3://some-bucket/a"),
    ],
)
def test_a_way_has_a_place(way: Way, place: str) -> None:
    assert way.place == place


def test_a_secret_comes_from_where_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("of a file\nand no second line\n")
    monkeypatch.setenv("SWX_TEST_SECRET", "of the environment")
    assert secret("recipient r", "SWX_TEST_SECRET", None) == "of the environment"
    assert secret("recipient r", None, tmp_path / "secret") == "of a file"
    assert secret("recipient r", None, None) is None


@pytest.mark.parametrize("content", ["", "\n", "hunter2\x1b[2J", "hunter2\tand"])
def test_an_impossible_secret_is_refused_by_its_place(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_text(content)
    with pytest.raises(WayError, match=r"recipient r: .*secret (is empty|holds characters)") as found:
        secret("recipient r", None, tmp_path / "secret")
    assert "hunter2" not in str(found.value)


def test_a_secret_that_is_not_there_names_variable_or_file(tmp_path: Path) -> None:
    with pytest.raises(WayError, match=r"variable SWX_NOT_SET is not set\. Put"):
        secret("recipient r", "SWX_NOT_SET", None)
    with pytest.raises(WayError, match=r"gone cannot be read \(No such file or directory\)"):
        secret("recipient r", None, tmp_path / "gone")


def test_a_disk_that_is_not_mounted_is_not_written_to(tmp_path: Path) -> None:
    way = FolderWay(path=tmp_path / "mnt")
    with pytest.raises(WayError, match=r"recipient r: .*mnt is no folder\. Mount"), open_way("recipient r", way):
        pass
    assert list(tmp_path.iterdir()) == []

# SPDX-License-Identifier: Apache-2.0
"""The same lake at s3://: a night, queries, several processes at once, storage in trouble, and what errors say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.torture import s3
from bench.torture.commands import Command, Ended, finish
from bench.torture.scenes import Scene
from bench.torture.state import assert_equal_lakes, product_state
from lake.store import Lake
from tests.s3_server import KEY_ID, SECRET

SESSION_TOKEN = "token/of+a/session"  # noqa: S105
COUNT = "SELECT (SELECT count(*) FROM padre.meddea_l1_photon) + (SELECT count(*) FROM ops.files) AS n"
NO_BUCKET = "s3://bucket-that-is-not-there/lake"


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    """Three minutes of PADRE with faults, and the lake in a folder that a night makes of them."""
    return s3.undisturbed(tmp_path_factory.mktemp("s3"))


class Remote:
    """The lake in S3 and commands on it."""

    def __init__(self, scene: Scene, root: str) -> None:
        self.scene, self.root, self.lake = scene, root, Lake(root, scene.lake(scene.undisturbed).definitions)

    def command(self, *arguments: str, root: str | None = None, **environment: str) -> Ended:
        """Run a command on the lake, with these environment variables instead of the present ones (empty: unset)."""
        log = self.scene.folder / f"{arguments[0]}.log"
        command = Command((*arguments, "--root", root or self.root), self.scene.missions, log)
        return finish(s3.start(command, s3.environment_of(dict(os.environ)) | environment), command)

    def written(self) -> dict[str, tuple[int, float]]:
        """Size and time of each object but the leases, the diary of the nights, and the catalog that shows it."""
        passing = ("locks/", "tables/ops/nights/", "catalog.duckdb")
        entries = [entry for entry in self.lake.storage.entries("") if not entry.key.startswith(passing)]
        return {entry.key: (entry.bytes, entry.modified) for entry in entries}


@pytest.fixture(scope="module")
def remote(scene, s3_place) -> Iterator[Remote]:
    """The same night in S3."""
    with s3_place() as root:
        remote = Remote(scene, root)
        remote.ended = remote.command(*scene.arguments, "-vv")
        yield remote


def test_a_night_in_s3_is_the_night_in_a_folder(remote, scene):
    assert remote.ended.code == 1, remote.ended.text  # the telemetry has damage, which a night reports
    assert_equal_lakes(remote.lake, scene.lake(scene.undisturbed))
    assert len(product_state(remote.lake)) == 4


def test_the_second_night_writes_nothing(remote, scene):
    before = remote.written()
    ended = remote.command(*scene.arguments)
    assert not ended.traceback, ended.text
    assert remote.written() == before


def test_a_query_finds_the_same_in_both_places(remote, scene):
    answers = [remote.command("sql", COUNT, "--format", "csv", root=root) for root in (None, str(scene.undisturbed))]
    assert answers[0].code == 0, answers[0].text
    assert answers[0] == answers[1]
    assert int(answers[0].text.split()[-1]) > 3000


@pytest.mark.parametrize("command", [("fsck",), ("status",), ("doctor",)])
def test_what_looks_at_a_lake_says_the_same_in_both_places(remote, scene, command):
    here, there = (remote.command(*command, root=root) for root in (str(scene.undisturbed), None))
    assert (there.code, there.traceback) == (here.code, False), there.text


def test_no_credential_is_in_an_output_a_log_or_the_lake(remote):
    ended = remote.command("sql", COUNT, "-vv", AWS_SESSION_TOKEN=SESSION_TOKEN)
    assert (ended.code, "DEBUG" in remote.ended.text) == (0, True)
    names = ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN")
    for secret in [SESSION_TOKEN, *(os.environ[name] for name in names if os.environ.get(name))]:
        assert secret not in ended.text + remote.ended.text
        assert all(secret.encode() not in remote.lake.storage.read(key) for key in remote.written())


@pytest.mark.parametrize(
    ("command", "environment", "root", "code", "words"),
    [
        (("night",), {}, NO_BUCKET, 1, "NoSuchBucket"),
        (("sql", "SELECT 1"), {}, NO_BUCKET, 1, "NoSuchBucket"),
        (("night",), {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, None, 2, "no AWS credentials were found"),
        (("sql", "SELECT 1"), {"AWS_ACCESS_KEY_ID": ""}, None, 2, "redential"),
        (("status",), {"AWS_PROFILE": "nobody"}, None, 2, "nobody"),
        (("night",), {"AWS_ALLOW_HTTP": ""}, None, 2, "not encrypted"),
        (("sql", "SELECT 1"), {"AWS_ENDPOINT_URL": "nonsense"}, None, 2, "nonsense"),
        (("night",), {}, "s3://bucket/a/../b", 2, "no s3://bucket/prefix"),
        (("status",), {}, "s3:/bucket", 2, "no s3://bucket/prefix"),
    ],
)
def test_what_is_wrong_with_the_storage_is_said_in_one_line(moto, remote, command, environment, root, code, words):
    given = moto.environment | {"AWS_SESSION_TOKEN": SESSION_TOKEN}
    ended = remote.command(*command, root=root, **given | environment)
    assert (ended.code, ended.text.count("\n")) == (code, 1), ended.text
    assert ended.text.startswith("swxlake: ")
    assert words in ended.text
    assert all(secret not in ended.text for secret in (SECRET, KEY_ID, SESSION_TOKEN))


def test_four_processes_that_ingest_the_same_files_leave_each_row_once(moto, tmp_path: Path):
    found = s3.crowd(moto, tmp_path, s3.FILES_SHORT, s3.DUPLICATES_SHORT)
    assert [ended.text for ended in found.ended if ended.code != 0] == []
    assert (found.rows, found.twice, found.flagged) == (found.wanted, 0, 0)


def test_a_night_on_a_server_in_trouble_ends_right_or_says_what_failed(moto, scene):
    night = s3.troubled_night(moto, scene, replace(s3.MILD, seed=1))
    assert night.problem == ""
    assert night.counts["failed"] > 20
    assert night.counts["hung"] > 2

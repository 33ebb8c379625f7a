# SPDX-License-Identifier: Apache-2.0
"""The commands about a mirror: what they print, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exports.mirror.settings import read_mirror_settings
from lake.errors import ConfigurationError
from swxlake.cli_mirror import app

EXAMPLE = Path(__file__).resolve().parents[2] / "docs/mirror.example.toml"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "source/x").mkdir(parents=True)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "source/x/a.txt").write_bytes(b"abc")
    path = tmp_path / "mirror.toml"
    path.write_text('folder = "mirror"\nkeep_free_bytes = 0\n[source]\nfolder = { path = "source" }\n')
    return path


def run(*words: str) -> tuple[int, dict[str, Any]]:
    found = CliRunner().invoke(app, ["mirror", *words, "--json"], catch_exceptions=False)
    return found.exit_code, json.loads(found.stdout)


def test_a_round_is_made_and_told(settings: Path, tmp_path: Path) -> None:
    code, planned = run("--settings", str(settings), "--dry-run")
    assert (code, planned["mirror"]["would_be_brought"]) == (0, 1)
    assert planned["files"] == [{"path": "x/a.txt", "as": "x/a.txt"}]
    assert list((tmp_path / "mirror").iterdir()) == []
    code, done = run("--settings", str(settings), "--once")
    assert (code, done["mirror"]["brought"], done["mirror"]["bytes"]) == (0, 1, 3)
    assert (tmp_path / "mirror/x/a.txt").read_bytes() == b"abc"
    code, found = run("status", "--settings", str(settings))
    assert (code, found["files"], found["bytes"], found["receipts_waiting"]) == (0, 1, 3, 0)


def test_what_failed_is_told_until_it_is_mended(settings: Path, tmp_path: Path) -> None:
    (tmp_path / "mirror/x").write_bytes(b"a file where a folder is needed")
    code, done = run("--settings", str(settings), "--once")
    assert (code, done["mirror"]["failed"]) == (1, 1)
    code, found = run("status", "--settings", str(settings))
    assert code == 1
    assert found["problems"][0].startswith("x/a.txt failed 1 times (")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('folder = "m"', r"\(source\): field required"),
        ('folder = "m"\n[source]\n', r"\(source\): has none of folder, s3, sftp"),
        ('folder = "m"\n[source]\nfolder = {path = "x"}\nqueue = "https://q/1/n"', "has a queue without s3"),
        ('folder = "m"\nfodler = 1\n[source]\nfolder = {path = "x"}', "fodler.*did you mean folder"),
        ('folder = "m"\n[source]\nfolder = {path = "x"}\n[[take]]\ninto = "../up"', "is no folder below the mirror's"),
        ('folder = "m"\n[source]\nfolder = {path = "x"}\n[[take]]\npaths = []', "is empty; name what is meant"),
        ('folder = "m"\n[source]\nhttps = {url = "https://x/y"}', "https.*is no setting"),
        ('folder = "m"\n[source.sftp]\npassword = "x"', "gives a literal password"),
    ],
)
def test_wrong_settings_are_told_with_their_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mirror.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        read_mirror_settings(path)


def test_settings_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"mirror\.toml: No such file or directory"):
        read_mirror_settings(tmp_path / "mirror.toml")


def test_the_example_can_be_read_and_paths_count_from_its_folder() -> None:
    found = read_mirror_settings(EXAMPLE)
    assert found.folder == Path("/srv/padre")
    assert found.target("padre/meddea/padre_meddea_l1-photon_20240916_v1.0.0.cdf", ()) == (
        "meddea/padre_meddea_l1-photon_20240916_v1.0.0.cdf"
    )
    assert found.target("receipts/x.json", ()) is None


def test_options_before_the_command_are_refused(settings: Path) -> None:
    with pytest.raises(ConfigurationError, match="options stand before 'status'"):
        CliRunner().invoke(app, ["mirror", "--once", "status"], catch_exceptions=False)

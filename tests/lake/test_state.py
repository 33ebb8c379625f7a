# SPDX-License-Identifier: Apache-2.0
"""Documents of services: read as they were written, in a folder and in S3; what is broken begins anew."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from lake.definition_files import read_definitions
from lake.definitions import Definitions
from lake.state import State
from lake.store import Lake
from tests.toy import write_missions


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    return read_definitions(write_missions(tmp_path_factory.mktemp("missions")))


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path, definitions: Definitions) -> Lake:
    root: Path | str = tmp_path / "lake" if request.param == "folder" else request.getfixturevalue("s3_root")
    return Lake(root, definitions)


def test_a_document_is_read_as_it_was_written_last(lake: Lake) -> None:
    state = State(lake, "receive")
    state.write("moc", {"seen": {"a.bin": [1, None]}, "name": "Größe"})
    state.write("moc", {"seen": {"b.bin": [2, 3.5]}})
    assert State(lake, "receive").read("moc") == {"seen": {"b.bin": [2, 3.5]}}


def test_without_a_document_there_is_nothing_to_go_on_from(lake: Lake) -> None:
    assert State(lake, "receive").read("moc") == {}
    assert State(lake, "receive").names() == []


def test_kinds_do_not_see_each_other(lake: Lake) -> None:
    receive, forward = State(lake, "receive"), State(lake, "forward")
    receive.write("moc", {"at": 1})
    forward.write("team", {"at": 2})
    forward.write("archive", {"at": 3})
    assert (receive.names(), forward.names()) == (["moc"], ["archive", "team"])
    assert forward.read("moc") == {}


def test_a_removed_document_is_forgotten_and_may_be_removed_again(lake: Lake) -> None:
    state = State(lake, "forward")
    state.write("team", {"at": 2})
    state.remove("team")
    state.remove("team")
    assert (state.read("team"), state.names()) == ({}, [])


@pytest.mark.parametrize("text", [b"", b"{", b'{"at": 1', b"[1]", b"null", b"\xff\xfe"])
def test_a_document_that_cannot_be_understood_begins_anew_and_is_told(
    tmp_path: Path, definitions: Definitions, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    lake = Lake(tmp_path / "lake", definitions)
    state = State(lake, "forward")
    state.write("team", {"at": 2})
    path = tmp_path / "lake" / "state" / "forward" / "team.json"
    path.write_bytes(text)
    with caplog.at_level(logging.WARNING):
        assert state.read("team") == {}
    assert str(path) in caplog.text
    state.write("team", {"at": 3})
    assert state.read("team") == {"at": 3}

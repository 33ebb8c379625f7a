# SPDX-License-Identifier: Apache-2.0
"""What the doctor says about forward.toml before packets arrive."""

from __future__ import annotations

from pathlib import Path

import pytest

from exports.forward.dead_letters import DeadLetter, DeadLetters
from lake.packet_log import Cursor, Wanted
from lake.store import Lake
from swxlake.doctor_forward import examine_forward
from tests.exports.forward.stage import SECRET, hook
from tests.toy import toy_lake

LAKE = 'lake = "lake"\n'
FOLDER = '[clients.disk]\nfolder = {path = "out"}\n'


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake in a folder without forward.toml, in which commands work."""
    monkeypatch.delenv("SWXLAKE_FORWARD", raising=False)
    monkeypatch.setenv("SWX_HOOK", SECRET)
    monkeypatch.chdir(tmp_path)
    return toy_lake(tmp_path)


def test_without_a_file_nobody_gets_packets_and_it_is_no_problem(lake: Lake) -> None:
    outcome = examine_forward(lake)
    assert outcome.facts["forward"].endswith("nobody gets packets")
    assert outcome.problems == []


def test_clients_that_can_be_reached_are_named_and_get_nothing(lake: Lake) -> None:
    Path("out").mkdir()
    with hook() as server:
        url = f"http://127.0.0.1:{server.port}"
        way = f'webhook = {{url = "{url}", secret_env = "SWX_HOOK", allow_private = true}}\n'
        Path("forward.toml").write_text(LAKE + FOLDER + "[clients.team]\n" + way)
        outcome = examine_forward(lake)
        assert outcome.facts["forward"] == f"{Path('forward.toml').resolve()}: disk, team, each can be reached"
        assert (outcome.problems, server.heard, list(Path("out").iterdir())) == ([], [], [])


def test_who_cannot_be_reached_or_has_no_secret_is_a_problem(lake: Lake) -> None:
    text = '[clients.team]\nwebhook = {url = "http://127.0.0.1:9", secret_env = "SWX_HOOK", allow_private = true}\n'
    text += '[clients.viewer]\nsubscriber = true\ntoken_env = "SWX_NOT_SET"\n'
    Path("forward.toml").write_text(LAKE + FOLDER + text)
    disk, team, viewer = examine_forward(lake).problems
    assert disk.startswith(f"forward: client disk: {Path('out').resolve()} is no folder.")
    assert team.startswith("forward: client team: http://127.0.0.1:9 cannot be reached (Connection refused).")
    assert viewer == "forward: client viewer: the environment variable SWX_NOT_SET is not set. Put the secret there."


def test_dead_letters_and_mistakes_in_the_file_are_problems(lake: Lake) -> None:
    Path("out").mkdir()
    Path("forward.toml").write_text(LAKE + FOLDER)
    at = "2026-08-01T00:00:00Z"
    DeadLetters(lake).add(DeadLetter("disk", Cursor(1, 0), Cursor(1, 2), 2, Wanted(), "was full", at))
    (problem,) = examine_forward(lake).problems
    assert problem.startswith("forward: client disk has 1 dead letter.")
    Path("forward.toml").write_text(LAKE + FOLDER + "missions = ['mars']\n")
    (problem,) = examine_forward(lake).problems
    assert "no mission that fits is 'mars'" in problem

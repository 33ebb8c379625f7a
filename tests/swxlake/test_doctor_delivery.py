# SPDX-License-Identifier: Apache-2.0
"""What the doctor says about delivery.toml before a night needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.store import Lake
from swxlake.doctor_delivery import examine_delivery
from tests.exports.delivery.stage import BOX, empty_stage
from tests.sftp_server import make_key

LAKE = 'lake = "lake"\n'
SEND = f'[[recipients.spdf.send]]\nproducts = ["{BOX}"]\n'


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake in a folder without delivery.toml, in which commands work."""
    monkeypatch.delenv("SWXLAKE_DELIVERY", raising=False)
    monkeypatch.chdir(tmp_path)
    return empty_stage(tmp_path)


def test_without_a_file_nothing_leaves_the_lake_and_it_is_no_problem(lake: Lake) -> None:
    outcome = examine_delivery(lake)
    assert outcome.facts["delivery"].endswith("nothing leaves the lake")
    assert outcome.problems == []


def test_recipients_that_can_be_reached_are_named_and_get_nothing(lake: Lake) -> None:
    Path("out").mkdir()
    Path("delivery.toml").write_text(LAKE + f'[recipients.spdf]\nfolder = {{path = "out"}}\n{SEND}')
    outcome = examine_delivery(lake)
    assert outcome.facts["delivery"] == f"{Path('delivery.toml').resolve()}: spdf, each can be reached"
    assert outcome.problems == []
    assert list(Path("out").iterdir()) == []


def test_a_recipient_that_cannot_be_reached_is_a_problem(lake: Lake, tmp_path: Path) -> None:
    way = (
        f'{{host = "127.0.0.1", port = 1, user = "u", host_key = "{make_key(tmp_path / "k")}", password_env = "HOME"}}'
    )
    Path("delivery.toml").write_text(LAKE + f"[recipients.spdf]\nsftp = {way}\n{SEND}")
    outcome = examine_delivery(lake)
    assert outcome.facts["delivery"] == "not well"
    (problem,) = outcome.problems
    assert problem.startswith("delivery: recipient spdf: sftp://127.0.0.1:1/~: Connection refused.")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[recipients.spdf", "delivery.toml: is no TOML at"),
        (
            f'[recipients.spdf]\nfolder = {{path = "out", paht = 1}}\n{SEND}',
            "(recipients.spdf.folder.paht): is no setting",
        ),
        (f'[recipients.spdf]\nfolder = {{path = "out"}}\n{SEND}'.replace("box", "box2"), "no product fits"),
        (f'[recipients.spdf]\nsftp = {{password = "hunter2"}}\n{SEND}', "a secret never stands in this file"),
    ],
)
def test_wrong_settings_are_a_problem_with_file_and_key(lake: Lake, text: str, words: str) -> None:
    Path("delivery.toml").write_text(LAKE + text)
    outcome = examine_delivery(lake)
    assert outcome.facts["delivery"] == "not well"
    assert outcome.problems[0].startswith("delivery: ")
    assert words in outcome.problems[0]
    assert "hunter2" not in outcome.problems[0]

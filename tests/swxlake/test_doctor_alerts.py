# SPDX-License-Identifier: Apache-2.0
"""What doctor and night say about alerts.toml before alerts are needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.config import Settings, read_settings
from lake.definition_files import read_definitions
from lake.errors import ConfigurationError
from lake.store import Lake
from swxlake.doctor import examine
from swxlake.doctor_alerts import examine_alerts
from swxlake.night import run_night
from swxlake.outcome import Outcome
from tests.quality.notices.servers import LOOPBACK, free_port
from tests.toy import write_missions

ROUTES = '[[routes]]\nchannels = ["desk"]\n'
DESK = '[channels.desk]\nurl_env = "DESK_URL"\n'
UNSET = "channel desk: the environment variable DESK_URL is not set; set it to an apprise URL."
REFUSED = "channel desk: the host in $DESK_URL cannot be reached (connection refused); correct host and port there"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake in a folder without alerts.toml, in which commands work."""
    for name in ("SWXLAKE_ALERTS", "SWXLAKE_ROOT", "DESK_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    for stage in ("ingest", "transform", "check", "export", "update"):
        monkeypatch.setattr(f"swxlake.night.{stage}", lambda *_, stage=stage: Outcome(facts={stage: "done"}))
    (tmp_path / "lakehouse").mkdir()
    return Lake(tmp_path / "lakehouse", read_definitions(write_missions(tmp_path / "missions")))


def night(lake: Lake) -> Outcome:
    """The night, of which only the beginning is asked for."""
    return run_night(lake, Settings(settle_seconds=0), None)


def mail_url(port: int) -> str:
    return f"mailto://user:pa55@{LOOPBACK}:{port}?smtp={LOOPBACK}&from=a@example.org&to=b@example.org"


def test_without_a_file_the_doctor_says_that_nobody_is_told_and_it_is_no_problem(lake: Lake) -> None:
    outcome = examine_alerts(lake)
    assert "alerts are recorded, and nobody is told" in outcome.facts["alerts"]
    assert (outcome.problems, outcome.notes) == ([], [])
    assert [note for note in night(lake).notes if "alerts.toml" in note] == []


def test_the_doctor_names_the_channels_that_can_be_used(lake: Lake) -> None:
    Path("alerts.toml").write_text(f'[channels.desk]\nfile = "told.jsonl"\n{ROUTES}')
    outcome = examine(lake)
    place = Path("alerts.toml").resolve()
    assert outcome.facts["alerts"] == f"{place}: channels: desk; routes: 1, and each channel can be used"
    assert [problem for problem in outcome.problems if problem.startswith("alerts")] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            f'{DESK}[[routes]]\nchannels = ["desc"]\n',
            "route 1 names the channel 'desc', which is not there",
        ),
        (f'{DESK}[[routes]]\nmission = "tyo"\nchannels = ["desk"]\n', "there is no mission 'tyo'; did you mean toy?"),
        ("[channels.desk", "is no TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_problem_and_stops_nothing_of_the_night_but_the_alerts(
    lake: Lake, text: str, words: str
) -> None:
    Path("alerts.toml").write_text(text)
    outcome = examine_alerts(lake)
    assert outcome.facts["alerts"] == "not well"
    (problem,) = outcome.problems
    assert problem.startswith(f"alerts: {Path('alerts.toml').resolve()}")
    assert words in problem
    outcome = night(lake)
    assert outcome.exit_code == 1
    assert outcome.problems == [f"{problem.removeprefix('alerts: ')} Until then nobody is told of alerts"]
    assert outcome.facts == dict.fromkeys(("ingest", "transform", "check", "export"), "done")


@pytest.mark.parametrize(("is_set", "words"), [(False, UNSET), (True, REFUSED)])
def test_a_channel_that_cannot_be_used_is_told_by_doctor_and_night(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, is_set: bool, words: str
) -> None:
    Path("alerts.toml").write_text(DESK + ROUTES)
    if is_set:
        monkeypatch.setenv("DESK_URL", mail_url(free_port()))
    outcome = examine_alerts(lake)
    assert outcome.facts["alerts"] == "not well"
    (problem,) = outcome.problems
    assert problem.startswith(f"alerts: {words}")
    assert "pa55" not in problem
    assert [note for note in night(lake).notes if note.startswith(words)] != []


def test_what_nobody_would_be_told_of_is_noted_by_doctor_and_night(lake: Lake) -> None:
    Path("alerts.toml").write_text('[channels.desk]\nfile = "told.jsonl"\n')
    notes = examine_alerts(lake).notes
    assert [note.partition(": ")[2][:40] for note in notes] == [
        "no route for red alerts of toy (box), so",
        "the channel 'desk' is in no route and no",
    ]
    assert night(lake).notes[:2] == notes


@pytest.mark.parametrize("value", ["", "."])
def test_the_name_of_no_file_in_swxlake_alerts_is_told(lake: Lake, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SWXLAKE_ALERTS", value)
    message = f"SWXLAKE_ALERTS={value!r}: is empty or a folder; name a file such as alerts.toml. Correct or unset it."
    with pytest.raises(ConfigurationError) as caught:
        read_settings()
    assert str(caught.value) == message
    assert examine_alerts(lake).problems == [f"alerts: {message}"]


def test_the_file_in_swxlake_alerts_is_found_from_other_folders(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SWXLAKE_ALERTS", "night.toml")
    assert read_settings().alerts == tmp_path / "night.toml"

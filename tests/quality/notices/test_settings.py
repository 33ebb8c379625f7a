# SPDX-License-Identifier: Apache-2.0
"""What may stand in alerts.toml, and what is said of what may not."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.errors import ConfigurationError
from quality.notices.settings import AlertSettings, check, read_alert_settings
from tests.quality.notices.stage import NOON, settings
from tests.toy import write_missions

SECRET = "hunter2-token"  # noqa: S105  it stands for one
WINDOW = {"from": "2026-08-01T10:00:00Z", "to": "2026-08-01T14:00:00Z", "reason": "bake-out"}


def complaint(folder: Path, text: str) -> str:
    path = folder / "alerts.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_alert_settings(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert SECRET not in message
    return message.removeprefix(str(path))


def test_without_a_file_nobody_is_told() -> None:
    found = read_alert_settings(None)
    assert (found.repeat_hours, found.reopen_hours, found.notify_days) == (4, 24, 30)
    assert (found.channels, found.routes, found.digest) == ({}, (), None)


def test_the_example_in_the_documentation_can_be_read() -> None:
    path = CHECKOUT / "docs" / "alerts.example.toml"
    found = read_alert_settings(path)
    assert list(found.channels) == ["team", "on-call", "record", "journal"]
    assert found.channels["on-call"].url_file == path.parent / "secrets" / "on-call.url"
    assert found.digest is not None
    assert found.digest.at == time(7)
    assert found.maintenance[0].stop == datetime(2026, 8, 1, 14, tzinfo=UTC)
    assert check(found, read_definitions(CHECKOUT / "missions")) == []


def test_every_key_is_in_the_example() -> None:
    text = (CHECKOUT / "docs" / "alerts.example.toml").read_text()
    found = read_alert_settings(CHECKOUT / "docs" / "alerts.example.toml")
    assert set(AlertSettings.model_fields) == found.model_fields_set
    assert [key for key in ("url_env", "url_file", "file", "syslog", "address") if f"\n{key} = " not in text] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("repeat_hour = 4", " (repeat_hour): is no setting; did you mean repeat_hours?"),
        ("repeat_hours = 0", " (repeat_hours): input should be greater than 0."),
        ("repeat_hours = nan", " (repeat_hours): input should be a finite number."),
        ("repeat_hours = 1e9", " (repeat_hours): input should be less than or equal to 8784."),
        ("reopen_hours = inf", " (reopen_hours): input should be a finite number."),
        ("reopen_hours = 8785", " (reopen_hours): input should be less than or equal to 8784."),
        ("notify_days = inf", " (notify_days): input should be a finite number."),
        ("[digest]\nat = '7'\nchannels=['a']", ' (digest.at): is no time of day; write UTC as "07:00".'),
        ("[digest]\nat = '07:00+02:00'\nchannels=['a']", " (digest.at): is no time of day"),
        (
            "[digest]\nchannels=['mial']\n[channels.mail]\nfile='x'",
            ": digest names the channel 'mial', which is not th",
        ),
        ("[[routes]]\nchannels=['x']", ": route 1 names the channel 'x', which is not there; there are none."),
        ("[[routes]]\nchannel=['x']\nchannels=['x']", " (routes.0.channel): is no setting; did you mean channels?"),
        ("[[routes]]\nseverity='green'\nchannels=['x']", " (routes.0.severity): input should be 'yellow' or 'red'."),
        ("[[routes]]\nchannels=[]", " (routes.0.channels): tuple should have at least 1 item"),
        ("[quiet_hours]\nfrom='22:00'\nto='22:00'", " (quiet_hours): end when they begin"),
        ("[quiet_hours]\nfrom='22:00'", " (quiet_hours.to): field required."),
        ("[channels.mail]", " (channels.mail): has no way to send; give one of url_env, url_file, file, syslog."),
        ("[channels.mail]\nfile='a'\nsyslog='user'", " (channels.mail): has file and syslog; give one of"),
        ("[channels.mail]\nsyslog='usr'", " (channels.mail.syslog): is no facility of syslog"),
        ("[channels.mail]\nfile='a'\naddress='b'", " (channels.mail): has an address, which belongs to syslog"),
        ("[channels.Mail]\nfile='a'", " (channels.Mail): is no name of a channel."),
        (
            "[[maintenance]]\nfrom=2026-08-02T00:00:00Z\nto=2026-08-01T00:00:00Z\nreason='x'",
            " (maintenance.0): has its",
        ),
        (
            "[[maintenance]]\nfrom=2026-08-01T00:00:00\nto=2026-08-02T00:00:00Z\nreason='x'",
            " (maintenance.0): has a ti",
        ),
        (
            "[[maintenance]]\nfrom=2026-08-01T00:00:00Z\nto=2026-08-02T00:00:00Z",
            " (maintenance.0.reason): field required",
        ),
        ("a = ?", ": is no TOML at line 1, column 5. Correct the TOML there."),
    ],
)
def test_a_mistake_is_told_with_key_and_remedy(tmp_path: Path, text: str, words: str) -> None:
    assert complaint(tmp_path, text).startswith(words)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"url = 'mailto://user:{SECRET}@host'", "gives a literal url; a secret never stands in this file"),
        (f"url_env = 'mailto://user:{SECRET}@host'", "is no name of an environment variable; a secret never"),
        (f"url_file = 'mailto://user:{SECRET}@host'", "is no path of a file; a secret never stands"),
        (f"file = 'json://{SECRET}'", "is no path of a file"),
        (f"file = 'mailto:user:{SECRET}@host'", "is no path of a file"),
        (f"urll = '{SECRET}'", "is no setting"),
        (f"syslog = '{SECRET}'", "is no facility"),
        (f"url_env = '{SECRET}", "is no TOML"),
        (f"url_env = ['{SECRET}']", "input should be a valid string"),
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(tmp_path: Path, line: str, words: str) -> None:
    assert words in complaint(tmp_path, f"[channels.mail]\n{line}")


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: No such file or directory\. Correct SWXLAKE_ALERTS"):
        read_alert_settings(tmp_path / "nowhere.toml")
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# \xe9")
    with pytest.raises(ConfigurationError, match=r"latin\.toml: byte 2 is not UTF-8"):
        read_alert_settings(path)


def test_an_unknown_mission_or_instrument_is_told_with_near_names(tmp_path: Path) -> None:
    definitions = read_definitions(write_missions(tmp_path / "missions"))
    wrong = settings("a", routes=[{"mission": "tyo", "channels": ["a"]}])
    with pytest.raises(
        ConfigurationError, match=r"\(routes\.0\.mission\): there is no mission 'tyo'; did you mean toy\?"
    ):
        check(wrong, definitions)
    wrong = settings("a", maintenance=[WINDOW | {"instrument": "bok"}])
    with pytest.raises(
        ConfigurationError, match=r"\(maintenance\.0\.instrument\): there is no instrument 'bok'; did you"
    ):
        check(wrong, definitions, "alerts.toml")


def test_red_alerts_without_a_route_are_warned_of(tmp_path: Path) -> None:
    definitions = read_definitions(write_missions(tmp_path / "missions"))
    assert check(settings("a"), definitions) == []
    warning, _ = check(settings("a", routes=[]), definitions, "alerts.toml")
    assert warning.startswith("alerts.toml: no route for red alerts of toy (box), so that nobody is told")
    (warning,) = check(AlertSettings(), definitions)
    assert "has no channel" in warning


def test_a_channel_that_nothing_goes_to_is_warned_of(tmp_path: Path) -> None:
    definitions = read_definitions(write_missions(tmp_path / "missions"))
    (warning,) = check(settings("a", "b", routes=[{"channels": ["a"]}]), definitions, "alerts.toml")
    assert warning.startswith("alerts.toml: the channel 'b' is in no route and no digest, so that it gets nothing.")
    digest = {"at": "07:00", "channels": ["b"]}
    assert check(settings("a", "b", routes=[{"channels": ["a"]}], digest=digest), definitions) == []


def test_quiet_hours_may_go_over_midnight() -> None:
    found = settings(quiet_hours={"from": "22:00", "to": "06:00"}).quiet_hours
    assert found is not None
    hours = [hour for hour in range(24) if found.hold(NOON.replace(hour=hour))]
    assert hours == [0, 1, 2, 3, 4, 5, 22, 23]
    found = settings(quiet_hours={"from": "01:00", "to": "03:00"}).quiet_hours
    assert found is not None
    assert [hour for hour in range(24) if found.hold(NOON.replace(hour=hour))] == [1, 2]


def test_what_begins_and_ends_in_a_window_of_its_instrument_is_muted() -> None:
    found = settings(maintenance=[WINDOW | {"mission": "toy", "instrument": "box"}])
    second = timedelta(seconds=1)
    start, stop = NOON.replace(hour=10), NOON.replace(hour=14)
    assert found.muted("toy", "box", start, stop - second) is found.maintenance[0]
    assert found.muted("toy", "box", start - second, stop - second) is None
    assert found.muted("toy", "box", start, stop) is None
    assert found.muted("toy", "other", start, stop - second) is None
    assert settings(maintenance=[WINDOW]).muted("any", "one", start, start) is not None


def test_an_alert_goes_once_to_each_channel_of_every_route_that_fits() -> None:
    found = settings(
        "a",
        "b",
        "c",
        routes=[
            {"channels": ["a"]},
            {"mission": "toy", "channels": ["b", "a"]},
            {"instrument": "box", "severity": "red", "channels": ["c", "b"]},
        ],
    )
    assert found.told("toy", "box", "red") == ["a", "b", "c"]
    assert found.told("toy", "box", "yellow") == ["a", "b"]
    assert found.told("padre", "meddea", "red") == ["a"]

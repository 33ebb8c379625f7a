# SPDX-License-Identifier: Apache-2.0
"""What a service says of itself, and what is made of it: heartbeats, metrics, an endpoint, a check that is quick."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from lake.config import CHECKOUT
from lake.errors import ConfigurationError, StorageError
from lake.health import Health
from lake.heartbeats import metrics, pulse, pulses
from swxlake.cli_health import app
from swxlake.health_server import serving

NOW = datetime(2024, 9, 16, 12, tzinfo=UTC)
LATER = timedelta(seconds=121)
CPU_SECONDS = 0.5  # what a check may take that runs twice a minute beside each service


def samples(text: bytes) -> dict[str, float]:
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


# ---- what is written --------------------------------------------------------------------------------------------
def test_a_heartbeat_says_who_what_and_when(tmp_path: Path) -> None:
    Health("watch", tmp_path).beat("3 files wait", NOW)
    content = json.loads((tmp_path / "watch.json").read_text())
    assert content["service"] == "watch"
    assert (content["state"], content["at"], content["pid"]) == ("3 files wait", "2024-09-16T12:00:00Z", os.getpid())


def test_a_time_of_another_zone_is_written_in_utc(tmp_path: Path) -> None:
    Health("watch", tmp_path).beat(now=NOW.astimezone(datetime.strptime("+0530", "%z").tzinfo))
    assert pulse(tmp_path, "watch", 1, NOW).state == "well"


def test_metrics_are_text_that_prometheus_reads(tmp_path: Path) -> None:
    health = Health("forward_push", tmp_path)
    health.counter("packets", "Packets sent", ("client",)).labels("moc").inc(5)
    health.gauge("lag_seconds", "Behind the newest packet").set(2.5)
    health.beat(now=NOW)
    found = samples((tmp_path / "forward_push.prom").read_bytes())
    assert found["swxlake_forward_push_packets_total"] == 5
    assert found["swxlake_forward_push_lag_seconds"] == 2.5
    assert found["swxlake_forward_push_heartbeat_timestamp_seconds"] == NOW.timestamp()


def test_metrics_of_all_services_are_one_text(tmp_path: Path) -> None:
    for name in ("watch", "forward"):
        Health(name, tmp_path).beat(now=NOW)
    (tmp_path / ".left.prom").write_text("half a li")
    (tmp_path / "other.prom").write_text("node_other 1")  # its last line has no end
    found = samples(metrics(tmp_path))
    assert found["node_other"] == 1
    assert {"swxlake_watch_heartbeat_timestamp_seconds", "swxlake_forward_heartbeat_timestamp_seconds"} <= set(found)


def test_others_may_read_the_files_and_nothing_else_is_left(tmp_path: Path) -> None:
    health = Health("watch", tmp_path / "new")
    health.beat()
    health.beat()
    files = sorted((tmp_path / "new").iterdir())
    assert [path.name for path in files] == ["watch.json", "watch.prom"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644}


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    health = Health("watch")
    health.beat(now=NOW)
    assert list(tmp_path.iterdir()) == []
    assert samples(health.exposition())["swxlake_watch_heartbeat_timestamp_seconds"] == NOW.timestamp()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        Health("watch", tmp_path / "file").beat()


@pytest.mark.parametrize("name", ["", "../watch", "Watch", "a b", "a-b", "9"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is no name of a service"):
        Health(name)


# ---- what is made of it ------------------------------------------------------------------------------------------
def test_a_service_is_well_until_it_was_silent_for_too_long(tmp_path: Path) -> None:
    Health("watch", tmp_path).beat("listing moc", NOW)
    assert pulse(tmp_path, "watch", 120, NOW + timedelta(seconds=120)).state == "well"
    stale = pulse(tmp_path, "watch", 120, NOW + LATER)
    assert (stale.state, stale.age_seconds, stale.said) == ("stale", 121, "listing moc")
    assert "silent for 121 s" in stale.detail


def test_a_heartbeat_from_the_future_is_no_sign_of_life(tmp_path: Path) -> None:
    Health("watch", tmp_path).beat(now=NOW + LATER)
    found = pulse(tmp_path, "watch", 120, NOW)
    assert (found.state, "Correct the clock" in found.detail) == ("stale", True)


def test_a_service_that_ended_as_it_should_is_stopped_and_not_stale(tmp_path: Path) -> None:
    Health("watch", tmp_path).stop(NOW)
    assert pulse(tmp_path, "watch", 120, NOW + timedelta(days=3)).state == "stopped"


def test_the_metrics_of_a_service_go_when_it_ends_as_it_should(tmp_path: Path) -> None:
    """Else the age of its last heartbeat grows, and the rule about silent services takes that for a fault."""
    health = Health("watch", tmp_path)
    health.beat(now=NOW)
    assert b"heartbeat" in metrics(tmp_path)
    health.stop(NOW)
    assert [path.name for path in tmp_path.iterdir()] == ["watch.json"]
    Health("watch").stop(NOW)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"at": 3}', '{"at": "yesterday"}', '{"at": "' + "9" * 70_000 + '"}', "\xff\xfe"]
)
def test_what_is_no_heartbeat_is_told_and_not_raised(tmp_path: Path, text: str) -> None:
    (tmp_path / "watch.json").write_text(text, encoding="latin-1")
    found = pulse(tmp_path, "watch", 120, NOW)
    assert (found.state, "is no heartbeat" in found.detail) == ("unreadable", True)


def test_all_that_ever_ran_are_judged_in_order(tmp_path: Path) -> None:
    Health("watch", tmp_path).beat(now=NOW)
    Health("forward", tmp_path).beat(now=NOW - LATER)
    (tmp_path / ".x.part").write_text("{}")
    assert [(found.service, found.state) for found in pulses(tmp_path, 120, NOW)] == [
        ("forward", "stale"),
        ("watch", "well"),
    ]


# ---- the command -------------------------------------------------------------------------------------------------
def check(folder: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*arguments, "--folder", str(folder)])
    return result.exit_code, result.output


def test_the_exit_code_is_1_as_soon_as_one_is_not_well(tmp_path: Path) -> None:
    Health("watch", tmp_path).beat()
    assert check(tmp_path)[0] == 0
    assert check(tmp_path, "watch", "forward")[0] == 1
    Health("forward", tmp_path).beat(now=NOW)
    code, text = check(tmp_path)
    assert (code, "forward: stale" in text, "watch: well" in text) == (1, True, True)


def test_silence_in_an_empty_folder_is_no_health(tmp_path: Path) -> None:
    code, text = check(tmp_path)
    assert (code, "no service has ever said anything" in text) == (1, True)


def test_a_service_that_was_stopped_is_missed_only_by_name(tmp_path: Path) -> None:
    Health("watch", tmp_path).stop()
    assert check(tmp_path)[0] == 0
    assert check(tmp_path, "watch")[0] == 1


def test_the_answer_in_json_has_every_service(tmp_path: Path) -> None:
    Health("watch", tmp_path).beat("at work")
    code, text = check(tmp_path, "watch", "forward", "--json")
    answer = json.loads(text)
    assert (code, answer["healthy"]) == (1, False)
    assert [service["state"] for service in answer["services"]] == ["well", "missing"]


def test_what_a_heartbeat_says_is_printed_escaped_and_short(tmp_path: Path) -> None:
    Health("watch", tmp_path).beat("\x1b[31m\n" + "x" * 500)
    text = check(tmp_path, "watch")[1]
    assert r"\x1b[31m\n" in text
    assert len(text) < 150
    assert "\x1b" not in text


def test_a_service_is_found_by_the_name_of_its_unit(tmp_path: Path) -> None:
    Health("forward_push", tmp_path).beat()
    assert check(tmp_path, "forward-push")[0] == check(tmp_path, "forward_push")[0] == 0


@pytest.mark.parametrize("name", ["../watch", "/etc/passwd", "", "a\nb"])
def test_a_name_that_leads_elsewhere_is_no_service(tmp_path: Path, name: str) -> None:
    result = CliRunner().invoke(app, [name, "--folder", str(tmp_path)])
    assert isinstance(result.exception, ConfigurationError)


def test_without_a_folder_the_command_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWXLAKE_HEALTH", raising=False)
    result = CliRunner().invoke(app, [])
    assert isinstance(result.exception, ConfigurationError)
    assert "SWXLAKE_HEALTH" in str(result.exception)


def test_the_check_beside_a_service_costs_little_and_has_its_exit_codes(tmp_path: Path) -> None:
    """As the units and the images call it; a wrong setting is 2."""
    Health("watch", tmp_path).beat()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "swxlake.cli_health", "watch"]
    environment = os.environ | {"SWXLAKE_HEALTH": str(tmp_path)}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (0, "")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < CPU_SECONDS
    environment["SWXLAKE_HEALTH"] = str(tmp_path / "none")
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "is no folder" in done.stderr) == (2, True)


# ---- the endpoint ------------------------------------------------------------------------------------------------
def get(port: int, path: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def test_the_endpoint_has_the_metrics_and_the_health_of_now(tmp_path: Path) -> None:
    health = Health("watch", tmp_path)
    with serving(tmp_path, 0, 120) as port:
        assert get(port, "/health")[0] == 503
        health.beat()
        status, kind, text = get(port, "/metrics")
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert "swxlake_watch_heartbeat_timestamp_seconds" in samples(text)
        status, kind, text = get(port, "/health")
        assert (status, kind, json.loads(text)["healthy"]) == (200, "application/json", True)
        health.beat(now=NOW)
        assert get(port, "/health")[0] == 503
        assert get(port, "/../watch.json")[0] == 404


def test_a_port_that_is_taken_is_a_mistake_of_settings(tmp_path: Path) -> None:
    with (
        serving(tmp_path, 0, 120) as port,
        pytest.raises(ConfigurationError, match=f"port {port}"),
        serving(tmp_path, port, 120),
    ):
        pass

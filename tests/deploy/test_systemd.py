# SPDX-License-Identifier: Apache-2.0
"""The units: each runs a command that there is, as a user of its own, with no more rights than it needs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from lake.config import CHECKOUT
from tests.deploy.commands import assert_understood

UNITS = CHECKOUT / "deploy" / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
TIMERS = sorted(path.name for path in UNITS.glob("*.timer"))
READERS = {"swxlake-monitor", "swxlake-hapi"}  # what people and programs look at the lake with
LASTING = {"swxlake-watch", "swxlake-forward", "swxlake-forward-push", "swxlake-mirror", "swxlake-metrics", *READERS}
BY_HAND = {"swxlake-doctor.service"}
REQUIRED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectControlGroups": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "CapabilityBoundingSet": "",
    "SystemCallFilter": "@system-service",
}
NEWER = re.compile(r"Unknown key '(RestartSteps|RestartMaxDelaySec)'")  # of systemd 254; older ones pass over them
EXPOSURE = 30  # of 100, as systemd-analyze counts it: "OK" ends at 49

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")


def settings_of(text: str) -> dict[str, list[str]]:
    """Values by key; a key that stands there twice has two."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and line[0] not in "#;[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def read(name: str) -> dict[str, list[str]]:
    return settings_of((UNITS / name).read_text())


def faults_of(name: str, text: str) -> list[str]:
    """What a service is allowed or lacks that it should not."""
    unit = settings_of(text)
    found = [key for key, value in REQUIRED.items() if unit.get(key) != [value]]
    found += [key for key in ("MemoryMax", "TasksMax", "User", "RestrictAddressFamilies") if key not in unit]
    if unit.get("User") == ["root"] and not name.startswith("swxlake-restart"):
        found.append("runs as root")
    if any(re.search(r"(?i)(secret|token|password|key)\s*=\s*\S", value) for value in unit.get("Environment", [])):
        found.append("a secret in the unit")
    if unit["Type"] == ["exec"]:
        found += [key for key, value in (("Restart", "on-failure"), ("RestartPreventExitStatus", "2"))
                  if unit.get(key) != [value]]  # fmt: skip
        found += [key for key in ("RestartSec", "RestartMaxDelaySec", "TimeoutStopSec") if key not in unit]
    elif "TimeoutStartSec" not in unit:
        found.append("may hang for ever")
    return found


# ---- what a service may do ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    assert faults_of(name, (UNITS / name).read_text()) == []


@pytest.mark.parametrize(
    ("line", "instead", "fault"),
    [
        ("NoNewPrivileges=yes", "", "NoNewPrivileges"),
        ("ProtectSystem=strict", "ProtectSystem=full", "ProtectSystem"),
        ("User=swxlake", "User=root", "runs as root"),
        ("CapabilityBoundingSet=", "CapabilityBoundingSet=CAP_NET_ADMIN", "CapabilityBoundingSet"),
        ("Restart=on-failure", "Restart=no", "Restart"),
        ("MemoryMax=4G", "", "MemoryMax"),
        ("PrivateTmp=yes", "PrivateTmp=yes\nEnvironment=UPLOAD_TOKEN=abc", "a secret in the unit"),
    ],
)
def test_a_service_with_a_fault_is_told(line: str, instead: str, fault: str) -> None:
    text = (UNITS / "swxlake-watch.service").read_text()
    assert line in text
    assert faults_of("swxlake-watch.service", text.replace(line, instead)) == [fault]


def test_only_the_lake_and_a_local_vault_are_written_to() -> None:
    places = {place for name in SERVICES for value in read(name).get("ReadWritePaths", []) for place in value.split()}
    assert places == {"/var/lib/swxlake", "/var/lib/swxlake/health", "-/var/backups/swxlake"}
    assert all(read(f"{name}.service")["ReadWritePaths"] == ["/var/lib/swxlake/health"] for name in READERS)


def test_only_the_restart_of_a_silent_service_is_roots() -> None:
    root = [name for name in SERVICES if read(name)["User"] == ["root"]]
    assert root == ["swxlake-restart@.service"]
    assert read(root[0])["ExecStart"] == ["/usr/bin/systemctl --no-block try-restart swxlake-%i.service"]


def test_secrets_are_handed_over_by_systemd_from_folders_that_are_made() -> None:
    made = re.findall(r"^d /etc/swxlake/credentials/(\S+) 0700 root root$", tmpfiles(), re.MULTILINE)
    loaded = {value for name in SERVICES for value in read(name).get("LoadCredential", [])}
    assert loaded == {f"secret:/etc/swxlake/credentials/{name}" for name in made}
    assert all("BindReadOnlyPaths" in read(name) for name in SERVICES if "LoadCredential" in read(name))
    assert "d /run/swxlake/credentials 0755 root root\n" in tmpfiles()
    assert not re.search(r"(?i)^[^#]*(secret|token|password)", (UNITS / "swxlake.env").read_text(), re.MULTILINE)


def tmpfiles() -> str:
    return (UNITS / "swxlake.tmpfiles.conf").read_text()


def test_every_place_that_is_named_is_made_for_the_user_that_is_made() -> None:
    assert re.search(r"^u swxlake - ", (UNITS / "swxlake.sysusers.conf").read_text(), re.MULTILINE)
    environment = settings_of((UNITS / "swxlake.env").read_text())
    for place in (*environment["SWXLAKE_ROOT"], *environment["SWXLAKE_HEALTH"], "/var/lib/swxlake/reports"):
        assert re.search(rf"^d {place} 07\d\d swxlake swxlake$", tmpfiles(), re.MULTILINE), place


# ---- what a service runs -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [name for name in SERVICES if "restart" not in name])
def test_a_service_runs_commands_that_there_are(name: str) -> None:
    unit = read(name)
    for command in (*unit["ExecStart"], *(before.removeprefix("-") for before in unit.get("ExecStartPre", []))):
        program, *words = shlex.split(command.removeprefix("/opt/swxlake/.venv/bin/"))
        assert command.startswith("/opt/swxlake/.venv/bin/")
        assert_understood(words if program == "swxlake" else [program, *words])


def test_the_report_of_the_morning_is_of_the_day_before() -> None:
    unit = read("swxlake-contacts.service")
    assert "--day yesterday" in unit["ExecStart"][0]
    assert unit["ExecStartPre"] == ["-/opt/swxlake/.venv/bin/swxlake contacts account"]


def test_the_page_tells_to_look_by_the_unit_that_has_settings_and_secrets() -> None:
    page = (CHECKOUT / "docs" / "how-to" / "run-as-services.md").read_text()
    assert "systemctl start swxlake-doctor" in page
    assert "runuser" not in page, "it knows neither swxlake.env nor the secrets of units"


def test_what_lasts_is_looked_at_by_its_heartbeat() -> None:
    for name in sorted(LASTING - {"swxlake-metrics"}):
        unit = read(f"{name}.service")
        watcher = f"swxlake-heartbeat@{name.removeprefix('swxlake-')}.timer"
        assert watcher in unit["Wants"][0].split()
        assert "WatchdogSec" not in unit  # no service speaks sd_notify
    assert {name.removesuffix(".service") for name in SERVICES if read(name)["Type"] == ["exec"]} == LASTING
    check = read("swxlake-heartbeat@.service")
    assert (check["OnFailure"], check["SuccessExitStatus"]) == (["swxlake-restart@%i.service"], ["2"])
    assert read("swxlake-heartbeat@.timer")["BindsTo"] == ["swxlake-%i.service"]


def test_every_timer_starts_a_service_and_what_was_missed_is_made_up_for() -> None:
    for name in TIMERS:
        timer = read(name)
        assert name.replace(".timer", ".service") in SERVICES
        assert ("OnCalendar" in timer) == ("@" not in name)
        if "OnCalendar" in timer:
            assert timer["Persistent"] == ["true"]
            assert timer["OnCalendar"][0].endswith(" UTC")
    once = {name for name in SERVICES if read(name)["Type"] == ["oneshot"] and "@" not in name}
    assert {name.replace(".timer", ".service") for name in TIMERS if "@" not in name} == once - BY_HAND


# ---- what systemd says -------------------------------------------------------------------------------------------
@needs_systemd
def test_systemd_understands_every_unit(tmp_path: Path) -> None:
    for path in [*UNITS.glob("*.service"), *UNITS.glob("*.timer")]:
        text = re.sub(r"/opt/swxlake/.venv/bin/\w+", "/bin/true", path.read_text())
        (tmp_path / path.name.replace("@.", "@watch.")).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()
    assert [line for line in said if str(tmp_path) in line and not NEWER.search(line)] == []


@needs_systemd
def test_systemd_finds_no_service_exposed() -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager"]
    for name in SERVICES:
        done = subprocess.run([*command, str(UNITS / name)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout.splitlines()[-1:] + done.stderr.splitlines()[-1:]

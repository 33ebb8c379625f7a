# SPDX-License-Identifier: Apache-2.0
"""The image and the services made of it: no root, nothing to write to but volumes, nothing that is not locked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lake.config import CHECKOUT
from tests.deploy.commands import assert_understood

FOLDER = CHECKOUT / "deploy" / "container"
CONTAINERFILE = FOLDER / "Containerfile"
COMPOSE = FOLDER / "compose.yaml"
BIN = Path(sys.executable).parent
TEXT = CONTAINERFILE.read_text()


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def hadolint(path: Path) -> list[str]:
    command = [str(BIN / "hadolint"), "--no-color", "--format", "json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [finding["code"] for finding in json.loads(done.stdout)]


def image_faults(text: str) -> list[str]:
    """What an image has or does that it should not."""
    last = text[text.rindex("\nFROM ") :]
    found = []
    if len(re.findall(r"^FROM \$\{PYTHON_IMAGE\}@\$\{PYTHON_DIGEST\}", text, re.MULTILINE)) != text.count("\nFROM "):
        found.append("an image without a digest")
    if re.search(r"^ARG PYTHON_DIGEST=", text, re.MULTILINE) or re.search(r"^(ARG|FROM)[^\n]*\w\.\w+/", text, re.M):
        found.append("a host or a digest that grows old")
    if not re.search(r"^RUN .*--require-hashes.* requirements\.lock", text, re.MULTILINE):
        found.append("wheels without hashes")
    if not re.search(r"^\s*.*pip install --no-index --find-links /wheels", text.replace("&& ", ""), re.MULTILINE):
        found.append("wheels from elsewhere")
    users = re.findall(r"^USER (\S+)", last, re.MULTILINE)
    if not users or users[-1].split(":")[0] in ("0", "root"):
        found.append("root")
    if "\nHEALTHCHECK " not in last or "swxlake.cli_health" not in last:
        found.append("no health check")
    if re.search(r"\b(curl|wget|apt-get|pip install)\b", last):
        found.append("fetches what is not locked")
    return found


def service_faults(service: dict[str, Any]) -> list[str]:
    """What a service may do that it should not."""
    found = [key for key, value in (("read_only", True), ("cap_drop", ["ALL"])) if service.get(key) != value]
    found += [key for key in ("mem_limit", "pids_limit", "init", "healthcheck") if not service.get(key)]
    if "no-new-privileges:true" not in service.get("security_opt", []):
        found.append("security_opt")
    if service.get("user", "0").startswith(("0", "root")) or service.get("privileged"):
        found.append("root")
    if any(not port.startswith("127.0.0.1:") for port in service.get("ports", [])):
        found.append("open to others")
    if re.search(r"(?i)(token|secret|password|_key)", json.dumps(service.get("environment", {}))):
        found.append("a secret in the environment")
    return found


# ---- the image ---------------------------------------------------------------------------------------------------
def test_the_image_has_no_fault() -> None:
    assert image_faults(TEXT) == []


@pytest.mark.parametrize(
    ("part", "instead", "fault"),
    [
        ("USER 10001:10001\n", "", "root"),
        ("--require-hashes ", "", "wheels without hashes"),
        ("--no-index --find-links /wheels ", "", "wheels from elsewhere"),
        ("ARG PYTHON_DIGEST\n", "ARG PYTHON_DIGEST=sha256:0\n", "a host or a digest that grows old"),
        ("python:3.12", "registry.example.org/python:3.12", "a host or a digest that grows old"),
        ("\nHEALTHCHECK ", "\n# ", "no health check"),
        ("\nWORKDIR /etc/swxlake\n", "\nRUN curl -O https://example.org/x\n", "fetches what is not locked"),
        ("FROM ${PYTHON_IMAGE}@${PYTHON_DIGEST} AS", "FROM python:latest AS", "an image without a digest"),
    ],
)
def test_a_fault_of_the_image_is_told(part: str, instead: str, fault: str) -> None:
    assert part in TEXT
    assert image_faults(TEXT.replace(part, instead)) == [fault]


def test_the_linter_of_container_files_finds_nothing(tmp_path: Path) -> None:
    assert hadolint(CONTAINERFILE) == []
    bad = tmp_path / "Containerfile"
    bad.write_text("FROM python\nRUN cd /tmp && sudo pip install x\n")
    assert {"DL3006", "DL3004"} <= set(hadolint(bad))


def test_the_image_is_built_from_what_is_listed_and_all_of_it_is_there() -> None:
    listed = (CHECKOUT / ".dockerignore").read_text()
    assert (CHECKOUT / ".containerignore").read_text() == listed
    lines = [line for line in listed.splitlines() if not line.startswith("#")]
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert lines[0] == "*"
    copied = {name for names in re.findall(r"^COPY (?!--)(.*) \S+$", TEXT, re.MULTILINE) for name in names.split()}
    assert copied == allowed == {name for name in allowed if (CHECKOUT / name).exists()}
    packages = re.search(r"^packages = (\[.*\])$", (CHECKOUT / "pyproject.toml").read_text(), re.MULTILINE)
    assert packages is not None
    assert set(json.loads(packages[1])) <= allowed


# ---- the services ------------------------------------------------------------------------------------------------
def test_the_compose_file_follows_its_specification() -> None:
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", sorted(services()))
def test_a_service_may_do_no_more_than_it_needs(name: str) -> None:
    assert service_faults(services()[name]) == []


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("read_only", False, "read_only"),
        ("cap_drop", [], "cap_drop"),
        ("user", "0:0", "root"),
        ("ports", ["8443:8443"], "open to others"),
        ("environment", {"UPLOAD_TOKEN": "abc"}, "a secret in the environment"),
        ("healthcheck", None, "healthcheck"),
    ],
)
def test_a_fault_of_a_service_is_told(key: str, value: object, fault: str) -> None:
    assert service_faults(services()["watch"] | {key: value}) == [fault]


@pytest.mark.parametrize("name", sorted(services()))
def test_a_service_runs_a_command_that_there_is(name: str) -> None:
    assert_understood(services()[name]["command"])
    if "test" in services()[name]["healthcheck"]:
        assert_understood(services()[name]["healthcheck"]["test"][1:])


def test_what_lasts_is_restarted_and_watched_and_jobs_wait_to_be_asked() -> None:
    lasting = {name for name, service in services().items() if service["restart"] == "unless-stopped"}
    assert lasting == {"watch", "forward", "monitor", "hapi"}
    for name, service in services().items():
        if name in lasting:
            assert service["healthcheck"]["test"][:5] == ["CMD", "python", "-m", "swxlake.cli_health", name]
        else:
            assert service["profiles"]
            assert service["healthcheck"] == {"disable": True}


def test_nothing_is_written_to_but_volumes_and_every_secret_is_a_file() -> None:
    content = yaml.safe_load(COMPOSE.read_text())
    assert all(set(secret) == {"file"} for secret in content["secrets"].values())
    used = {secret for service in services().values() for secret in service.get("secrets", [])}
    assert used == set(content["secrets"])
    for service in services().values():
        bound = [volume for volume in service["volumes"] if volume["type"] == "bind"]
        assert all(volume.get("read_only") for volume in bound if volume["target"] != "/vault")
        assert any(volume["target"] == "/tmp" for volume in service["volumes"])  # noqa: S108  in the container

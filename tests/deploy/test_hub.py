# SPDX-License-Identifier: Apache-2.0
"""The hub: the image has what the notebooks need and no more rights than reading, a desk has a password of its own."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from lake.config import CHECKOUT
from tests.deploy.test_containers import TEXT as IMAGE_OF_SERVICES
from tests.deploy.test_containers import hadolint, image_faults, service_faults

FOLDER = CHECKOUT / "deploy" / "hub"
CONTAINERFILE, COMPOSE = FOLDER / "Containerfile", FOLDER / "compose.yaml"
TEXT = CONTAINERFILE.read_text()
CONTENT: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
SERVICES: dict[str, dict[str, Any]] = CONTENT["services"]
MARIMO = Path(sys.executable).parent / "marimo"


def test_the_image_has_no_fault_but_a_health_check_of_its_own() -> None:
    assert image_faults(TEXT) == ["no health check"]  # it asks the page, not a heartbeat
    assert "http://127.0.0.1:2718/health" in TEXT[TEXT.index("\nHEALTHCHECK ") :]
    assert hadolint(CONTAINERFILE) == []


def test_the_image_adds_the_notebooks_and_what_they_use_to_that_of_the_services() -> None:
    copied, of_services = (
        set(re.findall(r"^COPY (\w+) \1$", text, re.MULTILINE)) for text in (TEXT, IMAGE_OF_SERVICES)
    )
    assert copied - of_services <= {"notebooks", "monitor"}
    assert of_services <= copied
    assert "--editable '.[analysis]'" in TEXT
    listed = (FOLDER / "Containerfile.dockerignore").read_text().splitlines()
    files = {name for names in re.findall(r"^COPY (?!--)(.*) \S+$", TEXT, re.MULTILINE) for name in names.split()}
    assert {line.removeprefix("!") for line in listed if line.startswith("!")} == files
    assert listed[1] == "*"
    assert all((CHECKOUT / name).exists() for name in files)


def test_analysts_are_another_user_than_the_night() -> None:
    users = [re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1] for text in (TEXT, IMAGE_OF_SERVICES)]
    assert users == ["10002:10002", "10001:10001"]


def test_the_compose_file_follows_its_specification() -> None:
    command = [str(MARIMO.with_name("check-jsonschema")), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_reads_the_lake_and_may_do_no_more_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service_faults(service) == []
    (lake,) = [volume for volume in service["volumes"] if volume["target"] == "/data"]
    assert lake["read_only"]
    assert service["cpus"] <= 2
    assert service["networks"] == ["hub"]
    assert service["group_add"] == ["${SWXLAKE_GROUP:-10002}"]  # that of the night may read the lake


def test_connections_from_a_notebook_to_other_machines_have_no_answer() -> None:
    options = CONTENT["networks"]["hub"]["driver_opts"]
    assert options == {"com.docker.network.bridge.enable_ip_masquerade": "false"}


def test_only_a_desk_can_be_edited_and_it_has_a_password_in_a_file() -> None:
    assert SERVICES["gallery"]["command"][0] == "run"
    desk = SERVICES["desk"]
    assert desk["command"][0] == "edit"
    assert "--skip-update-check" in desk["command"]
    assert desk["command"][desk["command"].index("--token-password-file") + 1] == f"/run/secrets/{desk['secrets'][0]}"
    assert not {"--no-token", "--sandbox"} & set(desk["command"])
    assert all(set(secret) == {"file"} for secret in CONTENT["secrets"].values())


def options_of_marimo() -> dict[str, set[str]]:
    """The options of marimo's commands, as its source declares them: to import it takes seconds."""
    (path,) = (file for file in files("marimo") or () if str(file) == "marimo/_cli/cli.py")
    functions = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    texts = {
        function.name: {
            part.value for line in function.decorator_list for part in ast.walk(line) if isinstance(part, ast.Constant)
        }
        for function in functions
    }
    return {name: {option for text in found for option in str(text).split("/")} for name, found in texts.items()}


def test_marimo_knows_every_option() -> None:
    known = options_of_marimo()
    commands = [service["command"] for service in SERVICES.values()]
    commands.append(json.loads(TEXT[TEXT.rindex("\nCMD ") + 5 :]))
    assert {command[0] for command in commands} == {"run", "edit"}
    for word, *rest in commands:
        assert {option for option in rest if option.startswith("--")} <= known[word]

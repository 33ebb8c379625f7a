# SPDX-License-Identifier: Apache-2.0
"""Whether the command line understands what is written in units, services and tasks."""

from __future__ import annotations

from typing import Any

import typer
from typer.main import get_command

from swxlake import cli_health
from swxlake.cli import app  # noqa: TID251  its commands are compared with those that are written elsewhere

CHECK = ["python", "-m", "swxlake.cli_health"]
PROGRAM, HEALTH = get_command(app), get_command(cli_health.app)


def assert_understood(words: list[str]) -> None:
    """The words name a command that there is, with options and arguments that it takes."""
    command: Any = PROGRAM
    if words[:3] == CHECK:
        command, words = HEALTH, words[3:]
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    assert not getattr(command, "commands", {}) or command.invoke_without_command, words
    with typer.Context(command) as context:
        command.make_parser(context).parse_args(list(words))

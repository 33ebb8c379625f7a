# SPDX-License-Identifier: Apache-2.0
"""The documentation is true: it names what exists, and what exists is in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from ingest.ccsds import Reason
from lake.definition_files import read_definitions
from swxlake.cli import app  # noqa: TID251  its commands are compared with the documentation
from swxlake.reference import PAGES, pages, stale_pages

CHECKOUT = Path(__file__).resolve().parents[1]
GENERATED = {PAGES / name for name in pages()}
ALL_PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md"), *(CHECKOUT / "missions").rglob("*.md")])
WRITTEN = [path for path in ALL_PAGES if path not in GENERATED]
PROGRAM = get_command(app)
COMMANDS = {
    name: PROGRAM.get_command(typer.Context(PROGRAM), name) for name in PROGRAM.list_commands(typer.Context(PROGRAM))
}
MAKEFILE = (CHECKOUT / "Makefile").read_text()


def page_id(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def code_of(path: Path) -> Iterator[str]:
    """Lines of code blocks, continued ones joined, and inline code."""
    text = path.read_text()
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    for block in blocks:
        yield from re.sub(r"\\\n\s*", " ", block).splitlines()
    plain = re.sub(r"^ *```\w*\n.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`([^`\n]+)`", plain)


def commands_of(path: Path) -> Iterator[tuple[str, str]]:
    """Every `swxlake <command> ...` of a page: the command and the rest of its line."""
    for line in code_of(path):
        yield from re.findall(r"(?<![\w/.-])(?:\.venv/bin/)?swxlake ([a-z]+)\b(.*)", line.split("  #")[0])


def options_of(command: Any) -> set[str]:
    """Options of a command and of those below it."""
    below = {option for each in getattr(command, "commands", {}).values() for option in options_of(each)}
    return {option for parameter in command.params for option in parameter.opts} | below


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE))


# ---- generated pages -------------------------------------------------------------------------------------------
def test_generated_pages_are_fresh() -> None:
    assert [page_id(path) for path in stale_pages()] == [], "run `make docs`"


# ---- make ------------------------------------------------------------------------------------------------------
def test_every_target_is_phony_and_has_a_line_of_help() -> None:
    rules = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    assert rules == targets() == set(phony[1].split())


@pytest.mark.parametrize("path", WRITTEN, ids=page_id)
def test_every_make_target_named_in_a_page_exists(path: Path) -> None:
    named = {name for line in code_of(path) for name in re.findall(r"(?:^|[^\w-])make ([a-z]+)\b", line)}
    assert named <= targets()


def test_every_make_target_is_documented() -> None:
    text = "\n".join(path.read_text() for path in WRITTEN)
    assert {name for name in targets() if f"make {name}" not in text} == set()


# ---- swxlake ---------------------------------------------------------------------------------------------------
def test_every_command_is_documented() -> None:
    named = {name for path in WRITTEN for name, _ in commands_of(path)}
    assert set(COMMANDS) - named == set()


@pytest.mark.parametrize("path", WRITTEN, ids=page_id)
def test_every_documented_command_and_option_exists(path: Path) -> None:
    for name, rest in commands_of(path):
        assert name in COMMANDS, f"swxlake {name}"
        options = options_of(COMMANDS[name]) | {"--help", "-h"}
        words = re.sub(r"\"[^\"]*\"|'[^']*'", "", rest)
        assert set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", words)) <= options, f"swxlake {name}{rest}"


# ---- links and names -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ALL_PAGES, ids=page_id)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]*)\)|^\[[^\]]+\]: (\S+)$", path.read_text(), re.MULTILINE)
    for link in (first or second for first, second in links):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", WRITTEN, ids=page_id)
def test_every_table_named_in_a_page_exists(path: Path) -> None:
    definitions = read_definitions(CHECKOUT / "missions")
    known = {table.address for table in (*definitions.tables.values(), *definitions.ops)}
    known |= {"ops.missions", *(view.stem for view in (CHECKOUT / "sql" / "views").glob("*.sql"))}
    known |= {f"{table.address}.{column}" for table in definitions.ops for column in table.by_name}
    for mission in definitions.missions:
        for instrument in mission.instruments:
            facts = {f"calibration_{c.name}" for c in instrument.calibrations} | {"flags"}
            facts |= {f"axis_{axis.name}" for table in instrument.tables for axis in table.axes}
            known |= {f"{mission.name}.{instrument.name}_{fact}" for fact in facts}
    schemas = "|".join(["ops", *(mission.name for mission in definitions.missions)])
    named = {name for line in code_of(path) for name in re.findall(rf"(?<![\w/.-])(?:{schemas})\.[a-z0-9_.]+\b", line)}
    assert named <= known


def test_every_query_is_listed() -> None:
    text = "\n".join(path.read_text() for path in WRITTEN)
    queries = [path.name for path in (CHECKOUT / "sql" / "queries").glob("*.sql")]
    assert len(queries) >= 5
    assert [name for name in queries if f"sql/queries/{name}" not in text] == []


def test_every_query_named_in_a_page_exists() -> None:
    named = {name for path in WRITTEN for name in re.findall(r"sql/queries/\w+\.sql", path.read_text())}
    assert [name for name in named if not (CHECKOUT / name).is_file()] == []


def test_every_reason_code_is_explained() -> None:
    sources = [*(CHECKOUT / "ingest").rglob("*.py"), CHECKOUT / "lake" / "names.py"]
    codes = {code for path in sources for code in re.findall(r"[\"']([A-Z]+_[A-Z_]+)[\"':]", path.read_text())}
    codes |= {str(reason) for reason in Reason}
    errors = (PAGES / "errors.md").read_text()
    assert {"JUNK", "UNKNOWN_APID", "BAD_MISSION", "NO_DEFINITION", "OUT_OF_RANGE"} <= codes
    assert {code for code in codes if f"`{code}`" not in errors} == set()


def test_every_key_of_a_definition_is_explained() -> None:
    from lake import definitions as nouns  # noqa: PLC0415
    from lake.packet_definitions import PacketField  # noqa: PLC0415

    text = (PAGES / "definitions.md").read_text()
    derived = {"mission", "instrument", "level", "flags", "fields", "kind", "shape", "expand", "bits"}
    derived |= {"length_field", "length_bits"}
    kinds = (nouns.Mission, nouns.Instrument, nouns.Clock, nouns.Packet, PacketField, nouns.Table, nouns.Column)
    keys = {key for kind in (*kinds, nouns.Axis, nouns.Product, nouns.Limit) for key in kind.model_fields} - derived
    assert {key for key in keys if not re.search(rf"\b{key}\b", text)} == set()

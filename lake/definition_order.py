# SPDX-License-Identifier: Apache-2.0
"""What instruments of a mission have to do with each other: whose tables one reads, and how their files are named."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lake.definition_text import build_at, read_yaml
from lake.errors import DefinitionError
from lake.names import NameRules

OF_INSTRUMENTS = ("descriptors", "sidecars", "companions", "families", "archive_shaped")


def in_order(folders: list[Path]) -> list[Path]:
    """Folders of instruments, each behind those whose tables or calibrations it reads."""
    by_name = {folder.name: folder for folder in folders}
    wanted = {name: sorted(_others(folder, set(by_name))) for name, folder in by_name.items()}
    try:
        return [by_name[name] for name in TopologicalSorter(wanted).static_order()]
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise DefinitionError(
            f"{folders[0].parent}: instruments read each other's tables in a circle: {circle}. Remove an input."
        ) from None


def _others(folder: Path, names: set[str]) -> set[str]:
    """Instruments whose tables are inputs, or whose calibrations are borrowed."""
    tables = read_yaml(folder / "tables.yaml").get("tables")
    entries = [entry for entry in tables.values() if isinstance(entry, dict)] if isinstance(tables, dict) else []
    inputs = [str(name) for entry in entries for name in _values(entry.get("inputs"))]
    borrows = read_yaml(folder / "instrument.yaml").get("borrows")
    owners = {_owner(name, names) for name in inputs}
    lenders = set(borrows) if isinstance(borrows, dict) else set()
    return (owners | lenders) & (names - {folder.name})


def _owner(table: str, names: set[str]) -> str:
    """The instrument of a table: of eea and eea_hk, eea_hk_l0_x is the latter's. Empty if there is none."""
    return max((name for name in names if table.startswith(f"{name}_")), key=len, default="")


class _Parts(BaseModel):
    """The parts of a grammar that a mission and its instruments write, before they are put together."""

    families: list[dict[str, Any]] = Field(default_factory=list)
    descriptors: dict[str, Any] = Field(default_factory=dict)
    sidecars: dict[str, Any] = Field(default_factory=dict)
    companions: list[str] = Field(default_factory=list)
    archive_shaped: list[str] = Field(default_factory=list)


class _Grammar(_Parts):
    model_config = ConfigDict(extra="allow")

    instruments: dict[str, Any] | None = None


class _OwnGrammar(_Parts):
    model_config = ConfigDict(extra="forbid")

    short_name: str = ""
    other_names: list[str] = Field(default_factory=list)


def _values(entry: Any) -> list[Any]:
    return list(entry.values()) if isinstance(entry, dict) else []


def read_names(mission: Path, instruments: list[Path]) -> NameRules:
    """The grammar of a mission's file names: its names.yaml, and what names.yaml of its instruments add to it.

    That of an instrument has `short_name`, `other_names`, and more of what the mission's has for all.
    """
    file = mission / "names.yaml"
    rules = read_yaml(file)
    build_at(_Grammar, rules, file, ())
    added = [(folder / "names.yaml", folder.name) for folder in instruments if (folder / "names.yaml").exists()]
    for path, name in added:
        own = build_at(_OwnGrammar, read_yaml(path), path, ()).model_dump(exclude_unset=True)
        rules = _with(rules, own, path, name)
        build_at(NameRules, rules, path, ())
    return build_at(NameRules, rules, file, ())


def _with(rules: dict[str, Any], own: dict[str, Any], path: Path, name: str) -> dict[str, Any]:
    known = rules.get("instruments") or {}
    if name in known:
        raise DefinitionError(f"{path}: {name} is named in the mission's names.yaml, too. Remove it.")
    family = {"instrument": name, "level": "raw"}
    own["families"] = [family | entry for entry in own.get("families", [])]
    words = {key: own.pop(key) for key in ("short_name", "other_names") if key in own}
    merged = {**rules, "instruments": {**known, name: {"short_name": name} | words}}
    for key in OF_INSTRUMENTS:
        if key in own:
            before = merged.get(key)
            merged[key] = {**(before or {}), **own[key]} if isinstance(own[key], dict) else [*(before or []), *own[key]]
    return merged

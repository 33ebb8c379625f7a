# SPDX-License-Identifier: Apache-2.0
"""Reading YAML and CSV definition files into pydantic models, with errors that name file, line and field."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from lake.errors import DefinitionError

Libyaml: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster
Model = TypeVar("Model", bound=BaseModel)


TRUTH = "tag:yaml.org,2002:bool"


class SafeLoader(Libyaml):  # type: ignore[misc, valid-type]
    """A safe loader that refuses a key written twice, of which YAML would silently keep the last.

    `true` and `false` are truth values, as in YAML 1.2; `on`, `off`, `yes` and `no` are words: the states of a heater.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012  as PyYAML has it
        first: [(tag, pattern) for tag, pattern in found if tag != TRUTH or first in "tTfF"]
        for first, found in Libyaml.yaml_implicit_resolvers.items()
    }


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value]
    for index, (key, _) in enumerate(node.value):
        if key.value in keys[:index]:
            raise yaml.MarkedYAMLError(problem=f"{key.value!r} is there twice", problem_mark=key.start_mark)
    return loader.construct_mapping(node, deep=True)


SafeLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises DefinitionError with the line of a syntax error."""
    try:
        content = yaml.load(read_text(path), Loader=SafeLoader)  # noqa: S506  a safe loader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DefinitionError(f"{path} line {line}: {error.problem}. Correct the YAML there.") from None
    except (yaml.YAMLError, ValueError) as error:  # a date such as 2024-13-01 is a ValueError
        raise DefinitionError(f"{path}: {' '.join(str(error).split())}. Correct the YAML there.") from None
    if not isinstance(content, dict):
        raise DefinitionError(f"{path}: holds no mapping. Write `key: value` lines as in missions/padre.")
    return content


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of `numbered_rows`, without their numbers."""
    return [row for _, row in numbered_rows(path)]


def numbered_rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and cells of the rows of a CSV file: text, stripped, by column name in lower case; no blank rows.

    Raises DefinitionError if a row has another number of cells than the header, or a name is there twice in it.
    """
    lines = _lines(path)
    if not lines:
        raise DefinitionError(f"{path}: is empty. Write a header row and one row for each entry.")
    header = [name.strip().lower() for name in lines[0][1]]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise DefinitionError(f"{path} row 1: {', '.join(map(repr, repeated))} is there twice. Rename or remove one.")
    return [(number, _row(path, number, header, cells)) for number, cells in lines[1:]]


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    reader = csv.reader(read_text(path).splitlines(), skipinitialspace=True, strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise DefinitionError(f"{path} row {reader.line_num}: {error}. Close the quotes there.") from None


def _row(path: Path, number: int, header: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(header):
        raise DefinitionError(
            f"{path} row {number}: has {len(cells)} cells, the header has {len(header)}. "
            "Add or remove commas, and quote text that holds a comma."
        )
    return dict(zip(header, (cell.strip() for cell in cells), strict=True))


def check_repeats(path: Path, what: str, cells: Iterable[tuple[int, str]], taken: Iterable[str] = ()) -> None:
    """Raises DefinitionError if a cell of a column is there twice, or is one of those already taken elsewhere."""
    seen = set(taken)
    for number, cell in cells:
        if cell in seen:
            raise DefinitionError(f"{path} row {number} ({what}): {cell} is taken. Choose another, or remove the row.")
        seen.add(cell)


def read_text(path: Path) -> str:
    """The text of a definition file. Raises DefinitionError if it cannot be read as UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")  # spreadsheets put a byte order mark before the header
    except OSError as error:
        raise DefinitionError(f"{path}: {error.strerror}. Create the file or give the right to read it.") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DefinitionError(f"{path} line {line}: byte {error.start} is not UTF-8. Save the file as UTF-8.") from None


def build(model: type[Model], values: object, where: str) -> Model:
    """The model made of the values. Raises DefinitionError: where, which field, what is wrong."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise DefinitionError(f"{where}{_first_complaint(error)}") from None


def build_at(model: type[Model], values: object, path: Path, keys: tuple[str | int, ...]) -> Model:
    """As `build`, for values that stand under `keys` in a YAML file; the error names the line."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        location = tuple(k for k in error.errors()[0]["loc"] if not isinstance(k, str) or not k.startswith("function-"))
        line = yaml_line(path, keys + location)
        raise DefinitionError(f"{path} line {line}{_first_complaint(error)}") from None


def _first_complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    remedies = {
        "missing": "Add it.",
        "extra_forbidden": "Remove it or correct its spelling.",
    }
    own = first["type"] == "value_error"  # a complaint of ours brings its value, and after a semicolon its remedy
    shown = "" if own or first["type"] in remedies or isinstance(first["input"], dict) else f", not {first['input']!r}"
    remedy = "" if own and (";" in message or ". " in message) else remedies.get(first["type"], "Correct the value.")
    return f"{f' ({field})' if field else ''}: {message}{shown}. {remedy}".rstrip()


def yaml_line(path: Path, keys: tuple[str | int, ...]) -> int:
    """The 1-based line of the deepest of the nested `keys` that stands in the YAML file."""
    node = yaml.compose(read_text(path), Loader=SafeLoader)
    line = 1
    for key in keys:
        child = _child(node, key)
        if child is None:
            break
        line, node = child[0].start_mark.line + 1, child[1]
    return line


def _child(node: yaml.Node | None, key: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((k, v) for k, v in node.value if k.value == str(key)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key], node.value[key]
    return None

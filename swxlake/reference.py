# SPDX-License-Identifier: Apache-2.0
"""The generated pages of docs/reference: the data dictionary, a page for each instrument and for each dataset, and the
commands' help; and the locks of the datasets below missions/.

python -m swxlake.reference            write what is out of date anew, but no lock that a change broke
python -m swxlake.reference --check    name what is out of date or broken, and leave with 1 if there is any
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import typer

from exports.datasets.dataset import datasets
from exports.istp.globals import logical_source
from exports.rules.page import page as rules_page
from lake.catalog import SQL_VIEWS
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.definitions import Axis, Calibration, Column, Definitions, Instrument, Mission, Product, Table
from swxlake.markdown import GENERATED, grid, page
from swxlake.reference_datasets import broken_locks, dataset_pages, locks
from swxlake.watched import channel_rows, expected, limit_rows, rule_rows

WIDTH = 100
NO_UPPER_END = 2**62  # a shared column without valid_max
PAGES = CHECKOUT / "docs" / "reference"
KINDS = ("dictionary", "datasets")  # folders in which a page that nothing is behind is removed


def pages() -> dict[str, str]:
    """The text of every generated page, by its path below docs/reference."""
    definitions = read_definitions(CHECKOUT / "missions")
    dictionary = {f"dictionary/{name}": text for name, text in dictionary_pages(definitions).items()}
    of_datasets = {f"datasets/{name}": text for name, text in dataset_pages(datasets(definitions)).items()}
    return dictionary | of_datasets | {"commands.md": commands_text(), "product-rules.md": rules_page()}


def stale_pages() -> list[Path]:
    """The generated pages that are missing or out of date, and those that nothing is behind any more."""
    wanted = pages()
    known = {PAGES / name for name in wanted}
    left_over = [path for kind in KINDS for path in sorted((PAGES / kind).glob("*.md")) if path not in known]
    return [PAGES / name for name, text in wanted.items() if _stored(PAGES / name) != text] + left_over


def _stored(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


# ---- commands ------------------------------------------------------------------------------------------------------
def commands_text() -> str:
    """The help of swxlake and of each of its commands."""
    from swxlake.cli import app  # noqa: PLC0415, TID251  to describe the commands, not to run them

    program = typer.main.get_command(app)
    context = typer.Context(
        program, info_name="swxlake", terminal_width=WIDTH, max_content_width=WIDTH, **program.context_settings
    )
    parts = [
        "# Commands",
        GENERATED,
        "What a command's end means, and what to do about it, is in [errors](errors.md).",
        _code(program.get_help(context)),
    ]
    for name in program.list_commands(context):  # type: ignore[attr-defined]
        command = program.get_command(context, name)  # type: ignore[attr-defined]
        own = typer.Context(command, info_name=name, parent=context)
        parts += [f"## swxlake {name}", _code(command.get_help(own)), *_below(command, own)]
    return page(parts)


def _below(command: Any, context: typer.Context) -> Iterator[str]:
    """The help of the commands below a command."""
    for word, below in getattr(command, "commands", {}).items():
        yield f"### {context.command_path} {word}"
        yield _code(below.get_help(typer.Context(below, info_name=word, parent=context)))


def _code(text: str) -> str:
    lines = (line.rstrip() for line in text.strip().splitlines())
    return "```text\n" + "\n".join(lines) + "\n```"


# ---- data dictionary -----------------------------------------------------------------------------------------------
def dictionary_pages(definitions: Definitions) -> dict[str, str]:
    """A page for each instrument with its tables, columns, units, flags, calibrations, alarm limits and products, and
    one for the lake's own tables and its views, by file name.
    """
    pages = {
        f"{mission.name}_{instrument.name}.md": page(_instrument(mission, instrument))
        for mission in definitions.missions
        for instrument in mission.instruments
    }
    own = [part for table in definitions.ops for part in _table(table)]
    views = ["## Views", "Defined in `sql/views`, for convenience.", _views()]
    return pages | {"ops.md": page(["# ops: the lake about itself", GENERATED, *own, *views])}


def _instrument(mission: Mission, instrument: Instrument) -> list[str]:
    parts = [f"# {mission.name}/{instrument.name}: {instrument.title}", GENERATED, instrument.description.strip()]
    parts += [f"An instrument of {mission.name}: {mission.title}."]
    parts += [f"Status: {instrument.status}. {instrument.status_reason}".strip()]
    products = {product.table: product for product in instrument.products}
    parts += [part for table in instrument.tables for part in _table(table, products.get(table.name), instrument)]
    parts += [_flags(mission, instrument), _calibrations(mission, instrument), _assumed(mission, instrument)]
    parts += [_limits(mission, instrument), _channels(mission, instrument)]
    if instrument.unknowns:
        parts += [f"## Unknowns of {instrument.name}", "\n".join(f"* {text}" for text in instrument.unknowns)]
    return [part for part in parts if part]


def _made_from(table: Table) -> list[str]:
    """Sentences about where a table's rows come from."""
    facts = [f"Level {table.level}."] if table.mission != "ops" else []
    if table.experimental:
        facts += [f"**Experimental**: {table.experimental.strip()}"]
    if table.packet:
        facts += [f"Decoded from packets `{table.packet}`."]
    if table.records:
        facts += [f"Decoded from records `{table.records}`."]
    if table.inputs:
        facts += [f"Made from {_listed(f'{table.mission}.{name}' for name in table.inputs.values())}."]
    calibrations = [*table.calibrations, *(f"{name} (optional)" for name in table.optional_calibrations)]
    return [*facts, f"Calibrations: {', '.join(calibrations)}."] if calibrations else facts


def _table(table: Table, product: Product | None = None, instrument: Instrument | None = None) -> list[str]:
    facts = _made_from(table)
    if table.margins:
        sides = (
            f"`{name}` {before:g} s before and {after:g} s after" for name, (before, after) in table.margins.items()
        )
        facts += [f"Sees beyond the day: {', '.join(sides)}."]
    if table.key:
        facts += [f"Key: {_listed(table.key)}."]
    if table.cadence_seconds:
        facts += [f"Cadence: {table.cadence_seconds:g} s."]
    if product:
        name = logical_source(table, instrument) if instrument else ""
        facts += [f"CDF product: [{name}](../datasets/{name}.md), {product.title}, version {product.version}.Z."]
    grain = f"{table.title}: {table.grain}."
    header = ("column", "type", "unit", "valid", "description")
    columns = grid(header, [_column(table, column) for column in table.columns])
    facts += ["Watched.", *expected(table.watch)] if table.watch is not None else []
    return [f"## {table.address}", " ".join([grain, *facts]), *_axes(table), columns, *_rules(table)]


def _axes(table: Table) -> list[str]:
    used = {name for column in table.columns for name in column.axes}
    axes = [axis for axis in table.axes if axis.name in used]
    texts = [f"`{axis.name}`: {_cells(axis)}, {axis.description}" for axis in axes]
    return ["Axes: " + "; ".join(texts) + "."] if texts else []


def _cells(axis: Axis) -> str:
    unit = f" {axis.unit}" if axis.unit else ""
    if axis.labels:
        return f"{axis.size} cells named {_listed(axis.labels)}"
    if axis.calibration:
        borders = f" with borders by `{axis.minus_column}` and `{axis.plus_column}`" if axis.minus_column else ""
        place = f"`{axis.column}` of the calibration `{axis.calibration}`"
        valid = f", always {_range(*axis.valid)}" if axis.valid else ""
        return f"{axis.size} values{unit and f' in{unit}'} from {place}{borders}{valid}"
    return f"{axis.size} values {axis.values[0]:g} to {axis.values[-1]:g}{unit}"


def _column(table: Table, column: Column) -> tuple[str, ...]:
    sizes = "".join(f"[{name} {size}]" for name, size in zip(column.axes, table.shape(column), strict=True))
    kind = column.type + (sizes or ("[]" if column.ragged else ""))
    valid = _range(*column.valid) if column.valid else ""
    text = column.description
    if column.conversion:
        text += f"; {column.conversion} of `{column.source}`"
    if column.nullable:
        text += "; may be null"
    return (f"`{column.name}`", kind, column.unit, valid, text)


def _range(low: float, high: float) -> str:
    return f"{low:.12g} or more" if high >= NO_UPPER_END else f"{low:.12g} to {high:.12g}"


def _flags(mission: Mission, instrument: Instrument) -> str:
    rows = [(str(f.bit), str(f.mask), f"`{f.name}`", f.description) for f in instrument.flags]
    title = f"## Bits of quality_flag in {mission.name}/{instrument.name}"
    return f"{title}\n\n{grid(('bit', 'value', 'flag', 'meaning'), rows)}" if rows else ""


def _calibrations(mission: Mission, instrument: Instrument) -> str:
    rows = []
    for name, files in groupby(sorted(instrument.calibrations, key=lambda c: (c.name, c.valid_from)), lambda c: c.name):
        dated: list[Calibration] = list(files)
        address = f"{mission.name}.{instrument.name}_calibration_{name}"
        columns = ", ".join(f"`{column}`" for column in dated[-1].frame.columns)
        rows.append((f"`{address}`", ", ".join(c.valid_from.isoformat() for c in dated), columns))
    title = f"## Calibrations of {mission.name}/{instrument.name}"
    note = "Each is a table in SQL with the rows of all its dated files, and the column `valid_from`."
    return f"{title}\n\n{note}\n\n{grid(('table', 'valid from', 'columns'), rows)}" if rows else ""


def _assumed(mission: Mission, instrument: Instrument) -> str:
    rows = [(f"`{name}.csv`", reason) for name, reason in sorted(instrument.assumed.items())]
    title = f"## Assumed calibrations of {mission.name}/{instrument.name}"
    note = "Products that rest on them say so in their global attribute TEXT, and are not for delivery."
    return f"{title}\n\n{note}\n\n{grid(('file', 'why it is an assumption'), rows)}" if rows else ""


def _limits(mission: Mission, instrument: Instrument) -> str:
    header = ("table", "column", "severity", "low", "high", "when", "lasting", "source")
    rows = [
        (f"`{table.name}`", f"`{row['column']}`", *(row[key] for key in header[2:]))
        for table in instrument.tables
        for row in limit_rows(instrument, table)
    ]
    title = f"## Limits of {mission.name}/{instrument.name}"
    return f"{title}\n\n{grid(header, rows)}" if rows else ""


def _channels(mission: Mission, instrument: Instrument) -> str:
    rows = [
        (f"`{table.name}`", f"`{row['column']}`", row["kind"], f"`{row['by']}`" if row["by"] else "")
        for table in instrument.tables
        for row in channel_rows(instrument, table)
    ]
    title = f"## Channels of {mission.name}/{instrument.name}"
    note = "Columns that are watched for anomalies; what is usual is learned for each value of column `by` by itself."
    return f"{title}\n\n{note}\n\n{grid(('table', 'column', 'kind', 'by'), rows)}" if rows else ""


def _rules(table: Table) -> list[str]:
    rows = [(f"`{x['rule']}`", x["severity"], f"`{x['holds']}`", x["description"]) for x in rule_rows(table)]
    return [f"Rules:\n\n{grid(('rule', 'severity', 'holds', 'why'), rows)}"] if rows else []


def _views() -> str:
    rows = []
    for path in sorted(SQL_VIEWS.glob("*.sql")):
        text = path.read_text()
        comment = re.search(r"COMMENT ON VIEW \S+ IS '(.*)';", text)
        columns = re.findall(rf"COMMENT ON COLUMN {re.escape(path.stem)}\.(\S+) IS", text)
        listed = _listed(name.strip('"') for name in columns)
        rows.append((f"`{path.stem}`", comment[1] if comment else "", listed))
    return grid(("view", "what", "columns"), rows)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _store(path: Path, text: str | None) -> None:
    """Write a page; without a text remove it."""
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Write the pages and locks, or with --check only compare them."""
    checking = "--check" in sys.argv[1:]
    definitions = read_definitions(CHECKOUT / "missions")
    known = datasets(definitions)
    broken = broken_locks(definitions.path, known)
    texts = locks(definitions.path, known) | {PAGES / name: text for name, text in pages().items()}
    stale = [path for path, text in texts.items() if path not in broken and _stored(path) != text]
    stale += [path for path in stale_pages() if path not in texts]
    for path in stale:
        if not checking:
            _store(path, texts.get(path))
        print(f"{path.relative_to(CHECKOUT)}: {'out of date; run `make docs`' if checking else 'brought up to date'}")
    for problem in (problem for problems in broken.values() for problem in problems):
        print(problem)
    sys.exit(1 if broken or (checking and stale) else 0)


if __name__ == "__main__":
    main()

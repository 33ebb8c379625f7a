# SPDX-License-Identifier: Apache-2.0
"""A new instrument below missions/: the template under another name, or one made around a packet definition.

Only new files are written, all of them or none, and they are read back as the lake reads them.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.definitions import Calibration, Definitions, Instrument
from lake.errors import ConfigurationError, DefinitionError
from swxlake.new.calibrations import read_calibration_files
from swxlake.new.instrument import Wanted, instrument_files, limit_notes
from swxlake.new.sources import read_sources
from swxlake.outcome import Outcome

TEMPLATE = CHECKOUT / "missions" / "_template" / "demo"
TEMPLATE_INSTRUMENT = "thermo"
TAKEN = {"ops", "main", "information_schema", "pg_catalog"}  # schemas that a catalog has by itself
EXAMPLE_DAY = date(2026, 8, 1)

Files = dict[str, bytes]


@dataclass(frozen=True)
class Request:
    """What `swxlake new` was asked for."""

    mission: str
    instrument: str
    packets: tuple[Path, ...] = ()
    xtce: Path | None = None
    calibrations: tuple[Path, ...] = ()
    apids: tuple[int, ...] = ()
    wanted: Wanted = field(default_factory=Wanted)


def parse_target(target: str) -> tuple[str, str]:
    """Mission and instrument of `MISSION/INSTRUMENT`. Raises ConfigurationError if they are no names."""
    mission, _, instrument = target.partition("/")
    for name in (mission, instrument):
        if not re.fullmatch(r"[a-z][a-z0-9]*", name):
            raise ConfigurationError(
                f"{target!r}: {name!r} is no name. Write MISSION/INSTRUMENT in lower-case letters and digits, each "
                "beginning with a letter."
            )
    if mission in TAKEN:
        raise ConfigurationError(
            f"{target!r}: {mission} is a schema of every lake. Choose another name of the mission."
        )
    return mission, instrument


def make_instrument(missions: Path, request: Request) -> Outcome:
    """Write the definition of an instrument, and of its mission if that is new; what was written and what to do next.

    Raises ConfigurationError if the instrument is there already or something is missing, DefinitionError if what was
    given cannot be read. Nothing is left behind then.
    """
    known = read_definitions(missions) if any(missions.glob("[a-z]*/mission.yaml")) else None
    folder = missions / request.mission / request.instrument
    if folder.exists():
        raise ConfigurationError(f"{folder}: is there already and stays as it is. Choose another name, or edit it.")
    new_mission = not folder.parent.exists()
    files = _mission_files(request) if new_mission else {}
    own, notes = _instrument_files(request, known)
    files |= {f"{request.instrument}/{name}": data for name, data in own.items()}
    try:
        written = _write(folder.parent, files)
        made = read_definitions(missions)
    except BaseException as error:
        _remove(folder.parent if new_mission else folder)
        if isinstance(error, DefinitionError):
            raise DefinitionError(f"{error} Nothing was written.") from None
        raise
    instrument = made.mission(request.mission).instrument(request.instrument)
    outcome = Outcome(facts={"written": written}, notes=_open_questions(made, request, instrument) + notes)
    outcome.facts["next"] = _next_steps(request, instrument)
    return outcome


def _mission_files(request: Request) -> Files:
    return {name: _renamed(TEMPLATE / name, request) for name in ("mission.yaml", "names.yaml")}


def _instrument_files(request: Request, known: Definitions | None) -> tuple[Files, list[str]]:
    """The files of the instrument's folder, of the template or made for the packets that were given; and what was
    read in these otherwise than it may be meant.
    """
    if not request.packets and request.xtce is None:
        folder = TEMPLATE / TEMPLATE_INSTRUMENT
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): _renamed(path, request) for path in paths}, []
    mission = next((m for m in known.missions if m.name == request.mission), None) if known else None
    sources = read_sources(request.packets, request.xtce, request.apids)
    valid_from = mission.valid_time.start if mission else date(2020, 1, 1)
    fields = {f.name for given in sources for f in given.fields}
    calibrations = read_calibration_files(request.calibrations, valid_from, fields)
    files = instrument_files(request.mission, request.instrument, mission, sources, calibrations, request.wanted)
    files |= {f"packets/{source.stored}": source.path.read_bytes() for source in sources}
    files |= {f"calibration/{file.stored}": file.data for file in calibrations}
    notes = [*(note for given in sources for note in given.notes), *(note for c in calibrations for note in c.notes)]
    return files, notes + limit_notes(sources, calibrations)


def _renamed(path: Path, request: Request) -> bytes:
    """A file of the template with the names of mission and instrument in place of its own."""
    text = path.read_text(encoding="utf-8")
    for old, new in (("demo", request.mission), (TEMPLATE_INSTRUMENT, request.instrument)):
        text = text.replace(old.upper(), new.upper()).replace(old, new)
    return text.encode()


def _write(mission: Path, files: Mapping[str, bytes]) -> list[str]:
    """Write files that are not there yet; their paths."""
    written = []
    for name, data in sorted(files.items()):
        path = mission / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(data)
        written.append(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))
    return written


def _remove(folder: Path) -> None:
    """Take back a folder that was not there before."""
    shutil.rmtree(folder, ignore_errors=True)


def _open_questions(made: Definitions, request: Request, instrument: Instrument) -> list[str]:
    """What the files say that was guessed, and what would keep a product from being written."""
    from exports.istp.structure import compile_product  # noqa: PLC0415  loads the CDF library
    from lake.errors import ExportError  # noqa: PLC0415

    notes = [f"clock: {instrument.clock.assumed}"] if instrument.clock.assumed else []
    mission = made.mission(request.mission)
    notes += _undescribed(instrument)
    if request.calibrations:
        notes += _idle_channels(instrument)
    for product in instrument.products:
        table = made.tables[f"{mission.name}.{product.table}"]
        try:
            compile_product(product, made.on_day(table, date.max), instrument, mission)
        except (ExportError, DefinitionError) as error:
            notes.append(str(error))
    return notes


def _undescribed(instrument: Instrument) -> list[str]:
    """Fields that nobody will understand in SQL or in a CDF."""
    notes = []
    for packet in instrument.packets:
        names = [f.name for f in packet.fields if f.kind != "fill" and not f.description]
        if names:
            shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
            notes.append(
                f"{packet.file}: {len(names)} fields have no description ({shown}). Write them; tests want them."
            )
    return notes


def _idle_channels(instrument: Instrument) -> list[str]:
    """Channels of the calibrations that no column uses, perhaps because their name is written in another way."""
    fields = {f.name for packet in instrument.packets for f in packet.fields}
    columns = [c for table in instrument.tables for c in table.columns if c.conversion]
    notes = []
    for calibration in instrument.calibrations:
        used = {name for c in columns if c.is_converted_by(calibration.name) for name in (c.name, c.source)}
        channels = (
            calibration.frame.get_column("channel", default=pl.Series()).cast(pl.String).unique(maintain_order=True)
        )
        notes += [_idle(calibration, name, fields) for name in channels.drop_nulls().to_list() if name not in used]
    return notes


def _idle(calibration: Calibration, channel: str, fields: set[str]) -> str:
    """Why the rows of a channel are of no use."""
    if channel in fields:
        return f"{calibration.path.name}: no column is made of field {channel} with it, so its rows are not used."
    near = get_close_matches(channel.lower(), sorted(fields), 1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"{calibration.path.name}: no field is called {channel}, so its rows are not used.{meant}"


def _next_steps(request: Request, instrument: Instrument) -> list[str]:
    mission, name = request.mission, request.instrument
    table = next((t.address for t in instrument.tables if t.level == "l1"), f"{mission}.{instrument.tables[0].name}")
    return [
        f"edit missions/{mission}/{name}/instrument.yaml: the clock first; then `swxlake doctor`",
        f"swxlake simulate {mission}/{name} --day {EXAMPLE_DAY} --out drop --hours 1",
        "swxlake night --inbox drop",
        f'swxlake sql "FROM {table} LIMIT 5"',
        "make docs",
    ]

# SPDX-License-Identifier: Apache-2.0
"""missions/ is what it says, and one wrong cell is one line of complaint that names file, place, field and remedy."""
# ruff: noqa: E501  one broken cell to a line

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest

import lake.definition_text
from lake.catalog import open_catalog
from lake.clock import NS
from lake.config import CHECKOUT
from lake.definition_calibrations import read_calibration
from lake.definition_files import read_definitions
from lake.definitions import Calibration, Instrument, Mission
from lake.errors import ConfigurationError, DefinitionError
from lake.packet_definitions import Clock, PacketField
from lake.store import Lake

MISSIONS = CHECKOUT / "missions"
REAL = read_definitions(MISSIONS)
INSTRUMENTS = [
    pytest.param(mission, instrument, id=f"{mission.name}-{instrument.name}")
    for mission in REAL.missions
    for instrument in mission.instruments
]
every_instrument = pytest.mark.parametrize(("mission", "instrument"), INSTRUMENTS)


# ---- conformance: holds for every instrument ---------------------------------------------------------------------
@every_instrument
def test_every_column_is_described_and_every_physical_number_has_a_unit(
    mission: Mission, instrument: Instrument
) -> None:
    for table in instrument.tables:
        assert table.title
        assert table.grain
        for column in table.columns:
            assert len(column.description) > 2, f"{table.address}.{column.name}"
            if column.type in ("float32", "float64"):
                dimensionless = column.name.endswith(("_weight", "_ratio", "_cos"))
                assert column.unit or dimensionless, f"{table.address}.{column.name}"


@every_instrument
def test_the_same_column_name_has_the_same_unit_in_all_tables(mission: Mission, instrument: Instrument) -> None:
    units: dict[str, str] = {}
    for table in instrument.tables:
        for column in table.columns:
            if column.name.endswith(("_s", "_v", "_ma", "_na", "_kev", "_degc", "_nt", "_ev")):
                assert units.setdefault(column.name, column.unit) == column.unit, f"{table.address}.{column.name}"


@every_instrument
def test_every_table_begins_with_its_instrument_and_ends_with_the_day(mission: Mission, instrument: Instrument) -> None:
    for table in instrument.tables:
        assert table.name.startswith(f"{instrument.name}_{table.level}_")
        assert [column.name for column in table.columns].index("day") == len(table.columns) - 1
        assert "epoch_tt2000" in table.by_name
        assert "quality_flag" in table.by_name


@every_instrument
def test_every_product_is_made_from_a_table_in_time_order(mission: Mission, instrument: Instrument) -> None:
    tables = {table.name: table for table in instrument.tables}
    for product in instrument.products:
        assert tables[product.table].order != "none", product.table
        assert not tables[product.table].by_name["epoch_tt2000"].nullable


@every_instrument
def test_every_packet_has_apids_of_11_bits_and_identity_fields_it_really_has(
    mission: Mission, instrument: Instrument
) -> None:
    for packet in instrument.packets:
        assert all(0 <= apid < 2047 for apid in packet.apids)  # 2047 is the idle packet
        assert packet.identity, f"{packet.name}: duplicates cannot be told"
        assert set(packet.identity) <= {field.name for field in packet.fields}
        assert 7 <= packet.min_bytes <= packet.max_bytes <= 65542
        assert packet.checksum != "xor16" or "checksum" in {field.name for field in packet.fields}


@every_instrument
def test_no_two_packets_share_an_apid_without_conditions(mission: Mission, instrument: Instrument) -> None:
    apids = [apid for packet in instrument.packets if not packet.when for apid in packet.apids]
    assert sorted(set(apids)) == sorted(apids)


@every_instrument
def test_every_packet_is_decoded_into_a_table_of_packets(mission: Mission, instrument: Instrument) -> None:
    for packet in instrument.packets:
        assert "packet" in [table.rows for table in instrument.l0_tables(packet.name)], packet.name


@every_instrument
def test_flag_bits_and_names_are_unique_and_fit_31_bits(mission: Mission, instrument: Instrument) -> None:
    bits = [flag.bit for flag in instrument.flags]
    assert sorted(set(bits)) == sorted(bits)
    assert len({flag.name for flag in instrument.flags}) == len(bits)
    assert all(0 < flag.mask < 2**31 for flag in instrument.flags)


@every_instrument
def test_limits_are_ordered_sourced_and_overlap_the_valid_range(mission: Mission, instrument: Instrument) -> None:
    tables = {table.name: table for table in instrument.tables}
    for limit in instrument.limits:
        valid = tables[limit.table].by_name[limit.column].valid
        assert limit.low <= limit.high
        assert limit.source
        assert valid is None or (limit.low <= valid[1] and limit.high >= valid[0])


@every_instrument
def test_every_needed_calibration_is_valid_from_the_first_day_of_the_mission(
    mission: Mission, instrument: Instrument
) -> None:
    for table in instrument.tables:
        for name in table.calibrations:
            assert instrument.calibration(name, mission.valid_time.start) is not None, f"{table.address}: {name}"


@every_instrument
def test_calibrations_are_dated_and_hashed(mission: Mission, instrument: Instrument) -> None:
    for calibration in (c for c in instrument.calibrations if c.path.suffix == ".csv"):  # XTCE has no days
        assert calibration.path.name == f"{calibration.name}_{calibration.valid_from:%Y%m%d}.csv"
        assert re.fullmatch("[0-9a-f]{64}", calibration.sha256)
        assert calibration.frame.height > 0


def says_it_is_assumed(calibration: Calibration) -> bool:
    """True if a text cell says that a number is assumed, or a choice of ours."""
    texts = (calibration.frame[name] for name, kind in calibration.frame.schema.items() if kind == pl.String)
    return any(re.search(r"\bassumed\b|\[A\]|\bours\b", cell) for text in texts for cell in text.drop_nulls())


@every_instrument
def test_every_calibration_that_holds_assumed_numbers_is_named_as_such(
    mission: Mission, instrument: Instrument
) -> None:
    found = {c.path.stem for c in instrument.calibrations if says_it_is_assumed(c)}
    assert found - set(instrument.assumed) == set()


@every_instrument
def test_every_calibration_named_as_assumed_says_which_numbers(mission: Mission, instrument: Instrument) -> None:
    """A file without a column `source` is assumed as a whole: an order of cells, an attitude."""
    files = {c.path.stem: c for c in instrument.calibrations}
    silent = {name for name in instrument.assumed if not says_it_is_assumed(files[name])}
    assert {name for name in silent if "source" in files[name].frame.columns} == set()


@every_instrument
def test_a_product_of_an_instrument_that_does_not_fly_is_in_development(
    mission: Mission, instrument: Instrument
) -> None:
    if instrument.status != "flying":
        assert {p.table: p.version for p in instrument.products if not p.version.startswith("0.")} == {}


@every_instrument
def test_a_tick_of_a_clock_has_one_unit(mission: Mission, instrument: Instrument) -> None:
    """Of a clock of n ticks in a second the fine field is in 1/n s, unless a tick is a whole number of nanoseconds."""
    ticks = instrument.clock.fine_ticks_per_second
    fields = [field for packet in instrument.packets for field in packet.fields if field.name == instrument.clock.fine]
    if ticks and NS % ticks:
        assert {field.unit for field in fields} <= {f"1/{ticks} s", ""}  # what others wrote may have none


def test_every_fact_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[Path] = set()
    original = lake.definition_text.read_text
    monkeypatch.setattr(lake.definition_text, "read_text", lambda path: read.add(path) or original(path))  # type: ignore[func-returns-value]
    read_definitions(MISSIONS)
    files = [path for path in MISSIONS.rglob("*") if path.is_file() and path.suffix in (".csv", ".yaml", ".yml")]
    facts = {path for path in files if not any(part.startswith("_") for part in path.relative_to(MISSIONS).parts)}
    assert facts - read == set()


def test_short_names_of_a_mission_are_unique_because_cdf_names_are_made_of_them() -> None:
    for mission in REAL.missions:
        names = [instrument.short_name for instrument in mission.instruments]
        assert sorted(set(names)) == sorted(names)


# ---- what the definitions say about the world --------------------------------------------------------------------
@pytest.mark.parametrize(
    ("packet", "apids", "size"),
    [("photon", (160,), 22), ("spectrum", (162,), 24648), ("housekeeping", (163,), 40), ("register", (153, 165), 20)],
)
def test_meddea_packets_have_the_sizes_of_the_real_files(packet: str, apids: tuple[int, ...], size: int) -> None:
    found = REAL.mission("padre").instrument("meddea").packet(packet)
    assert (found.apids, found.min_bytes) == (apids, size)
    assert found.max_bytes == (4096 if packet == "photon" else size)
    assert found.checksum == "xor16"
    assert found.first_words == apids  # version 0, telemetry, no secondary header


def test_the_calibration_of_a_day_is_the_newest_that_began() -> None:
    meddea = REAL.mission("padre").instrument("meddea")
    days = (date(2023, 12, 31), date(2024, 1, 1), date(2025, 3, 12), date(2025, 3, 13), date(2025, 3, 14))
    found = [meddea.calibration("decimation", day) for day in days]
    assert [c and c.valid_from.isoformat() for c in found] == [
        None, "2024-01-01", "2024-01-01", "2025-03-13", "2025-03-14",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "bits", "stored"),
    [("uint", 7, "int8"), ("uint", 8, "int16"), ("uint", 15, "int16"), ("uint", 16, "int32"), ("uint", 31, "int32"),
     ("uint", 32, "int64"), ("uint", 63, "int64"), ("int", 8, "int8"), ("int", 16, "int16"), ("int", 17, "int32"),
     ("float", 32, "float32"), ("float", 64, "float64"), ("str", 16, "string"), ("bytes", 24, "binary")],
)  # fmt: skip
def test_a_field_is_stored_in_the_narrowest_signed_type(kind: str, bits: int, stored: str) -> None:
    field = PacketField.model_validate({"name": "x", "kind": kind, "bits": bits})
    assert field.column_type == stored


# ---- broken definitions ------------------------------------------------------------------------------------------
@pytest.fixture
def missions(tmp_path: Path) -> Path:
    folder = tmp_path / "missions"
    shutil.copytree(MISSIONS, folder)
    return folder


def complaint(missions: Path) -> str:
    with pytest.raises(DefinitionError) as caught:
        read_definitions(missions)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message.replace(f"{missions}/", "").replace("padre/meddea/", "")


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text, f"{path}: {before!r} is not there any more; correct the test"
    path.write_text(text.replace(before, after, 1))


def line_of(path: Path, text: str) -> int:
    return path.read_text().partition(text)[0].count("\n") + 1


HK, SPECTRUM, PHOTON = "packets/housekeeping.csv", "packets/spectrum.csv", "packets/photon.csv"
TABLES, INSTRUMENT, LIMITS, FLAGS = "tables.yaml", "instrument.yaml", "limits.csv", "flags.csv"

# File, text in it, what it becomes, and a part of the complaint; @ is the number of the edited line.
BROKEN_CELLS = {
    "bit length no number": (HK, "fp_temp,uint,16", "fp_temp,uint,16b", f"{HK} row @ (fp_temp): bit_length '16b' is no"),
    "bits that are no bytes": (HK, "fp_temp,uint,16", "fp_temp,uint,15", f"{HK} row @ (fp_temp): the fields add up to 271 bits, no whole"),
    "APID of 13 bits": ("instrument.yaml", "apids: [160]", "apids: [5000]", "instrument.yaml line @ (apids.0): "),
    "bit length 0": (HK, "fp_temp,uint,16", "fp_temp,uint,0", f"{HK} row @ (fp_temp): bit_length '0' is no positive"),
    "integer too wide": (HK, "fp_temp,uint,16", "fp_temp,uint,65", f"{HK} row @ (fp_temp): bit_length 65 is too wide"),
    "float of 16 bits": (HK, "fp_temp,uint", "fp_temp,float", f"{HK} row @ (fp_temp): a float has 32 or 64 bits, not 16"),
    "unknown type": (HK, "fp_temp,uint", "fp_temp,unit", f"{HK} row @ (fp_temp): data_type 'unit' is unknown. Use one of"),
    "no type": (HK, "fp_temp,uint", "fp_temp,", f"{HK} row @: data_type is missing. Fill in"),
    "missing column": (HK, "name,data_type,bit_length", "name,data_type,bits", f"{HK} row @+1: bit_length is missing."),
    "extra comma": (HK, "fp_temp,uint,16", "fp_temp,uint,,16", f"{HK} row @: has "),
    "column there twice": (HK, "valid_min,valid_max", "unit,valid_max", f"{HK} row @: 'unit' is there twice. Rename"),
    "open quote": (HK, "Focal plane", '"Focal plane', ". Close the quotes there."),
    "blank line keeps numbers": (HK, "dib_temp,uint,16", "\ndib_temp,uint,x", f"{HK} row @+1 (dib_temp): bit_length 'x'"),
    "valid range no number": (PHOTON, "0,19999999", "0,many", f"{PHOTON} row @ (time_clocks): 'many' is no number."),
    "valid range reversed": (PHOTON, "0,19999999", "7,3", f"{PHOTON} row @ (time_clocks): valid_min 7 > valid_max 3. Swap"),
    "field there twice": (HK, "dib_temp,uint", "fp_temp,uint", f"{HK} row @ (name): fp_temp is taken. Choose another"),
    "capital in array length": (SPECTRUM, "24, 513", "slotz", f"{SPECTRUM} row @ (slots): its length field slotz does not"),
    "two fields expand": (PHOTON, "flags,uint,", "flags,uint(expand),", f"{PHOTON} row @+2 (events): a field before it"),
    "no clock field": (HK, "time_s,uint", "time,uint", f"(clock.coarse): {HK} has no field time_s. Add it"),
    "bad indentation": (INSTRUMENT, "  policy: leap", "policy: leap", f"{INSTRUMENT} line @+1: "),
    "tab in YAML": (INSTRUMENT, "  policy: leap", "\tpolicy: leap", f"{INSTRUMENT} line @: "),
    "unknown key": (INSTRUMENT, "  policy: leap", "  polcy: leap", f"{INSTRUMENT} line "),
    "key there twice": (INSTRUMENT, "  policy: leap", "  policy: leap\n  policy: posix", f"{INSTRUMENT} line @+1: 'policy' is"),
    "unknown policy": (INSTRUMENT, "policy: leap", "policy: lepp", f"{INSTRUMENT} line @ (policy): Input should be 'leap'"),
    "impossible epoch": (INSTRUMENT, '"2000-01-01T', '"2000-13-01T', "epoch '2000-13-01T00:00:00' is no time; write it in"),
    "epoch with a zone": (INSTRUMENT, "T00:00:00", "T00:00:00Z", "epoch '2000-01-01T00:00:00Z' is no time; write it in"),
    "no tick": (INSTRUMENT, "  fine_ticks_per_second: 20000000\n", "", "fine counts no ticks; give fine_ticks_per_second"),
    "no identity field": (INSTRUMENT, "[time_s, checksum]", "[time, checksum]", f"{INSTRUMENT} line @ (identity): the pa"),
    "APID no number": (INSTRUMENT, "[160]", "[A0]", f"{INSTRUMENT} line @ (apids.0): Input should be a valid integer"),
    "instrument renamed": (INSTRUMENT, "name: meddea\n", "name: medea\n", f"{INSTRUMENT} line @ (name): 'medea' is not the"),
    "packets no mapping": (INSTRUMENT, "  photon:\n    apids: [160]", "  photon: [160]\n  other:\n    apids: [1]", "(packets."),
    "limit reversed": (LIMITS, "fp_temp_degc,red,-40,35", "fp_temp_degc,red,35,-40", f"{LIMITS} row @ (fp_temp_degc): low 35 > high"),
    "limit no number": (LIMITS, "fp_temp_degc,red,-40", "fp_temp_degc,red,cold", f"{LIMITS} row @ (fp_temp_degc) (low): Input should"),
    "limit of no column": (LIMITS, "fp_temp_degc", "fp_temp", f"{LIMITS} row @ (fp_temp): table meddea_l1_housekeeping has no column fp_temp. Correct it, perhaps to fp_temp_degc."),
    "limit twice": (LIMITS, "dib_temp_degc", "fp_temp_degc", f"{LIMITS} row @ (fp_temp_degc): a red limit is there already, at {LIMITS} row 2. Remove one."),
    "flag bit taken": (FLAGS, "9,guard_ring", "8,guard_ring", f"{FLAGS} row @ (bit): 8 is taken. Choose another"),
    "flag bit of all missions": (FLAGS, "9,guard_ring", "1,guard_ring", f"{FLAGS} row @ (bit): 1 is taken. Choose another"),
    "flag bit 31": (FLAGS, "9,guard_ring", "31,guard_ring", f"{FLAGS} row @ (bit): Input should be less than or equal to 30"),
    "unknown calibration": (TABLES, "[pixel_map, dec", "[pixelmap, dec", "there is no calibration pixelmap. Add "),
    "unknown input": (TABLES, "{photon: meddea_l0_photon}", "{photon: meddea_l0_foton}", "'meddea_l0_foton' is no table ab"),
    "input below": (TABLES, "{spectrum: meddea_l0_spectrum}", "{spectrum: meddea_ql_lightcurve}", "is no table above this"),
    "unknown packet": (TABLES, "packet: register", "packet: registers", "(packet): there is no packet registers. Correct"),
    "unknown axis": (TABLES, "axes: [slot, bin]", "axes: [slot, bim]", "(meddea_l0_spectrum.counts): axis bim is not under"),
    "axis of one value": (TABLES, "{size: 24,", "{size: 1,", f"{TABLES} line @ (size): Input should be greater than or equ"),
    "column twice": (TABLES, "      - checksum\n", "      - checksum\n      - checksum\n", "(meddea_l0_photon.checksum): the c"),
    "column unknown": (TABLES, "      - hit_rate\n", "      - hitrate\n", "'hitrate' is no shared column, packet field or colu"),
    "column is a list": (TABLES, "      - hit_rate\n", "      - [hit_rate]\n", f"{TABLES} line "),
    "unknown column type": (TABLES, "name: clocks, type: int32", "name: clocks, type: uint16", "(type): Input should be "),
    "column name in capitals": (TABLES, "{name: clocks,", "{name: Clocks,", "'Clocks' is not a name; use lower-case letters"),
    "column without words": (TABLES, ", description: Detector (Caliste-SO ASIC) number", "", "(description): Field required. Add"),
    "misspelt attribute": (TABLES, "unit: adu, description: Pulse", "units: adu, description: Pulse", "(units): Extra inputs"),
    "valid reversed": (TABLES, "valid: [0, 31]", "valid: [31, 0]", "(meddea_l0_photon.channel): valid 31 > 0. Swap them or"),
    "no uncertainty": (TABLES, "uncertainty: rate_5_10_kev_uncertainty", "uncertainty: sigma", "uncertainty sigma is no colu"),
    "no source": (TABLES, "source: fp_temp,", "", "(meddea_l1_housekeeping.fp_temp_degc): has a conversion but no source."),
    "unknown source": (TABLES, "source: fp_temp,", "source: fptemp,", "fp_temp_degc): its source fptemp is no column of an"),
    "no level": (TABLES, "  meddea_l1_photon:", "  meddea_photon:", "(meddea_photon): is not <instrument>_<level>_<words>."),
    "unknown key column": (TABLES, "key: [epoch_tt2000]", "key: [epoch]", "(key): there is no column epoch. Correct the name."),
    "misspelt section": (TABLES, "tables:", "table:", f"{TABLES} line "),
    "product of no table": ("cdf.yaml", "  meddea_l1_photon:", "  meddea_l1_foton:", "cdf.yaml line @ (meddea_l1_foton): there"),
    "product version": ("cdf.yaml", 'version: "1.0"', 'version: "1"', "cdf.yaml line @ (version): String should match"),
    "product omits no column": ("cdf.yaml", "    bin_location: 0.0\n", "    bin_location: 0.0\n    omit: [colour]\n", "(omit): me"),
    "shared flag twice": ("../../flags.csv", "1,retransmitted", "0,retransmitted", "flags.csv row @ (bit): 0 is taken."),
    "shared column header": ("../../columns.csv", "name,type", "nam,type", "columns.csv row @+1 "),
    "mission renamed": ("../mission.yaml", "name: padre", "name: padr", "mission.yaml line @ (name): 'padr' is not the folder"),
    "mission time reversed": ("../mission.yaml", "stop: 2050", "stop: 2020", "start 2024-02-01 is not before stop 2020-01-01;"),
    "calibration word": ("calibration/pixel_map_20240101.csv", "3,11,S", "3,eleven,S", "row @ (pixel): 'eleven' is no number."),
    "calibration not a number": ("calibration/spectrum_energy_20240101.csv", "0,0.25319", "0,nan0.25", "(slope_kev_per_bin): "),
    "calibration comma": ("calibration/pixel_map_20240101.csv", "3,11,S", "3,11,S,", "row @: has 4 cells, the header has 3."),
}  # fmt: skip


@pytest.mark.parametrize(("name", "before", "after", "message"), BROKEN_CELLS.values(), ids=BROKEN_CELLS.keys())
def test_one_wrong_cell_is_one_line_that_says_where(
    missions: Path, name: str, before: str, after: str, message: str
) -> None:
    path = (missions / "padre" / "meddea" / name).resolve()
    at = line_of(path, before)
    edit(path, before, after)
    text = complaint(missions)
    assert re.sub(r"@(\+\d)?", lambda found: str(at + int(found[1] or 0)), message) in text
    # File, then a row or a line.
    assert re.match(rf"(padre/)?([\w/]*{path.name}|{re.escape(INSTRUMENT)}) (row|line) \d+", text), text


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


BROKEN_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "calibration with an impossible date": (
        lambda m: (m / "calibration/pixel_map_20240101.csv").rename(m / "calibration/pixel_map_20240231.csv"),
        "calibration/pixel_map_20240231.csv: is not <name>_<yyyymmdd>.csv. Name it after the first day it is valid for.",
    ),
    "calibration without a date": (
        lambda m: (m / "calibration/pixel_map_20240101.csv").rename(m / "calibration/pixel_map.csv"),
        "calibration/pixel_map.csv: is not <name>_<yyyymmdd>.csv. Name it after the first day it is valid for.",
    ),
    "calibration without rows": (
        lambda m: (m / "calibration/pixel_map_20240101.csv").write_text("channel,pixel,size\n"),
        "calibration/pixel_map_20240101.csv: has a header and no rows. Write at least one row.",
    ),
    "empty file": (
        lambda m: (m / HK).write_text(""),
        f"{HK}: is empty. Write a header row and one row for each entry.",
    ),
    "Latin-1": (
        lambda m: (m / HK).write_bytes((m / HK).read_bytes().replace(b"Focal", "Fökal".encode("latin-1"))),
        f"{HK} line 3: byte N is not UTF-8. Save the file as UTF-8.",
    ),
    "missing packet file": (
        lambda m: (m / HK).unlink(),
        f"{HK}: No such file or directory. Create the file or give the right to read it.",
    ),
    "unnamed packet file": (
        lambda m: shutil.copy(m / HK, m / "packets/heater.csv"),
        f"packets/heater.csv: {INSTRUMENT} names no packet heater. Add it there, or remove the file.",
    ),
    "missing instrument file": (
        lambda m: (m / INSTRUMENT).unlink(),
        f"{INSTRUMENT}: No such file or directory. Create the file or give the right to read it.",
    ),
    "missing mission file": (
        lambda m: (m / "../mission.yaml").unlink(),
        "padre/mission.yaml: No such file or directory. Create the file or give the right to read it.",
    ),
    "missing names": (
        lambda m: (m / "../names.yaml").unlink(),
        "padre/names.yaml: No such file or directory. Create the file or give the right to read it.",
    ),
    "folder in place of a file": (
        lambda m: make_folder(m / LIMITS),
        f"{LIMITS}: Is a directory. Create the file or give the right to read it.",
    ),
    "YAML that is a list": (
        lambda m: (m / INSTRUMENT).write_text("- name\n"),
        f"{INSTRUMENT}: holds no mapping. Write `key: value` lines as in missions/padre.",
    ),
}


@pytest.mark.parametrize(("breaking", "message"), BROKEN_FILES.values(), ids=BROKEN_FILES.keys())
def test_a_file_that_cannot_be_used_is_named(missions: Path, breaking: Callable[[Path], object], message: str) -> None:
    breaking(missions / "padre" / "meddea")
    assert re.sub(r"byte \d+", "byte N", complaint(missions)) == message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(missions: Path) -> None:
    (missions / "padre/meddea" / HK).chmod(0)
    assert complaint(missions) == f"{HK}: Permission denied. Create the file or give the right to read it."


def test_a_folder_without_missions_is_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no <mission>/mission.yaml. Run from the checkout or set SWX"):
        read_definitions(tmp_path)


def test_a_spreadsheet_s_byte_order_mark_and_spaces_do_not_matter(missions: Path) -> None:
    path = missions / "padre/meddea" / HK
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"fp_temp,uint,16", b" FP_TEMP , UINT ,16 "))
    assert read_definitions(missions).tables.keys() == REAL.tables.keys()
    assert (
        read_definitions(missions).tables["padre.meddea_l0_housekeeping"] == REAL.tables["padre.meddea_l0_housekeeping"]
    )


def test_an_empty_calibration_cell_is_null_and_whole_numbers_stay_whole(missions: Path) -> None:
    path = missions / "padre/meddea/calibration/pixel_map_20240101.csv"
    path.write_text("channel,pixel,size\n0,7,L\n 1 ,,S\n2,0.5,\n")
    frame = next(c for c in read_definitions(missions).mission("padre").instrument("meddea").calibrations
                 if c.name == "pixel_map").frame  # fmt: skip
    assert frame.to_dict(as_series=False) == {"channel": [0, 1, 2], "pixel": [7.0, None, 0.5], "size": ["L", "S", None]}
    assert frame.dtypes == [pl.Int64, pl.Float64, pl.String]


def test_labels_are_text_whatever_is_in_them(tmp_path: Path) -> None:
    path = tmp_path / "hk_states_20240101.csv"
    for labels in (["007", "010"], ["OFF", "28"], ["1", None]):
        path.write_text("channel,value,label\n" + "".join(f"m,{n},{label or ''}\n" for n, label in enumerate(labels)))
        frame = read_calibration(path, "hk_states", date(2024, 1, 1)).frame
        assert frame.to_dict(as_series=False) == {"channel": ["m", "m"], "value": [0, 1], "label": labels}


def test_a_clock_without_fine_counter_needs_no_tick() -> None:
    assert Clock(epoch="1970-01-01T00:00:00", policy="posix", coarse="time_s").fine is None


# ---- facts once --------------------------------------------------------------------------------------------------
def comment_of(missions: Path, root: Path, table: str, column: str) -> str:
    lake_ = Lake(root, read_definitions(missions))
    with open_catalog(lake_) as connection:
        found = connection.execute(
            "SELECT comment FROM duckdb_columns() WHERE table_name = ? AND column_name = ?", [table, column]
        ).fetchone()
    assert found is not None
    return str(found[0])


def test_a_unit_edited_in_one_place_is_the_unit_in_sql(missions: Path, tmp_path: Path) -> None:
    root = tmp_path / "lake"
    root.mkdir()
    before = comment_of(missions, root, "meddea_l1_housekeeping", "fp_temp_degc")
    edit(missions / "padre/meddea" / TABLES, "unit: degC, description: Focal", "unit: K, description: Focal")
    after = comment_of(missions, root, "meddea_l1_housekeeping", "fp_temp_degc")
    assert (before, after) == ("Focal plane temperature [degC]", "Focal plane temperature [K]")


def test_a_unit_of_a_packet_field_is_the_unit_wherever_the_column_is_taken_over(missions: Path, tmp_path: Path) -> None:
    root = tmp_path / "lake"
    root.mkdir()
    edit(missions / "padre/meddea" / HK, "hit_rate,uint,16,count/s", "hit_rate,uint,16,Hz")
    for table in ("meddea_l0_housekeeping", "meddea_l1_housekeeping"):
        assert comment_of(missions, root, table, "hit_rate").endswith("[Hz]")


def test_tables_and_columns_are_valid_sql_names() -> None:
    for table in REAL.tables.values():
        for name in (table.name, *table.by_name):
            assert duckdb.execute(f"SELECT 1 AS {name}").fetchall() == [(1,)]  # unquoted: no word of SQL

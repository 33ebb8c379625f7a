# SPDX-License-Identifier: Apache-2.0
"""`swxlake new`: an instrument begins with new files alone, made of the template or of what its team already has."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.definitions import Instrument, Table
from lake.errors import ConfigurationError, DefinitionError
from lake.packet_definitions import PacketField
from swxlake.cli import app  # noqa: TID251  its options are part of what is tested
from swxlake.new.instrument import Wanted, check_wanted, find_clock
from swxlake.new.making import Request, make_instrument, parse_target
from swxlake.new.sources import Given

TUTORIAL = CHECKOUT / "docs" / "tutorial-new-instrument"
CCSDSPY = """name,data_type,bit_length
SHCOARSE,uint,32
SHFINE,uint,20
FLAGS,uint,4
PLATE_T,int,16
RAIL_V,uint(3),16
NOTE,str,32
MODE,uint,8
TAIL,uint(expand),8
"""
WITH_OFFSETS = """name,data_type,bit_length,bit_offset
seconds,uint,32,48
value,uint,12,88
other,uint,12,100
"""
POLYNOMIAL = "channel,unit,adc_min,adc_max,c0,c1\nplate_t,degC,,,0,0.1\nrail_v,V,0,60000,0,0.001\nabsent,V,,,0,1\n"
STATES = "channel,value,label\nmode,0,OFF\nmode,1,ON\n"


@pytest.fixture
def missions(tmp_path: Path) -> Path:
    """A folder of definitions with HERMES in it."""
    folder = tmp_path / "missions"
    folder.mkdir()
    for name in ("columns.csv", "flags.csv"):
        shutil.copy(CHECKOUT / "missions" / name, folder)
    shutil.copytree(CHECKOUT / "missions" / "hermes", folder / "hermes")
    return folder


def given(folder: Path, **texts: str) -> dict[str, Path]:
    """Files that somebody has, by name; a dot is written __."""
    found = {name: folder / name.replace("__", ".") for name in texts}
    for name, path in found.items():
        path.write_text(texts[name])
    return found


def made(missions: Path, request: Request) -> Instrument:
    make_instrument(missions, request)
    return read_definitions(missions).mission(request.mission).instrument(request.instrument)


def table_of(instrument: Instrument, level: str) -> Table:
    (found,) = (table for table in instrument.tables if table.level == level)
    return found


def state(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# ---- the template --------------------------------------------------------------------------------------------------
def test_the_template_becomes_an_instrument_of_another_name(missions: Path) -> None:
    outcome = make_instrument(missions, Request("aurora", "box"))
    assert outcome.notes == []
    mission = read_definitions(missions).mission("aurora")
    assert mission.cdf["Source_name"] == ("AURORA>AURORA mission",)
    assert [table.name for table in mission.instrument("box").tables] == ["box_l0_hk", "box_l1_hk"]
    texts = "".join(path.read_text() for path in (missions / "aurora").rglob("*") if path.is_file())
    assert "thermo" not in texts.lower()
    assert "demo" not in texts.lower()


def test_an_instrument_of_a_known_mission_adds_its_folder_and_changes_no_file(missions: Path) -> None:
    before = state(missions)
    outcome = make_instrument(missions, Request("hermes", "box"))
    after = state(missions)
    assert {name: after[name] for name in before} == before
    assert {Path(name).parts[:2] for name in set(after) - set(before)} == {("hermes", "box")}
    assert sorted(outcome.facts["written"]) == sorted(str(missions / name) for name in set(after) - set(before))


# ---- packets that somebody has -------------------------------------------------------------------------------------
def test_a_field_table_of_ccsdspy_is_copied_unchanged_and_every_field_has_a_column(
    missions: Path, tmp_path: Path
) -> None:
    files = given(tmp_path, hk__csv=CCSDSPY)
    instrument = made(missions, Request("aurora", "box", (files["hk__csv"],), apids=(77,)))
    assert (missions / "aurora/box/packets/hk.csv").read_text() == CCSDSPY
    assert instrument.packet("hk").apids == (77,)
    assert instrument.clock.fine_ticks_per_second == 2**20
    fields = ("flags", "plate_t", "rail_v", "note", "mode", "tail")
    assert set(fields) <= set(table_of(instrument, "l0").by_name)
    assert set(fields) <= set(table_of(instrument, "l1").by_name)
    assert table_of(instrument, "l1").method == "calibrated"
    assert instrument.products[0].omit == ("note", "tail")
    assert instrument.packet("hk").identity == ("shcoarse", "shfine")


def test_a_field_table_with_bit_offsets_keeps_its_gaps(missions: Path, tmp_path: Path) -> None:
    files = given(tmp_path, sci__csv=WITH_OFFSETS)
    instrument = made(missions, Request("hermes", "box", (files["sci__csv"],), apids=(77,)))
    assert [(field.name, field.kind) for field in instrument.packet("sci").fields if field.kind == "fill"] != []
    assert instrument.packet("sci").min_bytes == 14
    assert set(table_of(instrument, "l1").by_name) >= {"value", "other"}
    assert "PI_name" in instrument.cdf  # the mission has none for all of its instruments


def test_channels_of_calibrations_are_converted_and_named_after_their_unit(missions: Path, tmp_path: Path) -> None:
    files = given(tmp_path, hk__csv=CCSDSPY, box_polynomial__csv=POLYNOMIAL, states_20260101__csv=STATES)
    calibrations = (files["box_polynomial__csv"], files["states_20260101__csv"])
    instrument = made(missions, Request("aurora", "box", (files["hk__csv"],), None, calibrations, (77,)))
    columns = table_of(instrument, "l1").by_name
    assert (columns["plate_t_degc"].unit, columns["plate_t_degc"].conversion) == ("degC", "polynomial")
    assert (columns["rail_v_v"].axes, columns["mode_state"].type) == (("rail_v_0",), "string")
    assert "mode" in columns  # the number stays for the CDF
    assert not {"plate_t", "rail_v"} & set(columns)
    assert [c.path.name for c in instrument.calibrations] == ["box_polynomial_20200101.csv", "states_20260101.csv"]
    assert instrument.products[0].omit == ("note", "tail", "mode_state")


def test_limits_beside_the_fields_are_limits_of_the_columns_that_these_become(missions: Path, tmp_path: Path) -> None:
    rows = "name,data_type,bit_length,limit_low,limit_high\ncoarse,uint,32,,\nplate_t,int,16,-20,50\nmode,uint,16,0,3\n"
    files = given(tmp_path, hk__csv=rows, hk_polynomial__csv=POLYNOMIAL)
    request = Request("aurora", "box", (files["hk__csv"],), None, (files["hk_polynomial__csv"],), (77,))
    notes = make_instrument(missions, request).notes
    assert (
        "hk.csv: limit_low and limit_high of plate_t are read in the unit of the converted column. "
        "If they are not, correct limits.csv." in notes
    )
    limits = read_definitions(missions).mission("aurora").instrument("box").limits
    assert [(limit.column, limit.low, limit.high) for limit in limits] == [("plate_t_degc", -20, 50), ("mode", 0, 3)]


def test_fields_that_are_described_with_the_same_words_are_told_apart(missions: Path, tmp_path: Path) -> None:
    rows = (
        "name,data_type,bit_length,description\ncoarse,uint,32,Clock\na,uint,8,Spare counter\nb,uint,8,Spare counter\n"
    )
    files = given(tmp_path, hk__csv=rows)
    outcome = make_instrument(missions, Request("aurora", "box", (files["hk__csv"],), apids=(77,)))
    assert [note for note in outcome.notes if "CATDESC" in note] == []
    columns = table_of(read_definitions(missions).mission("aurora").instrument("box"), "l1").by_name
    assert columns["a"].description == "Spare counter (a)"


def test_a_guessed_clock_is_an_assumption_and_a_given_one_is_none(missions: Path, tmp_path: Path) -> None:
    files = given(tmp_path, hk__csv=CCSDSPY)
    guess = Request("aurora", "box", (files["hk__csv"],), apids=(77,))
    outcome = make_instrument(missions, guess)
    assert outcome.notes[0] == "clock: its epoch and ticks were guessed from the names of the fields."
    assert (
        "hk.csv: 8 fields have no description (shcoarse, shfine, flags, plate_t, ...). Write them" in outcome.notes[1]
    )
    assert len(outcome.notes) == 2
    wanted = Wanted(epoch="1980-01-06T00:00:00", policy="posix", cadence_seconds=4)
    known = made(missions, replace(guess, instrument="bag", wanted=wanted))
    assert (known.clock.assumed, known.clock.epoch, known.clock.policy) == ("", "1980-01-06T00:00:00", "posix")
    assert known.packet("hk").cadence_seconds == 4


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ("shcoarse:32 shfine:16", ("shcoarse", 1, "shfine", 65536)),
        ("id:8 time_s:32 time_clocks:32:1/20000000_s", ("time_s", 1, "time_clocks", 20_000_000)),
        ("secs:32 msecs:16", ("secs", 1, "msecs", 1000)),
        ("met:32 value:16", ("met", 1, None, 0)),
        ("timestamp:48:ms value:16", ("timestamp", 1000, None, 0)),
        ("coarse_time:32 micros:20:us", ("coarse_time", 1, "micros", 1_000_000)),
    ],
)
def test_a_clock_is_known_by_its_fields(fields: str, found: tuple[object, ...]) -> None:
    made_of = [f"{text}::".split(":")[:3] for text in fields.split()]
    packet = tuple(PacketField(name=n, kind="uint", bits=int(b), unit=u.replace("_", " ")) for n, b, u in made_of)
    clock = find_clock([Given("hk", Path("hk.csv"), "hk.csv", packet, 1)], Wanted())
    assert (clock.coarse, clock.coarse_per_second, clock.fine, clock.fine_per_second) == found


def test_the_tutorial_s_field_table_and_its_xtce_define_the_same_tables(missions: Path) -> None:
    wanted = Wanted(epoch="2000-01-01T00:00:00", checksum="crc16_ccitt", cadence_seconds=8)
    calibrations = tuple(TUTORIAL / f"pdu_{kind}.csv" for kind in ("polynomial", "linear", "states"))
    table = Request("heliosat", "pdu", (TUTORIAL / "hk.csv",), None, calibrations, (1210,), wanted)
    by_csv, by_xtce = (
        made(missions, request)
        for request in (table, Request("otherpdu", "pdu", xtce=TUTORIAL / "pdu.xml", wanted=wanted))
    )
    fields = [[f for f in i.packet("hk").fields if f.kind != "fill"] for i in (by_csv, by_xtce)]
    layouts = [[(f.name, f.kind, f.bits, f.shape) for f in own] for own in fields]
    assert layouts[0] == layouts[1]
    assert by_csv.packet("hk").min_bytes == by_xtce.packet("hk").min_bytes
    columns = [
        {c.name: (c.type, c.unit, c.conversion, c.axes, c.valid) for c in table_of(i, "l1").columns}
        for i in (by_csv, by_xtce)
    ]
    assert columns[0] == columns[1]
    assert {(x.column, x.low, x.high) for x in by_xtce.limits} <= {(x.column, x.low, x.high) for x in by_csv.limits}


# ---- what cannot be begun ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("target", ["hermes", "hermes/", "/eea", "Hermes/eea", "hermes/my_box", "hermes/1a", "a/b/c"])
def test_a_target_that_is_no_pair_of_names_is_refused(target: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is no name\. Write MISSION/INSTRUMENT in lower-case"):
        parse_target(target)


def test_a_schema_of_every_lake_is_no_mission() -> None:
    with pytest.raises(ConfigurationError, match="ops is a schema of every lake"):
        parse_target("ops/box")


def test_what_is_there_stays_as_it_is(missions: Path) -> None:
    before = state(missions)
    with pytest.raises(ConfigurationError, match="eea: is there already and stays as it is"):
        make_instrument(missions, Request("hermes", "eea"))
    assert state(missions) == before


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(policy="utc"), r"--policy utc: is not known\. Use one of leap, posix, none"),
        (Wanted(checksum="crc"), r"--checksum crc: is not known\. Use one of xor16, byte_sum"),
        (Wanted(epoch="2000"), r"--epoch 2000: is no time\. Write it in UTC as 2000-01-01T00:00:00"),
    ],
)
def test_an_option_that_is_not_known_is_refused(wanted: Wanted, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_wanted(wanted)


@pytest.mark.parametrize(
    ("texts", "wanted", "apids", "message"),
    [
        ({"hk__csv": CCSDSPY}, Wanted(), (), r"1 packet files and 0 APIDs: give --apid N for each"),
        ({"hk__csv": CCSDSPY}, Wanted(), (2047,), r"--apid 2047: is not between 0 and 2046"),
        ({"1st__csv": CCSDSPY}, Wanted(), (1,), r"1st\.csv: its name does not name a packet\. Rename it"),
        (
            {"hk__csv": "name,data_type,bit_length\na,uint,8\n"},
            Wanted(),
            (1,),
            r"looks like a clock's seconds\. Name it",
        ),
        ({"hk__csv": CCSDSPY}, Wanted(coarse="met"), (1,), r"--coarse met: .*hk\.csv has no such number"),
        ({"hk__csv": CCSDSPY, "gains__csv": POLYNOMIAL}, Wanted(), (1,), r"gains\.csv: its name does not say what it"),
    ],
)
def test_what_is_missing_is_asked_for_and_nothing_is_left_behind(
    missions: Path, tmp_path: Path, texts: dict[str, str], wanted: Wanted, apids: tuple[int, ...], message: str
) -> None:
    files, before = list(given(tmp_path, **texts).values()), state(missions)
    with pytest.raises(ConfigurationError, match=message):
        make_instrument(missions, Request("aurora", "box", (files[0],), None, tuple(files[1:]), apids, wanted))
    assert state(missions) == before
    assert not (missions / "aurora").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("coarse,uint,32\nx,unit,8\n", r"hk\.csv row 3 \(x\): data_type 'unit' is unknown"),
        ("coarse,uint,32\nx,uint,3\n", r"the fields add up to 35 bits"),
    ],
)
def test_a_field_table_that_cannot_be_read_is_named_and_nothing_is_left_behind(
    missions: Path, tmp_path: Path, rows: str, message: str
) -> None:
    files = given(tmp_path, hk__csv=f"name,data_type,bit_length\n{rows}")
    with pytest.raises(DefinitionError, match=message):
        make_instrument(missions, Request("aurora", "box", (files["hk__csv"],), apids=(1,)))
    assert not (missions / "aurora").exists()


def test_what_cannot_be_read_back_is_taken_away_again(missions: Path, tmp_path: Path) -> None:
    rows = "name,data_type,bit_length\ncoarse,uint,32\nmode,uint,8\nmode_state,uint,8\n"
    files = given(tmp_path, hk__csv=rows, states__csv=STATES)
    request = Request("aurora", "box", (files["hk__csv"],), None, (files["states__csv"],), (1,))
    with pytest.raises(
        DefinitionError, match=r"the column is there twice\. Rename or remove one\. Nothing was written"
    ):
        make_instrument(missions, request)
    assert not (missions / "aurora").exists()


def test_a_channel_that_is_no_field_is_mentioned(missions: Path, tmp_path: Path) -> None:
    files = given(tmp_path, hk__csv=CCSDSPY, hk_polynomial__csv=POLYNOMIAL)
    request = Request("aurora", "box", (files["hk__csv"],), None, (files["hk_polynomial__csv"],), (77,))
    notes = make_instrument(missions, request).notes
    assert "hk_polynomial_20200101.csv: no field is called absent, so its rows are not used." in notes


def test_a_channel_in_the_spelling_of_the_field_table_is_written_as_its_field(missions: Path, tmp_path: Path) -> None:
    curves = "channel,unit,adc_min,adc_max,c0,c1\nPLATE_T,degC,,,0,0.1\n rail-V ,V,0,60000,0,0.001\n"
    files = given(tmp_path, hk__csv=CCSDSPY, hk_polynomial__csv=curves)
    request = Request("aurora", "box", (files["hk__csv"],), None, (files["hk_polynomial__csv"],), (77,))
    notes = make_instrument(missions, request).notes
    said = "channels are written as the fields are called: PLATE_T as plate_t, and 1 more likewise."
    assert f"hk_polynomial_20200101.csv: {said}" in notes
    instrument = read_definitions(missions).mission("aurora").instrument("box")
    assert {"plate_t_degc", "rail_v_v"} <= set(table_of(instrument, "l1").by_name)
    assert (missions / "aurora/box/calibration/hk_polynomial_20200101.csv").read_text() == (
        "channel,unit,adc_min,adc_max,c0,c1\nplate_t,degC,,,0,0.1\nrail_v,V,0,60000,0,0.001\n"
    )


def test_two_spellings_of_one_field_are_refused(missions: Path, tmp_path: Path) -> None:
    files = given(tmp_path, hk__csv=CCSDSPY, hk_linear__csv="channel,adc,value\nPlate_T,0,1\nplate_t,9,2\n")
    request = Request("aurora", "box", (files["hk__csv"],), None, (files["hk_linear__csv"],), (77,))
    with pytest.raises(DefinitionError, match=r"Plate_T and plate_t are both the field plate_t\. Rename or remove one"):
        make_instrument(missions, request)


def test_a_channel_that_is_nearly_a_field_or_of_no_use_is_named_with_the_reason(missions: Path, tmp_path: Path) -> None:
    curves = "channel,c0,c1\nplate_tt,0,1\nshcoarse,0,1\n"
    files = given(tmp_path, hk__csv=CCSDSPY, hk_polynomial__csv=curves)
    request = Request("aurora", "box", (files["hk__csv"],), None, (files["hk_polynomial__csv"],), (77,))
    assert make_instrument(missions, request).notes[-2:] == [
        "hk_polynomial_20200101.csv: no field is called plate_tt, so its rows are not used. Did you mean plate_t?",
        "hk_polynomial_20200101.csv: no column is made of field shcoarse with it, so its rows are not used.",
    ]


def test_columns_of_a_field_table_that_are_not_used_are_named(missions: Path, tmp_path: Path) -> None:
    files = given(tmp_path, hk__csv="name,data_type,bit_length,Units,Note,owner\nmet,uint,32,s,Clock,me\n")
    notes = make_instrument(missions, Request("aurora", "box", (files["hk__csv"],), apids=(77,))).notes
    assert notes[-1] == "hk.csv: columns units, note, owner are not used; did you mean unit, description?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Name,Data Type,Bits\nmet,uint,32\n",
            r"hk\.csv row 1: no column data_type and no column bit_length; the header has name, data type, bits\. "
            r"Rename 'data type' to data_type, 'bits' to bit_length\.",
        ),
        ("x,data_type,bit_length\nmet,uint,32\n", r"row 1: no column name; the header has x, .*Correct the header"),
        ("name,data_type,bit_length\n", r"hk\.csv: has no row behind the header\. Write one row for each field"),
    ],
)
def test_a_header_without_the_needed_columns_is_shown(missions: Path, tmp_path: Path, text: str, message: str) -> None:
    files = given(tmp_path, hk__csv=text)
    with pytest.raises(DefinitionError, match=message):
        make_instrument(missions, Request("aurora", "box", (files["hk__csv"],), apids=(77,)))


def test_one_apid_for_two_packets_is_refused_with_the_way_out(missions: Path, tmp_path: Path) -> None:
    files = given(tmp_path, hk__csv=CCSDSPY, sci__csv=CCSDSPY)
    with pytest.raises(ConfigurationError, match=r"--apid 7: is given to 2 packets.* and write a `when` for both\."):
        make_instrument(missions, Request("aurora", "box", (files["hk__csv"], files["sci__csv"]), apids=(7, 7)))


@pytest.mark.parametrize(
    ("text", "described"),
    [
        ("Mode of operation", "Mode of operation by its name"),
        ("0=OFF, 1=ON", "State of mode: 0=OFF, 1=ON"),
    ],
)
def test_a_state_is_described_in_words_that_read_well(
    missions: Path, tmp_path: Path, text: str, described: str
) -> None:
    rows = f'name,data_type,bit_length,description\nmet,uint,32,Clock\nMODE,uint,8,"{text}"\n'
    files = given(tmp_path, hk__csv=rows, states__csv=STATES)
    request = Request("aurora", "box", (files["hk__csv"],), None, (files["states__csv"],), (77,))
    assert table_of(made(missions, request), "l1").by_name["mode_state"].description == described


# ---- the command ---------------------------------------------------------------------------------------------------
def test_the_command_tells_what_was_written_and_what_comes_next(missions: Path, tmp_path: Path) -> None:
    files = given(tmp_path, hk__csv=CCSDSPY, hk_states__csv=STATES)
    words = ["new", "aurora/box", "--missions", str(missions), "--packets", str(files["hk__csv"]), "--apid", "12"]
    done = CliRunner().invoke(
        app, [*words, "--calibration", str(files["hk_states__csv"]), "--epoch", "2000-01-01T00:00:00"]
    )
    assert done.exit_code == 0, done.output
    assert "aurora/box/tables.yaml" in done.output
    assert "swxlake simulate aurora/box --day" in done.output
    assert read_definitions(missions).tables["aurora.box_l1_hk"].calibrations == ("hk_states",)

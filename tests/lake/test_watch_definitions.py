# SPDX-License-Identifier: Apache-2.0
"""Limits, channels, rules and watch are read as written, and what cannot be followed is one line of complaint."""
# ruff: noqa: E501  one broken cell to a line

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from math import inf
from pathlib import Path

import pytest

from lake import watch_definitions as nouns
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.definitions import Instrument
from lake.errors import DefinitionError
from lake.ledger import l0_definition, table_definition
from lake.watch_definitions import split_trend

TEMPLATE = CHECKOUT / "missions" / "_template"
TABLES, LIMITS, CHANNELS = "tables.yaml", "limits.csv", "channels.csv"
HEADER = "table,column,severity,low,high,when,samples,seconds,source\n"


@pytest.fixture
def thermo(tmp_path: Path) -> Path:
    """The folder of the template's instrument in a copy of its mission."""
    missions = tmp_path / "missions"
    shutil.copytree(TEMPLATE, missions)
    for name in ("columns.csv", "flags.csv"):
        shutil.copy(CHECKOUT / "missions" / name, missions / name)
    return missions / "demo/thermo"


def read(thermo: Path) -> Instrument:
    return read_definitions(thermo.parents[1]).mission("demo").instrument("thermo")


def complaint(thermo: Path) -> str:
    with pytest.raises(DefinitionError) as caught:
        read(thermo)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message.removeprefix(f"{thermo}/")


def write_limits(thermo: Path, *rows: str, header: str = HEADER) -> None:
    (thermo / LIMITS).write_text(header + "".join(f"thermo_l1_hk,{row}\n" for row in rows))


def write_watch(thermo: Path, text: str) -> int:
    """Put `watch` and `rules` of the level 1 table in place of its own; the line where they begin."""
    path = thermo / TABLES
    before, rest = path.read_text().split("    # What must hold", 1)
    after = rest.partition("    columns:")[2]
    path.write_text(f"{before}{text}\n    columns:{after}")
    return before.count("\n") + 1


# ---- what is read --------------------------------------------------------------------------------------------------
def test_limits_are_read_as_written(thermo: Path) -> None:
    write_limits(
        thermo,
        "plate_temp_degc,yellow,-30,50,,,60,a book",
        "plate_temp_degc,red,,60,mode=1..3|9,5,,a book",
        "plate_temp_degc,red,,70,,,,a book",
    )
    yellow, red, always = read(thermo).limits
    assert (yellow.severity, yellow.low, yellow.high, yellow.when) == ("yellow", -30, 50, None)
    assert (yellow.samples, yellow.seconds) == (3, 60)
    assert (red.low, red.high, red.samples, red.seconds) == (-inf, 60, 5, 0)
    assert red.when is not None
    assert (red.when.column, red.when.any_of, red.when.text) == ("mode", ("1..3", "9"), "mode=1..3|9")
    assert always.when is None


def test_a_file_of_five_columns_has_red_limits(thermo: Path) -> None:
    write_limits(thermo, "plate_temp_degc,-40,60,a book", header="table,column,low,high,source\n")
    (limit,) = read(thermo).limits
    assert (limit.severity, limit.low, limit.high, limit.when, limit.samples) == ("red", -40, 60, None, 3)


def test_channels_are_read_in_their_order_with_analog_as_kind(thermo: Path) -> None:
    (thermo / CHANNELS).write_text("table,column\nthermo_l1_hk,pressure_pa\nthermo_l1_hk,bus_voltage_v\n")
    assert [(c.column, c.kind, c.mode) for c in read(thermo).channels] == [
        ("pressure_pa", "analog", None),
        ("bus_voltage_v", "analog", None),
    ]


def test_a_watch_is_read_with_its_ratios_and_off_times(thermo: Path) -> None:
    write_watch(
        thermo,
        """\
    watch:
      period: day
      fresh_hours: 36
      ratios: {gain: {of: heater_duty_percent, to: bus_voltage_v, description: none}}
      trends: [rows, "ratio:gain", "flag_share:clock_invalid", "plate_temp_degc:median"]
      off: [{start: 2026-08-01T06:00:00Z, stop: 2026-08-01T09:00:00Z, reason: a test}]""",
    )
    watch = read(thermo).tables[1].watch
    assert watch is not None
    assert (watch.fresh_hours, watch.gap_seconds, watch.ratios["gain"].to) == (36, None, "bus_voltage_v")
    assert watch.off[0].start == datetime(2026, 8, 1, 6, tzinfo=UTC)


def test_a_ratio_may_be_of_lists(thermo: Path) -> None:
    packet, channels = thermo / "packets/hk.csv", thermo / CHANNELS
    packet.write_text(packet.read_text().replace("mode,uint,6,", '"mode","uint(3, 2)",1,'))
    channels.write_text(channels.read_text().replace("thermo_l1_hk,mode,state,\n", ""))
    write_watch(thermo, "    watch: {ratios: {r: {of: mode, to: commands, description: x}}}")
    assert read(thermo).tables[1].by_name["mode"].is_list


@pytest.mark.parametrize(
    ("trend", "split"),
    [
        ("rows", ("", "rows")),
        ("ratio:live", ("", "ratio:live")),
        ("flagged_share", ("quality_flag", "flagged_share")),
        ("flag_share:clipped", ("quality_flag", "flag_share:clipped")),
        ("quality_flag:flag:clipped", ("quality_flag", "flag:clipped")),
        ("temp:mean", ("temp", "mean")),
    ],
)
def test_a_trend_is_of_a_column_of_the_flags_or_of_the_table(trend: str, split: tuple[str, str]) -> None:
    assert split_trend(trend, {"temp", "quality_flag"}) == split


def test_what_is_watched_makes_nothing_be_built_or_decoded_again(thermo: Path) -> None:
    before = read_definitions(thermo.parents[1])
    (thermo / LIMITS).unlink()
    (thermo / CHANNELS).unlink()
    write_watch(thermo, "    rules: []")
    after = read_definitions(thermo.parents[1])
    of = [d.mission("demo") for d in (before, after)]
    assert len({l0_definition(mission, mission.instrument("thermo")) for mission in of}) == 1
    for address, table in before.tables.items():
        assert table_definition(table) == table_definition(after.tables[address])


def test_an_instrument_needs_none_of_it(thermo: Path) -> None:
    (thermo / LIMITS).unlink()
    (thermo / CHANNELS).unlink()
    write_watch(thermo, "    rules: []")
    instrument = read(thermo)
    assert (instrument.limits, instrument.channels, instrument.tables[1].watch) == ((), (), None)


# ---- facts ---------------------------------------------------------------------------------------------------------
def test_every_column_of_meddea_housekeeping_is_a_channel_and_those_with_a_believable_limit_have_it() -> None:
    meddea = read_definitions(CHECKOUT / "missions").mission("padre").instrument("meddea")
    (table,) = (table for table in meddea.tables if table.name == "meddea_l1_housekeeping")
    shared = {"epoch_tt2000", "time", "sequence_count", "quality_flag", "day"}
    own = [column.name for column in table.columns if column.name not in shared]
    assert len(own) == 14
    assert {channel.column for channel in meddea.channels} == set(own)
    # The reference has 0 to 100 for these too, and good data exceed it by far.
    exceeded = {"csense_15v_ma", "hit_rate", "good_cmd_cnt", "error_cnt", "decimation_rate", "error_summary"}
    assert {limit.column for limit in meddea.limits} == set(own) - exceeded
    assert {limit.severity for limit in meddea.limits} == {"red"}


def test_padre_goes_around_14_916_times_a_day() -> None:
    assert read_definitions(CHECKOUT / "missions").mission("padre").orbit_seconds == pytest.approx(86_400 / 14.916)


# ---- limits that cannot be -----------------------------------------------------------------------------------------
BROKEN_LIMITS = {
    "reversed": (["pressure_pa,red,9,3,,,,x"], "2 (pressure_pa): low 9 > high 3; swap them or correct the limit."),
    "no end": (["pressure_pa,red,,,,,,x"], "2 (pressure_pa): has neither low nor high; give one, or remove the limit."),
    "no number": (["pressure_pa,red,nan,3,,,,x"], "2 (pressure_pa): an end is no number; correct it or leave the cell"),
    "color": (["pressure_pa,orange,1,3,,,,x"], "2 (pressure_pa) (severity): Input should be 'yellow' or 'red', not 'orange'."),
    "samples": (["pressure_pa,red,1,3,,0,,x"], "2 (pressure_pa) (samples): Input should be greater than or equal to 1"),
    "seconds": (["pressure_pa,red,1,3,,,-5,x"], "2 (pressure_pa) (seconds): Input should be greater than or equal to 0"),
    "seconds without end": (["pressure_pa,red,1,3,,,inf,x"], "2 (pressure_pa) (seconds): Input should be a finite number"),
    "not watched": (["mode,red,1,3,,,,x"], "2 (mode): table thermo_l0_hk is not watched. Add `watch: {}` to it"),
    "table": (["pressure_pa,red,1,3,,,,x"], "2 (pressure_pa): there is no table thermo_l2_hk. Correct it, perhaps to thermo_l"),
    "column": (["presure_pa,red,1,3,,,,x"], "2 (presure_pa): table thermo_l1_hk has no column presure_pa. Correct it, perhaps to pressure_pa."),
    "text": (["heater,red,1,3,,,,x"], "2 (heater): heater of thermo_l1_hk is string and no number. Name a column of numbers."),
    "list": (["mode,red,1,3,,,,x"], "2 (mode): mode of thermo_l1_hk holds a list in each row. Name a column with one value."),
    "twice": (["mode,red,1,3,,,,x", "mode,red,2,3,,,,x"], "3 (mode): a red limit is there already, at limits.csv row 2. Remove one."),
    "twice in a mode": (
        ["mode,red,1,3,heater=ON|OFF,,,x", "mode,red,2,3,heater=OFF|ON,,,x"],
        "3 (mode): a red limit of the same mode is there already, at limits.csv row 2.",
    ),
    "twice in a mode of other spelling": (
        ["mode,red,1,3,heater_state=1|2..2,,,x", "mode,red,2,3,heater_state=2|1.0,,,x"],
        "3 (mode): a red limit of the same mode is there already, at limits.csv row 2.",
    ),
    "yellow outside": (["mode,red,1,30,,,,x", "mode,yellow,2,31,,,,x"], "3 (mode): the yellow high 31 is not inside the red high 30,"),
    "yellow at red": (["mode,yellow,1,9,,,,x", "mode,red,1,30,,,,x"], "3 (mode): the yellow low 1 is not inside the red low 1, so"),
    "yellow outside in a mode": (
        ["mode,red,1,,heater=ON,,,x", "mode,yellow,0,,heater=ON,,,x"],
        "3 (mode): the yellow low 0 is not inside the red low 1, so it could never be seen first.",
    ),
    "mode without value": (["mode,red,1,3,heater,,,x"], "2 (mode) (when): 'heater' is no mode; write column=value, or column=value|"),
    "mode of no column": (["mode,red,1,3,heating=ON,,,x"], "2 (mode): table thermo_l1_hk has no column heating. Correct it, perhaps to heater."),
    "mode of no label": (["mode,red,1,3,heater=AUTOO,,,x"], "2 (mode): heater is never 'AUTOO'. Correct it, perhaps to AUTO."),
    "mode of text": (["mode,red,1,3,heater_state=ON,,,x"], "2 (mode): 'ON' is no number and no range low..high, and heater_state is a"),
    "mode range reversed": (["mode,red,1,3,heater_state=2..1,,,x"], "2 (mode): '2..1' is no number and no range low..high,"),
    "mode range open": (["mode,red,1,3,heater_state=1..,,,x"], "2 (mode): '1..' is no number and no range low..high,"),
    "mode out of range": (["mode,red,1,3,heater_state=7,,,x"], "2 (mode): heater_state is never 7: its valid range is 0 to 3. Correct one."),
    "mode of a time": (["mode,red,1,3,time=2026,,,x"], "2 (mode): time of thermo_l1_hk is timestamp, and a mode is a number or a"),
    "no source": (["mode,red,1,3,,,"], "2: has 8 cells, the header has 9. Add or remove commas"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "message"), BROKEN_LIMITS.values(), ids=BROKEN_LIMITS.keys())
def test_a_limit_that_cannot_be_is_one_line(thermo: Path, rows: list[str], message: str) -> None:
    write_limits(thermo, *rows)
    path = thermo / LIMITS
    if table := re.search("thermo_l[02]_hk", message):
        path.write_text(path.read_text().replace("thermo_l1_hk", table[0]))
    if "holds a list" in message:
        packet = thermo / "packets/hk.csv"
        packet.write_text(packet.read_text().replace("mode,uint,6,", '"mode","uint(3, 2)",1,'))
    assert complaint(thermo).startswith(f"{LIMITS} row {message}")


@pytest.mark.parametrize(
    "rows",
    [
        ["mode,red,1,30,,,,x", "mode,yellow,2,,,,,x"],  # no yellow upper end
        ["mode,red,1,30,,,,x", "mode,yellow,2,31,heater=ON,,,x"],  # another mode
        ["mode,red,,30,,,,x", "mode,yellow,-5,9,,,,x"],  # no red lower end
        ["mode,red,1,3,heater=ON,,,x", "mode,red,1,3,heater=OFF,,,x"],
    ],
)
def test_limits_of_other_modes_and_open_ends_cover_nothing(thermo: Path, rows: list[str]) -> None:
    write_limits(thermo, *rows)
    assert len(read(thermo).limits) == 2


# ---- channels that cannot be ---------------------------------------------------------------------------------------
BROKEN_CHANNELS = {
    "column": ("thermo_l1_hk,presure_pa,analog,", "(presure_pa): table thermo_l1_hk has no column presure_pa. Correct it, per"),
    "table": ("thermo_l1_kh,mode,analog,", "(mode): there is no table thermo_l1_kh. Correct it, perhaps to thermo_l1_hk."),
    "not watched": ("thermo_l0_hk,mode,analog,", "(mode): table thermo_l0_hk is not watched. Add `watch: {}` to it in tables.yaml,"),
    "kind": ("thermo_l1_hk,mode,enum,", "(mode) (kind): Input should be 'analog', 'counter', 'state', 'constant' or 'science', not 'enum'."),
    "text": ("thermo_l1_hk,heater,analog,", "(heater): heater is string, and analog is a kind of numbers. Write state or constant."),
    "time": ("thermo_l1_hk,time,constant,", "(time): time is timestamp, which cannot be watched. Remove the row."),
    "twice": ("thermo_l1_hk,mode,state,\nthermo_l1_hk,mode,constant,", "(column): thermo_l1_hk.mode is taken. Choose another"),
    "mode unknown": ("thermo_l1_hk,mode,state,heatr", "(mode): table thermo_l1_hk has no column heatr. Correct it, perhaps to heater."),
    "mode of floats": ("thermo_l1_hk,mode,state,pressure_pa", "(mode): its mode pressure_pa is float32. Name a column of whole"),
    "mode of itself": ("thermo_l1_hk,mode,state,mode", "(mode): its mode is mode itself. Name another column, or leave the cell empty."),
    "unknown header": ("thermo_l1_hk,mode,state,,3", "(mode) (weight): Extra inputs are not permitted. Remove it or correct its"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "message"), BROKEN_CHANNELS.values(), ids=BROKEN_CHANNELS.keys())
def test_a_channel_that_cannot_be_is_one_line(thermo: Path, rows: str, message: str) -> None:
    weight = ",weight" if "weight" in message else ""
    (thermo / CHANNELS).write_text(f"table,column,kind,mode{weight}\n{rows}\n")
    assert complaint(thermo).startswith(f"{CHANNELS} row {rows.count(chr(10)) + 2} {message}")


def test_a_channel_that_holds_a_list_is_refused(thermo: Path) -> None:
    packet = thermo / "packets/hk.csv"
    packet.write_text(packet.read_text().replace("mode,uint,6,", '"mode","uint(3, 2)",1,'))
    assert "(mode): mode of thermo_l1_hk holds a list in each row." in complaint(thermo)


# ---- rules and watch that cannot be --------------------------------------------------------------------------------
RULE = "    rules: [{name: one, description: why, "
BROKEN_RULES = {
    "column": ("column: presure_pa, low: 1}", "rules.one.column): table thermo_l1_hk has no column presure_pa. Correct it, perhaps to pr"),
    "number of text": ("column: heater, low: 1}", "rules.one.column): heater of thermo_l1_hk is string and no number."),
    "reversed": ("column: mode, low: 3, high: 1}", "(rules.0): low 3 > high 1; swap them or correct the rule."),
    "nothing said": ("column: mode}", "(rules.0): says not one thing; give low and high, at_most, at_least, one_of or rises."),
    "two things said": ("column: mode, low: 3, rises: true}", "(rules.0): says not one thing; give low and high,"),
    "about nothing": ("low: 3}", "(rules.0): is about nothing; give column or metric."),
    "other column": ("column: mode, at_most: modes}", "rules.one.at_most): table thermo_l1_hk has no column modes. Correct it, perhaps to mode."),
    "other column of text": ("column: mode, at_least: heater}", "rules.one.at_least): heater of thermo_l1_hk is string and no"),
    "itself": ("column: mode, at_most: mode}", "rules.one.at_most): compares the column with itself. Name another one."),
    "text for a number": ("column: mode, one_of: [ON]}", "rules.one.one_of): 'ON' is not what mode is, which is a number. Correct"),
    "number for a text": ("column: heater, one_of: [1]}", "rules.one.one_of): 1.0 is not what heater is, which is text. Correct"),
    "value of a time": ("column: time, one_of: [1]}", "rules.one.one_of): time is timestamp, neither number nor text. Name another"),
    "mode column": ("column: mode, low: 1, when: heating=ON}", "rules.one.when): table thermo_l1_hk has no column heating."),
    "mode label": ("column: mode, low: 1, when: heater=WARM}", "rules.one.when): heater is never 'WARM'."),
    "metric": ("column: mode, metric: medan, low: 1}", "rules.one.metric): mode of thermo_l1_hk has no metric medan. Correct it, perhaps to m"),
    "metric of a table": ("metric: completenes, low: 1}", "rules.one.metric): table thermo_l1_hk has no metric completenes. Correct it, pe"),
    "metric of no column": ("column: mod, metric: mean, low: 1}", "rules.one.column): table thermo_l1_hk has no column mod."),
    "metric of a text": ("column: heater, metric: mean, low: 1}", "rules.one.metric): heater of thermo_l1_hk has no metric mean."),
    "metric without bounds": ("metric: rows, one_of: [3]}", "(rules.0): a metric is judged by its bounds; give low or high."),
    "metric in a mode": ("metric: rows, low: 3, when: heater=ON}", "(rules.0): a metric is that of the whole day; remove `when`."),
    "severity": ("column: mode, low: 1, severity: red}", "(rules.0.severity): Input should be 'fail' or 'warn', not 'red'."),
    "key": ("column: mode, lo: 1}", "(rules.0.lo): Extra inputs are not permitted. Remove it or correct its spelling."),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "message"), BROKEN_RULES.values(), ids=BROKEN_RULES.keys())
def test_a_rule_that_cannot_be_followed_is_one_line(thermo: Path, rule: str, message: str) -> None:
    line = write_watch(thermo, f"    watch: {{}}\n{RULE}{rule}]")
    assert re.fullmatch(
        rf"{TABLES} line {line + 1} \((thermo_l1_hk\.)?{re.escape(message).removeprefix(re.escape('('))}.*",
        complaint(thermo),
    )


def test_two_rules_of_one_name_are_refused(thermo: Path) -> None:
    write_watch(
        thermo,
        f"    watch: {{}}\n{RULE}column: mode, low: 1}}, {{name: one, description: why, column: mode, high: 9}}]",
    )
    assert "(thermo_l1_hk.rules): one is there twice. Rename one." in complaint(thermo)


BROKEN_WATCHES = {
    "orbit": ("{period: orbit}", "(thermo_l1_hk.watch.period): "),
    "period": ("{period: year}", "(watch.period): Input should be 'orbit', 'day' or 'none', not 'year'."),
    "gap": ("{gap_seconds: 10}", "(thermo_l1_hk.watch.gap_seconds): 10 s are no more than the cadence. Give a longer time."),
    "gap of nothing": ("{gap_seconds: 0}", "(watch.gap_seconds): Input should be greater than 0, not 0."),
    "ratio column": ("{ratios: {r: {of: mode, to: mod, description: x}}}", "watch.ratios): r: table thermo_l1_hk has no column mod."),
    "ratio of text": ("{ratios: {r: {of: heater, to: mode, description: x}}}", "watch.ratios): r: heater of thermo_l1_hk is string"),
    "ratio of itself": ("{ratios: {r: {of: mode, to: mode, description: x}}}", "watch.ratios): r: is mode over itself. Name two"),
    "trend": ("{trends: [row]}", "watch.trends): table thermo_l1_hk has no metric row. Correct it, perhaps to rows."),
    "trend of no column": ("{trends: ['mod:mean']}", "watch.trends): table thermo_l1_hk has no column mod. Correct it, perhaps to mode."),
    "trend of no metric": ("{trends: ['mode:avg']}", "watch.trends): mode of thermo_l1_hk has no metric avg."),
    "trend of no channel": ("{trends: ['sequence_count:median']}", "watch.trends): sequence_count of thermo_l1_hk has no metric median."),
    "trend of no flag": ("{trends: ['flag:warm']}", "watch.trends): quality_flag of thermo_l1_hk has no metric flag:warm."),
    "trend of no ratio": ("{trends: ['ratio:warm']}", "watch.trends): table thermo_l1_hk has no metric ratio:warm."),
    "trend twice": ("{trends: [rows, rows]}", "watch.trends): rows is there twice. Remove one."),
    "off reversed": ("{off: [{start: 2026-08-02T00:00:00Z, stop: 2026-08-01T00:00:00Z, reason: x}]}", "(watch.off.0): start 2026-08-02 00:00:00+00:00 is not before stop"),
    "off without zone": ("{off: [{start: 2026-08-01, stop: 2026-08-02, reason: x}]}", "(watch.off.0): a time has no zone; write it as"),
    "key": ("{fresh: 3}", "(watch.fresh): Extra inputs are not permitted. Remove it or correct its spelling."),
}  # fmt: skip


@pytest.mark.parametrize(("watch", "message"), BROKEN_WATCHES.values(), ids=BROKEN_WATCHES.keys())
def test_a_watch_that_cannot_be_followed_is_one_line(thermo: Path, watch: str, message: str) -> None:
    line = write_watch(thermo, f"    watch: {watch}")
    text = complaint(thermo)
    assert text.startswith(f"{TABLES} line {line} (")
    assert message in text


def test_a_mission_with_an_orbit_may_have_tables_that_follow_it(thermo: Path) -> None:
    write_watch(thermo, "    watch: {period: orbit}")
    assert complaint(thermo).endswith("mission.yaml tells no orbit_seconds. Add it there, or write day or none.")
    mission = thermo.parent / "mission.yaml"
    mission.write_text(f"{mission.read_text()}\norbit_seconds: 5400\n")
    assert read_definitions(thermo.parents[1]).mission("demo").orbit_seconds == 5400


def test_completeness_needs_to_know_the_rows_of_a_day(thermo: Path) -> None:
    write_watch(thermo, "    watch: {trends: [completeness]}")
    assert read(thermo).tables[1].watch is not None
    path = thermo / TABLES
    path.write_text(path.read_text().replace("    cadence_seconds: 10\n", ""))
    assert "how many rows a whole day has is not told. Give cadence_seconds of the table, or" in complaint(thermo)
    path.write_text(path.read_text().replace("{trends: [comp", "{rows_per_day: 8640, trends: [comp"))
    assert read(thermo).tables[1].watch is not None


def test_every_key_of_what_is_watched_is_explained() -> None:
    text = (CHECKOUT / "docs/reference/definitions.md").read_text()
    kinds = (nouns.Limit, nouns.Channel, nouns.Off, nouns.Ratio, nouns.Watch, nouns.TableRule)
    assert {key for kind in kinds for key in kind.model_fields if not re.search(rf"\b{key}\b", text)} == set()

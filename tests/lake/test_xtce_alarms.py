# SPDX-License-Identifier: Apache-2.0
"""Alarm ranges of an XTCE file are limits: yellow and red, after some samples, in the modes that their contexts say."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

from lake.definition_files import read_definitions
from lake.definition_watch import unheard_alarms
from lake.definitions import Limit
from lake.errors import DefinitionError
from lake.xtce.contexts import ChannelLimit
from lake.xtce.reading import read_xtce
from tests.lab import write_lab
from tests.xtce import alarm, compare, context, one_packet, uint

CRITICAL = 'CriticalRange maxInclusive="9"'
WARNING = 'WarningRange maxInclusive="7"'
HEATER = (
    '<xtce:EnumeratedParameterType name="Heater"><xtce:IntegerDataEncoding sizeInBits="8"/><xtce:EnumerationList>'
    '<xtce:Enumeration value="0" label="OFF"/><xtce:Enumeration value="1" maxValue="3" label="ON"/>'
    "</xtce:EnumerationList></xtce:EnumeratedParameterType>"
)
FIELDS = {"volts": "T", "mode": "U8", "heater": "Heater", "other": "U8"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "box.xml"


def listed(*contexts: str) -> str:
    return f"<xtce:ContextAlarmList>{''.join(contexts)}</xtce:ContextAlarmList>"


def limits(path: Path, *outside: str, calibrator: str = "") -> tuple[ChannelLimit, ...]:
    """The limits of a packet whose first field, of 16 bits, has these alarms."""
    types = uint("U8", 8) + HEATER + uint("T", 16, calibrator, "".join(outside))
    path.write_text(one_packet(types, FIELDS))
    return read_xtce(path, {}, path.with_name("instrument.yaml")).limits


def modes(found: tuple[ChannelLimit, ...]) -> list[tuple[float, str]]:
    """The upper end of each limit with its mode."""
    return [(limit.high, limit.when.text if limit.when else "") for limit in found]


# ---- ranges --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        (['WatchRange minInclusive="1"'], [("yellow", 1, inf)]),
        (['WarningRange minInclusive="5" maxInclusive="6"', CRITICAL], [("yellow", 5, 6), ("red", -inf, 9)]),
        (['WatchRange minInclusive="1"', 'WarningRange minInclusive="0" maxInclusive="6"'], [("yellow", 1, 6)]),
        (['SevereRange minInclusive="-5" maxInclusive="50"', CRITICAL], [("red", -5, 9)]),
        (['DistressRange maxInclusive="8"', CRITICAL], [("red", -inf, 8)]),
        (['WarningRange minExclusive="1" maxInclusive="2"'], [("yellow", 1.0000000000000002, 2)]),
        (["WatchRange", CRITICAL], [("red", -inf, 9)]),
        (['WarningRange maxInclusive="9"', CRITICAL], [("red", -inf, 9)]),
        (['WarningRange minInclusive="1" maxInclusive="12"', CRITICAL], [("yellow", 1, inf), ("red", -inf, 9)]),
        (["WatchRange"], []),
    ],
)
def test_watch_and_warning_are_yellow_and_the_others_red_and_the_narrowest_ends_count(
    path: Path, ranges: list[str], expected: list[tuple[str, float, float]]
) -> None:
    found = limits(path, alarm(*ranges))
    assert [(limit.severity, limit.low, limit.high) for limit in found] == expected
    assert {(limit.packet, limit.field, limit.calibrated, limit.when) for limit in found} <= {
        ("hk", "volts", False, None)
    }


def test_a_limit_names_the_line_of_its_range(path: Path) -> None:
    (yellow, red) = limits(path, alarm(WARNING, "\n" + CRITICAL).replace("<xtce:\n", "\n<xtce:"))
    line = path.read_text().partition("<xtce:WarningRange")[0].count("\n") + 1
    assert yellow.place == f"{path.parent.name}/box.xml line {line}"
    assert red.place == f"{path.parent.name}/box.xml line {line + 1}"


@pytest.mark.parametrize(("attributes", "samples"), [("", 1), ('minViolations="5"', 5)])
def test_an_alarm_begins_after_as_many_samples_as_the_file_says_and_by_default_with_the_first(
    path: Path, attributes: str, samples: int
) -> None:
    (limit,) = limits(path, alarm(CRITICAL, attributes=attributes))
    assert limit.samples == samples


def test_an_alarm_of_a_type_with_a_calibrator_is_of_its_values(path: Path) -> None:
    term = '<xtce:PolynomialCalibrator><xtce:Term coefficient="2" exponent="1"/></xtce:PolynomialCalibrator>'
    (limit,) = limits(path, alarm(CRITICAL), calibrator=f"<xtce:DefaultCalibrator>{term}</xtce:DefaultCalibrator>")
    assert limit.calibrated


# ---- contexts ------------------------------------------------------------------------------------------------------
def test_a_context_is_a_mode_and_the_default_holds_in_all_others(path: Path) -> None:
    found = limits(path, alarm(CRITICAL), listed(context(compare("mode", 4), 'CriticalRange maxInclusive="3"')))
    assert modes(found) == [(3, "mode=4"), (9, "mode=0..3|5..255")]


def test_of_two_contexts_the_first_that_holds_counts(path: Path) -> None:
    first = context(compare("mode", 10, "<"), 'CriticalRange maxInclusive="3"')
    second = context(compare("mode", 20, "<="), 'CriticalRange maxInclusive="5"')
    assert modes(limits(path, alarm(CRITICAL), listed(first, second))) == [
        (3, "mode=0..9"),
        (5, "mode=10..20"),
        (9, "mode=21..255"),
    ]


@pytest.mark.parametrize(
    ("match", "mode"),
    [
        (compare("mode", 4, "!="), "mode=0..3|5..255"),
        (compare("mode", 250, ">"), "mode=251..255"),
        (compare("heater", "ON"), "heater=1..3"),
        (compare("heater", "2", raw=True), "heater=2"),
        (
            f"<xtce:ComparisonList>{compare('mode', 3, '>=')}{compare('mode', 6, '<')}</xtce:ComparisonList>",
            "mode=3..5",
        ),
    ],
)
def test_comparisons_of_a_context_are_values_of_a_field(path: Path, match: str, mode: str) -> None:
    assert modes(limits(path, listed(context(match, CRITICAL)))) == [(9, mode)]


def test_a_context_without_a_range_is_a_mode_without_alarm(path: Path) -> None:
    assert modes(limits(path, alarm(CRITICAL), listed(context(compare("mode", 0))))) == [(9, "mode=1..255")]


def test_a_context_has_samples_of_its_own(path: Path) -> None:
    found = limits(path, alarm(CRITICAL), listed(context(compare("mode", 0), WARNING, attributes='minViolations="4"')))
    assert [limit.samples for limit in found] == [4, 1]


@pytest.mark.parametrize(
    ("contexts", "default", "problem"),
    [
        ([compare("PKT_APID", 7)], "", r"\(Comparison\): the parameter is no field of the packet\. Compare"),
        ([compare("mode", 256)], "", r"\(ContextMatch\): no value of mode is left that meets it\. Correct or remove"),
        ([compare("mode", 4), compare("mode", 4)], "", r"\(ContextMatch\): no value of mode is left that meets it\."),
        ([compare("mode", 4), compare("other", 4)], "", r"compares other, and a context before it mode\. Compare one"),
        (
            [f"<xtce:ComparisonList>{compare('mode', 1)}{compare('other', 1)}</xtce:ComparisonList>"],
            "",
            r"\(ContextMatch\): compares mode and other\. Compare one parameter\.",
        ),
        ([compare("heater", "WARM")], "", r"\(Comparison\): heater has no label 'WARM'\. Correct it\."),
        ([compare("mode", 0, ">=")], alarm(CRITICAL), r"\(DefaultAlarm\): its contexts have all values, so it never"),
        ([compare("nothing", 0)], "", r"\(Comparison\): there is no parameter nothing\. Define it or correct"),
    ],
)
def test_what_no_mode_can_say_is_refused_with_its_line(
    path: Path, contexts: list[str], default: str, problem: str
) -> None:
    with pytest.raises(DefinitionError, match=rf"box\.xml line \d+ .*{problem}"):
        limits(path, default, listed(*(context(match, CRITICAL) for match in contexts)))


def test_an_alarm_of_an_array_is_refused(path: Path) -> None:
    first, last = (f"<xtce:FixedValue>{index}</xtce:FixedValue>" for index in (0, 2))
    ends = f"<xtce:StartingIndex>{first}</xtce:StartingIndex><xtce:EndingIndex>{last}</xtce:EndingIndex>"
    size = f"<xtce:DimensionList><xtce:Dimension>{ends}</xtce:Dimension></xtce:DimensionList>"
    array = f'<xtce:ArrayParameterType name="A" arrayTypeRef="T">{size}</xtce:ArrayParameterType>'
    path.write_text(one_packet(uint("T", 8, outside=alarm(CRITICAL)) + array, {"volts": "A"}))
    with pytest.raises(DefinitionError, match=r"line \d+ \(DefaultAlarm\): alarms of arrays are not supported\."):
        read_xtce(path, {}, path.with_name("instrument.yaml"))


# ---- in the tables of an instrument --------------------------------------------------------------------------------
TABLES = """\
  box_l0_hk: {title: Rail, grain: one row per packet, packet: hk}
  box_l1_hk:
    title: Rail in V
    grain: one row per packet
    inputs: {hk: box_l0_hk}
    method: calibrated
    watch: {}
    calibrations: [hk_polynomial]
    columns:
      - epoch_tt2000
      - time
      - {name: rail_v, type: float64, unit: V, description: Rail, source: rail, conversion: polynomial, nullable: true}
      - {name: rail_dn, type: int32, source: rail, description: Rail as it was sent}
      - rail
      - amps
      - {name: amps_dn, type: int32, source: amps, description: Current as it was sent}
      - {name: mode_dn, type: int16, source: mode, description: Mode as it was sent}
      - quality_flag
"""


def box_limits(folder: Path, rail: str, tables: str = TABLES, own: str = "") -> list[Limit]:
    """The limits of an instrument whose XTCE file has a rail with a calibrator and alarms, and a current."""
    box = write_lab(folder / "missions") / "lab/box"
    term = "<xtce:PolynomialCalibrator><xtce:Term coefficient='2' exponent='1'/></xtce:PolynomialCalibrator>"
    types = uint("U32", 32) + uint("U8", 8)
    types += uint("Rail", 16, f"<xtce:DefaultCalibrator>{term}</xtce:DefaultCalibrator>", rail)
    types += uint("Amps", 16, outside=alarm('WarningRange maxInclusive="900"'))
    fields = {"time_s": "U32", "Rail": "Rail", "AMPS": "Amps", "mode": "U8"}
    (box / "packets/box.xml").write_text(one_packet(types, fields, 9))
    with (box / "tables.yaml").open("a") as file:
        file.write(tables)
    with (box / "limits.csv").open("a") as file:
        file.write(own)
    found = read_definitions(folder / "missions").mission("lab").instrument("box").limits
    return [limit for limit in found if limit.table == "box_l1_hk"]


def test_an_alarm_is_of_converted_columns_or_of_copies_and_never_of_both(tmp_path: Path) -> None:
    found = box_limits(tmp_path, alarm('WarningRange maxInclusive="30"'))
    assert [(limit.column, limit.high) for limit in found] == [("rail_v", 30), ("amps", 900), ("amps_dn", 900)]
    assert {(limit.severity, limit.samples) for limit in found} == {("yellow", 1)}


def test_the_mode_of_an_alarm_is_a_column_that_copies_the_field(tmp_path: Path) -> None:
    found = box_limits(tmp_path, listed(context(compare("mode", 2), CRITICAL)))
    (limit,) = (limit for limit in found if limit.column == "rail_v")
    assert limit.when is not None
    assert limit.when.text == "mode_dn=2"


def test_a_table_without_the_column_of_a_mode_is_told_what_to_add(tmp_path: Path) -> None:
    tables = TABLES.replace(
        "      - {name: mode_dn, type: int16, source: mode, description: Mode as it was sent}\n", ""
    )
    with pytest.raises(DefinitionError, match=r"box\.xml line \d+ \(rail\): .* Add mode to its columns\."):
        box_limits(tmp_path, listed(context(compare("mode", 2), CRITICAL)), tables)


def test_a_row_of_limits_csv_comes_before_all_alarms_of_its_column(tmp_path: Path) -> None:
    found = box_limits(tmp_path, alarm(WARNING, CRITICAL), own="box_l1_hk,rail_v,-3,33,a report\n")
    assert [(x.severity, x.high, x.source) for x in found if x.column == "rail_v"] == [("red", 33, "a report")]


def test_a_warning_range_that_the_critical_one_covers_is_left_out_at_that_end(tmp_path: Path) -> None:
    same = 'Range minInclusive="2" maxInclusive="9"'
    found = box_limits(tmp_path, alarm(f"Warning{same}", f"Critical{same}"))
    assert [(x.severity, x.low, x.high) for x in found if x.column == "rail_v"] == [("red", 2, 9)]


def test_alarms_of_a_table_that_is_not_watched_are_named(tmp_path: Path) -> None:
    box_limits(tmp_path, alarm(CRITICAL), TABLES.replace("    watch: {}\n", ""))
    (line,) = unheard_alarms(read_definitions(tmp_path / "missions"))
    assert line == (
        "lab.box_l1_hk: its 3 alarm ranges of XTCE files alert nobody, for the table is not watched. "
        "Add `watch: {}` to it in tables.yaml."
    )
    (tmp_path / "watched").mkdir()
    box_limits(tmp_path / "watched", alarm(CRITICAL))
    assert unheard_alarms(read_definitions(tmp_path / "watched/missions")) == []

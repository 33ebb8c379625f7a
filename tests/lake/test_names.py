# SPDX-License-Identifier: Apache-2.0
import json
import re
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lake.errors import FileNameError
from lake.names import NameRules, OutOfRangeError, ParsedName, RawFamily, parse_name
from lake.product_names import (
    Normalised,
    ScienceName,
    create_name,
    normalise_name,
)
from tests.shared_data import CHECKOUT, shared_folder

NOW = datetime(2026, 11, 15, tzinfo=UTC)
VECTORS = shared_folder() / "facts" / "name_vectors.jsonl"
CODES = {
    "BAD_MISSION", "BAD_INSTRUMENT", "BAD_LEVEL", "BAD_TIME", "BAD_VERSION", "BAD_SHAPE", "NONCANONICAL_CASE",
    "UNKNOWN_EXT", "OUT_OF_RANGE",
}  # fmt: skip
FILES = {"hermes": CHECKOUT / "missions/hermes/names.yaml", "padre": CHECKOUT / "missions/padre/names.yaml"}
RULES = {mission: NameRules.model_validate(yaml.safe_load(path.read_text())) for mission, path in FILES.items()}
HERMES, PADRE = RULES["hermes"], RULES["padre"]


def vectors() -> list[object]:
    if not VECTORS.is_file():
        return [
            pytest.param(None, marks=pytest.mark.skip(reason="facts/name_vectors.jsonl is not beside the checkout"))
        ]
    lines = [json.loads(line) for line in VECTORS.read_text().splitlines()]
    return [pytest.param(line, id=f"{number}-{line['mission']}") for number, line in enumerate(lines, 1)]


def refused(mission: str, name: str) -> str:
    """The reason code with which a name is refused."""
    with pytest.raises(FileNameError) as caught:
        parse_name(RULES[mission], name, NOW)
    return caught.value.code


def outcome(rules: NameRules, name: str) -> ParsedName | FileNameError:
    """What a name means, or the error with which it is refused."""
    try:
        return parse_name(rules, name, NOW)
    except FileNameError as error:
        return error


def changed(rules: NameRules, **facts: object) -> NameRules:
    """The rules of a mission with other facts."""
    return NameRules.model_validate({**rules.model_dump(), **facts})


def text_of(value: object) -> object:
    """Dates and times as text, milliseconds only where there are some."""
    if isinstance(value, datetime):
        assert value.utcoffset() == timedelta(0)
        return value.replace(tzinfo=None).isoformat(timespec="milliseconds").removesuffix(".000")
    return value.isoformat() if isinstance(value, date) else value


@pytest.mark.parametrize("vector", vectors())
def test_every_agreed_name_means_what_was_agreed(vector):
    status, ours = vector["ours_status"], vector["ours"]
    if status == "reject":
        assert refused(vector["mission"], vector["name"]) == ours.split()[0]
        return
    parsed = parse_name(RULES[vector["mission"]], vector["name"], NOW)
    if status == "ignored":
        assert (parsed.kind, parsed.reason) == ("ignored", ours.split()[0])
        return
    expected = {k: v.removesuffix(".000") if isinstance(v, str) else v for k, v in ours.items() if k != "note"}
    assert {field: text_of(getattr(parsed, field)) for field in expected} == expected
    if "kind" not in expected:
        absent = {"mode", "descriptor", "version", "raw_version", "end", "of", "algorithm", "reason"} - set(expected)
        assert {field for field in absent if getattr(parsed, field) is not None} == set()


@pytest.mark.skipif(not VECTORS.is_file(), reason="facts/name_vectors.jsonl is not beside the checkout")
def test_sixty_nine_names_were_agreed():
    assert len(vectors()) == 69


@pytest.mark.parametrize(
    ("name", "descriptor", "time"),
    [
        ("padreMDA0_240916122901.dat", "photon", datetime(2024, 9, 16, 12, 29, 1, tzinfo=UTC)),
        ("padreMDA2_240916122851.dat", "spectrum", datetime(2024, 9, 16, 12, 28, 51, tzinfo=UTC)),
        ("padreMDU8_240916122904.dat", "housekeeping", datetime(2024, 9, 16, 12, 29, 4, tzinfo=UTC)),
    ],
)
def test_meddea_streams_of_september_2024_are_photons_spectra_and_housekeeping(name, descriptor, time):
    expected = ParsedName("raw", name, "padre", "meddea", "raw", descriptor=descriptor, time=time)
    assert parse_name(PADRE, name, NOW) == expected


def test_sharp_streams_have_two_or_three_digits():
    names = ["PADRESP13_250503042550.DAT", "PADRESP160_250503042550.DAT", "padreSHP11_250503042550.dat"]
    parsed = [parse_name(PADRE, name, NOW) for name in names]
    assert [(p.instrument, p.descriptor) for p in parsed] == [("sharp", "sp13"), ("sharp", "sp160"), ("sharp", "shp11")]


def test_directory_lists_and_single_apid_files_of_padre_are_raw():
    listing = parse_name(PADRE, "padre_craft_dirlist_1746000000.txt", NOW)
    assert (listing.instrument, listing.level, listing.descriptor) == ("craft", "raw", "dirlist")
    assert listing.time == datetime(2025, 4, 30, 8, tzinfo=UTC)
    single = parse_name(PADRE, "padre_MEDDEA_apid160_2025131-192102.bin", NOW)
    assert (single.instrument, single.level, single.descriptor) == ("meddea", "raw", "apid160")


def test_orbit_elements_are_ancillary_and_have_only_a_date():
    for name in ("20250504_padre.tle", "20250504_padre_tle.csv"):
        parsed = parse_name(PADRE, name, NOW)
        assert (parsed.kind, parsed.descriptor, parsed.time) == ("ancillary", "tle", datetime(2025, 5, 4, tzinfo=UTC))


@pytest.mark.parametrize(
    ("mission", "name", "code"),
    [
        ("padre", "padreMDA0_24010703473.dat", "BAD_TIME"),
        ("padre", "padreMDA0_241307034739.dat", "BAD_TIME"),
        ("padre", "padreMDA_240107034739.dat", "BAD_SHAPE"),
        ("padre", "padreMDAZ_240107034739.dat", "BAD_SHAPE"),
        ("padre", "padreMDA0_SP11_240107034739.dat", "BAD_SHAPE"),
        ("padre", "padreMDA0_240107034739.zip", "UNKNOWN_EXT"),
        ("padre", "MDA0_240107034739.dat", "BAD_MISSION"),
        ("padre", "padrex_meddea_l1_20250504T070411_v1.0.0.fits", "BAD_MISSION"),
        ("padre", "PADRE_meddea_l1_20250504T070411_v1.0.0.fits", "NONCANONICAL_CASE"),
        ("padre", "padre_meddea_l1_20250504T070411_v1.0.0.FITS", "NONCANONICAL_CASE"),
        ("padre", "padre_MEDDEA_l1_2025131-192102_v3.bin", "BAD_LEVEL"),
        ("padre", "padre_MEDDEA_l0_2025131-192102.bin", "BAD_VERSION"),
        ("padre", "padre_MEDDEA_l0_2025131-192102_vx.bin", "BAD_VERSION"),
        ("padre", "padre_MEDDEA_apidA0_2025131-192102.bin", "BAD_SHAPE"),
        ("padre", "padre_meddea_l0_20250131T192102_v0.03.0.bin", "BAD_VERSION"),
        ("padre", "padre_get_EPS_9_Data_176200809419_1762187403300.csv", "BAD_TIME"),
        ("padre", "padre_get_EPS_9_Data_1762187403300_1762008094193.csv", "BAD_TIME"),
        ("padre", "padre_get_EPS_9_Data_.csv", "BAD_TIME"),
        ("padre", "20250230_padre.tle", "BAD_TIME"),
        ("hermes", "file_manifest_20240230.txt", "BAD_TIME"),
        ("hermes", "hermes_EEA_l0_2025000-000000_v0.bin", "BAD_TIME"),
        ("hermes", "hermes_EEA_NEM_l0_2025001-000000_v0.bin", "BAD_SHAPE"),
        ("hermes", "hermes_EEA_l0_l0_2025001-000000_v0.bin", "BAD_SHAPE"),
        ("hermes", "hermes_EEA_VA_l0_2025001-000000.bin", "BAD_VERSION"),
        ("hermes", "hermes_EEA.bin", "BAD_TIME"),
        ("hermes", "hermes_eea__l1_20240406T120621_v1.2.3.cdf", "BAD_SHAPE"),
        ("hermes", "hermes_eea_v1.2.3.cdf", "BAD_SHAPE"),
        ("hermes", "hermes_eea_20240406T120621_v1.2.3.cdf", "BAD_LEVEL"),
        ("hermes", "hermes_eea_ql_l1_20240406T120621_v1.2.3.cdf", "BAD_SHAPE"),
        ("hermes", "hermes_eea_2S_l1_20240406T120621_v1.2.3.cdf", "NONCANONICAL_CASE"),
        ("hermes", "hermes_spn_l1_20240406T120621_20240407T000000_v1.0.0.cdf", "BAD_SHAPE"),
        ("hermes", "hermes_eea_l1testtest_20240406T120621_v1.2.3.cdf", "BAD_LEVEL"),
        ("hermes", "hermes.cdf", "BAD_SHAPE"),
        ("hermes", "", "BAD_MISSION"),
    ],
)
def test_a_refused_name_has_the_first_reason_that_fails(mission, name, code):
    assert refused(mission, name) == code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("hermеs_eea_l1_20240406T120621_v1.2.3.cdf", "BAD_MISSION"),  # noqa: RUF001 a Cyrillic e
        ("hermes_eea_l1_2024０406T120621_v1.2.3.cdf", "BAD_TIME"),  # noqa: RUF001 a full-width zero
        ("hermes_EEA_l0_2025１37-124603_v1.bin", "BAD_TIME"),  # noqa: RUF001 a full-width one
        ("hermes_eea_l1_20240406T120621_v1.2.٣.cdf", "BAD_VERSION"),
        ("ſermes_eea_l1_20240406T120621_v1.2.3.cdf", "BAD_MISSION"),  # noqa: RUF001 a long s
        ("hermes_eea_l1_20240406T120621_v1.2.3.cdf\n", "BAD_SHAPE"),
        ("hermes_eea\0_l1_20240406T120621_v1.2.3.cdf", "BAD_SHAPE"),
        ("hermes_eea_l1\ud800_20240406T120621_v1.2.3.cdf", "BAD_SHAPE"),
        ("hermes_eea_l1_..\\..\\etc_20240406T120621_v1.2.3.cdf", "BAD_SHAPE"),
        ("hermes_" + "_" * 10_000, "UNKNOWN_EXT"),
        ("hermes_" + "e" * 10_000 + ".cdf", "BAD_SHAPE"),
    ],
)
def test_hostile_names_are_refused_in_one_short_line(name, code):
    with pytest.raises(FileNameError) as caught:
        parse_name(HERMES, name, NOW)
    message = str(caught.value)
    assert caught.value.code == code
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 600


def test_the_parent_folder_is_ignored_as_a_hidden_file_is():
    assert parse_name(HERMES, "hermes/..", NOW).reason == "TEMP_FILE"


def test_a_message_names_the_file_the_fault_and_the_remedy():
    with pytest.raises(FileNameError) as caught:
        parse_name(HERMES, "hermes_eea_l4_20240406T120621_v1.2.3.cdf", NOW)
    assert str(caught.value) == (
        "BAD_LEVEL: 'hermes_eea_l4_20240406T120621_v1.2.3.cdf': 'l4' has no level of hermes. Use one of l0 l1 ql l2 l3."
    )


@pytest.mark.parametrize("directory", ["", "/a/b/", "s3://bucket/l1/", "../../"])
def test_directories_and_buckets_are_no_part_of_a_name(directory):
    name = "hermes_eea_l1_20240406T120621_v1.2.3.cdf"
    assert parse_name(HERMES, directory + name, NOW) == parse_name(HERMES, name, NOW)


def test_an_index_is_the_sidecar_of_a_data_file_in_the_same_case():
    assert parse_name(PADRE, "PADRESP11_250331134058.IDX", NOW).of == "PADRESP11_250331134058.DAT"


def test_a_time_out_of_range_still_says_what_the_name_says():
    with pytest.raises(OutOfRangeError) as caught:
        parse_name(HERMES, "hermes_spn_l1_20991231T000000_v1.0.0.cdf", NOW)
    parsed = caught.value.parsed
    assert (parsed.instrument, parsed.time) == ("spani", datetime(2099, 12, 31, tzinfo=UTC))


def test_a_clock_may_be_one_day_fast_and_no_more():
    assert parse_name(HERMES, "hermes_spn_l1_20261116T000000_v1.0.0.cdf", NOW).level == "l1"
    assert refused("hermes", "hermes_spn_l1_20261116T000001_v1.0.0.cdf") == "OUT_OF_RANGE"
    assert refused("hermes", "hermes_spn_l1_20191231T235959_v1.0.0.cdf") == "OUT_OF_RANGE"


def test_second_60_is_a_time_only_where_a_leap_second_was():
    early = changed(HERMES, min_valid_time=datetime(2010, 1, 1, tzinfo=UTC))
    parsed = parse_name(early, "hermes_eea_l1_20161231T235960_v1.0.0.cdf", NOW)
    assert (parsed.time, parsed.leap_second) == (datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC), True)
    for second in ("20151231T235960", "20161231T225960", "20161231T235961"):
        with pytest.raises(FileNameError, match="BAD_TIME"):
            parse_name(early, f"hermes_eea_l1_{second}_v1.0.0.cdf", NOW)


def test_a_mission_can_accept_raw_names_without_its_prefix():
    pattern = "{instrument}[_{mode}]_{level}_{time}[_v{raw_version}]"
    bare = RawFamily(extension="bin", pattern=pattern, level="l0", time="day_of_year")
    rules = changed(HERMES, families=(*HERMES.families, bare))
    assert parse_name(rules, "SPANI_VA_l0_2025215-124603_v21.bin", NOW).mode == "VA"
    assert parse_name(rules, "spani_l0_2025215-124603.bin", NOW).instrument == "spani"
    for name in ("hermes_EEA_l0_2025337-124603_v11.bin", "EEA_l0_2025337-124603_v11.bin"):
        assert parse_name(rules, name, NOW).raw_version == "11"


ARGUMENTS = {"instrument": "eea", "level": "l1", "time": "2024-04-06T12:06:21", "version": "1.2.3"}


def made(rules: NameRules = HERMES, **changes: object) -> str:
    return create_name(rules, ScienceName(**{**ARGUMENTS, **changes}), NOW)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "hermes_eea_l1_20240406T120621_v1.2.3.cdf"),
        ({"instrument": "merit", "level": "l2", "version": "2.4.5"}, "hermes_mrt_l2_20240406T120621_v2.4.5.cdf"),
        (
            {
                "instrument": "spani",
                "level": "l3",
                "version": "2.4.5",
                "mode": "2s",
                "descriptor": "burst",
                "test": True,
            },
            "hermes_spn_2s_l3test_burst_20240406T120621_v2.4.5.cdf",
        ),
        ({"time": "2024-04-06T12:06:21.999"}, "hermes_eea_l1_20240406T120621_v1.2.3.cdf"),
        ({"time": "2024-04-06"}, "hermes_eea_l1_20240406T000000_v1.2.3.cdf"),
        ({"scale": "tai"}, "hermes_eea_l1_20240406T120544_v1.2.3.cdf"),
        ({"descriptor": "latest"}, "hermes_eea_l1_latest_20240406T120621_v1.2.3.cdf"),
        (
            {"time": datetime(2024, 4, 6, 14, 6, 21, 999999, tzinfo=timezone(timedelta(hours=2)))},
            "hermes_eea_l1_20240406T120621_v1.2.3.cdf",
        ),
        (
            {"time": datetime(2024, 4, 6, 12, 6, 21, tzinfo=UTC), "scale": "tai"},
            "hermes_eea_l1_20240406T120544_v1.2.3.cdf",
        ),
    ],
)
def test_archive_names_are_made_as_agreed(changes, name):
    assert made(**changes) == name


def test_padre_archive_names_are_fits():
    name = made(PADRE, instrument="meddea", version="1.0.0", descriptor="spectrum")
    assert name == "padre_meddea_l1_spectrum_20240406T120621_v1.0.0.fits"


@pytest.mark.parametrize(
    ("field", "values", "code"),
    [
        ("version", ["01.02.03", "-1.2.3", "1.2", "1.2.3a", "1..", "1.5.6.7", "v1.2.3", ""], "BAD_VERSION"),
        ("instrument", ["EEA", "potato", "fpi", "mrt", ""], "BAD_INSTRUMENT"),
        ("level", ["l4", "la", "squirrel", "0l", "l1test"], "BAD_LEVEL"),
        ("mode", ["a_b", "ql", "l1test", "", "a/b"], "BAD_SHAPE"),
        ("descriptor", ["blue_green", "a/b", "l1", "20240406t120621", "", "é"], "BAD_SHAPE"),
        ("time", ["1999-01-01", "2016-12-31T23:59:60", "2026-12-01"], "OUT_OF_RANGE"),
        (
            "time",
            ["2023-13-04T12:06:21", "2023/13/04 12:06:21", "12345345", "2024-04-06T23:59:60", "2024-02-30",
             "2024-04-06T12:06:21+02:00", "", datetime(2024, 4, 6)],
            "BAD_TIME",
        ),
    ],
)  # fmt: skip
def test_a_name_that_could_not_be_read_back_is_not_made(field, values, code):
    for value in values:
        with pytest.raises(FileNameError) as caught:
            made(**{field: value})
        assert caught.value.code == code, value


@pytest.mark.parametrize(
    ("tai", "utc"),
    [
        ("2017-01-01T00:00:35", "20161231T235959"),
        ("2017-01-01T00:00:36", "20161231T235960"),
        ("2017-01-01T00:00:37", "20170101T000000"),
        ("2015-07-01T00:00:35", "20150630T235960"),
        ("1972-01-01T00:00:10", "19720101T000000"),
    ],
)
def test_tai_is_ahead_of_utc_by_the_leap_seconds_of_its_day(tai, utc):
    early = changed(HERMES, min_valid_time=datetime(1972, 1, 1, tzinfo=UTC))
    assert made(early, time=tai, scale="tai") == f"hermes_eea_l1_{utc}_v1.2.3.cdf"


def test_times_at_the_ends_of_the_calendar_are_refused():
    cases = [
        ("0001-01-01", "tai", "BAD_TIME"),
        ("0002-01-01", "utc", "OUT_OF_RANGE"),
        ("9999-12-31", "tai", "OUT_OF_RANGE"),
    ]
    for time, scale, code in cases:
        with pytest.raises(FileNameError, match=code):
            made(time=time, scale=scale)


def test_a_converted_time_scale_is_recorded_in_the_log(caplog):
    with caplog.at_level("INFO", logger="lake.product_names"):
        made(scale="tai")
    assert "from=tai given=20240406T120621 utc=20240406T120544" in caplog.text


words = st.none() | st.from_regex(r"[a-z0-9-]{1,12}", fullmatch=True)
numbers = st.integers(0, 10**6)
seconds = st.datetimes(datetime(2020, 1, 1), datetime(2026, 11, 15), timezones=st.just(UTC))
science_names = st.builds(
    ScienceName,
    instrument=st.sampled_from(sorted(HERMES.instruments)),
    level=st.sampled_from(HERMES.levels),
    time=seconds | seconds.map(lambda t: t.replace(tzinfo=None).isoformat()),
    version=st.tuples(numbers, numbers, numbers).map(lambda v: ".".join(map(str, v))),
    mode=words,
    descriptor=words,
    test=st.booleans(),
)


@given(science_names)
def test_what_is_made_is_read_back(wanted):
    if {wanted.mode, wanted.descriptor} & HERMES.level_tokens:
        with pytest.raises(FileNameError, match="BAD_SHAPE"):
            create_name(HERMES, wanted, NOW)
        return
    parsed = parse_name(HERMES, create_name(HERMES, wanted, NOW), NOW)
    time = datetime.fromisoformat(str(wanted.time)).replace(tzinfo=UTC, microsecond=0)
    fields = ("instrument", "level", "version", "mode", "descriptor", "test")
    assert {f: getattr(parsed, f) for f in fields} == {f: getattr(wanted, f) for f in fields}
    assert (parsed.kind, parsed.time) == ("science", time)


VOCABULARY = [
    *("hermes", "padre", "HERMES", "padreMDA0", "padreMDU8", "eea", "EEA", "spn", "meddea", "get", "Data"),
    *("_", "__", ".", "/", "-", "l0", "l1", "l1test", "ql", "v1", "v1.2.3", "v01", "240916122901", "1762019652327"),
    *("20240406T120621", "20240230T000000", "20161231T235960", "2025337-124603", "2023366-000000", "9999366-000000"),
    *("0001000-000000", "9999999999999", "1762019652", ".cdf", ".fits", ".bin", ".dat", ".csv", ".txt", ".idx", ".md5"),
    *(".tmp", ".log"),
]
pieces = st.lists(st.sampled_from(VOCABULARY) | st.text(max_size=3)).map("".join)


@given(st.sampled_from(sorted(RULES)), st.text() | pieces | pieces.map(lambda text: text.replace("-", "_")))
def test_any_text_has_a_meaning_or_a_reason(mission, name):
    result = outcome(RULES[mission], name)
    normalise_name(RULES[mission], name)
    if isinstance(result, FileNameError):
        assert result.code in CODES
        assert str(result).isprintable()
        assert (result.code == "OUT_OF_RANGE") == isinstance(result, OutOfRangeError)
    else:
        assert result.name == name.rpartition("/")[2]
        assert (result.reason is not None) == (result.kind == "ignored")


ARCHIVE = re.compile(
    r"hermes_(eea|nem|mrt|spn)(_[a-z0-9-]+)?_(l0|l1|ql|l2|l3)(test)?(_[a-z0-9-]+)?"
    r"_20[2-9]\d(0[1-9]|1[0-2])(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3])[0-5]\d[0-5]\d_v(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}\.cdf",
    re.ASCII,
)


@given(st.from_regex(ARCHIVE, fullmatch=True))
def test_the_archive_form_is_one_regular_expression(name):
    result = outcome(HERMES, name)
    levels = [token for token in name.split("_") if token in HERMES.level_tokens]
    if len(levels) > 1:
        assert isinstance(result, FileNameError)
        assert result.code == "BAD_SHAPE"
    else:
        assert isinstance(result, OutOfRangeError) or result.kind == "science"


@pytest.mark.parametrize(
    ("mission", "name", "better", "changes"),
    [
        ("hermes", "hermes_eea_ql_eventlist_20230205T000006_v1.0.01.cdf",
         "hermes_eea_ql_eventlist_20230205T000006_v1.0.1.cdf", ("v1.0.01 -> v1.0.1",)),
        ("hermes", "/a/hermes_SPANI_L1_20240406t120621_v01.2.0.CDF",
         "hermes_spn_l1_20240406T120621_v1.2.0.cdf",
         ("SPANI -> spn", "L1 -> l1", "20240406t120621 -> 20240406T120621", "v01.2.0 -> v1.2.0", ".CDF -> .cdf")),
        ("hermes", "hermes_eea_l1_20240406T120621_v1.2.3 (1).cdf", "hermes_eea_l1_20240406T120621_v1.2.3.cdf",
         ("hermes_eea_l1_20240406T120621_v1.2.3 (1).cdf -> hermes_eea_l1_20240406T120621_v1.2.3.cdf",)),
        ("hermes", "hermes_eea_l1_20240406T120621_v1.2.3.cdf", "hermes_eea_l1_20240406T120621_v1.2.3.cdf", ()),
        ("padre", "padre_MEDDEA_l0_2025131-192102_v3.bin", "padre_MEDDEA_l0_2025131-192102_v3.bin", ()),
    ],
)  # fmt: skip
def test_a_careless_name_can_be_told_what_it_should_have_been(mission, name, better, changes):
    assert normalise_name(RULES[mission], name) == Normalised(better, changes)


def test_a_query_string_is_one_of_the_things_to_remove():
    normal = normalise_name(HERMES, "s3://b/hermes_eea_l1_20240406T120621_v1.2.3.cdf?versionId=3/4")
    assert normal.name == "hermes_eea_l1_20240406T120621_v1.2.3.cdf"
    assert len(normal.changes) == 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            {"instruments": {"eea": {"short_name": "eea"}, "spani": {"short_name": "spn", "other_names": ["eea"]}}},
            "eea",
        ),
        ({"levels": ["l1", "l1test"]}, "l1test"),
        ({"min_valid_time": "1960-01-01T00:00:00Z"}, "1972"),
        ({"min_valid_time": "2020-01-01T00:00:00"}, "timezone"),
        ({"colour": "blue"}, "colour"),
        (
            {"families": [{"extension": "bin", "pattern": "{mission}_{what}_{time}", "level": "l0", "time": "date"}]},
            "what",
        ),
        (
            {"families": [{"extension": "bin", "pattern": "{mission}_{time}", "level": "l0", "time": "date"}]},
            "instrument",
        ),
    ],
)
def test_ambiguous_rules_are_no_rules(change, complaint):
    facts = yaml.safe_load(FILES["hermes"].read_text())
    with pytest.raises(ValidationError, match=complaint):
        NameRules.model_validate({**facts, **change})


def test_an_unknown_field_of_a_pattern_is_answered_with_all_that_there_are():
    with pytest.raises(ValidationError, match=r"unknown fields \['date'\]; use \['apid', .*'mission', 'mode'"):
        RawFamily(extension="bin", pattern="{mission}_{instrument}_{time}_{date}", level="l0", time="archive")

# SPDX-License-Identifier: Apache-2.0
"""Raw files made from a definition alone are read back by the decoder to the values that were sent."""

from __future__ import annotations

import csv
import json
import re
import shutil
import struct
from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.transport.forms import packet_chunks
from ingest.unpack import Ragged, compile_plan, unpack
from ingest.variants import split
from lake.clock import NS, day_bounds, tt2000_from_met, tt2000_of_day
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.definitions import Instrument, Mission
from lake.errors import ConfigurationError
from lake.names import TimeForm, parse_name
from lake.packet_definitions import Clock, Condition
from lake.source_definitions import RecordField, Records
from simulate.generic.clock import counters
from simulate.generic.instrument import Generic, packet_types, pieces
from simulate.generic.names import raw_name, stamp
from simulate.generic.packets import PacketType
from simulate.generic.records import RecordType, encoded
from simulate.generic.values import Reach, key_of, numbers, uniform, whole
from simulate.run import simulate

DAY = date(2026, 8, 1)
MIDNIGHT = tt2000_of_day(DAY)
TEMPLATE = CHECKOUT / "missions" / "_template" / "demo"
TABLES = "tables:\n  thermo_l0_hk: {title: T, grain: one row, packet: hk}\n"
HEAD = "name,data_type,bit_length\ncoarse,uint,32\nfine,uint,16\n"
ALL_KINDS = f"""{HEAD}flag,uint,1
small,int,7
odd,uint,13
more,int,11
wide,uint,64
deep,int,64
single,float,32
double,float,64
little,uint,24
word,str,40
octets,bytes,24
temps,"int(2, 3)",12
many,uint,8
listed,uint(many),16
rest,uint(expand),8
checksum,uint,16
"""


def demo(folder: Path, **files: str) -> Mission:
    """The template's mission with some files of its instrument replaced; `hk_csv` stands for packets/hk.csv.

    With other `tables` it has no calibrations, limits and products.
    """
    target = shutil.copytree(TEMPLATE, folder / "missions" / "demo")
    for name in ("columns.csv", "flags.csv"):
        shutil.copy(CHECKOUT / "missions" / name, folder / "missions" / name)
    if "tables" in files:
        left_out = ("cdf.yaml", "limits.csv", "channels.csv")
        for path in [*target.glob("thermo/calibration/*"), *(target / "thermo" / name for name in left_out)]:
            path.unlink()
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        path = {"csv": f"packets/{stem}.csv", "yaml": f"{stem}.yaml"}.get(suffix, "tables.yaml")
        (target / "thermo" / path).write_text(text)
    return read_definitions(folder / "missions").mission("demo")


def kind_of(mission: Mission, packet: str = "hk", seed: int = 1) -> PacketType:
    instrument = mission.instrument("thermo")
    found = instrument.packet(packet)
    return PacketType(mission, instrument, found, found.apids[0], DAY, seed)


def edited(old: str, new: str) -> str:
    text = (TEMPLATE / "thermo" / "instrument.yaml").read_text()
    assert old in text
    return text.replace(old, new)


# ---- packets -------------------------------------------------------------------------------------------------------
def test_every_kind_of_field_is_read_back_as_it_was_sent(tmp_path: Path) -> None:
    kind = kind_of(demo(tmp_path, hk_csv=ALL_KINDS, tables=TABLES))
    assert kind.problem(MIDNIGHT + 3600 * NS) is None
    index = np.arange(200)
    assert len(kind.layouts) == 5
    for number, layout in enumerate(kind.layouts):
        own = index[index % 5 == number]
        packets = kind.packets(index, index)[number]
        read = unpack(compile_plan(kind.packet), packets.data, packets.offsets, packets.sizes)
        assert not read.short.any()
        for name, sent in kind.values(own, layout).items():
            column = read.columns[name]
            if name == "word":
                assert [text.encode() for text in column] == [row.tobytes() for row in sent]
            elif name == "octets":
                assert [bytes(cell) for cell in column] == [row.tobytes() for row in sent]
            else:
                values = column.values.reshape(len(own), -1) if isinstance(column, Ragged) else column
                np.testing.assert_array_equal(np.asarray(values).reshape(len(own), -1), sent, err_msg=name)


def test_a_packet_has_the_bytes_that_its_definition_says(tmp_path: Path) -> None:
    layout = f"{HEAD}level,float,32\nlow,uint,16\n"
    mission = demo(tmp_path, hk_csv=layout, tables=TABLES, instrument_yaml=edited("    checksum: crc16_ccitt\n", "")
                   .replace(", checksum]", "]"))  # fmt: skip
    kind = kind_of(mission)
    packets = kind.packets(np.array([3]), np.array([16383]))[0]
    values = {name: column[0, 0] for name, column in kind.values(np.array([3]), kind.layouts[0]).items()}
    body = struct.pack(">IHfH", *(values[name] for name in ("coarse", "fine", "level", "low")))
    assert packets.data == struct.pack(">HHH", 100, 0xC000 | 16383, len(body) - 1) + body
    assert values["coarse"] == (MIDNIGHT + 30 * NS - int(tt2000_from_met(Clock(
        epoch="2000-01-01T00:00:00", policy="leap", coarse="coarse"), np.array([0]), None)[0])) // NS  # fmt: skip


def test_values_stay_where_they_are_valid_calibrated_and_have_a_name(tmp_path: Path) -> None:
    kind = kind_of(demo(tmp_path))
    values = kind.values(np.arange(3000), kind.layouts[0])
    assert set(values["heater_state"].ravel().tolist()) == {0, 1, 2}
    assert 1000 <= values["plate_temp"].min() < values["plate_temp"].max() <= 60000
    assert 0 <= values["pressure"].min() < values["pressure"].max() <= 200_000
    assert len(np.unique(values["commands"])) > 500


def test_types_that_share_an_apid_meet_their_own_conditions_and_share_their_counts(tmp_path: Path) -> None:
    text = edited(
        "packets:\n  hk:\n", "packets:\n  other: {apids: [100], when: {mode: 7}, cadence_seconds: 4}\n  hk:\n"
        "    when: [{field: mode, operator: '!=', value: 7}]\n",
    )  # fmt: skip
    text = text.replace("    checksum: crc16_ccitt\n", "").replace(", checksum]", "]")
    mission = demo(tmp_path, tables=TABLES, instrument_yaml=text, hk_csv=f"{HEAD}mode,uint,4\nb,uint,4\n",
                   other_csv=f"{HEAD}mode,uint,4\na,uint,20\n")  # fmt: skip
    instrument = mission.instrument("thermo")
    types = packet_types(mission, instrument, DAY, 1, MIDNIGHT + 3600 * NS)
    (batch,) = pieces(types, MIDNIGHT, MIDNIGHT + 400 * NS)
    data = np.frombuffer(batch.data, np.uint8)
    found = dict(split(instrument.packets, 0, data, batch.offsets, batch.sizes))
    assert {number: int(chosen.sum()) for number, chosen in found.items()} == {0: 100, 1: 40}
    assert set(batch.sizes[found[0]].tolist()) == {15}
    assert set(batch.sizes[found[1]].tolist()) == {13}
    counts = [struct.unpack(">H", batch.data[at + 2 : at + 4])[0] & 0x3FFF for at in batch.offsets]
    assert np.unique(np.diff(counts)).tolist() == [1]
    assert (np.diff(batch.times) > 0).all()


def test_what_comes_first_does_not_change_when_a_run_is_longer(tmp_path: Path) -> None:
    mission = demo(tmp_path)
    instrument = mission.instrument("thermo")
    for hours in (1, 2.5):
        Generic(instrument).simulate_day(mission, instrument, DAY, tmp_path / f"{hours}", seed=4, hours=hours)
    short, long = (next((tmp_path / f"{hours}").glob("*.bin")).read_bytes() for hours in (1, 2.5))
    assert len(short) == 360 * 28
    assert len(long) == 900 * 28
    assert long.startswith(short)


def test_a_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    mission = demo(tmp_path)
    instrument = mission.instrument("thermo")
    made = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        Generic(instrument).simulate_day(mission, instrument, DAY, tmp_path / folder, seed=seed, hours=0.1)
        made.append(next((tmp_path / folder).glob("*.bin")).read_bytes())
    assert made[0] == made[1] != made[2]


def test_faults_are_put_in_and_written_down(tmp_path: Path) -> None:
    faults = tmp_path / "faults.csv"
    faults.write_text("kind,stream,start,stop,count\ngap,thermo,00:01:00,00:02:00,\njunk,thermo,00:03:00,,11\n")
    mission = demo(tmp_path)
    definitions = read_definitions(tmp_path / "missions")
    done = simulate(definitions, "demo", "thermo", DAY, tmp_path / "out", faults_path=faults, hours=0.1)
    assert [(fault.kind, fault.packets) for fault in done.faults] == [("gap", 6), ("junk", 0)]
    assert done.files[0].stat().st_size == (36 - 6) * 28 + 11
    assert len(pl.read_csv(tmp_path / "out/truth/thermo_faults_20260801.csv")) == 2
    assert mission.name == "demo"


def test_what_a_definition_does_not_say_is_left_out_with_a_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mission = demo(tmp_path, instrument_yaml=edited("    cadence_seconds: 10\n", "    unpacker: meddea_photon\n"),
                   tables=TABLES)  # fmt: skip
    instrument = mission.instrument("thermo")
    with pytest.raises(ConfigurationError, match=r"demo/thermo: its definition is not enough .* Write simulate/demo"):
        Generic(instrument).simulate_day(mission, instrument, DAY, tmp_path / "out", seed=1, hours=0.1)
    assert "packet=hk apid=100 left out: its payload is for the unpacker meddea_photon" in caplog.text


@pytest.mark.parametrize("bits", [8, 16])
def test_a_clock_that_cannot_show_the_day_is_a_reason(tmp_path: Path, bits: int) -> None:
    mission = demo(tmp_path, hk_csv=HEAD.replace("coarse,uint,32", f"coarse,uint,{bits}") + "checksum,uint,16\n",
                   tables=TABLES)  # fmt: skip
    assert str(kind_of(mission).problem(MIDNIGHT + NS)).startswith(f"coarse has {bits} bits, too few for a time")


TRANSPORTS = {
    "markers": 'prefix: "1acffc1d", suffix: "55aa"',
    "TM frames": "frames: {kind: tm, length: 220, sync: 1acffc1d, spacecraft: 7, error_control: true}",
    "AOS frames": "frames: {kind: aos, length: 128, sync: 1acffc1d, spacecraft: 7, channels: [1, 2]}",
}


@pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=TRANSPORTS)
def test_packets_are_put_into_what_carries_them(tmp_path: Path, transport: str) -> None:
    text = edited("packets:\n", f"transports:\n  - {{{transport}}}\npackets:\n")
    mission = demo(tmp_path, instrument_yaml=text)
    instrument = mission.instrument("thermo")
    done = Generic(instrument).simulate_day(mission, instrument, DAY, tmp_path / "out", seed=1, hours=1.2)
    assert done.packets == 432
    (path,) = done.files
    chunks = list(packet_chunks(path, instrument.packets, instrument.transports[0]))
    assert sum(len(chunk.offsets) for chunk in chunks) == 432
    assert [stretch for chunk in chunks for stretch in chunk.stretches] == []
    assert sum(int(chunk.lengths.sum()) + chunk.overhead for chunk in chunks) == done.bytes == path.stat().st_size


# ---- clocks --------------------------------------------------------------------------------------------------------
def of_two_parts(epoch: str, ticks: int) -> Clock:
    return Clock(epoch=epoch, policy="leap", coarse="c", fine="f", fine_ticks_per_second=ticks)


def day_segmented(epoch: str, ticks: int) -> Clock:
    return of_two_parts(epoch, ticks).model_copy(
        update={"policy": "posix", "days": "d", "coarse_ticks_per_second": 1000}
    )


CLOCKS = {
    "CUC with two octets": of_two_parts("1958-01-01T00:00:00", 2**16),
    "CUC with three octets": of_two_parts("1980-01-06T00:00:00", 2**24),
    "CDS in microseconds": day_segmented("1958-01-01T00:00:00", 10**6),
    "CDS in picoseconds": day_segmented("2000-01-01T00:00:00", 10**12),
    "Unix milliseconds": Clock(epoch="1970-01-01T00:00:00", policy="posix", coarse="c", coarse_ticks_per_second=1000),
    "whole seconds": Clock(epoch="2000-01-01T11:58:55.816", policy="leap", coarse="c"),
}
NOT_IN_A_LEAP_SECOND = st.integers(day_bounds(date(2018, 1, 1))[0], day_bounds(date(2040, 1, 1))[0])


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
@settings(max_examples=40, deadline=None)
@given(time=NOT_IN_A_LEAP_SECOND)
def test_a_clock_shows_the_time_to_less_than_a_tick(clock: Clock, time: int) -> None:
    shown = counters(clock, np.array([time]), MIDNIGHT)
    back = tt2000_from_met(clock, shown["c"], shown.get("f"), shown.get("d"))
    tick = NS // (clock.fine_ticks_per_second or clock.coarse_ticks_per_second) + 2
    assert -2 <= time - int(back[0]) <= tick


def test_a_clock_that_tells_no_time_of_day_counts_since_the_start() -> None:
    clock = Clock(epoch="1970-01-01T00:00:00", policy="none", coarse="c")
    assert counters(clock, MIDNIGHT + np.array([0, 5]) * NS, MIDNIGHT)["c"].tolist() == [1000, 1005]


# ---- values --------------------------------------------------------------------------------------------------------
@settings(max_examples=60, deadline=None)
@given(low=st.integers(-(2**53), 2**53), size=st.integers(0, 2**40), first=st.integers(0, 10**9))
def test_whole_numbers_stay_within_their_reach(low: int, size: int, first: int) -> None:
    drawn = whole(key_of("x", low), np.arange(first, first + 40), 2, Reach(low, low + size))
    assert low <= drawn.min() <= drawn.max() <= low + size


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        (Condition(field="a", value=3), {3}),
        (Condition(field="a", operator="<", value=3), {0, 1, 2}),
        (Condition(field="a", operator=">=", value=6), {6, 7}),
        (Condition(field="a", operator="!=", value=0), {1, 2, 3, 4, 5, 6, 7}),
    ],
)
def test_a_condition_narrows_what_a_field_may_be(condition: Condition, allowed: set[int]) -> None:
    drawn = whole(7, np.arange(500), 1, Reach(0, 7).where(condition))
    assert set(drawn.ravel().tolist()) == allowed


def test_draws_are_even_and_do_not_depend_on_where_a_piece_begins() -> None:
    drawn = uniform(5, np.arange(20_000), 3)
    assert abs(drawn.mean() - 0.5) < 0.01
    np.testing.assert_allclose(np.histogram(drawn, 10, (0, 1))[0], 6000, rtol=0.06)
    np.testing.assert_array_equal(uniform(5, np.arange(700, 800), 3), drawn[700:800])
    walk = numbers(5, np.arange(5000), 1, Reach(0, 1))
    assert np.abs(np.diff(walk[:, 0])).max() < 0.2  # it walks, it does not jump


# ---- names ---------------------------------------------------------------------------------------------------------
REAL = read_definitions(CHECKOUT / "missions")
INSTRUMENTS = [(m, i) for m in REAL.missions for i in m.instruments if i.packets]


@pytest.mark.parametrize(("mission", "instrument"), INSTRUMENTS, ids=lambda value: value.name)
def test_packets_of_every_instrument_get_a_name_that_is_read_back(mission: Mission, instrument: Instrument) -> None:
    name = raw_name(mission, instrument, MIDNIGHT + 3661 * NS, lambda name: instrument.records_of(name) is None)
    assert name is not None
    parsed = parse_name(mission.names, name(MIDNIGHT + 3661 * NS), datetime(2100, 1, 1, tzinfo=UTC))
    assert (parsed.kind, parsed.instrument, parsed.time) == (
        "raw",
        instrument.name,
        datetime(2026, 8, 1, 1, 1, 1, tzinfo=UTC),
    )


def test_the_forms_of_time_are_those_of_the_table_in_the_readme_of_missions() -> None:
    text = (CHECKOUT / "missions" / "README.md").read_text()
    table = dict(re.findall(r"^ *\| `(\w+)` \| [^|]* \| `([0-9T-]+)`", text, re.MULTILINE))
    assert table == {form: stamp(form, MIDNIGHT + 7200 * NS) for form in get_args(TimeForm)}


# ---- records -------------------------------------------------------------------------------------------------------
RECORDS = """name,header,type,list,valid_min,valid_max,nullable
stamp,Stamp (ms),int64,,,,
volts,,float64,,0,40,
steps,,int16,,-5,5,
good,,bool,,,,
word,,string,,,,
cells,,int32,true,,,
"""


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_rows_of_records_hold_what_was_drawn(tmp_path: Path, form: str) -> None:
    text = f"""name: thermo
short_name: thermo
title: T
description: D
status: ground
clock: {{epoch: "1970-01-01T00:00:00", policy: posix, coarse: stamp, coarse_ticks_per_second: 1000}}
records:
  rows: {{format: {form}, files: ["*_status_*"]}}
"""
    pattern = f'{{extension: {form}, pattern: "{{mission}}_thermo_{{descriptor}}_{{time}}", time: archive}}'
    families = f"short_name: thermo\nfamilies: [{pattern}]\n"
    tables = "tables:\n  thermo_l0_rows: {title: T, grain: one row, records: rows}\n"
    (tmp_path / "records").mkdir()
    target = tmp_path / "missions" / "demo" / "thermo"
    (target / "records").mkdir(parents=True)
    (target / "records" / "rows.csv").write_text(RECORDS)
    for name, content in {"instrument.yaml": text, "names.yaml": families, "tables.yaml": tables}.items():
        (target / name).write_text(content)
    for name in ("mission.yaml", "names.yaml"):
        shutil.copy(TEMPLATE / name, target.parent / name)
    for name in ("columns.csv", "flags.csv"):
        shutil.copy(CHECKOUT / "missions" / name, tmp_path / "missions" / name)
    mission = read_definitions(tmp_path / "missions").mission("demo")
    instrument = mission.instrument("thermo")
    done = Generic(instrument).simulate_day(mission, instrument, DAY, tmp_path / "out", seed=1, hours=0.1)
    assert [path.name for path in done.files] == [f"demo_thermo_status_20260801T000000.{form}"]
    assert done.packets == 36
    kind = RecordType(mission, instrument, instrument.records[0], DAY, 1)
    drawn = kind.columns(np.arange(36))
    assert drawn["stamp"][:2] == [1785542400000, 1785542410000]
    assert all(0 <= value <= 40 for value in drawn["volts"])
    assert all(-5 <= value <= 5 for value in drawn["steps"])
    assert rows_of(done.files[0], form) == [list(row) for row in zip(*drawn.values(), strict=True)]
    assert done.files[0].read_bytes() == encoded(instrument.records[0], drawn)


def rows_of(path: Path, form: str) -> list[list[object]]:
    """The rows of a file by another library, the header checked."""
    headers = ["Stamp (ms)", "volts", "steps", "good", "word", "cells"]
    if form == "parquet":
        frame = pl.read_parquet(path)
        assert frame.columns == headers
        return [list(row) for row in frame.rows()]
    if form == "jsonl":
        objects = [json.loads(line) for line in path.read_text().splitlines()]
        assert list(objects[0]) == headers
        return [list(row.values()) for row in objects]
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == headers
    return [[int(a), float(b), int(c), d == "true", e, json.loads(f)] for a, b, c, d, e, f in rows]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_clock_of_type_timestamp_is_written_as_a_time(tmp_path: Path, form: str) -> None:
    fields = (
        RecordField(name="stamp", header="stamp", type="timestamp"),
        RecordField(name="that_day", header="that_day", type="date"),
    )
    clock = Clock(epoch="1970-01-01T00:00:00", policy="posix", coarse="stamp", coarse_ticks_per_second=1_000_000)
    records = Records(name="rows", format=form, fields=fields, file="rows.csv", cadence_seconds=0.5, clock=clock)  # type: ignore[arg-type]
    mission = demo(tmp_path)
    kind = RecordType(mission, mission.instrument("thermo"), records, DAY, 1)
    data = encoded(records, kind.columns(np.arange(2)))
    second = datetime(2026, 8, 1, 0, 0, 0, 500_000, tzinfo=UTC)
    if form == "parquet":
        assert pl.read_parquet(data).rows()[1] == (second, DAY)
    elif form == "jsonl":
        assert json.loads(data.splitlines()[1]) == {
            "stamp": "2026-08-01T00:00:00.500000+00:00",
            "that_day": "2026-08-01",
        }
    else:
        assert data.splitlines()[2] == b"2026-08-01T00:00:00.500000+00:00,2026-08-01"


def test_a_whole_mission_is_simulated_by_those_that_agree_with_each_other(tmp_path: Path) -> None:
    done = simulate(REAL, "padre", None, DAY, tmp_path / "out", hours=0.01)
    assert {path.name[:8].lower() for path in done.files} <= {"padremda", "padremdu"}


# ---- missions ------------------------------------------------------------------------------------------------------
def test_an_instrument_without_simulator_is_simulated_when_it_is_named(tmp_path: Path) -> None:
    demo(tmp_path)
    done = simulate(read_definitions(tmp_path / "missions"), "demo", None, DAY, tmp_path / "out", hours=0.1)
    assert [path.name for path in done.files] == ["demo_thermo_20260801T000000.bin"]
    with pytest.raises(ConfigurationError, match=r"demo/other: is not defined\. Use one of demo/thermo\."):
        simulate(read_definitions(tmp_path / "missions"), "demo", "other", DAY, tmp_path / "out", hours=0.1)

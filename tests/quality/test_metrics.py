# SPDX-License-Identifier: Apache-2.0
"""Every metric against numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.definition_files import read_definitions
from lake.definitions import Axis, Column, Flag, Instrument, Table
from lake.errors import TableError
from lake.watch_definitions import Limit, Mode, TableRule
from quality import metrics
from quality.metrics import measure_day

MISSIONS = Path(__file__).parents[2] / "missions"
DAY = date(2000, 1, 1)
# J2000 is 2000-01-01T11:58:55.816 UTC, so that UTC day begins 43,135.816 s before TT2000 zero.
DAY_START = -43_135_816_000_000
SECOND = 1_000_000_000
NO_GAPS = pl.DataFrame(schema={"apid": pl.Int32, "missing": pl.Int32})
NO_QUARANTINE = pl.DataFrame(schema={"reason": pl.String, "bytes": pl.Int64})
TYPES: dict[str, type[pl.DataType]] = {
    "int16": pl.Int16, "int32": pl.Int32, "int64": pl.Int64, "float32": pl.Float32, "float64": pl.Float64,
    "string": pl.String, "date": pl.Date,
}  # fmt: skip


def column(name: str, kind: Any, **facts: Any) -> Column:
    return Column(name=name, type=kind, description=name, **facts)


def table_of(*columns: Column, level: Any = "l1", **facts: Any) -> Table:
    flags = (
        Flag(bit=0, name="clock_invalid", description="-"),
        Flag(bit=1, name="retransmitted", description="-"),
        Flag(bit=8, name="noisy", description="-"),
    )
    return Table(
        mission="padre", instrument="meddea", name=f"meddea_{level}_x", level=level, title="-", grain="-",
        columns=columns, flags=flags, **facts,
    )  # fmt: skip


def measured(
    table: Table,
    rows: Mapping[str, Any],
    gaps: pl.DataFrame = NO_GAPS,
    quarantine: pl.DataFrame = NO_QUARANTINE,
    limits: tuple[Limit, ...] = (),
) -> dict[tuple[str, str], float | None]:
    schema = {c.name: pl.List(TYPES[c.type]) if c.is_list else TYPES[c.type] for c in table.columns}
    frame = pl.DataFrame(rows, schema=schema)
    metrics = measure_day(table, frame.lazy(), gaps, quarantine, limits)
    assert metrics.schema == {"column_name": pl.String, "metric": pl.String, "value": pl.Float64}
    assert metrics.select(pl.struct("column_name", "metric").is_unique().all()).item()
    return {(name, metric): value for name, metric, value in metrics.iter_rows()}


def timed(order: Any, seconds: Sequence[float | None], **facts: Any) -> dict[tuple[str, str], float | None]:
    table = table_of(column("epoch_tt2000", "int64", nullable=True), column("day", "date"), order=order, **facts)
    epochs = [None if s is None else DAY_START + round(s * SECOND) for s in seconds]
    return measured(table, {"epoch_tt2000": epochs, "day": [DAY] * len(seconds)})


def test_range_of_a_float_column_sets_nan_aside_and_counts_infinity() -> None:
    table = table_of(column("energy_kev", "float32", valid=(-50, 500), nullable=True))
    nan, inf = float("nan"), float("inf")
    found = measured(table, {"energy_kev": [1.0, 3.0, None, nan, -51.0, 501.0, 500.0, -50.0]})
    assert found["", "rows"] == 8
    assert found["energy_kev", "nulls"] == 1
    assert found["energy_kev", "nans"] == 1
    assert found["energy_kev", "out_of_range"] == 2
    assert (found["energy_kev", "min"], found["energy_kev", "max"]) == (-51, 501)
    assert found["energy_kev", "mean"] == pytest.approx((1 + 3 - 51 + 501 + 500 - 50) / 6)
    assert measured(table, {"energy_kev": [inf, -inf, 0.0]})["energy_kev", "out_of_range"] == 2


def test_a_mean_that_is_no_number_is_null() -> None:
    table = table_of(column("energy_kev", "float64"))
    found = measured(table, {"energy_kev": [float("inf"), -float("inf")]})
    assert found["energy_kev", "mean"] is None


def test_int64_is_compared_exactly() -> None:
    table = table_of(column("offset", "int64", valid=(0, 2.0**53)))
    assert measured(table, {"offset": [2**53, 2**53 + 1, -1]})["offset", "out_of_range"] == 2
    widest = table_of(column("offset", "int64", valid=(0, 2.0**63)))
    assert measured(widest, {"offset": [2**63 - 1, 0]})["offset", "out_of_range"] == 0


def test_fractional_ends_of_an_integer_column() -> None:
    table = table_of(column("rate", "int16", valid=(0.5, 2.5)))
    assert measured(table, {"rate": [0, 1, 2, 3]})["rate", "out_of_range"] == 2


def test_a_range_wider_than_the_type_is_never_left() -> None:
    table = table_of(column("word", "int16", valid=(-1e30, 65535)))
    assert measured(table, {"word": [-(2**15), 2**15 - 1]})["word", "out_of_range"] == 0


def test_lists_are_checked_inside() -> None:
    axes = (
        Axis(name="slot", size=2, first=0, step=1, description="-", label="-"),
        Axis(name="bin", size=2, first=0, step=1, description="-", label="-"),
    )
    table = table_of(column("counts", "int32", valid=(0, 9), axes=("slot", "bin")), axes=axes)
    found = measured(table, {"counts": [[0, 9, 10, -1], [1, 2, 3], [], None, [None, 11, 1, 1], [0, 0, 0, 0]]})
    assert found["counts", "out_of_range"] == 3
    assert found["counts", "wrong_length"] == 2  # the row of three values and the empty one
    assert found["counts", "nulls"] == 2  # one row, one value inside a list
    assert ("counts", "min") not in found


def test_nan_inside_a_list_is_counted_and_not_out_of_range() -> None:
    table = table_of(column("flux", "float32", valid=(0, 9), ragged=True))
    found = measured(table, {"flux": [[1.0, float("nan")], [float("nan")], [10.0], []]})
    assert (found["flux", "nans"], found["flux", "out_of_range"], found["flux", "nulls"]) == (2, 1, 0)
    assert ("flux", "wrong_length") not in found


def test_text_has_nulls_and_no_numbers() -> None:
    found = measured(table_of(column("name", "string")), {"name": ["a", None, None]})
    assert found == {("", "rows"): 3, ("name", "nulls"): 2}


def test_duplicates_are_rows_whose_key_was_there_before() -> None:
    table = table_of(column("a", "int16"), column("b", "int16"), key=("a", "b"))
    assert measured(table, {"a": [1, 1, 1, 2], "b": [1, 1, 1, 1]})["", "duplicates"] == 2


def test_order_counts_backward_steps_and_repeats() -> None:
    seconds = [0, 1, 1, 3, 2, None, 4, 4]
    strict = timed("strict", seconds)
    assert strict["epoch_tt2000", "backward_steps"] == 1
    assert strict["epoch_tt2000", "repeated_times"] == 2
    assert ("epoch_tt2000", "repeated_times") not in timed("nondecreasing", seconds)
    assert ("epoch_tt2000", "backward_steps") not in timed("none", seconds)


def test_cadence_and_gaps_longer_than_three_cadences() -> None:
    found = timed("strict", [0, 10, 20, 50, 60, 91, 100, 200], cadence_seconds=10)
    # Steps: 10 10 30 10 31 9 100; 30 s are three cadences and no gap yet.
    assert found["epoch_tt2000", "cadence"] == 10
    assert found["epoch_tt2000", "time_gaps"] == 2
    assert found["epoch_tt2000", "longest_time_gap"] == 100


def test_cadence_of_a_single_row_is_not_measurable() -> None:
    found = timed("strict", [0], cadence_seconds=10)
    assert found["epoch_tt2000", "cadence"] is None
    assert found["epoch_tt2000", "time_gaps"] == 0
    assert found["epoch_tt2000", "longest_time_gap"] == 0


def test_day_is_half_open() -> None:
    found = timed("none", [-1e-9, 0, 86_399.999999999, 86_400])
    assert found["epoch_tt2000", "day_mismatch"] == 2


def test_a_leap_second_belongs_to_the_day_that_it_ends() -> None:
    table = table_of(column("epoch_tt2000", "int64"), column("day", "date"))
    midnight = 536_500_869_184_000_000  # 2017-01-01T00:00:00 UTC
    epochs = [midnight - SECOND // 2, midnight]
    found = measured(table, {"epoch_tt2000": epochs, "day": [date(2016, 12, 31)] * 2})
    assert found["epoch_tt2000", "day_mismatch"] == 1


def test_rows_without_time_are_excused_only_if_their_clock_is_invalid() -> None:
    table = table_of(
        column("epoch_tt2000", "int64", nullable=True), column("day", "date"), column("quality_flag", "int32")
    )
    found = measured(
        table, {"epoch_tt2000": [None, None, DAY_START, None], "day": [DAY] * 4, "quality_flag": [1, 0, 0, 256 + 1]}
    )
    assert found["epoch_tt2000", "day_mismatch"] == 1
    assert timed("none", [None, 0])["epoch_tt2000", "day_mismatch"] == 1


def test_rows_per_flag_bit() -> None:
    found = measured(table_of(column("quality_flag", "int32")), {"quality_flag": [0, 1, 256, 257]})
    assert found["quality_flag", "flag:clock_invalid"] == 2
    assert found["quality_flag", "flag:noisy"] == 2
    assert found["quality_flag", "flag:retransmitted"] == 0
    assert found["quality_flag", "flag_share:noisy"] == 0.5
    assert found["quality_flag", "flagged_share"] == 0.75


def test_rows_beyond_each_end_of_a_limit_are_counted() -> None:
    table = table_of(column("hv_v", "float64", nullable=True), column("errors", "int16"))
    limits = (
        Limit(table=table.name, column="hv_v", low=-500, high=0, source="-"),
        Limit(table=table.name, column="errors", low=0, high=1.5, source="-"),
        Limit(table="another", column="absent", low=0, high=1, source="-"),
    )
    rows = {"hv_v": [-501.0, -500.0, 0.0, 0.1, 7.0, None], "errors": [0, 1, 2, 2, -1, 0]}
    found = measured(table, rows, limits=limits)
    assert (found["hv_v", "red_low"], found["hv_v", "red_high"]) == (1, 2)
    assert (found["errors", "red_low"], found["errors", "red_high"]) == (1, 2)
    assert (found["hv_v", "yellow_low"], found["hv_v", "yellow_high"]) == (0, 0)
    assert not any(name == "absent" for name, _ in found)


def test_limits_hold_in_their_modes_and_a_row_beyond_two_of_them_counts_once() -> None:
    table = table_of(column("temp_degc", "float64"), column("mode", "int16", nullable=True))
    on = Mode(column="mode", any_of=("2", "5..7"))
    limits = (
        Limit(table=table.name, column="temp_degc", severity="yellow", high=30, source="-"),
        Limit(table=table.name, column="temp_degc", severity="yellow", high=20, when=on, source="-"),
        Limit(table=table.name, column="temp_degc", high=40, when=on, source="-"),
    )
    # Beyond 20 in the mode: rows 0, 2, 3; beyond 30 in any: rows 3, 4, 5; beyond 40 in the mode: row 3.
    rows = {"temp_degc": [25.0, 25.0, 21.0, 50.0, 50.0, 31.0], "mode": [2, 1, 6, 7, None, 8]}
    found = measured(table, rows, limits=limits)
    assert found["temp_degc", "yellow_high"] == 5
    assert found["temp_degc", "red_high"] == 1


def test_rules_of_a_table_count_the_rows_that_break_them() -> None:
    on = Mode(column="mode", any_of=("1",))
    facts: dict[str, Any] = {"description": "-"}
    rules = (
        TableRule(name="bounded", column="a", low=0, high=9, **facts),
        TableRule(name="at_most_b", column="a", at_most="b", **facts),
        TableRule(name="at_least_b", column="a", at_least="b", when=on, **facts),
        TableRule(name="known", column="a", one_of=(1, 2, 10), **facts),
        TableRule(name="rising", column="a", rises=True, **facts),
        TableRule(name="rising_on", column="a", rises=True, when=on, **facts),
        TableRule(name="words", column="word", one_of=("yes", "no"), **facts),
        TableRule(name="whole", metric="rows", low=1, **facts),
    )
    columns = (column("a", "int16"), column("b", "float64"), column("mode", "int16"), column("word", "string"))
    table = table_of(*columns, rules=rules)
    rows = {
        "a": [1, 2, None, 2, 10, -1],
        "b": [1.0, 1.0, 0.0, None, 11.0, float("nan")],
        "mode": [1, 0, 1, 1, 1, 0],
        "word": ["yes", "no", None, "maybe", "Yes", "no"],
    }
    found = measured(table, rows)
    assert found["a", "rule:bounded"] == 2
    assert found["a", "rule:at_most_b"] == 1
    assert found["a", "rule:at_least_b"] == 1
    assert found["a", "rule:known"] == 1
    assert found["a", "rule:rising"] == 2  # the second 2, and -1 after 10
    assert found["a", "rule:rising_on"] == 0  # 1, 2, 10
    assert found["word", "rule:words"] == 2
    assert not any(metric == "rule:whole" for _, metric in found)


def test_a_gap_that_was_planned_is_none() -> None:
    table = table_of(column("epoch_tt2000", "int64"), column("day", "date"), cadence_seconds=10)
    epochs = [DAY_START + s * SECOND for s in (0, 10, 110, 120, 220)]
    frame = pl.DataFrame({"epoch_tt2000": epochs, "day": [DAY] * 5}).lazy()

    def gaps_of(*off: tuple[int, int]) -> list[float]:
        spans = [(DAY_START + start * SECOND, DAY_START + stop * SECOND) for start, stop in off]
        found = measure_day(table, frame, NO_GAPS, NO_QUARANTINE, (), spans)
        return found.filter(pl.col("metric").is_in(["time_gaps", "longest_time_gap"]))["value"].to_list()

    assert gaps_of() == [2, 100]
    assert gaps_of((20, 100)) == [1, 100]  # 20 s of the first gap are left
    assert gaps_of((20, 70), (130, 195)) == [2, 50]  # 50 s and 35 s are left


def packet_table(rows: Any = "packet") -> Table:
    columns = (column("apid", "int16"), column("quality_flag", "int32"), column("epoch_tt2000", "int64"))
    return table_of(*columns, level="l0", packet="photon", rows=rows)


PACKETS = {"apid": [160, 160, 160], "quality_flag": [0, 2, 3], "epoch_tt2000": [DAY_START] * 3}
GAPS = pl.DataFrame({"apid": [160, 160, 162], "missing": [3, 4, 100]})
QUARANTINE = pl.DataFrame({"reason": ["CHECKSUM", "JUNK", "CHECKSUM"], "bytes": [20, 300, 22]})


def test_packet_tables_count_gaps_of_their_own_apids() -> None:
    found = measured(packet_table(), PACKETS, GAPS, QUARANTINE)
    assert found["", "sequence_jumps"] == 2
    assert found["", "missing_packets"] == 7


def test_packet_tables_count_the_instruments_quarantine() -> None:
    found = measured(packet_table(), PACKETS, GAPS, QUARANTINE)
    assert found["", "checksum_failures"] == 2
    assert found["", "quarantined_bytes"] == 342
    assert (found["", "quarantined:CHECKSUM"], found["", "quarantined:JUNK"]) == (2, 1)


def test_duplicates_of_packet_tables_are_retransmissions() -> None:
    assert measured(packet_table(), PACKETS)["", "duplicates"] == 2


def test_event_tables_leave_gaps_and_quarantine_to_their_packets() -> None:
    found = measured(packet_table("event"), PACKETS, GAPS, QUARANTINE)
    assert not {"sequence_jumps", "quarantined_bytes", "duplicates"} & {metric for _, metric in found}


def test_an_empty_day_measures_zero_and_null() -> None:
    found = measured(packet_table(), {"apid": [], "quality_flag": [], "epoch_tt2000": []})
    assert found["", "rows"] == 0
    assert found["", "missing_packets"] == 0
    assert found["apid", "mean"] is None
    assert found["quality_flag", "flag_share:noisy"] is None


def test_a_missing_column_is_named() -> None:
    table = table_of(column("a", "int16"), column("b", "int16"))
    frame = pl.LazyFrame({"a": [1]})
    with pytest.raises(TableError, match=r"padre\.meddea_l1_x: the rows to check lack b"):
        measure_day(table, frame, NO_GAPS, NO_QUARANTINE, ())


def meddea() -> Instrument:
    return read_definitions(MISSIONS).mission("padre").instrument("meddea")


@pytest.mark.parametrize("table", meddea().tables, ids=lambda table: table.name)
def test_an_empty_day_of_every_table_can_be_measured(table: Table) -> None:
    types = TYPES | {"int8": pl.Int8, "bool": pl.Boolean, "binary": pl.Binary, "timestamp": pl.Datetime}
    schema = {c.name: pl.List(types[c.type]) if c.is_list else types[c.type] for c in table.columns}
    metrics = measure_day(table, pl.LazyFrame(schema=schema), NO_GAPS, NO_QUARANTINE, meddea().limits)
    assert set(metrics["column_name"]) == {"", *table.by_name}


def test_a_day_of_many_rows_is_measured_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    few = measured(packet_table(), PACKETS, GAPS, QUARANTINE)
    monkeypatch.setattr(metrics, "MANY_ROWS", 2)
    assert measured(packet_table(), PACKETS, GAPS, QUARANTINE) == few

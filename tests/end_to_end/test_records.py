# SPDX-License-Identifier: Apache-2.0
"""An instrument whose files hold rows instead of packets, as docs/how-to/bring-in-tables-of-files.md makes it."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest import commit, intake
from ingest.intake import Intake, take_in
from ingest.record.decoding import SINGLE_ROWS
from lake.catalog import open_catalog
from lake.config import CHECKOUT, Settings
from lake.definition_files import read_definitions
from lake.errors import DefinitionError
from lake.ledger import read_ops
from lake.parallel import executor
from lake.reading import scan
from lake.store import Lake
from lake.tables import append, append_ops
from swxlake.doctor import examine
from swxlake.fsck import fsck
from swxlake.night import run_night
from tests.meddea import drop, quarantined, unbalanced

PAGE = CHECKOUT / "docs/how-to/bring-in-tables-of-files.md"
NOW = datetime(2026, 8, 2, tzinfo=UTC)
DAY = date(2026, 8, 1)
NOON = 1_785_585_600_000  # 2026-08-01T12:00:00Z in Unix milliseconds
CLOCK_INVALID, RETRANSMITTED = 1, 2
L0, L1 = "demo.weather_l0_minute", "demo.weather_l1_minute"
HEADER = "Unix ms,Temp adu,Mode,Gusts\n"
FORMATS = """\
families:
  - {extension: jsonl, pattern: "{mission}_weather_{time}", time: archive}
  - {extension: parquet, pattern: "{mission}_weather_{time}", time: archive}
  - {extension: tle, pattern: "{time}_{mission}", time: date, kind: ancillary}
"""


@pytest.fixture
def missions(tmp_path: Path) -> Path:
    """A folder missions/ with the instrument of the page and no other."""
    folder = tmp_path / "missions"
    for name in ("columns.csv", "flags.csv"):
        (folder / "demo").mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / "missions" / name, folder / name)
    for name in ("mission.yaml", "names.yaml"):
        shutil.copy(CHECKOUT / "missions/_template/demo" / name, folder / "demo" / name)
    for name, text in re.findall(r"(?ms)^`missions/(\S+)`[^\n]*\n\n```\w+\n(.*?)```", PAGE.read_text()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def lake(tmp_path: Path, missions: Path) -> Lake:
    return Lake(tmp_path / "lake", read_definitions(missions))


def with_formats(missions: Path) -> None:
    """Let the rows of the page's table come in other formats too, each as a type of record and a table of its own."""
    weather = missions / "demo/weather"
    names, tables = weather / "names.yaml", weather / "tables.yaml"
    names.write_text(names.read_text().replace("families:\n", FORMATS))
    entries = ["  elements: {format: tle, files: ['*.tle'], clock: elements}"]
    (weather / "records/elements.csv").write_text("name,type\nepoch_unix_us,int64\nnorad_id,int32\nbstar,float64\n")
    sources = {"elements": "elements"}
    for kind in ("jsonl", "parquet"):
        shutil.copy(weather / "records/minute.csv", weather / f"records/as_{kind}.csv")
        entries.append(f"  as_{kind}: {{format: {kind}, files: ['*.{kind}']}}")
        sources[kind] = f"as_{kind}"
    with (weather / "instrument.yaml").open("a") as file:
        file.write("\n".join(entries) + "\nclocks:\n  elements: {epoch: '1970-01-01T00:00:00', policy: posix, ")
        file.write("coarse: epoch_unix_us, coarse_ticks_per_second: 1000000}\n")
    tables.write_text(
        tables.read_text()
        + "".join(
            f"  weather_l0_{name}: {{title: Rows, grain: one row per row, records: {records}}}\n"
            for name, records in sources.items()
        )
    )


def name(number: int, extension: str = "csv") -> str:
    return f"demo_weather_20260801T12{number:02}00.{extension}"


def line(minute: int, value: object = 2210, mode: str = "RUN", gusts: str = '"[3, 5]"') -> str:
    return f"{NOON + 60_000 * minute},{value},{mode},{gusts}\n"


def take(lake: Lake, *paths: Path) -> Intake:
    found = take_in(lake, list(paths), None, NOW, 0)
    assert unbalanced(lake) == []
    return found


def given(lake: Lake, *lines: str, number: int = 0) -> Path:
    """A CSV file in the drop folder."""
    return drop(Path(str(lake.definitions.path.parent)) / "drop", name(number), (HEADER + "".join(lines)).encode())


def rows(lake: Lake, address: str = L0) -> pl.DataFrame:
    frame = scan(lake, lake.definitions.tables[address]).collect()
    return frame.sort("file_sha256", "byte_offset") if "byte_offset" in frame.columns else frame


def state(lake: Lake) -> dict[str, list[Any]]:
    """What a lake says about what it took in, without the wall clock's share."""
    ops = {each: read_ops(lake, each) for each in ("files", "quarantine", "contents")}
    own = {"table_id", "run_id", "received_at"}
    frames = {each: frame.drop(own & set(frame.columns)) for each, frame in ops.items()} | {L0: rows(lake)}
    return {each: sorted(frame.rows(), key=str) for each, frame in frames.items()}


# ---- the page ------------------------------------------------------------------------------------------------------
def test_the_instrument_of_the_page_comes_from_its_files_to_sql(lake: Lake, tmp_path: Path) -> None:
    sample = re.search(r"```text\n(.*?)```", PAGE.read_text(), re.S)
    assert sample is not None
    inbox = drop(tmp_path / "drop", name(0), sample[1].encode()).parent
    assert examine(lake).problems == []
    night = run_night(lake, Settings(root=lake.root, settle_seconds=0), inbox)
    assert (night.exit_code, night.problems) == (0, [])
    with open_catalog(lake) as connection:
        found = connection.execute(
            "SELECT time, temperature_degc, mode FROM demo.weather_l1_minute ORDER BY time"
        ).fetchall()
        comment = connection.execute(
            "SELECT comment FROM duckdb_columns() WHERE table_name = 'weather_l0_minute' AND column_name = 'gusts_dn'"
        ).fetchone()
    assert [(time.isoformat()[:19], mode) for time, _, mode in found] == [
        ("2026-08-01T12:00:00", "RUN"), ("2026-08-01T12:01:00", "RUN"),
    ]  # fmt: skip
    assert [value for _, value, _ in found] == pytest.approx([26.3, 26.36])
    assert comment == ("Gusts of the minute as sent [adu]",)
    assert rows(lake)["gusts_dn"].to_list() == [[3, 5], []]
    checks = read_ops(lake, "checks")
    assert set(checks["table_name"]) >= {L0, L1}
    assert checks["passed"].all()
    assert fsck(lake).problems == []
    again = run_night(lake, Settings(root=lake.root, settle_seconds=0), inbox)
    assert (again.exit_code, again.facts["ingest"]["new_files"]) == (0, 0)


# ---- rows that come again ------------------------------------------------------------------------------------------
def test_a_file_that_comes_twice_is_there_once_and_equal_rows_of_other_files_are_flagged(lake: Lake) -> None:
    first = given(lake, line(0), line(1), line(2))
    assert take(lake, first).duplicates == 0
    assert take(lake, first).files == 0
    later = given(lake, line(3), line(2, "2210.0", gusts='" [3,5] "'), line(1, 7), line(3), number=1)
    assert take(lake, later).duplicates == 2
    assert rows(lake)["quality_flag"].sort().to_list() == [0, 0, 0, 0, 0, RETRANSMITTED, RETRANSMITTED]
    again = rows(lake).filter(pl.col("quality_flag") == RETRANSMITTED).sort("byte_offset")
    assert again["unix_ms"].to_list() == [NOON + 120_000, NOON + 180_000]
    assert again["file_sha256"].n_unique() == 1
    files = read_ops(lake, "files").sort("name")
    assert files.select("packets", "duplicates", "status").rows() == [(3, 0, "ingested"), (4, 2, "ingested")]
    counts = read_ops(lake, "contents").select(pl.col("rows", "new_rows").sum()).row(0)
    assert counts == (7, 5)


def test_the_same_row_has_the_same_number_in_every_format(lake: Lake, missions: Path, tmp_path: Path) -> None:
    with_formats(missions)
    lake = Lake(lake.root, read_definitions(missions))
    objects = [
        {"Unix ms": NOON, "Temp adu": 2210, "Mode": "RUN", "Gusts": [3, 5]},
        {"Unix ms": NOON + 60_000, "Temp adu": 0, "Mode": None, "Gusts": []},
    ]
    inbox = given(lake, line(0), line(1, 0, "", "[]")).parent
    drop(inbox, name(0, "jsonl"), "\n".join(json.dumps(each) for each in objects).encode())
    pq.write_table(pa.Table.from_pylist(objects), inbox / name(0, "parquet"))
    take(lake, inbox)
    frames = [rows(lake, f"demo.weather_l0_{kind}").sort("time") for kind in ("minute", "jsonl", "parquet")]
    kept = [frame.drop("file_sha256", "byte_offset").rows() for frame in frames]
    assert kept[0] == kept[1] == kept[2]
    assert frames[2]["byte_offset"].to_list() == [0, 1]


class KilledError(Exception):
    """The process ends here."""


def undisturbed(lake: Lake, folder: Path, inbox: Path) -> dict[str, list[Any]]:
    whole = Lake(folder / "whole", lake.definitions)
    take(whole, inbox)
    return state(whole)


@pytest.mark.parametrize("place", ["first commit", "second commit", "contents", "files"])
def test_an_ingest_that_is_killed_is_made_good_by_the_next(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    inbox = given(lake, line(0), line(1, "x"), line(1)).parent
    given(lake, line(1), line(2), line(0), number=1)
    calls = count(1)

    def appending(*arguments: Any, **more: Any) -> Any:
        if next(calls) == ["first commit", "second commit"].index(place) + 1:
            raise KilledError
        return append(*arguments, **more)

    def booking(to: Lake, table: str, entries: list[dict[str, Any]]) -> None:
        if table == place:
            raise KilledError
        append_ops(to, table, entries)

    with monkeypatch.context() as patched:
        if place.endswith("commit"):
            patched.setattr(commit, "append", appending)
        else:
            patched.setattr(intake, "append_ops", booking)
        with pytest.raises(KilledError):
            take_in(lake, [inbox], None, NOW, 0)
    take(lake, inbox)
    assert state(lake) == undisturbed(lake, tmp_path, inbox)
    assert not rows(lake).select("file_sha256", "byte_offset").is_duplicated().any()


# ---- rows that cannot be read --------------------------------------------------------------------------------------
def test_rows_that_cannot_be_read_are_quarantined_one_by_one_and_the_night_says_so(lake: Lake) -> None:
    bad = [line(1, 40_000), line(2, "1.5"), "1,2\n"]
    inbox = given(lake, line(0), *bad, line(4)).parent
    night = run_night(lake, Settings(root=lake.root, settle_seconds=0), inbox)
    start = len(HEADER) + len(line(0))
    assert [(o, n, r) for o, n, r in quarantined(lake)] == [
        (start, len(bad[0]), "BAD_RECORD"),
        (start + len(bad[0]), len(bad[1]), "BAD_RECORD"),
        (start + len(bad[0] + bad[1]), 4, "BAD_RECORD"),
    ]
    assert read_ops(lake, "quarantine").sort("byte_offset")["detail"].to_list() == [
        "row 3 (Temp adu): '40000' does not fit int16",
        "row 4 (Temp adu): '1.5' is no whole number",
        "row 5: has 2 cells, the header has 4",
    ]
    assert night.exit_code == 1
    assert any(name(0) in problem and "BAD_RECORD" in problem for problem in night.problems)
    assert rows(lake, L1).height == 2
    assert unbalanced(lake) == []
    assert fsck(lake).problems == []


def test_a_file_with_another_header_is_quarantined_as_a_whole(lake: Lake) -> None:
    path = drop(lake.definitions.path.parent / "drop", name(0), b"Unix ms,Temperature,Mode,Gusts\n1,2,3,[]\n")
    assert take(lake, path).packets == 0
    row = read_ops(lake, "quarantine").row(0, named=True)
    assert (row["byte_offset"], row["bytes"], row["reason"]) == (0, 40, "BAD_RECORD")
    assert row["detail"].startswith("the file lacks the column 'Temp adu'")
    assert row["detail"].endswith("missions/demo/weather/records/minute.csv")
    assert rows(lake).height == 0


def test_of_a_million_bad_rows_the_first_are_told_one_by_one(lake: Lake) -> None:
    bad = SINGLE_ROWS + 500
    found = take(lake, given(lake, *(line(n, "x") for n in range(bad)), line(0), *[line(n, "y") for n in range(3)]))
    assert (found.packets, len(found.quarantined)) == (1, SINGLE_ROWS + 1)
    books = read_ops(lake, "quarantine").sort("byte_offset")
    assert books["packets"].sum() == bad + 3
    assert books["detail"][SINGLE_ROWS - 1].endswith("'x' is no number; this and the rows behind it, 501 in all")


def test_a_damaged_parquet_file_gives_no_row_even_if_its_beginning_can_be_read(missions: Path, tmp_path: Path) -> None:
    with_formats(missions)
    lake = Lake(tmp_path / "lake", read_definitions(missions))
    many = {"Unix ms": range(NOON, NOON + 200_000), "Temp adu": [1] * 200_000, "Gusts": [[1]] * 200_000}
    path = tmp_path / name(0, "parquet")
    table = pa.table(
        {key: pa.array(values, pa.list_(pa.int16()) if key == "Gusts" else pa.int64()) for key, values in many.items()}
    )
    pq.write_table(table, path, row_group_size=50_000, write_page_checksum=True, use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[len(data) - 100_000] ^= 0xFF
    found = take(lake, drop(tmp_path / "drop", path.name, bytes(data)))
    assert (found.packets, rows(lake, "demo.weather_l0_parquet").height) == (0, 0)
    assert [(offset, length) for offset, length, _ in quarantined(lake)] == [(0, len(data))]
    assert not list((tmp_path / "lake/tables/demo").rglob("*.parquet"))


# ---- time ----------------------------------------------------------------------------------------------------------
def test_rows_without_a_time_or_of_the_future_are_kept_and_left_out_of_level_1(lake: Lake, missions: Path) -> None:
    tomorrow = (NOON + 86_400_000) // 60_000 * 60_000
    lines = ["0,1,,[]\n", f"{tomorrow + 86_400_000},2,,[]\n", f"{tomorrow},3,,[]\n", f"{2**62},4,,[]\n", line(0, 5)]
    found = take(lake, given(lake, *lines))
    flags = dict(rows(lake).select("temperature_dn", "quality_flag").iter_rows())
    # Received 2026-08-02T00:00Z; clocks may be a day ahead, so noon of that day is believed and the next day's is not.
    assert flags == {1: CLOCK_INVALID, 2: CLOCK_INVALID, 3: 0, 4: CLOCK_INVALID, 5: 0}
    assert found.clock_invalid == 3
    invalid = rows(lake).filter(pl.col("quality_flag") == CLOCK_INVALID)
    assert (invalid["day"].unique().to_list(), invalid["time"].null_count()) == ([DAY], 3)
    run_night(lake, Settings(root=lake.root, settle_seconds=0), None)
    assert rows(lake, L1).height == 2


# ---- definitions that come later -----------------------------------------------------------------------------------
def test_a_file_without_a_definition_is_archived_and_decoded_when_one_comes(
    lake: Lake, missions: Path, tmp_path: Path
) -> None:
    tle = "1 25544U 98067A   08264.51782528 -.00002182  00000-0 -11606-4 0  2927\n"
    tle += "2 25544  51.6416 247.4627 0006703 130.5360 325.0288 15.72125391563537\n"
    inbox = drop(tmp_path / "drop", "20260801_demo.tle", tle.encode()).parent
    drop(inbox, name(0, "jsonl"), json.dumps({"Unix ms": NOON, "Temp adu": 1, "Gusts": [1]}).encode())
    names = missions / "demo/weather/names.yaml"
    names.write_text(names.read_text().replace("families:\n", FORMATS))
    lake = Lake(lake.root, read_definitions(missions))
    before = take(lake, inbox)
    assert (before.landed.ignored, before.files, before.packets) == (1, 1, 0)
    row = read_ops(lake, "quarantine").row(0, named=True)
    assert (row["name"], row["reason"]) == (name(0, "jsonl"), "NO_DEFINITION")
    assert "missions/demo/weather" in row["detail"]
    names.write_text(names.read_text().replace(FORMATS, "families:\n"))
    with_formats(missions)
    lake = Lake(lake.root, read_definitions(missions))
    assert take(lake, inbox).packets == 2
    assert read_ops(lake, "quarantine").height == 0
    assert rows(lake, "demo.weather_l0_jsonl")["temperature_dn"].to_list() == [1]
    elements = rows(lake, "demo.weather_l0_elements")
    assert elements.select("epoch_unix_us", "bstar", "byte_offset").rows() == [(1_221_913_540_104_192, -1.1606e-5, 0)]
    assert elements["quality_flag"].to_list() == [CLOCK_INVALID]  # before the mission


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("unix_ms,Unix ms,int64", "unix_ms,Unix ms,string", "field unix_ms is string, which is no count"),
        ("unix_ms,Unix ms,int64", "unix_ms,Unix ms,timestamp", "field unix_ms is timestamp, which counts microseconds"),
        ("unix_ms,Unix ms,", "time_ms,Unix ms,", "has no field unix_ms"),
    ],
)
def test_a_clock_that_counts_with_what_is_no_count_is_a_wrong_definition(
    missions: Path, old: str, new: str, complaint: str
) -> None:
    path = missions / "demo/weather/records/minute.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DefinitionError, match=rf"instrument.yaml line \d+ \(clock.coarse\): .*{complaint}"):
        read_definitions(missions)


@pytest.mark.parametrize(
    ("field", "complaint"), [("raan,float64", "it is none; there are"), ("bstar,float32", "float64")]
)
def test_orbit_elements_have_fixed_fields(missions: Path, field: str, complaint: str) -> None:
    with_formats(missions)
    (missions / "demo/weather/records/elements.csv").write_text(f"name,type\nepoch_unix_us,int64\n{field}\n")
    with pytest.raises(DefinitionError, match=complaint):
        read_definitions(missions)


# ---- elsewhere -----------------------------------------------------------------------------------------------------
def filled(lake: Lake) -> Path:
    inbox = given(lake, line(0), line(1, "x"), line(2)).parent
    for number in range(1, 4):
        given(lake, *(line(number + n, number) for n in range(3)), number=number)
    return inbox


def test_workers_make_the_same_lake(lake: Lake, tmp_path: Path) -> None:
    inbox = filled(lake)
    with executor(2) as pool:
        take_in(lake, [inbox], None, NOW, 0, pool)
    assert state(lake) == undisturbed(lake, tmp_path, inbox)


def test_a_lake_in_s3_is_the_lake_in_a_folder(lake: Lake, tmp_path: Path, s3_root: str) -> None:
    inbox = filled(lake)
    remote = Lake(s3_root, lake.definitions)
    take(remote, inbox)
    assert state(remote) == undisturbed(lake, tmp_path, inbox)


def test_bad_rows_of_parquet_have_numbers_and_no_bytes_and_the_books_balance(missions: Path, tmp_path: Path) -> None:
    with_formats(missions)
    lake = Lake(tmp_path / "lake", read_definitions(missions))
    path = tmp_path / name(0, "parquet")
    counts = [1, 40_000, 50_000, 4]
    times = [NOON + 60_000 * n for n in range(4)]
    pq.write_table(pa.table({"Unix ms": times, "Temp adu": counts, "Gusts": [[n] for n in range(4)]}), path)
    inbox = drop(tmp_path / "drop", path.name, path.read_bytes()).parent
    run_night(lake, Settings(root=lake.root, settle_seconds=0), inbox)
    assert quarantined(lake) == [(1, 0, "BAD_RECORD"), (2, 0, "BAD_RECORD")]
    assert rows(lake, "demo.weather_l0_parquet").select("byte_offset", "temperature_dn").rows() == [(0, 1), (3, 4)]
    assert unbalanced(lake) == []
    assert fsck(lake).problems == []

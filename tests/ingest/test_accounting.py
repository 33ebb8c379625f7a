# SPDX-License-Identifier: Apache-2.0
"""Accounts of packets by APID and day: what they add up to, and that the order of arrival does not matter."""

from __future__ import annotations

import random
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ingest import accounting
from ingest.accounting import accounts
from lake.ledger import read_ops
from lake.store import Lake
from lake.tables import replace_ops
from tests.ingest.taken import rebuilt
from tests.ingest.test_segments import image, lake_of
from tests.meddea import NOON, drop, empty_lake, housekeeping, met, missions_with_policy, photon, register, take

DAY, NEXT_DAY = date(2024, 9, 16), date(2024, 9, 17)
LATE = met(2024, 9, 17)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return empty_lake(tmp_path / "lake")


def send(lake: Lake, number: int, *packets: bytes, day: str = "240916") -> None:
    name = f"padreMDU8_{day}1200{number:02}.dat"
    take(lake, drop(Path(lake.root).parent / "inbox", name, *packets), run=f"run {number:02}")


def account(lake: Lake, *columns: str) -> dict[tuple[int, date], Any]:
    """Columns of ops.packets by APID and day."""
    rows = read_ops(lake, "packets").select("apid", "day", *columns).sort("apid", "day").rows()
    return {(apid, day): values[0] if len(values) == 1 else tuple(values) for apid, day, *values in rows}


def books(lake: Lake) -> list[list[tuple[Any, ...]]]:
    """ops.packets and ops.gaps but for the run, in a fixed order."""
    return [sorted(read_ops(lake, name).drop("run_id", strict=False).rows(), key=str) for name in ("packets", "gaps")]


def test_an_account_has_all_that_came_and_all_that_did_not(lake: Lake) -> None:
    sent = [housekeeping(count, NOON + 5 * count) for count in range(12)]
    send(lake, 1, *sent[:4], *sent[7:9])
    send(lake, 2, sent[8], *sent[10:])
    [row] = read_ops(lake, "packets").to_dicts()
    assert row == {
        "mission": "padre",
        "instrument": "meddea",
        "apid": 163,
        "day": DAY,
        "received": 9,
        "distinct": 8,
        "duplicates": 1,
        "expected": 12,
        "missing": 4,
        "gaps": 2,
        "longest_gap_s": 20.0,
        "restarts": 0,
        "checksum_failures": 0,
        "bytes": 9 * 40,
        "first_time": datetime(2024, 9, 16, 12, tzinfo=UTC),
        "last_time": datetime(2024, 9, 16, 12, 0, 55, tzinfo=UTC),
        "run_id": "run 02",
    }


def test_what_failed_its_checksum_is_missing_and_counted_on_the_day_of_its_file(lake: Lake) -> None:
    bad = housekeeping(1, NOON + 5)[:39] + b"\xff"
    send(lake, 1, housekeeping(0), bad, housekeeping(2, NOON + 10))
    assert account(lake, "checksum_failures", "missing", "expected") == {(163, DAY): (1, 1, 3)}


def test_an_apid_of_which_all_packets_are_broken_has_an_account(lake: Lake) -> None:
    broken = housekeeping(0)[:39] + b"\xff"
    send(lake, 1, register(0), broken, register(1, NOON + 1))
    assert account(lake, "received", "checksum_failures", "first_time")[163, DAY] == (0, 1, None)
    assert account(lake, "received", "checksum_failures")[153, DAY] == (2, 0)


def test_photons_are_counted_by_packet_and_not_by_event(lake: Lake) -> None:
    packets = [photon(count, NOON + count, clocks=(0, 1, 2, 3)) for count in range(5)]
    send(lake, 1, *packets)
    assert account(lake, "received", "bytes") == {(160, DAY): (5, sum(map(len, packets)))}


def test_a_packet_without_a_believable_time_counts_on_the_day_of_its_file(lake: Lake) -> None:
    send(lake, 1, housekeeping(0, LATE), housekeeping(1, 3), housekeeping(2, LATE + 5))
    assert account(lake, "received", "last_time") == {
        (163, DAY): (1, None),
        (163, NEXT_DAY): (2, datetime(2024, 9, 17, 0, 0, 5, tzinfo=UTC)),
    }


def test_parts_are_expected_one_by_one(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, "leap")
    sent = [*image(16_380, 0, 2), *image(16_383, 1, 4), *image(4, 2, 0), *image(5, 3, 1), *image(11, 4, 0)]
    take(lake, drop(tmp_path / "inbox", "toy_box_l0_2024260-120000_v0.bin", *sent))
    # 3 + 5 + 1 + 2 + 1 parts came, 7 to 10 did not.
    assert account(lake, "received", "missing", "expected") == {(7, DAY): (5, 4, 16)}


def test_a_clock_without_time_has_accounts_without_spans(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, "none")
    first = [part for count in (1, 2, 5, 5) for part in image(count, 0, 0)]
    take(lake, drop(tmp_path / "inbox", "toy_box_l0_2024260-120000_v0.bin", *first))
    columns = ("received", "duplicates", "missing", "gaps", "longest_gap_s", "first_time")
    assert account(lake, *columns) == {(7, DAY): (4, 1, 2, 1, None, None)}
    assert read_ops(lake, "gaps").select("kind", "sequence_from", "sequence_to").rows() == [("loss", 3, 4)]


def test_a_restart_is_counted_and_is_no_gap(lake: Lake) -> None:
    send(lake, 1, *(register((4996 + n) if n < 4 else n - 4, NOON + n) for n in range(8)))
    assert account(lake, "restarts", "gaps", "missing", "expected") == {(153, DAY): (1, 0, 0, 8)}


def test_a_gap_is_on_the_day_of_its_end_also_if_the_apid_was_silent_for_a_day(lake: Lake) -> None:
    """APIDs 153 and 165 share a table; the day between has packets of the other one alone."""
    files = [
        [register(0, NOON), register(7, NOON, apid=165)],
        [register(1, NOON + 86_400)],
        [register(10, NOON + 2 * 86_400, apid=165)],
    ]
    wanted = [(165, date(2024, 9, 18), 2)]
    for number, order in enumerate([(0, 1, 2), (2, 0, 1), (1, 2, 0)]):
        one = empty_lake(Path(lake.root).parent / f"lake {number}")
        for place in order:
            send(one, place, *files[place], day=f"24091{6 + place}")
        gaps = read_ops(one, "gaps").filter(pl.col("apid") == 165).select("apid", "day", "missing")
        assert gaps.rows() == wanted, order


# ---- files in any order --------------------------------------------------------------------------------------------
def some_files(rng: random.Random) -> list[list[bytes]]:
    """Two APIDs over three days in files that overlap, with losses, a wrap, a restart, repeats and broken packets."""
    first, again = 16_330, rng.randrange(150, 250)
    sent = []
    for number in range(300):
        count = (first + number) % 16_384 if number < again else number - again
        kind = register if rng.random() < 0.3 else housekeeping
        packet = kind(count, NOON + 600 * number)
        sent.append(packet if rng.random() > 0.01 else packet[:-1] + bytes([packet[-1] ^ 1]))
    starts = sorted(rng.sample(range(300), 4))
    files = [sent[start : start + rng.randrange(50, 150)] for start in [0, *starts]]
    files = [[packet for packet in part if rng.random() > 0.04] for part in files]
    rng.shuffle(files[1])
    return files


def test_the_order_of_files_does_not_matter(tmp_path: Path) -> None:
    files = some_files(random.Random(1))
    made = []
    for name, order in (("at once", None), ("one by one", [4, 2, 3, 1, 0])):
        (tmp_path / name).mkdir()
        lake = empty_lake(tmp_path / name / "lake")
        inbox = tmp_path / name / "inbox"
        for number in order or range(5):
            path = drop(inbox, f"padreMDU8_24091612000{number}.dat", *files[number])
            if order:
                take(lake, path, run=f"run {number}")
        if not order:
            take(lake, inbox)
        made.append(books(lake))
    assert made[0][1], "there are gaps"
    assert made[0] == made[1]


def test_days_add_up_to_what_the_files_had(lake: Lake) -> None:
    for number, packets in enumerate(some_files(random.Random(7))):
        send(lake, number, *packets)
    files, packets = read_ops(lake, "files"), read_ops(lake, "packets")
    for name, column in (("received", "packets"), ("duplicates", "duplicates"), ("bytes", "bytes_decoded")):
        assert packets[name].sum() == files[column].sum() > 0
    assert packets["checksum_failures"].sum() == read_ops(lake, "quarantine").filter(reason="CHECKSUM").height > 0
    sums = packets.select(
        (pl.col("distinct") + pl.col("duplicates") == pl.col("received")).all().alias("once"),
        (pl.col("distinct") + pl.col("missing") == pl.col("expected")).all().alias("whole"),
    )
    assert sums.row(0) == (True, True)
    gaps = read_ops(lake, "gaps")
    assert packets["missing"].sum() == gaps["missing"].sum()
    assert packets["restarts"].sum() == gaps.filter(kind="restart").height


def test_the_same_bytes_under_another_name_are_counted_once(lake: Lake) -> None:
    send(lake, 1, housekeeping(0))
    send(lake, 2, housekeeping(0))
    assert read_ops(lake, "files")["packets"].to_list() == [1, 1]
    assert account(lake, "received", "duplicates") == {(163, DAY): (1, 0)}


def test_a_lake_made_again_from_its_archive_has_the_same_accounts(lake: Lake, tmp_path: Path) -> None:
    for number, packets in enumerate(some_files(random.Random(5))):
        send(lake, number, *packets)
    assert books(rebuilt(lake, tmp_path / "again")) == books(lake)


def test_a_clock_of_another_policy_leaves_no_account_behind(lake: Lake, tmp_path: Path) -> None:
    send(lake, 1, housekeeping(1), housekeeping(3, met(2024, 9, 17, 23, 59, 57)))
    assert account(lake, "received") == {(163, DAY): 1, (163, NEXT_DAY): 1}
    posix = empty_lake(Path(lake.root), missions_with_policy(tmp_path / "missions", "posix"))
    take(posix, run="run 02")
    assert account(posix, "received", "missing") == {(163, DAY): (1, 0), (163, date(2024, 9, 18)): (1, 1)}


# ---- lakes from before ---------------------------------------------------------------------------------------------
def test_the_next_night_accounts_for_days_that_have_no_account(lake: Lake) -> None:
    for number, packets in enumerate(some_files(random.Random(3))):
        send(lake, number, *packets)
    before = books(lake)
    shutil.rmtree(Path(lake.root) / "tables/ops/packets")
    old = read_ops(lake, "gaps").with_columns(kind=None, sequence_from=None, sequence_to=None)
    replace_ops(lake, "gaps", old.to_dicts(), "mission = 'padre'")
    assert read_ops(lake, "packets").is_empty()
    take(lake, run="run 99")
    assert books(lake) == before
    assert set(read_ops(lake, "packets")["run_id"]) == {"run 99"}
    take(lake, run="run 100")
    assert set(read_ops(lake, "packets")["run_id"]) == {"run 99"}, "nothing is left to be accounted for"


def test_the_next_night_accounts_for_days_with_nothing_but_broken_packets(lake: Lake) -> None:
    send(lake, 1, housekeeping(0))
    send(lake, 2, housekeeping(9)[:39] + b"\xff", day="240919")
    before = books(lake)
    assert account(lake, "received", "checksum_failures")[163, date(2024, 9, 19)] == (0, 1)
    shutil.rmtree(Path(lake.root) / "tables/ops/packets")
    take(lake, run="run 03")
    assert books(lake) == before


def test_an_instrument_of_records_has_no_accounts(lake: Lake) -> None:
    assert lake.definitions.mission("padre").instrument("craft").records
    assert accounting.account(lake, "padre", "craft", [DAY], "run 01") == 0
    assert read_ops(lake, "packets").is_empty()


def test_a_gap_without_packets_on_its_day_has_an_account() -> None:
    keys = {"apid": pl.Int16, "day": pl.Date}
    counts = pl.DataFrame(
        schema=keys
        | dict.fromkeys(("received", "duplicates", "sent", "bytes"), pl.Int64)
        | dict.fromkeys(("first_time", "last_time"), pl.Datetime("us", "UTC"))
    )
    start = datetime(2024, 9, 16, 12, tzinfo=UTC)
    gap = {"apid": 7, "day": DAY, "missing": 2, "kind": "loss", "start_time": start, "end_time": start}
    gaps = pl.DataFrame([gap], schema_overrides=keys)
    failures = pl.DataFrame(schema=keys | {"checksum_failures": pl.Int64})
    [row] = accounts(counts, gaps, failures).to_dicts()
    assert (row["received"], row["missing"], row["expected"], row["gaps"]) == (0, 2, 2, 1)

# SPDX-License-Identifier: Apache-2.0
"""MeDDEA's housekeeping by both ways through a night, and an orbit for the days around its elements and no others."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from lake.catalog import open_catalog
from lake.config import CHECKOUT, Settings
from lake.definition_files import read_definitions
from lake.errors import DefinitionError
from lake.store import Lake
from swxlake.describe import describe
from swxlake.night import run_night
from swxlake.outcome import Outcome
from swxlake.reference import dictionary_pages
from tests.meddea import DEFINITIONS, MISSIONS, drop, empty_lake, housekeeping, met, register, take
from transforms.engine import build_all
from transforms.plan import plan_all

HEADER = (
    "CCSDS1,CCSDS2,CCSDS3,timestmp,FPTemp,DIBTemp,HVTemp,HVVolts,HVCurrent,Amps_1V5,Amps_3V3_D,Amps_3V3_A,phRate,"
    "goodCmdCount,errorCount,heaterPWM,decimationRate,sysError,checksum,timestamp_ms"
)
UNIX_2000 = 946_684_800
START = met(2025, 11, 7, 0, 0, 2)  # two seconds after midnight by the policy `leap`
DAY = date(2025, 11, 7)
CHECKSUM_WRONG, OUT_OF_RANGE, PACKET_DIFFERS = 1 << 9, 1 << 10, 1 << 11


def passed_on(packet: bytes, delay_s: float = 4.5, **changed: int) -> str:
    """The row of a file that a housekeeping packet becomes, stamped so long after its time."""
    words = [int.from_bytes(packet[at : at + 2]) for at in range(0, 40, 2)]
    cells = [*words[:3], words[3] << 16 | words[4], *words[5:]]
    values = dict(zip(HEADER.split(",")[:-1], cells, strict=True)) | changed
    stamp = round(1000 * (UNIX_2000 + values["timestmp"] - 5 + delay_s))
    return ",".join(str(cell) for cell in (*values.values(), stamp))


def csv(rows: Sequence[str]) -> bytes:
    return "\n".join([HEADER, *rows]).encode()


def element_lines(epoch: str) -> bytes:
    """Two lines with their check digits, for an epoch as `25311.50000000`."""
    lines = [
        f"1 64559U 25135AH  {epoch}  .00004321  00000+0  21234-3 0  999",
        "2 64559  97.7600 123.4567 0009876 210.1234 149.8765 14.91600000 2000",
    ]
    digits = [sum(int(c) if c.isdigit() else c == "-" for c in line) % 10 for line in lines]
    return "".join(f"{line}{digit}\n" for line, digit in zip(lines, digits, strict=True)).encode()


# ---- both ways -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Outcome]:
    """Four packets: one came by both ways, one by both with another word, one only as a packet, one only as a row.

    The first packet's own time is on the day before its row's stamp.
    """
    inbox = tmp_path_factory.mktemp("inbox")
    packets = [housekeeping(count, START - 4 + 30 * count) for count in range(4)]
    drop(inbox, "padreMDU8_251106235900.dat", *packets[:3])
    rows = [passed_on(packets[0]), passed_on(packets[1], FPTemp=1111), passed_on(packets[3])]
    drop(inbox, "padre_get_MEDDEA_HOUSE_KEEPING_Data_1762473600000_1762473700000.csv", csv(rows))
    lake = empty_lake(tmp_path_factory.mktemp("both") / "lake")
    return lake, run_night(lake, Settings(root=lake.root, settle_seconds=0), inbox)


def ask(lake: Lake, query: str) -> list[tuple[Any, ...]]:
    with open_catalog(lake) as connection:
        return connection.sql(query).fetchall()


def test_rows_are_compared_with_packets_beyond_midnight(night: tuple[Lake, Outcome]) -> None:
    """1000 is no count of some currents, which is another flag."""
    query = f"""
        SELECT packet_sequence_count, packet_received, words_equal, quality_flag & ~{OUT_OF_RANGE}
        FROM padre.craft_l1_meddea_housekeeping ORDER BY time"""  # noqa: S608
    differs = (1, True, False, PACKET_DIFFERS | CHECKSUM_WRONG)
    assert ask(night[0], query) == [(0, True, True, 0), differs, (3, False, None, 0)]
    days = "SELECT DISTINCT day FROM padre.meddea_l0_housekeeping WHERE sequence_count = 0"
    assert ask(night[0], days) == [(DAY - timedelta(days=1),)]


def test_the_query_shows_the_word_that_differs(night: tuple[Lake, Outcome]) -> None:
    text = (CHECKOUT / "sql" / "queries" / "meddea_housekeeping_disagreements.sql").read_text()
    with open_catalog(night[0]) as connection:
        [row] = connection.sql(text).fetchall()
    assert row[1:] == (1, START - 4 + 30, "fp_temp", 1111, 1000)


def test_the_night_exports_both_and_a_second_one_has_nothing_to_do(night: tuple[Lake, Outcome]) -> None:
    lake, outcome = night
    assert (outcome.exit_code, outcome.problems) == (0, [])
    names = sorted(Path(path).name for path in outcome.facts["products"])
    assert names == [
        "padre_craft_l1-meddea-housekeeping_20251107_v1.0.0.cdf",
        "padre_meddea_l1-housekeeping_20251106_v1.0.0.cdf",
        "padre_meddea_l1-housekeeping_20251107_v1.0.0.cdf",
    ]
    assert plan_all(lake) == []


def test_packets_alone_make_no_day_of_the_spacecrafts_table(tmp_path: Path) -> None:
    lake = empty_lake(tmp_path / "lake")
    take(lake, drop(tmp_path / "inbox", "padreMDU8_251107000000.dat", housekeeping(1, START), register(2, START)))
    assert {step.table.instrument for step in plan_all(lake)} == {"meddea"}
    build_all(lake, "build")
    rows = [passed_on(housekeeping(1, START))]
    name = "padre_get_MEDDEA_HOUSE_KEEPING_Data_1762473600000_1762473700000.csv"
    take(lake, drop(tmp_path / "inbox", name, csv(rows)), run="later")
    [step] = plan_all(lake)
    assert (step.table.name, step.day) == ("craft_l1_meddea_housekeeping", DAY)
    build_all(lake, "again")
    assert ask(lake, "SELECT words_equal FROM padre.craft_l1_meddea_housekeeping") == [(True,)]


def test_a_packet_that_comes_later_is_compared_in_the_next_run(tmp_path: Path) -> None:
    lake, packet = empty_lake(tmp_path / "lake"), housekeeping(1, START)
    name = "padre_get_MEDDEA_HOUSE_KEEPING_Data_1762473600000_1762473700000.csv"
    take(lake, drop(tmp_path / "inbox", name, csv([passed_on(packet)])))
    build_all(lake, "build")
    assert ask(lake, "SELECT packet_received FROM padre.craft_l1_meddea_housekeeping") == [(False,)]
    take(lake, drop(tmp_path / "inbox", "padreMDU8_251107000000.dat", packet), run="later")
    build_all(lake, "again")
    assert ask(lake, "SELECT packet_received FROM padre.craft_l1_meddea_housekeeping") == [(True,)]


# ---- orbit ---------------------------------------------------------------------------------------------------------
def test_elements_give_an_orbit_for_two_weeks_to_either_side_and_no_other_day(tmp_path: Path) -> None:
    """Two files some months apart: the days between them are not built."""
    lake, inbox = empty_lake(tmp_path / "lake"), tmp_path / "inbox"
    take(lake, drop(inbox, "20251107_padre.tle", b"PADRE\n", element_lines("25311.50000000")))
    days = {step.day for step in plan_all(lake)}
    assert days == {DAY + timedelta(days=number) for number in range(-14, 15)}
    take(lake, drop(inbox, "20250801_padre.tle", element_lines("25213.00000000")), run="old")
    assert len(plan_all(lake)) == 58
    build_all(lake, "build", days={DAY, DAY + timedelta(days=14)})
    query = "SELECT day, count(*), max(abs(elements_age_d)) FROM padre.craft_l1_orbit GROUP BY day ORDER BY day"
    assert ask(lake, query) == [(DAY, 1440, 0.5), (DAY + timedelta(days=14), 721, 14.0)]


# ---- experimental tables -------------------------------------------------------------------------------------------
def test_an_experimental_table_is_marked_wherever_it_is_told_of(night: tuple[Lake, Outcome]) -> None:
    lake = night[0]
    why = lake.definitions.tables["padre.sharp_l0_record_inferred"].experimental.strip()
    assert describe(lake, "padre.sharp_l0_record_inferred").facts["experimental"] == why
    query = "SELECT comment FROM duckdb_views() WHERE view_name = 'sharp_l0_record_inferred'"
    assert why in ask(lake, query)[0][0]
    assert f"**Experimental**: {why}" in dictionary_pages(DEFINITIONS)["padre_sharp.md"]


def test_an_experimental_table_is_refused_as_a_product(tmp_path: Path) -> None:
    missions = tmp_path / "missions"
    shutil.copytree(MISSIONS, missions)
    product = (missions / "padre" / "craft" / "cdf.yaml").read_text().partition("  craft_l1_eps:")[0]
    product = product.replace("craft_l1_obc", "sharp_l0_record_inferred")
    (missions / "padre" / "sharp" / "cdf.yaml").write_text(product)
    with pytest.raises(DefinitionError, match=r"cdf.yaml line 4 \(sharp_l0_record_inferred\)"):
        read_definitions(missions)

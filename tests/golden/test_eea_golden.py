# SPDX-License-Identifier: Apache-2.0
"""The real EEA file through a whole night with both readings of its clock, and damaged copies of it, cell by cell."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cdflib
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from lake.config import Settings
from lake.definition_files import read_definitions
from lake.ledger import read_ops
from lake.reading import scan
from lake.store import Lake
from swxlake.night import run_night
from swxlake.outcome import Outcome
from tests.hermes_eea import (
    INCOMPLETE,
    REAL_FILE,
    STEPS,
    cells,
    golden_skymap,
    missions_of_eea,
    packet,
    real_packets,
    sweeps_of,
)
from tests.shared_data import golden_folder, telemetry_folder

pytestmark = pytest.mark.telemetry

TT_AHEAD = 64_184_000_000  # the reference's reading of the clock against TT seconds since J2000, ns
ARRAYS = ("accum", "counter1", "counter2", "pulse_a", "pulse_b")


# ---- the night -----------------------------------------------------------------------------------------------------
def night(folder: Path, clock: str) -> tuple[Lake, Outcome]:
    inbox = folder / "inbox"
    inbox.mkdir(parents=True)
    shutil.copy(telemetry_folder("hermes", "eea") / REAL_FILE, inbox)
    lake = Lake(folder / "lake", read_definitions(missions_of_eea(folder / "missions", clock)))
    return lake, run_night(lake, Settings(root=lake.root, settle_seconds=0), inbox)


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Lake, Outcome]]:
    return {clock: night(tmp_path_factory.mktemp(clock), clock) for clock in ("tt_j2000", "reference")}


def table(lakes: dict[str, tuple[Lake, Outcome]], name: str, clock: str = "reference") -> pl.DataFrame:
    lake = lakes[clock][0]
    return scan(lake, lake.definitions.tables[f"hermes.eea_{name}"]).collect()


def products(lake: Lake) -> dict[str, Path]:
    return {path.name.split("_")[2]: path for path in lake.root.glob("exports/**/*.cdf")}


@pytest.mark.parametrize("clock", ["tt_j2000", "reference"])
def test_the_night_decodes_every_byte_and_makes_four_products(lakes: Any, clock: str):
    lake, outcome = lakes[clock]
    assert (outcome.exit_code, outcome.problems) == (0, [])
    files = read_ops(lake, "files").select("bytes", "bytes_decoded", "bytes_quarantined", "packets", "duplicates")
    assert files.rows() == [(219_672, 219_672, 0, 3051, 0)]
    assert sorted(products(lake)) == ["l1-counts", "l2-flux", "l2-moments", "ql-moments"]


def test_l0_has_the_fields_of_the_reference(lakes: Any):
    golden = pl.read_parquet(golden_folder("hermes") / "eea_l0_packets.parquet").sort("CCSDS_SEQUENCE_COUNT")
    rows = table(lakes, "l0_sci").sort("sequence_count")
    assert golden["CKSUM_OK"].all()
    pairs = {
        "CCSDS_APID": "apid",
        "CCSDS_SEQUENCE_FLAG": "sequence_flags",
        "CCSDS_SEQUENCE_COUNT": "sequence_count",
        **{name: name.lower() for name in ("SHCOARSE", "SHFINE", "SHEID", "STEP", "COUNTER1", "COUNTER2", "CKSUM16")},
        "ACCUM": "accum",
        "TT2000_REF": "epoch_tt2000",
    }
    for theirs, ours in pairs.items():
        assert rows[ours].to_list() == golden[theirs].to_list(), ours
    tt = table(lakes, "l0_sci", "tt_j2000").sort("sequence_count")["epoch_tt2000"]
    assert (rows["epoch_tt2000"] - tt).unique().to_list() == [TT_AHEAD]


def test_l1_is_the_skymap_sweep_by_sweep(lakes: Any):
    golden = golden_skymap()
    for clock, ahead in (("reference", 0), ("tt_j2000", TT_AHEAD)):
        rows = table(lakes, "l1_counts", clock)
        assert rows["epoch_tt2000"].to_list() == (golden["epoch_tt2000"] - ahead).tolist()
        for name in ARRAYS:
            assert np.array_equal(cells(rows, name, missing=65535), golden[name]), name
        assert np.array_equal(cells(rows, "offset_us"), golden["step_offset_us"])
        assert rows["n_steps"].to_list() == golden["n_steps"].tolist() == [164] * 18 + [99]
        assert rows["quality_flag"].to_list() == [0] * 18 + [INCOMPLETE]


def test_sums_are_those_of_the_packets(lakes: Any):
    rows = table(lakes, "l1_counts")
    per_sweep = [19, 23, 21, 23, 24, 21, 18, 23, 19, 24, 21, 17, 21, 24, 22, 19, 14, 19, 19]
    assert rows["total_counts"].to_list() == per_sweep
    assert sum(per_sweep) == 391
    assert [int(cells(rows, name, missing=0).sum()) for name in ("counter1", "counter2")] == [433, 425]


def test_a_partial_sweep_has_no_moments_and_background_no_temperature(lakes: Any):
    for name in ("ql_moments", "l2_moments"):
        rows = table(lakes, name)
        assert rows["density_cm3"].null_count() == 1
        assert rows["density_cm3"][18] is None
        assert rows["density_cm3"].max() < 0.01
        assert rows["temperature_ev"].null_count() == 19


def test_the_cdf_holds_the_skymap_with_fill_for_missing_cells(lakes: Any):
    golden, file = golden_skymap(), cdflib.CDF(str(products(lakes["reference"][0])["l1-counts"]))
    assert file.varget("Epoch").tolist() == golden["epoch_tt2000"].tolist()
    accum = file.varget("accum")
    assert accum.shape == (19, 41, 4, 32)
    fill = file.varattsget("accum")["FILLVAL"]
    assert np.array_equal(accum == fill, golden["accum"] == 65535)
    assert np.array_equal(accum[accum != fill], golden["accum"][golden["accum"] != 65535])
    np.testing.assert_allclose(file.varget("energy"), golden["energy_ev"], rtol=1e-6)
    np.testing.assert_allclose(file.varget("deflection"), golden["deflection_deg"])
    depends = [file.varattsget("accum")[f"DEPEND_{i}"] for i in range(4)]
    assert depends == ["Epoch", "energy", "deflection", "azimuth"]


# ---- damaged copies ------------------------------------------------------------------------------------------------
FIFTH = 5 * STEPS  # index of the first packet of the sweep that is damaged


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    return sweeps_of(tmp_path_factory.mktemp("whole"), b"".join(real_packets()))


def placed(rows: pl.DataFrame) -> dict[str, NDArray[Any]]:
    return {name: cells(rows, name).copy() for name in ARRAYS}


def assert_equal_but_for(rows: pl.DataFrame, whole: pl.DataFrame, sweep: int, lost: list[int]) -> None:
    """All cells as in the undamaged file, but those of the lost steps of one sweep, which are null."""
    expected = placed(whole)
    for step in lost:
        deflection, place = divmod(step, 41)
        for array in expected.values():
            array[sweep, place if deflection % 2 == 0 else 40 - place, deflection] = -1
    for name, array in placed(rows).items():
        assert np.array_equal(array, expected[name]), name
    others = [k for k in range(whole.height) if k != sweep]
    assert rows[others].equals(whole[others])
    assert rows["n_steps"][sweep] == STEPS - len(lost)
    assert rows["quality_flag"][sweep] == (INCOMPLETE if lost else 0)


@pytest.mark.parametrize(
    "lost", [[80], [0], [163], [*range(10, 50)]], ids=["mid-sweep", "step 0", "step 163", "40 steps"]
)
def test_lost_packets_are_null_and_nothing_else_moves(tmp_path: Path, whole: pl.DataFrame, lost: list[int]):
    kept = [sent for index, sent in enumerate(real_packets()) if index - FIFTH not in lost]
    rows = sweeps_of(tmp_path, b"".join(kept))
    assert_equal_but_for(rows, whole, 5, lost)
    # The epoch is that of the first packet that is there: step 1 comes 6083 us after step 0.
    assert rows["epoch_tt2000"][5] - whole["epoch_tt2000"][5] == (6_083_000 if lost == [0] else 0)


def test_a_repeated_packet_counts_once(tmp_path: Path, whole: pl.DataFrame):
    packets = real_packets()
    at = FIFTH + 80
    assert sweeps_of(tmp_path, b"".join([*packets[:at], packets[at], *packets[at:]])).equals(whole)


def test_a_repeated_file_counts_once(tmp_path: Path, whole: pl.DataFrame):
    packets = real_packets()
    contents = b"".join(packets), b"".join(packets[700:1500])
    assert sweeps_of(tmp_path, *contents).equals(whole)


def test_swapped_packets_are_put_in_order(tmp_path: Path, whole: pl.DataFrame):
    packets = real_packets()
    at = FIFTH + 80
    packets[at], packets[at + 1] = packets[at + 1], packets[at]
    assert sweeps_of(tmp_path, b"".join(packets)).equals(whole)


def with_sheid_0(sent: bytes) -> bytes:
    """The packet as one that integrates; SHEID is outside its checksum."""
    return sent[:13] + b"\0" + sent[14:]


def test_an_integrating_sweep_in_mid_file_is_left_out_and_joins_no_others(tmp_path: Path, whole: pl.DataFrame):
    packets = real_packets()
    packets[FIFTH : FIFTH + STEPS] = [with_sheid_0(sent) for sent in packets[FIFTH : FIFTH + STEPS]]
    rows = sweeps_of(tmp_path, b"".join(packets))
    assert rows.equals(pl.concat([whole[:5], whole[6:]]))


def test_a_file_of_integrating_packets_has_no_sweeps(tmp_path: Path):
    assert sweeps_of(tmp_path, b"".join(with_sheid_0(sent) for sent in real_packets())).is_empty()


def test_the_last_of_18_complete_sweeps_is_there(tmp_path: Path, whole: pl.DataFrame):
    rows = sweeps_of(tmp_path, b"".join(real_packets()[: 18 * STEPS]))
    assert rows.equals(whole[:18])
    assert rows["total_counts"].sum() == 372


def test_sync_words_before_each_packet_are_skipped(tmp_path: Path, whole: pl.DataFrame):
    """The early variant: 55 AA before each packet."""
    rows = sweeps_of(tmp_path, b"".join(b"\x55\xaa" + sent for sent in real_packets()[: 3 * STEPS]))
    assert rows.equals(whole[:3])


def test_the_same_packet_ten_times_is_one_step(tmp_path: Path):
    sent = packet(7, 3_600_000_000, 12, [3] * 32 + [0, 0])
    rows = sweeps_of(tmp_path, sent * 10)
    assert rows["n_steps"].to_list() == [1]
    assert rows["total_counts"].to_list() == [96]
    assert cells(rows, "accum")[0, 12, 0].tolist() == [3] * 32

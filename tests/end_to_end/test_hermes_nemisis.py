# SPDX-License-Identifier: Apache-2.0
"""NEMISIS from simulated packets to the ambient field and its CDF files, compared with the truth of the simulation."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import cdflib
import numpy as np
import polars as pl
import pytest

from exports.export import export_all
from ingest.intake import take_in
from lake.clock import day_bounds, tt2000_of_day, utc_now
from lake.config import Settings
from lake.definition_files import read_definitions
from lake.ledger import new_run_id, read_ops
from lake.reading import scan
from lake.store import Journal, Lake
from quality.checks import check_all
from simulate.hermes import nemisis as simulator
from simulate.hermes.l0_names import l0_name
from simulate.hermes.plasma import Plasma, attitude_at, plasma_at, read_scenario
from simulate.run import simulate
from swxlake.night import Selection, ingest, run_night, transform
from swxlake.reproduce import reproduce
from tests.hermes_nemisis import FLAGS, MISSIONS, flagged, vectors
from transforms.engine import build_all

DAY = date(2026, 8, 5)
PRODUCTS = ("l1-mag", "l1-status", "l2-mag", "l3-ambient", "ql-mag")
HOURS = 0.6
# Three packets are lost and eight are sent again.
FAULTS = """kind,stream,start,stop,count
gap,nemisis,00:10:00,00:10:12,
duplicate,nemisis,00:20:00,00:20:32,
"""
LOST, REPEATED = 3, 8


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drop")
    faults = folder.parent / "nemisis_faults.csv"
    faults.write_text(FAULTS)
    simulate(read_definitions(MISSIONS), "hermes", "nemisis", DAY, folder, 11, faults, HOURS)
    return folder


@pytest.fixture(scope="module")
def truth(inbox: Path) -> pl.DataFrame:
    return pl.read_csv(inbox / "truth" / f"nemisis_{DAY:%Y%m%d}.csv")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, inbox: Path) -> Lake:
    """A night whose operator has put the day's attitude in place."""
    missions = tmp_path_factory.mktemp("facts") / "missions"
    shutil.copytree(MISSIONS, missions)
    name = f"attitude_{DAY:%Y%m%d}.csv"
    shutil.copy(inbox / "truth" / name, missions / "hermes" / "nemisis" / "calibration" / name)
    root = tmp_path_factory.mktemp("lake")
    lake = Lake(root, read_definitions(missions))
    outcome = run_night(lake, Settings(root=root, settle_seconds=0), inbox)
    assert outcome.exit_code == 0, outcome.problems
    return lake


def rows(lake: Lake, name: str) -> pl.DataFrame:
    return scan(lake, lake.definitions.tables[f"hermes.nemisis_{name}"]).sort("epoch_tt2000").collect()


@pytest.fixture(scope="module")
def ambient(night: Lake) -> pl.DataFrame:
    return rows(night, "l3_ambient")


@pytest.fixture(scope="module")
def plasma(ambient: pl.DataFrame) -> Plasma:
    """The scenario at the samples' times."""
    return plasma_at(read_scenario(), ambient["epoch_tt2000"].to_numpy(), tt2000_of_day(DAY))


def test_every_received_sample_has_one_row_at_its_true_time(night: Lake, truth: pl.DataFrame) -> None:
    mag = rows(night, "l1_mag")
    assert len(rows(night, "l0_mag")) == len(truth) - LOST + REPEATED
    assert len(mag) == 40 * (len(truth) - LOST)
    both = mag.join(truth, on="pkt_id")
    for sample, column in ((0, "first_sample_tt2000"), (39, "last_sample_tt2000")):
        ends = both.filter(sample=sample)
        error = (ends["epoch_tt2000"] - ends[column]).abs()
        assert error.max() <= 1000  # type: ignore[operator]


def test_a_dropped_slot_and_lost_packets_are_gaps(night: Lake, truth: pl.DataFrame) -> None:
    mag = rows(night, "l1_mag")
    steps = np.diff(mag["epoch_tt2000"].to_numpy()) / 1e9
    dropped = np.flatnonzero(flagged(mag, "slot_slipped"))
    assert mag["pkt_id"][dropped.tolist()].to_list() == truth.filter(slot_dropped_before=1)["pkt_id"].to_list()
    assert len(dropped) == 1
    assert steps[dropped - 1] == pytest.approx(0.2, abs=1e-4)
    assert steps.max() == pytest.approx(0.1 + 4 * LOST, abs=0.01)
    assert np.count_nonzero(steps > 0.11) == 2


def test_packets_without_a_good_tone_are_flagged_and_kept(night: Lake, truth: pl.DataFrame) -> None:
    mag = rows(night, "l1_mag")
    filled = mag.filter(pl.Series(flagged(mag, "timing_back_filled")))["pkt_id"].unique().sort()
    assert filled.to_list() == truth.filter(timed_by_tone=0)["pkt_id"].to_list()
    assert mag.filter(pl.Series(flagged(mag, "start_packet")))["pkt_id"].to_list() == [1]
    assert np.count_nonzero(flagged(mag, "relay_off")) == 80


def test_every_packet_has_a_status(night: Lake, truth: pl.DataFrame) -> None:
    status = rows(night, "l1_status").join(truth, on="pkt_id")
    assert len(status) == len(truth) - LOST
    good = status.filter(timed_by_tone=1)
    assert (good["tone_tt2000"] == good["tone_tt2000_right"]).all()
    assert status["fg_temp_degc"].is_between(5, 19).all()
    assert not any(flagged(status, "rtc_invalid"))
    # The simulated oscillator keeps its rate: only the steps of one counter lie between the tones and their line.
    assert status["timing_residual_ns"].null_count() == 0
    assert status["timing_residual_ns"].max() < 10_000  # type: ignore[operator]


def test_the_host_s_square_wave_is_gone_from_the_ambient_field(ambient: pl.DataFrame, plasma: Plasma) -> None:
    """200 nT at the inboard sensor: less than 2 % is left, and 0.2 nT rms of everything after a constant offset."""
    heater_on = plasma.host_source_nt[:, 0] > 100
    assert 0.4 < heater_on.mean() < 0.6
    bus = attitude_at(read_scenario(), ambient["epoch_tt2000"].to_numpy()).inv().apply(plasma.b_gse_nt)
    for column, expected in (("b_gse_nt", plasma.b_gse_nt), ("b_bus_nt", bus)):
        error = vectors(ambient[column]) - expected
        known = ~np.isnan(error).any(axis=1)
        assert known.mean() > 0.99
        left = error[known & heater_on].mean(axis=0) - error[known & ~heater_on].mean(axis=0)
        assert np.linalg.norm(left) < 0.02  # nT; 2 % of 200 nT would be 4
        assert np.all(error[known].std(axis=0) < 0.1)
        assert np.all(np.abs(error[known].mean(axis=0)) < 0.02)


def test_the_stated_uncertainty_is_the_one_that_is_there(ambient: pl.DataFrame, plasma: Plasma) -> None:
    error = (vectors(ambient["b_gse_nt"]) - plasma.b_gse_nt)[flags_clear(ambient)]
    sigma = vectors(ambient["b_uncertainty_nt"])[flags_clear(ambient)]
    assert error.std() == pytest.approx(float(sigma.mean()), rel=0.05)


def flags_clear(frame: pl.DataFrame) -> np.ndarray:
    return (frame["quality_flag"] & FLAGS["sensor_missing"] == 0).to_numpy()


def test_the_host_s_field_at_the_inboard_sensor_is_found(ambient: pl.DataFrame, plasma: Plasma) -> None:
    heater, pump = np.array([2, -1, 2]) / 3, np.array([-3, 4, 0]) / 5
    expected = plasma.host_source_nt @ np.stack([heater, pump])
    error = (vectors(ambient["host_b_bus_nt"]) - expected)[flags_clear(ambient)]
    assert np.abs(error.mean(axis=0)).max() < 0.3
    assert error.std(axis=0).max() < 6  # the noise of the sensor


def test_spikes_are_taken_out_of_level_2(night: Lake) -> None:
    level2 = rows(night, "l2_mag")
    for sensor in ("fg", "pni1", "pni2"):
        share = np.mean(flagged(level2, f"despiked_{sensor}"))
        assert 20 / 36_000 / 3 < share < 20 / 36_000 * 3  # 20 spikes an hour
    fg, quick = vectors(level2["fg_b_gse_nt"]), vectors(rows(night, "ql_mag")["fg_b_gse_nt"])
    ambient = np.linalg.norm(fg, axis=1)
    assert np.nanmax(ambient) < 25
    assert np.linalg.norm(quick, axis=1).max() > 30
    # Quick-look knows no temperature: 0.02 nT and 20 ppm for each degC from 20 degC on.
    assert np.nanmedian(np.abs(fg - quick)) < 0.3


@pytest.fixture(scope="module")
def products(night: Lake) -> dict[str, Path]:
    found = {path.name.split("_")[2]: path for path in sorted(night.root.glob("exports/**/*.cdf"))}
    assert tuple(sorted(found)) == PRODUCTS
    return found


def test_the_cdf_holds_the_table(night: Lake, ambient: pl.DataFrame, products: dict[str, Path]) -> None:
    file = cdflib.CDF(str(products["l3-ambient"]), validate=True)
    np.testing.assert_array_equal(file.varget("Epoch"), ambient["epoch_tt2000"].to_numpy())
    expected = np.nan_to_num(vectors(ambient["b_gse_nt"]), nan=-1e31).astype(np.float32)
    np.testing.assert_array_equal(file.varget("b_gse_nt"), expected)
    attributes = file.varattsget("b_gse_nt")
    assert (attributes["UNITS"], attributes["COORDINATE_SYSTEM"]) == ("nT", "GSE")
    assert attributes["DELTA_PLUS_VAR"] == "b_uncertainty_nt"
    mag = cdflib.CDF(str(products["l1-mag"]))
    expected_fg = vectors(rows(night, "l1_mag")["fg_b"])
    np.testing.assert_array_equal(mag.varget("fg_b"), expected_fg)


def test_assumptions_go_with_the_product(products: dict[str, Path]) -> None:
    text = " ".join(cdflib.CDF(str(products["l3-ambient"])).globalattsget()["TEXT"])
    assert "host_sources_20000101" in text
    assert "gain_offset_20000101" in text


def test_a_day_without_its_calibration_is_refused(tmp_path: Path) -> None:
    """Gains that are only valid later: level 1 is there, what needs them is not, and the reason says what to add."""
    missions = tmp_path / "missions"
    shutil.copytree(MISSIONS, missions)
    folder = missions / "hermes" / "nemisis"
    (folder / "calibration" / "gain_offset_20000101.csv").rename(folder / "calibration" / "gain_offset_20270101.csv")
    text = (folder / "instrument.yaml").read_text().replace("gain_offset_20000101", "gain_offset_20270101")
    (folder / "instrument.yaml").write_text(text)
    simulate(read_definitions(MISSIONS), "hermes", "nemisis", DAY, tmp_path / "drop", 1, hours=0.02)
    lake = Lake(tmp_path / "lake", read_definitions(missions))
    ingest(lake, Settings(root=lake.root, settle_seconds=0), [tmp_path / "drop"])
    assert transform(lake, Selection()).exit_code == 1
    assert len(rows(lake, "l1_mag")) > 0
    assert rows(lake, "l2_mag").is_empty()
    assert rows(lake, "l3_ambient").is_empty()
    failed = read_ops(lake, "runs").filter(status="failed")
    assert failed.select("table_name", "day").sort("table_name").rows() == [
        ("hermes.nemisis_l2_mag", DAY),
        ("hermes.nemisis_ql_mag", DAY),
    ]
    assert failed["error"].str.contains(r"no calibration gain_offset is valid. Add .*gain_offset_<yyyymmdd>\.csv").all()


# ---- over midnight -------------------------------------------------------------------------------------------------
NEXT = DAY + timedelta(days=1)
SAMPLES = {"l1_mag": 40, "ql_mag": 40, "l1_status": 1, "l2_mag": 40, "l3_ambient": 40}


@pytest.fixture(scope="module")
def two_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of a file from five minutes before midnight and of one until five minutes after, and the truth in both.

    The instrument is switched on at its first tone, so that nothing was sent before.
    """
    whole, *parts = (tmp_path_factory.mktemp(name) for name in ("whole", "before", "after"))
    late = simulator.read_nemisis_scenario().model_copy(update={"first_tone_s": 86_100.3})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulator, "read_nemisis_scenario", lambda: late)
        simulate(read_definitions(MISSIONS), "hermes", "nemisis", DAY, whole, 5, hours=24 + 5 / 60)
    (file,) = whole.glob("*.bin")
    tones = pl.read_csv(whole / "truth" / f"nemisis_{DAY:%Y%m%d}.csv")["tone_tt2000"].to_numpy()
    first = int(np.searchsorted(tones + 3_100_000_000, day_bounds(NEXT)[0]))
    octets, size = file.read_bytes(), file.stat().st_size // len(tones)
    for folder, part, tone in zip(
        parts, (octets[: first * size], octets[first * size :]), tones[[0, first]], strict=True
    ):
        (folder / l0_name("NEM", int(tone))).write_bytes(part)
        shutil.copytree(whole / "truth", folder / "truth")
    return parts[0], parts[1]


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory, two_files: tuple[Path, Path]) -> Lake:
    """A lake that got both files in one night."""
    lake = Lake(tmp_path_factory.mktemp("once"), read_definitions(MISSIONS))
    receive(lake, *two_files)
    return lake


def receive(lake: Lake, *folders: Path) -> None:
    """A night as far as level 3."""
    take_in(lake, list(folders), new_run_id(utc_now()), utc_now(), 0)
    assert not build_all(lake, new_run_id(utc_now())).failed


def test_two_days_hold_every_sample_once(at_once: Lake, two_files: tuple[Path, Path]) -> None:
    truth = pl.read_csv(two_files[0] / "truth" / f"nemisis_{DAY:%Y%m%d}.csv")
    mag, midnight = rows(at_once, "l1_mag"), day_bounds(NEXT)[0]
    assert len(mag) == 40 * len(truth) == 40 * 150
    assert mag.select("pkt_id", "sample").is_unique().all()
    both = mag.join(truth, on="pkt_id")
    for sample, column in ((0, "first_sample_tt2000"), (39, "last_sample_tt2000")):
        ends = both.filter(sample=sample)
        assert (ends["epoch_tt2000"] - ends[column]).abs().max() <= 1000  # type: ignore[operator]
    assert (mag["day"] == pl.Series([DAY, NEXT])[(mag["epoch_tt2000"] >= midnight).cast(pl.Int8)]).all()
    # One packet has samples on both days, and came with the second file.
    packets = mag.group_by("pkt_id").agg(pl.col("day").n_unique())
    assert packets["day"].to_list().count(2) == 1
    assert mag.filter(day=DAY)["epoch_tt2000"].max() > midnight - 101_000_000  # type: ignore[operator]


def test_a_second_file_that_comes_a_night_later_gives_the_same(
    tmp_path: Path, at_once: Lake, two_files: tuple[Path, Path]
) -> None:
    lake = Lake(tmp_path, read_definitions(MISSIONS))
    receive(lake, two_files[0])
    alone = rows(lake, "l1_mag")
    assert (len(alone), len(alone.filter(day=NEXT))) == (40 * 75, 0)
    receive(lake, two_files[1])
    for name, samples in SAMPLES.items():
        late, once = rows(lake, name), rows(at_once, name)
        assert len(late) == 150 * samples
        assert late.equals(once)
    again = read_ops(lake, "runs").filter(pl.col("reason").str.contains("margin after"), day=DAY, status="done")
    assert {"hermes.nemisis_l1_mag", "hermes.nemisis_l2_mag"} <= set(again["table_name"])
    # What came with the second file is a part of the first day's product, so that file is one of its parents.
    ambient = [lake.definitions.tables["hermes.nemisis_l3_ambient"]]
    check_all(lake, new_run_id(utc_now()), ambient, {DAY})
    assert len(export_all(lake, new_run_id(utc_now()), ambient, {DAY}).published) == 1
    (parents,) = read_ops(lake, "exports").filter(day=DAY)["parents"]
    assert json.loads(parents) == [file.name for folder in two_files for file in folder.glob("*.bin")]
    (version,) = Journal(lake).keys("versions")
    made = reproduce(lake, version)
    assert (made.problems, made.facts["raw_files"], made.facts["equal"]) == ([], 2, True)

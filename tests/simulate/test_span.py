# SPDX-License-Identifier: Apache-2.0
"""What the simulators of HERMES share: the span of a run, its stream of files, its truth, calibrations by the day."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lake.clock import NS, tt2000_of_day
from lake.errors import CalibrationError, StorageError
from simulate.faults import Fault
from simulate.hermes.calibrations import calibration_frame, named_values
from simulate.hermes.plasma import read_scenario
from simulate.hermes.span import Recorder, Span, day_of, finish
from simulate.packets import Packets, assemble
from tests.hermes_merit import MERIT

BEFORE_A_LEAP_SECOND = date(2016, 12, 31)
PACKET = MERIT.packet("counts")


def test_a_span_is_in_whole_seconds_from_midnight_on() -> None:
    span = Span(date(2026, 8, 1), 0.0501)
    assert (span.seconds, span.midnight) == (180, tt2000_of_day(date(2026, 8, 1)))
    assert span.stop == span.midnight + 180 * NS
    assert Span(span.day, 1e-9).seconds == 1


def test_a_leap_second_belongs_to_the_day_that_it_ends() -> None:
    next_midnight = tt2000_of_day(BEFORE_A_LEAP_SECOND + timedelta(days=1))
    assert day_of(next_midnight - NS // 2) == BEFORE_A_LEAP_SECOND
    assert day_of(next_midnight) == BEFORE_A_LEAP_SECOND + timedelta(days=1)
    assert Span(BEFORE_A_LEAP_SECOND, 24).stop == next_midnight - NS


def batches(span: Span) -> list[Packets]:
    """Two batches of two packets, 10 s apart."""
    times = span.midnight + np.arange(4, dtype=np.int64) * 10 * NS
    return [assemble(PACKET, np.arange(i, i + 2), times[i : i + 2], {}) for i in (0, 2)]


def test_a_recorder_names_cuts_and_damages_files_and_the_truth_says_so(tmp_path: Path) -> None:
    span, gap = Span(date(2026, 8, 1), 0.05), timedelta(seconds=10)
    faults = (Fault(kind="gap", stream="merit", start=gap, stop=2 * gap),)
    files = Recorder("merit", "MERIT", tmp_path, 2 * PACKET.min_bytes, faults)
    stream = files.record(span, batches(span), np.random.default_rng(1))
    done = finish(span, stream, read_scenario(), {"merit": b"a,b\n"})
    assert [path.name for path in done.files] == [f"hermes_MERIT_l0_2026213-0000{s}_v0.bin" for s in ("00", "30")]
    assert (done.packets, done.bytes) == (3, 3 * PACKET.min_bytes)
    assert sum(path.stat().st_size for path in done.files) == done.bytes
    truth = tmp_path / "truth"
    assert sorted(p.name for p in truth.iterdir()) == [
        "merit_20260801.csv",
        "merit_faults_20260801.csv",
        "plasma_20260801.csv",
    ]
    assert (truth / "merit_20260801.csv").read_bytes() == b"a,b\n"
    assert pl.read_csv(truth / "merit_faults_20260801.csv")["packets"].to_list() == [1]
    assert pl.read_csv(truth / "plasma_20260801.csv").height == span.seconds // read_scenario().truth_step_s
    with pytest.raises(StorageError):
        finish(span, stream, read_scenario(), {"merit": b"other\n"})


def test_a_calibration_that_is_not_valid_is_named_with_the_day() -> None:
    assert calibration_frame(MERIT, "head", date(2026, 8, 1)).height == 2
    assert named_values(MERIT, "counter", date(2026, 8, 1))["trigger_unit"] == 16
    with pytest.raises(CalibrationError, match="merit: no calibration head is valid on 1999-12-31"):
        calibration_frame(MERIT, "head", date(1999, 12, 31))

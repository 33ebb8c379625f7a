# SPDX-License-Identifier: Apache-2.0
"""What independent checkers say about the sample products, and what a large product costs in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from exports.product import write_product
from tests.exports.conftest import TABLES, make_sample
from tests.referees import UNASSIGNED, astralint_problems, istp_findings, spacepy_complaints

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    for descriptor in TABLES:
        sample = make_sample(descriptor)
        write_product(sample.structure, sample.path(folder), sample.batches, sample.records, sample.edition)
    return folder


@pytest.mark.oracle
def test_istp_checker_has_nothing_to_say_but_for_unregistered_names(samples: Path) -> None:
    findings = {(name.split("_")[2], *found) for name, *found in istp_findings(samples.glob("*.cdf"))}
    # Two photons may come in one tick of the clock.
    assert {found for found in findings if found[1:] not in UNASSIGNED} == {("l1-photon", "V23", "Epoch")}


@pytest.mark.oracle
def test_astralint_has_nothing_to_say_but_for_unregistered_names(samples: Path) -> None:
    unregistered = "WARNING ISTP-GA-002  missing recommended global attribute(s): DOI, spase_DatasetResourceID"
    assert astralint_problems(samples) == [unregistered] * len(TABLES)


@pytest.mark.oracle
def test_spacepy_has_nothing_to_say_but_that_lines_are_no_spectrogram(samples: Path) -> None:
    complaints = {path.name.split("_")[2]: spacepy_complaints(path) for path in samples.glob("*.cdf")}
    waived = [f"{name}: Multi dim variable with time_series display type." for name in ("rate", "rate_error")]
    assert complaints.pop("ql-lightcurve") == waived
    # SPDF wants integers for the reach of a TT2000 time, spacepy times.
    assert complaints.pop("l2-sweep") == [
        *(
            f"Epoch: DELTA_{side}_VAR type CDF_INT8 does not match variable type CDF_TIME_TT2000."
            for side in ("MINUS", "PLUS")
        ),
        *(f"{name}: Multi dim variable with time_series display type." for name in ("pressure", "velocity_km_s")),
    ]
    assert set(complaints) == {"l1-photon", "l1-spectrum", "l1-housekeeping"}
    assert not any(complaints.values())


PEAK = """
import resource, sys
from pathlib import Path
import numpy as np, pyarrow as pa
from exports.product import write_product
from tests.exports.conftest import MIDNIGHT, make_sample
records, folder = int(sys.argv[1]), Path(sys.argv[2])
sample = make_sample("l1_spectrum", n=2)
block = np.zeros(100 * 24 * 280, dtype=np.float32)

def batches(name):
    for start in range(0, records, 100):
        n = min(100, records - start)
        if name == "epoch_tt2000":
            yield pa.array(MIDNIGHT + np.arange(start, start + n))
        elif name == "count_rate":
            yield pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * 6720, pa.array(block[: n * 6720]))
        else:
            yield pa.concat_arrays([sample.data[name][:1]] * n)

write_product(sample.structure, sample.path(folder), batches, records, sample.edition)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _peak_kilobytes(records: int, folder: Path) -> int:
    command = [sys.executable, "-c", PEAK, str(records), str(folder)]
    done = subprocess.run(command, capture_output=True, check=True, text=True, cwd=ROOT)
    return int(done.stdout.split()[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "large").mkdir()
    small = _peak_kilobytes(750, tmp_path / "small")  # count_rate: 20 MB
    large = _peak_kilobytes(7500, tmp_path / "large")  # count_rate: 200 MB
    assert large - small < 12_000

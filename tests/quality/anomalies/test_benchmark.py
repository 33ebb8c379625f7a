# SPDX-License-Identifier: Apache-2.0
"""The benchmark of anomalies in small: eleven days with faults of all kinds, and floors below what it has been."""

from __future__ import annotations

import pytest

from bench.anomalies import Found, count, precision, run
from bench.anomalies_faults import KINDS


@pytest.fixture(scope="module")
def found() -> Found:
    """Six clean days, then five with thirty-two faults."""
    return run(seed=4, days=11, faults=32, clean=(range(6),), checked=False)


def test_nineteen_of_twenty_faults_above_five_sigma_are_alerted(found: Found) -> None:
    large = count([found], KINDS, 5.0)
    assert large.faults >= 15
    assert large.recall >= 0.95


def test_nine_of_ten_alerts_are_about_a_fault_and_none_is_on_a_clean_day(found: Found) -> None:
    assert len(found.episodes) >= 15
    assert precision([found]) >= 0.9
    assert found.on_clean_days == []


def test_a_fault_above_five_sigma_is_one_alert(found: Found) -> None:
    assert count([found], KINDS, 5.0).repeated == 0


def test_spikes_of_one_or_two_rows_are_recorded_and_alert_nobody(found: Found) -> None:
    spikes = [fault for fault in found.faults if fault.short]
    assert spikes
    assert not any(found.of(spike) for spike in spikes)
    assert all(found.told(spike) for spike in spikes if spike.size > 8)

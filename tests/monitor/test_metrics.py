# SPDX-License-Identifier: Apache-2.0
"""The lake for Prometheus: names by its conventions, values that the books have, nothing where nothing is known."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from lake.clock import tt2000_of_day
from lake.heartbeats import metrics, pulses
from lake.store import Lake
from lake.tables import append_ops
from monitor.metrics import lake_metrics, machine_metrics, parts
from monitor.site.facts import Facts
from swxlake.drawing import NIGHT
from tests.browser.seeded_lake import HOSTILE, LATE, MORNING, STAGES, write_books
from tests.toy import DAY, L1, toy_lake

UNITS = ("_seconds", "_bytes", "_ratio")  # base units; what is counted has none
MIDNIGHT = 1_726_444_800  # of DAY, 2024-09-16, in Unix seconds
NOW = MORNING + timedelta(hours=6)


def families(text: bytes) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text.decode())}


def values(text: bytes, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a metric by the values of their labels."""
    return {tuple(sample.labels.values()): sample.value for sample in families(text)[name].samples}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake of which there are books alone."""
    made = toy_lake(tmp_path_factory.mktemp("toy"))
    write_books(made)
    measured = {"table_name": L1, "column_name": "epoch_tt2000", "metric": "max", "content": "", "run_id": "run-1"}
    days = [(DAY, 3.0), (DAY - timedelta(days=1), 5.0)]
    rows = [measured | {"day": day, "value": tt2000_of_day(day) + 1e9 * seconds} for day, seconds in days]
    append_ops(made, "metrics", rows)
    return made


@pytest.fixture(scope="module")
def told(lake: Lake) -> bytes:
    return lake_metrics(Facts(lake, NOW))


def test_names_follow_the_conventions(told: bytes) -> None:
    for name, family in families(told).items():
        assert re.fullmatch(r"swxlake_[a-z0-9]+(_[a-z0-9]+)*", name), name
        assert family.type == "gauge", name
        assert not name.endswith(("_total", "_count", "_sum", "_bucket", "_info")), name
        assert not re.search(r"milli|micro|kilo|mega|minutes|hours|percent", name), name
        assert not re.search(rf"({'|'.join(UNITS)})_", name.replace("_timestamp_seconds", "")), f"{name}: unit last"
        assert family.documentation[0].isupper() or family.documentation[0].isdigit(), name
        assert not family.documentation.endswith("."), name


def test_every_metric_is_told_once_with_its_help_and_type(told: bytes) -> None:
    lines = told.decode().splitlines()
    for word in ("HELP", "TYPE"):
        names = [line.split()[2] for line in lines if line.startswith(f"# {word} ")]
        assert len(names) == len(set(names)) == len(families(told))


def test_the_last_night_is_told_by_stage(told: bytes) -> None:
    began = MORNING + timedelta(minutes=1)
    assert values(told, "swxlake_night_last_timestamp_seconds") == {(): began.timestamp()}
    failed = values(told, "swxlake_night_stage_failed")
    assert failed == {(stage,): float(state == "failed") for stage, state in STAGES.items()}
    assert values(told, "swxlake_night_seconds")["transform",] == 4.5


def test_alerts_files_and_bytes_are_counted(told: bytes) -> None:
    assert values(told, "swxlake_open_alerts")["red",] == 1
    assert values(told, "swxlake_raw_files") == {(): 2}
    assert values(told, "swxlake_raw_bytes") == {(): LATE.bytes + HOSTILE.bytes}


def test_completeness_is_that_of_the_packets(told: bytes) -> None:
    assert values(told, "swxlake_completeness_ratio") == {(): pytest.approx(0.9)}
    assert values(told, "swxlake_packets_missing") == {(): 30}


def test_late_files_and_quarantine_are_those_of_the_books(told: bytes) -> None:
    assert values(told, "swxlake_late_files") == {(): 1}
    assert values(told, "swxlake_quarantined_bytes") == {(): 24}


def test_the_newest_row_is_told_in_unix_seconds(told: bytes) -> None:
    newest = values(told, "swxlake_newest_data_timestamp_seconds")
    assert newest == {("toy", "box_l1_tick"): pytest.approx(MIDNIGHT + 3, abs=1e-3)}


def test_the_machine_has_not_more_free_than_there_is(lake: Lake) -> None:
    told = machine_metrics(lake.root)
    for kind, free in (("disk", "free"), ("memory", "available")):
        left, size = (values(told, f"swxlake_machine_{kind}_{word}_bytes")[()] for word in (free, "size"))
        assert 0 < left <= size


def test_a_disk_that_is_gone_is_left_out(tmp_path: Path) -> None:
    told = machine_metrics(tmp_path / "moved")
    assert "swxlake_machine_cpus" in families(told)
    assert "swxlake_machine_disk_size_bytes" not in families(told)


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    told = lake_metrics(Facts(toy_lake(tmp_path), NOW))
    for name in (
        "night_last_timestamp_seconds",
        "completeness_ratio",
        "latency_seconds",
        "newest_data_timestamp_seconds",
    ):
        assert values(told, f"swxlake_{name}") == {}, name
    assert values(told, "swxlake_raw_files") == {(): 0}


def test_the_file_of_the_night_is_read_with_those_of_services_and_is_none_itself(lake: Lake, tmp_path: Path) -> None:
    (asset,) = parts(Facts(lake, NOW))
    (tmp_path / NIGHT).write_bytes(asset.make())
    assert "swxlake_raw_files" in families(metrics(tmp_path))
    assert pulses(tmp_path, 1, NOW) == []

# SPDX-License-Identifier: Apache-2.0
"""What an alert is made of, and of which of its channels a level can be accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.errors import ConfigurationError
from lake.store import Lake
from lake.tables import append_ops
from quality.alerts.acknowledging import anomalies_of, levels, read_alerts
from quality.alerts.nouns import Alert
from quality.alerts.run import update_alerts
from quality.alerts.stretches import Row
from quality.notices.settings import AlertSettings
from tests.quality.alerts.scene import DAY, HOUR, MINUTE, NOON, RUN, anomaly, open_scene, ops_row, write_anomalies

NOW = NOON + 20 * HOUR
LEVELS = [anomaly(NOON, NOON + HOUR, name, "level", ended=False) for name in "abc"]


def alert_about(lake: Lake, *rows: Row) -> Alert:
    """The first alert that these anomalies give."""
    write_anomalies(lake, rows, [DAY])
    update_alerts(lake, AlertSettings(), NOW)
    return read_alerts(lake)[0]


def test_of_several_channels_each_has_a_level_and_the_rest_of_the_table_has_none(tmp_path: Path) -> None:
    lake = open_scene(tmp_path)
    limit = anomaly(NOON, NOON + HOUR, "d", "red_high", severity="red", ended=False)
    later = anomaly(NOON + 2 * HOUR, NOON + 3 * HOUR, "e", "level", ended=False)
    alert = alert_about(lake, *LEVELS, limit, later)
    assert alert.subject.endswith(" several")
    assert levels(lake, alert) == ["a", "b", "c"]


@pytest.mark.parametrize("rule", ["gap", "trend:latency_p95_s", "ratio:live"])
def test_a_table_has_no_level(tmp_path: Path, rule: str) -> None:
    lake = open_scene(tmp_path)
    alert = alert_about(lake, anomaly(NOON, NOON + HOUR, "", rule, ended=False))
    with pytest.raises(ConfigurationError, match="has no level to accept"):
        levels(lake, alert)


@pytest.mark.parametrize("rule", ["yellow_high", "rate", "stuck"])
def test_a_channel_out_of_limits_has_no_level(tmp_path: Path, rule: str) -> None:
    lake = open_scene(tmp_path)
    with pytest.raises(ConfigurationError, match=rf"voltage_v \({rule}\) has no level to accept"):
        levels(lake, alert_about(lake, anomaly(NOON, NOON + HOUR, rule=rule, ended=False)))


def test_the_metric_of_a_column_has_a_level(tmp_path: Path) -> None:
    lake = open_scene(tmp_path)
    trend = anomaly(NOON, NOON + HOUR, "quality_flag", "trend:flagged_share", ended=False)
    assert levels(lake, alert_about(lake, trend)) == ["quality_flag"]


def test_an_outage_is_made_of_the_gaps_of_all_its_tables(tmp_path: Path) -> None:
    lake = open_scene(tmp_path)
    other = "toy.box_l1_other"
    alert = alert_about(
        lake, anomaly(NOON, NOON + HOUR, "", "gap", ended=False), anomaly(NOON + 5 * MINUTE, NOON + HOUR)
    )
    whole = Alert(**{**vars(alert), "subject": "toy.box outage"})
    same = {"mission": "toy", "instrument": "box", "samples": 3, "run_id": RUN}
    append_ops(lake, "anomalies", [ops_row(anomaly(NOON, NOON + HOUR, "", "gap", table=other)) | same])
    assert anomalies_of(lake, whole)["table_name"].to_list() == [other, alert.table]
    assert anomalies_of(lake, alert)["table_name"].to_list() == [alert.table]

# SPDX-License-Identifier: Apache-2.0
"""The alert rules: of a form that Prometheus takes, about metrics that there are, with what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from lake.clock import utc_now
from lake.config import CHECKOUT
from lake.health import Health
from monitor.metrics import lake_metrics, machine_metrics
from monitor.site.facts import Facts
from tests.toy import toy_lake

RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((CHECKOUT / "deploy" / "prometheus" / "rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]


def test_every_rule_records_or_alerts_and_none_does_both() -> None:
    for rule in RULES:
        assert ("alert" in rule) != ("record" in rule)
        assert set(rule) <= {"alert", "record", "expr", "for", "labels", "annotations"}
        assert [rule["expr"].count(bracket) for bracket in "([{"] == [rule["expr"].count(bracket) for bracket in ")]}"]
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)


def test_every_alert_waits_and_says_what_and_what_to_do() -> None:
    for rule in ALERTS:
        assert re.fullmatch(r"\d+m", rule["for"])
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_rules_are_about_metrics_that_services_write() -> None:
    sources = "\n".join(path.read_text() for path in (CHECKOUT / "exports" / "forward").rglob("*.py"))
    for rule in RULES:
        for service, name in re.findall(r"\bswxlake_(forward_push|forward|watch)_([a-z_]+)", rule["expr"]):
            known = name in Health(service).exposition().decode() or f'"{name}"' in sources
            assert known, f"swxlake_{service}_{name}"


def test_rules_are_about_metrics_that_a_night_leaves(tmp_path: Path) -> None:
    told = (lake_metrics(Facts(toy_lake(tmp_path), utc_now())) + machine_metrics(tmp_path)).decode()
    expressions = " ".join(rule["expr"] for rule in RULES)
    ours = set(re.findall(r"\bswxlake_(?!watch|forward)[a-z_]+", expressions)) - {"swxlake_"}
    assert len(ours) == 7
    assert {name for name in ours if f"# TYPE {name} gauge" not in told} == set()


def test_the_unit_of_a_silent_service_is_named_as_it_is_called() -> None:
    (rule,) = [rule for rule in ALERTS if rule["alert"] == "SwxlakeServiceSilent"]
    told = re.search(
        r"unit swxlake-{{ reReplaceAll \"(.)\" \"(.)\" \$labels.service }} ", rule["annotations"]["description"]
    )
    assert told is not None
    unit = f"swxlake-{'forward_push'.replace(told[1], told[2])}.service"
    assert (CHECKOUT / "deploy" / "systemd" / unit).is_file()


def test_the_rule_about_silence_finds_the_heartbeat_of_every_service() -> None:
    (rule,) = [rule for rule in RULES if rule.get("record") == "swxlake:heartbeat_age_seconds"]
    pattern = re.search(r'__name__=~"([^"]*)"', rule["expr"])
    service = re.search(r'"__name__", "([^"]*)"', rule["expr"])
    assert pattern is not None
    assert service is not None
    for name in ("watch", "forward_push"):
        metric = re.search(r"^(\S+) [\d.e+]+$", Health(name).exposition().decode(), re.MULTILINE)
        assert metric is not None
        assert re.fullmatch(pattern[1], metric[1])
        found = re.fullmatch(service[1], metric[1])
        assert found is not None
        assert found[1] == name

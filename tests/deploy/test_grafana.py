# SPDX-License-Identifier: Apache-2.0
"""Grafana's files: of a form that it takes, about metrics that are told and parameters that HAPI serves."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from exports.books import products
from exports.hapi.fields import fields_of
from exports.istp.globals import logical_source
from exports.istp.structure import compile_product
from lake.config import CHECKOUT
from lake.definition_files import read_definitions

FOLDER = CHECKOUT / "deploy" / "grafana"
SOURCES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "datasources" / "swxlake.yaml").read_text())["datasources"]
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((FOLDER / "dashboards").glob("*.json"))
}
PANELS = [(name, panel) for name, dashboard in DASHBOARDS.items() for panel in dashboard["panels"]]
TARGETS = [target for _, panel in PANELS for target in panel["targets"]]
EXPRESSIONS = [target["expr"] for target in TARGETS if "expr" in target]
HAPI = [target for target in TARGETS if "url" in target]
GRID = 24  # columns of a dashboard of Grafana
DAY = date(2026, 8, 1)  # axes have values on a day
METRICS = (CHECKOUT / "monitor" / "metrics.py").read_text()
RULES = (CHECKOUT / "deploy" / "prometheus" / "rules.yaml").read_text()


def test_data_sources_are_known_by_name_and_address_and_hold_no_secret() -> None:
    kinds = {source["uid"]: source["type"] for source in SOURCES}
    assert kinds == {"swxlake-metrics": "prometheus", "swxlake-telemetry": "yesoreyeram-infinity-datasource"}
    for source in SOURCES:
        assert re.fullmatch(r"\$SWXLAKE_[A-Z]+", source["url"])
        assert source["access"] == "proxy"
        assert "secureJsonData" not in source
    telemetry = SOURCES[1]
    assert telemetry["jsonData"]["allowedHosts"] == [telemetry["url"]]


def test_the_provider_reads_dashboards_and_keeps_them_as_they_are() -> None:
    (provider,) = yaml.safe_load((FOLDER / "dashboards" / "swxlake.yaml").read_text())["providers"]
    assert (provider["type"], provider["allowUiUpdates"], provider["disableDeletion"]) == ("file", False, True)


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_a_dashboard_is_whole_and_in_utc(name: str) -> None:
    dashboard = DASHBOARDS[name]
    assert dashboard["uid"] == f"swxlake-{name}"
    assert dashboard["timezone"] == "utc"
    assert dashboard["schemaVersion"] >= 36
    assert "id" not in dashboard  # a number of one server
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert all(panel["title"] and panel["description"] for panel in dashboard["panels"])


@pytest.mark.parametrize("name", sorted(DASHBOARDS))
def test_panels_lie_on_the_grid_and_not_on_one_another(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARDS[name]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= GRID
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_panel_asks_a_data_source_that_is_provided() -> None:
    known = {(source["type"], source["uid"]) for source in SOURCES}
    for target in TARGETS:
        assert (target["datasource"]["type"], target["datasource"]["uid"]) in known
    assert all(len({t["refId"] for t in panel["targets"]}) == len(panel["targets"]) for _, panel in PANELS)


def test_every_metric_is_told_by_the_lake_or_recorded_by_a_rule() -> None:
    assert EXPRESSIONS
    for expression in EXPRESSIONS:
        names = re.findall(r"swxlake[_:][a-z0-9_]+", expression)
        assert names, expression
        for name in names:
            told = f'"{name.removeprefix("swxlake_")}"' in METRICS or f'_{name.removeprefix("swxlake_")}"' in METRICS
            assert told or f"record: {name}\n" in RULES, name
        assert [expression.count(bracket) for bracket in "([{"] == [expression.count(bracket) for bracket in ")]}"]


def served() -> dict[str, list[str]]:
    """The parameters of every dataset of HAPI, from the definitions."""
    definitions = read_definitions(CHECKOUT / "missions")
    found = {}
    for product, table in products(definitions):
        instrument, mission = definitions.instrument(table), definitions.mission(table.mission)
        fields = fields_of(compile_product(product, definitions.on_day(table, DAY), instrument, mission), ())
        found[logical_source(table, instrument)] = [field.name for field in fields]
    return found


def test_every_series_is_a_parameter_that_hapi_serves_in_its_order() -> None:
    known = served()
    assert HAPI
    for target in HAPI:
        asked = {each["key"]: each["value"] for each in target["url_options"]["params"]}
        assert set(asked) == {"dataset", "parameters", "start", "stop", "format"}
        names = asked["parameters"].split(",")
        assert names == [name for name in known[asked["dataset"]] if name in names]
        assert target["csv_options"]["columns"] == asked["parameters"]  # the CSV of HAPI has no header
        assert [column["selector"] for column in target["columns"]] == names
        assert [column["type"] for column in target["columns"]] == ["timestamp"] + ["number"] * (len(names) - 1)


def test_fill_values_are_taken_out_before_they_are_drawn() -> None:
    for _, panel in PANELS:
        drawn = [c["text"] for t in panel["targets"] for c in t.get("columns", ()) if c["type"] == "number"]
        filtered = [f for change in panel.get("transformations", ()) for f in change["options"]["filters"]]
        assert [f["fieldName"] for f in filtered] == drawn
        assert all(f["config"] == {"id": "lower", "options": {"value": -1e30}} for f in filtered)


def test_the_files_stand_where_the_page_says() -> None:
    page = (CHECKOUT / "docs" / "how-to" / "use-grafana.md").read_text()
    for place in re.findall(r"deploy/grafana/[a-z]+/?[a-z.]*", page):
        assert Path(CHECKOUT / place.rstrip("/")).exists(), place

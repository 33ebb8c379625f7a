# SPDX-License-Identifier: Apache-2.0
"""The static pages have every channel with its newest value, and scripts with envelopes in which no spike is lost."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.catalog import refresh
from lake.store import Lake
from lake.watch_definitions import Limit, Mode
from monitor.envelopes.channels import find
from monitor.site import places
from monitor.site.facts import Facts
from monitor.site.page import Asset, Page
from monitor.viewer.pages import parts
from monitor.viewer.sparklines import spark
from monitor.viewer.static_data import Part, by_month, month_start, script, scripts
from monitor.viewer.telling import is_in, marks, verdict
from tests.monitor.envelopes.box import ADDRESS, HOUR, MIDNIGHT, US, no_views_in
from tests.monitor.viewer.viewed_lake import ALERT, GAP, HOSTILE, NOW, SPIKE, SPIKE_AT, build, moment
from tests.toy import toy_lake


class Elements(HTMLParser):
    """The elements of a page by name, and the text of its JSON."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.data = ""
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self._inside = ("type", "application/json") in attrs

    def handle_data(self, data: str) -> None:
        self.data += data if self._inside else ""
        self._inside = False


def page(viewed: Lake, path: str) -> str:
    return viewed.storage.read(places.SITE + path).decode()


def told(viewed: Lake) -> dict[str, Any]:
    """What the page of the table tells its scripts."""
    found: dict[str, Any] = json.loads(Elements(page(viewed, places.channels(ADDRESS))).data)
    return found


def data(viewed: Lake, part: str, channel: str = "temp_degc") -> dict[str, Any]:
    """What a script holds."""
    text = page(viewed, places.channel_data(ADDRESS, channel, part))
    found = re.fullmatch(r"swxlakeData\((.*)\);\n", text)
    assert found
    address, name, told_part, values = json.loads(f"[{found[1]}]")
    assert (address, name, told_part) == (ADDRESS, channel, part)
    assert isinstance(values, dict)
    return values


@pytest.mark.parametrize("part", ["days", "2024-09", "ten_minutes"])
def test_the_spike_is_in_each_script_with_its_exact_value(viewed: Lake, part: str) -> None:
    found = data(viewed, part)
    place = found["high"].index(SPIKE)
    start = (found["first"] + found["at"][place] * found["width"]) * US
    assert start <= SPIKE_AT < start + found["width"] * US
    assert max(found["mean"]) < 25, "means alone would hide it"


def test_buckets_without_rows_are_not_in_the_scripts(viewed: Lake) -> None:
    found = data(viewed, "ten_minutes")
    starts = [(found["first"] + at * found["width"]) * US for at in found["at"]]
    assert len(starts) == 3 * 144 - 15
    assert not [at for at in starts if GAP[0] <= at < GAP[1]]
    assert sum(found["count"]) == 3 * 8640 - 900


def test_a_float32_has_the_digits_that_tell_it(viewed: Lake) -> None:
    assert set(data(viewed, "days", "b_nt.y")["high"]) == {20.1}


def test_the_page_tells_its_scripts_what_they_draw(viewed: Lake) -> None:
    found = told(viewed)
    assert found["span"][1] > SPIKE_AT > found["span"][0]
    first = found["channels"][0]
    assert (first["name"], first["unit"], first["label"]) == ("temp_degc", "degC", "Temperature")
    assert [limit["severity"] for limit in first["limits"]] == ["yellow", "red"]
    assert first["scripts"]["days"] == places.channel_data(ADDRESS, "temp_degc", "days")
    alert = next(mark for mark in found["marks"] if mark["to"] == places.alert(ALERT))
    assert alert["start"] == "2024-09-17T14:23:40.123457Z"
    gap = found["marks"][-1]
    assert (gap["kind"], gap["word"], gap["column"]) == ("anomaly", "gap", "")


def test_an_alert_is_where_its_anomalies_are(viewed: Lake) -> None:
    marks = told(viewed)["marks"]
    spans = {(mark["kind"], mark["word"]): [span["start"][11:19] for span in mark["spans"]] for mark in marks}
    assert spans == {
        ("alert", "checks"): [],
        ("alert", "red_high"): ["22:23:40", "14:23:40"],
        ("anomaly", "red_high"): [],
        ("anomaly", "gap"): ["04:00:00"],
    }


@pytest.mark.parametrize(
    ("subject", "columns"),
    [(f"{ADDRESS} several", {"temp_degc"}), ("toy.box outage", {""}), (f"{ADDRESS} build", set())],
)
def test_an_alert_has_the_anomalies_of_what_it_is_about(viewed: Lake, subject: str, columns: set[str]) -> None:
    class Changed(Facts):
        """The same but for the one alert that there is."""

        def ops(self, name: str) -> pl.DataFrame:
            found = super().ops(name)
            if name != "alerts":
                return found
            about = {"subject": subject, "column_name": "", "rules": "gap, red_high", "start_time": moment(GAP[0])}
            changed = [pl.lit(value).cast(found.schema[word]).alias(word) for word, value in about.items()]
            return found.filter(pl.col("alert_id") == ALERT).with_columns(changed)

    found = marks(Changed(viewed, NOW), viewed.definitions.tables[ADDRESS])
    (alert,) = [mark for mark in found if mark["kind"] == "alert"]
    assert {span["column"] for span in alert["spans"]} == columns


def test_text_of_others_is_text(viewed: Lake) -> None:
    text = page(viewed, places.channels(ADDRESS))
    assert HOSTILE not in text
    assert HOSTILE in {mark["text"] for mark in told(viewed)["marks"]}
    assert "b" not in Elements(text).names


def test_the_index_has_the_newest_values_and_what_their_limits_say(viewed: Lake) -> None:
    text = page(viewed, places.CHANNELS)
    assert "newest 2024-09-18 23:59:50" in text
    assert "Within limits" in text
    assert f'href="../{places.channels(ADDRESS, "b_nt.y")}"' in text
    assert text.count('class="spark"') == 6


def test_pages_that_did_not_change_are_not_written_again(viewed: Lake) -> None:
    build(viewed)
    assert build(viewed).built.written == 0


def test_a_lake_without_data_has_its_pages(tmp_path: Path) -> None:
    with no_views_in(tmp_path):
        found = list(parts(Facts(toy_lake(tmp_path), NOW)))
    assert [part.path for part in found] == [places.CHANNELS]


def test_a_table_without_rows_has_a_page_that_says_so(viewed: Lake, tmp_path: Path) -> None:
    empty = Lake(tmp_path, viewed.definitions)
    found = {part.path: part for part in parts(Facts(empty, NOW))}
    table = found[places.channels(ADDRESS)]
    assert isinstance(table, Page)
    assert table.about["empty"] is True


def test_a_table_that_cannot_be_read_has_a_page_that_says_why(viewed: Lake, tmp_path: Path) -> None:
    shutil.copytree(viewed.root, tmp_path / "lake")
    broken = Lake(tmp_path / "lake", viewed.definitions)
    refresh(broken)
    for path in (tmp_path / "lake/tables/toy/box_l1_field").rglob("*.parquet"):
        path.write_bytes(b"damaged")
    found = {part.path: part for part in parts(Facts(broken, NOW))}
    table = found[places.channels(ADDRESS)]
    assert isinstance(table, Page)
    assert "Parquet" in table.about["problem"] or "parquet" in table.about["problem"]
    assert set(found) == {places.CHANNELS, table.path}


def test_hours_are_cut_at_the_ends_of_months(viewed: Lake) -> None:
    channel = find(viewed.definitions, ADDRESS, "is_hot")
    starts = [MIDNIGHT + day * 24 * HOUR for day in (13, 14, 15, 16)]  # from 2024-09-29 on
    values = {f"is_hot.{word}": [1.0, 0.0, 1.0, 0.0] for word in ("low", "high", "mean")}
    time = pl.Series(starts).cast(pl.Datetime("us", "UTC"))
    rows = pl.DataFrame({"time": time, "count": [1, 2, 3, 4], **values})
    found = list(by_month(Part("day", "days", 86_400, starts[0], starts[-1] + 24 * HOUR, rows)))
    assert [(part.name, part.rows.height) for part in found] == [("2024-09", 2), ("2024-10", 2)]
    assert found[0].stop_us == found[1].start_us == starts[2]
    assert b'"count":[3,4]' in script(ADDRESS, channel, found[1])


def test_a_script_is_written_again_for_other_rows_not_for_means_summed_in_another_order(viewed: Lake) -> None:
    channels = (find(viewed.definitions, ADDRESS, "temp_degc"),)
    time = pl.Series([MIDNIGHT]).cast(pl.Datetime("us", "UTC"))

    def mark(mean: float, **marks: str) -> str:
        values = {"time": time, "count": [2], "temp_degc.low": [0.1], "temp_degc.high": [0.3], "temp_degc.mean": [mean]}
        days = {date.fromisoformat(f"2024-09-{day[1:]}"): word for day, word in marks.items()}
        (asset,) = scripts(ADDRESS, channels, Part("day", "days", 86_400, 0, 1, pl.DataFrame(values), days))
        return asset.mark

    assert mark(0.2, d16="a") == mark(0.1 + 0.1 + 1e-16, d16="a")
    assert len({mark(0.2, d16="a"), mark(0.2, d16="b"), mark(0.2, d17="a"), mark(0.2, d16="a", d17="b")}) == 4


def test_hours_begin_with_a_month_so_that_what_is_over_is_not_written_again() -> None:
    july = round(datetime(2026, 7, 1, tzinfo=UTC).timestamp()) * US
    assert month_start(july) == july
    assert month_start(july - 1) == round(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) * US
    assert month_start(july + 30 * 24 * HOUR) == july


def test_a_bucket_is_in_the_script_if_it_has_extremes(viewed: Lake) -> None:
    values = {"is_hot.low": [0.0, None], "is_hot.high": [1.0, None], "is_hot.mean": [None, None]}
    time = pl.Series([MIDNIGHT, MIDNIGHT + HOUR]).cast(pl.Datetime("us", "UTC"))
    rows = pl.DataFrame({"time": time, "count": [2, 2], **values}, schema_overrides=dict.fromkeys(values, pl.Float64))
    part = Part("hour", "hours", 3600, MIDNIGHT, MIDNIGHT + 2 * HOUR, rows)
    assert b'"at":[0],"low":[0],"high":[1]' in script(ADDRESS, find(viewed.definitions, ADDRESS, "is_hot"), part)


def test_all_parts_are_pages_or_assets_with_paths_of_the_site(viewed: Lake) -> None:
    for part in parts(Facts(viewed, NOW)):
        assert isinstance(part, Page | Asset)
        assert re.fullmatch(r"channels/[A-Za-z0-9_./-]+", part.path)


# ---- sparklines and verdicts


def test_a_sparkline_is_cut_at_gaps() -> None:
    nothing = float("nan")
    found = spark([0, 1, 2, 5, 6, 7], [0, 0, 0, 0, 0, nothing], [1, 9, 1, 1, 1, nothing], [0.5] * 5 + [nothing], 1)
    assert found.mean.count("M") == 2
    assert found.envelope.count("z") == 2
    assert " 2L" in found.envelope, "the greatest value reaches the upper margin"
    assert spark([], [], [], [], 1).mean == ""


RED = Limit(table="t", column="c", low=0, high=10, source="test")
YELLOW = Limit(table="t", column="c", severity="yellow", high=5, source="test", when=Mode(column="m", any_of=("1..3",)))


@pytest.mark.parametrize(
    ("value", "row", "word"),
    [
        (4, {}, "ok"),
        (6, {}, "ok"),
        (6, {"m": 2}, "yellow"),
        (6, {"m": 4}, "ok"),
        (10, {"m": 4}, "ok"),
        (10.5, {"m": 2}, "red"),
        (None, {"m": 2}, "none"),
        (float("nan"), {"m": 2}, "none"),
        (float("inf"), {}, "red"),
    ],
)
def test_the_worst_limit_that_holds_is_the_verdict(value: float | None, row: dict[str, Any], word: str) -> None:
    assert verdict([YELLOW, RED], value, row) == word


def test_a_mode_may_be_a_text_or_a_truth() -> None:
    assert is_in(Mode(column="m", any_of=("safe", "idle")), {"m": "idle"})
    assert is_in(Mode(column="m", any_of=("1",)), {"m": True})
    assert not is_in(Mode(column="m", any_of=("1",)), {})


def test_without_limits_there_is_no_verdict() -> None:
    assert verdict([], 1.0, {}) == "none"

# SPDX-License-Identifier: Apache-2.0
"""The figures are those that one counts by hand from the books."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from lake.answers import Answers
from lake.catalog import refresh
from lake.store import Lake
from monitor.site import queries
from monitor.site.arrivals import late_files, latencies
from monitor.site.facts import Facts
from monitor.site.figures import figures, nights, product_days
from monitor.site.states import State, states
from tests.monitor.site.toy_books import HOSTILE, NEXT, NOW, put
from tests.toy import DAY, L0, L1, QL, receive, toy_lake
from tests.toy_product import build, exported, lake_with_product, now


def test_the_window_is_from_the_first_day_with_data_to_the_day_after_the_last(facts: Facts) -> None:
    assert figures(facts).window == (DAY, NEXT + timedelta(days=1))


def test_packets_are_summed_and_repetitions_do_not_count(facts: Facts) -> None:
    known = figures(facts)
    assert (known.received, known.expected, known.packets_missing) == (140, 150, 10)
    assert known.completeness == pytest.approx(14 / 15)


def test_quarantine_counts_files_of_the_window_and_those_without_a_day_that_were_found_since(facts: Facts) -> None:
    known = figures(facts)
    assert (known.quarantined_stretches, known.quarantined_bytes) == (2, 42)


def test_latency_is_that_to_the_receipt_and_from_there_to_the_end_of_the_first_build(facts: Facts) -> None:
    known = figures(facts)
    assert latencies(facts)["build_s"].to_list() == pytest.approx([20.0])
    assert (known.latency_p50_s, known.latency_p95_s) == pytest.approx((120.0, 220.0))


def test_products_pass_that_were_exported_and_whose_build_did_not_fail(facts: Facts) -> None:
    found = product_days(facts).select("product", "day", "state", "exported", "passed").rows()
    assert found == [(L1, DAY, "made", True, True), (L1, NEXT, "failed", False, False)]
    assert (figures(facts).products, figures(facts).products_passed, figures(facts).failed_runs) == (2, 1, 1)


def test_open_alerts_count_by_severity_and_not_once_they_are_known_or_over(facts: Facts) -> None:
    known = figures(facts)
    assert (dict(known.open_alerts), known.acknowledged_alerts) == ({"red": 1}, 1)


def test_a_file_is_late_after_its_missions_hours_from_the_end_of_the_day_in_its_name(facts: Facts) -> None:
    found = late_files(facts)
    assert found.select("name", "day", "late_s").rows() == [("late <b>.dat", NEXT, 100 * 3600.0)]
    assert figures(facts).late_files == 1


def test_the_last_night_has_the_worst_state_of_its_stages_and_the_sum_of_their_times(facts: Facts) -> None:
    last, before = nights(facts, 60)
    assert (last.state, last.seconds, [stage.name for stage in last.stages]) == ("warn", 5.5, ["ingest", "transform"])
    assert before.state == "failed"
    assert figures(facts).last_night == last


def test_each_table_day_has_the_word_that_its_books_say(facts: Facts) -> None:
    found = states(facts)
    assert {key: state.word for key, state in found.items()} == {
        (L0, DAY): "made",
        (L1, DAY): "made",
        (QL, DAY): "stale",
        (L0, NEXT): "made",
        (L1, NEXT): "failed",
        (QL, NEXT): "waiting",
    }
    assert found[QL, DAY].why == "gain changed"
    assert found[L1, NEXT].why == HOSTILE
    assert figures(facts).table_days["stale"] == 1


def test_what_the_last_night_should_have_made_is_missing_and_what_came_after_it_is_waited_for(facts: Facts) -> None:
    early, late = "20240918T000000.000000Z-1", "20240921T000000.000000Z-1"
    for run_id, word in ((early, "missing"), (late, "waiting")):
        again = Facts(facts.lake, NOW, {(L1, NEXT): "new"})
        again.contents.runs.pop((L1, NEXT))
        rows = again.ops("contents")
        again._read["contents"] = rows.with_columns(run_id=rows["run_id"].str.replace("^run-b$", run_id))
        assert states(again)[L1, NEXT].word == word


def test_a_product_is_delivered_once_its_newest_event_says_that_it_is_at_a_recipient(facts: Facts) -> None:
    for event, word in (("delivered", "delivered"), ("verified", "delivered"), ("lost", "made"), ("withdrawn", "made")):
        again = Facts(facts.lake, NOW)
        own = {
            "recipient": "spdf",
            "path": "a.cdf",
            "product": L1,
            "day": DAY,
            "entry": "1",
            "version": "1.0.0",
            "place": "x",
        }
        sent = [own | {"number": 1, "event": "failed"}, own | {"number": 2, "event": event}]
        again._read["deliveries"] = pl.DataFrame(sent)
        assert states(again)[L1, DAY].word == word
        assert states(again)[L1, DAY].why == ("spdf" if word == "delivered" else "")


def test_a_product_that_was_rebuilt_since_is_neither_exported_nor_delivered_until_it_is_again(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, lake_with_product(tmp_path, patch) as lake:
        exported(lake)
        sent = {"recipient": "spdf", "product": L1, "day": DAY, "path": "a.cdf", "event": "delivered", "entry": "e"}
        put(lake, "deliveries", sent | {"version": "1.0.0", "number": 1})
        assert standing(lake) == (State("delivered", "spdf"), [True])
        receive(lake, "c", [10, 20])
        build(lake)
        old = "spdf has version 1.0.0, which is not what there is now"
        assert standing(lake) == (State("made", old), [False])
        exported(lake)
        assert standing(lake) == (State("made", old), [True])
        put(lake, "deliveries", sent | {"version": "1.0.1", "number": 1, "path": "b.cdf"})
        assert standing(lake) == (State("delivered", "spdf"), [True])
        refresh(now(lake))
        rows = Answers(now(lake)).ask(queries.product_days(Facts(now(lake), NOW))).to_pylist()
        assert [(row["version"], row["passed"]) for row in rows] == [("1.0.1", True)]


def standing(lake: Lake) -> tuple[State, list[bool]]:
    """The state of the product's day, and whether it passes."""
    facts = Facts(now(lake), NOW)
    return states(facts)[L1, DAY], product_days(facts)["passed"].to_list()


def test_what_came_in_the_last_night_itself_is_missing_if_that_night_did_not_make_it(facts: Facts) -> None:
    for seconds, word in ((3600, "missing"), (1, "waiting")):
        again = Facts(facts.lake, NOW, {(L1, NEXT): "new"})
        again.contents.runs.pop((L1, NEXT))
        rows = again.ops("contents")
        ingested = "20240920T023000.000000Z-1"  # half an hour after the night began
        again._read["contents"] = rows.with_columns(run_id=rows["run_id"].str.replace("^run-b$", ingested))
        began = datetime(2024, 9, 20, 2, tzinfo=UTC)
        nights_ = again.ops("nights").with_columns(started_at=pl.lit(began), seconds=pl.lit(float(seconds)))
        again._read["nights"] = nights_
        assert states(again)[L1, NEXT].word == word


def test_a_rule_that_gates_the_export_is_told_with_its_table_day(facts: Facts) -> None:
    again = Facts(facts.lake, NOW)
    rule = {"table_name": L1, "day": DAY, "rule": "no_nulls", "severity": "fail"}
    again.__dict__["broken"] = pl.DataFrame([rule, rule | {"rule": "odd", "severity": "warn"}])
    assert states(again)[L1, DAY].broken == ("no_nulls",)
    assert product_days(again).filter(day=DAY)["passed"].to_list() == [False]


def test_a_lake_without_data_has_no_numbers_but_zeros(tmp_path: Path) -> None:
    known = figures(Facts(toy_lake(tmp_path), NOW))
    assert (known.window, known.completeness, known.latency_p50_s, known.last_night) == (None, None, None, None)
    assert (known.received, known.products, sum(known.table_days.values())) == (0, 0, 0)

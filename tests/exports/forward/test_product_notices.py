# SPDX-License-Identifier: Apache-2.0
"""A webhook that is told of products as they are published."""

from __future__ import annotations

import json
import threading
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from exports.forward import pushing
from exports.forward.products import KIND, dead_notices
from exports.forward.pushing import Follow, push, push_dead
from lake.ledger import read_ops
from lake.state import State
from lake.tables import append_ops
from tests.exports.forward.stage import NOW, SECRET, Hook, Stage, hook, new_stage
from tests.toy import L1

PRODUCTS = {"events": ["products"]}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SWX_HOOK", SECRET)
    return new_stage(tmp_path)


def publish(stage: Stage, *days: int, run: str = "run-1", status: str = "published") -> None:
    """What an export notes of these days."""
    rows = [
        {
            "product": L1,
            "day": date(2024, 9, day),
            "version": "1.0.0",
            "path": f"cdf/toy_box_l1_202409{day:02d}_v1.0.0.cdf",
            "bytes": 10,
            "sha256": f"{day:064d}",
            "records": 3,
            "parents": "[]",
            "created_at": NOW,
            "run_id": run,
            "status": status,
            "fingerprint": "f",
            "code_version": "c",
            "deliverable": True,
        }
        for day in days
    ]
    append_ops(stage.lake, "exports", rows)


def told(server: Hook) -> list[dict[str, Any]]:
    return [json.loads(body)["data"] for _, body in server.heard]


def days(server: Hook) -> list[str]:
    return [one["day"][-2:] for one in told(server)]


def test_each_published_file_is_told_once_also_when_its_run_goes_on(stage: Stage) -> None:
    with hook() as server:
        settings = stage.settings({"a": server.client(**PRODUCTS)})
        publish(stage, 1, 2)
        publish(stage, 5, status="unchanged")
        given = push(stage.lake, stage.log, settings, NOW).clients[0]
        assert (given.products, given.packets, given.state) == (2, 0, "done")
        publish(stage, 3)
        publish(stage, 4, run="run-2")
        push(stage.lake, stage.log, settings, NOW)
        push(stage.lake, stage.log, settings, NOW)
        assert days(server) == ["01", "02", "03", "04"]
    assert read_ops(stage.lake, "forwards")["detail"].to_list() == ["Told of 2 products."] * 2


def test_what_is_noted_of_a_place_does_not_grow_with_the_files_of_a_run(stage: Stage) -> None:
    with hook() as server:
        settings = stage.settings({"a": server.client(**PRODUCTS)})
        publish(stage, *range(1, 21))
        push(stage.lake, stage.log, settings, NOW)
    assert State(stage.lake, KIND).read("a") == {
        "run": "run-1",
        "at": "2026-08-01T12:00:00.000000Z",
        "path": "cdf/toy_box_l1_20240920_v1.0.0.cdf",
    }


def test_while_following_products_that_were_told_have_a_row(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "BEAT_SECONDS", 0.01)
    with hook() as server:
        publish(stage, 1, 2)
        stop = threading.Event()
        follow = Follow(stop, lambda _: len(server.heard) == 2 and stop.set(), every_seconds=0.01)
        push(stage.lake, stage.log, stage.settings({"a": server.client(**PRODUCTS)}), NOW, how=follow)
    assert read_ops(stage.lake, "forwards")["detail"].to_list() == ["Told of 2 products."]


def test_a_notice_that_is_refused_holds_up_no_other_one(stage: Stage) -> None:
    with hook() as server:
        settings = stage.settings({"a": server.client(**PRODUCTS)}, give_up_seconds=1e-9)
        publish(stage, 1, 2)
        server.answers = [(500, {})] * 2
        push(stage.lake, stage.log, settings, NOW)
        assert len(dead_notices(stage.lake, "a")) == 2
        server.answers = [(400, {})]
        given = push_dead(stage.lake, stage.log, settings, NOW, "a").clients[0]
        assert (given.products, given.state) == (1, "failed")
        assert "did not take a message (HTTP 400)" in given.detail
        assert len(dead_notices(stage.lake, "a")) == 1


def test_a_notice_names_the_file_and_its_hash(stage: Stage) -> None:
    with hook() as server:
        publish(stage, 7)
        push(stage.lake, stage.log, stage.settings({"a": server.client(**PRODUCTS)}), NOW)
        assert json.loads(server.heard[0][1])["type"] == "product"
        (notice,) = told(server)
    assert {
        name: notice[name] for name in ("mission", "instrument", "product", "day", "version", "file", "sha256")
    } == {
        "mission": "toy",
        "instrument": "box",
        "product": L1,
        "day": "2024-09-07",
        "version": "1.0.0",
        "file": "toy_box_l1_20240907_v1.0.0.cdf",
        "sha256": f"{7:064d}",
    }


def test_who_begins_now_or_asks_for_another_instrument_is_not_told_of_what_was(stage: Stage) -> None:
    with hook() as late, hook() as both:
        clients = {
            "late": late.client(**PRODUCTS) | {"start": "now"},
            "both": both.client(events=["packets", "products"]),
        }
        settings = stage.settings(clients)
        publish(stage, 1)
        stage.log.arrive(1)
        push(stage.lake, stage.log, settings, NOW)
        publish(stage, 2)
        push(stage.lake, stage.log, settings, NOW)
        assert days(late) == ["02"]
        assert [json.loads(body)["type"] for _, body in both.heard] == ["packets", "product", "product"]


def test_a_notice_that_is_not_taken_keeps_its_id_and_is_a_dead_letter_after_a_day(stage: Stage) -> None:
    with hook() as server:
        settings = stage.settings({"a": server.client(**PRODUCTS)})
        publish(stage, 1)
        server.answers = [(500, {})] * 3
        for later in (timedelta(), timedelta(seconds=1), timedelta(days=1, seconds=10)):
            pushed = push(stage.lake, stage.log, settings, NOW + later)
        assert pushed.clients[0].state == "given_up"
        assert "The notice is a dead letter" in pushed.problems[0]
        assert push_dead(stage.lake, stage.log, settings, NOW, "a").clients[0].products == 1
        assert len(server.names) == 4
        assert len(set(server.names)) == 1
        assert push_dead(stage.lake, stage.log, settings, NOW, "a").clients[0].products == 0

# SPDX-License-Identifier: Apache-2.0
"""What may go out: product-days built from what the lake holds now, so that a file's Parents are what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exports.books import origin_of, read_books
from exports.export import Exported
from exports.gate import gate
from lake import ledger
from lake.store import Lake
from tests.toy import DAY, L0, L1, TRANSFORMS, receive
from tests.toy_product import build, edit, exported, instrument_file, lake_with_product, last_row, now, rewrite

NEXT = DAY + timedelta(days=1)
STALE = f"{L1}@{DAY} is not built from what is there now; run `swxlake transform`"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """With one exported day."""
    with lake_with_product(tmp_path, monkeypatch) as made:
        assert len(exported(made).published) == 1
        yield made


def reasons(done: Exported) -> list[str]:
    """Why days were blocked; nothing went out."""
    assert (done.published, done.failed) == ([], [])
    return [reason for _, _, reason in done.blocked]


def test_a_late_file_is_not_in_the_parents_before_it_is_in_the_product(lake: Lake) -> None:
    receive(lake, "late", [4])
    assert reasons(exported(lake, force=True)) == [STALE]
    build(lake)
    assert len(exported(lake).published) == 1
    assert last_row(lake)["records"] == 4


def test_a_calibration_that_is_not_applied_yet_blocks_its_day(lake: Lake) -> None:
    instrument_file(lake, "calibration/gain_20240901.csv").write_text("factor\n5\n")
    assert reasons(exported(lake)) == [STALE]
    build(lake)
    assert len(exported(lake).published) == 1


def test_code_that_did_not_run_yet_blocks_its_day(lake: Lake, tmp_path: Path) -> None:
    rewrite(tmp_path, TRANSFORMS.replace("float(factor)", "float(factor) * 10"))
    assert reasons(exported(lake, force=True)) == [STALE]


def test_level_0_that_waits_to_be_decoded_again_blocks_its_day(lake: Lake) -> None:
    edit(lake.definitions.path / "toy" / "mission.yaml", "start: 2024-01-01", "start: 2024-01-02")
    waits = f"{L1}@{DAY} waits for level 0 to be decoded again; run `swxlake ingest`"
    assert reasons(exported(lake, force=True)) == [waits]


def test_a_day_that_nobody_built_yet_blocks_what_descends_from_it(lake: Lake) -> None:
    receive(lake, "b", [1], NEXT)
    today = now(lake)
    table = today.definitions.tables[L1]
    assert gate(today, read_books(today), table, DAY) is None
    later = gate(today, read_books(today), table, NEXT)
    assert later == f"{L1}@{NEXT} is not built from what is there now; run `swxlake transform`"


def test_other_days_go_out_while_one_is_blocked(lake: Lake) -> None:
    receive(lake, "b", [1], NEXT)
    build(lake)
    receive(lake, "late", [4])
    done = exported(lake, force=True)
    assert [(table, day) for table, day, _ in done.blocked] == [(L1, DAY)]
    assert [key.rpartition("_")[0].rpartition("_")[2] for key in done.published] == [f"{NEXT:%Y%m%d}"]


def test_a_day_without_news_is_not_asked_whether_it_may_go_out(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exports.export.gate", lambda *_: pytest.fail("a quiet night looks at the whole lineage"))
    done = exported(lake)
    assert (done.unchanged, done.published, done.blocked) == (1, [], [])


def test_origins_are_those_of_the_contents(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    today = now(lake)
    table = today.definitions.tables[L1]
    decodes, late = ledger._last_decodes, iter([1])

    def meanwhile(lake: Lake) -> object:
        found = decodes(lake)
        if next(late, None):
            receive(lake, "late", [4], DAY)  # another process ingests, right after the books were read
        return found

    monkeypatch.setattr(ledger, "_last_decodes", meanwhile)
    books = read_books(today)
    assert books.held.raw[L0, DAY] == books.held.parents[L0, DAY] == ("a".ljust(64, "0"),)
    assert "late" not in str(origin_of(today, books, table, DAY))
    assert gate(today, books, table, DAY) is None


def test_a_product_of_no_raw_file_does_not_go_out(lake: Lake) -> None:
    books, table = read_books(lake), lake.definitions.tables[L1]
    assert gate(lake, books, table, DAY) is None
    unknown = replace(books, held=replace(books.held, raw={}))
    reason = gate(lake, unknown, table, DAY)
    assert reason == "no raw file is known that it was made from; run `swxlake fsck`, and restore what is lost"


def test_a_product_that_was_lost_is_written_again_and_that_is_said(lake: Lake) -> None:
    path = Path(lake.root) / last_row(lake)["path"]
    before = path.read_bytes()
    path.unlink()
    assert exported(lake).damaged == [f"{path}: was missing; written again"]
    assert path.read_bytes() == before
    assert exported(lake).damaged == []

# SPDX-License-Identifier: Apache-2.0
"""Commits to Delta tables in object storage that fails, drops connections and hangs: each takes effect once."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lake.errors import StorageError, TableError
from lake.ledger import l0_definition, read_ops
from lake.reading import arrow_schema, scan
from lake.store import Journal, Lake
from lake.tables import append, append_ops, day_files, replace_day
from tests.s3_server import Faults, fresh_bucket
from tests.toy import DAY, L0, L1, table_rows, toy_lake

TROUBLE = Faults(fail=0.1, hang=0.02, hang_seconds=3, seed=7)
COMMITS = 5


@pytest.fixture
def lake(moto, monkeypatch, tmp_path):
    """The toy's lake in S3, with a short time limit for each call."""
    monkeypatch.setenv("SWXLAKE_S3_TIMEOUT_SECONDS", "1")
    with fresh_bucket(moto) as root:
        yield replace(toy_lake(tmp_path), root=root)


def until_done(call, *arguments):
    """Repeat what said that it failed, as an operator would; a commit that took effect may have said so."""
    for _ in range(5):
        try:
            return call(*arguments)
        except (StorageError, TableError) as failure:
            error = failure
    raise AssertionError("five failures in a row") from error


def test_files_of_a_commit_that_may_yet_take_effect_stay(lake, monkeypatch):
    """A commit that was given up after its time limit may be written by the storage later."""
    sent = []

    def hanging(*given, **options):
        sent.append((given, options))
        raise DeltaError("no answer")

    write = DeltaTable.create_write_transaction
    monkeypatch.setattr(DeltaTable, "create_write_transaction", hanging)
    with pytest.raises(TableError, match="no answer"):
        _append(lake, 1)
    given, options = sent[-1]
    write(*given, **options)
    assert scan(lake, lake.definitions.tables[L0]).collect()["value"].to_list() == [1]


def _append(lake: Lake, number: int) -> None:
    table, mission = lake.definitions.tables[L0], lake.definitions.mission("toy")
    with day_files(lake, table, l0_definition(mission, mission.instrument("box"))) as files:
        files.write(table_rows(table, [number]), DAY)
        files.close()
        append(lake, files, f"ingest/{number}")


def test_rows_of_a_file_are_there_once(lake, moto):
    with moto.faults(TROUBLE) as counts:
        for number in range(COMMITS):
            until_done(_append, lake, number)
    assert counts["failed"] > 5
    values = scan(lake, lake.definitions.tables[L0]).collect()["value"]
    assert sorted(values) == list(range(COMMITS))


def test_a_row_of_the_books_is_there_once(lake, moto):
    row = {
        "file_sha256": "0" * 64,
        "name": "a",
        "byte_offset": 0,
        "bytes": 1,
        "reason": "junk",
        "detail": "",
        "packets": 0,
        "run_id": "r",
    }
    with moto.faults(replace(TROUBLE, hang=0.0)):
        for number in range(COMMITS):
            append_ops(lake, "quarantine", [row | {"name": str(number)}])
    assert sorted(read_ops(lake, "quarantine")["name"]) == [str(number) for number in range(COMMITS)]


def test_a_day_that_is_replaced_has_the_last_rows_once(lake, moto):
    table = lake.definitions.tables[L1]
    schema = arrow_schema(table, stored=True)
    rows = [
        pa.Table.from_pylist([{"epoch_tt2000": number, "voltage_v": 1.0, "halves_v": [0.5, 0.5]}], schema)
        for number in range(COMMITS)
    ]
    with moto.faults(TROUBLE):
        for piece in rows:
            until_done(replace_day, lake, table, DAY, piece, {})
    assert scan(lake, table).collect()["epoch_tt2000"].to_list() == [COMMITS - 1]


def test_an_entry_of_the_journal_is_written_once_and_who_wrote_it_knows(lake, moto):
    journal, names = Journal(lake), [f"p_v1.0.{number}" for number in range(COMMITS)]
    with moto.faults(TROUBLE):
        written = [journal.write_once("versions", name, {"sha256": name}) for name in names]
        again = [journal.write_once("versions", name, {"sha256": "other"}) for name in names]
    assert written == [True] * COMMITS
    assert again == [False] * COMMITS
    assert {key: entry["sha256"] for key, entry in journal.entries("versions").items()} == {n: n for n in names}

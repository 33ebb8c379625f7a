# SPDX-License-Identifier: Apache-2.0
"""Files that are decoded again, or by other hands than was thought: what is known of the others stays as it was."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ingest import commit, intake, l0
from ingest.arrivals import Arrivals
from ingest.intake import pending_files, take_in
from ingest.landing import land
from ingest.rows import Decoded
from lake import code, tables
from lake.errors import ConfigurationError, StorageError
from lake.ledger import (
    _decoding_code,
    current_contents,
    decoded_contents,
    l0_definition,
    outdated_contents,
    read_contents,
    read_ops,
)
from lake.packet_definitions import Condition, Packet
from lake.reading import table_id
from lake.source_definitions import Transport
from lake.store import Journal, Lake, RawArchive, Receipt
from lake.tables import append_ops, make_anew
from tests.ingest.taken import never_committed, rebuilt, state
from tests.meddea import (
    DEFINITIONS,
    MEDDEA,
    NOON,
    NOW,
    PHOTON_FILE,
    drop,
    empty_lake,
    housekeeping,
    photon,
    rows,
    take,
)

NAMES = [f"padreMDU8_2409161200{number:02}.dat" for number in range(9)]
MISNAMED = "hermes_EEA_l0_2024260-120000_v01.bin"
PADRE = DEFINITIONS.mission("padre")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return empty_lake(tmp_path / "lake")


# ---- the same bytes under two instruments ----------------------------------------------------------------------------
def test_a_misnamed_copy_takes_nothing_from_the_instrument_that_sent_the_bytes(tmp_path: Path, lake: Lake) -> None:
    packets = housekeeping(1), b"junk", housekeeping(2, NOON + 5)
    take(lake, drop(tmp_path, NAMES[0], *packets), run="1")
    before, raw = current_contents(lake), read_contents(lake).raw
    refused = read_ops(lake, "quarantine").filter(instrument="meddea")
    assert (before.height, len(refused)) == (1, 1)
    result = take(lake, drop(tmp_path, MISNAMED, *packets), run="2")
    assert [receipt.instrument for receipt in result.landed.new] == ["eea"]
    assert (current_contents(lake).rows(), read_contents(lake).raw) == (before.rows(), raw)
    assert read_ops(lake, "quarantine").filter(instrument="meddea").rows() == refused.rows()
    assert read_ops(lake, "contents").sort("run_id")["instrument"].to_list() == ["meddea", "eea"]
    assert pending_files(lake) == []


def test_a_later_decoding_without_rows_hides_the_earlier_one_of_the_same_instrument_only(lake: Lake) -> None:
    row = {"table_name": "", "day": NOW.date(), "file_sha256": "a", "rows": 0, "new_rows": 0, "table_id": ""}
    old = row | {"table_name": "padre.meddea_l0_photon", "rows": 3, "new_rows": 3, "definition": "x", "run_id": "1"}
    for mission, instrument, run in (("hermes", "eea", "2"), ("padre", "meddea", "3")):
        append_ops(lake, "contents", [old] if run == "2" else [])
        append_ops(
            lake, "contents", [row | {"mission": mission, "instrument": instrument, "definition": "y", "run_id": run}]
        )
        assert outdated_contents(lake).height == (1 if run == "2" else 0)


# ---- one table made anew ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("table", ["l0_photon_packet", "l0_photon"])
def test_a_file_decoded_again_for_one_table_keeps_its_place_before_later_files(
    tmp_path: Path, lake: Lake, table: str
) -> None:
    shared = [housekeeping(number, NOON + 5 * number) for number in range(6)]
    take(lake, drop(tmp_path, NAMES[0], *shared, photon(1)), run="1")
    take(lake, drop(tmp_path, NAMES[1], *shared), run="2")
    before = state(lake)
    assert read_ops(lake, "files").sort("name")["duplicates"].to_list() == [0, 6]
    assert make_anew(lake, lake.definitions.tables[f"padre.meddea_{table}"])
    assert take(lake, run="3").files == 1
    assert state(lake) == before
    assert sorted(current_contents(lake).filter(pl.col("table_name").str.ends_with("keeping"))["new_rows"]) == [0, 6]


def test_tables_made_anew_give_a_file_that_was_restored_late_its_place_back(tmp_path: Path, lake: Lake) -> None:
    packets = housekeeping(1), photon(1)
    first, second = drop(tmp_path, NAMES[0], *packets), drop(tmp_path, NAMES[1], *packets, housekeeping(2, NOON + 5))
    [receipt] = land(lake, [first], NOW, 0).new
    Path(lake.storage.uri(RawArchive(lake).bytes_key(receipt))).unlink()
    assert len(take(lake, second, run="1").damaged) == 1
    take(lake, first, run="2")
    assert read_ops(lake, "files").sort("arrival")["duplicates"].to_list() == [2, 0]
    for number, table in enumerate(("l0_photon_packet", "l0_photon", "l0_housekeeping")):
        assert make_anew(lake, lake.definitions.tables[f"padre.meddea_{table}"])
        assert take(lake, run=f"3.{number}").files == 2
    assert read_ops(lake, "files").sort("arrival")["duplicates"].to_list() == [0, 2]
    assert state(lake) == state(rebuilt(lake, tmp_path / "rebuilt"))


def test_contents_name_the_table_that_the_rows_were_committed_to(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process makes the table anew between the commit and the books: its rows are gone, and so they say."""
    table = lake.definitions.tables["padre.meddea_l0_housekeeping"]

    def overtaken(*arguments: Any) -> None:
        commit_file(*arguments)
        make_anew(lake, table)

    commit_file = commit.commit_file
    monkeypatch.setattr(intake, "commit_file", overtaken)
    take(lake, drop(tmp_path, NAMES[0], housekeeping(1)), run="1")
    monkeypatch.undo()
    assert read_ops(lake, "contents")["table_id"].to_list() != [table_id(lake, table)]
    assert take(lake, run="2").files == 1
    assert (rows(lake, "l0_housekeeping").height, pending_files(lake)) == (1, [])


# ---- other code ------------------------------------------------------------------------------------------------------
def test_a_worker_with_other_code_ends_the_intake_and_takes_no_rows_away(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(lake, drop(tmp_path, NAMES[0], housekeeping(1)), run="1")
    before = state(lake)

    def outdated(lake: Lake, receipt: Receipt) -> Decoded:
        with monkeypatch.context() as patched:
            patched.setattr(l0, "l0_definition", lambda *_: "f" * 64)
            return l0.decode_file(lake, receipt)

    monkeypatch.setattr(intake, "decode_file", outdated)
    path = drop(tmp_path, NAMES[1], housekeeping(2))
    with pytest.raises(ConfigurationError, match=rf"{NAMES[1]}: .* Restart the workers, then repeat\."):
        take(lake, path, run="2")
    assert (state(lake), never_committed(lake)) == (before, [])
    monkeypatch.undo()
    assert take(lake, run="3").files == 1
    assert sorted(rows(lake, "l0_housekeeping")["sequence_count"]) == [1, 2]


@pytest.mark.parametrize("module", ["ingest/bits.py", "ingest/unpack.py", "lake/clock.py"])
def test_the_code_that_unpacks_is_part_of_the_definition(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = l0_definition(PADRE, MEDDEA)
    parsed = code._parsed

    def changed(path: Path) -> Any:
        tree = parsed(path)
        if path.as_posix().endswith(module):
            tree.body.pop()
        return tree

    monkeypatch.setattr(code, "_parsed", changed)
    code.forget()
    assert l0_definition(PADRE, MEDDEA) != before
    monkeypatch.undo()
    code.forget()
    assert l0_definition(PADRE, MEDDEA) == before


@pytest.mark.parametrize(
    ("change", "module"),
    [
        ({"transports": (Transport(prefix="1acffc1d"),)}, "ingest.transport.markers"),
        ({"packets": (Packet(name="a", apids=(1,), fields=(), max_bytes=7, segmented=True),)},
         "ingest.transport.segments"),
        ({"packets": (Packet(name="a", apids=(1,), fields=(), max_bytes=7, when=(Condition(field="a", value=1),)),)},
         "ingest.variants"),
    ],
)  # fmt: skip
def test_only_those_who_use_it_depend_on_the_code_of_transports_parts_and_conditions(
    change: dict[str, Any], module: str
) -> None:
    modules = {name for name, _ in _decoding_code(MEDDEA.model_copy(update=change))}
    assert module in modules
    plain = {name for name, _ in _decoding_code(MEDDEA)}
    assert module not in plain
    assert not plain & {"ingest.ccsds", "ingest.resync"}


# ---- what is left behind ---------------------------------------------------------------------------------------------
def test_what_was_decoded_ahead_is_removed_when_a_commit_fails(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(ThreadPoolExecutor):
        ahead = 4

    def fail(lake: Lake, files: Any, app_id: str) -> bool:
        for future in submitted:
            future.result()
        raise StorageError("no space left")

    def noted(pool: Any, *arguments: Any) -> Future[Any]:
        submitted.append(submit(pool, *arguments))
        return submitted[-1]

    submitted: list[Future[Any]] = []
    submit = ThreadPoolExecutor.submit
    monkeypatch.setattr(Ahead, "submit", noted)
    monkeypatch.setattr(commit, "append", fail)
    for number in range(4):
        drop(tmp_path / "inbox", NAMES[number], housekeeping(number))
    with Ahead(2) as pool, pytest.raises(StorageError, match="no space left"):
        take_in(lake, [tmp_path / "inbox"], "1", NOW, 0, pool)
    assert (len(submitted), never_committed(lake)) == (4, [])
    monkeypatch.setattr(commit, "append", tables.append)
    assert take(lake, run="2").files == 4


# ---- the order of arrival --------------------------------------------------------------------------------------------
def test_a_file_without_a_place_is_decoded_although_a_lost_receipt_keeps_the_count(tmp_path: Path, lake: Lake) -> None:
    take(lake, drop(tmp_path, NAMES[0], housekeeping(1)), run="1")
    land(lake, [drop(tmp_path, NAMES[1], housekeeping(2))], NOW, 0)
    [(newest, entry)] = list(Journal(lake).entries("arrivals").items())[1:]
    Path(lake.storage.uri(f"journal/arrivals/{newest}.json")).unlink()
    [lost] = Journal(lake).entries("arrivals")["00000001"]["receipts"]
    Path(lake.storage.uri(RawArchive(lake).keys()[lost])).unlink()
    assert take(lake, run="2").files == 1
    assert Arrivals(lake).places(entry["receipts"]) == {entry["receipts"][0]: 2}


def test_a_decoded_file_whose_place_was_lost_gets_another_when_it_is_decoded_again(tmp_path: Path, lake: Lake) -> None:
    take(lake, drop(tmp_path, PHOTON_FILE, photon(1)), run="1")
    for path in Path(lake.storage.uri("journal/arrivals")).iterdir():
        path.unlink()
    make_anew(lake, lake.definitions.tables["padre.meddea_l0_photon"])
    assert take(lake, run="2").files == 1
    assert len(Arrivals(lake).places(read_ops(lake, "files")["receipt"])) == 1


def test_what_lacks_rows_is_looked_for_once(tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bool] = []

    def noted(lake: Lake) -> Any:
        looked.append(True)
        return decoded_contents(lake)

    monkeypatch.setattr(intake, "decoded_contents", noted)
    monkeypatch.setattr(intake, "outdated_contents", lambda lake: noted(lake)[1])
    take(lake, drop(tmp_path, NAMES[0], housekeeping(1)))
    assert looked == [True]


def test_a_receipt_tells_whose_bytes_they_are() -> None:
    receipt = Receipt("n", "a" * 64, 1, "", "", "padre", "meddea", "2024-09-16")
    assert intake.own_bytes(receipt) != intake.own_bytes(replace(receipt, mission="hermes", instrument="eea"))

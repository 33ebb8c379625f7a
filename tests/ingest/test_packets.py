# SPDX-License-Identifier: Apache-2.0
"""The packet log: the packets that ingest decodes, whole and as they were sent, in the order of arrival."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from ingest import packets as module
from ingest import places
from ingest.ccsds import scan_packets
from ingest.landing import land
from ingest.packets import RawPackets
from ingest.transport import forms
from lake.clock import NS, tt2000_of_day
from lake.definition_files import read_definitions
from lake.errors import StorageError
from lake.ledger import read_ops
from lake.packet_log import BEGINNING, Cursor, LoggedPacket, UnreadableFileError, Wanted
from lake.reading import scan
from lake.source_definitions import Frames
from lake.storage import Folder
from lake.store import Journal, Lake, RawArchive
from tests.ingest.test_segments import image, lake_of, whole
from tests.kept_lake import flip, only
from tests.meddea import NOON, drop, empty_lake, housekeeping, photon, take
from tests.packet_lines import NOW, arrive, tick, ticks
from tests.packets import build_packet
from tests.shared_data import telemetry_folder
from tests.toy import DAY, toy_lake, write_missions
from tests.transfer_frames import Link

ALL = Wanted()
NOON_TT2000 = tt2000_of_day(DAY) + 43_200 * NS
REAL = {
    "photon": ("padre", "meddea", "padreMDA0_240916122901.dat"),
    "spectrum": ("padre", "meddea", "padreMDA2_240916122851.dat"),
    "mixed": ("padre", "meddea", "padreMDU8_240916122904.dat"),
    "sharp": ("padre", "sharp", "PADRESP13_250503042550.DAT"),
    "eea": ("hermes", "eea", "hermes_EEA_l0_2023042-000000_v0.bin"),
}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return toy_lake(tmp_path)


def logged(lake: Lake, cursor: Cursor = BEGINNING, wanted: Wanted = ALL) -> list[LoggedPacket]:
    return list(RawPackets(lake).after(cursor, wanted))


def counts(packets: Sequence[LoggedPacket]) -> list[int]:
    return [packet.sequence_count for packet in packets]


# ---- the same packets as level 0 -----------------------------------------------------------------------------------
def assert_as_decoded(lake: Lake) -> list[LoggedPacket]:
    """The log has the packets, bytes and times that level 0 has."""
    packets = logged(lake)
    files = read_ops(lake, "files").sort("arrival")
    assert [len([p for p in packets if p.cursor.arrival == place]) for place in files["arrival"]] == list(
        files["packets"]
    )
    decoded: dict[tuple[str, int, int], tuple[int, int | None, int]] = {}
    for table in lake.definitions.tables.values():
        if table.level == "l0" and table.rows == "packet" and table.packet:
            names = ("file_sha256", "byte_offset", "apid", "packet_bytes", "epoch_tt2000", "sequence_count")
            for sha256, offset, apid, *rest in scan(lake, table).select(names).collect().iter_rows():
                decoded[sha256, offset, apid] = (rest[0], rest[1], rest[2])
    assert {
        (p.file_sha256, p.byte_offset, p.apid): (len(p.data), p.epoch_tt2000, p.sequence_count) for p in packets
    } == decoded
    return packets


@pytest.mark.telemetry
@pytest.mark.parametrize("kind", REAL)
def test_real_files_give_the_packets_and_times_that_ingest_decodes(kind: str, tmp_path: Path) -> None:
    mission, instrument, name = REAL[kind]
    path, lake = telemetry_folder(mission, instrument) / name, empty_lake(tmp_path / "lake")
    take(lake, path)
    packets = assert_as_decoded(lake)
    content = path.read_bytes()
    assert packets
    assert all(content[p.byte_offset : p.byte_offset + len(p.data)] == p.data for p in packets)


def test_packets_of_several_types_keep_their_order_and_bad_ones_are_none(tmp_path: Path) -> None:
    lake = empty_lake(tmp_path / "lake")
    sent = [photon(1), housekeeping(1), photon(2), housekeeping(2, NOON + 5), photon(3)]
    broken = bytearray(sent[2])
    broken[-1] ^= 1
    take(lake, drop(tmp_path / "inbox", "padreMDU8_240916120000.dat", *sent[:2], bytes(broken), *sent[3:]))
    assert [p.data for p in assert_as_decoded(lake)] == [*sent[:2], *sent[3:]]


def test_packets_in_frames_are_freed(tmp_path: Path) -> None:
    missions = write_missions(tmp_path / "missions")
    path = missions / "toy/box/instrument.yaml"
    frames = "{kind: aos, length: 60, sync: 1acffc1d, error_control: true, spacecraft: 42}"
    path.write_text(path.read_text() + f"transports:\n  - {{files: ['toy_box_*'], frames: {frames}}}\n")
    lake = Lake(tmp_path / "lake", read_definitions(missions))
    link = Link(Frames(kind="aos", length=60, sync="1acffc1d", error_control=True))
    for count in range(40):
        link.send(0, build_packet(7, f"{NOON + count:032b}{count:016b}", count))
    take(lake, drop(tmp_path / "inbox", "toy_box_l0_2024260-120000_v0.bin", *link.sent[:3], *link.sent[4:]))
    assert [p.data for p in assert_as_decoded(lake)] == [packet for packet, at in link.packets() if 3 not in at]


def test_parts_are_joined_as_ingest_joins_them(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, "leap")
    groups = [image(1, 0, 2), image(4, 1, 3), image(8, 2, 0)]
    sent = [part for group in groups for part in group]
    take(lake, drop(tmp_path / "inbox", "toy_box_l0_2024260-120000_v0.bin", *sent))
    assert [p.data for p in assert_as_decoded(lake)] == [whole(group) for group in groups]


def test_packets_that_do_not_fit_their_definition_are_none(lake: Lake, tmp_path: Path) -> None:
    long = build_packet(7, "0" * 8 * 6 + "1" * 80, 1)
    take(lake, drop(tmp_path / "in", "toyMDA0_240916120000.dat", tick(0), long, tick(2)))
    assert counts(assert_as_decoded(lake)) == [0, 2]


def test_a_file_of_records_has_no_packets_and_the_next_one_follows(tmp_path: Path) -> None:
    lake = empty_lake(tmp_path / "lake")
    records = telemetry_folder("padre", "craft") / "padre_get_EPS_9_Data_1761872211190_1762025056586.csv"
    take(lake, records)
    take(lake, drop(tmp_path / "inbox", "padreMDU8_240916120000.dat", housekeeping(1)))
    assert [str(p.cursor) for p in logged(lake)] == ["2.1"]


# ---- positions -----------------------------------------------------------------------------------------------------
def test_files_come_in_the_order_in_which_they_arrived(lake: Lake, tmp_path: Path) -> None:
    for place, first in enumerate((40, 0, 20), 1):
        arrive(lake, tmp_path / "in", ticks(first, 3), 100 - place)
    assert counts(logged(lake)) == [40, 41, 42, 0, 1, 2, 20, 21, 22]
    assert [str(p.cursor) for p in logged(lake)][2:5] == ["1.3", "2.1", "2.2"]


def test_any_cursor_goes_on_right_behind_its_packet(lake: Lake, tmp_path: Path) -> None:
    arrive(lake, tmp_path / "in", ticks(0, 3), 1)
    arrive(lake, tmp_path / "in", ticks(3, 3), 2)
    packets = logged(lake)
    for number, packet in enumerate(packets, 1):
        assert logged(lake, packet.cursor) == packets[number:]
    assert logged(lake, RawPackets(lake).end()) == []


def test_ids_are_the_same_whoever_asks_and_tell_packets_apart(lake: Lake, tmp_path: Path) -> None:
    arrive(lake, tmp_path / "in", [tick(5), tick(5), tick(5)], 1)
    ids = [p.id for p in logged(lake)]
    assert len(set(ids)) == 3
    assert [p.id for p in logged(lake, wanted=Wanted(first=0))] == ids


def test_what_arrives_later_is_behind_the_end_of_before(lake: Lake, tmp_path: Path) -> None:
    log = RawPackets(lake)
    assert (log.end(), list(log.after(log.end(), ALL))) == (Cursor(1, 0), [])
    for place in range(1, 4):
        end = log.end()
        begun = log.after(end, ALL)
        arrive(lake, tmp_path / "in", ticks(10 * place, 2), place)
        assert list(begun) == []
        assert counts(list(log.after(end, ALL))) == [10 * place, 10 * place + 1]


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is listed from now on."""
    found, entries = list[str](), Folder.entries
    monkeypatch.setattr(Folder, "entries", lambda self, prefix: found.append(prefix) or entries(self, prefix))
    return found


def forget_folders(lake: Lake) -> None:
    """Let the journal be one of before it told folders."""
    for number, entry in Journal(lake).entries("arrivals").items():
        del entry["folders"]
        Path(lake.storage.uri(f"journal/arrivals/{number}.json")).write_text(json.dumps(entry))


def test_asking_again_lists_nothing_and_neither_does_a_new_file_of_any_day(
    lake: Lake, tmp_path: Path, listed: list[str]
) -> None:
    log = RawPackets(lake)
    arrive(lake, tmp_path / "in", ticks(0, 2), 1)
    list(log.after(BEGINNING, ALL))
    listed.clear()
    for _ in range(3):
        assert list(log.after(log.end(), ALL)) == []
    assert listed == []
    end = log.end()
    land(lake, [drop(tmp_path / "in", "toyMDA0_240915000000.dat", *ticks(2, 2))], NOW, 0)
    listed.clear()
    assert counts(list(log.after(end, ALL))) == [2, 3]
    assert listed == []


def test_what_the_journal_does_not_tell_the_place_of_is_listed_once_and_while_nobody_waits(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in range(1, 4):
        arrive(lake, tmp_path / "in", ticks(10 * place, 2), place)
    forget_folders(lake)
    log, ends, keys = RawPackets(lake), list[Cursor](), RawArchive.keys

    def listing(archive: RawArchive) -> dict[str, str]:
        asking = threading.Thread(target=lambda: ends.append(log.end()))
        asking.start()
        asking.join(20)
        return keys(archive)

    monkeypatch.setattr(RawArchive, "keys", listing)
    assert counts(list(log.after(BEGINNING, ALL))) == [10, 11, 20, 21, 30, 31]
    assert ends == [Cursor(4, 0)]


@pytest.mark.parametrize("told", [True, False])
def test_a_receipt_that_is_lost_is_not_searched_for_again_and_again(
    lake: Lake, tmp_path: Path, listed: list[str], monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """Until some time later: it may have been restored."""
    for place in range(1, 4):
        arrive(lake, tmp_path / "in", ticks(10 * place, 2), place)
    if not told:
        forget_folders(lake)
    lost = Path(lake.storage.uri(RawPackets(lake).places.stored(2)))
    content = lost.read_bytes()
    lost.unlink()
    log = RawPackets(lake)
    listed.clear()
    for _ in range(3):
        assert log.lag(BEGINNING, ALL, NOW).files == 3
        with pytest.raises(UnreadableFileError, match="lacks the file that arrived as number 2"):
            list(log.after(Cursor(2, 0), ALL))
    assert listed.count("raw/") == (0 if told else 1)
    lost.write_bytes(content)
    monkeypatch.setattr(places, "LISTED_SECONDS", 0)
    assert counts(list(log.after(Cursor(2, 0), ALL))) == [20, 21, 30, 31]


# ---- what is asked for ---------------------------------------------------------------------------------------------
def test_instruments_missions_and_apids_are_told_apart(tmp_path: Path) -> None:
    lake = empty_lake(tmp_path / "lake")
    take(lake, drop(tmp_path / "in", "padreMDU8_240916120000.dat", photon(1), housekeeping(2), photon(3)))
    assert counts(logged(lake, wanted=Wanted(apids=frozenset({163})))) == [2]
    assert len(logged(lake, wanted=Wanted(missions=frozenset({"padre"}), instruments=frozenset({"meddea"})))) == 3
    assert logged(lake, wanted=Wanted(instruments=frozenset({"sharp"}))) == []
    assert logged(lake, wanted=Wanted(missions=frozenset({"hermes"}))) == []
    second = logged(lake, wanted=Wanted(apids=frozenset({163})))[0]
    assert str(second.cursor) == "1.2"


def test_a_range_of_time_is_half_open_and_leaves_out_what_has_none(lake: Lake, tmp_path: Path) -> None:
    arrive(lake, tmp_path / "in", [*ticks(0, 10), tick(10, 0)], 1)
    chosen = Wanted(first=NOON_TT2000 + 2 * NS, last=NOON_TT2000 + 5 * NS)
    assert counts(logged(lake, wanted=chosen)) == [2, 3, 4]
    assert counts(logged(lake, wanted=Wanted(first=NOON_TT2000 + 8 * NS))) == [8, 9]
    assert logged(lake)[-1].epoch_tt2000 is None


def test_files_that_the_books_place_elsewhere_are_not_opened(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And those that are not in the books are."""
    day_s, opened = 86_400, list[str]()
    for day in range(5):
        arrive(lake, tmp_path / "in", [tick(day, NOON + day * day_s)], day)
    take(lake)
    arrive(lake, tmp_path / "in", [tick(9, NOON + 2 * day_s)], 9)
    monkeypatch.setattr(module, "BOOKS_PAY", 0)
    scanned = module.scanned
    monkeypatch.setattr(module, "scanned", lambda at, receipt: opened.append(receipt.name) or scanned(at, receipt))
    middle = NOON_TT2000 + 2 * day_s * NS
    assert counts(logged(lake, wanted=Wanted(first=middle - NS, last=middle + NS))) == [2, 9]
    assert len(opened) == 2


# ---- what goes wrong -----------------------------------------------------------------------------------------------
def test_a_damaged_file_is_told_at_its_turn_and_the_log_goes_on_behind_it(lake: Lake, tmp_path: Path) -> None:
    for place in range(1, 4):
        arrive(lake, tmp_path / "in", ticks(10 * place, 2), place)
    sha256 = logged(lake)[2].file_sha256
    flip(only(lake, f"raw/*/*/*/{sha256}"), 3)
    packets = RawPackets(lake).after(BEGINNING, ALL)
    assert counts([next(packets), next(packets)]) == [10, 11]
    with pytest.raises(UnreadableFileError, match="has changed in the archive") as told:
        next(packets)
    assert isinstance(told.value, StorageError)
    assert counts(logged(lake, told.value.behind)) == [30, 31]


def test_a_file_that_the_archive_has_lost_is_told(lake: Lake, tmp_path: Path) -> None:
    arrive(lake, tmp_path / "in", ticks(0, 2), 1)
    for path in (only(lake, "raw/*/*/*/*.json"),):
        path.unlink()
    with pytest.raises(UnreadableFileError, match="arrived as number 1") as told:
        logged(lake)
    assert told.value.behind == Cursor(2, 0)


# ---- lag, threads --------------------------------------------------------------------------------------------------
def test_lag_counts_what_is_behind_a_position(lake: Lake, tmp_path: Path) -> None:
    arrive(lake, tmp_path / "in", ticks(0, 3), 1)
    arrive(lake, tmp_path / "in", ticks(3, 4), 2)
    later = NOW + timedelta(seconds=90)
    log = RawPackets(lake)
    assert log.lag(BEGINNING, ALL, later) == (2, 0, 90.0)  # nobody has counted them
    assert log.lag(Cursor(1, 1), ALL, later) == (2, 2, 90.0)
    assert log.lag(Cursor(2, 4), ALL, later) == (0, 0, 0.0)
    list(log.after(BEGINNING, ALL))
    assert log.lag(BEGINNING, ALL, later) == (2, 7, 90.0)
    assert log.lag(Cursor(2, 1), ALL, later) == (1, 3, 90.0)
    assert log.lag(Cursor(2, 4), ALL, later) == (0, 0, 0.0)
    assert log.lag(log.end(), ALL, later) == (0, 0, 0.0)
    assert log.lag(BEGINNING, Wanted(instruments=frozenset({"crate"})), later) == (0, 0, 0.0)
    take(lake)
    assert RawPackets(lake).lag(BEGINNING, ALL, later) == (2, 7, 90.0)


def test_many_who_follow_at_once_share_the_scan_of_a_file(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in range(1, 4):
        arrive(lake, tmp_path / "in", ticks(10 * place, 5), place)
    log, found, opened = RawPackets(lake), list[list[LoggedPacket]](), list[str]()
    scanned = module.scanned
    monkeypatch.setattr(module, "scanned", lambda at, receipt: opened.append(receipt.name) or scanned(at, receipt))
    threads = [threading.Thread(target=lambda: found.append(list(log.after(BEGINNING, ALL)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(found) == 8
    assert all(packets == found[0] for packets in found)
    assert len(opened) == 3


def test_a_large_file_is_read_in_pieces_and_numbered_through(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "scan_packets", partial(scan_packets, chunk_bytes=100_000))
    monkeypatch.setattr(module, "SHARED_BYTES", 100)
    arrive(lake, tmp_path / "in", ticks(0, 1000) * 60, 1)  # the scan looks 330 kB ahead
    apart = RawPackets(lake).after(BEGINNING, Wanted(first=NOON_TT2000 + 990 * NS))
    assert [p.cursor.number for p in apart] == [1000 * k + n for k in range(60) for n in range(991, 1001)]
    assert counts(logged(lake, Cursor(1, 59_950))) == list(range(950, 1000))
    assert len(list(module.scanned(lake, RawPackets(lake).places.receipt(1)))) > 3


def test_a_walk_says_how_far_it_has_looked_where_nothing_is_asked_for(lake: Lake, tmp_path: Path) -> None:
    for place in range(1, 4):
        arrive(lake, tmp_path / "in", ticks(10 * place, 5), place)
    nothing = RawPackets(lake).walk(Cursor(1, 2), Wanted(apids=frozenset({9})))
    assert [str(one) for one in nothing] == ["1.5", "2.0", "2.5", "3.0", "3.5", "4.0"]
    other = RawPackets(lake).walk(BEGINNING, Wanted(instruments=frozenset({"crate"})))
    assert list(other) == [Cursor(2, 0), Cursor(3, 0), Cursor(4, 0)]

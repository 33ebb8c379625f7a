# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ingest.identities import Numbers, Received, SourceRows, identities
from lake.ledger import l0_definition
from lake.reading import data_files
from lake.store import Lake
from tests.meddea import MEDDEA, MIXED_FILE, NOON, drop, empty_lake, housekeeping, take

PACKETS = {packet.name: packet for packet in MEDDEA.packets}
HOUSEKEEPING = PACKETS["housekeeping"]
IDENTITY = ("sequence_count", *HOUSEKEEPING.identity)
DAY, NEXT_DAY = date(2024, 9, 16), date(2024, 9, 17)


def columns(*packets: tuple[int, int, int]) -> dict[str, NDArray[np.generic]]:
    """Sequence count, seconds and checksum of housekeeping packets, in the types of the unpacker."""
    values = np.array(packets, np.int64).reshape(-1, 3)
    return {
        "sequence_count": values[:, 0].astype(np.int16),
        "time_s": values[:, 1],
        "checksum": values[:, 2].astype(np.int32),
    }


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return empty_lake(tmp_path / "lake")


class Known:
    """What has been received of housekeeping packets, asked day by day."""

    def __init__(self, lake: Lake, unread: frozenset[str] = frozenset(), definition: str | None = None) -> None:
        table = lake.definitions.tables["padre.meddea_l0_housekeeping"]
        today = l0_definition(lake.definitions.mission("padre"), MEDDEA)
        self.rows = SourceRows(table, definition or today)
        self.received = Received(lake)
        self.received.start_file(unread)

    def seen(self, sent: dict[str, NDArray[np.generic]], *days: date) -> list[bool]:
        number = np.array([(day - date(1970, 1, 1)).days for day in days or [DAY]], np.int32)
        return [bool(seen) for seen in self.received.seen(self.rows, sent, number)]


def test_equal_packets_are_equal_and_any_field_makes_a_difference() -> None:
    numbers = identities(IDENTITY, columns((1, 2, 3), (1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4), (2, 1, 3)))
    assert numbers[0] == numbers[1]
    assert len(set(numbers.tolist())) == 5


def test_a_hundred_thousand_neighbouring_packets_have_as_many_identities() -> None:
    seconds, count = np.divmod(np.arange(100_000), 1000)
    packets = {"sequence_count": count.astype(np.int16), "time_s": NOON + seconds, "checksum": count.astype(np.int32)}
    assert len(np.unique(identities(IDENTITY, packets))) == 100_000


def test_the_first_of_equal_packets_is_new_and_all_others_are_not(lake: Lake) -> None:
    known = Known(lake)
    assert known.seen(columns((1, 1, 1), (2, 1, 1), (1, 1, 1))) == [False, False, True]
    assert known.seen(columns((3, 1, 1), (2, 1, 1))) == [False, True]
    assert known.seen(columns()) == []


def test_equal_packets_of_two_days_are_two(lake: Lake) -> None:
    known = Known(lake)
    sent = columns((1, 1, 1), (1, 1, 1), (2, 1, 1), (1, 1, 1))
    assert known.seen(sent, DAY, NEXT_DAY, DAY, NEXT_DAY) == [False, False, False, True]
    assert known.seen(columns((2, 1, 1)), NEXT_DAY) == [False]
    assert known.seen(columns((2, 1, 1)), DAY) == [True]


def test_many_calls_remember_what_one_call_would(lake: Lake) -> None:
    rng = random.Random(5)
    packets = [(rng.randrange(40), NOON, rng.randrange(4)) for _ in range(400)]
    known = Known(lake)
    by_call = [known.seen(columns(packet))[0] for packet in packets]
    assert by_call == Known(lake).seen(columns(*packets))
    assert by_call == [packet in packets[:place] for place, packet in enumerate(packets)]


def test_packets_in_the_lake_count_unless_their_file_is_unread_or_their_definition_another(lake: Lake) -> None:
    packet = housekeeping(5)
    intake = take(lake, drop(lake.root.parent, MIXED_FILE, packet))
    sent = columns((5, NOON, packet[38] << 8 | packet[39]))
    assert Known(lake).seen(sent) == [True]
    assert Known(lake).seen(sent, NEXT_DAY) == [False]
    unread = frozenset({intake.landed.new[0].file_sha256})
    assert Known(lake, unread).seen(sent) == [False]
    assert Known(lake, definition="of another day").seen(sent) == [False]


def test_days_that_are_forgotten_are_read_from_the_lake_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    packets = [housekeeping(number, NOON + 86_400 * number) for number in range(3)]
    take(lake, drop(lake.root.parent, MIXED_FILE, *packets))
    read: list[date] = []

    def noted(delta: DeltaTable, days: list[date]) -> list[str]:
        read.extend(days)
        return data_files(delta, days)

    monkeypatch.setattr("ingest.identities.data_files", noted)
    known = Known(lake)
    known.received.most_kept = 1
    days = [DAY + timedelta(days=number) for number in range(3)]
    sent = [
        columns((number, NOON + 86_400 * number, packet[38] << 8 | packet[39])) for number, packet in enumerate(packets)
    ]
    for number in (0, 1, 1, 2, 0):
        assert known.seen(sent[number], days[number]) == [True]
        known.received.start_file(frozenset())
    assert read == [days[0], days[1], days[2], days[0]]


@given(st.lists(st.lists(st.integers(0, 60), max_size=80), max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_set_of_numbers_tells_what_a_plain_set_would(calls: list[list[int]]) -> None:
    numbers, plain = Numbers(), set[int]()
    for call in calls:
        expected = []
        for number in call:
            expected.append(number in plain)
            plain.add(number)
        assert numbers.seen(np.array(call, np.uint64)).tolist() == expected
    assert len(numbers) == len(plain)


def test_millions_of_numbers_are_new_once_and_known_ever_after() -> None:
    random_numbers = np.random.default_rng(6).integers(0, 2**64, 2_500_000, np.uint64)
    numbers = Numbers()
    for first in range(0, len(random_numbers), 90_000):
        assert not numbers.seen(random_numbers[first : first + 90_000]).any()
    assert numbers.seen(random_numbers[::7]).all()
    assert len(numbers) == len(random_numbers)
    assert 8 * len(numbers.filter) >= 8 * len(numbers)

# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ingest.identities import Received, identities
from lake.ledger import l0_definition
from lake.store import Lake
from tests.meddea import MEDDEA, MIXED_FILE, NOON, drop, empty_lake, housekeeping, take

PACKETS = {packet.name: packet for packet in MEDDEA.packets}
HOUSEKEEPING = PACKETS["housekeeping"]
DAY = date(2024, 9, 16)


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


def received(lake: Lake, unread: frozenset[str] = frozenset(), definition: str | None = None) -> Received:
    table = lake.definitions.tables["padre.meddea_l0_housekeeping"]
    today = l0_definition(lake.definitions.mission("padre"), MEDDEA)
    return Received(lake, table, HOUSEKEEPING, unread, definition or today)


def test_equal_packets_are_equal_and_any_field_makes_a_difference() -> None:
    numbers = identities(HOUSEKEEPING, columns((1, 2, 3), (1, 2, 3), (2, 2, 3), (1, 3, 3), (1, 2, 4), (2, 1, 3)))
    assert numbers[0] == numbers[1]
    assert len(set(numbers.tolist())) == 5


def test_a_hundred_thousand_neighbouring_packets_have_as_many_identities() -> None:
    seconds, count = np.divmod(np.arange(100_000), 1000)
    packets = {"sequence_count": count.astype(np.int16), "time_s": NOON + seconds, "checksum": count.astype(np.int32)}
    assert len(np.unique(identities(HOUSEKEEPING, packets))) == 100_000


def test_the_first_of_equal_packets_is_new_and_all_others_are_not(lake: Lake) -> None:
    known = received(lake)
    assert known.seen(columns((1, 1, 1), (2, 1, 1), (1, 1, 1)), [DAY]).tolist() == [False, False, True]
    assert known.seen(columns((3, 1, 1), (2, 1, 1)), [DAY]).tolist() == [False, True]
    assert known.seen(columns(), [DAY]).tolist() == []


def test_many_calls_remember_what_one_call_would(lake: Lake) -> None:
    rng = random.Random(5)
    packets = [(rng.randrange(40), NOON, rng.randrange(4)) for _ in range(400)]
    known = received(lake)
    by_call = [bool(known.seen(columns(packet), [DAY])[0]) for packet in packets]
    assert by_call == received(lake).seen(columns(*packets), [DAY]).tolist()
    assert by_call == [packet in packets[:place] for place, packet in enumerate(packets)]


def test_packets_in_the_lake_count_unless_their_file_is_unread_or_their_definition_another(lake: Lake) -> None:
    packet = housekeeping(5)
    intake = take(lake, drop(lake.root.parent, MIXED_FILE, packet))
    sent = columns((5, NOON, packet[38] << 8 | packet[39]))
    assert received(lake).seen(sent, [DAY]).tolist() == [True]
    assert received(lake).seen(sent, [date(2024, 9, 17)]).tolist() == [False]
    unread = frozenset({intake.landed.new[0].file_sha256})
    assert received(lake, unread).seen(sent, [DAY]).tolist() == [False]
    assert received(lake, definition="of another day").seen(sent, [DAY]).tolist() == [False]

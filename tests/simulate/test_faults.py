# SPDX-License-Identifier: Apache-2.0
"""Faults are where the truth says, and nowhere else: files with faults are compared with the same files without."""

from __future__ import annotations

import csv
import logging
import struct
from datetime import date, timedelta
from functools import reduce
from pathlib import Path

import pytest

import simulate.padre
from lake.definition_files import read_definitions
from lake.definitions import Definitions
from lake.errors import ConfigurationError, DefinitionError
from simulate.faults import AppliedFault, Fault, read_faults
from simulate.files import Simulated
from simulate.run import simulate as run

MISSIONS = Path(__file__).parents[2] / "missions"
DAY = date(2025, 8, 1)
HEADER = "kind,stream,start,stop,count\n"


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return read_definitions(MISSIONS)


@pytest.fixture(scope="module")
def clean(definitions: Definitions, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    done = run(definitions, "padre", "meddea", DAY, tmp_path_factory.mktemp("clean"), seed=5, hours=0.5)
    return {path.name[:9]: path.read_bytes() for path in done.files}


def simulated(definitions: Definitions, folder: Path, rows: str) -> Simulated:
    faults = folder / "faults.csv"
    faults.write_text(HEADER + rows, encoding="utf-8")
    return run(definitions, "padre", "meddea", DAY, folder / "out", seed=5, faults_path=faults, hours=0.5)


def file(done: Simulated, token: str) -> bytes:
    (path,) = (path for path in done.files if path.name.startswith(token))
    return path.read_bytes()


def walk(data: bytes) -> list[tuple[int, int, bytes]]:
    """Offset, sequence count and bytes of each packet."""
    found, offset = [], 0
    while offset < len(data):
        _, second, length = struct.unpack_from(">3H", data, offset)
        found.append((offset, second & 0x3FFF, data[offset : offset + length + 7]))
        offset += length + 7
    return found


def met(packet: bytes) -> int:
    """Seconds since midnight of a packet; the clock counts five leap seconds since 2000."""
    return int(struct.unpack_from(">I", packet, 6)[0]) - (1_754_006_400 - 946_684_800 + 5)


def test_a_gap_takes_its_packets_and_no_others(
    definitions: Definitions, clean: dict[str, bytes], tmp_path: Path
) -> None:
    done = simulated(definitions, tmp_path, "gap,photon,00:10:00,00:12:30,\n")
    (fault,) = done.faults
    data = file(done, "padreMDA0")
    before, after = data[: fault.offset], data[fault.offset :]
    whole = clean["padreMDA0"]
    assert whole.startswith(before)
    assert whole.endswith(after)
    lost = walk(whole[len(before) : len(whole) - len(after)])
    assert fault.packets == len(lost)
    assert {met(packet) for _, _, packet in lost} == set(range(600, 750))
    assert fault.packet_offset == fault.offset
    assert fault.packet_bytes == len(walk(after)[0][2])


def test_a_gap_over_pieces_and_streams_is_one_row_per_apid(
    definitions: Definitions, clean: dict[str, bytes], tmp_path: Path
) -> None:
    done = simulated(definitions, tmp_path, "gap,spectrum,00:14:00,00:16:00,\ngap,housekeeping,00:14:00,00:16:00,\n")
    spectrum, housekeeping = done.faults
    assert (spectrum.apid, spectrum.packets, spectrum.offset) == (162, 12, 84 * 24_648)
    assert (housekeeping.apid, housekeeping.packets, housekeeping.offset) == (163, 12, 84 * 40)
    assert len(file(done, "padreMDA2")) == len(clean["padreMDA2"]) - 12 * 24_648


def test_a_gap_at_the_end_points_to_the_end_of_the_file(definitions: Definitions, tmp_path: Path) -> None:
    done = simulated(definitions, tmp_path, "gap,housekeeping,00:29:00,00:30:00,\n")
    (fault,) = done.faults
    assert fault.offset == len(file(done, "padreMDU8")) == 174 * 40
    assert fault.file == "padreMDU8_250801000004.DAT"
    assert fault.packets == 6


def test_duplicates_come_in_a_file_of_their_own(
    definitions: Definitions, clean: dict[str, bytes], tmp_path: Path
) -> None:
    done = simulated(
        definitions, tmp_path, "duplicate,spectrum,00:05:00,00:06:00,\nduplicate,spectrum,00:00:00,00:00:30,\n"
    )
    original = min(path.name for path in done.files if "MDA2" in path.name)
    later, first = (fault.file for fault in done.faults)
    out = tmp_path / "out"
    assert (out / original).read_bytes() == clean["padreMDA2"]
    assert later == "padreMDA2_250801000500.DAT"
    assert (out / later).read_bytes() == clean["padreMDA2"][30 * 24_648 : 36 * 24_648]
    # The name of the first packet's second is taken by the original; the next second is free.
    assert first == "padreMDA2_250801000001.DAT"
    assert (out / first).read_bytes() == clean["padreMDA2"][: 3 * 24_648]
    assert [fault.packets for fault in done.faults] == [6, 3]


def test_each_flipped_bit_breaks_one_checksum(
    definitions: Definitions, clean: dict[str, bytes], tmp_path: Path
) -> None:
    done = simulated(definitions, tmp_path, "bit_flip,photon,00:10:00,00:20:00,7\n")
    damaged = file(done, "padreMDA0")
    differences = [i for i, (a, b) in enumerate(zip(clean["padreMDA0"], damaged, strict=True)) if a != b]
    assert [fault.offset for fault in done.faults] == differences
    assert all((clean["padreMDA0"][i] ^ damaged[i]).bit_count() == 1 for i in differences)
    for fault in done.faults:
        packet = damaged[fault.packet_offset : fault.packet_offset + fault.packet_bytes]
        assert reduce(lambda a, b: a ^ b[0], struct.iter_unpack(">H", packet), 0) != 0
    assert len({fault.packet_offset for fault in done.faults}) == 7


def test_truncation_ends_the_file_within_a_packet(
    definitions: Definitions, clean: dict[str, bytes], tmp_path: Path
) -> None:
    done = simulated(definitions, tmp_path, "truncate,spectrum,00:20:00,,\n")
    (fault,) = done.faults
    data = file(done, "padreMDA2")
    assert clean["padreMDA2"].startswith(data)
    assert fault.offset == 120 * 24_648
    assert 0 < fault.bytes == len(data) - fault.offset < 24_648
    assert fault.packets == 60


def test_junk_stands_before_a_packet(definitions: Definitions, clean: dict[str, bytes], tmp_path: Path) -> None:
    done = simulated(
        definitions, tmp_path, "junk,housekeeping,00:20:00,,33\nbit_flip,housekeeping,00:25:00,00:26:00,1\n"
    )
    flip, junk = done.faults
    data = bytearray(file(done, "padreMDU8"))
    assert (junk.offset, junk.bytes, junk.packet_offset) == (120 * 40, 33, 120 * 40 + 33)
    del data[junk.offset : junk.offset + junk.bytes]
    different = [i for i, (a, b) in enumerate(zip(clean["padreMDU8"], data, strict=True)) if a != b]
    assert different == [flip.offset - 33]
    assert (flip.packet_offset - 33) % 40 == 0


def test_a_late_file_lies_apart_and_is_whole(definitions: Definitions, clean: dict[str, bytes], tmp_path: Path) -> None:
    done = simulated(definitions, tmp_path, "late,spectrum,00:20:00,,\n")
    (fault,) = done.faults
    late = tmp_path / "out" / "late" / fault.file
    assert late in done.files
    assert late.read_bytes() == clean["padreMDA2"]
    assert not (tmp_path / "out" / fault.file).exists()


def test_truth_lists_the_faults(definitions: Definitions, tmp_path: Path) -> None:
    done = simulated(definitions, tmp_path, "junk,photon,00:20:00,,9\ngap,spectrum,00:01:00,00:02:00,\n")
    with (tmp_path / "out" / "truth" / "faults_20250801.csv").open(encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    assert [(r["kind"], r["file"], int(r["offset"]), int(r["bytes"])) for r in rows] == [
        (f.kind, f.file, f.offset, f.bytes) for f in done.faults
    ]
    assert rows[1]["first_time"].startswith("2025-08-01T00:01:00.39")


def test_a_fault_that_hits_nothing_is_reported(
    definitions: Definitions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = "gap,photon,13:00:00,13:10:00,\ntruncate,photon,14:00:00,,\ngap,photon,00:01:00,00:02:00,\n"
    with caplog.at_level(logging.WARNING):
        done = simulated(definitions, tmp_path, rows)
    assert len(done.faults) == 1
    assert [record.message.split()[3] for record in caplog.records] == ["kind=gap", "kind=truncate"]


def test_faults_of_an_unknown_stream_are_refused(definitions: Definitions, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"'photons'\. Use one of photon, spectrum, housekeeping"):
        simulated(definitions, tmp_path, "late,photons,00:20:00,,\n")


def test_yaml_and_csv_say_the_same(tmp_path: Path) -> None:
    table, text = tmp_path / "f.csv", tmp_path / "f.yaml"
    table.write_text(HEADER + "gap,photon,13:10:00,25:00:00.5,\njunk,photon,01:00:00,,4\n", encoding="utf-8")
    text.write_text(
        "faults:\n"
        "  - {kind: gap, stream: photon, start: 13:10:00, stop: 25:00:00.5}\n"
        "  - {kind: junk, stream: photon, start: 01:00:00, count: 4}\n",
        encoding="utf-8",
    )
    assert read_faults(table) == read_faults(text)
    assert read_faults(text)[0] == Fault(
        kind="gap", stream="photon", start=timedelta(hours=13, minutes=10), stop=timedelta(hours=25, seconds=0.5)
    )


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("gap,photon,1:00,02:00:00,", r"f\.csv row 2 \(start\): '1:00' is no time. Write HH:MM:SS"),
        ("gap,photon,01:00:00,,", r"f\.csv row 2: a gap needs a stop; mend the row"),
        ("late,photon,01:00:00,,5", r"f\.csv row 2: a late needs no count"),
        ("junk,photon,01:00:00,,0", r"f\.csv row 2 \(count\): .*greater than or equal to 1"),
        ("gap,photon,02:00:00,01:00:00,", r"f\.csv row 2: stop 1:00:00 is not after start 2:00:00; swap"),
        ("lost,photon,02:00:00,,", r"f\.csv row 2 \(kind\): .*'gap'"),
        ("late,photon,,,", r"f\.csv row 2 \(start\): Field required. Add it"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, complaint: str) -> None:
    path = tmp_path / "f.csv"
    path.write_text(HEADER + row + "\n", encoding="utf-8")
    with pytest.raises(DefinitionError, match=complaint):
        read_faults(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("faults:\n  - {kind: late, stream: photon, start: 00:00:00}\n  - {kind: gap}\n", r"f\.yaml line 3"),
        ("faults: 3\n", "is no list of faults"),
        ("faults: [\n", r"f\.yaml line"),
    ],
)
def test_a_bad_yaml_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError, match=complaint):
        read_faults(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="neither"):
        read_faults(tmp_path / "faults.txt")


def test_the_rehearsal_faults_can_be_read() -> None:
    folder = Path(simulate.padre.__file__).parent
    faults = read_faults(folder / "meddea_faults.csv")
    assert {fault.kind for fault in faults} == {"gap", "duplicate", "bit_flip", "truncate", "late", "junk"}


def test_applied_faults_name_a_packet(definitions: Definitions, tmp_path: Path) -> None:
    done = simulated(definitions, tmp_path, "truncate,photon,00:10:00,,\n")
    assert isinstance(done.faults[0], AppliedFault)
    assert done.faults[0].packet_offset == done.faults[0].offset

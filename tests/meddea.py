# SPDX-License-Identifier: Apache-2.0
"""MeDDEA packets built by hand, files of them, and lakes that take them in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import yaml

from ingest.intake import Intake, take_in
from lake.definition_files import read_definitions
from lake.ledger import read_ops
from lake.reading import scan
from lake.store import Lake
from tests.packets import build_packet, seal
from tests.shared_data import telemetry_root

CHECKOUT = Path(__file__).parents[1]
MISSIONS = CHECKOUT / "missions"
TELEMETRY = telemetry_root()
REAL = TELEMETRY / "padre" / "meddea"
GOLDEN = TELEMETRY.parent / "golden" / "padre"
NOW = datetime(2026, 8, 2, tzinfo=UTC)
DEFINITIONS = read_definitions(MISSIONS)
MEDDEA = DEFINITIONS.mission("padre").instrument("meddea")

PHOTON_FILE, SPECTRUM_FILE = "padreMDA0_240916122901.dat", "padreMDA2_240916122851.dat"
MIXED_FILE = "padreMDU8_240916122904.dat"
CLOCK_INVALID, RETRANSMITTED = 1, 2


def met(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    """TIME_S at a UTC time after 2017 by the policy `leap`: five leap seconds since the clock's epoch."""
    elapsed = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - datetime(2000, 1, 1, tzinfo=UTC)
    return round(elapsed.total_seconds()) + 5


NOON = met(2024, 9, 16, 12)


def _bits(*numbers: tuple[int, int]) -> str:
    return "".join(format(value, f"0{bits}b") for value, bits in numbers)


def housekeeping(count: int, time_s: int = NOON, value: int = 1000) -> bytes:
    """A housekeeping packet of 40 bytes: fp_temp is `value`, the other 13 words are 1000."""
    return seal(build_packet(163, _bits((time_s, 32), (value, 16), *[(1000, 16)] * 13, (0, 16)), count), 38)


def register(count: int, time_s: int = NOON, ticks: int = 0, apid: int = 153) -> bytes:
    """A register-read response of 20 bytes: register 0x1400 holds 7."""
    return seal(build_packet(apid, _bits((time_s, 32), (ticks, 32), (0x1400, 16), (7, 16), (0, 16)), count), 18)


def photon(count: int, time_s: int = NOON, ticks: int = 0, clocks: Sequence[int] = (0, 1, 2), atod: int = 900) -> bytes:
    """A photon packet with an event of detector 0, channel 26 (pixel 0) at each clock; no baseline."""
    head = [(time_s, 32), (ticks, 32), (39_062, 16), (39_000, 16), (0, 16), (0, 16)]
    events = [(word, 16) for clock in clocks for word in (clock, 26, atod)]
    return seal(build_packet(160, _bits(*head, *events), count), 20)


def spectrum(count: int, time_s: int = NOON, ticks: int = 0, level: int = 1) -> bytes:
    """A spectrum packet of 24,648 bytes: the default pixels, `level` counts in each bin."""
    slots = [0xCA00 + 32 * asic + channel for asic in range(4) for channel in (26, 8, 18, 0, 21, 3)]
    head = [(time_s, 32), (ticks, 32), (781_250, 32), (730_000, 32)]
    words = "".join(_bits((slot, 16)) + _bits((level, 16)) * 512 for slot in slots)
    return seal(build_packet(162, _bits(*head) + words + "0" * 16, count), 24_646)


def empty_lake(folder: Path, missions: Path = MISSIONS) -> Lake:
    """A lake in a folder that need not be there yet."""
    return Lake(folder, DEFINITIONS if missions == MISSIONS else read_definitions(missions))


def missions_with_policy(folder: Path, policy: str) -> Path:
    """A copy of missions/ in which MeDDEA's clock follows this leap-second policy."""
    shutil.copytree(MISSIONS, folder)
    path = folder / "padre" / "meddea" / "instrument.yaml"
    path.write_text(path.read_text().replace("policy: leap", f"policy: {policy}"))
    assert yaml.safe_load(path.read_text())["clock"]["policy"] == policy
    return folder


def drop(inbox: Path, name: str, *packets: bytes) -> Path:
    """A file in a drop folder, old enough to have settled."""
    inbox.mkdir(exist_ok=True)
    path = inbox / name
    path.write_bytes(b"".join(packets))
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def take(lake: Lake, *paths: Path, run: str = "run") -> Intake:
    """Take files or folders in, without waiting for them to settle."""
    return take_in(lake, list(paths), run, NOW, 0)


def rows(lake: Lake, table: str) -> pl.DataFrame:
    """All rows of one of MeDDEA's tables (`l0_photon`), in file order."""
    frame = scan(lake, lake.definitions.tables[f"padre.meddea_{table}"]).collect()
    return frame.sort("file_sha256", "byte_offset", maintain_order=True) if "byte_offset" in frame.columns else frame


def quarantined(lake: Lake) -> list[tuple[int, int, str]]:
    """Offset, length and reason of every quarantined stretch."""
    return sorted(read_ops(lake, "quarantine").select("byte_offset", "bytes", "reason").iter_rows())


def unbalanced(lake: Lake) -> list[str]:
    """Names of files for which bytes decoded and bytes quarantined do not make up the file."""
    files = read_ops(lake, "files")
    return files.filter(pl.col("bytes_decoded") + pl.col("bytes_quarantined") != pl.col("bytes"))["name"].to_list()

# SPDX-License-Identifier: Apache-2.0
"""`swxlake gaps` as a user types it: accounts, gaps, and the request to send packets again."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lake.ledger import read_ops
from lake.store import Lake
from lake.tables import replace_ops
from swxlake.cli import main  # noqa: TID251  what the console script calls
from swxlake.retransmit import sequences
from tests.meddea import NOON, drop, empty_lake, housekeeping, met, register, take

Run = Callable[..., tuple[int, str, str]]
HOUSEKEEPING, REGISTER = 163, 153


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; its exit code, stdout and stderr."""

    def _run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["swxlake", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return _run


def found(run: Run, *words: object) -> dict[str, Any]:
    """What `swxlake gaps` prints with --json; it ends well whatever is missing."""
    code, out, err = run("gaps", *words, "--json")
    assert (code, err) == (0, "")
    content: dict[str, Any] = json.loads(out)
    return content


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Housekeeping of two days with a loss at the wrap, a broken packet, and a register counter that began anew."""
    lake = empty_lake(tmp_path / "lake")
    sent = [housekeeping((16_380 + n) % 16_384, NOON + 5 * n) for n in range(20)]
    del sent[2:9]
    sent[1] = sent[1][:39] + b"\xff"
    reads = [register((5000 + n) if n < 3 else n - 3, met(2024, 9, 17, 12) + n) for n in range(6)]
    drop(tmp_path / "inbox", "padreMDU8_240916120000.dat", *sent)
    drop(tmp_path / "inbox", "padreMDU8_240917120000.dat", *reads, reads[0])
    take(lake, tmp_path / "inbox")
    return lake


# ---- the whole way ---------------------------------------------------------------------------------------------------
def test_three_deleted_stretches_and_a_wrap_are_three_gaps(tmp_path: Path, run: Run) -> None:
    """Two days of a packet a minute, in shuffled files that overlap; the counter wraps at 23:04, midnight is lost."""
    start, rng = met(2024, 9, 16), random.Random(1)
    deleted = [(200, 240), (1430, 1450), (2000, 2001)]
    sent = {n: housekeeping((15_000 + n) % 16_384, start + 60 * n) for n in range(2880)}
    for first, stop in deleted:
        for n in range(first, stop):
            del sent[n]
    pieces = [(0, 900), (800, 1500), (1380, 1400), (1450, 2300), (2200, 2880)]
    rng.shuffle(pieces)
    for number, (first, stop) in enumerate(pieces):
        packets = [sent[n] for n in range(first, stop) if n in sent]
        rng.shuffle(packets)
        drop(tmp_path / "inbox", f"padreMDU8_24091{6 + number % 2}12000{number}.dat", *packets)
    root = tmp_path / "lake"
    assert run("ingest", tmp_path / "inbox", "--root", root)[0] == 0
    content = found(run, "padre/meddea", "--root", root)
    epoch = datetime(2024, 9, 16, tzinfo=UTC)
    assert content["gaps"] == [
        {
            "instrument": "padre/meddea",
            "apid": HOUSEKEEPING,
            "day": "2024-09-16" if number == 0 else "2024-09-17",
            "kind": "loss",
            "missing": stop - first,
            "sequence_from": (15_000 + first) % 16_384,
            "sequence_to": (15_000 + stop - 1) % 16_384,
            "start_time": (epoch + timedelta(minutes=first - 1)).isoformat(),
            "end_time": (epoch + timedelta(minutes=stop)).isoformat(),
            "length_s": 60.0 * (stop - first + 1),
        }
        for number, (first, stop) in enumerate(deleted)
    ]
    accounts = {row["day"]: (row["expected"], row["distinct"], row["missing"]) for row in content["accounts"]}
    # The gap over midnight ends on the second day, and its ten packets of the first one are counted there.
    assert accounts == {"2024-09-16": (1430, 1390, 40), "2024-09-17": (1450, 1429, 21)}
    repeated = (900 - 800) + (1400 - 1380) + (1500 - 1450) + (2300 - 2200)
    assert content["packets"]["duplicates"] == repeated
    assert content["packets"]["received"] == 2880 - 61 + repeated


# ---- accounts and gaps -----------------------------------------------------------------------------------------------
def test_accounts_and_gaps_are_told_with_what_they_mean(lake: Lake, run: Run) -> None:
    content = found(run, "--root", lake.root)
    assert content["packets"] == {
        "expected": 26,
        "received": 19,
        "duplicates": 1,
        "missing": 8,
        "gaps": 1,
        "restarts": 1,
        "checksum_failures": 1,
        "bytes": 12 * 40 + 7 * 20,
    }
    assert [(row["apid"], row["kind"], row["missing"]) for row in content["gaps"]] == [
        (REGISTER, "restart", 0),
        (HOUSEKEEPING, "loss", 8),
    ]
    assert content["notes"] == [
        "failed their checksum: 1 packet; their counts are missing, so gaps have them",
        "counters began anew: 1 time; how many packets were lost then is not known",
    ]


def test_days_and_apids_are_chosen(lake: Lake, run: Run) -> None:
    root = ("--root", lake.root)
    assert found(run, "--apid", 163, *root)["packets"]["missing"] == 8
    assert found(run, "--day", "2024-09-17", *root)["packets"] | {"bytes": 0} == {
        "expected": 6,
        "received": 7,
        "duplicates": 1,
        "missing": 0,
        "gaps": 0,
        "restarts": 1,
        "checksum_failures": 0,
        "bytes": 0,
    }
    assert found(run, "--from", "2024-09-18", *root)["accounts"] == []
    assert found(run, "hermes/eea", *root)["accounts"] == []


def test_the_lines_for_people_end_well_too(lake: Lake, run: Run) -> None:
    code, out, _ = run("gaps", "padre/meddea", "--root", lake.root)
    assert code == 0
    assert "restart" in out
    assert "8 missing" in out


def test_an_unknown_instrument_is_named_with_those_alike(lake: Lake, run: Run) -> None:
    code, _, err = run("gaps", "padre/medea", "--root", lake.root)
    assert code == 2
    assert err.startswith("swxlake: there is no instrument 'padre/medea'. Did you mean padre/meddea")


def test_days_without_account_are_told(lake: Lake, run: Run) -> None:
    replace_ops(lake, "packets", [], "mission = 'padre'")
    notes = found(run, "--root", lake.root)["notes"]
    assert notes == ["without an account: 2 days of an instrument; run `swxlake night`"]


def test_long_lists_are_cut_for_people_alone(tmp_path: Path, run: Run) -> None:
    lake = empty_lake(tmp_path / "lake")
    drop(tmp_path / "inbox", "padreMDU8_240916120000.dat", *(register(2 * n, NOON + 2 * n) for n in range(250)))
    take(lake, tmp_path / "inbox")
    _, out, _ = run("gaps", "--root", lake.root)
    assert "and 49 more gaps; --json has all" in out
    assert len(found(run, "--root", lake.root)["gaps"]) == 249


# ---- request -----------------------------------------------------------------------------------------------------
def test_a_request_has_the_counts_on_both_sides_of_the_wrap(lake: Lake, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    notes = found(run, "padre/meddea", "--request", path, "--root", lake.root)["notes"]
    assert notes[-1] == f"{path}: asks for 8 packets in 1 gap, and for 1 span in which a counter began anew, of 2 APIDs"
    assert json.loads(path.read_text()) == {
        "form": "swxlake retransmit request 1",
        "packets": 8,
        "requests": [
            {
                "mission": "padre",
                "instrument": "meddea",
                "apid": REGISTER,
                "kind": "restart",
                "table_days": ["padre.meddea_l0_register@2024-09-17"],
                "after": "2024-09-17T12:00:02.000000Z",
                "before": "2024-09-17T12:00:03.000000Z",
                "packets": None,
                "sequences": [],
            },
            {
                "mission": "padre",
                "instrument": "meddea",
                "apid": HOUSEKEEPING,
                "kind": "loss",
                "table_days": ["padre.meddea_l0_housekeeping@2024-09-16"],
                "after": "2024-09-16T12:00:00.000000Z",
                "before": "2024-09-16T12:00:45.000000Z",
                "packets": 8,
                "sequences": [
                    {"from": 16_381, "to": 16_383, "packets": 3},
                    {"from": 0, "to": 4, "packets": 5},
                ],
            },
        ],
    }
    assert [other.name for other in tmp_path.iterdir() if "request" in other.name] == ["request.json"]


def test_a_request_as_csv_has_a_line_for_each_stretch(lake: Lake, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "request.csv"
    found(run, "--request", path, "--root", lake.root)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [(row["apid"], row["packets"], row["sequence_from"], row["sequence_to"]) for row in rows] == [
        ("153", "", "", ""),
        ("163", "3", "16381", "16383"),
        ("163", "5", "0", "4"),
    ]
    assert rows[2]["table_days"] == "padre.meddea_l0_housekeeping@2024-09-16"


def test_what_was_asked_for_is_not_asked_for_when_it_has_come(lake: Lake, run: Run, tmp_path: Path) -> None:
    late = [housekeeping((16_380 + n) % 16_384, NOON + 5 * n) for n in range(1, 9)]
    take(lake, drop(tmp_path / "late", "padreMDU8_240918120000.dat", *late), run="run 2")
    path = tmp_path / "request.json"
    notes = found(run, "--apid", 163, "--request", path, "--root", lake.root)["notes"]
    assert notes[-1] == f"nothing is missing, so there is nothing to ask for; {path} was not written"
    assert not path.exists()


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_equal_gaps_give_equal_bytes(lake: Lake, run: Run, tmp_path: Path, suffix: str) -> None:
    one, other = tmp_path / f"one{suffix}", tmp_path / f"other{suffix}"
    found(run, "--request", one, "--root", lake.root)
    gaps = read_ops(lake, "gaps").sort("apid", descending=True)
    replace_ops(lake, "gaps", gaps.to_dicts(), "mission = 'padre'")
    found(run, "--request", other, "--root", lake.root)
    assert one.read_bytes() == other.read_bytes() != b""


def test_gaps_from_before_counts_were_kept_are_asked_for_by_span(lake: Lake, run: Run, tmp_path: Path) -> None:
    old = read_ops(lake, "gaps").with_columns(kind=None, sequence_from=None, sequence_to=None)
    replace_ops(lake, "gaps", old.filter(pl.col("missing") > 0).to_dicts(), "mission = 'padre'")
    found(run, "--request", tmp_path / "request.json", "--root", lake.root)
    [request] = json.loads((tmp_path / "request.json").read_text())["requests"]
    assert (request["kind"], request["packets"], request["sequences"]) == ("loss", 8, [])


@pytest.mark.parametrize("name", ["request", "request.txt", "folder.json"])
def test_a_request_that_has_no_form_is_refused(lake: Lake, run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.json").mkdir()
    code, _, err = run("gaps", "--request", tmp_path / name, "--root", lake.root)
    assert code == 2
    assert err.endswith(f"{name}: cannot be a request. Name a file that ends with .json or .csv.\n")


def test_a_request_in_a_folder_that_is_not_there_is_refused(lake: Lake, run: Run, tmp_path: Path) -> None:
    code, _, err = run("gaps", "--request", tmp_path / "asks" / "request.json", "--root", lake.root)
    assert (code, (tmp_path / "asks").exists()) == (2, False)
    assert err.endswith("asks is no folder. Make it, or correct the name.\n")


def test_an_apid_of_which_no_packet_is_known_is_told(lake: Lake, run: Run) -> None:
    (note, *_) = found(run, "--apid", 999, "--root", lake.root)["notes"]
    assert note == "no packet of APID 999 is known there; correct it, or see `swxlake gaps` without it"


def test_stretches_are_cut_at_every_turn() -> None:
    assert list(sequences(5, 3)) == [(5, 7)]
    assert list(sequences(16_383, 1)) == [(16_383, 16_383)]
    assert list(sequences(16_380, 16_384 + 6)) == [(16_380, 16_383), (0, 16_383), (0, 1)]
    assert list(sequences(7, 0)) == []

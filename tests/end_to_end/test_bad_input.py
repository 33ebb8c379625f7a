# SPDX-License-Identifier: Apache-2.0
"""Bad input and mistakes, through the command line: exit codes, messages that name file, place and remedy."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingest.landing import land
from swxlake.cli import main  # noqa: TID251  the tests take the user's place
from tests.meddea import (
    CHECKOUT,
    MISSIONS,
    MIXED_FILE,
    NOON,
    NOW,
    PHOTON_FILE,
    SPECTRUM_FILE,
    drop,
    empty_lake,
    housekeeping,
    missions_with_policy,
    photon,
    quarantined,
    rows,
    spectrum,
    unbalanced,
)

HK = [housekeeping(count, NOON + 5 * count, 20_000) for count in range(6)]
DAY = "2024-09-16"
PRODUCTS = ["l1-housekeeping", "l1-photon", "l1-spectrum", "ql-lightcurve"]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def swxlake(*arguments: object) -> Ended:
    """Run a command as the shell would, but in this process; a traceback would be an exception here."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(err):
        patched.setattr(sys, "argv", ["swxlake", *map(str, arguments)])
        patched.setenv("SWXLAKE_SETTLE_SECONDS", "0")
        patched.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as left:
            main()
    assert "Traceback" not in err.getvalue()
    code = left.value.code or 0
    assert isinstance(code, int)
    out.flush()
    return Ended(code, out.buffer.getvalue(), err.getvalue())


def published(ended: Ended) -> list[str]:
    return sorted(Path(path).name.split("_")[2] for path in ended.json.get("products", []))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an inbox of good files."""
    folder = tmp_path_factory.mktemp("bad_input")
    drop(folder / "inbox", MIXED_FILE, *HK)
    drop(folder / "inbox", PHOTON_FILE, *(photon(count, NOON + count) for count in range(3)))
    drop(folder / "inbox", SPECTRUM_FILE, *(spectrum(count, NOON + 10 * count) for count in range(3)))
    return folder


@pytest.fixture(scope="module")
def first_night(place: Path) -> Ended:
    return swxlake("night", "--inbox", place / "inbox", "--root", place / "lake", "--json")


@pytest.fixture(scope="module")
def root(place: Path, first_night: Ended) -> Path:
    assert first_night.code == 0, first_night.text
    return place / "lake"


@pytest.fixture
def lake_copy(root: Path, tmp_path: Path) -> Path:
    """The lake after its first night, to be spoilt; `inbox` beside it is empty."""
    (tmp_path / "inbox").mkdir()
    return Path(shutil.copytree(root, tmp_path / "lake"))


# ---- nights --------------------------------------------------------------------------------------------------------
def test_a_night_of_good_files_ends_with_0_and_a_cdf_of_each_product(first_night: Ended) -> None:
    assert (first_night.code, first_night.json["problems"], first_night.err) == (0, [], "")
    assert published(first_night) == PRODUCTS
    assert first_night.json["ingest"]["packets"] == 12


def test_a_second_night_does_nothing_and_ends_with_0(root: Path, place: Path) -> None:
    again = swxlake("night", "--inbox", place / "inbox", "--root", root, "--json")
    assert (again.code, again.json["ingest"]["known_files"], again.json["export"]) == (
        0,
        3,
        {"published": 0, "unchanged": 4},
    )


def test_damage_and_impossible_clocks_make_one_night_end_with_1_and_are_counted(tmp_path: Path) -> None:
    inbox, root = tmp_path / "inbox", tmp_path / "lake"
    bad_sum = HK[1][:39] + b"\xff"
    drop(inbox, MIXED_FILE, b"junk!", HK[0], bad_sum, *HK[2:], housekeeping(6, 0), housekeeping(7, 2**32 - 1))
    night = swxlake("night", "--inbox", inbox, "--root", root, "--json")
    assert night.code == 1
    assert night.json["problems"] == [
        f"{MIXED_FILE}: 5 bytes at offset 0 quarantined as JUNK (no packet starts here)",
        f"{MIXED_FILE}: 40 bytes at offset 45 quarantined as CHECKSUM "
        "(XOR of the 16-bit words of the packet of APID 163 is not 0)",
    ]
    assert "2 packets have an impossible clock; kept in L0, left out of L1" in night.json["notes"]
    assert published(night) == ["l1-housekeeping"]
    query = """
        SELECT (SELECT value FROM ops.metrics
                WHERE table_name = 'padre.meddea_l0_housekeeping' AND metric = 'flag:clock_invalid') AS counted,
            (SELECT count(*) FROM padre.meddea_l0_housekeeping WHERE "time" IS NULL) AS kept,
            (SELECT count(*) FROM padre.meddea_l1_housekeeping) AS good"""
    assert swxlake("sql", query, "--root", root, "--json").json == [{"counted": 2, "kept": 2, "good": 5}]
    assert swxlake("night", "--inbox", inbox, "--root", root).code == 0
    status = swxlake("status", "--root", root, "--json")
    assert status.code == 0  # the night said so once; what stays in quarantine is a note
    assert status.json["notes"][:2] == ["quarantine: 1 x CHECKSUM, 40 bytes", "quarantine: 1 x JUNK, 5 bytes"]


def test_a_refused_name_ends_with_1_until_the_file_is_gone(lake_copy: Path) -> None:
    inbox = lake_copy.parent / "inbox"
    path = drop(inbox, "padreMDA0_249916122901.dat", HK[0])
    for _ in range(2):
        ended = swxlake("ingest", inbox, "--root", lake_copy)
        assert ended.code == 1
        assert "problem      padreMDA0_249916122901.dat: BAD_TIME: " in ended.text
        assert "Write yymmddhhmmss, UTC." in ended.text
    query = "SELECT name, reason FROM ops.quarantine"
    assert swxlake("sql", query, "--root", lake_copy, "--json").json == [{"name": path.name, "reason": "BAD_TIME"}]
    path.unlink()
    assert swxlake("ingest", inbox, "--root", lake_copy).code == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("PADRESP160_250503042550.DAT", "offset 0 quarantined as NO_DEFINITION", id="no definition"),
        pytest.param(MIXED_FILE, "same name, other bytes; both kept, this is revision 2", id="revision"),
        pytest.param("padreMDU8_240916122959.dat", "1 bytes at offset 0 quarantined as JUNK", id="junk"),
    ],
)
def test_what_is_archived_with_a_remark_ends_with_1_once(lake_copy: Path, name: str, words: str) -> None:
    inbox = lake_copy.parent / "inbox"
    drop(inbox, name, *([] if words.startswith("same") else [b"?"]), housekeeping(9, NOON + 60))
    first, second = (swxlake("ingest", inbox, "--root", lake_copy) for _ in range(2))
    assert (first.code, second.code) == (1, 0)
    assert f"{name}: " in first.text
    assert words in first.text


def test_empty_files_and_temporary_files_are_no_problem(lake_copy: Path) -> None:
    inbox = lake_copy.parent / "inbox"
    drop(inbox, "padreMDU8_240916122959.dat")
    drop(inbox, ".padreMDU8_240916122959.dat.part", b"x")
    assert swxlake("ingest", inbox, "--root", lake_copy).code == 0


def test_a_hostile_name_is_shown_harmlessly(lake_copy: Path) -> None:
    inbox = lake_copy.parent / "inbox"
    drop(inbox, "padre\n\x1b[31m[bold]MDA0.dat", b"x")
    ended = swxlake("ingest", inbox, "--root", lake_copy)
    assert (ended.code, "\x1b" in ended.text) == (1, False)
    assert "padre\\n\\x1b[31m[bold]MDA0.dat: BAD" in ended.text


def test_a_failed_check_stops_the_export_of_its_product_and_nothing_else(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missions = missions_with_policy(tmp_path / "missions", "leap")
    tables = missions / "padre" / "meddea" / "tables.yaml"
    text = tables.read_text()
    wrong = text.replace("conversion: spline, valid: [-100, 200], nullable: true, label: FP temp", "XX")
    tables.write_text(wrong.replace("XX", "conversion: spline, valid: [50, 200], nullable: true, label: FP temp"))
    monkeypatch.setenv("SWXLAKE_MISSIONS", str(missions))
    night = ("night", "--inbox", place / "inbox", "--root", tmp_path / "lake", "--json")
    first = swxlake(*night)
    assert (first.code, published(first)) == (1, [name for name in PRODUCTS if name != "l1-housekeeping"])
    address = f"padre.meddea_l1_housekeeping@{DAY}"
    assert first.json["problems"] == [
        f"check failed {address} in_range:fp_temp_degc: 6 values of fp_temp_degc lie outside 50 to 200 degC. "
        f"`swxlake check {address} --rows` lists the rows",
        f"{address}: not exported, checks failed: in_range:fp_temp_degc; "
        f"`swxlake check {address} --rows` lists the rows",
    ]
    assert swxlake(*night).code == 1
    tables.write_text(text)
    mended = swxlake(*night)
    assert (mended.code, published(mended)) == (0, ["l1-housekeeping"])


# ---- mistakes at the command line ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], r"No such command 'frobnicate'\. See `swxlake --help`\."),
        (["night", "--inbx", "x"], r"No such option: --inbx.* See `swxlake night --help`\."),
        (["ingest"], r"Missing argument 'paths'\. See `swxlake ingest --help`\."),
        (["simulate", "padre"], r"Missing option '--day'\. See `swxlake simulate --help`\."),
        (["simulate", "venus", "--day", DAY, "--out", "x"], r"venus: is not defined\. Use one of hermes/eea, "),
        (["check", "--day", "2024-13-01"], r"'2024-13-01' is no day\. Write it as 2024-09-16\."),
        *(
            (["check", option, ""], r"'' is no day\. Write it as 2024-09-16\.")
            for option in ("--day", "--from", "--to")
        ),
        (["export", "--from", DAY, "--to", DAY], r"is not before --to 2024-09-16\. The last day is not included\."),
        (["check", "--day", DAY, "--to", DAY], r"--day and --from/--to exclude each other\. Give one of them\."),
        (["transform", "padre.meddea_l0_photon"], r"is decoded, not transformed\. Use `swxlake ingest`\."),
        (["describe", "padre.meddea_l1_photn"], r"there is no table.* Did you mean padre\.meddea_l1_photon"),
        (["describe", f"padre.meddea_l1_photon@{DAY}x"], r"is no day\. Write it as"),
        (["sql", "SELEC 1"], r'Parser Error: syntax error at or near "SELEC"'),
        (["sql", "SELECT * FROM padre.meddea_l1_photn"], r'(?s)photn does not exist.*Did you mean "meddea_l1_photon'),
        (["sql", "SELECT nosuch FROM padre.meddea_l1_photon"], r'Binder Error: Referenced column "nosuch" not found'),
        (["sql", "SELECT 'x'::INTEGER"], r"Conversion Error: Could not convert string 'x'"),
        (["sql", "CREATE TABLE x AS SELECT 1"], r"read-only"),
        (["sql", "SELECT 1", "--format", "xml"], r"Invalid value for '--format'.*'xml'"),
        (["sql", "SELECT 1", "--file", "q.sql"], r"a query and --file exclude each other\. Give one of them\."),
        (["sql", "--file", "/nowhere/q.sql"], r"/nowhere/q\.sql: cannot be read .* Give a file with one query\."),
        (["sql", "SELECT 1", "--output", "/usr"], r"/usr: is a folder\. Give --output the name of a file\."),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_to_do(root: Path, arguments: list[str], words: str) -> None:
    ended = swxlake(*arguments, "--root", root) if arguments[0] not in ("frobnicate",) else swxlake(*arguments)
    assert (ended.code, ended.out) == (2, b"")
    assert ended.err.startswith("swxlake: ")
    assert re.search(words, ended.err), ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["night", "--inbox", "/nowhere"], 2, "/nowhere: does not exist. Give a file or a folder that does."),
        (["ingest", "/nowhere/x.dat"], 2, "/nowhere/x.dat: does not exist. Give a file or a folder that does."),
        (["sql", "SELECT 1", "-o", "/nowhere/x"], 1, "/nowhere/x: No such file or directory."),
    ],
)
def test_a_place_that_is_not_there_is_named(root: Path, arguments: list[str], code: int, words: str) -> None:
    ended = swxlake(*arguments, "--root", root)
    assert (ended.code, ended.out) == (code, b"")
    assert ended.err.startswith(f"swxlake: {words}")


@pytest.mark.parametrize(
    ("where", "code", "words"),
    [
        ("s3://Bucket/lake", 2, "is no s3://bucket/prefix of letters, digits and . _ = -"),
        ("/nowhere/a*b", 2, "Choose a folder without them"),
        ("/proc/lake", 1, "/proc/lake"),
        ("/dev/null/lake", 1, "Not a directory"),
    ],
)
def test_a_root_that_cannot_hold_a_lake_is_refused(place: Path, where: str, code: int, words: str) -> None:
    ended = swxlake("ingest", place / "inbox", "--root", where)
    assert (ended.code, words in ended.err, ended.err.count("\n")) == (code, True, 1)


def test_sql_without_a_lake_says_how_to_get_one(tmp_path: Path) -> None:
    ended = swxlake("sql", "SELECT 1", "--root", tmp_path / "none")
    assert (ended.code, ended.err) == (
        2,
        f"swxlake: {tmp_path}/none: is no lake. Run `swxlake night --inbox DIR`, or give --root.\n",
    )


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("packets/photon.csv", "flags,uint,16", "flags,uint,sixteen", ["photon.csv", "row", "flags", "'sixteen'"]),
        ("packets/photon.csv", "flags,uint,16", "flags,unit,16", ["photon.csv", "row", "flags", "unit"]),
        ("packets/photon.csv", "flags,uint,16", "flags,,16", ["photon.csv", "data_type is missing"]),
        ("tables.yaml", "packet: photon\n    rows", "packet: photo\n    rows", ["tables.yaml line", "photo"]),
        ("tables.yaml", "  - time_clocks\n", "  - time_clock\n", ["tables.yaml line", "time_clock"]),
        ("instrument.yaml", "policy: leap", "policy: utc", ["instrument.yaml", "policy", "utc"]),
        ("instrument.yaml", "apids: [160]", "apids: 160, 161", ["instrument.yaml"]),
        ("limits.csv", "\n", "\nextra,", ["limits.csv"]),
        ("flags.csv", "bit,name", "bit,nam", ["flags.csv"]),
    ],
)
def test_a_wrong_definition_ends_with_2_and_one_line_with_file_and_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, old: str, new: str, words: list[str]
) -> None:
    shutil.copytree(MISSIONS, tmp_path / "missions")
    path = tmp_path / "missions" / "padre" / "meddea" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    monkeypatch.setenv("SWXLAKE_MISSIONS", str(tmp_path / "missions"))
    for command in ("status", "doctor"):
        ended = swxlake(command, "--root", tmp_path / "lake")
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, b"", 1), ended.err
        assert all(word in ended.err for word in words), ended.err
    assert not (tmp_path / "lake").exists()


# ---- one JSON document ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest", "INBOX"],
        ["transform"],
        ["transform", "--dry-run"],
        ["check"],
        ["export"],
        ["night"],
        ["describe", "padre.meddea_l1_photon"],
        ["describe", f"padre.meddea_l1_photon@{DAY}"],
        ["describe", "padre.meddea_l1_photon@2025-01-01"],
        ["status"],
        ["doctor"],
        ["simulate", "padre/meddea", "--day", DAY, "--hours", "0.01", "--out", "OUT"],
        ["sql", "SELECT count(*) AS photons FROM padre.meddea_l1_photon"],
        ["sql", "SELECT 1 AS a WHERE false"],
        ["sql", "SET threads = 1"],
    ],
)
def test_json_is_one_document(root: Path, place: Path, tmp_path: Path, arguments: list[str]) -> None:
    places = {"INBOX": str(place / "inbox"), "OUT": str(tmp_path / "out")}
    ended = swxlake(*(places.get(argument, argument) for argument in arguments), "--root", root, "--json")
    assert isinstance(ended.json, list if arguments[0] == "sql" else dict)
    assert ended.code == (1 if "2025-01-01" in arguments[-1] else 0), ended.text


def test_json_tells_problems_too(lake_copy: Path) -> None:
    drop(lake_copy.parent / "inbox", "holiday.jpg", b"x")
    ended = swxlake("night", "--inbox", lake_copy.parent / "inbox", "--root", lake_copy, "--json")
    assert (ended.code, len(ended.json["problems"])) == (1, 1)
    assert ended.json["problems"][0].startswith("holiday.jpg: BAD_MISSION: ")


# ---- results of queries --------------------------------------------------------------------------------------------
QUERY = """
    SELECT sequence_count AS n, fp_temp_degc AS t, sum(sequence_count) OVER () AS total, time, day,
        [1, 2, 3] AS list, NULL AS nothing, 'a,"b"' AS text, 1 AS twice, 2 AS twice
    FROM padre.meddea_l1_housekeeping ORDER BY n LIMIT 3"""


def test_all_formats_hold_the_same_values(root: Path, tmp_path: Path) -> None:
    out = {form: swxlake("sql", QUERY, "--format", form, "--root", root) for form in ("table", "csv", "json")}
    swxlake("sql", QUERY, "--format", "parquet", "--output", tmp_path / "q.parquet", "--root", root)
    parquet = pq.read_table(tmp_path / "q.parquet")
    temperatures = parquet["t"].to_pylist()
    assert len(temperatures) == 3
    assert temperatures[0] == pytest.approx(-2.010665, abs=1e-6)  # fp_temp(20000), facts of the reference
    expected = [
        [n, t, 15, f"2024-09-16T12:00:{5 * n:02}+00:00", DAY, [1, 2, 3], None, 'a,"b"', 1, 2]
        for n, t in enumerate(temperatures)
    ]
    assert [list(row.values()) for row in out["json"].json] == expected
    assert list(out["json"].json[0]) == [
        "n",
        "t",
        "total",
        "time",
        "day",
        "list",
        "nothing",
        "text",
        "twice",
        "twice_10",
    ]
    lines = list(csv.reader(io.StringIO(out["csv"].text)))[1:]
    assert [(int(r[0]), float(r[1]), int(float(r[2])), r[4], r[6], r[7], *r[8:]) for r in lines] == [
        (n, t, 15, DAY, "", 'a,"b"', "1", "2") for n, t in enumerate(temperatures)
    ]
    shown = [line.split("│")[1:-1] for line in out["table"].text.splitlines() if line.startswith("│")]
    assert [(int(r[0]), float(r[1]), int(r[2]), r[4].strip(), r[5].strip()) for r in shown] == [
        (n, float(f"{t:.7g}"), 15, DAY, "[1, 2, 3]") for n, t in enumerate(temperatures)
    ]
    assert parquet["n"].to_pylist() == [0, 1, 2]
    assert parquet["day"].to_pylist() == [date(2024, 9, 16)] * 3


def test_json_has_null_for_what_json_cannot_say(root: Path) -> None:
    query = """
        SELECT 'nan'::DOUBLE AS a, 'inf'::DOUBLE AS b, ['nan'::FLOAT, 1] AS c, 1.5::DECIMAL(4, 2) AS d,
            '\\x01'::BLOB AS e"""
    assert swxlake("sql", query, "--root", root, "--json").json == [
        {"a": None, "b": None, "c": [None, 1.0], "d": 1.5, "e": "01"}
    ]


# ---- disks and rights ----------------------------------------------------------------------------------------------
CONFINED = """
import ctypes, os, resource, sys
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: without them root is bound by rights, too
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
run = "from swxlake.cli import main; main()"
os.execv(sys.executable, [sys.executable, "-c", run, *sys.argv[2:]])
"""


def confined(limit: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, bound by the rights of files, and by a limit on their size if not 0."""
    command = [sys.executable, "-c", CONFINED, str(limit), *map(str, arguments)]
    settings = {**os.environ, "SWXLAKE_SETTLE_SECONDS": "0"}
    return subprocess.run(command, cwd=CHECKOUT, env=settings, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("archived", "limit"),
    [
        pytest.param(False, 100, id="first receipt"),
        pytest.param(False, 60_000, id="last raw file"),
        pytest.param(True, 500, id="first table"),
        pytest.param(True, 3_700, id="another table"),
        pytest.param(True, 60_000, id="catalog"),
    ],
)
def test_a_full_disk_is_a_clear_error_and_nothing_half_written_is_visible(
    place: Path, tmp_path: Path, archived: bool, limit: int
) -> None:
    lake = empty_lake(tmp_path / "lake")
    if archived:
        land(lake, [place / "inbox"], NOW, 0)
    full = confined(limit, "ingest", place / "inbox", "--root", lake.root)
    assert (full.returncode, full.stdout, full.stderr.count("\n")) == (1, "", 1), full.stderr
    assert full.stderr.startswith(f"swxlake: {lake.root}/")
    assert "Free space" in full.stderr
    heights = [rows(lake, table).height for table in ("l0_photon", "l0_spectrum", "l0_housekeeping")]
    assert all(height in (0, whole) for height, whole in zip(heights, (9, 3, 6), strict=True))
    assert swxlake("ingest", place / "inbox", "--root", lake.root).code == 0
    assert [rows(lake, table).height for table in ("l0_photon", "l0_spectrum", "l0_housekeeping")] == [9, 3, 6]
    assert (unbalanced(lake), quarantined(lake)) == ([], [])


def test_a_lake_that_may_only_be_read_can_be_queried_but_not_filled(lake_copy: Path) -> None:
    (lake_copy / "catalog.duckdb").unlink()
    for path in (lake_copy, *lake_copy.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    drop(lake_copy.parent / "inbox", "padreMDU8_240916122959.dat", housekeeping(9, NOON + 60))
    refused = confined(0, "ingest", lake_copy.parent / "inbox", "--root", lake_copy)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1), refused.stderr
    assert refused.stderr.startswith(f"swxlake: {lake_copy}/")
    assert "Permission denied" in refused.stderr
    query = "SELECT count(*) AS n FROM padre.meddea_l0_housekeeping"
    read = confined(0, "sql", query, "--root", lake_copy, "--json")
    assert (read.returncode, json.loads(read.stdout), read.stderr) == (0, [{"n": 6}], "")
    for folder in (lake_copy, *lake_copy.rglob("*/")):
        folder.chmod(0o755)

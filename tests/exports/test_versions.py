# SPDX-License-Identifier: Apache-2.0
"""Versions by rule: X for structure, Y for algorithm and calibration, Z for data; and two exporters at one time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import cdflib
import pytest

from exports import export as export_module
from exports import making as making_module
from exports import provenance as provenance_module
from exports.books import products, read_books, subject_of
from exports.export import Exported
from exports.making import maker
from exports.provenance import MadeFrom, algorithm_of, archived_calibration, calibrations_of, commit
from exports.versions import ProductDay, Version, VersionTakenError, change, give_out, newest_versions, next_version
from lake.catalog import open_catalog
from lake.config import CHECKOUT
from lake.errors import ExportError, StorageError
from lake.ledger import read_ops
from lake.store import Journal, Lake
from lake.tables import append_ops
from tests.toy import DAY, L1, TRANSFORMS, receive
from tests.toy_product import build, edit, exported, instrument_file, lake_with_product, last_row, now, rewrite

SECOND = date(2024, 9, 17)
SOURCE = "toy_box_l1-tick"
STEM = f"{SOURCE}_20240916"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """With one exported day, version 1.0.0."""
    with lake_with_product(tmp_path, monkeypatch) as made:
        assert versions(exported(made)) == ["20240916_v1.0.0"]
        yield made


def versions(done: Exported) -> list[str]:
    """Days and versions that were published."""
    assert (done.failed, done.blocked) == ([], [])
    return [key.rpartition("tick_")[2].removesuffix(".cdf") for key in done.published]


def entry(lake: Lake, version: str, stem: str = STEM) -> dict[str, Any]:
    found = Journal(lake).entry("versions", f"{stem}_v{version}")
    assert found is not None
    return found


def test_late_data_raise_z(lake: Lake) -> None:
    receive(lake, "b", [4])
    build(lake)
    assert versions(exported(lake)) == ["20240916_v1.0.1"]
    assert [entry(lake, version)["records"] for version in ("1.0.0", "1.0.1")] == [3, 4]


def test_words_raise_z(lake: Lake) -> None:
    edit(instrument_file(lake, "cdf.yaml"), "Ticks in volts", "Ticks")
    assert versions(exported(lake)) == ["20240916_v1.0.1"]


def test_a_calibration_raises_y(lake: Lake) -> None:
    instrument_file(lake, "calibration/gain_20240916.csv").write_text("factor\n3\n")
    build(lake)
    assert versions(exported(lake)) == ["20240916_v1.1.0"]
    before, after = (entry(lake, version)["made_from"]["calibrations"] for version in ("1.0.0", "1.1.0"))
    assert (set(before), set(after)) == ({"gain_20240101", "parts_20240101"}, {"gain_20240916", "parts_20240101"})


def test_an_algorithm_raises_y_also_of_new_days(lake: Lake, tmp_path: Path) -> None:
    rewrite(tmp_path, TRANSFORMS.replace("float(factor)", "float(factor) * 10"))
    receive(lake, "b", [4], SECOND)
    receive(lake, "c", [4], date(2024, 9, 15))
    build(lake)
    # The day with an earlier version goes first, whatever its date.
    assert versions(exported(lake)) == ["20240916_v1.1.0", "20240915_v1.1.0", "20240917_v1.1.0"]
    (note,) = Journal(lake).entries("generations").values()
    assert note["why"] == "algorithm"


def test_a_calibration_of_one_day_is_no_generation(lake: Lake) -> None:
    instrument_file(lake, "calibration/gain_20240916.csv").write_text("factor\n3\n")
    receive(lake, "b", [4], SECOND)
    build(lake)
    assert versions(exported(lake)) == ["20240916_v1.1.0", "20240917_v1.0.0"]


def test_a_structure_raises_x(lake: Lake) -> None:
    receive(lake, "b", [4])
    build(lake)
    exported(lake)
    edit(instrument_file(lake, "cdf.yaml"), "time_resolution: 1 s", "time_resolution: 1 s\n    omit: [halves_v]")
    assert versions(exported(lake)) == ["20240916_v2.0.0"]
    receive(lake, "c", [4], SECOND)
    build(lake)
    assert versions(exported(lake)) == ["20240917_v2.0.0"]


def test_the_definition_may_ask_for_a_higher_version(lake: Lake) -> None:
    edit(instrument_file(lake, "cdf.yaml"), "version: '1.0'", "version: '1.4'")
    receive(lake, "b", [4], SECOND)
    build(lake)
    assert versions(exported(lake)) == ["20240916_v1.4.0", "20240917_v1.4.0"]


def test_a_lower_version_in_the_definition_changes_nothing(lake: Lake) -> None:
    edit(instrument_file(lake, "cdf.yaml"), "version: '1.0'", "version: '0.9'")
    receive(lake, "b", [4])
    build(lake)
    assert versions(exported(lake)) == ["20240916_v1.0.1"]


def test_equal_bytes_keep_their_version(lake: Lake, tmp_path: Path) -> None:
    rewrite(tmp_path, TRANSFORMS.replace("float(factor)", "float(factor) * 1.0"))
    build(lake)
    done = exported(lake, force=True)
    assert (versions(done), done.unchanged) == ([], 1)
    assert newest_versions(Journal(lake)) == {STEM: Version(1, 0, 0)}


def another_release(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (making_module, provenance_module):
        monkeypatch.setattr(module, "release", lambda: ("99.0", date(2031, 5, 4)))


@pytest.mark.parametrize("is_there", [False, True])
def test_a_lost_or_damaged_file_comes_back_under_a_later_release(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    path = tmp_path / "lake" / last_row(lake)["path"]
    before = path.read_bytes()
    path.unlink()
    if is_there:
        path.write_bytes(before[:-1])
    another_release(monkeypatch)
    exported(lake, force=True)
    assert path.read_bytes() == before
    assert newest_versions(Journal(lake)) == {STEM: Version(1, 0, 0)}


def test_new_data_name_the_release_that_published_them(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_release(monkeypatch)
    receive(lake, "b", [4])
    build(lake)
    (key,) = exported(lake).published
    found = cdflib.CDF(tmp_path / "lake" / key).globalattsget()
    assert (found["Software_version"], found["Generation_date"]) == (["swxlake 99.0"], ["20310504"])
    origin = entry(lake, "1.0.1")["made_from"]
    assert (origin["release"], origin["released"]) == ("99.0", "2031-05-04")


def test_calibrations_are_recorded_as_the_rows_were_made_with_them(lake: Lake) -> None:
    """A calibration, and a definition of a column, that came after the last transform."""
    before, runs = entry(lake, "1.0.0")["made_from"], read_books(lake).held.runs
    instrument_file(lake, "calibration/gain_20240916.csv").write_text("factor\n3\n")
    edit(instrument_file(lake, "tables.yaml"), "Voltage}", "Voltage, nullable: true}")
    definitions = now(lake).definitions
    table = definitions.tables[L1]
    assert calibrations_of(definitions, table, DAY, runs) == before["calibrations"]
    assert algorithm_of(definitions, table, DAY, runs) == before["algorithm"]
    assert set(calibrations_of(definitions, table, DAY)) == {"gain_20240916", "parts_20240101"}


def test_a_calibration_that_was_replaced_since_is_not_recorded_as_another(lake: Lake) -> None:
    runs = read_books(lake).held.runs
    instrument_file(lake, "calibration/gain_20240101.csv").write_text("factor\n3\n")
    definitions = now(lake).definitions
    with pytest.raises(ExportError, match=rf"{L1}@{DAY}: was built with calibration gain .* Run `swxlake transform"):
        calibrations_of(definitions, definitions.tables[L1], DAY, runs)


def test_calibration_files_are_kept_once_as_they_were(lake: Lake) -> None:
    journal, file = Journal(lake), instrument_file(lake, "calibration/gain_20240101.csv")
    first, before = entry(lake, "1.0.0")["made_from"]["calibrations"], file.read_bytes()
    assert set(journal.keys("calibrations")) == set(first.values())
    file.write_bytes(after := "factor,µ\r\n3,4\r\n".encode())
    build(lake)
    assert versions(exported(lake)) == ["20240916_v1.1.0"]
    second = entry(lake, "1.1.0")["made_from"]["calibrations"]
    kept = [archived_calibration(journal, found["gain_20240101"]) for found in (first, second)]
    assert (kept, len(journal.keys("calibrations"))) == ([before, after], 3)
    assert {e["name"] for e in journal.entries("calibrations").values()} == {"gain_20240101", "parts_20240101"}


def test_a_calibration_that_changes_under_a_run_stops_the_version(lake: Lake) -> None:
    """Before the journal says that a version was made from it."""
    receive(lake, "b", [4])
    build(lake)
    used, file = now(lake), instrument_file(lake, "calibration/gain_20240101.csv")
    file.write_text("factor\n3\n")
    ((_, _, reason),) = export_module.export_all(used, "run-9", [used.definitions.tables[L1]]).failed
    assert reason == f"{file}: was changed while it was used. Run `swxlake night` again"
    assert newest_versions(Journal(lake)) == {STEM: Version(1, 0, 0)}


def test_a_kept_calibration_whose_text_was_changed_is_refused(lake: Lake, tmp_path: Path) -> None:
    sha256 = entry(lake, "1.0.0")["made_from"]["calibrations"]["gain_20240101"]
    path = tmp_path / f"lake/journal/calibrations/{sha256}.json"
    path.write_text(json.dumps({"name": "gain_20240101", "text": "factor\n9\n"}))
    with pytest.raises(StorageError, match=rf"{path}: its text has another sha256"):
        archived_calibration(Journal(lake), sha256)


def test_the_commit_is_marked_where_it_says_nothing_of_missions(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance_module, "_described", lambda: "c" * 40)
    assert (commit(CHECKOUT / "missions"), commit(tmp_path)) == ("c" * 40, "c" * 40 + "+missions elsewhere")
    receive(lake, "b", [4])
    build(lake)
    exported(lake)
    assert entry(lake, "1.0.1")["made_from"]["commit"] == "c" * 40 + "+missions elsewhere"


def test_versions_of_older_lakes_count_as_data(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / f"lake/journal/versions/{STEM}_v1.0.0.json"
    old = json.loads(path.read_text())
    del old["made_from"]
    path.write_text(json.dumps(old))
    rewrite(tmp_path, TRANSFORMS.replace("float(factor)", "float(factor) * 10"))
    build(lake)
    assert versions(exported(lake)) == ["20240916_v1.0.1"]


def test_versions_and_bytes_come_back_from_the_journal(lake: Lake, tmp_path: Path) -> None:
    instrument_file(lake, "calibration/gain_20240916.csv").write_text("factor\n3\n")
    build(lake)
    (key,) = exported(lake).published
    before = (tmp_path / "lake" / key).read_bytes()
    for name in ("exports", "tables"):
        shutil.rmtree(tmp_path / "lake" / name)
    receive(lake, "a", [1, 2, 3])
    build(lake)
    assert versions(exported(lake)) == ["20240916_v1.1.0"]
    assert (tmp_path / "lake" / key).read_bytes() == before
    assert len(Journal(lake).keys("versions")) == 2


def test_a_version_that_was_given_out_but_not_published_is_published(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(lake, "b", [4])
    build(lake)
    with monkeypatch.context() as patch:
        patch.setattr(export_module._Run, "_publish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            exported(lake)
    assert not (tmp_path / f"lake/exports/toy/box/l1/2024/{STEM}_v1.0.1.cdf").exists()
    assert versions(exported(lake)) == ["20240916_v1.0.1"]


def test_who_loses_the_race_reads_the_table_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading the table and giving out a version, another process takes in a late file and exports."""
    instrument_file(lake, "calibration/gain_20240916.csv").write_text("factor\n3\n")
    build(lake)
    choose, others = export_module.choose, list[str]()

    def overtaken(*arguments: Any) -> Version:
        if not others:
            others.append("at work")
            receive(lake, "b", [4])
            build(lake)
            others.extend(versions(exported(lake)))
        return choose(*arguments)

    monkeypatch.setattr(export_module, "choose", overtaken)
    monkeypatch.setattr(type(lake.storage), "alone", lambda *_: nullcontext())
    done = exported(lake)
    assert others == ["at work", "20240916_v1.1.0"]
    assert (versions(done), done.unchanged) == ([], 1)
    assert newest_versions(Journal(lake)) == {STEM: Version(1, 1, 0)}
    assert entry(lake, "1.1.0")["records"] == 4


class Crowded(Journal):
    """Another process gives out 1.0.1 after anybody has looked, and before he writes."""

    def __init__(self, lake: Lake) -> None:
        super().__init__(lake)
        self.other = Journal(lake)

    def write_once(self, kind: str, key: str, content: dict[str, Any]) -> bool:
        self.other.write_once(kind, f"{key.rpartition('_v')[0]}_v1.0.1", {})
        return super().write_once(kind, key, content)


@pytest.mark.parametrize(
    ("day", "last", "version"),
    [
        (DAY, Version(1, 0, 0), Version(1, 1, 0)),
        (DAY, Version(1, 0, 0), Version(1, 0, 1)),
        (SECOND, None, Version(1, 0, 0)),
        (SECOND, None, Version(2, 0, 0)),
    ],
)
def test_two_versions_at_the_same_time_are_noticed(
    lake: Lake, day: date, last: Version | None, version: Version
) -> None:
    with pytest.raises(VersionTakenError, match="another process exports it at the same time"):
        give_out(Crowded(lake), ProductDay(SOURCE, day), last, version, {})


def test_a_first_version_is_not_given_out_where_there_is_one(lake: Lake) -> None:
    with pytest.raises(VersionTakenError):
        give_out(Journal(lake), ProductDay(SOURCE, DAY), None, Version(1, 1, 0), {})
    assert newest_versions(Journal(lake)) == {STEM: Version(1, 0, 0)}


def test_an_entry_that_cannot_be_read_stops_its_day_alone(lake: Lake, tmp_path: Path) -> None:
    for name, day in (("b", DAY), ("c", SECOND)):
        receive(lake, name, [4], day)
    build(lake)
    (tmp_path / f"lake/journal/versions/{STEM}_v1.0.0.json").write_text("{")
    done = exported(lake)
    assert [Path(key).stem for key in done.published] == [f"{SOURCE}_20240917_v1.0.0"]
    ((table, day, reason),) = done.failed
    assert (table, day) == (L1, DAY)
    assert f"{STEM}_v1.0.0" in reason


def test_a_stale_version_that_slipped_through_is_followed_by_a_right_one(lake: Lake) -> None:
    """A process that was stopped for long gives out a version of what it had read, and never says so in the books."""
    stale = entry(lake, "1.0.0") | {"sha256": "0" * 64}
    assert Journal(lake).write_once("versions", f"{STEM}_v1.1.0", stale)
    assert versions(exported(lake)) == ["20240916_v1.1.1"]
    assert exported(lake).unchanged == 1


def test_what_a_version_was_made_from_is_recorded(lake: Lake) -> None:
    origin = entry(lake, "1.0.0")["made_from"]
    assert set(origin) == {
        "outline", "algorithm", "calibrations", "definitions", "raw", "code", "commit", "release", "released",
        "packages",
    }  # fmt: skip
    assert json.loads(last_row(lake)["made_from"]) == origin
    assert set(origin["packages"]) == {
        "python", "cdflib", "deflate", "deltalake", "numpy", "pint", "polars", "pyarrow"
    }  # fmt: skip
    assert all(len(origin[name]) == 64 for name in ("outline", "algorithm", "definitions", "code"))


def test_a_file_holds_the_rows_that_the_books_are_about(lake: Lake) -> None:
    """A day that is replaced after the books were read does not get into a file that they do not describe."""
    (product, table), *_ = products(lake.definitions)
    subject = subject_of(lake, read_books(lake), product, table, DAY)
    receive(lake, "b", [4])
    build(lake)
    with maker(lake, subject) as making:
        assert making.write(Version(1, 0, 1)).records == 3


def test_all_versions_stay_and_the_newest_are_named(lake: Lake) -> None:
    for name in "bc":
        receive(lake, name, [4])
        build(lake)
        exported(lake)
    rows = read_ops(lake, "exports").sort("run_id")
    assert rows["version"].to_list() == ["1.0.0", "1.0.1", "1.0.2"]
    assert all(lake.storage.size(path) for path in rows["path"])


def test_the_view_names_the_highest_version_by_its_numbers(lake: Lake) -> None:
    row = last_row(lake)
    append_ops(lake, "exports", [row | {"version": version} for version in ("1.0.9", "1.0.10", "0.20.0")])
    with open_catalog(now(lake)) as connection:
        found = connection.sql("SELECT product, version, path FROM ops.latest_products").fetchall()
    assert found == [(L1, "1.0.10", row["path"])]


@pytest.mark.parametrize(
    ("last", "changed", "floor", "expected"),
    [
        ((1, 2, 9), "data", (1, 0, 0), "1.2.10"),
        ((1, 9, 3), "algorithm", (1, 0, 0), "1.10.0"),
        ((1, 9, 3), "calibrations", (1, 12, 0), "1.12.0"),
        ((9, 9, 3), "structure", (1, 0, 0), "10.0.0"),
        ((1, 0, 5), "data", (2, 0, 0), "2.0.0"),
    ],
)
def test_versions_count_as_numbers(last: Any, changed: Any, floor: Any, expected: str) -> None:
    assert str(next_version(Version(*last), changed, Version(*floor))) == expected


def test_the_newest_version_is_that_of_the_highest_numbers(lake: Lake) -> None:
    for version in ("1.0.10", "1.0.9", "0.20.0"):
        Journal(lake).write_once("versions", f"{STEM}_v{version}", {})
    assert newest_versions(Journal(lake)) == {STEM: Version(1, 0, 10)}


def test_a_structure_hides_a_changed_algorithm(lake: Lake) -> None:
    now = MadeFrom(**entry(lake, "1.0.0")["made_from"])
    before = {"outline": "x", "algorithm": "x", "calibrations": {}}
    assert change(before, now) == "structure"
    assert change(before | {"outline": now.outline}, now) == "algorithm"
    older = {"structure": "x", "algorithm": now.algorithm, "calibrations": {}}
    assert change(older, now) == "calibrations"  # lakes that recorded less of the structure
    assert change(before | {"outline": now.outline, "algorithm": now.algorithm}, now) == "calibrations"
    assert change(None, now) == "data"

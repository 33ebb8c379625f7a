# SPDX-License-Identifier: Apache-2.0
"""fsck names every difference between journal, ops.exports, files in exports/ and releases, and what they rest on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.torture.state import product_state
from lake.definition_files import read_definitions
from lake.ledger import read_ops
from lake.reading import files_by_day, open_table
from lake.store import Lake
from lake.tables import append_ops, replace_ops
from swxlake.fsck import fsck
from swxlake.night import Selection, export
from tests.kept_lake import DAYS, L1, Look, copy, flip, look, night, only, root_of
from tests.meddea import MISSIONS

OLD, NEW = "padre_meddea_l1-housekeeping_20240916_v1.0.0", "padre_meddea_l1-housekeeping_20240916_v1.0.1"
FITS_OLD = "padre_meddea_l1_housekeeping_20240916T000000_v1.0.0.fits"
OTHER = "padre_meddea_l1-housekeeping_20240917_v1.0.0"


def product(lake: Lake, name: str) -> Path:
    return only(lake, f"exports/*/*/*/*/{name}.cdf")


def version(lake: Lake, name: str) -> Path:
    return root_of(lake) / f"journal/versions/{name}.json"


# ---- files -----------------------------------------------------------------------------------------------------------
def test_a_product_with_a_flipped_bit_is_named_but_not_by_a_quick_look(kept: Lake) -> None:
    path = product(kept, OTHER)
    flip(path, 1000)
    first, second = look(kept).problems
    assert first.startswith(f"{path}: has changed: its sha256 is ")
    assert first.endswith("Run `swxlake export --force`, which puts it away and writes it again.")
    assert second.endswith(first.rpartition(". ")[2])
    assert "the release first has it" in second
    assert look(kept, quick=True).problems == []


def test_a_product_that_was_cut_is_named_by_a_quick_look_too(kept: Lake) -> None:
    path = product(kept, NEW)
    size = path.stat().st_size
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    assert f"has {size - 1} bytes instead of {size}. Run `swxlake export --force`" in look(kept, True).about(str(path))


def test_an_older_product_that_was_changed_is_not_what_an_export_mends(kept: Lake) -> None:
    path = product(kept, OLD)
    flip(path, 1000)
    remedy = "Run `swxlake reproduce {} --restore`, which puts it away and makes it again, or restore it from a backup."
    assert [problem.rpartition(remedy.format(OLD))[1] != "" for problem in look(kept).problems] == [True, True]


def test_an_older_product_that_is_missing_is_named_and_said_how_to_make(kept: Lake) -> None:
    product(kept, OLD).unlink()
    what = "was published and is missing. Restore it from a backup, or make it again with"
    assert look(kept).about(f"{OLD}.cdf").endswith(f"{what} `swxlake reproduce {OLD} --restore`.")


def test_a_newest_product_that_is_missing_is_named_and_the_next_export_mends_it(kept: Lake, healthy: Lake) -> None:
    path = product(kept, NEW)
    path.unlink()
    what = "was published and is missing. Run `swxlake export`, which publishes it again."
    assert look(kept).about(f"{NEW}.cdf").endswith(what)
    assert export(kept, Selection()).problems == [f"{path}: was missing; written again"]
    assert export(kept, Selection()).exit_code == 0
    assert look(kept) == Look([], [])
    assert product_state(kept) == product_state(healthy)


def test_what_is_no_product_is_named(kept: Lake) -> None:
    path = product(kept, NEW).with_name("notes.cdf")
    path.write_bytes(b"mine")
    assert "is no product of this lake" in look(kept).about(str(path))


def test_a_product_in_two_places_is_named(kept: Lake) -> None:
    path = product(kept, NEW)
    twin = path.parent.parent / path.name
    shutil.copy(path, twin)
    (problem,) = look(kept).problems
    assert "is also at" in problem


# ---- journal ---------------------------------------------------------------------------------------------------------
def test_a_product_whose_version_nobody_gave_out_is_named(kept: Lake) -> None:
    version(kept, NEW).unlink()
    found = look(kept)
    assert "journal/versions did not give out" in found.about(str(product(kept, NEW)))
    path = product(kept, NEW).relative_to(root_of(kept))
    assert "a version that journal/versions does not have" in found.about(f"ops.exports: {path}")


def test_a_newest_version_that_was_never_published_is_named_and_the_next_night_mends_it(
    kept: Lake, healthy: Lake
) -> None:
    product(kept, NEW).unlink()
    replace_ops(kept, "exports", [], f"path LIKE '%{NEW}.cdf'")
    assert "was given out and never published" in look(kept).about(str(version(kept, NEW)))
    assert night(kept).exit_code == 0
    assert look(kept) == Look([], [])
    assert product_state(kept) == product_state(healthy)


def test_an_older_version_that_a_rebuild_does_not_bring_back_is_a_note(kept: Lake) -> None:
    shutil.rmtree(root_of(kept) / "exports")
    shutil.rmtree(root_of(kept) / "tables")
    (root_of(kept) / "journal/releases/first.json").unlink()
    assert night(kept).exit_code == 0
    found = look(kept)
    place, words = (
        version(kept, OLD),
        f"an older version that is not in exports/; `swxlake reproduce {OLD} --restore` puts it there",
    )
    rendered = only(kept, f"fits/*/*/*/*/{FITS_OLD}")
    stays = "an older version without a row in ops.renditions, which was made anew since; it can stay"
    assert found == Look([], [f"{place}: {words}", f"{rendered}: {stays}"])


def test_entries_that_cannot_be_read_and_strangers_in_the_journal_are_named(kept: Lake) -> None:
    version(kept, OLD).write_text("{")
    stranger = root_of(kept) / "journal/versions/readme.txt"
    stranger.write_text("mine")
    found = look(kept)
    assert "is no readable entry" in found.about(str(version(kept, OLD)))
    assert "is no entry of the journal" in found.about(str(stranger))


@pytest.mark.parametrize(
    ("entry", "lacks"),
    [
        (f"versions/{OLD}", {"bytes": None, "sha256": 1}),
        ("arrivals/00000001", {"receipts": 3}),
        ("releases/first", {"products": {}}),
    ],
)
def test_an_entry_of_another_shape_is_named_and_hides_no_other_difference(
    kept: Lake, entry: str, lacks: dict[str, object]
) -> None:
    path = root_of(kept) / f"journal/{entry}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | lacks))
    flip(product(kept, OTHER), 1000)
    found = look(kept)
    odd = f"is no entry of {entry.partition('/')[0]} ({' and '.join(lacks)} missing or of another type)"
    assert odd in found.about(str(path))
    assert "has changed" in "".join(problem for problem in found.problems if str(product(kept, OTHER)) in problem)


def test_an_entry_of_a_release_with_other_items_is_named(kept: Lake) -> None:
    path = root_of(kept) / "journal/releases/first.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"products": [1], "tables": {"a.b": 1}}))
    found = look(kept)
    assert found.places == [str(path), str(path.parent)]
    path.write_text("[]")
    assert "is no entry of releases (it holds no names)" in look(kept).about(str(path))


# ---- ops.exports -----------------------------------------------------------------------------------------------------
def test_a_newest_product_without_a_row_is_named_and_export_writes_it(kept: Lake) -> None:
    replace_ops(kept, "exports", [], f"path LIKE '%{NEW}.cdf'")
    assert "has no row in ops.exports. Run `swxlake export`" in look(kept).about(str(product(kept, NEW)))
    night(kept)
    assert look(kept) == Look([], [])


def test_an_older_product_without_a_row_is_a_note(kept: Lake) -> None:
    replace_ops(kept, "exports", [], f"path LIKE '%{OLD}.cdf'")
    found = look(kept)
    assert found == Look([], [f"{product(kept, OLD)}: has no row in ops.exports, which was made anew since"])


def test_a_row_with_another_hash_than_the_journal_is_named(kept: Lake) -> None:
    row = read_ops(kept, "exports").sort("run_id").row(-1, named=True)
    append_ops(kept, "exports", [row | {"sha256": "0" * 64, "run_id": "9"}])
    problem = look(kept).about(f"ops.exports: {row['path']}")
    assert f"has sha256 {'0' * 64}, journal/versions says {row['sha256']}" in problem


def test_a_row_about_another_product_day_or_version_than_its_path_is_named(kept: Lake) -> None:
    row = read_ops(kept, "exports").sort("run_id").row(-1, named=True)
    append_ops(kept, "exports", [row | {"version": "9.0.0", "product": "padre.other", "run_id": "9"}])
    problem = look(kept).about(f"ops.exports: {row['path']}")
    said, named = f"padre.other@{row['day']} version 9.0.0", f"{row['product']}@{row['day']} version {row['version']}"
    assert f"is about {said}, its path about {named}. Remove " in problem


def test_a_file_is_hashed_once_however_many_releases_have_it(kept: Lake) -> None:
    one = fsck(kept).facts["fsck"]["bytes_hashed"]
    first = root_of(kept) / "journal/releases/first.json"
    shutil.copy(first, first.with_name("second.json"))
    assert fsck(kept).facts["fsck"]["bytes_hashed"] == one


# ---- what products rest on -------------------------------------------------------------------------------------------
def test_a_calibration_that_is_gone_is_named_and_a_changed_one_is_a_note(healthy: Lake, tmp_path: Path) -> None:
    missions = Path(shutil.copytree(MISSIONS, tmp_path / "missions"))
    folder = missions / "padre/meddea/calibration"
    (folder / "housekeeping_spline_20240101.csv").rename(folder / "housekeeping_spline_20240102.csv")
    polynomial = folder / "housekeeping_polynomial_20240101.csv"
    polynomial.write_text(f"{polynomial.read_text()}\n")
    found = look(Lake(healthy.root, read_definitions(missions)))
    problem = found.about("calibration housekeeping_spline_20240101.csv")
    assert "is not in missions/, but 2 products such as" in problem
    (note,) = found.notes
    assert note.startswith("calibration housekeeping_polynomial_20240101.csv: has changed, 2 products such as")


def test_a_product_of_a_release_that_changed_is_named_with_the_release(kept: Lake) -> None:
    path = root_of(kept) / "journal/releases/first.json"
    content = json.loads(path.read_text())
    content["products"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(content))
    (problem,) = look(kept).problems
    assert f"not {'0' * 64}, and the release first has it" in problem


def test_tables_of_a_release_that_were_removed_are_a_note_and_lost_files_a_difference(
    kept: Lake, tmp_path: Path
) -> None:
    other = copy(kept, tmp_path / "other")
    days = sorted(root_of(kept).glob("tables/padre/meddea_l1_housekeeping/day=2024-09-16/*.parquet"))
    newest = files_by_day(open_table(kept, kept.definitions.tables[L1]))[DAYS[0]]
    (older,) = [path for path in days if path.name not in newest]  # that of the release
    older.unlink()
    assert "files of padre.meddea_l1_housekeeping as of this release are missing" in look(kept).about("release first")
    shutil.rmtree(root_of(other) / "tables/padre/meddea_l1_photon")
    night(other)
    (note,) = look(other).notes
    assert note.startswith("release first: padre.meddea_l1_photon: was made anew since first")


# ---- leftovers -------------------------------------------------------------------------------------------------------
def test_what_was_never_finished_or_put_away_is_a_note(kept: Lake) -> None:
    root = root_of(kept)
    left = [root / ".scratch-a/half.cdf", root / "raw/.x.part", root / "tables/ops/files/_delta_log/3.json#1"]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    (root / "damaged").mkdir()
    (root / "damaged/a.cdf-0123").write_bytes(b"spoilt")
    found = look(kept)
    assert found.problems == []
    words = "was never finished, 0.0 days old; `swxlake maintain` removes it after its retention"
    assert sorted(found.notes) == sorted(
        [
            *(f"{path}: {words}" for path in (root / ".scratch-a", *left[1:])),
            f"{root}/damaged/a.cdf-0123: was put away as damaged; look at it, then remove it",
        ]
    )

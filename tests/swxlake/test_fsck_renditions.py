# SPDX-License-Identifier: Apache-2.0
"""fsck names every difference between ops.renditions, the files below fits/, and the CDFs that they were made from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exports.fits.rendering import render_all
from lake.ledger import read_ops
from lake.store import Lake
from lake.tables import append_ops, replace_ops
from swxlake.findings import Findings
from swxlake.fsck_renditions import look_at_renditions
from tests.kept_lake import copy, flip, only
from tests.rendered_lake import exported_lake


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A lake with one product as FITS. Nobody changes it."""
    with exported_lake(tmp_path_factory.mktemp("toy")) as lake:
        assert len(render_all(lake).made) == 1
        yield lake


@pytest.fixture
def lake(rendered: Lake, tmp_path: Path) -> Lake:
    return copy(rendered, tmp_path / "lake")


def look(lake: Lake, quick: bool = False, books: bool = True) -> Findings:
    found = Findings(lake, quick)
    look_at_renditions(found, books)
    return found


def the_file(lake: Lake) -> Path:
    return only(lake, "fits/**/*.fits")


def test_a_healthy_lake_has_no_difference(lake: Lake) -> None:
    found = look(lake)
    assert (found.problems, found.notes, found.counts["renditions"]) == ([], [], 1)


def test_a_flipped_bit_is_found_by_its_hash_but_not_by_a_quick_look(lake: Lake) -> None:
    flip(the_file(lake), 3000)
    (problem,) = look(lake).problems
    assert problem.startswith(f"{the_file(lake)}: has changed: its sha256 is ")
    assert problem.endswith("Run `swxlake export --force`, which puts it away and makes it again.")
    assert look(lake, quick=True).problems == []


def test_what_is_missing_is_named_and_made_again_by_an_export(lake: Lake) -> None:
    path = the_file(lake)
    path.unlink()
    remedy = "Run `swxlake export`, which makes it again from its CDF."
    assert look(lake).problems == [f"{path}: was made and is missing. {remedy}"]
    render_all(lake)
    assert look(lake).problems == []


@pytest.mark.parametrize("name", ["notes.txt", "toy_box_l1_tick_20240916T120000_v1.0.0.fits"])
def test_what_is_no_product_is_to_be_moved_away(lake: Lake, name: str) -> None:
    other = the_file(lake).with_name(name)
    other.write_text("?")
    assert look(lake).problems == [f"{other}: is no product of this lake. Move it away."]


def test_a_version_that_was_never_given_out_is_named(lake: Lake) -> None:
    path = the_file(lake)
    other = path.with_name(path.name.replace("v1.0.0", "v1.0.1"))
    other.write_bytes(path.read_bytes())
    (problem,) = look(lake).problems
    file_id = other.name.replace("_tick", "-tick").replace("T000000", "").removesuffix(".fits")
    assert problem.startswith(f"{other}: is of {file_id}, a version that journal/versions did not give out.")


def test_a_file_without_a_row_is_named_and_recorded_by_an_export(lake: Lake) -> None:
    replace_ops(lake, "renditions", [], "format = 'fits'")
    remedy = "Run `swxlake export`, which looks at it and writes the row."
    assert look(lake).problems == [f"{the_file(lake)}: has no row in ops.renditions. {remedy}"]
    render_all(lake)
    assert look(lake).problems == []


def test_a_row_about_another_cdf_is_named(lake: Lake) -> None:
    (row,) = read_ops(lake, "renditions").to_dicts()
    append_ops(lake, "renditions", [row | {"cdf_sha256": "0" * 64, "run_id": row["run_id"] + "z"}])
    (problem,) = look(lake).problems
    assert problem.startswith(
        f"ops.renditions: {row['path']}: was made from a CDF of sha256 {'0' * 64}, journal/versions/"
    )


def test_what_waits_for_the_next_export_is_a_note(lake: Lake) -> None:
    the_file(lake).unlink()
    replace_ops(lake, "renditions", [], "format = 'fits'")
    found = look(lake)
    assert found.problems == []
    (note,) = found.notes
    assert "1 products are not there as FITS yet, such as fits/toy/box/l1/2024/toy_box_l1_tick_" in note


def test_without_books_only_names_are_looked_at(lake: Lake) -> None:
    flip(the_file(lake), 3000)
    assert look(lake, books=False).problems == []

# SPDX-License-Identifier: Apache-2.0
"""Each published CDF is rendered as FITS once, recorded, made again if it is lost, and never changed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from exports.fits import rendering
from exports.fits.rendering import render_all
from lake.ledger import read_ops
from lake.store import Lake
from lake.tables import replace_ops
from tests.kept_lake import copy
from tests.rendered_lake import exported_lake

KEY = "fits/toy/box/l1/2024/"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A lake of a mission that wants FITS, with one exported day. Nobody changes it."""
    with exported_lake(tmp_path_factory.mktemp("toy")) as made:
        yield made


@pytest.fixture
def lake(exported: Lake, tmp_path: Path) -> Lake:
    return copy(exported, tmp_path / "lake")


def rows(lake: Lake) -> list[dict[str, Any]]:
    return read_ops(lake, "renditions").sort("run_id", maintain_order=True).to_dicts()


def path_of(lake: Lake, key: str) -> Path:
    return Path(lake.storage.uri(key))


def test_a_product_is_rendered_once(lake: Lake) -> None:
    first, second = render_all(lake), render_all(lake)
    (key,) = first.made
    assert (first.unchanged, first.failed, second.made, second.unchanged) == (0, [], [], 1)
    (row,) = rows(lake)
    (export,) = read_ops(lake, "exports").to_dicts()
    assert {name: row[name] for name in ("product", "day", "version", "records")} == {
        name: export[name] for name in ("product", "day", "version", "records")
    }
    assert (row["format"], row["path"], row["cdf_sha256"]) == ("fits", key, export["sha256"])
    assert row["bytes"] == path_of(lake, key).stat().st_size
    assert fits.getheader(path_of(lake, key), 0)["PARENTXT"].startswith(Path(export["path"]).name)


def test_a_mission_that_does_not_want_fits_gets_none(lake: Lake) -> None:
    plain = [mission.model_copy(update={"formats": ("cdf",)}) for mission in lake.definitions.missions]
    without = Lake(lake.root, replace(lake.definitions, missions=tuple(plain)))
    assert render_all(without).made == []
    assert not path_of(lake, "fits").exists()


def test_a_file_that_is_missing_is_made_again_with_the_same_bytes(lake: Lake) -> None:
    (key,) = render_all(lake).made
    before = path_of(lake, key).read_bytes()
    path_of(lake, key).unlink()
    again = render_all(lake)
    assert again.made == [key]
    assert again.damaged == [f"{path_of(lake, key)}: was missing; written again"]
    assert path_of(lake, key).read_bytes() == before
    assert len(rows(lake)) == 1


def test_a_file_that_was_changed_is_put_away_and_made_again(lake: Lake) -> None:
    (key,) = render_all(lake).made
    path = path_of(lake, key)
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(before[:-1] + b"\1")
    assert render_all(lake).unchanged == 1, "its size is right, so that nobody looks without force"
    again = render_all(lake, force=True)
    assert "was changed after it had been published; moved to" in again.damaged[0]
    assert path.read_bytes() == before
    assert render_all(lake, force=True).unchanged == 1


def test_a_good_file_of_other_bytes_is_kept(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from exports.fits import file as writing  # noqa: PLC0415

    (key,) = render_all(lake).made
    before = path_of(lake, key).read_bytes()
    # What a later release might write: the blanks that fill up the header are as many again.
    replace_ops(lake, "renditions", [], "format = 'fits'")
    monkeypatch.setattr(writing, "_write_unit", _longer(writing._write_unit))
    again = render_all(lake, force=True)
    assert (again.made, again.unchanged, again.damaged, again.failed) == ([], 1, [], [])
    assert path_of(lake, key).read_bytes() == before


def test_a_published_file_is_kept_when_a_later_release_says_more(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from exports.fits import headers  # noqa: PLC0415

    (key,) = render_all(lake).made
    before, right = path_of(lake, key).read_bytes(), headers.common_cards
    card = fits.Card("NEWCARD", "x", "of a later release")
    monkeypatch.setattr(headers, "common_cards", lambda origin: [*right(origin), card])
    again = render_all(lake, force=True)
    assert (again.made, again.unchanged, again.damaged, again.failed) == ([], 1, [], [])
    assert path_of(lake, key).read_bytes() == before
    assert len(rows(lake)) == 1


def _longer(write: Any) -> Any:
    def longer(file: Any, header: fits.Header, pieces: Any) -> None:
        write(file, fits.Header(list(header.cards) + [fits.Card()] * 36), pieces)

    return longer


def test_rows_that_were_lost_come_back(lake: Lake) -> None:
    render_all(lake)
    (row,) = rows(lake)
    replace_ops(lake, "renditions", [], "format = 'fits'")
    again = render_all(lake)
    assert (again.made, again.unchanged) == ([], 1)
    (back,) = rows(lake)
    assert {**back, "run_id": "", "created_at": ""} == {**row, "run_id": "", "created_at": ""}


def test_a_cdf_that_has_changed_is_not_rendered(lake: Lake) -> None:
    (export,) = read_ops(lake, "exports").to_dicts()
    path = path_of(lake, export["path"])
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    ((product, day, reason),) = render_all(lake).failed
    assert (product, day) == (export["product"], export["day"])
    assert reason == f"{path}: has changed. Run `swxlake export --force` first"
    assert not path_of(lake, "fits").exists()


def test_a_file_that_does_not_say_what_the_cdf_says_is_not_published(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exports.fits import columns  # noqa: PLC0415

    right = columns.seconds_of_day
    monkeypatch.setattr(columns, "seconds_of_day", lambda times, day: right(times, day) + 5)
    ((product, _, reason),) = render_all(lake).failed
    assert product == "toy.box_l1_tick"
    assert "is not published: X18 TICK TIME: row 1 is not what the CDF has there." in reason
    assert rows(lake) == []
    assert not path_of(lake, "fits").exists()


def test_days_and_tables_can_be_chosen(lake: Lake) -> None:
    (export,) = read_ops(lake, "exports").to_dicts()
    table = lake.definitions.tables[export["product"]]
    assert render_all(lake, days=set()).made == []
    assert render_all(lake, tables=[]).made == []
    assert len(render_all(lake, tables=[table], days={export["day"]}).made) == 1


def test_a_night_without_news_loads_neither_astropy_nor_the_cdf_writer() -> None:
    code = (
        "import sys; import exports.fits.rendering, swxlake.fsck_renditions;"
        "print([name for name in ('astropy', 'cdflib', 'exports.product') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
    assert rendering.FORMAT == "fits"


def test_a_lake_in_a_bucket_is_rendered_with_the_same_bytes(exported: Lake, lake: Lake, s3_root: str) -> None:
    bucket = Lake(s3_root, lake.definitions)
    for entry in exported.storage.entries(""):
        with exported.storage.local(entry.key) as path:
            bucket.storage.put(entry.key, path)
    (key,), (same,) = render_all(lake).made, render_all(bucket).made
    assert key == same
    assert bucket.storage.read(key) == lake.storage.read(key)
    again, forced = render_all(bucket), render_all(bucket, force=True)
    assert (again.made, again.unchanged, forced.made, forced.unchanged) == ([], 1, [], 1)

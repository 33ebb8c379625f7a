# SPDX-License-Identifier: Apache-2.0
"""Drawing: real PNGs of a small lake, what is drawn again and what is not, and what a picture may fail by."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lake.definition_files import read_definitions
from lake.definitions import Table
from lake.errors import StorageError
from lake.store import Lake
from monitor.quicklooks import making
from monitor.quicklooks.book import read_book, write_book
from monitor.quicklooks.facts import NO_TIME
from monitor.quicklooks.making import TO_BE_DRAWN, Drawn, draw_quicklooks
from monitor.quicklooks.panels import derived, quicklooks
from monitor.quicklooks.reduction import Reduced
from monitor.site import places
from monitor.site.places import SITE
from tests.monitor.quicklooks.sky import ADDRESS, DAY, NEXT, every, sky_lake, sky_missions, write

PICTURE, DATA = places.quicklook(ADDRESS, DAY, "png"), places.quicklook(ADDRESS, DAY, "js")
TOMORROW = every(60, 60) + 86_400 * 10**6


ONE_PANEL = """\
    quicklooks:
      box_l1_sky:
        rates: {kind: lines, columns: [rate], title: Rates}
"""
ITS_SUMMARY = "summary: [box_l1_sky.rates]\n"


def small_lake(folder: Path, root: str | None = None) -> Lake:
    """A lake whose pictures are drawn fast."""
    missions = sky_missions(folder, ONE_PANEL, ITS_SUMMARY)
    return Lake(root or folder / "lake", read_definitions(missions))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    found = small_lake(tmp_path)
    write(found, every(60, 300), quality_flag=[2] + [0] * 299)
    return found


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty pictures, for tests of which ones are drawn: a real one takes a fifth of a second."""
    buffer = io.BytesIO()
    Image.new("RGB", (140, 300), "white").save(buffer, format="png")
    monkeypatch.setattr(making, "draw", lambda _: buffer.getvalue())


def published(lake: Lake) -> dict[str, bytes]:
    return {entry.key: lake.storage.read(entry.key) for entry in lake.storage.entries(SITE)}


def counts(drawn: Drawn) -> tuple[int, int, int, int]:
    return drawn.made, drawn.unchanged, drawn.waiting, len(drawn.failed)


def test_a_picture_is_a_png_with_something_on_it(tmp_path: Path) -> None:
    lake = sky_lake(tmp_path)
    write(lake, every(60, 300))
    assert counts(draw_quicklooks(lake)) == (2, 0, 0, 0)
    image = Image.open(io.BytesIO(lake.storage.read(SITE + PICTURE)))
    assert image.size[0] == 1400
    assert len(np.unique(np.asarray(image.convert("L")))) > 50
    small = Image.open(io.BytesIO(lake.storage.read(SITE + places.summary("toy", DAY, "small.png"))))
    assert small.size == (280, 210)
    script = lake.storage.read(SITE + DATA).decode()
    assert json.loads(script.removeprefix("window.swxlakeQuicklook = ").removesuffix(";\n"))["panels"][0]["title"]


def test_the_same_rows_give_the_same_bytes_and_others_give_others(lake: Lake) -> None:
    draw_quicklooks(lake)
    first = published(lake)
    assert counts(draw_quicklooks(lake, force=True)) == (2, 0, 0, 0)
    assert published(lake) == first
    write(lake, every(60, 299))
    draw_quicklooks(lake)
    assert published(lake)[SITE + PICTURE] != first[SITE + PICTURE]


@pytest.mark.usefixtures("sketched")
def test_only_changed_days_are_drawn(lake: Lake) -> None:
    draw_quicklooks(lake)
    write(lake, TOMORROW, NEXT)
    assert counts(draw_quicklooks(lake)) == (2, 2, 0, 0)
    write(lake, every(60, 299))
    assert counts(draw_quicklooks(lake)) == (2, 2, 0, 0)


@pytest.mark.usefixtures("sketched")
def test_a_picture_that_cannot_be_drawn_again_is_noted_until_it_is(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_quicklooks(lake)
    write(lake, every(60, 299))
    with monkeypatch.context() as patch:
        patch.setattr(making, "reduce_day", full_disk)
        assert counts(draw_quicklooks(lake)) == (0, 0, 0, 2)
    assert read_book(lake).old[ADDRESS] == {DAY: "disk says no"}
    assert ADDRESS in read_book(lake).old["toy"][DAY]
    draw_quicklooks(lake)
    assert not read_book(lake).old


@pytest.mark.usefixtures("sketched")
def test_pictures_that_wait_are_noted_before_the_first_one_is_drawn(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_quicklooks(lake)
    write(lake, every(60, 299))
    monkeypatch.setattr(making, "reduce_day", killed)
    with pytest.raises(KeyboardInterrupt):
        draw_quicklooks(lake)
    assert read_book(lake).old == {ADDRESS: {DAY: TO_BE_DRAWN}, "toy": {DAY: TO_BE_DRAWN}}
    write(lake, every(60, 300), quality_flag=[2] + [0] * 299)
    assert counts(draw_quicklooks(lake, most=0)) == (0, 0, 2, 0)
    assert read_book(lake).old[ADDRESS] == {DAY: TO_BE_DRAWN}


def full_disk(*_: object) -> Reduced:
    raise OSError("disk says no")


def killed(*_: object) -> Reduced:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("sketched")
def test_a_night_does_not_wait_long_for_another_process(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "NIGHT_WAIT_SECONDS", 0.01)
    with lake.storage.alone("quicklooks"), pytest.raises(StorageError, match="quicklooks"):
        draw_quicklooks(lake, most=600)


@pytest.mark.usefixtures("sketched")
def test_a_day_that_was_built_without_a_row_has_no_picture(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    write(lake, TOMORROW, NEXT)
    draw_quicklooks(lake)
    run = {"run_id": "20240918T000000", "status": "done", "rows": 0, "content": ""}
    monkeypatch.setattr("monitor.quicklooks.facts.last_runs", lambda *_: {(ADDRESS, DAY): run})
    draw_quicklooks(lake)
    assert list(read_book(lake).tables[ADDRESS]) == [NEXT]
    assert lake.storage.size(SITE + PICTURE) is None


def test_a_table_without_times_is_told_in_words(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    table = lake.definitions.tables[ADDRESS]
    columns = tuple(column for column in table.columns if column.name != "time")
    timeless = Table.model_construct(**(dict(table) | {"columns": columns}))
    assert derived(timeless) is None
    looks = quicklooks(lake.definitions)
    monkeypatch.setattr("monitor.quicklooks.facts.quicklooks", lambda _: looks)
    monkeypatch.setitem(lake.definitions.tables, ADDRESS, timeless)
    drawn = draw_quicklooks(lake)
    assert (drawn.made, drawn.failed) == (0, [(ADDRESS, NO_TIME)])
    assert "no column time" in NO_TIME


@pytest.mark.usefixtures("sketched")
def test_a_picture_is_drawn_again_when_its_panels_change_or_it_was_lost(lake: Lake, tmp_path: Path) -> None:
    draw_quicklooks(lake)
    lake.storage.remove(SITE + PICTURE)
    assert counts(draw_quicklooks(lake)) == (1, 1, 0, 0)
    missions = sky_missions(tmp_path, ONE_PANEL.replace("title: Rates", "title: All"), ITS_SUMMARY)
    assert counts(draw_quicklooks(replace(lake, definitions=read_definitions(missions)))) == (2, 0, 0, 0)


@pytest.mark.usefixtures("sketched")
def test_the_newest_days_come_first_and_the_others_wait(lake: Lake) -> None:
    write(lake, TOMORROW, NEXT)
    assert counts(draw_quicklooks(lake, most=1)) == (2, 0, 2, 0)
    assert list(read_book(lake).tables[ADDRESS]) == [NEXT]
    assert counts(draw_quicklooks(lake)) == (2, 2, 0, 0)


@pytest.mark.usefixtures("sketched")
def test_a_day_whose_file_is_damaged_is_told_and_stops_no_other(lake: Lake) -> None:
    write(lake, TOMORROW, NEXT)
    for path in Path(str(lake.root), "tables/toy/box_l1_sky", f"day={NEXT}").iterdir():
        path.write_bytes(b"PAR1")
    drawn = draw_quicklooks(lake)
    assert drawn.made == 2
    assert [what for what, _ in drawn.failed] == [f"toy {NEXT}"]
    assert list(read_book(lake).tables[ADDRESS]) == [DAY]


@pytest.mark.usefixtures("sketched")
def test_pictures_of_days_that_are_gone_are_removed(lake: Lake) -> None:
    draw_quicklooks(lake)
    later = DAY + timedelta(days=2)
    book = read_book(lake)
    book.tables[ADDRESS][later] = book.summaries["toy"][later] = "mark"
    write_book(lake, book)
    lake.storage.publish(SITE + places.quicklook(ADDRESS, later, "png"), b"old", "image/png")
    draw_quicklooks(lake)
    assert lake.storage.size(SITE + places.quicklook(ADDRESS, later, "png")) is None
    assert list(read_book(lake).summaries["toy"]) == [DAY]


@pytest.mark.usefixtures("sketched")
def test_some_tables_and_days_are_drawn_alone(lake: Lake) -> None:
    write(lake, TOMORROW, NEXT)
    assert counts(draw_quicklooks(lake, [lake.definitions.tables[ADDRESS]], {NEXT})) == (2, 0, 0, 0)
    assert counts(draw_quicklooks(lake, [lake.definitions.tables["toy.box_l0_tick"]])) == (0, 0, 0, 0)


@pytest.mark.usefixtures("sketched")
def test_a_book_that_was_cut_is_written_anew(lake: Lake) -> None:
    draw_quicklooks(lake)
    lake.storage.publish(f"{SITE}quicklooks/book.json", b'{"format": 1, "tab', "application/json")
    assert counts(draw_quicklooks(lake)) == (2, 0, 0, 0)


def test_pictures_are_published_to_object_storage(tmp_path: Path, s3_root: str) -> None:
    lake = small_lake(tmp_path, s3_root)
    write(lake, every(60, 30))
    assert counts(draw_quicklooks(lake)) == (2, 0, 0, 0)
    assert Image.open(io.BytesIO(lake.storage.read(SITE + PICTURE))).format == "PNG"
    assert counts(draw_quicklooks(lake)) == (0, 2, 0, 0)

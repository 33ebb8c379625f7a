# SPDX-License-Identifier: Apache-2.0
"""The writer renders what changed and nothing else, and brings back what was lost."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lake.errors import TableError
from lake.store import Lake
from monitor.site import building
from monitor.site.building import build_site
from monitor.site.page import Asset, Page
from monitor.site.writing import BOOK, Built, Writer, environment
from tests.monitor.site.toy_books import NOW
from tests.toy import toy_lake

ONE = Page("one.html", "record.html", {"title": "One", "lead": "", "trail": [], "pairs": [], "sections": []})
DEEP = replace(ONE, path="a/b/deep.html")
STYLE = Asset("assets/style.css", "1", lambda: b"a{}")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return toy_lake(tmp_path)


def write(lake: Lake, *parts: Page | Asset, force: bool = False) -> Built:
    writer = Writer(lake, force)
    writer.add(parts)
    return writer.finish()


def root(lake: Lake) -> Path:
    assert isinstance(lake.root, Path)
    return lake.root / "site"


def test_a_page_whose_facts_are_the_same_is_not_written_again(lake: Lake) -> None:
    assert write(lake, ONE, STYLE) == Built(pages=2, written=2)
    before = (root(lake) / "one.html").stat()
    assert write(lake, ONE, STYLE) == Built(pages=2)
    after = (root(lake) / "one.html").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_page_whose_facts_changed_is_written_alone(lake: Lake) -> None:
    write(lake, ONE, DEEP, STYLE)
    assert write(lake, replace(ONE, about=dict(ONE.about) | {"title": "Two"}), DEEP, STYLE).written == 1
    assert "Two" in (root(lake) / "one.html").read_text()


def test_what_is_not_part_of_the_site_any_more_is_removed(lake: Lake) -> None:
    write(lake, ONE, DEEP)
    assert write(lake, ONE).removed == 1
    assert not (root(lake) / DEEP.path).exists()


def test_what_was_removed_by_hand_comes_back(lake: Lake) -> None:
    write(lake, ONE, DEEP)
    (root(lake) / DEEP.path).unlink()
    assert write(lake, ONE, DEEP).written == 1
    (lake.root / BOOK).write_text("{cut")  # type: ignore[operator]  # a folder
    assert write(lake, ONE, DEEP).written == 2


def test_a_page_of_a_build_that_was_not_finished_is_not_believed(lake: Lake) -> None:
    write(lake, ONE, DEEP)
    with pytest.raises(TableError):
        write(lake, replace(ONE, about=dict(ONE.about) | {"title": "Failed"}), _damaged())
    assert "Failed" in (root(lake) / "one.html").read_text()
    assert write(lake, ONE).removed == 1, "what left the site in the meantime is still known"
    assert "Failed" not in (root(lake) / "one.html").read_text()
    assert write(lake, ONE) == Built(pages=1)


def _damaged() -> Asset:
    def make() -> bytes:
        raise TableError("tables/ops/alerts: damaged")

    return Asset("damaged.json", "1", make)


def test_a_page_that_a_power_loss_emptied_is_written_again(lake: Lake) -> None:
    write(lake, ONE, STYLE)
    (root(lake) / "one.html").write_bytes(b"")
    assert write(lake, ONE, STYLE).written == 1
    assert "<h1>One" in (root(lake) / "one.html").read_text()


def test_nothing_says_that_the_site_is_new_before_all_of_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = toy_lake(tmp_path)
    build_site(lake, NOW)
    telling = {path: (root(lake) / path).read_bytes() for path in ("assets/built.js", "status.json")}

    monkeypatch.setattr(building, "PARTS", (*building.PARTS, lambda _: [_damaged()]))
    with pytest.raises(TableError):
        build_site(lake, NOW + timedelta(days=10))
    assert {path: (root(lake) / path).read_bytes() for path in telling} == telling
    monkeypatch.undo()
    build_site(lake, NOW + timedelta(days=10))
    assert b"2024-09-30" in (root(lake) / "assets/built.js").read_bytes()


def test_files_that_the_writer_did_not_make_are_left_alone(lake: Lake) -> None:
    picture = root(lake) / "quicklooks" / "picture.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"png")
    write(lake, ONE)
    write(lake)
    assert picture.read_bytes() == b"png"


def test_everything_is_written_when_it_is_forced(lake: Lake) -> None:
    write(lake, ONE, STYLE)
    assert write(lake, ONE, STYLE, force=True).written == 2


def test_links_of_a_page_in_folders_begin_at_the_sites_root(lake: Lake) -> None:
    write(lake, DEEP)
    text = (root(lake) / DEEP.path).read_text()
    assert 'href="../../assets/site.css"' in text
    assert 'href="../../index.html"' in text


def test_a_template_that_is_not_told_something_says_so_and_text_is_escaped() -> None:
    template = environment().from_string("{{ text }}")
    assert template.render(text="<b>") == "&lt;b&gt;"
    with pytest.raises(Exception, match="undefined"):
        template.render()


def test_objects_in_s3_have_the_media_types_that_browsers_want(s3_root: str, tmp_path: Path) -> None:
    lake = Lake(s3_root, toy_lake(tmp_path).definitions)
    pages = [replace(ONE, path=f"many/{place}.html") for place in range(20)]
    assert write(lake, *pages, STYLE).written == 21
    assert write(lake, *pages, STYLE).written == 0
    assert json.loads(lake.storage.read(BOOK)).keys() == {page.path for page in pages} | {STYLE.path}
    kinds = {key: _kind(lake, f"site/{key}") for key in ("many/0.html", STYLE.path)}
    assert kinds == {
        "many/0.html": "text/html; charset=utf-8",
        STYLE.path: "text/css; charset=utf-8",
    }
    assert write(lake, STYLE).removed == 20


def _kind(lake: Lake, key: str) -> str:
    storage = lake.storage
    found = storage.client.head_object(**storage._named(key))  # type: ignore[attr-defined]  # that of S3
    return str(found["ContentType"])

# SPDX-License-Identifier: Apache-2.0
"""A built site hangs together: each link has its page and place, nothing leaves the site, texts stay texts."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from monitor.site.facts import Facts
from monitor.site.figures import figures
from tests.monitor.site.html_pages import Seen, page
from tests.monitor.site.toy_books import HOSTILE


@pytest.fixture
def pages(site: Path) -> dict[Path, Seen]:
    """All pages of the site."""
    return {path: page(path) for path in sorted(site.rglob("*.html"))}


def test_each_link_leads_to_a_file_and_a_place_in_it(site: Path, pages: dict[Path, Seen]) -> None:
    for path, found in pages.items():
        for link in found.links:
            if link == "data:,":
                continue
            target = (path.parent / unquote(urlsplit(link).path)).resolve() if urlsplit(link).path else path
            assert target.is_relative_to(site.resolve()), f"{path.relative_to(site)} leads out of the site: {link}"
            assert target.is_file(), f"{path.relative_to(site)} leads to nothing: {link}"


def test_no_page_names_another_host_or_runs_a_script_of_its_own(pages: dict[Path, Seen]) -> None:
    for path, found in pages.items():
        assert not [link for link in found.links if urlsplit(link).scheme not in ("", "data") or urlsplit(link).netloc]
        inline = [facts for facts in found.named("script") if "src" not in facts]
        assert all(facts.get("type") == "application/json" for facts in inline), path
        assert not [name for _, facts in found.elements for name in facts if name.startswith("on")], path


def test_texts_of_others_are_shown_as_texts(site: Path, pages: dict[Path, Seen]) -> None:
    for name in ("index.html", "quarantine.html", "checks.html", "matrix.html"):
        found = pages[site / name]
        assert HOSTILE in found.text or name == "matrix.html"
        assert not found.named("i") or all("class" in facts or not facts for facts in found.named("i"))
    assert "odd <i>thing</i>" in pages[site / "nights.html"].text
    assert "late <b>.dat" in pages[site / "late.html"].text


def test_each_page_has_one_heading_a_title_a_language_and_a_way_past_the_navigation(pages: dict[Path, Seen]) -> None:
    for path, found in pages.items():
        assert len(found.named("h1")) == 1, path
        assert found.named("html") == [{"lang": "en"}]
        assert found.named("title")
        assert "content" in found.ids
        assert found.named("a")[0]["href"] == "#content"
        assert len(found.ids) == len([1 for _, facts in found.elements if "id" in facts]), f"{path}: an id twice"


def test_the_navigation_says_where_one_is(site: Path, pages: dict[Path, Seen]) -> None:
    here = [facts for facts in pages[site / "matrix.html"].named("a") if facts.get("aria-current")]
    assert [(facts["href"], facts["aria-current"]) for facts in here] == [("matrix.html", "page")]


def test_each_of_the_five_numbers_leads_to_its_rows(site: Path, pages: dict[Path, Seen]) -> None:
    front = pages[site / "index.html"]
    linked = [facts["href"] for facts in front.named("a") if facts.get("class", "").startswith("figure ")]
    assert len(linked) == 5
    for link in linked:
        path, _, place = link.partition("#")
        assert not place or place in pages[site / path].ids, link


def test_the_front_page_is_small_and_loads_no_plot_library(site: Path, pages: dict[Path, Seen]) -> None:
    assert (site / "index.html").stat().st_size < 300_000
    assert not [link for link in pages[site / "index.html"].links if "plotly" in link]


def test_what_is_wrong_is_on_the_front_page_with_its_page(site: Path, pages: dict[Path, Seen], facts: Facts) -> None:
    front = pages[site / "index.html"]
    for words in ("Failed runs", "Stale table-days", "Late files", "1 red alert", "1 late file"):
        assert words in front.text
    assert "alerts/a1.html" in front.links
    assert figures(facts).failed_runs == 1

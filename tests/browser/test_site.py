# SPDX-License-Identifier: Apache-2.0
"""The site in a real browser, as a folder and as a service: it opens, reads well, is used by keyboard, hurts nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from lake.store import Lake
from monitor.site import places
from tests.browser.chromium import PHONE, opened
from tests.browser.measures import PAINT, faint, wide
from tests.browser.seeded_lake import ALERT, FAILED_DAY, HOSTILE, LATE, MESSAGE, SPIKE_DAY
from tests.toy import DAY, L0, L1

MAIN = (
    places.INDEX,
    places.MATRIX,
    places.LATENCY,
    places.COMPLETENESS,
    places.QUARANTINE,
    places.CHECKS,
    places.NIGHTS,
    places.LATE,
    places.ALERTS,
    places.FILES,
    places.PRODUCTS,
    places.TABLES,
    places.INSTRUMENTS,
    places.DICTIONARY,
    places.CHANNELS,
    places.CALENDAR,
    places.table(L1),
    places.instrument("toy", "box"),
    places.words("toy", "box"),
    places.alert(ALERT),
    places.file(LATE.file_sha256, LATE.name),
    places.file(HOSTILE.file_sha256, HOSTILE.name),
    places.products(L1),
    places.product(L1, SPIKE_DAY),
    places.channels(L1),
    places.mission_day("toy", SPIKE_DAY),
    places.quicklook(L1, SPIKE_DAY),
)
FOCUS = """() => {
  const style = getComputedStyle(document.activeElement);
  const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
  return ring || style.boxShadow !== 'none';
}"""


def test_every_page_of_the_folder_opens_without_a_complaint_and_runs_no_foreign_script(
    browser: Browser, lake: Lake, home: str
) -> None:
    folder = Path(lake.root) / "site"
    pages = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.html"))
    assert set(MAIN) <= set(pages)
    with opened(browser, home + places.INDEX) as visit:
        for path in pages:
            visit.page.goto(home + path)
            assert visit.page.evaluate("window.hurt") is None, path
            assert visit.page.title(), path


def test_every_main_page_opens_over_http(browser: Browser, served: str) -> None:
    with opened(browser, served) as visit:
        for path in MAIN:
            visit.page.goto(served + path)
            assert visit.page.evaluate("window.hurt") is None, path
            visit.page.wait_for_function(PAINT)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_of_the_main_pages_can_be_read(browser: Browser, home: str, scheme: str) -> None:
    with opened(browser, home + places.INDEX, color_scheme=scheme) as visit:
        found = {path: faint(_at(visit.page, home + path)) for path in MAIN}
    assert {path: texts for path, texts in found.items() if texts} == {}


def test_no_main_page_scrolls_sideways_on_a_phone(browser: Browser, home: str) -> None:
    with opened(browser, home + places.INDEX, viewport=PHONE) as visit:
        found = {path: wide(_at(visit.page, home + path)) for path in MAIN}
    assert {path: parts for path, parts in found.items() if parts} == {}


def test_dark_is_dark_and_light_is_light(browser: Browser, home: str) -> None:
    shades = []
    for scheme in ("light", "dark"):
        with opened(browser, home + places.INDEX, color_scheme=scheme) as visit:
            color = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
            shades.append(sum(int(part) for part in color.removeprefix("rgb(").rstrip(")").split(",")[:3]))
    assert shades[0] > 3 * 200 > 3 * 80 > shades[1]


def test_the_tab_key_reaches_the_skip_link_the_navigation_and_the_content(browser: Browser, home: str) -> None:
    with opened(browser, home + places.INDEX) as visit:
        page, seen = visit.page, []
        for _ in range(60):
            page.keyboard.press("Tab")
            assert page.evaluate(FOCUS), f"no ring around {page.evaluate('document.activeElement.outerHTML')}"
            seen.append(page.evaluate(WHERE))
            if seen[-1] == "main":
                break
    assert seen[0] == "skip"
    assert [place for place in dict.fromkeys(seen) if place in ("skip", "nav", "main")] == ["skip", "nav", "main"]


def test_the_skip_link_leads_past_the_navigation(browser: Browser, home: str) -> None:
    with opened(browser, home + places.INDEX) as visit:
        visit.page.keyboard.press("Tab")
        visit.page.keyboard.press("Enter")
        visit.page.keyboard.press("Tab")
        assert visit.page.evaluate(WHERE) == "main"


WHERE = """() => {
  const at = document.activeElement;
  if (at.matches('a[href="#content"]')) return 'skip';
  return (at.closest('nav, main, header, footer') ?? at).tagName.toLowerCase();
}"""


def test_a_failed_run_is_found_from_the_front_page(browser: Browser, home: str) -> None:
    with opened(browser, home + places.INDEX) as visit:
        _click(visit.page, f"{L1} {FAILED_DAY}")
        assert "ValueError: no volts" in visit.page.inner_text("main")
        assert str(FAILED_DAY) in visit.page.inner_text("main")


def test_a_stale_table_is_found_from_the_front_page(browser: Browser, home: str) -> None:
    with opened(browser, home + places.INDEX) as visit:
        assert f"{L1} {DAY} input {L0} changed" in " ".join(visit.page.inner_text("main").split())
        _click(visit.page, "Days")
        visit.page.locator(f"a[title^='{DAY} stale: input {L0} changed']").first.click()
        assert str(DAY) in visit.page.inner_text("h1")


def test_a_late_file_is_found_from_the_front_page(browser: Browser, home: str) -> None:
    with opened(browser, home + places.INDEX) as visit:
        _click(visit.page, LATE.name)
        text = visit.page.inner_text("main")
        assert LATE.file_sha256 in text
        assert "2024-09-27 02:00:00" in text


def test_an_open_alert_is_found_from_the_front_page_with_its_markup_as_text(browser: Browser, home: str) -> None:
    with opened(browser, home + places.INDEX) as visit:
        _click(visit.page, f"{L1}.voltage_v")
        assert MESSAGE in visit.page.inner_text("main")
        _click(visit.page, "Alerts")
        assert f"{L1}.voltage_v" in visit.page.inner_text("main")


def test_a_file_whose_name_is_markup_is_found_and_shown_as_text(browser: Browser, home: str) -> None:
    with opened(browser, home + places.INDEX) as visit:
        for words in ("Files", "2024-09", HOSTILE.name):
            _click(visit.page, words)
        assert HOSTILE.name in visit.page.inner_text("main")
        assert visit.page.locator("main img, main script:not([type='application/json'])").count() == 0
        assert visit.page.evaluate("window.hurt") is None


@pytest.mark.parametrize("path", [places.quicklook(L1, SPIKE_DAY), places.channels(L1)])
def test_plots_are_drawn_without_a_network(browser: Browser, home: str, path: str) -> None:
    with opened(browser, home + path, offline=True) as visit:
        visit.page.wait_for_selector("svg.main-svg", state="attached")
        assert visit.page.locator("svg.main-svg path").count() > 0


def _click(page: Page, words: str) -> None:
    """Follow the first link of these words, as one who reads them would."""
    page.get_by_role("link", name=words, exact=True).first.click()
    page.wait_for_load_state()


def _at(page: Page, address: str) -> Page:
    page.goto(address)
    return page

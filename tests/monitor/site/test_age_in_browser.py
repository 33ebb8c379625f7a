# SPDX-License-Identifier: Apache-2.0
"""A page that somebody leaves open says how old it is as time goes by."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Browser

from monitor.site.assets import ASSETS
from tests.browser.chromium import opened

PAGE = """<!doctype html><title>Open</title><link rel="icon" href="data:,"><main></main>
<footer><span id="built"></span></footer><script src="built.js"></script><script src="site.js"></script>"""
BUILT = 'window.swxlakeBuilt = {"at": "2026-08-02T06:00:00Z", "version": "1", "night": ""};'
NOON = datetime(2026, 8, 3, 12, tzinfo=UTC)  # 30 hours after it was made


def test_an_open_page_grows_old_without_being_loaded_again(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "built.js").write_text(BUILT)
    (tmp_path / "site.js").write_text((ASSETS / "site.js").read_text())
    with opened(browser, (tmp_path / "index.html").as_uri()) as visit:
        page = visit.page
        page.clock.install(time=NOON)
        page.reload()
        assert page.locator(".stale-banner").count() == 0
        page.clock.fast_forward("07:00:00")
        assert page.locator(".stale-banner").inner_text().startswith("Stale: these pages were made 37 hours ago.")
        page.clock.fast_forward("48:00:00")
        assert page.locator(".stale-banner").count() == 1
        assert "3 days ago" in page.locator(".stale-banner").inner_text()

# SPDX-License-Identifier: Apache-2.0
"""A real browser for tests: Debian's Chromium, told to leave the network alone, and visits that hear every complaint.

Other folders use it by a conftest.py that imports `browser` from here and names it in `__all__`. It lives for one
module of tests: as long as it runs, this thread has an event loop, and asyncio.run would refuse to work.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

ARGUMENTS = (
    "--no-sandbox",  # tests run as root in containers, and open their own pages alone
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LOCAL = ("data", "blob", "about")  # what a page makes itself
ABANDONED = "net::ERR_ABORTED"  # by the page: it was left, or asked something newer


@dataclass
class Visit:
    """A page, and everything that went wrong on it or that it asked for."""

    page: Page
    home: str
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Note errors and requests of the page from now on."""
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._answered)

    @property
    def foreign(self) -> list[str]:
        """Requests to any place but that of the first page."""
        return [url for url in self.asked if urlsplit(url).scheme not in LOCAL and origin(url) != self.home]

    def assert_clean(self) -> None:
        """Fails if the page complained, or asked anyone else for anything."""
        assert not self.complaints, "\n".join(self.complaints)
        assert not self.foreign, f"asked of another host: {self.foreign}"

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location['url']})")

    def _failed(self, request: Request) -> None:
        if request.failure != ABANDONED:
            self.complaints.append(f"not loaded: {request.url} ({request.failure})")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.complaints.append(f"answered {response.status}: {response.url}")


def origin(url: str) -> str:
    """Scheme, host and port of an address; `file://` for files of this machine."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def executable() -> str:
    """Chromium on this machine, as $SWXLAKE_CHROMIUM or the path has it; empty if there is none."""
    found = (shutil.which(name) for name in (os.environ.get("SWXLAKE_CHROMIUM"), *NAMES) if name)
    return next((path for path in found if path), "")


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """A browser with a fresh profile."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield made
        finally:
            made.close()


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """A visit to a page, in a context of its own (`options` are Playwright's, such as color_scheme, viewport).

    Fails at the end of the block if anything was written to the console as an error or a warning, thrown, answered by
    an error, not loaded, or asked of another host.
    """
    context = browser.new_context(**{"viewport": DESKTOP, "reduced_motion": "reduce", **options})
    try:
        visit = Visit(context.new_page(), origin(url))
        visit.listen()
        visit.page.goto(url, wait_until="load")
        yield visit
        visit.assert_clean()
    finally:
        context.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; skipped where there is none, unless $SWXLAKE_REQUIRE_BROWSER is set: then it fails."""
    if not (path := executable()):
        reason = "no Chromium on the path; install it, or set SWXLAKE_CHROMIUM"
        (pytest.fail if os.environ.get("SWXLAKE_REQUIRE_BROWSER") else pytest.skip)(reason)
    with chromium(path) as made:
        yield made

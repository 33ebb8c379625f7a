# SPDX-License-Identifier: Apache-2.0
"""The ear of the browser tests: a visit fails for what a person with open developer tools would see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import Visit, opened, origin

FOREIGN = "<img src='http://127.0.0.1:9/pixel.png'>"

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a page, gives its address."""

    def written(body: str) -> str:
        path = tmp_path / "page.html"
        path.write_text(f"<!doctype html><title>Page</title>{body}")
        return path.as_uri()

    return written


def test_a_quiet_page_is_clean(browser: Browser, write: Write) -> None:
    with opened(browser, write("<p>calm</p><img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>")) as visit:
        assert visit.page.inner_text("p") == "calm"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("<script>console.error('no such channel')</script>", "no such channel"),
        ("<script>missing()</script>", "missing is not defined"),
        ("<script src='gone.js'></script>", "gone.js"),
    ],
)
def test_a_page_that_complains_fails(browser: Browser, write: Write, body: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint), opened(browser, write(body)):
        pass


def test_a_request_to_another_host_fails_even_if_nobody_answers(browser: Browser, write: Write) -> None:
    with pytest.raises(AssertionError, match="9/pixel"), opened(browser, write(FOREIGN)) as visit:
        visit.complaints.clear()


def test_another_port_is_another_host(browser: Browser) -> None:
    context = browser.new_context()
    visit = Visit(context.new_page(), origin("http://127.0.0.1:8080/index.html"))
    visit.asked += ["http://127.0.0.1:8080/a.js", "http://127.0.0.1:8081/b.js", "blob:null/1"]
    assert visit.foreign == ["http://127.0.0.1:8081/b.js"]
    context.close()

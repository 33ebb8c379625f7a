# SPDX-License-Identifier: Apache-2.0
"""Every SELECT that a page shows runs, and can be copied into the command that stands below it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lake.answers import Answers
from lake.store import Lake
from tests.monitor.site.html_pages import page

SHELL = '"$`\\'  # what a shell would take for its own within the quotes of swxlake sql "..."
COMMAND = re.compile(r'swxlake sql "(.*)"', re.DOTALL)


@pytest.fixture(scope="module")
def shown(told: Lake) -> dict[str, str]:
    """The SELECTs of all pages, each with one of its pages."""
    assert isinstance(told.root, Path)
    found = dict[str, str]()
    for path in sorted(told.root.glob("site/**/*.html")):
        for text in page(path).texts:
            command = COMMAND.fullmatch(text.strip())
            sql = command[1] if command else text.strip()
            if sql.startswith(("SELECT", "WITH")):
                found[sql] = path.name
    return found


def test_every_select_of_every_page_runs(told: Lake, shown: dict[str, str]) -> None:
    answers = Answers(told)
    assert len(shown) > 40
    for sql in shown:
        answers.ask(sql)


def test_a_select_can_be_copied_between_the_quotes_of_a_shell(shown: dict[str, str]) -> None:
    assert {sql: name for sql, name in shown.items() if set(sql) & set(SHELL)} == {}

# SPDX-License-Identifier: Apache-2.0
"""The data dictionary has a page for each instrument, so that a new one adds a page and changes none."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.definition_files import read_definitions
from swxlake import reference
from tests.toy import write_missions


def test_every_instrument_has_a_page_and_the_lake_one(tmp_path: Path) -> None:
    found = reference.dictionary_pages(read_definitions(write_missions(tmp_path)))
    assert set(found) == {"toy_box.md", "ops.md"}
    assert "## toy.box_l1_tick" in found["toy_box.md"]
    assert "toy" not in found["ops.md"]
    assert "## Views" in found["ops.md"]


def test_pages_are_written_brought_up_to_date_and_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"dictionary/toy_box.md": "box", "commands.md": "help"}
    monkeypatch.setattr(reference, "PAGES", tmp_path)
    monkeypatch.setattr(reference, "CHECKOUT", tmp_path)
    monkeypatch.setattr(reference, "pages", lambda: texts)
    monkeypatch.setattr(reference.sys, "argv", ["reference"])
    (tmp_path / "dictionary").mkdir()
    (tmp_path / "dictionary" / "toy_gone.md").write_text("an instrument that is no more")
    (tmp_path / "commands.md").write_text("help")
    wanted = [tmp_path / "dictionary" / name for name in ("toy_box.md", "toy_gone.md")]
    assert reference.stale_pages() == wanted
    with pytest.raises(SystemExit) as ended:
        reference.main()
    assert ended.value.code == 0
    assert reference.stale_pages() == []
    assert [path.exists() for path in wanted] == [True, False]

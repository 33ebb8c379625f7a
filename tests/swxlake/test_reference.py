# SPDX-License-Identifier: Apache-2.0
"""The data dictionary has a page for each instrument, so that a new one adds a page and changes none."""

from __future__ import annotations

from pathlib import Path

import pytest

from exports.datasets.dataset import datasets
from lake.definition_files import read_definitions
from lake.store import Lake
from swxlake import reference
from swxlake.doctor import examine
from swxlake.reference_datasets import dataset_pages, locks
from tests.template import edit, write_template
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
    write_missions(tmp_path / "missions")
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


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[object, str]:
    """Exit code and output of the command."""
    monkeypatch.setattr(reference.sys, "argv", ["reference", *options])
    with pytest.raises(SystemExit) as ended:
        reference.main()
    return ended.value.code, capsys.readouterr().out


def test_a_lock_is_written_for_new_datasets_and_never_over_a_structure_that_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missions = write_template(tmp_path)
    lock = missions / "toy" / "box" / "cdf.lock"
    monkeypatch.setattr(reference, "PAGES", tmp_path / "pages")
    monkeypatch.setattr(reference, "CHECKOUT", tmp_path)
    monkeypatch.setattr(reference, "commands_text", lambda: "help")
    code, text = run(monkeypatch, capsys, "--check")
    assert (code, lock.exists()) == (1, False)
    assert "missions/toy/box/cdf.lock: out of date; run `make docs`" in text
    assert run(monkeypatch, capsys)[0] == 0
    assert run(monkeypatch, capsys, "--check") == (0, "")
    written = lock.read_text()

    edit(missions, "box/tables.yaml", "unit: eV", "unit: keV")
    for options in ([], ["--check"]):
        code, text = run(monkeypatch, capsys, *options)
        assert code == 1
        assert f"{lock}: the structure of toy_box_l1-tick changed within version 1: heat was" in text
        assert lock.read_text() == written

    edit(missions, "box/cdf.yaml", 'version: "1.0"', 'version: "2.0"')
    assert run(monkeypatch, capsys, "--check")[0] == 1
    assert run(monkeypatch, capsys)[0] == 0
    assert "version: 2\n" in lock.read_text()
    assert run(monkeypatch, capsys, "--check") == (0, "")


def test_every_dataset_has_a_page_with_the_variables_of_its_files(tmp_path: Path) -> None:
    pages = dataset_pages(datasets(read_definitions(write_template(tmp_path))))
    assert set(pages) == {"toy_box_l1-tick.md"}
    text = pages["toy_box_l1-tick.md"]
    assert (
        "| `heat` | REAL4 | 2 x 3 | eV | -1e+31 | -1e+30 to 1e+30 | `Epoch`, `part`, `level` | Heat of each part and "
        "level |"
    ) in text
    assert "| `part` | REAL4, constant | 2 | mm | -1e+31 | 0 to 10 |  | Place of a part |" in text
    assert "| `Instrument_type` | Particles (space) |" in text
    assert "DOI: to be assigned." in text


def test_the_doctor_tells_a_structure_that_changed(tmp_path: Path) -> None:
    missions = write_template(tmp_path)
    definitions = read_definitions(missions)
    ((lock, text),) = locks(missions, datasets(definitions)).items()
    lock.write_text(text)
    edit(missions, "box/tables.yaml", "[0, 4095]", "[0, 4094]")
    root = tmp_path / "lake"
    root.mkdir()
    problems = examine(Lake(root, read_definitions(missions))).problems
    assert any(p.startswith(f"products: {lock}: the structure of toy_box_l1-tick changed") for p in problems)

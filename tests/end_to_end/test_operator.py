# SPDX-License-Identifier: Apache-2.0
"""What an operator runs into between two nights: lost files, a stage alone after a change, a mistyped root."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from lake.catalog import open_catalog
from lake.config import CHECKOUT, Settings
from lake.definition_files import read_definitions
from lake.errors import StorageError
from lake.reading import scan
from lake.store import Lake
from simulate.run import simulate
from swxlake.cli import main  # noqa: TID251  what the console script calls
from swxlake.doctor import examine
from swxlake.night import Selection, ingest, rebuild, transform, transform_plan

DAY = date(2026, 8, 1)
L1 = "padre.meddea_l1_housekeeping"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with three minutes of telemetry, decoded and transformed, and its own copy of missions/."""
    folder = tmp_path_factory.mktemp("operator")
    missions = shutil.copytree(CHECKOUT / "missions", folder / "missions")
    lake = Lake(folder / "lake", read_definitions(missions))
    simulate(lake.definitions, "padre", "meddea", DAY, folder / "drop", 5, None, 0.05)
    ingest(lake, settings_of(lake), [folder / "drop"])
    transform(lake, Selection())
    return lake


@pytest.fixture
def lake(built: Lake, tmp_path: Path) -> Lake:
    shutil.copytree(built.root.parent, tmp_path / "copy")
    return Lake(tmp_path / "copy" / "lake", read_definitions(tmp_path / "copy" / "missions"))


def settings_of(lake: Lake) -> Settings:
    return Settings(root=lake.root, settle_seconds=0)


def rows(lake: Lake, address: str) -> int:
    return scan(lake, lake.definitions.tables[address]).collect().height


def test_the_doctor_finds_nothing_wrong_in_a_whole_lake(lake: Lake) -> None:
    assert examine(lake).problems == []


def test_the_doctor_names_a_table_file_that_was_cut_short_and_the_remedy_works(lake: Lake) -> None:
    before = rows(lake, L1)
    (path,) = (lake.root / "tables/padre/meddea_l1_housekeeping").glob("day=*/*.parquet")
    path.write_bytes(path.read_bytes()[:100])
    (problem,) = examine(lake).problems
    assert problem.startswith(f"tables: {path}: is missing or cut short. Remove ")
    shutil.rmtree(lake.root / "tables/padre/meddea_l1_housekeeping")
    transform(lake, Selection())
    assert rows(lake, L1) == before


def test_the_doctor_names_a_raw_file_that_is_gone_and_the_inbox_brings_it_back(lake: Lake) -> None:
    path = next(p for p in sorted(lake.root.glob("raw/*/*/*/*")) if p.suffix != ".json")
    path.unlink()
    (problem,) = examine(lake).problems
    assert problem.startswith(f"archive: {path}: is missing or cut short. Put padreMD")
    ingest(lake, settings_of(lake), [lake.root.parent / "drop"])
    assert examine(lake).problems == []


def test_a_stage_alone_after_a_clock_change_waits_for_level_0_and_empties_nothing(lake: Lake) -> None:
    before = rows(lake, L1)
    path = lake.definitions.path / "padre/meddea/instrument.yaml"
    path.write_text(path.read_text().replace("policy: leap", "policy: posix"))
    changed = Lake(lake.root, read_definitions(lake.definitions.path))
    for stage in (transform_plan, transform):
        (note,) = stage(changed, Selection()).notes
        assert "wait to be decoded again; run `swxlake night`" in note
    assert rows(changed, L1) == before
    ingest(changed, settings_of(changed), [])
    assert transform(changed, Selection()).notes == []
    assert rows(changed, L1) == before


@pytest.mark.parametrize(
    "command", [["status"], ["transform"], ["check"], ["export"], ["describe", f"{L1}@2024-09-16"]]
)
def test_a_mistyped_root_is_no_lake_and_is_not_made(
    tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["swxlake", *command, "--root", str(tmp_path / "typo")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "is no lake. Run `swxlake night --inbox DIR`, or correct --root." in capsys.readouterr().err
    assert not (tmp_path / "typo").exists()


def test_times_come_as_python_datetimes_without_any_other_library(lake: Lake) -> None:
    with open_catalog(lake) as connection:
        (first,) = connection.execute("SELECT min(time) FROM padre.meddea_l1_housekeeping").fetchall()[0]
    assert first.date() == DAY


def test_a_lost_receipt_is_told_every_night_and_level_0_is_not_rebuilt_without_it(lake: Lake) -> None:
    table, drop = lake.definitions.tables["padre.meddea_l0_housekeeping"], lake.root.parent / "drop"
    before = rows(lake, table.address)
    place = next(path for path in lake.root.glob("raw/*/*/*/*.json") if "MDU8" in path.read_text())
    place.unlink()
    (problem,) = ingest(lake, settings_of(lake), []).problems
    assert problem.startswith(f"receipt {place.stem} of padreMDU8")
    with pytest.raises(StorageError, match=r"nothing was changed, for it has the last rows of padreMDU8.*inbox"):
        rebuild(lake, settings_of(lake), Selection([table]), "why not")
    assert (rows(lake, table.address), list(lake.root.glob("journal/rebuilds/*"))) == (before, [])
    assert ingest(lake, settings_of(lake), [drop]).problems == []
    assert rebuild(lake, settings_of(lake), Selection([table]), "why not").exit_code == 0
    assert rows(lake, table.address) == before


def test_bytes_that_changed_in_the_archive_are_put_away_and_that_is_said(lake: Lake) -> None:
    path = next(p for p in sorted(lake.root.glob("raw/*/*/*/*")) if p.suffix != ".json" and p.stat().st_size > 40)
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    outcome = ingest(lake, settings_of(lake), [lake.root.parent / "drop"])
    (away,) = (lake.root / "damaged").iterdir()
    assert [note for note in outcome.notes if note.startswith(f"{path}: had changed; what was there is now {away}. ")]
    assert (path.read_bytes(), outcome.exit_code) == (whole, 0)

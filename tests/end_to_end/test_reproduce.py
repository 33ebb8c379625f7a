# SPDX-License-Identifier: Apache-2.0
"""`swxlake reproduce`: equal bytes from the recorded raw files alone, or a reason why not and what to do."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date
from pathlib import Path

import pytest
import yaml

from exports import making
from exports.cdf.difference import first_difference
from exports.provenance import packages
from lake.definition_files import read_definitions
from lake.errors import ConfigurationError, ExportError
from lake.files import sha256_of
from lake.store import Lake
from swxlake import reproduce as module
from swxlake.describe import describe
from swxlake.reproduce import reproduce
from tests.kept_lake import HK_FILES, LATE_FILE, flip, look, night, only, root_of
from tests.meddea import MISSIONS

STEM = "padre_meddea_l1-housekeeping_20240916"
FIRST, SECOND = f"{STEM}_v1.0.0", f"{STEM}_v1.0.1"
FOLDER = "exports/padre/meddea/l1/2024"
POLYNOMIAL = "padre/meddea/calibration/housekeeping_polynomial_20240101.csv"


@pytest.fixture
def missions(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MISSIONS, tmp_path / "missions"))


def raw_bytes(lake: Lake, name: str) -> Path:
    """Where the archive has the bytes of a file."""
    receipts = root_of(lake).glob("raw/*/*/*/*.json")
    (path,) = [path for path in receipts if json.loads(path.read_text())["name"] == name]
    return path.with_name(path.name[:64])


@pytest.mark.parametrize(("name", "files"), [(FIRST, 1), (SECOND, 2), (STEM, 2), (f"{FOLDER}/{FIRST}.cdf", 1)])
def test_a_product_is_made_again_from_what_it_was_made_from(healthy: Lake, name: str, files: int) -> None:
    """The version before the late file too, which the tables of today no longer hold."""
    outcome = reproduce(healthy, name)
    assert (outcome.problems, outcome.notes, outcome.exit_code) == ([], [], 0)
    assert (outcome.facts["equal"], outcome.facts["raw_files"]) == (True, files)


def test_the_file_stays_in_a_folder_that_is_named(healthy: Lake, tmp_path: Path) -> None:
    outcome = reproduce(healthy, FIRST, tmp_path / "to")
    made = tmp_path / "to" / FOLDER / f"{FIRST}.cdf"
    assert outcome.facts["file"] == str(made)
    assert made.read_bytes() == (root_of(healthy) / FOLDER / f"{FIRST}.cdf").read_bytes()
    with pytest.raises(ConfigurationError, match="is not an empty folder"):
        reproduce(healthy, FIRST, tmp_path / "to")
    assert made.exists()


@pytest.mark.parametrize("is_there", [False, True])
def test_after_an_error_the_folder_is_as_it_was_for_the_repeat(kept: Lake, tmp_path: Path, is_there: bool) -> None:
    folder, lost = tmp_path / "to", raw_bytes(kept, LATE_FILE)
    if is_there:
        folder.mkdir()
    away = lost.rename(tmp_path / "away")
    with pytest.raises(ExportError, match="cannot be made again"):
        reproduce(kept, SECOND, folder)
    assert list(folder.iterdir()) == [] if is_there else not folder.exists()
    away.rename(lost)
    assert reproduce(kept, SECOND, folder).facts["equal"]


def test_other_raw_files_are_not_needed(kept: Lake) -> None:
    raw_bytes(kept, HK_FILES[1]).unlink()
    raw_bytes(kept, LATE_FILE).unlink()
    assert reproduce(kept, FIRST).facts["equal"]


def test_a_missing_raw_file_is_named(kept: Lake) -> None:
    raw_bytes(kept, LATE_FILE).unlink()
    with pytest.raises(ExportError, match=rf"{SECOND}: cannot be made again\. .*Restore {LATE_FILE}"):
        reproduce(kept, SECOND)


def test_a_missing_receipt_is_named(kept: Lake) -> None:
    only(kept, f"raw/*/*/*/{raw_bytes(kept, LATE_FILE).name}-*.json").unlink()
    with pytest.raises(ExportError, match=r"has no receipt .* Restore it from a backup"):
        reproduce(kept, SECOND)


def test_a_raw_file_with_another_hash_is_refused(kept: Lake) -> None:
    path = raw_bytes(kept, HK_FILES[0])
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(ExportError, match="has changed in the archive"):
        reproduce(kept, FIRST)


def corrected(missions: Path) -> Path:
    """A calibration that was corrected in place."""
    path = missions / POLYNOMIAL
    path.write_text(path.read_text().replace("hvps_vsense,273,63351,1.291,", "hvps_vsense,273,63351,2.291,"))
    return path


def test_a_version_from_before_a_calibration_was_corrected_is_made_again(kept: Lake, missions: Path) -> None:
    corrected(missions)
    lake = Lake(kept.root, read_definitions(missions))
    assert night(lake).exit_code == 0
    for key in (FIRST, SECOND, f"{STEM}_v1.1.0"):
        outcome = reproduce(lake, key)
        assert (outcome.problems, outcome.notes, outcome.facts["equal"]) == ([], [], True)


def test_a_version_whose_calibration_was_replaced_by_another_file_is_made_again(kept: Lake, missions: Path) -> None:
    path = corrected(missions)
    path.rename(path.with_name("housekeeping_polynomial_20240102.csv"))
    outcome = reproduce(Lake(kept.root, read_definitions(missions)), FIRST)
    assert (outcome.problems, outcome.notes, outcome.facts["equal"]) == ([], [], True)


def test_a_later_calibration_is_not_used_for_an_older_version(kept: Lake, missions: Path) -> None:
    """In a lake from before the journal kept calibrations, too."""
    shutil.rmtree(root_of(kept) / "journal/calibrations")
    path = missions / POLYNOMIAL
    before = path.read_bytes()
    corrected(missions).rename(path.with_name("housekeeping_polynomial_20240102.csv"))
    path.write_bytes(before)
    outcome = reproduce(Lake(kept.root, read_definitions(missions)), FIRST)
    assert (outcome.problems, outcome.notes, outcome.facts["equal"]) == ([], [], True)


def test_a_calibration_that_is_nowhere_left_is_refused_and_its_effect_is_named(kept: Lake, missions: Path) -> None:
    path, sha256 = corrected(missions), sha256_of(MISSIONS / POLYNOMIAL)
    lake = Lake(kept.root, read_definitions(missions))
    (root_of(kept) / f"journal/calibrations/{sha256}.json").unlink()
    problem = f"calibration {path.stem} is not the one that was used (sha256 {sha256}; the journal lacks it)"
    with pytest.raises(ExportError, match=rf"{re.escape(problem)}\. .*--anyway"):
        reproduce(lake, FIRST)
    outcome = reproduce(lake, FIRST, anyway=True)
    assert (outcome.exit_code, outcome.facts["equal"]) == (1, False)
    assert outcome.problems == [
        f"{FIRST}: made again it has other bytes; variable hvps_vsense_v: 6 records differ, the first is 0"
    ]
    assert outcome.notes == [problem]


def with_other_words(lake: Lake, missions: Path) -> Lake:
    path = missions / "padre/mission.yaml"
    path.write_text(path.read_text().replace("Please acknowledge", "Kindly acknowledge", 1))
    return Lake(lake.root, read_definitions(missions))


def test_other_words_are_refused_and_named(healthy: Lake, missions: Path) -> None:
    lake = with_other_words(healthy, missions)
    with pytest.raises(ExportError, match=r"the definitions of padre\.meddea_l1_housekeeping, .* were others"):
        reproduce(lake, FIRST)
    (problem,) = reproduce(lake, FIRST, anyway=True).problems
    assert "global attribute Acknowledgement" in problem


@pytest.mark.parametrize(
    ("commit", "remedy"),
    [
        ("a" * 40, f"Run `git checkout {'a' * 40} && make setup` and repeat"),
        ("a" * 40 + "-dirty", r"\(it had changes that were not committed\) and repeat"),
        ("a" * 40 + "+missions elsewhere", "make setup`, restore the missions/ of that time, which lay outside"),
        (None, "Get release"),
    ],
)
def test_other_code_is_refused_with_the_commit_to_get(kept: Lake, commit: str | None, remedy: str) -> None:
    rewrite(kept, FIRST, code="0" * 64, commit=commit)
    with pytest.raises(ExportError, match=rf"the code was another one\. .*{remedy}.*--anyway"):
        reproduce(kept, FIRST)
    outcome = reproduce(kept, FIRST, anyway=True)
    assert (outcome.facts["equal"], outcome.notes) == (True, ["the code was another one"])


def rewrite(lake: Lake, key: str, **changes: object) -> None:
    path = root_of(lake) / "journal/versions" / f"{key}.json"
    entry = json.loads(path.read_text())
    entry["made_from"] |= changes
    path.write_text(json.dumps(entry))


def test_other_libraries_are_a_note(kept: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    here = packages()
    monkeypatch.setattr(module, "packages", lambda: here | {"polars": "99.0"})
    assert reproduce(kept, FIRST).notes == [f"polars was {here['polars']}, here it is 99.0"]


def test_a_published_file_that_was_changed_is_a_problem(kept: Lake) -> None:
    path = root_of(kept) / FOLDER / f"{FIRST}.cdf"
    path.write_bytes(path.read_bytes() + b"x")
    outcome = reproduce(kept, FIRST)
    assert outcome.facts["equal"]
    remedy = f"Run `swxlake reproduce {FIRST} --restore`"
    assert outcome.problems == [f"{path}: was changed after it had been published. {remedy}"]


def test_a_lost_file_is_put_back(kept: Lake) -> None:
    path = root_of(kept) / FOLDER / f"{FIRST}.cdf"
    before = path.read_bytes()
    path.unlink()
    outcome = reproduce(kept, FIRST, restore=True)
    assert (outcome.problems, outcome.notes, outcome.facts["restored"]) == ([], [], str(path))
    assert path.read_bytes() == before
    assert look(kept).problems == []
    assert "restored" not in reproduce(kept, FIRST, restore=True).facts


def test_a_changed_file_is_put_away_and_its_bytes_come_back(kept: Lake) -> None:
    path = root_of(kept) / FOLDER / f"{FIRST}.cdf"
    before = path.read_bytes()
    flip(path)
    outcome = reproduce(kept, FIRST, restore=True)
    assert outcome.problems == []
    assert path.read_bytes() == before
    (away,) = (root_of(kept) / "damaged").iterdir()
    assert outcome.notes == [f"{path}: was changed after it had been published; moved to {away} and written again"]


def test_other_bytes_are_not_put_in_place_and_not_compared_with_damaged_ones(kept: Lake, missions: Path) -> None:
    path = root_of(kept) / FOLDER / f"{FIRST}.cdf"
    flip(path, 200)
    damaged = path.read_bytes()
    outcome = reproduce(with_other_words(kept, missions), FIRST, anyway=True, restore=True)
    assert outcome.problems == [
        f"{FIRST}: made again it has other bytes; the published file was changed, so it is not compared",
        f"{path}: was changed after it had been published. Restore it from a backup",
    ]
    assert path.read_bytes() == damaged


@pytest.mark.parametrize("at", [0, 40, 400, -20, -1])
def test_a_damaged_file_is_not_opened_to_compare_it(kept: Lake, tmp_path: Path, at: int) -> None:
    whole = root_of(kept) / FOLDER / f"{FIRST}.cdf"
    broken = Path(shutil.copy(whole, tmp_path))
    flip(broken, at)
    for files in ((whole, broken), (broken, whole)):
        with pytest.raises(ExportError, match=rf"{broken}: is damaged .*Compare by `cmp"):
            first_difference(*files)


@pytest.mark.parametrize("name", [FIRST, f"{FIRST}.cdf", f"{FOLDER}/{FIRST}.cdf"])
def test_a_product_has_the_same_names_where_it_is_described(healthy: Lake, name: str) -> None:
    assert describe(healthy, name).facts["version"] == "1.0.0"
    assert describe(healthy, STEM).facts["version"] == "1.0.1"


def test_another_release_makes_the_same_bytes(healthy: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The release that made a version is in its file, so it is made again under that name."""
    before = module.release()[0]
    for place in (making, module):
        monkeypatch.setattr(place, "release", lambda: ("99.0", date(2031, 5, 4)))
    outcome = reproduce(healthy, FIRST, anyway=True)
    assert (outcome.facts["equal"], outcome.problems) == (True, [])
    assert outcome.notes == [f"it was made by release {before}, this is 99.0"]


def test_a_published_file_need_not_be_there(kept: Lake) -> None:
    (root_of(kept) / FOLDER / f"{FIRST}.cdf").unlink()
    outcome = reproduce(kept, FIRST)
    assert (outcome.exit_code, outcome.facts["equal"]) == (0, True)
    assert outcome.notes[0].endswith(f"{FIRST}.cdf: is not there. Run `swxlake reproduce {FIRST} --restore`")


@pytest.mark.parametrize("name", ["nothing", f"{STEM}_v9.0.0", "padre_meddea_l1-nothing_20240916_v1.0.0.cdf"])
def test_an_unknown_product_is_refused(healthy: Lake, name: str) -> None:
    with pytest.raises(ExportError, match=rf"^{name}: no such product in the journal"):
        reproduce(healthy, name)


def test_a_version_of_an_older_lake_says_nothing_of_its_inputs(kept: Lake) -> None:
    path = root_of(kept) / "journal/versions" / f"{FIRST}.json"
    path.write_text(json.dumps({"sha256": "0" * 64, "bytes": 1, "records": 1}))
    with pytest.raises(ExportError, match="was made before its inputs were recorded"):
        reproduce(kept, FIRST)


def test_a_product_that_is_no_longer_defined_is_refused(healthy: Lake, missions: Path) -> None:
    path = missions / "padre/meddea/cdf.yaml"
    content = yaml.safe_load(path.read_text())
    del content["products"]["meddea_l1_housekeeping"]
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ExportError, match=r"defines no such product today\. Run `git checkout"):
        reproduce(Lake(healthy.root, read_definitions(missions)), FIRST)

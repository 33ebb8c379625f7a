# SPDX-License-Identifier: Apache-2.0
"""`swxlake datasets` shows what an archive has to know before the first file, and writes it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import cdflib
import pytest
from typer.testing import CliRunner

from lake.definition_files import read_definitions
from lake.errors import ConfigurationError, StorageError
from swxlake.cli_datasets import app
from swxlake.dataset_files import list_datasets
from tests.template import write_template

STEM = "toy_box_l1-tick_00000000_v01"


def test_datasets_are_listed_with_what_is_to_be_assigned(tmp_path: Path) -> None:
    outcome = list_datasets(read_definitions(write_template(tmp_path)))
    assert outcome.tables["datasets"] == [
        {
            "dataset": "toy_box_l1-tick",
            "version": "1.0.Z",
            "table": "toy.box_l1_tick",
            "variables": 17,
            "formats": "cdf",
            "doi": "to be assigned",
            "spase": "to be assigned",
        }
    ]
    assert outcome.exit_code == 0


def test_master_skeleton_and_spase_record_are_written_and_written_again(tmp_path: Path) -> None:
    definitions, out = read_definitions(write_template(tmp_path)), tmp_path / "out" / "spdf"
    first = list_datasets(definitions, "toy_box_l1-tick", out)
    assert first.facts["written"] == [str(out / f"{STEM}{end}") for end in (".cdf", ".skt", ".xml")]
    bytes_before = {path.name: path.read_bytes() for path in out.iterdir()}
    list_datasets(definitions, None, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == bytes_before
    assert len(cdflib.CDF(out / f"{STEM}.cdf").cdf_info().zVariables) == 17
    assert ET.parse(out / f"{STEM}.xml").getroot().tag.endswith("Spase")  # noqa: S314  our own file
    assert (out / f"{STEM}.skt").read_text().endswith("#end\n")


def test_a_name_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no dataset .toy_box_l1-tock.*toy_box_l1-tick"):
        list_datasets(read_definitions(write_template(tmp_path)), "toy_box_l1-tock")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Choose another --out"):
        list_datasets(read_definitions(write_template(tmp_path)), None, tmp_path / "file")


def test_the_command_reads_the_missions_that_are_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWXLAKE_MISSIONS", str(write_template(tmp_path)))
    result = CliRunner().invoke(app, ["--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["datasets"][0]["dataset"] == "toy_box_l1-tick"

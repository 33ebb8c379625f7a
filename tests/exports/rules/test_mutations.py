# SPDX-License-Identifier: Apache-2.0
"""Every seeded defect is stopped by the gate, with its rule and its place; a good file of any kind is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from exports.inspection import Around, inspect
from exports.product import write_product
from exports.rules.catalogue import RULES
from exports.rules.check import check_file
from tests.exports.conftest import TABLES, Sample, make_sample

pytest.importorskip("spacepy.pycdf", reason="needs NASA's CDF library")
from tests.exports.rules.defects import DEFECTS, Defect

# Seen elsewhere: files of other writers (F01), wide indexes, large files, the deliveries around (D03, D04), the rows of
# the table (T01 to T03).
OTHERWISE = {"F01", "F02", "P03", "P06", "SKT", "D03", "D04", "T01", "T02", "T03"}
# As long as nobody has registered the product, and as two photons come in one tick of the clock.
UNREGISTERED = {("G03", "DOI"), ("G03", "spase_DatasetResourceID")}
REPEATED = {"l1_photon": {("V23", "Epoch")}}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Sample, Path]]:
    folder = tmp_path_factory.mktemp("good")
    samples = {name: make_sample(name) for name in TABLES}
    for s in samples.values():
        write_product(s.structure, s.path(folder), s.batches, s.records, s.edition)
    return {name: (s, s.path(folder)) for name, s in samples.items()}


@pytest.mark.parametrize("name", TABLES)
def test_a_good_file_passes(good: dict[str, tuple[Sample, Path]], name: str) -> None:
    sample, path = good[name]
    inspection = inspect(path, sample.structure, sample.edition, Around())
    assert inspection.errors == ()
    assert {(f.rule, f.where) for f in inspection.findings} == UNREGISTERED | REPEATED.get(name, set())
    assert check_file(path, sample.structure) == list(inspection.findings)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: f"{defect.rule}: {defect.name}")
def test_a_defect_is_stopped_with_its_rule(
    good: dict[str, tuple[Sample, Path]], defect: Defect, tmp_path: Path
) -> None:
    sample, path = good[defect.sample]
    spoiled = defect.how(Path(shutil.copy(path, tmp_path)))
    inspection = inspect(spoiled, sample.structure, sample.edition, Around())
    found = {(f.rule, f.severity, f.where) for f in inspection.findings}
    assert (defect.rule, defect.severity, defect.where) in found
    assert inspection.errors
    assert all(f.what and f.remedy and not f.what.endswith(".") for f in inspection.findings)


def test_there_is_a_defect_for_every_rule() -> None:
    assert {defect.rule for defect in DEFECTS} == set(RULES) - OTHERWISE
    assert len(DEFECTS) >= 75


def test_every_finding_has_the_severity_that_its_rule_may_have() -> None:
    for defect in DEFECTS:
        assert RULES[defect.rule].severity in (defect.severity, "both"), defect.rule

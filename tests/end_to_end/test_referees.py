# SPDX-License-Identifier: Apache-2.0
"""Every product of both missions before the referees that SPDF and its users have."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import cdflib
import pytest

from exports.datasets.dataset import datasets
from exports.datasets.master import write_master
from exports.rules.check import check_file
from tests.meddea import DEFINITIONS
from tests.product_lakes import PRODUCTS
from tests.referees import (
    UNASSIGNED,
    WAIVED_BY_ASTRALINT,
    WAIVED_BY_SPACEPY,
    astralint_problems,
    istp_findings,
    spacepy_complaints,
)

Files = dict[tuple[str, date], Path]
# Events may come in one tick of the clock.
LISTS_OF_EVENTS = {"padre_meddea_l1-photon", "hermes_mrt_l1-pha"}


def test_every_product_of_both_missions_was_made(every_product: Files) -> None:
    assert {product for product, _ in every_product} == set(PRODUCTS)


@pytest.mark.oracle
def test_the_shared_checker_finds_only_unassigned_names_and_simultaneous_events(every_product: Files) -> None:
    findings = istp_findings(every_product.values())
    others = {found for found in findings if found[1:] not in UNASSIGNED}
    simultaneous = {name for name, *found in others if found == ["V23", "Epoch"]}
    assert {name.rpartition("_v")[0][:-9] for name in simultaneous} <= LISTS_OF_EVENTS
    assert [found for found in others if found[0] not in simultaneous or found[1] != "V23"] == []


@pytest.mark.oracle
def test_our_rules_and_the_shared_checker_agree_on_every_product(every_product: Files) -> None:
    """Down to the place of each warning; P are rules of our own."""
    found = {(path.name, f.rule, f.where) for path in every_product.values() for f in check_file(path)}
    assert {f for f in found if not f[1].startswith("P")} == istp_findings(every_product.values())


@pytest.mark.oracle
def test_the_shared_checker_finds_only_unassigned_names_in_the_masters(tmp_path: Path) -> None:
    """A master has no date of generation either: it is the same on every day."""
    masters = [write_master(dataset, tmp_path) for dataset in datasets(DEFINITIONS)]
    assert len(masters) == len(PRODUCTS)
    findings = {found[1:] for found in istp_findings(masters, "--no-data")}
    assert findings - UNASSIGNED == {("G03", "Generation_date")}


@pytest.mark.oracle
@pytest.mark.parametrize("mission", ["padre", "hermes"])
def test_astralint_finds_no_error_and_warns_only_of_unassigned_names_and_lengths(
    request: pytest.FixtureRequest, mission: str
) -> None:
    """Units that a unit library reads may have more than the 10 characters that it prefers (20 are allowed)."""
    problems = astralint_problems(request.getfixturevalue(f"{mission}_lake").root / "exports")
    assert [line for line in problems if not WAIVED_BY_ASTRALINT.fullmatch(line)] == []


@pytest.mark.oracle
def test_spacepy_complains_only_of_what_is_waived(every_product: Files) -> None:
    """Of vectors that are no spectrogram, and that integers and no times tell the reach of a TT2000 time."""
    complaints = {path.name: spacepy_complaints(path) for path in every_product.values()}
    assert [(name, c) for name, found in complaints.items() for c in found if not WAIVED_BY_SPACEPY.fullmatch(c)] == []
    assert not any(c.startswith("Epoch") for name, found in complaints.items() for c in found if "padre" in name)


@pytest.mark.parametrize("product", PRODUCTS)
def test_what_a_product_measures_is_data_that_a_plot_can_show(every_product: Files, product: str) -> None:
    """Without a variable of this type CDAWeb has nothing to plot, and pyspedas loads nothing."""
    file = cdflib.CDF(next(path for (name, _), path in every_product.items() if name == product))
    attributes = [file.varattsget(name) for name in file.cdf_info().zVariables]
    assert any(found["VAR_TYPE"] == "data" and "DISPLAY_TYPE" in found for found in attributes)

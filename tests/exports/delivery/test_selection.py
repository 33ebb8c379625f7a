# SPDX-License-Identifier: Apache-2.0
"""Which files rules ask for, and which paths they get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from exports.delivery.selection import product_files, wanted
from lake.store import Lake
from lake.tables import append_ops
from tests.exports.delivery.stage import BOX, CRATE, DAYS, NOW, publish, settings, stage

SECOND = (BOX, DAYS[1], "1.2.0")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """One version of each product-day, of one of them a second one, and of one version a FITS file."""
    lake = stage(tmp_path)
    publish(lake, SECOND, run="run-2")
    add_fits(lake, "1.0.0")
    return lake


def add_fits(lake: Lake, version: str, cdf_sha256: str | None = None) -> None:
    cdf = product_files(lake).filter(product=BOX, day=DAYS[1], version=version, format="cdf")
    row: dict[str, Any] = {
        "product": BOX,
        "day": DAYS[1],
        "version": version,
        "format": "fits",
        "bytes": 5,
        "records": 3,
    }
    name = f"toy_box_l1_tick_20240917T000000_v{version}.fits"
    more = {
        "path": f"fits/toy/box/l1/2024/{name}",
        "sha256": "f" * 64,
        "created_at": NOW,
        "run_id": "run-3",
        "records": 3,
    }
    append_ops(lake, "renditions", [row | more | {"cdf_sha256": cdf_sha256 or cdf["sha256"][0]}])


def asked(lake: Lake, folder: Path, layout: str = "spdf", **rule: Any) -> pl.DataFrame:
    recipient = settings(folder, send=[rule], layout=layout).recipients["spdf"]
    return wanted(product_files(lake), lake.definitions, recipient)


def versions(found: pl.DataFrame) -> list[str]:
    return [
        f"{product[4:7]} {day:%d} {version}"
        for product, day, version in found.select("product", "day", "version").iter_rows()
    ]


def test_the_newest_version_of_each_day_is_asked_for(lake: Lake, tmp_path: Path) -> None:
    assert versions(asked(lake, tmp_path, instruments=["box"])) == ["box 16 1.0.0", "box 17 1.2.0", "box 18 1.0.0"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"min_version": "1.1"}, ["box 17 1.2.0"]),
        ({"min_version": "1.2.1"}, []),
        ({"instruments": ["box"], "versions": "all", "from": DAYS[1], "to": DAYS[1]}, ["box 17 1.0.0", "box 17 1.2.0"]),
        ({"products": ["toy_crate*"], "to": DAYS[0]}, ["cra 16 1.0.0"]),
        ({"levels": ["l2"]}, []),
    ],
)
def test_rules_narrow_what_is_asked_for(lake: Lake, tmp_path: Path, rule: dict[str, Any], expected: list[str]) -> None:
    assert versions(asked(lake, tmp_path, **rule)) == expected


def test_an_old_rendition_does_not_stand_in_for_the_newest_version(lake: Lake, tmp_path: Path) -> None:
    assert asked(lake, tmp_path, formats=["fits"]).height == 0
    add_fits(lake, "1.2.0")
    (row,) = asked(lake, tmp_path, formats=["fits"]).iter_rows(named=True)
    assert row["path"] == "toy/box/toy_box_l1-tick/2024/toy_box_l1_tick_20240917T000000_v1.2.0.fits"
    assert (row["version"], row["sha256"], row["first_epoch_tt2000"] is not None) == ("1.2.0", "f" * 64, True)


def test_a_rendition_of_other_bytes_is_not_asked_for(lake: Lake, tmp_path: Path) -> None:
    add_fits(lake, "1.2.0", cdf_sha256="0" * 64)
    assert asked(lake, tmp_path, formats=["fits"]).height == 0


@pytest.mark.parametrize(
    ("layout", "path"),
    [
        ("spdf", "toy/crate/toy_crate_l1-tick/2024/toy_crate_l1-tick_20240916_v1.0.0.cdf"),
        ("lake", "exports/toy/crate/l1/2024/toy_crate_l1-tick_20240916_v1.0.0.cdf"),
        ("swxsoc", "l1/tick/2024/09/16/toy_crate_l1-tick_20240916_v1.0.0.cdf"),
    ],
)
def test_each_layout_has_its_paths(lake: Lake, tmp_path: Path, layout: str, path: str) -> None:
    assert asked(lake, tmp_path, layout, products=[CRATE])["path"][0] == path


def test_an_empty_lake_has_nothing_to_ask_for(tmp_path: Path, lake: Lake) -> None:
    empty = Lake(tmp_path / "other", lake.definitions)
    assert asked(empty, tmp_path).height == 0

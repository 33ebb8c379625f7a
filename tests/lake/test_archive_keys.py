# SPDX-License-Identifier: Apache-2.0
"""The keys and buckets of the reference, by its own vectors."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import yaml

from lake.archive_keys import archive_bucket, archive_key
from lake.config import CHECKOUT
from lake.names import NameRules, parse_name
from lake.product_names import normalise_name

NOW = datetime(2026, 11, 22, tzinfo=UTC)
# What `create_s3_file_key` of the swxsoc package gives. Two of its names have a version that ours has without the zero.
VECTORS = [
    ("hermes_EEA_l0_2022335-200137_v01.bin", "l0/2022/12/01/"),
    ("hermes_eea_ql_eventlist_20230205T000006_v1.0.01.cdf", "ql/eventlist/2023/02/05/"),
    ("hermes_eea_l1_hk_20230205T000006_v1.0.01.cdf", "l1/housekeeping/2023/02/05/"),
    ("hermes_eea_l1_20240406T120621_v1.2.3.cdf", "l1/unknown/2024/04/06/"),
    ("padreMDA0_240107034739.dat", "raw/2024/01/07/"),
    ("padre_MEDDEA_l0_2025131-192102_v3.bin", "l0/unknown/2025/05/11/"),
]


def rules_of(mission: str) -> NameRules:
    return NameRules.model_validate(yaml.safe_load((CHECKOUT / f"missions/{mission}/names.yaml").read_text()))


@pytest.mark.parametrize(("name", "folder"), VECTORS)
def test_a_file_has_the_key_that_the_reference_gives_it(name: str, folder: str) -> None:
    rules = rules_of("hermes" if name.startswith("hermes") else "padre")
    parsed = parse_name(rules, normalise_name(rules, name).name if name.endswith("01.cdf") else name, NOW)
    assert parsed.level is not None
    assert parsed.time is not None
    assert archive_key(rules, parsed.level, parsed.descriptor, parsed.time.date(), name) == f"{folder}{name}"


def test_a_short_word_for_spectra_is_written_out() -> None:
    day = datetime(2024, 4, 6, tzinfo=UTC).date()
    key = archive_key(rules_of("padre"), "l1", "spec", day, "x.fits")
    assert key == "l1/spectrum/2024/04/06/x.fits"


def test_a_bucket_is_named_by_mission_and_instrument() -> None:
    assert archive_bucket("", "hermes", "eea") == "hermes-eea"
    assert archive_bucket("dev-", "swxsoc_pipeline", "meddea") == "dev-swxsoc-pipeline-meddea"

# SPDX-License-Identifier: Apache-2.0
from datetime import date

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lake.errors import FileNameError
from lake.names import NameRules
from lake.product_names import ProductName, parse_product_name, product_name
from tests.shared_data import CHECKOUT

FILES = (CHECKOUT / "missions/hermes/names.yaml", CHECKOUT / "missions/padre/names.yaml")
HERMES, PADRE = (NameRules.model_validate(yaml.safe_load(path.read_text())) for path in FILES)


@given(st.text())
def test_any_text_has_a_meaning_or_a_reason_as_a_product(name):
    with pytest.raises(FileNameError):
        parse_product_name(PADRE, name)


def test_a_cdf_product_is_named_by_its_table_day_and_version():
    name = product_name("padre", "meddea", "l1", "photon", date(2024, 9, 16), "1.0.0")
    assert name == "padre_meddea_l1-photon_20240916_v1.0.0.cdf"
    expected = ProductName("padre", "meddea", "l1", "photon", date(2024, 9, 16), "1.0.0")
    assert parse_product_name(PADRE, f"exports/{name}") == expected


@given(
    st.sampled_from(sorted(HERMES.short_names)),
    st.sampled_from(HERMES.levels),
    st.lists(st.from_regex("[a-z0-9]{1,8}", fullmatch=True), min_size=1, max_size=3).map("-".join),
    st.dates(),
)
def test_product_names_are_read_back(short, level, descriptor, day):
    parsed = parse_product_name(HERMES, product_name("hermes", short, level, descriptor, day, "1.0.12"))
    assert parsed == ProductName("hermes", HERMES.short_names[short], level, descriptor, day, "1.0.12")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("padre_meddea_l1-photon_20240916_v1.0.0.CDF", "NONCANONICAL_CASE"),
        ("padre_meddea_l1-photon_20240916_v1.0.0.fits", "UNKNOWN_EXT"),
        ("padre_meddea_l1-photon_20240916_v1.0.0", "UNKNOWN_EXT"),
        ("hermes_eea_l1-counts_20240916_v1.0.0.cdf", "BAD_MISSION"),
        ("padre_potato_l1-photon_20240916_v1.0.0.cdf", "BAD_INSTRUMENT"),
        ("padre_meddea_l4-photon_20240916_v1.0.0.cdf", "BAD_LEVEL"),
        ("padre_meddea_l1_20240916_v1.0.0.cdf", "BAD_SHAPE"),
        ("padre_meddea_l1-photon-_20240916_v1.0.0.cdf", "BAD_SHAPE"),
        ("padre_meddea_l1-photon_x_20240916_v1.0.0.cdf", "BAD_SHAPE"),
        ("padre_meddea_l1-photon_20240230_v1.0.0.cdf", "BAD_TIME"),
        ("padre_meddea_l1-photon_20240916_v1.0.cdf", "BAD_VERSION"),
    ],
)
def test_a_wrong_product_name_is_refused_with_its_reason(name, code):
    with pytest.raises(FileNameError) as caught:
        parse_product_name(PADRE, name)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"mission": "Padre"}, "BAD_MISSION"),
        ({"short": "a_b"}, "BAD_INSTRUMENT"),
        ({"level": "l1-x"}, "BAD_LEVEL"),
        ({"descriptor": "light_curve"}, "BAD_SHAPE"),
        ({"descriptor": "../x"}, "BAD_SHAPE"),
        ({"version": "1.0"}, "BAD_VERSION"),
    ],
)
def test_a_product_name_that_could_not_be_read_back_is_not_made(changes, code):
    good = {"mission": "padre", "short": "meddea", "level": "l1", "descriptor": "photon", "version": "1.0.0"}
    with pytest.raises(FileNameError) as caught:
        product_name(**{**good, **changes}, day=date(2024, 9, 16))
    assert caught.value.code == code

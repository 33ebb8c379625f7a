# SPDX-License-Identifier: Apache-2.0
"""Definitions become variables and attributes as the ISTP Metadata Guidelines 1.0 and SPDF want them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exports.istp import Structure, compile_product, valid_range
from exports.istp_globals import Edition, edition_globals
from exports.istp_text import category, format_of
from lake.definitions import Axis, Column, Product, Table
from lake.errors import DefinitionError, ExportError
from lake.product_names import product_name
from tests.exports.conftest import (
    EDITION,
    EPOCH,
    HOUSEKEEPING,
    LIGHTCURVE,
    MEDDEA,
    PADRE,
    PHOTON,
    QUALITY,
    SPECTRUM,
    changed,
    product,
)


def compiled(table: Table, **changes: Any) -> Structure:
    return compile_product(product(table, **changes), table, MEDDEA, PADRE)


def attributes(structure: Structure, name: str) -> dict[str, Any]:
    spec = next(v.spec for v in structure.variables if v.spec.name == name)
    return {a.name: a.value if isinstance(a.value, str) else a.value[0] for a in spec.attributes}


def with_column(**facts: Any) -> Table:
    column = Column(**{"name": "x", "type": "float32", "description": "Some quantity", **facts})
    return changed(HOUSEKEEPING, columns=(EPOCH, column, QUALITY))


def test_epoch_is_first_and_complete() -> None:
    structure = compiled(PHOTON)
    epoch = structure.variables[0].spec
    assert (epoch.name, epoch.type, epoch.dims, epoch.compression) == ("Epoch", "CDF_TIME_TT2000", (), 0)
    assert attributes(structure, "Epoch") == {
        "CATDESC": "Time as TT2000: nanoseconds since J2000 (TT), leap seconds included",
        "FIELDNAM": "Epoch",
        "VAR_TYPE": "support_data",
        "UNITS": "ns",
        "SI_CONVERSION": "1.0e-9>s",
        "LABLAXIS": "Epoch",
        "SCALETYP": "linear",
        "MONOTON": "INCREASE",
        "TIME_BASE": "J2000",
        "TIME_SCALE": "TT",
        "DICT_KEY": "SPASE>Support>SupportQuantity:Temporal",
        "VALIDMIN": 760_017_669_184_000_000,
        "VALIDMAX": 1_577_880_069_183_999_999,
        "FILLVAL": -(2**63),
        "BIN_LOCATION": 0.5,
    }
    assert next(a for a in epoch.attributes if a.name == "BIN_LOCATION").type == "CDF_REAL4"


def test_variables_are_the_exported_columns_in_the_order_of_the_table() -> None:
    names = [v.spec.name for v in compiled(PHOTON, omit=("baseline",)).variables]
    assert names == ["Epoch", "asic", "pixel", "adc", "energy_kev", "quality_flag"]
    assert compiled(PHOTON).columns[0] == "epoch_tt2000"


def test_types_fill_values_and_formats_follow_from_the_column() -> None:
    structure = compiled(PHOTON)
    types = {v.spec.name: v.spec.type for v in structure.variables}
    assert types == {
        "Epoch": "CDF_TIME_TT2000",
        "asic": "CDF_INT1",
        "pixel": "CDF_INT1",
        "adc": "CDF_INT2",
        "energy_kev": "CDF_REAL4",
        "baseline": "CDF_UINT1",
        "quality_flag": "CDF_INT4",
    }
    found = {name: attributes(structure, name) for name in types if name != "Epoch"}
    assert {name: a["FILLVAL"] for name, a in found.items()} == {
        "asic": -128,
        "pixel": -128,
        "adc": -32768,
        "energy_kev": -1e31,
        "baseline": 255,
        "quality_flag": -2147483648,
    }
    assert (found["adc"]["FORMAT"], found["energy_kev"]["FORMAT"], found["baseline"]["VALIDMAX"]) == ("I6", "F9.4", 1)
    assert (found["adc"]["LABLAXIS"], found["asic"]["LABLAXIS"], found["energy_kev"]["LABLAXIS"]) == (
        "ADC",
        "Asic",
        "Energy",
    )


def test_quality_flag_is_support_data_that_explains_its_bits() -> None:
    quality = attributes(compiled(PHOTON), "quality_flag")
    assert quality["VAR_TYPE"] == "support_data"
    assert quality["VAR_NOTES"] == (
        "0 is good, else a sum of bits. Bit 0 (value 1), clock_invalid: The clock field is impossible. "
        "Bit 3 (value 8), gap_before: Packets are missing before this one."
    )


def test_two_dimensions_are_a_spectrogram_with_labels_for_each() -> None:
    structure = compiled(SPECTRUM)
    rate = attributes(structure, "count_rate")
    pointers = ("DEPEND_0", "DEPEND_1", "DEPEND_2", "LABL_PTR_1", "LABL_PTR_2", "DISPLAY_TYPE")
    assert [rate[name] for name in pointers] == ["Epoch", "slot", "energy", "slot_label", "energy_label", "spectrogram"]
    assert "LABLAXIS" not in rate
    energy = next(v for v in structure.variables if v.spec.name == "energy")
    np.testing.assert_array_equal(energy.constant()[0], np.float32(5.1 + 0.2 * np.arange(280)))
    labels = next(v for v in structure.variables if v.spec.name == "energy_label").constant()
    assert (labels.shape, labels[0, 0], labels[0, 279]) == ((1, 280), b"Energy 5.1 keV ", b"Energy 60.9 keV")


def test_one_long_dimension_is_a_spectrogram_and_a_short_one_lines() -> None:
    long, short = attributes(compiled(SPECTRUM), "total"), attributes(compiled(LIGHTCURVE), "rate")
    assert (long["DISPLAY_TYPE"], long["LABLAXIS"], long["DEPEND_1"], "LABL_PTR_1" in long) == (
        "spectrogram",
        "Total",
        "energy",
        False,
    )
    assert (short["DISPLAY_TYPE"], short["LABL_PTR_1"], "LABLAXIS" in short) == ("time_series", "band_label", False)


def test_axes_without_a_variable_are_left_out() -> None:
    names = [v.spec.name for v in compiled(SPECTRUM, omit=("count_rate", "pixel_id")).variables]
    assert names == ["Epoch", "energy", "total", "quality_flag"]


def test_uncertainty_is_a_pair_of_deltas() -> None:
    rate = attributes(compiled(LIGHTCURVE), "rate")
    assert rate["DELTA_PLUS_VAR"] == rate["DELTA_MINUS_VAR"] == "rate_error"
    with pytest.raises(ExportError, match="rate_error is not exported"):
        compiled(LIGHTCURVE, omit=("rate_error",))


def test_global_attributes_are_derived() -> None:
    found = dict(compiled(PHOTON).attributes(EDITION))
    assert found["Logical_source"] == ("padre_meddea_l1-photon",)
    assert found["Logical_file_id"] == ("padre_meddea_l1-photon_20240916_v1.0.0",)
    assert found["Data_type"] == ("l1-photon>MeDDEA photon events",)
    assert found["Logical_source_description"] == ("Level 1 data of PADRE MEDDEA: MeDDEA photon events",)
    assert (found["Data_version"], found["Generation_date"]) == (("1.0.0",), ("20260102",))
    assert found["TEXT"] == (
        "Measured by the four CdTe detectors of MeDDEA. See the instrument paper.",
        "Handle with care.",
        "Not known: Leap-second reading of the clock.",
    )
    assert not {"DOI", "spase_DatasetResourceID"} & set(found)
    name = product_name("padre", "meddea", "l1", "photon", EDITION.day, "1.0.0")
    assert compiled(PHOTON).file_name(EDITION) == name == "padre_meddea_l1-photon_20240916_v1.0.0.cdf"


def test_products_of_an_assumed_instrument_say_so() -> None:
    assumed = MEDDEA.model_copy(update={"status": "assumed", "status_reason": "No ICD was seen."})
    text = dict(compile_product(product(PHOTON), PHOTON, assumed, PADRE).global_attributes)["TEXT"]
    assert text[2:] == (
        "Status of the instrument's definition: assumed. No ICD was seen.",
        "Not known: Leap-second reading of the clock.",
    )


@pytest.mark.parametrize(
    "changes", [{"version": "1.0"}, {"version": "v1.0.0"}, {"version": "2.0.0"}, {"parents": ("no file",)}]
)
def test_editions_that_spdf_would_refuse(changes: dict[str, Any]) -> None:
    facts: dict[str, Any] = {**EDITION.__dict__, **changes}
    with pytest.raises(ExportError, match="padre_meddea_l1-photon"):
        edition_globals("padre_meddea_l1-photon", "1.0", Edition(**facts))


@pytest.mark.parametrize(
    ("mission", "instrument", "match"),
    [
        ({"PI_name": ()}, {}, "PI_name"),
        ({"Rules_of_use": (" ",)}, {}, "Rules_of_use"),
        ({"TITLE": ("typed",)}, {}, "derived"),
        ({"Discipline": ("Physics>Physics",)}, {}, "Discipline"),
        ({"Source_name": ("PADRE",)}, {}, "short>long"),
        ({"Source_name": ("HERMES>Hermes",)}, {}, "File names"),
        ({"Source_name": ("PADRE>a", "PADRE>b")}, {}, "2 entries"),
        ({"HTTP_LINK": ("padre.nasa.gov",)}, {}, "http"),
        ({"LINK_TEXT": ("one", "two")}, {}, "entries"),
        ({"Acknowledgement": ("J. C. Martínez Oliveros",)}, {}, r"Acknowledgement.*'í'"),
        ({}, {"Instrument_type": ("Telescope",)}, "Instrument_type"),
        ({}, {"Descriptor": ("MDA>Measuring",)}, "File names"),
    ],
)
def test_wrong_global_attributes_fail_before_any_data(mission: Any, instrument: Any, match: str) -> None:
    padre = PADRE.model_copy(update={"cdf": {**PADRE.cdf, **mission}})
    meddea = MEDDEA.model_copy(update={"cdf": {**MEDDEA.cdf, **instrument}})
    with pytest.raises((DefinitionError, ExportError), match=match) as error:
        compile_product(product(PHOTON), PHOTON, meddea, padre)
    assert "padre.meddea_l1_photon" in str(error.value)


@pytest.mark.parametrize(
    ("facts", "match"),
    [
        ({"type": "string"}, "omit"),
        ({"type": "binary"}, "omit"),
        ({"type": "timestamp"}, "omit"),
        ({"unit": "photons/cm2/s/keV/ster"}, "20 characters"),
        ({"unit": "µs"}, "printable"),
        ({"description": "Temperature in °C"}, "printable"),
        ({"description": "word " * 30}, "first sentence"),
        ({"description": "Quality bits; 0 is good"}, "one CATDESC"),
        ({"label": "A label that is far too long"}, "20 characters"),
        ({"label": "quality_flag"}, "names another variable"),
        ({"type": "int8", "valid": (-128, 127)}, "fill value"),
        ({"type": "int16", "valid": (0, 65535)}, "outside CDF_INT2"),
        ({"type": "int16", "valid": (0.5, 3)}, "integers"),
        ({"valid": (-1e32, 1e32)}, "fill value"),
        ({"valid": (5, 5)}, "empty"),
        ({"valid": (0, float("inf"))}, "outside"),
        ({"name": "epoch"}, "Epoch"),
        ({"name": "x" * 51}, "characters"),
        ({"axes": ("nowhere",)}, "Define the axis"),
        ({"uncertainty": "quality_flag"}, "differs"),
    ],
)
def test_columns_that_spdf_would_refuse_fail_before_any_data(facts: dict[str, Any], match: str) -> None:
    with pytest.raises(ExportError, match=match) as error:
        compiled(with_column(**facts))
    assert "padre.meddea_l1_housekeeping" in str(error.value)


@pytest.mark.parametrize(
    ("facts", "match"),
    [
        ({"name": "x"}, "same to some readers"),
        ({"type": "string"}, "Axes are numbers"),
        ({"type": "int8", "step": 0.5}, "integer"),
        ({"step": 0}, "empty"),
        ({"label": "An axis with a long label"}, "20 characters"),
        ({"step": 1e-9, "first": 1, "type": "float64"}, "larger steps"),
    ],
)
def test_axes_that_spdf_would_refuse(facts: dict[str, Any], match: str) -> None:
    values = {"name": "a", "size": 3, "first": 0, "step": 1, "description": "An axis", "label": "Axis"}
    axis = Axis(**{**values, **facts})
    table = changed(with_column(axes=(axis.name,)), axes=(axis,))
    with pytest.raises(ExportError, match=match):
        compiled(table)


def test_a_product_needs_a_time_and_omits_columns_that_exist() -> None:
    with pytest.raises(ExportError, match="no column epoch_tt2000"):
        compiled(changed(PHOTON, columns=PHOTON.columns[1:]))
    with pytest.raises(ExportError, match="no column of the table"):
        compiled(PHOTON, omit=("bseline",))


def test_description_is_cut_at_the_sentence_and_nothing_is_lost() -> None:
    assert category("x", "Short, and one line.") == ("Short, and one line.", None)
    assert category("x", f"First sentence. {'More words. ' * 8}") == ("First sentence", ("More words. " * 8).strip())
    clauses = "Counts per energy channel and slot, rebinned by overlap so that the sum over all channels is kept"
    assert category("x", clauses) == ("Counts per energy channel and slot", clauses)
    words = "One sentence that goes on and on and on until it is longer than what a plot can show of it"
    assert category("x", words) == (words[:77].rsplit(" ", 1)[0] + "...", words)


@pytest.mark.parametrize(
    ("name", "valid", "scale", "expected"),
    [
        ("CDF_INT1", (0, 3), "linear", "I4"),
        ("CDF_INT8", (-(2**63) + 1, 2**63 - 1), "linear", "I20"),
        ("CDF_REAL4", (-90, 60), "linear", "F10.5"),
        ("CDF_REAL4", (0, 9999), "linear", "F9.3"),
        ("CDF_REAL4", (0, 1e5), "linear", "E15.7"),
        ("CDF_REAL4", (0, 100), "log", "E15.7"),
        ("CDF_REAL8", (-1e-9, 1e-9), "linear", "E18.10"),
        ("CDF_REAL8", (0, 360), "linear", "F12.7"),
    ],
)
def test_format_holds_both_ends_of_the_range(name: Any, valid: Any, scale: str, expected: str) -> None:
    assert format_of(name, valid, scale) == expected


def test_range_without_a_definition_is_the_widest_without_the_fill_value() -> None:
    assert valid_range("x", "CDF_INT8", None) == (-(2**63) + 1, 2**63 - 1)
    assert valid_range("x", "CDF_UINT2", None) == (0, 65534)
    assert valid_range("x", "CDF_REAL4", None) == (-1e30, 1e30)


def test_structure_does_not_depend_on_the_day() -> None:
    first, second = compiled(SPECTRUM), compiled(SPECTRUM)
    assert first == second
    assert isinstance(first.product, Product)

# SPDX-License-Identifier: Apache-2.0
"""Definitions become variables and attributes as the ISTP Metadata Guidelines 1.0 and SPDF want them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exports.istp.globals import Edition, edition_globals
from exports.istp.structure import Structure, compile_product
from exports.istp.text import category, format_of
from exports.istp.variable import Variable, valid_range
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
    SWEEP,
    SWEEP_ON_DAY,
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
        "The sum of the bits that are set, 0 for none. Whether a value is to be used, its own bits tell. "
        "Bit 0 (value 1), clock_invalid: The clock field is impossible. "
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
    doubts = ("Status of the instrument's definition: assumed.\nNo ICD was seen.", "Assumed calibration gain: Guessed.")
    text = dict(compile_product(product(PHOTON), PHOTON, MEDDEA, PADRE, doubts).global_attributes)["TEXT"]
    assert text[2:] == (
        "Status of the instrument's definition: assumed. No ICD was seen.",
        "Assumed calibration gain: Guessed.",
        "Not known: Leap-second reading of the clock.",
    )


def test_products_of_an_instrument_on_the_ground_say_so() -> None:
    ground = MEDDEA.model_copy(update={"status": "ground", "status_reason": "Tests in a chamber."})
    text = dict(compile_product(product(PHOTON), PHOTON, ground, PADRE).global_attributes)["TEXT"]
    assert text[2] == "Status of the instrument: on the ground, not flying. Tests in a chamber."


def variable(structure: Structure, name: str) -> Variable:
    return next(v for v in structure.variables if v.spec.name == name)


def test_a_dated_axis_has_the_values_and_borders_of_the_day() -> None:
    structure = compiled(SWEEP_ON_DAY)
    names = [v.spec.name for v in structure.variables if v.column is None]
    assert names == [
        *("step", "step_delta_minus", "step_delta_plus", "step_label"),
        *("deflection", "deflection_delta_minus", "deflection_delta_plus", "deflection_label"),
        *("anode", "anode_label", "component", "component_label", "element_label"),
    ]
    assert variable(structure, "step").constant().tolist() == [[2.5, 10, 40, 160, 640, 2560]]
    assert variable(structure, "step_delta_minus").constant().tolist() == [[0.25, 1, 4, 16, 64, 256]]
    assert variable(structure, "step_delta_plus").constant().tolist() == [[0.5, 2, 8, 32, 128, 512]]
    step, below = attributes(structure, "step"), attributes(structure, "step_delta_minus")
    deltas = ("DELTA_MINUS_VAR", "DELTA_PLUS_VAR", "SCALETYP", "FORMAT", "VALIDMIN")
    assert [step[name] for name in deltas] == ["step_delta_minus", "step_delta_plus", "log", "E15.7", 1]
    assert (below["UNITS"], below["SCALETYP"], below["VALIDMIN"], "DELTA_PLUS_VAR" in below) == (
        "eV",
        "linear",
        0,
        False,
    )
    with pytest.raises(DefinitionError, match="depend on the day"):
        compiled(SWEEP)


def test_components_of_a_vector_are_named_and_nothing_to_depend_on() -> None:
    structure = compiled(SWEEP_ON_DAY)
    velocity, pressure = attributes(structure, "velocity_km_s"), attributes(structure, "pressure")
    assert variable(structure, "component_label").constant().tolist() == [[b"x", b"y", b"z"]]
    frame = ("COORDINATE_SYSTEM", "TENSOR_ORDER", "REPRESENTATION_1", "LABL_PTR_1", "DISPLAY_TYPE")
    assert [velocity[name] for name in frame] == ["GSE", "1", "component_label", "component_label", "time_series"]
    assert not {"DEPEND_1", "LABLAXIS"} & set(velocity)
    assert (pressure["DISPLAY_TYPE"], "DEPEND_1" in pressure, "TENSOR_ORDER" in pressure) == (
        "time_series",
        False,
        False,
    )


def test_a_picture_depends_on_the_places_of_components() -> None:
    structure = compiled(SWEEP_ON_DAY)
    heat = attributes(structure, "heat_by_step")
    assert [heat[f"{name}_{i}"] for i in (1, 2) for name in ("DEPEND", "LABL_PTR")] == [
        *("component", "component_label"),
        *("step", "step_label"),
    ]
    assert variable(structure, "component").constant().tolist() == [[0, 1, 2]]
    alone = compiled(SWEEP_ON_DAY, omit=("heat_by_step",))
    assert "component" not in [v.spec.name for v in alone.variables]


def test_three_dimensions_are_a_spectrogram_that_depends_on_three_axes() -> None:
    structure = compiled(SWEEP_ON_DAY)
    assert variable(structure, "sweep_flux").spec.dims == (6, 2, 3)
    flux = attributes(structure, "sweep_flux")
    axes = ("step", "deflection", "anode")
    assert [flux[f"DEPEND_{i}"] for i in (1, 2, 3)] == list(axes)
    assert [flux[f"LABL_PTR_{i}"] for i in (1, 2, 3)] == [f"{axis}_label" for axis in axes]
    assert flux["DISPLAY_TYPE"] == "spectrogram"


def test_the_epoch_says_how_far_a_record_reaches_in_nanoseconds() -> None:
    structure = compiled(SWEEP_ON_DAY)
    epoch, minus = attributes(structure, "Epoch"), variable(structure, "Epoch_delta_minus")
    assert (epoch["DELTA_MINUS_VAR"], epoch["DELTA_PLUS_VAR"]) == ("Epoch_delta_minus", "Epoch_delta_plus")
    assert (minus.spec.type, minus.spec.dims, minus.valid) == ("CDF_INT8", (), (0, 10_000_000_000))
    found = attributes(structure, "Epoch_delta_plus")
    assert (found["UNITS"], found["VAR_TYPE"], found["DEPEND_0"]) == ("ns", "support_data", "Epoch")
    assert structure.columns.count("before_s") == 1


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"delta_plus": None}, "Give both"),
        ({"delta_plus": "nothing"}, "nothing is no column of one float32"),
        ({"delta_plus": "velocity_km_s"}, "no column of one float32"),
        ({"delta_plus": "quality_flag"}, "no column of one float32"),
    ],
)
def test_the_reach_of_a_record_is_a_pair_of_seconds(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ExportError, match=match):
        compiled(SWEEP_ON_DAY, **changes)


def test_a_frame_needs_components() -> None:
    with pytest.raises(ExportError, match="its cells are no components"):
        compiled(changed(with_column(axes=("band",), frame="GSE"), axes=(LIGHTCURVE.axes[0],)))


@pytest.mark.parametrize("name", ["a_label", "a_delta_plus", "epoch_delta_minus"])
def test_no_column_has_the_name_of_a_variable_made_for_an_axis_or_the_epoch(name: str) -> None:
    axis = Axis(name="a", size=2, cells=(1, 2), minus=(1, 1), plus=(1, 1), description="An axis", label="Axis")
    other = Column(name="y", type="float64", unit="s", description="Another quantity", valid=(0, 5))
    picture = Column(name="z", type="float32", description="Two cells", axes=("a",))
    columns = (*with_column(name=name).columns, other, picture)
    with pytest.raises(ExportError, match="Rename"):
        compiled(changed(HOUSEKEEPING, columns=columns, axes=(axis,)), delta_minus="y", delta_plus="y")


@pytest.mark.parametrize(
    "changes", [{"version": "1.0"}, {"version": "v1.0.0"}, {"version": "1.00.0"}, {"parents": ("no file",)}]
)
def test_editions_that_spdf_would_refuse(changes: dict[str, Any]) -> None:
    facts: dict[str, Any] = {**EDITION.__dict__, **changes}
    with pytest.raises(ExportError, match="padre_meddea_l1-photon"):
        edition_globals("padre_meddea_l1-photon", Edition(**facts))


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
        ({"name": "x"}, "its axes make a variable x, and so does the column"),
        ({"minus": (0, 0, 0), "plus": (1, 1, 1)}, "empty"),
        ({"type": "int16", "minus": (0.5, 0.5, 0.5), "plus": (1, 1, 1)}, "integer"),
        ({"first": None, "step": None, "labels": ("u", "v", "u")}, "Name each cell"),
        ({"first": None, "step": None, "labels": ("u", "v", " ")}, "Name each cell"),
        ({"first": None, "step": None, "labels": ("u", "v", "w" * 21)}, "20 characters"),
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

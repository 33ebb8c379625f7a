# SPDX-License-Identifier: Apache-2.0
"""quicklook.yaml: what is refused and where, and what a table without an entry shows."""

from __future__ import annotations

from colorsys import rgb_to_hls
from itertools import pairwise
from pathlib import Path

import pytest

from lake.definition_files import read_definitions
from lake.errors import DefinitionError
from lake.ledger import l0_definition, table_definition
from lake.quicklook_definitions import Panel
from monitor.quicklooks.panels import View, derived, pretty, quicklooks
from monitor.quicklooks.style import DARK_LINE_COLORS, LINE_COLORS
from tests.meddea import DEFINITIONS
from tests.monitor.quicklooks.sky import ADDRESS, sky_missions

HEAD = "quicklooks:\n  box_l1_sky:\n    "


@pytest.mark.parametrize(
    ("panel", "complaint"),
    [
        ("{kind: lines, columns: [rat]}", "has no column rat. Correct it, perhaps to rate."),
        ("{kind: lines, columns: [time]}", "time of box_l1_sky is timestamp and no number"),
        ("{kind: lines, columns: [counts]}", "counts has the axes slot and energy. Name one of them"),
        ("{kind: spectrogram, columns: [b_nt]}", "a spectrogram of b_nt needs one axis of values"),
        ("{kind: spectrogram, columns: [counts, counts], sum: [slot]}", "a spectrogram shows one column"),
        ("{kind: spectrogram, columns: [counts], sum: [slots]}", "a spectrogram of counts needs one axis of values"),
        ("{kind: lines, columns: [rate], mean: [slots]}", "none of its columns has an axis slots."),
        ("{kind: spectrogram, columns: [counts], sum: [slot], mean: [slot]}", "slot is reduced twice"),
        ("{kind: spectrogram, columns: [counts], at: {slot: 2}}", "axis slot has no cell 2. Write one of 0 to 1."),
        ("{kind: lines, columns: [b_nt], at: {component: w}}", "axis component has no cell w. Write one of x, y, z."),
        ("{kind: lines, columns: [b_nt], cells: [3]}", "b_nt has no cell 3. Cells are counted from 0"),
        ("{kind: histogram, columns: [rate]}", "needs one value in each row, and its valid range"),
        ("{kind: lines, columns: [rate], limits: [2, 1]}", "the lower of the limits is not below the upper"),
        ("{kind: pie, columns: [rate]}", "(kind)"),
    ],
)
def test_a_panel_that_cannot_be_drawn_is_refused_with_file_and_line(tmp_path: Path, panel: str, complaint: str) -> None:
    missions = sky_missions(tmp_path, f"{HEAD}ok: {{kind: lines, columns: [rate]}}\n    odd: {panel}\n")
    with pytest.raises(DefinitionError) as error:
        read_definitions(missions)
    assert str(error.value).startswith(f"{missions / 'toy/box/quicklook.yaml'} line 4")
    assert complaint in str(error.value)


def test_an_unknown_table_or_panel_is_refused_with_file_and_line(tmp_path: Path) -> None:
    missions = sky_missions(tmp_path, "quicklooks:\n  box_l1_sly:\n    a: {kind: lines, columns: [rate]}\n")
    with pytest.raises(DefinitionError, match=r"quicklook\.yaml line 2 .*there is no table box_l1_sly.*box_l1_sky"):
        read_definitions(missions)
    missions = sky_missions(tmp_path, summary="summary:\n  - box_l1_sky.rates\n  - box_l1_sky.rate\n")
    with pytest.raises(DefinitionError, match=r"toy/quicklook\.yaml line 3 .*no panel box_l1_sky\.rate in"):
        read_definitions(missions)


def test_panels_of_an_instrument_that_is_not_there_are_left_out_of_the_day(tmp_path: Path) -> None:
    missions = sky_missions(tmp_path, summary="summary:\n  - gone_l1_sky.rates\n  - box_l1_sky.rates\n")
    (panel,) = read_definitions(missions).mission("toy").summary
    assert (panel.table, panel.panel) == ("box_l1_sky", "rates")


def test_panels_do_not_belong_to_what_tables_are_made_from(tmp_path: Path) -> None:
    before = read_definitions(sky_missions(tmp_path))
    panel = f"{HEAD}rates: {{kind: lines, columns: [fast]}}\n"
    after = read_definitions(sky_missions(tmp_path, panel, "summary: [box_l1_sky.rates]\n"))
    mission = before.mission("toy")
    assert quicklooks(before) != quicklooks(after)
    assert table_definition(before.tables[ADDRESS]) == table_definition(after.tables[ADDRESS])
    assert l0_definition(mission, mission.instrument("box")) == l0_definition(
        after.mission("toy"), after.mission("toy").instrument("box")
    )


def test_every_product_has_a_picture() -> None:
    products = {
        f"{mission.name}.{product.table}"
        for mission in DEFINITIONS.missions
        for instrument in mission.instruments
        for product in instrument.products
    }
    assert products <= quicklooks(DEFINITIONS).keys()


def test_a_table_without_an_entry_shows_its_first_columns_by_kind(tmp_path: Path) -> None:
    table = read_definitions(sky_missions(tmp_path)).tables[ADDRESS]
    found = derived(table)
    assert found is not None
    assert [(panel.kind, panel.columns, panel.mean) for panel in found.panels] == [
        ("spectrogram", ("counts",), ("slot",)),
        ("lines", ("b_nt",), ()),
        ("lines", ("rate", "fast"), ()),
        ("lines", ("height",), ()),
        ("states", ("sunlit",), ()),
    ]


def test_labels_units_and_scales_are_those_of_the_columns(tmp_path: Path) -> None:
    definitions = read_definitions(sky_missions(tmp_path))
    rates, counts, _ = (View(definitions.tables[ADDRESS], p) for p in quicklooks(definitions)[ADDRESS].panels)
    assert [line.label for line in rates.lines] == ["Rate", "Fast"]
    assert (rates.vertical_label, rates.scale) == ("[count/s]", "log")
    assert (counts.vertical_label, counts.value_label) == ("Energy [eV]", "Counts [count]")
    assert "Counts (counts) in count over Energy, log scale" in counts.words


def test_vectors_name_their_frame() -> None:
    found = {}
    for address, column in (
        ("hermes.nemisis_l3_ambient", "b_gse_nt"),
        ("hermes.spani_l2_moments", "h_velocity_bus_km_s"),
    ):
        view = View(DEFINITIONS.tables[address], Panel(name="v", kind="lines", columns=(column,)))
        found[column] = [line.label for line in view.lines]
    assert found == {
        "b_gse_nt": ["x (GSE)", "y (GSE)", "z (GSE)"],
        "h_velocity_bus_km_s": ["x (HERMES_BUS)", "y (HERMES_BUS)", "z (HERMES_BUS)"],
    }


def test_counts_say_what_they_are_of_and_what_they_are_not_corrected_for() -> None:
    looks = quicklooks(DEFINITIONS)
    basis = {}
    for table, panel in (
        ("meddea_l1_spectrum", "spectrogram"),
        ("meddea_l1_photon", "pulses"),
        ("meddea_ql_lightcurve", "rates"),
    ):
        view = View(DEFINITIONS.tables[f"padre.{table}"], looks[f"padre.{table}"].panel(panel))
        basis[panel] = (view.basis, view.value_label)
    assert basis == {
        "spectrogram": (
            "counts as recorded, per 10 s spectrum and 0.5 keV; not corrected for live time",
            "Counts [count]",
        ),
        "pulses": (
            "events as recorded, per second and 32 adu; not corrected for dead time or decimation",
            "Events [1/s per 32 adu]",
        ),
        "rates": ("", "[count/s]"),
    }


@pytest.mark.parametrize("colors", [LINE_COLORS, DARK_LINE_COLORS])
def test_colors_of_the_six_lines_of_a_tensor_are_of_different_hues(colors: tuple[str, ...]) -> None:
    parts = [rgb_to_hls(*(int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))) for color in colors]
    hues = sorted(360 * hue for hue, _, saturation in parts if saturation > 0.25)
    assert (len(colors), len(hues)) == (6, 5)  # one is black, or on a dark page white
    assert min(b - a for a, b in pairwise([*hues, hues[0] + 360])) > 25


def test_lines_of_several_units_have_them_in_their_names(tmp_path: Path) -> None:
    table = read_definitions(sky_missions(tmp_path)).tables[ADDRESS]
    view = View(table, Panel(name="all", kind="lines", columns=("rate", "height")))
    assert [line.label for line in view.lines] == ["Rate [count/s]", "Height [adu]"]
    assert view.vertical_label == ""


@pytest.mark.parametrize(
    ("unit", "printed"),
    [("cm-3", "cm⁻³"), ("eV/(cm2 s sr eV)", "eV/(cm² s sr eV)"), ("degC", "°C"), ("1", ""), ("12.8 us", "12.8 µs")],
)
def test_units_are_printed_with_raised_exponents(unit: str, printed: str) -> None:
    assert pretty(unit) == printed

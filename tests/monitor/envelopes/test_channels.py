# SPDX-License-Identifier: Apache-2.0
"""What can be viewed is what a row has one number of, and the components of vectors."""

from __future__ import annotations

import pytest

from lake.errors import QueryError
from lake.store import Lake
from lake.watch_definitions import Channel
from monitor.envelopes.channels import find, viewed, viewed_of, viewed_tables
from tests.meddea import DEFINITIONS
from tests.monitor.envelopes.box import ADDRESS, table_of


def test_numbers_and_components_are_channels_but_not_places_flags_and_text(box: Lake) -> None:
    names = [channel.name for channel in viewed_of(box.definitions, table_of(box))]
    assert names == ["temp_degc", "b_nt.x", "b_nt.y", "b_nt.z", "is_hot", "uptime"]


def test_a_channel_has_the_unit_and_label_of_its_column(box: Lake) -> None:
    found = find(box.definitions, ADDRESS, "b_nt.z")
    assert (found.label, found.unit, found.description, found.place) == ("B z", "nT", "Field", 2)
    assert find(box.definitions, ADDRESS, "is_hot").label == "is_hot"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (ADDRESS, "mode"),
        (ADDRESS, "b_nt"),
        (ADDRESS, 'temp_degc" FROM ops.files --'),
        ("toy.box_l0_tick", "value"),
        ("../../etc", "passwd"),
    ],
)
def test_what_is_no_channel_is_refused(box: Lake, address: str, name: str) -> None:
    with pytest.raises(QueryError, match="Choose one"):
        find(box.definitions, address, name)


def test_counts_of_packets_times_and_lengths_of_rows_are_no_channels() -> None:
    names = {
        address: {channel.name for channel in viewed_of(DEFINITIONS, DEFINITIONS.tables[address])}
        for address in ("hermes.eea_l1_counts", "hermes.nemisis_l1_status", "hermes.spani_l1_rates")
    }
    assert names["hermes.eea_l1_counts"] == {"n_steps", "completeness", "total_counts"}
    assert names["hermes.spani_l1_rates"] == {"attenuator"}
    assert not [name for name in names["hermes.nemisis_l1_status"] if "tt2000" in name]
    assert {"met_seconds", "sample_period_ns"} <= names["hermes.nemisis_l1_status"]


def test_what_is_watched_can_be_viewed_whatever_it_counts(box: Lake) -> None:
    watched = [Channel(table="box_l1_field", column="epoch_tt2000")]
    assert "epoch_tt2000" in [channel.name for channel in viewed(table_of(box), watched)]


def test_a_spectrum_is_no_channel() -> None:
    table = DEFINITIONS.tables["padre.meddea_l1_spectrum"]
    lists = {column.name for column in table.columns if column.is_list}
    assert lists
    assert not lists & {channel.column.name for channel in viewed(table)}


def test_events_have_the_channels_that_are_watched_alone() -> None:
    photons = DEFINITIONS.tables["padre.meddea_l1_photon"]
    assert viewed(photons) == ()
    watched = [Channel(table="meddea_l1_photon", column="baseline"), Channel(table="another", column="energy")]
    assert [channel.name for channel in viewed(photons, watched)] == ["baseline"]


def test_every_column_of_numbers_that_is_watched_can_be_viewed() -> None:
    viewable = {
        f"{table.address}.{channel.column.name}"
        for table in viewed_tables(DEFINITIONS)
        for channel in viewed_of(DEFINITIONS, table)
    }
    for mission in DEFINITIONS.missions:
        for instrument in mission.instruments:
            for channel in instrument.channels:
                column = DEFINITIONS.tables[f"{mission.name}.{channel.table}"].by_name[channel.column]
                is_viewed = f"{mission.name}.{channel.table}.{channel.column}" in viewable
                assert is_viewed or column.type == "string" or column.ragged or len(column.axes) > 1

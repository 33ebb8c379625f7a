# SPDX-License-Identifier: Apache-2.0
"""ccsdspy reads MeDDEA's packet CSVs as they are, and finds in the real packets what swxlake finds, field by field."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingest.ccsds import scan_packets
from ingest.unpack import Ragged, compile_plan, unpack
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.packet_definitions import Packet
from tests.packets import pack
from tests.shared_data import telemetry_folder

pytestmark = pytest.mark.oracle

CSV = CHECKOUT / "missions" / "padre" / "meddea" / "packets"
FILES = {
    "photon": "padreMDA0_240916122901.dat",
    "spectrum": "padreMDA2_240916122851.dat",
    "housekeeping": "padreMDU8_240916122904.dat",
}


def meddea() -> Any:
    return read_definitions(CHECKOUT / "missions").mission("padre").instrument("meddea")


def theirs(packet: Packet, file: bytes) -> dict[str, np.ndarray]:
    """ccsdspy's columns, from the packet CSV of the mission itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ccsdspy  # noqa: PLC0415

        kind = ccsdspy.VariableLength if packet.variable else ccsdspy.FixedLength
        loaded = kind.from_file(str(CSV / f"{packet.name}.csv")).load(io.BytesIO(file), include_primary_header=True)
    return dict(loaded)


def ours(packet: Packet, file: bytes) -> dict[str, Any]:
    bare = packet.model_copy(update={"unpacker": None})  # the layout as the CSV says it, before any unpacker
    (chunk,) = scan_packets(io.BytesIO(file), (bare,))
    return unpack(compile_plan(bare), chunk.data, chunk.offsets, chunk.lengths).columns


def assert_same_fields(packet: Packet, file: bytes) -> None:
    found, expected = ours(packet, file), theirs(packet, file)
    assert np.array_equal(found["sequence_count"], expected["CCSDS_SEQUENCE_COUNT"])
    assert np.array_equal(found["apid"], expected["CCSDS_APID"])
    for field in packet.fields:
        mine, other = found[field.name], expected[field.name]
        if isinstance(mine, Ragged):
            assert np.array_equal(mine.values, np.concatenate(list(other)))
            assert mine.counts.tolist() == [len(row) for row in other]
        else:
            assert np.array_equal(mine, np.asarray(other).reshape(mine.shape)), field.name


@pytest.mark.telemetry
@pytest.mark.parametrize("name", FILES)
def test_ccsdspy_agrees_on_every_field_of_the_real_packets(name):
    folder: Path = telemetry_folder("padre", "meddea")
    assert_same_fields(meddea().packet(name), (folder / FILES[name]).read_bytes())


def test_ccsdspy_agrees_on_register_reads():
    packet = meddea().packet("register").model_copy(update={"checksum": None})
    values = [(10**9 + i, i, 4096 + i, 65535 - i, i) for i in range(5)]  # time_s, time_clocks, address, value, checksum
    file = b"".join(pack(packet, row, sequence_count=i) for i, row in enumerate(values))
    assert_same_fields(packet, file)

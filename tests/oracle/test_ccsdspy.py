# SPDX-License-Identifier: Apache-2.0
"""ccsdspy and swxlake unpack the same columns from the same packets."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from ingest.unpack import Ragged, compile_plan, unpack
from lake.definition_packets import read_packets
from lake.packet_definitions import Packet, PacketField
from tests.packets import build_packet, pack

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def ccsdspy() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pytest.importorskip("ccsdspy")


def _theirs(ccsdspy: Any, packet: Packet, packets: list[bytes]) -> dict[str, Any]:
    fields = []
    for field in packet.fields:
        common = {"name": field.name, "data_type": field.kind, "bit_length": field.bits, "byte_order": field.byte_order}
        shape = "expand" if field.expand else field.length_field or field.shape
        if shape:
            fields.append(ccsdspy.PacketArray(**common, array_shape=shape, array_order="C"))
        else:
            fields.append(ccsdspy.PacketField(**common))
    reader = ccsdspy.VariableLength(fields) if packet.variable else ccsdspy.FixedLength(fields)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _loaded(reader, packets)


def _loaded(reader: Any, packets: list[bytes]) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns: dict[str, Any] = reader.load(io.BytesIO(b"".join(packets)), include_primary_header=True)
    return columns


def _compare(ccsdspy: Any, packet: Packet, rows: list[list[Any]]) -> None:
    packets = [pack(packet, row, n) for n, row in enumerate(rows)]
    _compare_columns(packet, packets, _theirs(ccsdspy, packet, packets))


def _compare_columns(packet: Packet, packets: list[bytes], theirs: dict[str, Any]) -> None:
    lengths = np.array([len(p) for p in packets], np.int64)
    ours = unpack(compile_plan(packet), b"".join(packets), np.cumsum(lengths) - lengths, lengths).columns
    assert_array_equal(ours["sequence_count"], theirs["CCSDS_SEQUENCE_COUNT"])
    assert_array_equal(ours["apid"], theirs["CCSDS_APID"])
    for field in packet.fields:
        if field.kind == "fill":
            continue
        column, expected = ours[field.name], theirs[field.name]
        if field.kind == "str":  # ccsdspy gives bytes, with zeros before them up to 8
            expected = [bytes(value).lstrip(b"\0").decode() for value in np.asarray(expected).reshape(-1)]
        if isinstance(column, Ragged):
            assert_array_equal(column.values, np.concatenate([np.atleast_1d(values) for values in expected]))
            assert_array_equal(column.counts, [len(np.atleast_1d(values)) for values in expected])
        else:
            assert_array_equal(column.reshape(len(packets), -1), np.asarray(expected).reshape(len(packets), -1))


def _values(rng: np.random.Generator, field: PacketField, items: int) -> list[Any]:
    if field.kind == "float":
        return [float(np.float32(value)) for value in rng.normal(size=items)]
    if field.kind == "fill":
        return [0] * items
    low = -(2 ** (field.bits - 1)) if field.kind == "int" else 0
    high = 2 ** (field.bits - (field.kind == "int")) - 1
    return [int(v) for v in rng.integers(low, min(high, 2**63 - 1), items, endpoint=True)]


def _random_packet(rng: np.random.Generator) -> Packet:
    """A fixed layout of scalars and arrays that ends at a whole byte; the widths are those that ccsdspy reads right."""
    fields, total = [], 0
    for number in range(int(rng.integers(1, 30))):
        kind = str(rng.choice(["uint", "uint", "int", "fill", "float"]))
        bits = int(rng.integers(2, 33))
        if kind == "float":
            bits = 32
            fields.append(PacketField(name=f"align{number}", kind="fill", bits=8 - total % 8))
            total += 8 - total % 8
        shape = ((), (), (4,), (2, 3))[int(rng.integers(4))] if kind == "uint" else ()
        fields.append(PacketField(name=f"f{number}", kind=kind, bits=bits, shape=shape))  # type: ignore[arg-type]
        total += bits * fields[-1].items
    fields.append(PacketField(name="last", kind="fill", bits=16 - total % 8))
    return Packet(name="random", apids=(9,), fields=tuple(fields), max_bytes=65_542)


@pytest.mark.parametrize("seed", range(40))
def test_random_fixed_layouts(ccsdspy: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    packet = _random_packet(rng)
    rows = [[_values(rng, field, field.items) for field in packet.fields] for _ in range(5)]
    _compare(ccsdspy, packet, rows)


def test_the_layout_of_meddea_housekeeping(ccsdspy: Any) -> None:
    rng = np.random.default_rng(1)
    fields = [PacketField(name="time_s", kind="uint", bits=32)]
    fields += [PacketField(name=f"word{n}", kind="uint", bits=16) for n in range(15)]
    packet = Packet(name="hk", apids=(163,), fields=tuple(fields), max_bytes=40)
    _compare(ccsdspy, packet, [[_values(rng, f, 1) for f in fields] for _ in range(50)])


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_arrays_that_fill_the_rest_of_the_packet(ccsdspy: Any, bits: int) -> None:
    rng = np.random.default_rng(bits)
    fields = (
        PacketField(name="time_s", kind="uint", bits=32),
        PacketField(name="data", kind="uint", bits=bits, expand=True),
        PacketField(name="checksum", kind="uint", bits=16),
    )
    packet = Packet(name="photon", apids=(160,), fields=fields, max_bytes=65_542)
    rows = [[_values(rng, f, n if f.expand else 1) for f in fields] for n in rng.integers(2, 90, 30).tolist()]
    _compare(ccsdspy, packet, rows)


def test_arrays_that_take_their_length_from_a_field(ccsdspy: Any) -> None:
    rng = np.random.default_rng(3)
    fields = (
        PacketField(name="n", kind="uint", bits=8),
        PacketField(name="data", kind="uint", bits=16, length_field="n"),
        PacketField(name="m", kind="uint", bits=8),
        PacketField(name="more", kind="uint", bits=8, length_field="m"),
    )
    packet = Packet(name="counted", apids=(160,), fields=fields, max_bytes=65_542)
    rows = []
    for n, m in rng.integers(2, 40, (20, 2)).tolist():
        rows.append([[n], _values(rng, fields[1], n), [m], _values(rng, fields[3], m)])
    _compare(ccsdspy, packet, rows)


# ---- packet CSVs as ccsdspy has them --------------------------------------------------------------------------------
Rows = list[tuple[str, str, int, int]]  # name, data type, bits, bit offset


@st.composite
def fixed_rows(draw: Any) -> Rows:
    """Fields of the widths that ccsdspy reads right, with gaps between some of them, up to a whole byte."""
    rows: Rows = []
    at = 48
    for number in range(draw(st.integers(1, 12))):
        at += draw(st.sampled_from([0, 0, 0, 1, 5, 16]))
        kind = draw(st.sampled_from(["uint", "uint", "int", "fill", "uint(3)", "uint(2, 4)", "float", "str"]))
        bits = {"float": 32, "str": 40}.get(kind) or draw(st.integers(2, 32))
        if kind in ("float", "str"):
            at += -at % 8
        rows.append((f"F{number}", kind, bits, at))
        at += bits * {"uint(3)": 3, "uint(2, 4)": 8}.get(kind, 1)
    rows.append(("LAST", "uint", 16 - at % 8, at))
    return rows


def _csv(rows: Rows, offsets: bool) -> str:
    lines = ["name, data_type, bit_length" + (", bit_offset" if offsets else "")]
    for name, kind, bits, offset in rows:
        shown = f'"{kind}"' if "," in kind else kind
        lines.append(f"{name}, {shown}, {bits}" + (f", {offset}" if offsets else ""))
    return "\n".join(lines) + "\n"


def _from_csv(folder: Path, text: str) -> tuple[Packet, Path]:
    """Our packet of a CSV, and the path of the file."""
    path = folder / "packets" / "made.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return read_packets(folder / "instrument.yaml", {"made": {"apids": [9]}}, {})[0][0], path


def _random_bits(rng: np.random.Generator, rows: Rows, offsets: bool) -> str:
    """A packet's bits behind the header, with letters where the text is."""
    end = rows[-1][3] + rows[-1][2]
    bits = "".join(map(str, rng.integers(0, 2, end - 48)))
    for _, kind, width, at in rows:
        if kind == "str":
            letters = "".join(f"{ord(letter):08b}" for letter in rng.choice(list("abcdef"), 5))
            bits = bits[: at - 48] + letters + bits[at - 48 + width :]
    return bits


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=fixed_rows(), offsets=st.booleans(), seed=st.integers(0, 2**32))
def test_any_csv_of_three_or_four_columns(
    ccsdspy: Any, tmp_path_factory: pytest.TempPathFactory, rows: Rows, offsets: bool, seed: int
) -> None:
    if not offsets:
        rows = _closed_up(rows)
    packet, path = _from_csv(tmp_path_factory.getbasetemp(), _csv(rows, offsets))
    rng = np.random.default_rng(seed)
    packets = [build_packet(9, _random_bits(rng, rows, offsets), n) for n in range(4)]
    columns = _loaded(ccsdspy.FixedLength.from_file(path), packets)
    _compare_columns(packet, packets, {name.lower() if name[0] in "FL" else name: c for name, c in columns.items()})


def _closed_up(rows: Rows) -> Rows:
    """The rows with fill in place of each gap."""
    found: Rows = []
    at = 48
    for row in rows:
        if row[3] > at:
            found.append((f"GAP{at}", "fill", row[3] - at, at))
        found.append(row)
        at = row[3] + row[2] * {"uint(3)": 3, "uint(2, 4)": 8}.get(row[1], 1)
    return found


@st.composite
def variable_rows(draw: Any) -> Rows:
    """A count and an array of as many items, once or twice, and a field or an array that takes the rest behind them.

    ccsdspy has no place for a second field between two arrays of variable length.
    """
    rows: Rows = []
    for name in draw(st.sampled_from([("A",), ("A", "B"), ()])):
        rows.append((f"N{name}", "uint", draw(st.sampled_from([8, 16])), 0))
        rows.append((f"X{name}", f"uint(N{name})", draw(st.sampled_from([8, 16, 32])), 0))
    if rows and draw(st.booleans()):
        return [*rows, ("LAST", "uint", 8, 0)]
    if draw(st.booleans()) or not rows:
        rows.append(("REST", "uint(expand)", draw(st.sampled_from([8, 16, 32])), 0))
        rows.append(("CRC", "uint", 16, 0))
    return rows


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=variable_rows(), seed=st.integers(0, 2**32))
def test_any_csv_with_arrays_of_variable_length(
    ccsdspy: Any, tmp_path_factory: pytest.TempPathFactory, rows: Rows, seed: int
) -> None:
    packet, path = _from_csv(tmp_path_factory.getbasetemp(), _csv(rows, offsets=False))
    rng = np.random.default_rng(seed)
    packets = [_variable_packet(rng, rows, n) for n in range(5)]
    columns = _loaded(ccsdspy.VariableLength.from_file(path), packets)
    theirs = {name if name.startswith("CCSDS") else name.lower(): column for name, column in columns.items()}
    _compare_columns(packet, packets, theirs)


def _variable_packet(rng: np.random.Generator, rows: Rows, number: int) -> bytes:
    bits, count = "", 1
    for name, kind, width, _ in rows:
        items = count if "(N" in kind else int(rng.integers(2, 9)) if "expand" in kind else 1
        if name.startswith("N"):
            count = int(rng.integers(2, 30))
            bits += f"{count:0{width}b}"
        else:
            bits += "".join(map(str, rng.integers(0, 2, width * items)))
    return build_packet(9, bits, number)

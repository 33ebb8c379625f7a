# SPDX-License-Identifier: Apache-2.0
"""space_packet_parser and swxlake read the same values from the same packets by the same XTCE file."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.unpack import Ragged, Unpacked, compile_plan, unpack
from ingest.variants import split
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.definition_packets import read_fields
from lake.definitions import Column
from lake.packet_definitions import Packet
from lake.xtce.reading import Xtce, read_xtce
from tests.packets import build_packet
from tests.xtce import compare, container, document, entry, one_packet, parameter, uint
from transforms.conversions import convert_columns

pytestmark = pytest.mark.oracle
Draw = Callable[..., Any]
UNIT = "<xtce:UnitSet><xtce:Unit>V</xtce:Unit></xtce:UnitSet>"


@pytest.fixture(scope="module")
def definition_class() -> Any:
    pytest.importorskip("space_packet_parser")
    from space_packet_parser.xtce.definitions import XtcePacketDefinition  # noqa: PLC0415

    return XtcePacketDefinition


def ours(xtce: Xtce, packets: list[bytes]) -> Unpacked:
    lengths = np.array([len(p) for p in packets], np.int64)
    return unpack(compile_plan(xtce.packets[0]), b"".join(packets), np.cumsum(lengths) - lengths, lengths)


def rows_of(column: Any) -> list[Any]:
    """The value of each packet: numbers, texts, bytes, or lists."""
    if isinstance(column, Ragged):
        offsets = column.offsets.tolist()
        return [bytes(column.values[a:b].astype(np.uint8)) for a, b in pairwise(offsets)]
    return [value.tobytes() if isinstance(value, np.void) else value for value in column]


def same(mine: Any, raw: Any) -> bool:
    if isinstance(raw, float):
        return np.float64(mine).tobytes() == np.float64(raw).tobytes() or bool(np.isnan(mine) and np.isnan(raw))
    if isinstance(mine, str):
        return mine == bytes(raw).decode().rstrip("\0")
    return bool(mine == raw)


# ---- packets of all types --------------------------------------------------------------------------------------------
@dataclass
class Kind:
    """A parameter type, how to send a value of it as bits, and the conversion of its calibrator if it has one."""

    xml: str
    bits: Callable[[np.random.Generator], str]
    conversion: str | None = None


@dataclass
class Made:
    """A packet definition being drawn: types in XML by name, and what sends each field."""

    kinds: dict[str, Kind] = field(default_factory=dict)

    def text(self) -> str:
        types = "".join(f"{kind.xml}\n" for kind in self.kinds.values())
        return one_packet(types, {name: f"T_{name}" for name in self.kinds})

    def send(self, rng: np.random.Generator, number: int) -> bytes:
        return build_packet(7, "".join(kind.bits(rng) for kind in self.kinds.values()), number)


def any_bits(count: int) -> Callable[[np.random.Generator], str]:
    return lambda rng: "".join(map(str, rng.integers(0, 2, count)))


def number(draw: Draw, name: str, calibrator: str = "", conversion: str | None = None) -> Kind:
    encoding = draw(st.sampled_from(["unsigned", "twosComplement"]))
    bits = draw(st.integers(1, 63)) if encoding == "unsigned" else draw(st.integers(1, 64))
    order = ""
    if bits % 8 == 0 and draw(st.booleans()):
        order = 'byteOrder="leastSignificantByteFirst"'
    attributes = f'sizeInBits="{bits}" encoding="{encoding}" {order}'
    xml = (
        f'<xtce:IntegerParameterType name="T_{name}">{UNIT}<xtce:IntegerDataEncoding {attributes}>{calibrator}'
        "</xtce:IntegerDataEncoding></xtce:IntegerParameterType>"
    )
    return Kind(xml, any_bits(bits), conversion)


def polynomial(draw: Draw, name: str) -> Kind:
    exact = st.integers(-64, 64).map(lambda n: n / 16)  # so that the order of additions hardly matters
    terms = draw(st.dictionaries(st.integers(0, 2), exact, min_size=1))
    xml = "".join(f'<xtce:Term coefficient="{value}" exponent="{power}"/>' for power, value in terms.items())
    inside = (
        f"<xtce:DefaultCalibrator><xtce:PolynomialCalibrator>{xml}</xtce:PolynomialCalibrator></xtce:DefaultCalibrator>"
    )
    return number(draw, name, inside, "polynomial")


def spline(draw: Draw, name: str) -> Kind:
    # space_packet_parser cannot evaluate a spline at its last point, so points lie between the whole numbers.
    raw = draw(st.lists(st.integers(-300, 300), min_size=2, max_size=5, unique=True))
    order = draw(st.sampled_from([0, 1]))
    points = "".join(f'<xtce:SplinePoint raw="{n + 0.5}" calibrated="{i * i}"/>' for i, n in enumerate(raw))
    inside = f'<xtce:SplineCalibrator order="{order}" extrapolate="true">{points}</xtce:SplineCalibrator>'
    calibrator = f"<xtce:DefaultCalibrator>{inside}</xtce:DefaultCalibrator>"
    return number(draw, name, calibrator, "linear" if order else "steps")


def real(draw: Draw, name: str) -> Kind:
    bits, order = draw(st.sampled_from([32, 64])), draw(st.sampled_from(["least", "most"]))
    attributes = f'sizeInBits="{bits}" byteOrder="{order}SignificantByteFirst" encoding="IEEE754"'
    return Kind(
        f'<xtce:FloatParameterType name="T_{name}"><xtce:FloatDataEncoding {attributes}/></xtce:FloatParameterType>',
        any_bits(bits),
    )


def states(draw: Draw, name: str) -> Kind:
    bits = draw(st.integers(2, 12))
    values = draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=5, unique=True))
    listed = "".join(f'<xtce:Enumeration value="{value}" label="L{i}"/>' for i, value in enumerate(values))
    xml = (
        f'<xtce:EnumeratedParameterType name="T_{name}"><xtce:IntegerDataEncoding sizeInBits="{bits}"/>'
        f"<xtce:EnumerationList>{listed}</xtce:EnumerationList></xtce:EnumeratedParameterType>"
    )
    return Kind(xml, lambda rng: f"{int(rng.choice(values)):0{bits}b}", "states")


def boolean(draw: Draw, name: str) -> Kind:
    bits = draw(st.integers(1, 8))
    encoding = f'<xtce:IntegerDataEncoding sizeInBits="{bits}"/>'
    xml = f'<xtce:BooleanParameterType name="T_{name}">{encoding}</xtce:BooleanParameterType>'
    return Kind(xml, any_bits(bits), "states")


def letters(count: int) -> Callable[[np.random.Generator], str]:
    """Text of some bytes, with letters of two bytes in UTF-8 among them."""

    def send(rng: np.random.Generator) -> str:
        text = "".join(rng.choice(list("abcXYZ 09"), count))
        octets = (text[: count // 2 * 2 - 2] + "é").encode() if count > 1 and rng.integers(2) else text.encode()
        return "".join(f"{octet:08b}" for octet in octets.ljust(count, b"z"))

    return send


def octets(draw: Draw, name: str) -> Kind:
    count, word = draw(st.integers(1, 9)), draw(st.sampled_from(["String", "Binary"]))
    fixed = f"<xtce:FixedValue>{8 * count}</xtce:FixedValue>"
    fixed = f"<xtce:Fixed>{fixed}</xtce:Fixed>" if word == "String" else fixed
    encoding = f"<xtce:{word}DataEncoding><xtce:SizeInBits>{fixed}</xtce:SizeInBits></xtce:{word}DataEncoding>"
    xml = f'<xtce:{word}ParameterType name="T_{name}">{encoding}</xtce:{word}ParameterType>'
    return Kind(xml, letters(count) if word == "String" else any_bits(8 * count))


def time(draw: Draw, name: str) -> Kind:
    word, bits = draw(st.sampled_from(["Absolute", "Relative"])), draw(st.integers(8, 48))
    encoding = f'<xtce:Encoding units="seconds" scale="0.25" offset="3"><xtce:IntegerDataEncoding sizeInBits="{bits}"/>'
    xml = f'<xtce:{word}TimeParameterType name="T_{name}">{encoding}</xtce:Encoding></xtce:{word}TimeParameterType>'
    return Kind(xml, any_bits(bits), "polynomial")


def add_sized(draw: Draw, made: Made, name: str) -> None:
    """A length, and bytes or a text that are as long as it says, in bytes or in bits, with something added."""
    word, step = draw(st.sampled_from(["String", "Binary"])), draw(st.sampled_from([1, 8, 16]))
    offset = draw(st.sampled_from([0, 8, 24]))
    length, sent = f"{name}_n", {"count": 0}

    def send_length(rng: np.random.Generator) -> str:
        sent["count"] = int(rng.integers(0, 20)) * (8 if step == 1 else 1)
        return f"{sent['count']:09b}"

    def send(rng: np.random.Generator) -> str:
        count = (sent["count"] * step + offset) // 8
        return letters(count)(rng) if word == "String" and count else any_bits(8 * count)(rng)

    made.kinds[length] = Kind(uint(f"T_{length}", 9), send_length)
    value = dynamic(length, step, offset)
    size = f"<xtce:SizeInBits>{value}</xtce:SizeInBits>"
    if word == "String":
        size = f'<xtce:Variable maxSizeInBits="4096">{value}</xtce:Variable>'
    encoding = f"<xtce:{word}DataEncoding>{size}</xtce:{word}DataEncoding>"
    made.kinds[name] = Kind(f'<xtce:{word}ParameterType name="T_{name}">{encoding}</xtce:{word}ParameterType>', send)


@st.composite
def definitions(draw: Draw) -> Made:
    made = Made()
    simple = [number, number, polynomial, spline, real, states, boolean, octets, time]
    for index in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from([*simple, None]))
        if kind is None:
            add_sized(draw, made, f"f{index}")
        else:
            made.kinds[f"f{index}"] = kind(draw, f"f{index}")
    if rest := -_sent_bits(made) % 8:
        made.kinds["spare"] = Kind(uint("T_spare", rest), any_bits(rest))
    return made


def _sent_bits(made: Made) -> int:
    rng = np.random.default_rng(0)
    return sum(len(kind.bits(rng)) for kind in made.kinds.values())


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(made=definitions(), seed=st.integers(0, 2**32))
def test_all_types_give_the_same_raw_and_calibrated_values(
    definition_class: Any, tmp_path_factory: pytest.TempPathFactory, made: Made, seed: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "generated.xml"
    path.write_text(made.text())
    rng = np.random.default_rng(seed)
    packets = [made.send(rng, n) for n in range(4)]
    xtce = read_xtce(path, {}, path)
    unpacked = ours(xtce, packets)
    assert not unpacked.short.any()
    assert not unpacked.overflow.any()
    theirs = [_parsed(definition_class.from_xtce(path), packet) for packet in packets]
    raw = {name: rows_of(unpacked.columns[name]) for name in made.kinds}
    for name in made.kinds:
        for mine, packet in zip(raw[name], theirs, strict=True):
            assert same(mine, packet[name].raw_value), (name, mine, packet[name].raw_value)
    _compare_calibrated(made, xtce, raw, theirs)


def _parsed(definition: Any, packet: bytes) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return definition.parse_bytes(packet)


MEDDEA = read_definitions(CHECKOUT / "missions").mission("padre").instrument("meddea")
TABLE = next(table for table in MEDDEA.tables if table.name == "meddea_l1_housekeeping")


def _compare_calibrated(made: Made, xtce: Xtce, raw: dict[str, list[Any]], theirs: list[Any]) -> None:
    named = {name: kind.conversion for name, kind in made.kinds.items() if kind.conversion}
    columns = tuple(
        Column(
            name=f"{name}_value",
            type="string" if conversion == "states" else "float64",
            description="A value",
            source=name,
            conversion=conversion,  # type: ignore[arg-type]
            nullable=True,
        )
        for name, conversion in named.items()
    )
    if not columns:
        return
    frame = pl.LazyFrame({name: pl.Series(np.array(raw[name], np.int64)) for name in named})
    table = TABLE.model_copy(update={"columns": columns})
    frame = frame.with_columns(quality_flag=pl.lit(0, pl.Int32))
    values = convert_columns(frame, table, *xtce.calibrations).collect()
    assert values["quality_flag"].to_list() == [0] * len(theirs)
    for name, conversion in named.items():
        for mine, packet in zip(values[f"{name}_value"], theirs, strict=True):
            expected = packet[name]
            if conversion == "states":
                assert mine == (str(bool(expected)) if "Boolean" in made.kinds[name].xml else str(expected))
            else:
                assert mine == pytest.approx(float(expected), rel=1e-12, abs=1e-9), name


# ---- packets of several types ----------------------------------------------------------------------------------------
def polymorphic() -> str:
    """Three levels: an APID, a kind, and for kind 1 a mode; a kind that no one knows stays with its base."""
    modes = '<xtce:Enumeration value="1" label="LOW"/><xtce:Enumeration value="2" label="HIGH"/>'
    kinds = "".join(f'<xtce:Enumeration value="{n}" label="X{n}"/>' for n in (0, 3))
    types = uint("U8", 8) + uint("U16", 16)
    types += (
        '<xtce:EnumeratedParameterType name="Mode"><xtce:IntegerDataEncoding sizeInBits="8"/>'
        f"<xtce:EnumerationList>{modes}{kinds}</xtce:EnumerationList></xtce:EnumeratedParameterType>"
    )
    parameters = parameter("KIND", "U8") + parameter("MODE", "Mode")
    parameters += "".join(parameter(name, "U16") for name in ("A", "B", "C", "D"))
    apid = compare("PKT_APID", 40, ">=") + compare("PKT_APID", 43, "<=")
    return document(
        types,
        parameters,
        container("Base", entry("KIND") + entry("MODE"), criteria=apid)
        + container("One", "", "Base", compare("KIND", 1), abstract=True)
        + container("Low", entry("A"), "One", compare("MODE", "LOW"))
        + container("High", entry("B") + entry("C"), "One", compare("MODE", 2, raw=True))
        + container("Big", entry("D"), "Base", compare("KIND", 100, ">") + compare("PKT_APID", 42, "!=")),
    )


def types_of(packets: tuple[Packet, ...], sent: list[bytes]) -> list[str]:
    """The type of each packet; `none` if it has none."""
    data = np.frombuffer(b"".join(sent), np.uint8)
    lengths = np.array([len(p) for p in sent], np.int64)
    offsets = np.cumsum(lengths) - lengths
    found = ["none"] * len(sent)
    for index, chosen in split(packets, 0, data, offsets, lengths):
        for at in np.flatnonzero(chosen):
            found[at] = "none" if index is None else packets[index].name
    return found


def their_type(definition: Any, packet: bytes) -> str:
    """The container that a packet is of; by which parameter there is."""
    from space_packet_parser.exceptions import UnrecognizedPacketTypeError  # noqa: PLC0415

    try:
        names = set(definition.parse_bytes(packet))
    except UnrecognizedPacketTypeError:
        return "base"  # of kind 1 and an unknown mode: it leaves the packet in the abstract One, we in its base
    return next((name for name, key in (("low", "A"), ("high", "B"), ("big", "D")) if key in names), "base")


def test_each_packet_is_of_the_same_container(definition_class: Any, tmp_path: Path) -> None:
    path = tmp_path / "family.xml"
    path.write_text(polymorphic())
    definition, sent = definition_class.from_xtce(path), []
    for apid, kind, mode in product((40, 42), (0, 1, 2, 100, 101, 255), (0, 1, 2, 3)):
        size = {(1, 1): 2, (1, 2): 4}.get((kind, mode), 2 if kind > 100 and apid != 42 else 0)
        sent.append(build_packet(apid, f"{kind:08b}{mode:08b}" + "0" * 8 * size))
    expected = [their_type(definition, packet) for packet in sent]
    assert types_of(read_xtce(path, {}, path).packets, sent) == expected
    assert set(expected) == {"low", "high", "big", "base"}


# ---- one packet in both formats --------------------------------------------------------------------------------------
def dimension(end: str) -> str:
    start = "<xtce:StartingIndex><xtce:FixedValue>0</xtce:FixedValue></xtce:StartingIndex>"
    return f"<xtce:Dimension>{start}<xtce:EndingIndex>{end}</xtce:EndingIndex></xtce:Dimension>"


def array(name: str, item: str, *ends: str) -> str:
    listed = "".join(dimension(end) for end in ends)
    dimensions = f"<xtce:DimensionList>{listed}</xtce:DimensionList>"
    return f'<xtce:ArrayParameterType name="{name}" arrayTypeRef="{item}">{dimensions}</xtce:ArrayParameterType>\n'


def dynamic(name: str, slope: int, intercept: int) -> str:
    reference = f'<xtce:ParameterInstanceRef parameterRef="{name}"/>'
    adjusted = f'<xtce:LinearAdjustment slope="{slope}" intercept="{intercept}"/>'
    return f"<xtce:DynamicValue>{reference}{adjusted}</xtce:DynamicValue>"


def binary(name: str, size: str) -> str:
    encoding = f"<xtce:BinaryDataEncoding><xtce:SizeInBits>{size}</xtce:SizeInBits></xtce:BinaryDataEncoding>"
    return f'<xtce:BinaryParameterType name="{name}">{encoding}</xtce:BinaryParameterType>\n'


def fixed(count: int) -> str:
    return f"<xtce:FixedValue>{count}</xtce:FixedValue>"


PLAIN_TYPES = "".join(uint(f"U{bits}", bits) for bits in (3, 4, 5, 8, 12, 16, 32))
IN_BOTH: dict[str, tuple[str, str, dict[str, str], Callable[[np.random.Generator, int], str]]] = {
    "fixed": (
        """time_s,uint,32
        small,uint,4
        signed,int,12
        image,"uint(2, 3)",12
        ratio,float,32
        word,str,40""",
        uint("I12", 12).replace("unsigned", "twosComplement")
        + '<xtce:FloatParameterType name="F"><xtce:FloatDataEncoding sizeInBits="32"/></xtce:FloatParameterType>'
        + '<xtce:StringParameterType name="S"><xtce:StringDataEncoding><xtce:SizeInBits><xtce:Fixed>'
        + f"{fixed(40)}</xtce:Fixed></xtce:SizeInBits></xtce:StringDataEncoding></xtce:StringParameterType>"
        + array("Image", "U12", fixed(1), fixed(2)),
        {"time_s": "U32", "small": "U4", "signed": "I12", "image": "Image", "ratio": "F", "word": "S"},
        lambda rng, _: any_bits(8 * 24)(rng),
    ),
    "counted": (
        """n,uint,8
        spectrum,uint(n),12
        m,uint,5
        flags,uint,3
        blob,bytes(m),8
        last,uint,16""",
        array("Spectrum", "U12", dynamic("n", 1, -1)) + binary("Blob", dynamic("m", 8, 0)),
        {"n": "U8", "spectrum": "Spectrum", "m": "U5", "flags": "U3", "blob": "Blob", "last": "U16"},
        lambda rng, n: f"{n * 2:08b}" + any_bits(24 * n)(rng) + f"{n:05b}" + any_bits(3 + 8 * n + 16)(rng),
    ),
    "to the end": (
        """n,uint,8
        blob,bytes(expand),8
        last,uint,16""",
        binary("Blob", dynamic("PKT_LEN", 8, 8 - 24)),
        {"n": "U8", "blob": "Blob", "last": "U16"},
        lambda rng, n: any_bits(8 * (3 + n))(rng),
    ),
}


@pytest.mark.parametrize("name", IN_BOTH)
def test_a_csv_and_an_xtce_file_of_one_packet_give_equal_columns(name: str, tmp_path: Path) -> None:
    rows, types, parameters, body = IN_BOTH[name]
    table, text = tmp_path / "hk.csv", tmp_path / "hk.xml"
    table.write_text("name,data_type,bit_length\n" + rows.replace("        ", ""))
    text.write_text(one_packet(PLAIN_TYPES + types, parameters))
    from_csv = Packet(name="hk", apids=(7,), fields=tuple(f for _, f, _ in read_fields(table)), max_bytes=65_542)
    rng = np.random.default_rng(5)
    sent = [build_packet(7, body(rng, n), n) for n in range(30)]
    lengths = np.array([len(p) for p in sent], np.int64)
    offsets = np.cumsum(lengths) - lengths
    packets = (read_xtce(text, {}, text).packets[0], from_csv)
    mine, other = (unpack(compile_plan(packet), b"".join(sent), offsets, lengths) for packet in packets)
    assert list(mine.columns) == list(other.columns)
    assert not mine.short.any()
    for field_name, column in mine.columns.items():
        expected = other.columns[field_name]
        if isinstance(column, Ragged) and isinstance(expected, Ragged):
            np.testing.assert_array_equal(column.counts, expected.counts)
            np.testing.assert_array_equal(column.values, expected.values)
        else:
            np.testing.assert_array_equal(np.asarray(column), np.asarray(expected))

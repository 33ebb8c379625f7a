# SPDX-License-Identifier: Apache-2.0
"""What an XTCE file defines: layouts, conditions, calibrations, alarms, in any dialect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lake.definition_packets import read_fields
from lake.errors import DefinitionError
from lake.packet_definitions import Condition, Packet, PacketField
from lake.xtce.reading import Xtce, field_line, read_xtce
from tests.xtce import compare, container, document, entry, one_packet, parameter, plain_names, uint

MADE = {f"U{bits}": uint(f"U{bits}", bits) for bits in (1, 3, 4, 7, 8, 12, 16, 32)}
TYPES = "".join(MADE.values())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "box.xml"


def read(path: Path, text: str, entries: dict[str, dict[str, Any]] | None = None) -> Xtce:
    path.write_text(text)
    return read_xtce(path, entries or {}, path.with_name("instrument.yaml"))


def fields(path: Path, types: str, named: dict[str, str]) -> tuple[PacketField, ...]:
    """The fields of a packet of these parameters by the names of their types."""
    return read(path, one_packet(TYPES + types, named)).packets[0].fields


def field(path: Path, kind: str, before: str = "U8") -> PacketField:
    """The field that a type `T` becomes, behind a field `n`."""
    return fields(path, kind.replace("<", "<xtce:").replace("<xtce:/", "</xtce:"), {"n": before, "x": "T"})[1]


def named(kind: str, inside: str, attributes: str = "") -> str:
    return f'<{kind} name="T" {attributes}>{inside}</{kind}>'


# ---- layouts -----------------------------------------------------------------------------------------------------
def test_a_container_is_a_packet_of_the_fields_behind_the_primary_header(path: Path) -> None:
    (packet,) = read(path, one_packet(TYPES, {"A": "U12", "b.C": "U4", "9d": "U32"}, apid=99)).packets
    assert (packet.name, packet.apids, packet.version, packet.max_bytes) == ("hk", (99,), 0, 12)
    assert [(f.name, f.kind, f.bits) for f in packet.fields] == [
        ("a", "uint", 12),
        ("b_c", "uint", 4),
        ("x9d", "uint", 32),
    ]
    assert packet.file == str(path)


@pytest.mark.parametrize("version", ["default", "none"])
def test_names_may_have_a_prefix_a_default_namespace_or_none(path: Path, version: str) -> None:
    text = one_packet(TYPES, {"a": "U16"})
    assert read(path, plain_names(text, version)).packets == read(path, text).packets


def test_xtce_1_3_differs_by_its_namespace_only(path: Path) -> None:
    text = one_packet(TYPES, {"a": "U16"})
    assert read(path, text.replace("20180204", "20250214")).packets == read(path, text).packets


def test_what_1_3_and_common_tools_add_is_read_too(path: Path) -> None:
    text = one_packet(TYPES + uint("S", 16).replace("unsigned", "signed"), {"a": "S"})
    text = text.replace('name="Lab"', 'name="Lab" systemType="asset"')
    told = "><xtce:ShortDescription>What it is</xtce:ShortDescription></xtce:Parameter>"
    text = text.replace('parameterTypeRef="S" shortDescription=""/>', f'parameterTypeRef="S"{told}')
    (found,) = read(path, text).packets[0].fields
    assert (found.kind, found.description) == ("int", "What it is")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            named("IntegerParameterType", '<IntegerDataEncoding sizeInBits="16" encoding="twosComplement"/>'),
            ("int", 16),
        ),
        (named("IntegerParameterType", "<IntegerDataEncoding/>"), ("uint", 8)),
        (named("FloatParameterType", "<FloatDataEncoding/>"), ("float", 32)),
        (named("FloatParameterType", '<FloatDataEncoding sizeInBits="64" encoding="IEEE754"/>'), ("float", 64)),
        (named("FloatParameterType", '<IntegerDataEncoding sizeInBits="24"/>'), ("uint", 24)),
        (named("BooleanParameterType", '<IntegerDataEncoding sizeInBits="8"/>'), ("uint", 8)),
        (
            named(
                "EnumeratedParameterType",
                '<IntegerDataEncoding sizeInBits="8"/><EnumerationList><Enumeration value="1" label="ON"/>'
                "</EnumerationList>",
            ),
            ("uint", 8),
        ),
        (
            named(
                "StringParameterType",
                "<StringDataEncoding><SizeInBits><Fixed><FixedValue>40</FixedValue></Fixed></SizeInBits>"
                "</StringDataEncoding>",
            ),
            ("str", 40),
        ),
        (
            named(
                "BinaryParameterType",
                "<BinaryDataEncoding><SizeInBits><FixedValue>24</FixedValue></SizeInBits></BinaryDataEncoding>",
            ),
            ("bytes", 24),
        ),
        (
            named("AbsoluteTimeParameterType", '<Encoding><IntegerDataEncoding sizeInBits="32"/></Encoding>'),
            ("uint", 32),
        ),
        (
            named(
                "RelativeTimeParameterType",
                '<Encoding units="seconds"><FloatDataEncoding sizeInBits="32"/></Encoding>',
            ),
            ("float", 32),
        ),
    ],
)
def test_each_type_is_a_field_of_its_encoding(path: Path, kind: str, expected: tuple[str, int]) -> None:
    found = field(path, kind)
    assert (found.kind, found.bits) == expected
    assert found.byte_order == "big"


def test_the_least_significant_byte_may_come_first(path: Path) -> None:
    encoding = '<IntegerDataEncoding sizeInBits="24" byteOrder="leastSignificantByteFirst"/>'
    assert field(path, named("IntegerParameterType", encoding)).byte_order == "little"


DIMENSION = (
    "<Dimension><StartingIndex><FixedValue>{}</FixedValue></StartingIndex><EndingIndex>{}</EndingIndex></Dimension>"
)
FIXED = "<FixedValue>{}</FixedValue>"
DYNAMIC = '<DynamicValue><ParameterInstanceRef parameterRef="{}"/>{}</DynamicValue>'


def array(*ends: tuple[int, str]) -> str:
    listed = "".join(DIMENSION.format(*end) for end in ends)
    return named("ArrayParameterType", f"<DimensionList>{listed}</DimensionList>", 'arrayTypeRef="U12"')


def test_dimensions_count_from_their_first_index_to_their_last(path: Path) -> None:
    found = field(path, array((0, FIXED.format(33)), (1, FIXED.format(2))))
    assert (found.bits, found.shape) == (12, (34, 2))


def test_an_array_of_one_item_is_that_item(path: Path) -> None:
    found = field(path, array((3, FIXED.format(3)), (0, FIXED.format(1)), (7, FIXED.format(7))))
    assert (found.bits, found.shape) == (12, (2,))


def test_an_array_may_have_as_many_items_as_a_field_says(path: Path) -> None:
    plain = field(path, array((1, DYNAMIC.format("n", ""))), before="U8")
    assert (plain.length_field, plain.length_bits) == ("n", None)
    last = field(path, array((0, DYNAMIC.format("n", '<LinearAdjustment slope="2"/>'))))
    assert (last.length_field, last.length_bits) == ("n", (24, 12))  # items 0 to 2 n, of 12 bits


def test_the_entry_of_an_array_may_give_its_dimensions_as_1_1_does(path: Path) -> None:
    kind = '<xtce:ArrayParameterType name="T" arrayTypeRef="U8" numberOfDimensions="1"/>'
    listed = f"<DimensionList>{DIMENSION.format(0, FIXED.format(4))}</DimensionList>"
    inside = listed.replace("<", "<xtce:").replace("<xtce:/", "</xtce:")
    entries = f'<xtce:ArrayParameterRefEntry parameterRef="x">{inside}</xtce:ArrayParameterRefEntry>'
    hk = container("HK", entries, criteria=compare("PKT_APID", 7))
    (found,) = read(path, document(TYPES + kind, parameter("x", "T"), hk)).packets[0].fields
    assert found.shape == (5,)


def test_an_aggregate_is_its_members_one_behind_the_other(path: Path) -> None:
    member = '<xtce:Member name="{}" typeRef="{}" shortDescription="The {}"/>'
    members = [("Version", "U3"), ("Type", "U1"), ("Flag", "U1"), ("APID", "U11")]
    types = TYPES + uint("U11", 11) + uint("T", 16)
    for name, listed in (("Id", members), ("Pair", [("x", "U8"), ("y", "T")]), ("Two", [("a", "Pair"), ("b", "U8")])):
        inside = "".join(member.format(m, kind, m) for m, kind in listed)
        types += f'<xtce:AggregateParameterType name="{name}"><xtce:MemberList>{inside}</xtce:MemberList>'
        types += "</xtce:AggregateParameterType>\n"
    parameters = "".join(parameter(*p) for p in (("ID", "Id"), ("SEQ", "U16"), ("LEN", "U16"), ("V", "Two")))
    root = container("Root", entry("ID") + entry("SEQ") + entry("LEN"), None, abstract=True)
    criteria = compare("ID/APID", 9) + compare("ID.Flag", 1) + compare("/Lab/V/a/x", 3)
    packets = read(path, document(types, parameters, root + container("A", entry("V"), "Root", criteria))).packets
    assert [(p.apids, p.secondary_header) for p in packets] == [((9,), 1)]
    assert [(f.name, f.bits, f.description) for f in packets[0].fields] == [
        ("v_a_x", 8, "The x"),
        ("v_a_y", 16, "The y"),
        ("v_b", 8, "The b"),
    ]
    assert packets[0].when == (Condition(field="v_a_x", value=3),)


def test_an_entry_may_be_repeated(path: Path) -> None:
    for count, expected in ((FIXED.format(5), ((5,), None)), (DYNAMIC.format("n", ""), ((), "n"))):
        repeat = f"<RepeatEntry><Count>{count}</Count></RepeatEntry>".replace("<", "<xtce:").replace(
            "<xtce:/", "</xtce:"
        )
        entries = entry("n") + entry("x", repeat)
        parameters = parameter("n", "U8") + parameter("x", "U16")
        text = document(TYPES, parameters, container("HK", entries, criteria=compare("PKT_APID", 7)))
        found = read(path, text).packets[0].fields[1]
        assert (found.shape, found.length_field) == expected


def binary(value: str, kind: str = "Binary") -> str:
    size = (
        f"<SizeInBits>{value}</SizeInBits>" if kind == "Binary" else f'<Variable maxSizeInBits="64">{value}</Variable>'
    )
    return named(f"{kind}ParameterType", f"<{kind}DataEncoding>{size}</{kind}DataEncoding>")


def test_bytes_and_texts_may_be_as_long_as_a_field_says(path: Path) -> None:
    in_bits = field(path, binary(DYNAMIC.format("n", "")))
    assert (in_bits.kind, in_bits.bits, in_bits.length_field, in_bits.length_bits) == ("bytes", 8, "n", (1, 0))
    in_bytes = field(path, binary(DYNAMIC.format("n", '<LinearAdjustment slope="8"/>'), "String"))
    assert (in_bytes.kind, in_bytes.bits, in_bytes.length_field, in_bytes.length_bits) == ("str", 8, "n", None)
    less_header = field(path, binary(DYNAMIC.format("n", '<LinearAdjustment slope="8" intercept="-16"/>')))
    assert less_header.length_bits == (8, -16)


@pytest.mark.parametrize(("intercept", "rest"), [(0, []), (-16, [16])])
def test_a_size_from_the_packet_length_takes_what_the_other_fields_leave(
    path: Path, intercept: int, rest: list[int]
) -> None:
    size = DYNAMIC.format("PKT_LEN", f'<LinearAdjustment slope="8" intercept="{intercept}"/>')
    kind = binary(size).replace("<", "<xtce:").replace("<xtce:/", "</xtce:")
    found = fields(path, kind, {"n": "U4", "x": "T", "m": "U4"})  # a byte of others: length + 1 bytes less that one
    assert [f.expand for f in found] == [False, True, False, *(False for _ in rest)]
    assert [f.shape[0] for f in found[3:]] == rest


def test_entries_may_begin_behind_a_gap(path: Path) -> None:
    place = '<xtce:LocationInContainerInBits referenceLocation="{}"><xtce:FixedValue>{}</xtce:FixedValue></xtce:{}>'
    entries = (
        entry("a")
        + entry("b", place.format("previousEntry", 3, "LocationInContainerInBits"))
        + entry("c", place.format("containerStart", 72, "LocationInContainerInBits"))
    )
    parameters = parameter("a", "U1") + parameter("b", "U4") + parameter("c", "U8")
    text = document(TYPES, parameters, container("HK", entries, criteria=compare("PKT_APID", 7)))
    found = read(path, text).packets[0].fields
    assert [(f.name, f.kind, f.items) for f in found] == [
        ("a", "uint", 1),
        ("gap_49", "fill", 3),
        ("b", "uint", 1),
        ("gap_56", "fill", 16),
        ("c", "uint", 1),
    ]


def test_a_container_may_include_another_one(path: Path) -> None:
    parameters = parameter("sec", "U32") + parameter("a", "U8")
    include = '<xtce:ContainerRefEntry containerRef="Time"/>\n'
    containers = container("HK", include + entry("a"), criteria=compare("PKT_APID", 7)) + container(
        "Time", entry("sec"), None
    )
    assert [f.name for f in read(path, document(TYPES, parameters, containers)).packets[0].fields] == ["sec", "a"]


def test_what_a_nested_system_lacks_is_looked_up_around_it_or_by_its_path(path: Path) -> None:
    inner = (
        '<xtce:SpaceSystem name="Box"><xtce:TelemetryMetaData><xtce:ParameterTypeSet>'
        + uint("U8", 8, attributes='byteOrder="mostSignificantByteFirst"').replace('"8"', '"16"')
        + "</xtce:ParameterTypeSet><xtce:ParameterSet>"
        + parameter("near", "U8")
        + parameter("far", "/Lab/U8")
        + parameter("up", "../U32")
        + "</xtce:ParameterSet><xtce:ContainerSet>"
        + container("HK", entry("near") + entry("far") + entry("up"), criteria=compare("PKT_APID", 7))
        + "</xtce:ContainerSet></xtce:TelemetryMetaData></xtce:SpaceSystem></xtce:SpaceSystem>"
    )
    text = document(TYPES, "", "").replace("</xtce:SpaceSystem>", inner)
    assert [f.bits for f in read(path, text).packets[0].fields] == [16, 8, 32]


def test_descriptions_units_and_valid_ranges_come_along(path: Path) -> None:
    outside = (
        "<xtce:LongDescription>Voltage\n of the bus</xtce:LongDescription><xtce:UnitSet><xtce:Unit>V</xtce:Unit>"
        '<xtce:Unit power="-1">s</xtce:Unit></xtce:UnitSet><xtce:ValidRange maxInclusive="200"/>'
    )
    found = fields(path, uint("T", 16, outside=outside), {"x": "T"})[0]
    assert (found.description, found.unit, found.valid_min, found.valid_max) == ("Voltage of the bus", "V s-1", 0, 200)


# ---- which packet it is ------------------------------------------------------------------------------------------
def family(path: Path, *containers: str, entries: dict[str, dict[str, Any]] | None = None) -> tuple[Packet, ...]:
    states = (
        '<xtce:EnumeratedParameterType name="Mode"><xtce:IntegerDataEncoding sizeInBits="8"/><xtce:EnumerationList>'
        '<xtce:Enumeration value="3" label="SAFE"/><xtce:Enumeration value="4" maxValue="9" label="SCIENCE"/>'
        '</xtce:EnumerationList></xtce:EnumeratedParameterType><xtce:BooleanParameterType name="Flag">'
        '<xtce:IntegerDataEncoding sizeInBits="8"/></xtce:BooleanParameterType>'
    )
    parameters = parameter("kind", "U8") + parameter("mode", "Mode") + parameter("flag", "Flag")
    parameters += "".join(parameter(name, "U16") for name in "abcd")
    return read(path, document(TYPES + states, parameters, "".join(containers)), entries).packets


def test_restrictions_on_the_header_give_apids_version_and_secondary_header(path: Path) -> None:
    criteria = compare("PKT_APID", 100, ">=") + compare("PKT_APID", 103, "<") + compare("PKT_APID", 101, "!=")
    criteria += compare("VERSION", 5) + compare("SEC_HDR_FLG", 1) + compare("SEQ_FLGS", 3)
    (packet,) = family(path, container("A", entry("a"), criteria=criteria))
    assert (packet.apids, packet.version, packet.secondary_header) == ((100, 102), 5, 1)
    assert packet.when == (Condition(field="sequence_flags", value=3),)


def test_a_flag_that_nothing_restricts_may_be_either(path: Path) -> None:
    (packet,) = family(path, container("A", entry("a"), criteria=compare("PKT_APID", 100)))
    assert packet.secondary_header is None
    assert packet.first_words == (100, 0x800 | 100)


def test_a_header_parameter_may_cover_several_header_fields(path: Path) -> None:
    header = "".join(parameter(name, f"U{bits}") for name, bits in (("ID", 16), ("SEQ", 16), ("LEN", 16)))
    root = container("Root", entry("ID") + entry("SEQ") + entry("LEN"), None, abstract=True)
    packets = container("A", entry("a"), "Root", compare("ID", "0x0864"))
    (packet,) = read(path, document(TYPES, header + parameter("a", "U16"), root + packets)).packets
    assert (packet.apids, packet.version, packet.secondary_header) == ((0x64,), 0, 1)


def test_restrictions_on_fields_are_conditions_inherited_ones_too(path: Path) -> None:
    base = container("Base", entry("kind") + entry("mode"), criteria=compare("PKT_APID", 5), abstract=True)
    middle = container("Middle", entry("flag"), "Base", compare("mode", "SCIENCE"), abstract=True)
    leaf = container("Leaf", entry("a"), "Middle", compare("flag", "True") + compare("kind", 2, "!="))
    (packet,) = family(path, leaf, middle, base)
    assert [f.name for f in packet.fields] == ["kind", "mode", "flag", "a"]
    assert [(c.field, c.operator, c.value) for c in packet.when] == [
        ("mode", ">=", 4),
        ("mode", "<=", 9),
        ("flag", ">=", 1),
        ("flag", "<=", 255),
        ("kind", "!=", 2),
    ]


def test_raw_values_of_an_enumeration_can_be_compared(path: Path) -> None:
    base = container("Base", entry("mode"), criteria=compare("PKT_APID", 5), abstract=True)
    (packet,) = family(path, base, container("Leaf", entry("a"), "Base", compare("mode", 77, raw=True)))
    assert packet.when == (Condition(field="mode", value=77),)


def test_a_boolean_expression_of_conditions_that_all_must_hold(path: Path) -> None:
    condition = (
        '<xtce:Condition><xtce:ParameterInstanceRef parameterRef="{}"/><xtce:ComparisonOperator>{}'
        "</xtce:ComparisonOperator><xtce:Value>{}</xtce:Value></xtce:Condition>"
    )
    both = condition.format("PKT_APID", "==", 9) + condition.format("kind", "&gt;", 3)
    expression = f"<xtce:BooleanExpression><xtce:ANDedConditions>{both}</xtce:ANDedConditions></xtce:BooleanExpression>"
    listed = f"<xtce:ComparisonList>{compare('kind', 0)}</xtce:ComparisonList>"
    text = container("A", entry("kind"), criteria=compare("kind", 0)).replace(listed, expression)
    (packet,) = family(path, text)
    assert (packet.apids, packet.when) == ((9,), (Condition(field="kind", operator=">", value=3),))


def test_containers_that_inherit_come_before_their_base_which_takes_the_rest(path: Path) -> None:
    base = container("Base", entry("kind"), criteria=compare("PKT_APID", 5))
    packets = family(
        path,
        base,
        container("One", entry("a"), "Base", compare("kind", 1)),
        container("Two", entry("b"), "Base", compare("kind", 2)),
    )
    assert [packet.name for packet in packets] == ["one", "two", "base"]
    assert packets[2].when == (Condition(field="apid", operator=">=", value=0),)  # any packet


def test_a_base_keeps_the_apids_that_those_who_inherit_leave_it(path: Path) -> None:
    base = container("Base", entry("kind"), criteria=compare("PKT_APID", 5, ">=") + compare("PKT_APID", 8, "<="))
    packets = family(path, base, container("One", entry("a"), "Base", compare("PKT_APID", 6)))
    assert {packet.name: packet.apids for packet in packets} == {"one": (6,), "base": (5, 7, 8)}
    base = container("Base", entry("kind"), criteria=compare("PKT_APID", 5))
    packets = family(path, base, container("One", entry("a"), "Base", compare("SEC_HDR_FLG", 1)))
    assert {packet.name: packet.secondary_header for packet in packets} == {"one": 1, "base": 0}


def test_instrument_yaml_adds_what_xtce_cannot_say(path: Path) -> None:
    entries = {"a": {"apids": [3, 4], "checksum": "xor16", "identity": ["a"], "cadence_seconds": 1.0}}
    (packet,) = family(path, container("A", entry("a")), entries=entries)
    assert (packet.apids, packet.checksum, packet.identity) == ((3, 4), "xor16", ("a",))


def test_the_line_of_a_field_is_that_of_its_parameter_whatever_its_letters(path: Path) -> None:
    path.write_text(one_packet(TYPES, {"A": "U8", "3V3-Rail": "U8"}))
    line = path.read_text().partition('name="3V3-Rail"')[0].count("\n") + 1
    assert field_line(path, "x3v3_rail") == line


# ---- with a CSV ----------------------------------------------------------------------------------------------------
def test_the_same_packet_in_a_csv_has_the_same_fields(path: Path) -> None:
    rows = ["name,data_type,bit_length,description", "a,uint,12,First", "b,uint,4,Second", "c,uint,32,Third"]
    table = path.with_suffix(".csv")
    table.write_text("\n".join(rows))
    parameters = "".join(
        parameter(n, k, d) for n, k, d in (("A", "U12", "First"), ("B", "U4", "Second"), ("C", "U32", "Third"))
    )
    hk = container("HK", entry("A") + entry("B") + entry("C"), criteria=compare("PKT_APID", 7))
    assert read(path, document(TYPES, parameters, hk)).packets[0].fields == tuple(f for _, f, _ in read_fields(table))


def test_a_file_that_is_no_xml_names_its_line(path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"box\.xml line 3: mismatched tag"):
        read(path, '<SpaceSystem name="x">\n<Header>\n</Footer></SpaceSystem>')

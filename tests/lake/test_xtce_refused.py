# SPDX-License-Identifier: Apache-2.0
"""What an XTCE file says and cannot be decoded, or is wrong, is one line with the file, the line and the element."""
# ruff: noqa: E501  one mistake to a line

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from lake.errors import DefinitionError
from lake.xtce.elements import DEEPEST
from lake.xtce.reading import read_xtce
from tests.xtce import compare, container, document, entry, parameter, uint

GOOD = document(
    uint("U8", 8, outside="\n")
    + uint("U4", 4)
    + uint(
        "Volts",
        16,
        "\n<xtce:DefaultCalibrator><xtce:PolynomialCalibrator>\n<xtce:Term coefficient='2' exponent='1'/>\n"
        "</xtce:PolynomialCalibrator></xtce:DefaultCalibrator>",
    )
    + "<xtce:EnumeratedParameterType name='State'><xtce:IntegerDataEncoding sizeInBits='8'/>\n<xtce:EnumerationList>"
    "<xtce:Enumeration value='1' label='ON'/></xtce:EnumerationList></xtce:EnumeratedParameterType>\n"
    "<xtce:BinaryParameterType name='Rest'><xtce:BinaryDataEncoding><xtce:SizeInBits>\n"
    "<xtce:DynamicValue><xtce:ParameterInstanceRef parameterRef='n'/><xtce:LinearAdjustment slope='8'/></xtce:DynamicValue>\n"
    "</xtce:SizeInBits></xtce:BinaryDataEncoding></xtce:BinaryParameterType>\n"
    "<xtce:ArrayParameterType name='Many' arrayTypeRef='U8'><xtce:DimensionList><xtce:Dimension>"
    "<xtce:StartingIndex><xtce:FixedValue>0</xtce:FixedValue></xtce:StartingIndex>"
    "<xtce:EndingIndex><xtce:FixedValue>3</xtce:FixedValue></xtce:EndingIndex></xtce:Dimension></xtce:DimensionList></xtce:ArrayParameterType>\n",
    "".join(
        parameter(name, kind)
        for name, kind in (("n", "U8"), ("volts", "Volts"), ("state", "State"), ("rest", "Rest"), ("many", "Many"))
    ),
    container("Base", entry("n") + entry("state"), criteria=compare("PKT_APID", 7), abstract=True)
    + container("HK", entry("volts") + entry("many") + entry("rest"), "Base", compare("state", "ON")),
)


def complaint(path: Path, text: str, entries: dict[str, dict[str, Any]] | None = None) -> str:
    path.write_text(text)
    with pytest.raises(DefinitionError) as caught:
        read_xtce(path, entries or {}, path.with_name("instrument.yaml"))
    message = str(caught.value)
    assert "\n" not in message
    return message


def changed(old: str, new: str) -> tuple[str, int]:
    """The good file with one thing in it changed, and the line where that is."""
    assert GOOD.count(old) >= 1, old
    return GOOD.replace(old, new, 1), GOOD[: GOOD.index(old)].count("\n") + 1


def test_the_file_that_is_changed_here_is_good(tmp_path: Path) -> None:
    path = tmp_path / "box.xml"
    path.write_text(GOOD)
    assert [packet.name for packet in read_xtce(path, {}, path).packets] == ["hk"]


UNSUPPORTED = [
    # An element or attribute that could change what was sent, or what it means.
    ('"unsigned" >\n<xtce:Def', '"BCD" >\n<xtce:Def', "IntegerDataEncoding", "encoding BCD is not supported"),
    ('"unsigned" >\n<xtce:Def', '"onesComplement" >\n<xtce:Def', "IntegerDataEncoding", "encoding onesComplement"),
    ('"unsigned" >\n<xtce:Def', '"signMagnitude" >\n<xtce:Def', "IntegerDataEncoding", "encoding signMagnitude"),
    ('"unsigned" >\n<xtce:Def', '"unsigned" byteOrder="1,0">\n<xtce:Def', "IntegerDataEncoding", "byteOrder 1,0"),
    ('"unsigned" >\n<xtce:Def', '"unsigned" bitOrder="leastSignificantBitFirst">\n<xtce:Def', "IntegerDataEncoding", "bitOrder"),
    ('"unsigned" >\n<xtce:Def', '"unsigned" packing="tight">\n<xtce:Def', "IntegerDataEncoding", "its attribute packing is not supported"),
    ('sizeInBits="16" encoding', 'sizeInBits="65" encoding', "IntegerDataEncoding", "an integer of 65 bits"),
    ('sizeInBits="4" encoding="unsigned"', 'sizeInBits="4" byteOrder="leastSignificantByteFirst"', "IntegerDataEncoding", "whole bytes, not 4 bits"),
    ("<xtce:PolynomialCalibrator>", "<xtce:MathOperationCalibrator>", "MathOperationCalibrator", "is not supported in DefaultCalibrator"),
    ("<xtce:DefaultCalibrator>", "<xtce:ContextCalibratorList/><xtce:DefaultCalibrator>", "ContextCalibratorList", "is not supported"),
    ("exponent='1'", "exponent='-1'", "Term", "exponent -1 is not between 0 and 20"),
    ("exponent='1'", "exponent='1.5'", "Term", "exponent '1.5' is no whole number"),
    ("coefficient='2'", "coefficient='nan'", "Term", "coefficient 'nan' is no number"),
    ("<xtce:SizeInBits>\n", "<xtce:FromBinaryTransformAlgorithm/><xtce:SizeInBits>\n", "FromBinaryTransformAlgorithm", "is not supported"),
    ("<xtce:LinearAdjustment slope='8'/>", "<xtce:LinearAdjustment slope='0.5'/>", "LinearAdjustment", "no small whole numbers"),
    ("<xtce:LinearAdjustment slope='8'/>", "<xtce:LinearAdjustment/>", "LinearAdjustment", "has no attribute slope"),
    ("parameterRef='n'/>", "parameterRef='n' instance='-1'/>", "ParameterInstanceRef", "another instance than 0"),
    ("parameterRef='n'/>", "parameterRef='volts'/>", "ParameterInstanceRef", "a calibrated length is not supported"),
    ("parameterRef='n'/>", "parameterRef='PKT_APID'/>", "ParameterInstanceRef", "cannot come from that header field"),
    ("parameterRef='n'/>", "parameterRef='many'/>", "ParameterInstanceRef", "no single whole number"),
    ("parameterRef='n'/>", "parameterRef='PKT_LEN'/>", "ParameterInstanceRef", "intercept 0 the fields end behind the packet"),
    ("<xtce:SequenceContainer name=\"HK\"", "<xtce:SequenceContainer name=\"HK\" order=\"1\"", "SequenceContainer HK", "its attribute order"),
    ('parameterRef="volts"></xtce', 'parameterRef="volts"><xtce:IncludeCondition/></xtce', "IncludeCondition", "is not supported in ParameterRefEntry"),
    ('parameterRef="many"></xtce', 'parameterRef="many"><xtce:RepeatEntry><xtce:Count><xtce:FixedValue>2</xtce:FixedValue></xtce:Count></xtce:RepeatEntry></xtce', "RepeatEntry", "only single values"),
    ('parameterRef="volts"></xtce', 'parameterRef="volts"><xtce:RepeatEntry><xtce:Count><xtce:FixedValue>2</xtce:FixedValue></xtce:Count><xtce:Offset/></xtce:RepeatEntry></xtce', "Offset", "is not supported in RepeatEntry"),
    ('parameterRef="volts"></xtce', 'parameterRef="volts"><xtce:LocationInContainerInBits><xtce:FixedValue>-8</xtce:FixedValue></xtce:LocationInContainerInBits></xtce', "LocationInContainerInBits", "before the one before it ends"),
    ('parameterRef="volts"></xtce', 'parameterRef="volts"><xtce:LocationInContainerInBits referenceLocation="containerEnd"><xtce:FixedValue>8</xtce:FixedValue></xtce:LocationInContainerInBits></xtce', "LocationInContainerInBits", "referenceLocation containerEnd"),
    ('<xtce:ParameterRefEntry parameterRef="volts">', '<xtce:ArrayParameterRefEntry parameterRef="volts"/><xtce:ParameterRefEntry parameterRef="n">', "ArrayParameterRefEntry", "the parameter is no array"),
    ("arrayTypeRef='U8'", "arrayTypeRef='U8' numberOfDimensions='2'", "DimensionList", "has 1 dimensions"),
    ("arrayTypeRef='U8'", "arrayTypeRef='Many'", "ArrayParameterType Many", "an array of arrays"),
    ("<xtce:ContainerSet>", "<xtce:StreamSet/><xtce:ContainerSet>", "StreamSet", "is not supported in TelemetryMetaData"),
    ("<xtce:ContainerSet>", "<xtce:AlgorithmSet/><xtce:ContainerSet>", "AlgorithmSet", "is not supported in TelemetryMetaData"),
    ("<xtce:BinaryParameterType name", "<xtce:FunnyParameterType name='A'/><xtce:BinaryParameterType name", "FunnyParameterType A", "is not supported in ParameterTypeSet"),
    ("<xtce:BinaryParameterType name", "<other:Thing xmlns:other='urn:x' name='A'/><xtce:BinaryParameterType name", "urn:x:Thing A", "is not supported"),
    ("<xtce:BinaryParameterType name", "<xtce:FloatParameterType name='F'><xtce:FloatDataEncoding encoding='MILSTD_1750A'/></xtce:FloatParameterType><xtce:BinaryParameterType name", "FloatDataEncoding", "encoding MILSTD_1750A"),
    ("<xtce:BinaryParameterType name", "<xtce:FloatParameterType name='F'><xtce:FloatDataEncoding sizeInBits='16'/></xtce:FloatParameterType><xtce:BinaryParameterType name", "FloatDataEncoding", "a float of 16 bits"),
    ("<xtce:BinaryParameterType name", "<xtce:StringParameterType name='S'><xtce:StringDataEncoding encoding='UTF-16'><xtce:SizeInBits><xtce:Fixed><xtce:FixedValue>16</xtce:FixedValue></xtce:Fixed></xtce:SizeInBits></xtce:StringDataEncoding></xtce:StringParameterType><xtce:BinaryParameterType name", "StringDataEncoding", "encoding UTF-16"),
    ("<xtce:BinaryParameterType name", "<xtce:StringParameterType name='S'><xtce:StringDataEncoding><xtce:SizeInBits><xtce:Fixed><xtce:FixedValue>16</xtce:FixedValue></xtce:Fixed><xtce:TerminationChar>00</xtce:TerminationChar></xtce:SizeInBits></xtce:StringDataEncoding></xtce:StringParameterType><xtce:BinaryParameterType name", "TerminationChar", "is not supported in SizeInBits"),
    ("<xtce:BinaryParameterType name", "<xtce:BooleanParameterType name='B'><xtce:IntegerDataEncoding sizeInBits='16'/></xtce:BooleanParameterType><xtce:BinaryParameterType name", "BooleanParameterType B", "at most 8 bits"),
    ("<xtce:BinaryParameterType name", "<xtce:IntegerParameterType name='I'><xtce:StringDataEncoding/></xtce:IntegerParameterType><xtce:BinaryParameterType name", "StringDataEncoding", "is not supported in IntegerParameterType"),
    ('name="U8">', 'name="U8"><xtce:DefaultAlarm><xtce:CustomAlarm/></xtce:DefaultAlarm>', "CustomAlarm", "is not supported in DefaultAlarm"),
    ('name="U8">', 'name="U8"><xtce:DefaultAlarm minConformance="3"><xtce:StaticAlarmRanges/></xtce:DefaultAlarm>', "DefaultAlarm", "ends after several samples"),
    ('name="U8">', 'name="U8"><xtce:DefaultAlarm minViolations="0"><xtce:StaticAlarmRanges/></xtce:DefaultAlarm>', "DefaultAlarm", "minViolations 0 is not 1 or more"),
    ('name="U8">', 'name="U8"><xtce:DefaultAlarm><xtce:StaticAlarmRanges/></xtce:DefaultAlarm>', "StaticAlarmRanges", "has no range"),
    ('name="U8">', 'name="U8"><xtce:DefaultAlarm><xtce:StaticAlarmRanges><xtce:WatchRange maxInclusive="2"/><xtce:WarningRange minInclusive="3"/></xtce:StaticAlarmRanges></xtce:DefaultAlarm>', "WarningRange", "has nothing in common with WatchRange"),
    ('name="U8">', 'name="U8"><xtce:ContextAlarmList><xtce:ContextAlarm><xtce:StaticAlarmRanges/></xtce:ContextAlarm></xtce:ContextAlarmList>', "ContextAlarm", "has no ContextMatch"),
    ('name="U8">', 'name="U8"><xtce:ContextAlarmList><xtce:ContextAlarm><xtce:ContextMatch><xtce:CustomAlgorithm/></xtce:ContextMatch></xtce:ContextAlarm></xtce:ContextAlarmList>', "CustomAlgorithm", "is not supported in ContextMatch"),
    ('name="U8">', 'name="U8"><xtce:DefaultAlarm><xtce:StaticAlarmRanges rangeForm="inside"/></xtce:DefaultAlarm>', "StaticAlarmRanges", "rangeForm inside"),
    ('name="U8">', 'name="U8"><xtce:DefaultAlarm><xtce:StaticAlarmRanges><xtce:WarningRange minInclusive="3" maxInclusive="2"/></xtce:StaticAlarmRanges></xtce:DefaultAlarm>', "WarningRange", "its lower end 3 > its upper end 2"),
    ("<xtce:BinaryParameterType name", "<xtce:BooleanParameterType name='B' oneStringValue='X' zeroStringValue='X'><xtce:IntegerDataEncoding sizeInBits='8'/></xtce:BooleanParameterType><xtce:BinaryParameterType name", "BooleanParameterType B", "zero and one have the same label 'X'"),
    ("<xtce:BinaryParameterType name", "<xtce:BooleanParameterType name='B' oneStringValue='X' zeroStringValue=''><xtce:IntegerDataEncoding sizeInBits='8'/></xtce:BooleanParameterType><xtce:BinaryParameterType name", "BooleanParameterType B", "zeroStringValue '' is empty"),
    ("<xtce:BinaryParameterType name", "<xtce:StringParameterType name='W'><xtce:StringDataEncoding><xtce:Variable maxSizeInBits='64'><xtce:DynamicValue><xtce:ParameterInstanceRef parameterRef='n'/></xtce:DynamicValue></xtce:Variable></xtce:StringDataEncoding></xtce:StringParameterType><xtce:ArrayParameterType name='Words' arrayTypeRef='W' numberOfDimensions='2'/><xtce:BinaryParameterType name", "ArrayParameterType Words", "items of variable size cannot be repeated"),
    ('sizeInBits="16" encoding', f'sizeInBits="{"9" * 5000}" encoding', "IntegerDataEncoding", "is no whole number"),
    ('name="U8">', 'name="U8"><xtce:DefaultAlarm><xtce:StaticAlarmRanges><xtce:WarningRange minExclusive="1.7976931348623157e308"/></xtce:StaticAlarmRanges></xtce:DefaultAlarm>', "WarningRange", "no number lies beyond minExclusive"),
    ('name="U8">', 'name="U8"><xtce:ValidRange minInclusive="300" maxInclusive="400"/>', "ValidRange", "no value of 8 bits lies in it"),
    ('name="U8">', 'name="U8"><xtce:UnitSet><xtce:Unit factor="1000">V</xtce:Unit></xtce:UnitSet>', "Unit", "a factor is not supported"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "element", "problem"), UNSUPPORTED, ids=[f"{n} {row[2]}" for n, row in enumerate(UNSUPPORTED)]
)
def test_what_is_not_supported_is_refused_by_name_and_line(
    tmp_path: Path, old: str, new: str, element: str, problem: str
) -> None:
    text, line = changed(old, new)
    if "xtce:PolynomialCalibrator" in old:
        text = text.replace("</xtce:PolynomialCalibrator>", "</xtce:MathOperationCalibrator>")
    message = complaint(tmp_path / "box.xml", text)
    assert message.startswith(f"{tmp_path / 'box.xml'} line {line} ({element}): "), message
    assert problem in message


WRONG = [
    # A file that contradicts itself; the line is that of the fourth text, or where the changed text stands.
    ('parameterTypeRef="U8"', 'parameterTypeRef="U88"', "there is no parameter type U88. Define it", ""),
    ('parameterRef="volts"></xtce', 'parameterRef="amps"></xtce', "there is no parameter amps. Define it", ""),
    ('containerRef="Base"', 'containerRef="Bose"', "there is no container Bose. Define it", ""),
    ('arrayTypeRef=\'U8\'', "arrayTypeRef='U9'", "there is no parameter type U9. Define it", ""),
    ('<xtce:Parameter name="many"', '<xtce:Parameter name="volts"', "the name is there twice", ""),
    ("name='Many'", "name='Rest'", "the name is there twice", ""),
    ('name="HK"', 'name="Base"', "the name is there twice", ""),
    ('parameterRef="many"></xtce', 'parameterRef="n"></xtce', "there is a field n before it in the packet", ""),
    ('containerRef="CCSDSPacket"', 'containerRef="HK"', "inherits from itself", 'name="Base"'),
    ("value='1' label='ON'/>", "value='1' label='ON'/><xtce:Enumeration value='1' label='X'/>", "value 1 has a label already", ""),
    ("value='1' label='ON'/>", "value='99999999999999999999' label='ON'/>", "is no number of 64 bits", ""),
    ("value='1' label='ON'/>", "value='5' maxValue='2' label='ON'/>", "value 5 > maxValue 2", ""),
    ("value='1' label='ON'/>", "value='1' maxValue='99999999999' label='ON'/>", "calibrations have more than 100000 rows", "name='State'"),
    ("value='1' label='ON'/>", "value='0' maxValue='9' label='ON'/><xtce:Enumeration value='9' label='X'/>", "value 9 has a label already", ""),
    ("label='ON'", "label=' ON'", "label ' ON' is empty, or has spaces around it", ""),
    ("label='ON'", "label=''", "label '' is empty", ""),
    ("<xtce:Enumeration value='1' label='ON'/>", "", "its EnumerationList is empty", "name='State'"),
    ('value="ON"', 'value="OFF"', "state has no label 'OFF'", ""),
    ('value="7"', 'value="seven"', "the value 'seven' is no whole number", ""),
    ('value="7"', 'value="3000"', "no apid is left that meets this", ""),
    ('value="7"', f'value="{"9" * 5000}"', "the value '9999999999999999999999999999999999999999' is no whole number", ""),
    ('parameterRef="PKT_APID" value="7"', 'parameterRef="SEQ_FLGS" value="4"', "no sequence_flags is left that meets this", ""),
    ('parameterRef="state" value="ON" comparisonOperator="=="', 'parameterRef="n" value="256" comparisonOperator="=="', "no n is left that meets this and the other", ""),
    ('parameterRef="state" value="ON" comparisonOperator="=="', 'parameterRef="n" value="0" comparisonOperator="&lt;"', "no n is left that meets this and the other", ""),
    ('parameterRef="PKT_APID" value="7"', 'parameterRef="PKT_LEN" value="7"', "a restriction on the packet length", ""),
    ('parameterRef="PKT_APID" value="7"', 'parameterRef="TYPE" value="1"', "no restriction tells its APID", 'name="HK"'),
    ('comparisonOperator="=="', 'comparisonOperator="~"', "the operator '~' is none of", ""),
    ("<xtce:FixedValue>3</xtce:FixedValue>", "<xtce:FixedValue>-1</xtce:FixedValue>", "0 items are too few", ""),
    ("<xtce:FixedValue>3</xtce:FixedValue>", "<xtce:FixedValue>900000</xtce:FixedValue>", "more than a packet", 'Entry parameterRef="many"'),
    ('16" encoding="unsigned" >\n<xtce:Def', '15" encoding="unsigned" >\n<xtce:Def', "no whole bytes", 'name="HK"'),
    ('parameterTypeRef="U11_header"', 'parameterTypeRef="U14_header"', "is no field of the CCSDS primary header", 'Entry parameterRef="PKT_APID"'),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "problem", "at"), WRONG)
def test_what_is_wrong_in_itself_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, problem: str, at: str
) -> None:
    text, _ = changed(old, new)
    _, line = changed(at or old, "")
    message = complaint(tmp_path / "box.xml", text)
    assert message.startswith(f"{tmp_path / 'box.xml'} line {line} ("), message
    assert problem in message


def test_aggregates_that_contain_themselves_or_double_each_other_are_refused(tmp_path: Path) -> None:
    def aggregate(name: str, *members: str) -> str:
        listed = "".join(f"<xtce:Member name='m{n}' typeRef='{kind}'/>" for n, kind in enumerate(members))
        return f"<xtce:AggregateParameterType name='{name}'><xtce:MemberList>{listed}</xtce:MemberList></xtce:AggregateParameterType>"

    itself = document(aggregate("A", "B") + aggregate("B", "A"), parameter("x", "A"), "")
    assert "(AggregateParameterType A): contains itself, or stands in too many" in complaint(
        tmp_path / "box.xml", itself
    )
    doubling = "".join(aggregate(f"A{n}", f"A{n + 1}", f"A{n + 1}") for n in range(60)) + aggregate("A60", "U8")
    text = document(uint("U8", 8) + doubling, parameter("x", "A0"), "")
    assert "more than 20000 members" in complaint(tmp_path / "box.xml", text)


def test_restrictions_that_contradict_each_other_are_refused_at_the_later_one(tmp_path: Path) -> None:
    both = compare("PKT_APID", 1) + compare("x", 3, ">") + compare("x", 5, "<") + compare("x", 4, "!=")
    text = document(uint("U8", 8), parameter("x", "U8"), container("A", entry("x"), criteria=both))
    line = text.partition('value="4"')[0].count("\n") + 1
    assert f"line {line} (Comparison): no x is left that meets this" in complaint(tmp_path / "box.xml", text)


def test_a_few_ranges_of_labels_do_not_fill_the_memory(tmp_path: Path) -> None:
    kinds = "".join(
        f"<xtce:EnumeratedParameterType name='E{n}'><xtce:IntegerDataEncoding sizeInBits='32'/><xtce:EnumerationList>"
        "<xtce:Enumeration value='0' maxValue='4294967295' label='x'/></xtce:EnumerationList>"
        "</xtce:EnumeratedParameterType>\n"
        for n in range(60)
    )
    parameters = "".join(parameter(f"e{n}", f"E{n}") for n in range(60))
    unsent = document(
        kinds + uint("U8", 8),
        parameters + parameter("x", "U8"),
        container("A", entry("x"), criteria=compare("PKT_APID", 1)),
    )
    path = tmp_path / "box.xml"
    path.write_text(unsent)
    assert read_xtce(path, {}, path).calibrations == ()
    sent = unsent.replace(entry("x"), "".join(entry(f"e{n}") for n in range(60)))
    assert "calibrations have more than 100000 rows" in complaint(path, sent)


def test_an_array_without_dimensions_is_refused(tmp_path: Path) -> None:
    text, _ = changed("<xtce:DimensionList>", "<!--")
    text = text.replace("</xtce:DimensionList>", "-->")
    assert "says how many items there are" in complaint(tmp_path / "box.xml", text)


def test_a_packet_of_nothing_but_its_header_is_refused(tmp_path: Path) -> None:
    text = document("", "", container("A", "", criteria=compare("PKT_APID", 1)))
    assert "has 48 bits, not more than the CCSDS primary header" in complaint(tmp_path / "box.xml", text)


def test_a_container_that_includes_itself_is_refused(tmp_path: Path) -> None:
    include = '<xtce:ContainerRefEntry containerRef="{}"/>'
    text = document("", "", container("A", include.format("B"), None) + container("B", include.format("A"), None))
    assert "includes itself" in complaint(tmp_path / "box.xml", text)


def test_containers_that_double_each_other_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    include = '<xtce:ContainerRefEntry containerRef="C{}"/>'
    many = "".join(container(f"C{n}", include.format(n + 1) * 2, None) for n in range(60))
    text = document(uint("U8", 8), parameter("x", "U8"), many + container("C60", entry("x"), None))
    assert "more than a packet" in complaint(tmp_path / "box.xml", text)


def test_names_that_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    parameters = parameter("temp", "U8") + parameter("TEMP", "U8")
    text = document(
        uint("U8", 8), parameters, container("A", entry("temp") + entry("TEMP"), criteria=compare("PKT_APID", 1))
    )
    assert "there is a field temp before it" in complaint(tmp_path / "box.xml", text)
    twins = container("HK", entry("temp"), criteria=compare("PKT_APID", 1)) + container(
        "hk", entry("temp"), criteria=compare("PKT_APID", 2)
    )
    assert "there is a packet hk already" in complaint(tmp_path / "box.xml", document(uint("U8", 8), parameters, twins))


def test_a_field_with_the_name_of_a_column_that_every_table_has_is_refused(tmp_path: Path) -> None:
    text = document(
        uint("U8", 8), parameter("DAY", "U8"), container("A", entry("DAY"), criteria=compare("PKT_APID", 1))
    )
    assert "day is a column that every table has" in complaint(tmp_path / "box.xml", text)


def test_containers_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    twins = "".join(container(name, entry("x"), criteria=compare("PKT_APID", 1)) for name in ("A", "B"))
    message = complaint(tmp_path / "box.xml", document(uint("U8", 8), parameter("x", "U8"), twins))
    assert re.search(r"\(SequenceContainer B\): cannot be told from a, which has the same APID", message)


def test_a_wrong_entry_of_instrument_yaml_names_that_file(tmp_path: Path) -> None:
    file = tmp_path / "instrument.yaml"
    file.write_text("packets:\n  hk:\n    checksum: crc\n")
    assert complaint(tmp_path / "box.xml", GOOD, {"hk": {"checksum": "crc"}}).startswith(f"{file} line 3 (checksum)")


# ---- what XML could do beside defining packets -----------------------------------------------------------------------
def test_entities_are_refused_before_they_expand(tmp_path: Path) -> None:
    entities = '<!ENTITY a "lol">' + "".join(
        f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefghij", "bcdefghijk", strict=True)
    )
    text = document("", "", "", around=f"\n<!DOCTYPE x [\n{entities}]>\n").replace('name="Lab"', 'name="&k;"')
    message = complaint(tmp_path / "box.xml", text)
    assert message.startswith(f"{tmp_path / 'box.xml'} line 3 (DOCTYPE): a document type is not read")


def test_a_document_type_is_seen_in_any_encoding(tmp_path: Path) -> None:
    path = tmp_path / "box.xml"
    path.write_bytes('<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x SYSTEM "other.dtd"><x/>'.encode("utf-16"))
    with pytest.raises(DefinitionError, match=r"line 1 \(DOCTYPE\)"):
        read_xtce(path, {}, path)


@pytest.mark.skipif(sys.platform != "linux", reason="inotify tells whether a file was opened, and only Linux has it")
@pytest.mark.parametrize(
    "kind",
    [
        '<!DOCTYPE x [<!ENTITY e SYSTEM "{}">]>',
        '<!DOCTYPE x [<!ENTITY % e SYSTEM "{}"> %e;]>',
        '<!DOCTYPE x SYSTEM "{}">',
    ],
)
def test_no_other_file_is_opened(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    try:
        libc.inotify_add_watch(watch, os.fsencode(secret), 0x21)  # IN_OPEN | IN_ACCESS
        message = complaint(tmp_path / "box.xml", kind.format(secret.as_uri()) + "<x>&e;</x>")
        assert "secret" not in message.removeprefix(str(tmp_path))
        with pytest.raises(BlockingIOError):
            os.read(watch, 4096)
        secret.read_text()
        assert os.read(watch, 4096)  # the watch works
    finally:
        os.close(watch)


def test_an_undeclared_entity_and_an_included_file_are_refused(tmp_path: Path) -> None:
    assert "undefined entity" in complaint(tmp_path / "box.xml", "<SpaceSystem name='a'>&e;</SpaceSystem>")
    include = (
        "<SpaceSystem name='a'><xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='other.xml'/></SpaceSystem>"
    )
    assert "include): is not supported in SpaceSystem" in complaint(tmp_path / "box.xml", include)


def test_elements_that_stand_too_deep_are_refused(tmp_path: Path) -> None:
    text = "<SpaceSystem name='a'>" * 100_000 + "</SpaceSystem>" * 100_000
    assert f"stands in {DEEPEST} other elements" in complaint(tmp_path / "box.xml", text)


def test_an_inheritance_that_is_too_long_is_refused(tmp_path: Path) -> None:
    chain = "".join(container(f"C{n}", "", f"C{n + 1}") for n in range(2000))
    assert "inherits from itself, or from too many" in complaint(
        tmp_path / "box.xml", document("", "", chain + container("C2000", ""))
    )


def test_a_file_that_is_no_xtce_is_refused(tmp_path: Path) -> None:
    assert "is no SpaceSystem" in complaint(tmp_path / "box.xml", "<svg/>")
    assert "no element found" in complaint(tmp_path / "box.xml", "")
    assert "encoding" in complaint(tmp_path / "box.xml", '<?xml version="1.0" encoding="klingon"?><a/>')

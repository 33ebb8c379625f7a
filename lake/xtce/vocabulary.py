# SPDX-License-Identifier: Apache-2.0
"""The elements and attributes of XTCE that are read here; any other one is refused, since it could change the meaning.

Names are those of OMG XTCE 1.2, https://www.omg.org/spec/XTCE/20180204/SpaceSystem.xsd, with what 1.3 and tools add.
"""

from __future__ import annotations

from lake.xtce.elements import Element

# Documentation, how often containers come, how numbers are shown, and commands: they change no value that was sent.
PASSED_OVER = frozenset(
    (
        *("Header", "AliasSet", "AncillaryDataSet", "LongDescription", "ShortDescription"),
        *("CommandMetaData", "ServiceSet", "DefaultRateInStream", "RateInStreamSet"),
        *("TimeAssociation", "SystemName", "PhysicalAddressSet", "ToString", "SizeRangeInCharacters", "ReferenceTime"),
    )
)

_NAMED = "name shortDescription"
_VALUE = f"{_NAMED} initialValue sizeInBits signed"  # in memory; the encoding says how a value is sent
_ENCODED = "UnitSet IntegerDataEncoding FloatDataEncoding StringDataEncoding BinaryDataEncoding"
_BITS = "byteOrder bitOrder"
_NUMBER = f"{_BITS} encoding sizeInBits changeThreshold"
_REFERENCE = "parameterRef instance useCalibratedValue"
_ENTRY = "LocationInContainerInBits RepeatEntry"
_ALARM = "name shortDescription"
_RANGE = "minInclusive minExclusive maxInclusive maxExclusive"
_TIME = ("Encoding", f"{_NAMED} initialValue")

# Element: the children and the attributes that are read.
_READ: dict[str, tuple[str, str]] = {
    "SpaceSystem": ("TelemetryMetaData SpaceSystem", f"{_NAMED} operationalStatus systemType"),
    "TelemetryMetaData": ("ParameterTypeSet ParameterSet ContainerSet", ""),
    "ParameterTypeSet": (
        "IntegerParameterType FloatParameterType BooleanParameterType EnumeratedParameterType StringParameterType "
        "BinaryParameterType AbsoluteTimeParameterType RelativeTimeParameterType ArrayParameterType "
        "AggregateParameterType",
        "",
    ),
    "IntegerParameterType": (f"{_ENCODED} ValidRange DefaultAlarm ContextAlarmList", _VALUE),
    "FloatParameterType": (f"{_ENCODED} ValidRange DefaultAlarm ContextAlarmList", _VALUE),
    "BooleanParameterType": (_ENCODED, f"{_VALUE} oneStringValue zeroStringValue"),
    "EnumeratedParameterType": (f"{_ENCODED} EnumerationList", _VALUE),
    "StringParameterType": (_ENCODED, f"{_NAMED} initialValue restrictionPattern characterWidth"),
    "BinaryParameterType": (_ENCODED, f"{_NAMED} initialValue"),
    "AbsoluteTimeParameterType": _TIME,
    "RelativeTimeParameterType": _TIME,
    "ArrayParameterType": ("DimensionList", f"{_NAMED} arrayTypeRef numberOfDimensions"),
    "AggregateParameterType": ("MemberList", _NAMED),
    "MemberList": ("Member", ""),
    "Member": ("", f"{_NAMED} typeRef initialValue"),
    "Encoding": (_ENCODED.removeprefix("UnitSet "), "units scale offset"),
    "UnitSet": ("Unit", ""),
    "Unit": ("", "power factor description form"),
    "IntegerDataEncoding": ("DefaultCalibrator", _NUMBER),
    "FloatDataEncoding": ("DefaultCalibrator", _NUMBER),
    "StringDataEncoding": ("SizeInBits Variable", f"{_BITS} encoding"),
    "BinaryDataEncoding": ("SizeInBits", _BITS),
    "SizeInBits": ("Fixed FixedValue DynamicValue", ""),
    "Fixed": ("FixedValue", ""),
    "Variable": ("DynamicValue", "maxSizeInBits"),
    "FixedValue": ("", ""),
    "DynamicValue": ("ParameterInstanceRef LinearAdjustment", ""),
    "ParameterInstanceRef": ("", _REFERENCE),
    "LinearAdjustment": ("", "slope intercept"),
    "DefaultCalibrator": ("PolynomialCalibrator SplineCalibrator", _NAMED),
    "PolynomialCalibrator": ("Term", _NAMED),
    "Term": ("", "coefficient exponent"),
    "SplineCalibrator": ("SplinePoint", f"{_NAMED} order extrapolate"),
    "SplinePoint": ("", "raw calibrated order"),
    "EnumerationList": ("Enumeration", ""),
    "Enumeration": ("", "value maxValue label shortDescription"),
    "ValidRange": ("", f"{_RANGE} validRangeAppliesToCalibrated"),
    "DefaultAlarm": ("StaticAlarmRanges", f"{_ALARM} minViolations minConformance"),
    "ContextAlarmList": ("ContextAlarm", ""),
    "ContextAlarm": ("StaticAlarmRanges ContextMatch", f"{_ALARM} minViolations minConformance"),
    "ContextMatch": ("Comparison ComparisonList BooleanExpression", ""),
    "StaticAlarmRanges": ("WatchRange WarningRange DistressRange CriticalRange SevereRange", f"{_ALARM} rangeForm"),
    **{f"{level}Range": ("", _RANGE) for level in ("Watch", "Warning", "Distress", "Critical", "Severe")},
    "DimensionList": ("Dimension", ""),
    "Dimension": ("StartingIndex EndingIndex", ""),
    "StartingIndex": ("FixedValue", ""),
    "EndingIndex": ("FixedValue DynamicValue", ""),
    "ParameterSet": ("Parameter", ""),
    "Parameter": ("ParameterProperties", f"{_NAMED} parameterTypeRef initialValue"),
    "ParameterProperties": ("", "dataSource readOnly persistence"),
    "ContainerSet": ("SequenceContainer", ""),
    "SequenceContainer": ("EntryList BaseContainer", f"{_NAMED} abstract idlePattern"),
    "EntryList": ("ParameterRefEntry ArrayParameterRefEntry ContainerRefEntry", ""),
    "ParameterRefEntry": (_ENTRY, "parameterRef shortDescription"),
    "ArrayParameterRefEntry": (f"{_ENTRY} DimensionList", "parameterRef shortDescription"),
    "ContainerRefEntry": ("LocationInContainerInBits", "containerRef shortDescription"),
    "LocationInContainerInBits": ("FixedValue", "referenceLocation"),
    "RepeatEntry": ("Count", ""),
    "Count": ("FixedValue DynamicValue", ""),
    "BaseContainer": ("RestrictionCriteria", "containerRef"),
    "RestrictionCriteria": ("Comparison ComparisonList BooleanExpression", ""),
    "ComparisonList": ("Comparison", ""),
    "Comparison": ("", f"{_REFERENCE} comparisonOperator value"),
    "BooleanExpression": ("Condition ANDedConditions", ""),
    "ANDedConditions": ("Condition", ""),
    "Condition": ("ParameterInstanceRef ComparisonOperator Value", ""),
    "ComparisonOperator": ("", ""),
    "Value": ("", ""),
}
READ = {name: (frozenset(children.split()), frozenset(own.split())) for name, (children, own) in _READ.items()}


def check_vocabulary(element: Element) -> None:
    """Raises DefinitionError for the first element or attribute, in the order of the file, that is not read."""
    children, attributes = READ[element.name]
    for attribute in element.attributes:
        if attribute not in attributes:
            raise element.error(
                f"its attribute {attribute} is not supported. Remove it, or describe it in another way."
            )
    for child in element.children:
        if child.name in PASSED_OVER:
            continue
        if child.name not in children:
            raise child.error(f"is not supported in {element.name}. Remove it, or describe it in another way.")
        check_vocabulary(child)

# SPDX-License-Identifier: Apache-2.0
"""All rules that a product has to keep: id, severity, what it asks for, and who asks.

Sources: ISTP is the ISTP Metadata Guidelines 1.0; SPDF is what SPDF's checker reports or its pages on deliveries ask
for; CDF is the CDF library and its format; ours is our own policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "both"]


@dataclass(frozen=True)
class Rule:
    """A rule; `both` where grave cases stop a file and others are told."""

    id: str
    severity: Severity
    title: str
    source: str


CONTAINER = (
    Rule("F01", "error", "All variables are zVariables", "ISTP"),
    Rule("F02", "error", "Majority is that of the product's definition; without a definition it is free", "SPDF, ours"),
    Rule("F03", "error", "The file as a whole is not compressed", "ISTP"),
    Rule("F04", "both", "There is an MD5 checksum (warning), and it is right (error)", "SPDF, ours"),
    Rule("F05", "error", "CDF version 3.6 or later where there are TT2000 times", "SPDF"),
    Rule(
        "F06",
        "error",
        "The file can be opened, each variable read, no index record has over 10 entries, and it counts itself right",
        "CDF",
    ),
    Rule("F07", "warning", "The header names the last leap second there is, where there are TT2000 times", "CDF, SPDF"),
    Rule("F11", "both", "There is an epoch variable (error), and it is the first variable (warning)", "ISTP"),
    Rule("P01", "warning", "Values are little-endian (encoding IBMPC)", "ours"),
    Rule("P02", "warning", "No variable leaves out records (sparse)", "ours"),
    Rule("P03", "warning", "The file has less than 2 GiB, which old readers cannot pass", "CDF, ours"),
    Rule("P06", "error", "Every rule can judge it to the end", "ours"),
)
GLOBALS = (
    Rule("G01", "error", "Global attributes that ISTP requires are there and not blank", "ISTP"),
    Rule(
        "G02", "error", "Instrument_type, Mission_group, Project and Discipline are there and not blank", "ISTP, SPDF"
    ),
    Rule("G03", "warning", "Global attributes that ISTP recommends are there", "ISTP"),
    Rule("G04", "error", "Every global entry is CDF_CHAR", "ISTP, SPDF"),
    Rule("G05", "error", "Names are letters, digits and _, in ISTP's own case, no two alike but for case", "ISTP"),
    Rule(
        "G06", "both", "short>long in Source_name, Descriptor, Data_type (error), Project, Discipline (warning)", "ISTP"
    ),
    Rule("G07", "error", "Logical_source is made of Source_name, Descriptor and Data_type", "ISTP, SPDF"),
    Rule(
        "G08",
        "both",
        "Logical_file_id is the file's name without .cdf: Logical_source, date, version; [A-Za-z0-9._-]; a time after "
        "a lowercase t (errors); all lowercase (warning)",
        "ISTP, SPDF",
    ),
    Rule("G09", "error", "Data_version is a bare number, equal to the version in the name", "ISTP, SPDF"),
    Rule("G10", "warning", "Generation_date is yyyymmdd", "ISTP"),
    Rule("G11", "error", "Instrument_type is in ISTP's list", "ISTP"),
    Rule(
        "G12",
        "both",
        "LINK_TEXT, LINK_TITLE and HTTP_LINK have equally many entries, at most 5, as has Instrument_type (error); "
        "links are http(s) addresses (warning)",
        "ISTP, SPDF",
    ),
    Rule("G13", "warning", "DOI and spase_DatasetResourceID have the form that registries give", "ISTP"),
    Rule("G14", "error", "No global entry is an empty string; one blank stands for nothing", "CDF, ours"),
    Rule("G15", "error", "Attributes that name the dataset and its version have one entry", "ISTP"),
    Rule("G16", "warning", "File_naming_convention is one that SPDF's checker knows", "ISTP, SPDF"),
    Rule("G17", "error", "Global entries are printable ASCII", "SPDF"),
    Rule("G18", "warning", "Discipline is in ISTP's list", "ISTP"),
    Rule("G19", "error", "TEXT describes the dataset in at least 40 characters", "ISTP"),
    Rule(
        "G20",
        "both",
        "The name has the first epoch's date and time (error); a daily file holds one UTC day (warning)",
        "SPDF",
    ),
    Rule("G21", "warning", "Parents are file names or CDF>logical_file_id", "ISTP"),
    Rule("P04", "warning", "MODS, Software_version and Skeleton_version are there", "ours"),
)
VARIABLES = (
    Rule("V01", "error", "Names of variables are letters, digits and _, no two alike but for case", "ISTP"),
    Rule("V02", "error", "CATDESC, FIELDNAM, VAR_TYPE and FORMAT or FORM_PTR are there (times need no FORMAT)", "ISTP"),
    Rule("V03", "error", "VAR_TYPE is data, support_data, metadata or ignore_data", "ISTP, SPDF"),
    Rule(
        "V04",
        "error",
        "data and support_data are numbers, metadata are characters, an epoch is support_data",
        "ISTP, SPDF",
    ),
    Rule(
        "V05",
        "error",
        "What varies by record has a DEPEND_0: a scalar time of as many records; constants have none",
        "ISTP",
    ),
    Rule(
        "V06",
        "both",
        "FILLVAL is there and out of the valid range (error), and ISTP's (warning; error for times)",
        "ISTP, SPDF",
    ),
    Rule(
        "V07",
        "both",
        "VALIDMIN and VALIDMAX are there, finite, in order, one or one by cell (equal ones: warning)",
        "ISTP, SPDF",
    ),
    Rule(
        "V08", "both", "UNITS or UNIT_PTR, not both (error); no word for no unit, ns for TT2000 (warning)", "ISTP, SPDF"
    ),
    Rule(
        "V09",
        "both",
        "DISPLAY_TYPE of data is in the list and fits the dimensions (sizes below 2: warning)",
        "ISTP, SPDF",
    ),
    Rule(
        "V10",
        "error",
        "DEPEND_i by dimension of data: numbers, support_data, of that size (not for 1-D time_series)",
        "ISTP",
    ),
    Rule(
        "V11",
        "both",
        "LABLAXIS or LABL_PTR_i as DISPLAY_TYPE wants (error); LABLAXIS names no variable (warning)",
        "ISTP, SPDF",
    ),
    Rule(
        "V12",
        "both",
        "At most 120 characters in CATDESC, 50 in FIELDNAM, 20 in LABLAXIS and UNITS (error); better 80 in CATDESC and "
        "30 in FIELDNAM (warning)",
        "ISTP",
    ),
    Rule(
        "V13",
        "both",
        "FORMAT is Fortran's, of the type's class (error), as wide as the valid range (warning)",
        "ISTP, SPDF",
    ),
    Rule("V14", "both", "SCALETYP is linear or log; SCALEMIN is not above SCALEMAX; log scales begin above 0", "ISTP"),
    Rule("V15", "error", "UNIT_PTR, FORM_PTR and SCAL_PTR name 1-D metadata of the same size", "ISTP"),
    Rule("V16", "error", "DELTA_PLUS_VAR and DELTA_MINUS_VAR are a pair of the variable's size, type and unit", "ISTP"),
    Rule("V17", "error", "Attributes and labels are printable ASCII", "SPDF"),
    Rule("V18", "error", "No attribute is an empty string; one blank stands for nothing", "CDF, ours"),
    Rule("V19", "error", "Names of attributes are letters, digits and _, in ISTP's own case", "ISTP"),
    Rule("V20", "error", "Times are not compressed", "ISTP, SPDF"),
    Rule("V21", "both", "A constant has one record (error), labels are not blank (warning)", "SPDF"),
    Rule("V22", "error", "FILLVAL, VALIDMIN and their like have the variable's type, words are CDF_CHAR", "ISTP, SPDF"),
    Rule(
        "V23",
        "both",
        "An epoch is one time to a record, rises as MONOTON says, has no fill, a BIN_LOCATION of CDF_REAL4 from 0 to 1 "
        "(errors), is TT2000, repeats no time, has MONOTON and TIME_BASE (warnings)",
        "ISTP, SPDF",
    ),
    Rule("V24", "error", "SI_CONVERSION is number>unit without blanks around >", "ISTP"),
    Rule("V25", "warning", "DICT_KEY has the SPASE keywords of data and support_data", "ISTP, SPDF"),
    Rule("V26", "warning", "AVG_TYPE is in ISTP's list", "ISTP"),
    Rule("V27", "error", "Values are finite and within the valid range, or the fill value", "SPDF"),
    Rule("V28", "warning", "No two variables have one CATDESC: users choose by it", "ISTP"),
    Rule("V29", "both", "A number has one element (error); all dimensions vary (warning)", "ISTP"),
    Rule(
        "V30", "both", "Compression is GZIP (error); over 20 MB compressed, in blocks from 16 KB on (warnings)", "ISTP"
    ),
    Rule("V31", "warning", "There is a variable for quality or status", "ISTP"),
    Rule("P05", "warning", "No virtual variables: they belong into SPDF's master", "SPDF, ours"),
)
MASTER = (
    Rule("M01", "error", "The variables are those of the dataset, in its order", "SPDF"),
    Rule("M02", "error", "Type, dimensions, elements and variance are those of the dataset", "SPDF"),
    Rule("M03", "error", "Each variable has the attributes of the dataset, and no others", "SPDF"),
    Rule("M04", "error", "Their types and values are those of the dataset, pointers included", "SPDF"),
    Rule("M05", "error", "The global attributes are those of the dataset", "SPDF"),
    Rule("M06", "error", "Their values too, but for those that tell one file from the next", "SPDF"),
    Rule("M07", "error", "Constants have the dataset's values, unless a dated calibration gives them", "SPDF"),
    Rule("M08", "error", "Compression is that of the dataset", "ours"),
    Rule(
        "M09", "error", "The container is as it is written here: MD5, IBMPC, newest leap seconds, every record", "ours"
    ),
    Rule("M10", "error", "No time is repeated where the table has one row to a time", "ours"),
)
TABLE = (
    Rule("T01", "error", "There are as many records as rows in the table", "ours"),
    Rule(
        "T02",
        "error",
        "Single numbers: fill values, smallest and largest are those that the table's files name",
        "ours",
    ),
    Rule(
        "T03", "error", "Records at the beginning, at the end and in between are the table's rows, to the bit", "ours"
    ),
)
DELIVERY = (
    Rule("D01", "error", "Logical_file_id as SPDF makes it from content is the attribute and the name", "SPDF"),
    Rule("D02", "error", "First and last epoch are on the day of the file", "SPDF"),
    Rule("D03", "error", "No epoch is one of the neighboring days' files, or beyond", "SPDF"),
    Rule("D04", "error", "The version is above all that were given out for this day", "SPDF"),
    Rule(
        "D05", "error", "What tells this file from others is what it was made as: day, version, parents, dates", "ours"
    ),
)
OTHERS = (Rule("SKT", "error", "SPDF's own checker has nothing to say, where it is configured", "SPDF"),)

SUBJECTS = {
    "The file": CONTAINER,
    "Global attributes and names": GLOBALS,
    "Variables": VARIABLES,
    "The dataset's structure": MASTER,
    "The rows of the table": TABLE,
    "Before it is published": DELIVERY,
    "Other checkers": OTHERS,
}
RULES = {rule.id: rule for rules in SUBJECTS.values() for rule in rules}

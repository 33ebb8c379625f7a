# SPDX-License-Identifier: Apache-2.0
"""Seeded defects, one or more for each rule: how a good file is spoiled, what has to be found, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from spacepy import pycdf

from tests.exports.conftest import MIDNIGHT
from tests.exports.rules import mutations as m

E, W = "error", "warning"
SWEEP, CURVE, SPECTRUM, HK, PHOTON = "l2_sweep", "ql_lightcurve", "l1_spectrum", "l1_housekeeping", "l1_photon"
STEM = "padre_meddea_l1-housekeeping_20240916_v1.0.0"
NEXT = STEM.replace("0916", "0917")


@dataclass(frozen=True)
class Defect:
    """A defect of one sample: `rule`, `severity` and `where` of a finding that has to be made."""

    rule: str
    severity: Literal["error", "warning"]
    where: str
    sample: str
    how: m.How
    name: str


def defect(
    rule: str, severity: Literal["error", "warning"], where: str, sample: str, name: str, *how: object
) -> Defect:
    """Changes are made by NASA's library at once; ways to spoil the bytes come as they are."""
    changes = [h for h in how if h is not None]
    return Defect(rule, severity, where, sample, m.edited(*changes), name)  # type: ignore[arg-type]


def spoiled(rule: str, severity: Literal["error", "warning"], where: str, sample: str, name: str, how: m.How) -> Defect:
    return Defect(rule, severity, where, sample, how, name)


CONTAINER = (
    defect("F03", E, "", HK, "whole file compressed", lambda f: f.compress(pycdf.const.GZIP_COMPRESSION, 1)),
    defect("F04", W, "", HK, "no checksum", lambda f: f.checksum(False)),
    defect("M09", E, "", HK, "no checksum where there was one", lambda f: f.checksum(False)),
    spoiled("F04", E, "", SPECTRUM, "a bit flipped", m.raw(m.flipped, seal=False)),
    spoiled("F05", E, "", HK, "version 3.5", m.number(m.in_header(m.VERSION + 4), 5)),
    spoiled("F06", E, "", SPECTRUM, "half of the file", m.truncated),
    spoiled("F07", W, "", HK, "old leap seconds", m.number(m.in_gdr(m.GDR_LEAP_SECOND), 20150701)),
    spoiled("M09", E, "", HK, "leap seconds older", m.number(m.in_gdr(m.GDR_LEAP_SECOND), 20150701)),
    defect("F11", E, "", HK, "epoch removed", m.removed("Epoch")),
    spoiled("P01", W, "", HK, "another encoding", m.number(m.in_header(m.ENCODING), 17)),
    defect("P02", W, "extra", HK, "sparse records", m.added(
        "extra", np.ones(200), "CDF_DOUBLE", "fp_temp_degc", sparse=pycdf.const.PREV_SPARSERECORDS)),
)  # fmt: skip
GLOBALS = (
    defect("G01", E, "PI_name", HK, "no PI", m.drop("PI_name")),
    defect("G01", E, "TEXT", HK, "blank TEXT", m.put("TEXT", " ")),
    defect("G02", E, "Mission_group", HK, "no mission group", m.drop("Mission_group")),
    defect("G02", E, "Project", HK, "no project", m.drop("Project")),
    defect("G02", E, "Discipline", HK, "no discipline", m.drop("Discipline")),
    defect("G03", W, "Acknowledgement", HK, "no acknowledgement", m.drop("Acknowledgement")),
    defect("G04", E, "Generation_date", HK, "a date as a number", m.put("Generation_date", 20260102, kind="CDF_INT4")),
    defect("G05", E, "Pi-Name", HK, "a dash in a name", m.put("Pi-Name", "Someone")),
    defect("G05", E, "Logical_File_ID", HK, "another case", m.drop("Logical_file_id"), m.put("Logical_File_ID", STEM)),
    defect("G06", E, "Descriptor", HK, "no long name", m.put("Descriptor", "MEDDEA")),
    defect("G06", W, "Project", HK, "project without a long name", m.put("Project", "PADRE")),
    defect("G07", E, "Logical_source", HK, "another dataset", m.put("Logical_source", "padre_meddea_l1-photon")),
    defect("G07", E, "Logical_source", HK, "another short name", m.put("Data_type", "l2-hk>MeDDEA housekeeping")),
    defect("G08", E, "Logical_file_id", HK, "id of another day", m.put("Logical_file_id", NEXT)),
    spoiled("G08", E, "Logical_file_id", HK, "file renamed", m.renamed(f"{STEM}_copy.cdf")),
    spoiled("G08", E, "", HK, "uppercase T", m.renamed(f"{STEM.replace('_v', 'T000000_v')}.cdf")),
    spoiled("G08", E, "", HK, "extension", m.renamed(f"{STEM}.CDF")),
    defect("G09", E, "Data_version", HK, "v in the version", m.put("Data_version", "v1.0.0")),
    defect("G09", E, "Data_version", HK, "another version", m.put("Data_version", "1.0.1")),
    defect("G10", W, "Generation_date", HK, "a date with dashes", m.put("Generation_date", "2026-01-02")),
    defect("G11", E, "Instrument_type", HK, "unknown type", m.put("Instrument_type", "Sun Watcher")),
    defect("G12", E, "HTTP_LINK", HK, "a link without text", m.put("HTTP_LINK", "https://a.org", "https://b.org")),
    defect("G12", W, "HTTP_LINK", HK, "no address", m.put("HTTP_LINK", "umbra.nascom.nasa.gov")),
    defect("G12", E, "Instrument_type", HK, "six types", m.put("Instrument_type", *["Engineering"] * 6)),
    defect("G13", W, "DOI", HK, "bare DOI", m.put("DOI", "10.5281/zenodo.1")),
    defect("G13", W, "spase_DatasetResourceID", HK, "odd SPASE id", m.put("spase_DatasetResourceID", "NASA/padre")),
    spoiled("G14", E, "Generated_by", HK, "empty entry", m.text(b"swxlake", bytes(7))),
    defect("G15", E, "Source_name", HK, "two sources", m.put("Source_name", "PADRE>A", "PADRE>B")),
    defect("G16", W, "File_naming_convention", HK, "convention", m.put("File_naming_convention", "source_date")),
    spoiled("G17", E, "PI_name", HK, "a letter with an accent", m.text(b"Martinez", b"Mart\xednez")),
    defect("G18", W, "Discipline", HK, "unknown discipline", m.put("Discipline", "Solar Physics>Sunspots")),
    defect("G19", E, "TEXT", HK, "a short text", m.put("TEXT", "Housekeeping.")),
    spoiled(
        "G20", E, "Epoch", HK, "wrong day in name and id",
        m.both(m.edited(m.put("Logical_file_id", NEXT)),
               m.renamed(f"{NEXT}.cdf")),
    ),
    defect("G20", W, "Epoch", HK, "a record of the next day", m.values("Epoch", -1, MIDNIGHT + 86_400_000_000_000)),
    defect("G21", W, "Parents", HK, "no file name", m.put("Parents", "the raw files")),
    defect("P04", W, "Software_version", HK, "no software", m.drop("Software_version")),
)  # fmt: skip
WORDS = (
    defect("V01", E, "hvps-vsense", HK, "a dash", m.variable_renamed("hvps_vsense_v", "hvps-vsense")),
    defect("V01", E, "SPARE", HK, "alike but for case", m.added("SPARE", np.ones(200), "CDF_DOUBLE", "fp_temp_degc")),
    defect("V02", E, "spare", HK, "no CATDESC", m.without("spare", "CATDESC")),
    defect("V02", E, "spare", HK, "no FIELDNAM", m.without("spare", "FIELDNAM")),
    defect("V02", E, "spare", HK, "no VAR_TYPE", m.without("spare", "VAR_TYPE")),
    defect("V02", E, "spare", HK, "no FORMAT", m.without("spare", "FORMAT")),
    defect("V03", E, "spare", HK, "unknown VAR_TYPE", m.attribute("spare", "VAR_TYPE", "science")),
    defect("V04", E, "quality_flag", HK, "numbers as metadata", m.attribute("quality_flag", "VAR_TYPE", "metadata")),
    defect("V04", E, "Epoch", HK, "an epoch as data", m.attribute("Epoch", "VAR_TYPE", "data")),
    defect("V08", E, "spare", HK, "no UNITS", m.without("spare", "UNITS")),
    defect("V08", W, "spare", HK, "a word for no unit", m.attribute("spare", "UNITS", "unitless")),
    defect("V08", W, "Epoch", HK, "times in seconds", m.attribute("Epoch", "UNITS", "s")),
    defect("V09", E, "spare", HK, "no DISPLAY_TYPE", m.without("spare", "DISPLAY_TYPE")),
    defect("V09", E, "spare", HK, "unknown display", m.attribute("spare", "DISPLAY_TYPE", "plot")),
    defect("V09", E, "spare", HK, "scalar as spectrogram", m.attribute("spare", "DISPLAY_TYPE", "spectrogram")),
    defect("V12", E, "spare", HK, "long CATDESC", m.attribute("spare", "CATDESC", "A reading " * 13 + "ends")),
    defect("V12", W, "spare", HK, "longish CATDESC", m.attribute("spare", "CATDESC", "A reading " * 9 + "ends")),
    defect("V12", E, "spare", HK, "long LABLAXIS", m.attribute("spare", "LABLAXIS", "Reading of the channel")),
    defect("V13", E, "spare", HK, "a format of C", m.attribute("spare", "FORMAT", "%10.3f")),
    defect("V13", E, "heartbeats", HK, "a float's format", m.attribute("heartbeats", "FORMAT", "F8.3")),
    defect("V13", W, "hvps_vsense_v", HK, "a narrow format", m.attribute("hvps_vsense_v", "FORMAT", "F5.2")),
    spoiled("V17", E, "spare", HK, "a degree sign", m.text(b"Reading of the spare", b"Reading \xb0f the spare")),
    defect("V17", E, "component_label", SWEEP, "a label with an accent",
           m.values("component_label", ..., [b"x", b"y", b"\xe9"])),
    spoiled("V18", E, "velocity_km_s", SWEEP, "empty attribute", m.text(b"Bulk velocity", bytes(13))),
    defect("V19", E, "fp_temp_degc", HK, "another case", m.renamed_attribute("fp_temp_degc", "SCALETYP", "Scaletyp")),
    defect("V24", E, "Epoch", HK, "blanks around >", m.attribute("Epoch", "SI_CONVERSION", "1.0e-9 > s")),
    defect("V25", W, "spare", HK, "no DICT_KEY", m.without("spare", "DICT_KEY")),
    defect("V25", W, "spare", HK, "odd DICT_KEY", m.attribute("spare", "DICT_KEY", "SPASE>Voltage")),
    defect("V26", W, "spare", HK, "unknown AVG_TYPE", m.attribute("spare", "AVG_TYPE", "mean of all")),
    defect("V28", W, "spare", HK, "one CATDESC twice", m.attribute("spare", "CATDESC", "Focal plane temperature")),
    defect("V31", W, "", HK, "no quality flag", m.removed("quality_flag")),
    defect("P05", W, "spare", HK, "a virtual variable", m.attribute("spare", "VIRTUAL", "true")),
)  # fmt: skip
POINTERS = (
    defect("V05", E, "spare", HK, "no DEPEND_0", m.without("spare", "DEPEND_0")),
    defect("V05", E, "spare", HK, "DEPEND_0 to nothing", m.attribute("spare", "DEPEND_0", "Time")),
    defect("V05", E, "spare", HK, "DEPEND_0 to data", m.attribute("spare", "DEPEND_0", "heartbeats")),
    defect("V05", E, "band", CURVE, "DEPEND_0 of a constant", m.attribute("band", "DEPEND_0", "Epoch")),
    defect("V05", E, "extra", HK, "fewer records", m.added("extra", np.ones(199), "CDF_DOUBLE", "fp_temp_degc")),
    defect("V10", E, "total", SPECTRUM, "no DEPEND_1", m.without("total", "DEPEND_1")),
    defect("V10", E, "total", SPECTRUM, "DEPEND_1 of another size", m.attribute("total", "DEPEND_1", "slot")),
    defect("V10", E, "count_rate", SPECTRUM, "DEPEND_1 to labels", m.attribute("count_rate", "DEPEND_1", "slot_label")),
    defect("V10", E, "spare", HK, "DEPEND_1 of a scalar", m.attribute("spare", "DEPEND_1", "heartbeats")),
    defect("V11", E, "spare", HK, "no LABLAXIS", m.without("spare", "LABLAXIS")),
    defect("V11", E, "rate", CURVE, "no LABL_PTR_1", m.without("rate", "LABL_PTR_1")),
    defect("V11", E, "rate", CURVE, "labels that are numbers", m.attribute("rate", "LABL_PTR_1", "band")),
    defect("V11", W, "spare", HK, "a variable's name as label", m.attribute("spare", "LABLAXIS", "heartbeats")),
    defect("V15", E, "rate", CURVE, "UNIT_PTR to numbers",
           m.without("rate", "UNITS"), m.attribute("rate", "UNIT_PTR", "band")),
    defect("V08", E, "rate", CURVE, "UNITS and UNIT_PTR", m.attribute("rate", "UNIT_PTR", "band_label")),
    defect("V16", E, "rate", CURVE, "one DELTA", m.without("rate", "DELTA_PLUS_VAR")),
    defect("V16", E, "rate", CURVE, "DELTA of another unit", m.attribute("rate_error", "UNITS", "count")),
    defect("V16", E, "Epoch", SWEEP, "DELTA of doubles", m.attribute("Epoch", "DELTA_PLUS_VAR", "velocity_km_s")),
)  # fmt: skip
NUMBERS = (
    defect("V06", E, "spare", HK, "no FILLVAL", m.without("spare", "FILLVAL")),
    defect("V06", W, "spare", HK, "another FILLVAL", m.attribute("spare", "FILLVAL", -9.99e30)),
    defect("V06", E, "Epoch", HK, "another FILLVAL of a time", m.attribute("Epoch", "FILLVAL", -1, "CDF_TIME_TT2000")),
    defect("V06", E, "quality_flag", HK, "FILLVAL in the range", m.attribute("quality_flag", "VALIDMIN", -(2**31))),
    defect("V07", E, "spare", HK, "no VALIDMAX", m.without("spare", "VALIDMAX")),
    defect("V07", E, "fp_temp_degc", HK, "swapped limits", m.attribute("fp_temp_degc", "VALIDMIN", 70.0)),
    defect("V07", W, "heartbeats", HK, "equal limits", m.attribute("heartbeats", "VALIDMIN", 2**63 - 1)),
    defect("V07", E, "spare", HK, "endless limit", m.attribute("spare", "VALIDMAX", np.inf)),
    defect("V07", E, "rate", CURVE, "two limits for five cells", m.attribute("rate", "VALIDMAX", [1e5, 1e5])),
    defect("V14", E, "spare", HK, "unknown scale", m.attribute("spare", "SCALETYP", "cubic")),
    defect("V14", E, "spare", HK, "scale upside down", m.attribute("spare", "SCALEMIN", 5.0, "CDF_REAL4"),
           m.attribute("spare", "SCALEMAX", 1.0, "CDF_REAL4")),
    defect("V14", W, "sweep_flux", SWEEP, "log from 0 on", m.attribute("sweep_flux", "SCALEMIN", 0.0, "CDF_REAL4")),
    defect("V20", E, "Epoch", HK, "compressed times", m.compressed("Epoch")),
    spoiled("V21", E, "band", CURVE, "a constant without a record", m.number(m.in_vdr("band", 24), -1)),
    defect("V21", W, "component_label", SWEEP, "a blank label", m.values("component_label", ..., ["x", "y", " "])),
    defect("V22", E, "spare", HK, "FILLVAL of another type", m.attribute("spare", "FILLVAL", -1e31, "CDF_DOUBLE")),
    defect("V22", E, "spare", HK, "a number as label", m.attribute("spare", "LABLAXIS", 5, "CDF_INT4")),
    spoiled("V29", E, "spare", HK, "two elements",  # and no pad value, which would have two as well
            m.both(m.number(m.in_vdr("spare", 64), 2), m.number(m.in_vdr("spare", 44), 5))),
    defect("V30", E, "spare", HK, "run lengths", m.compressed("spare", pycdf.const.RLE_COMPRESSION, None)),
)  # fmt: skip
DATA = (
    defect("V23", E, "Epoch", HK, "no order", m.values("Epoch", 7, MIDNIGHT)),
    defect("V23", E, "Epoch", HK, "a fill value as time", m.values("Epoch", 7, -(2**63))),
    defect("V23", W, "Epoch", HK, "a time twice", m.values("Epoch", 7, MIDNIGHT + 60_000_000_000)),
    defect("M10", E, "Epoch", HK, "a time twice in a series", m.values("Epoch", 7, MIDNIGHT + 60_000_000_000)),
    defect("V23", W, "Epoch", HK, "no MONOTON", m.without("Epoch", "MONOTON")),
    defect("V23", W, "Epoch", HK, "no TIME_BASE", m.without("Epoch", "TIME_BASE")),
    defect("V23", E, "Epoch", HK, "against MONOTON", m.attribute("Epoch", "MONOTON", "DECREASE")),
    defect("V23", E, "Epoch", HK, "BIN_LOCATION as double", m.attribute("Epoch", "BIN_LOCATION", 0.5, "CDF_DOUBLE")),
    defect("V23", E, "Epoch", HK, "BIN_LOCATION 5", m.attribute("Epoch", "BIN_LOCATION", 5.0)),
    defect("V27", E, "spare", HK, "NaN", m.values("spare", 3, np.nan)),
    defect("V27", E, "fp_temp_degc", HK, "too hot", m.values("fp_temp_degc", 3, 1e3)),
    defect("V27", E, "sweep_counts", SWEEP, "too many counts", m.values("sweep_counts", (3, 1, 1, 1), 5000)),
    defect("V27", E, "velocity_km_s", SWEEP, "endless velocity", m.values("velocity_km_s", (3, 1), np.inf)),
)  # fmt: skip
MASTER = (
    defect("M01", E, "spare", HK, "a variable missing", m.removed("spare")),
    defect("M01", E, "extra", HK, "a variable more", m.added("extra", np.ones(200), "CDF_DOUBLE", "fp_temp_degc")),
    defect("M02", E, "quality_flag", HK, "another type",
           m.removed("quality_flag"), m.added("quality_flag", np.ones(200), "CDF_DOUBLE", "fp_temp_degc")),
    defect("M03", E, "spare", HK, "an attribute missing", m.without("spare", "SCALETYP")),
    defect("M03", E, "spare", HK, "an attribute more", m.attribute("spare", "Comment", "New")),
    defect("M04", E, "spare", HK, "another text", m.attribute("spare", "CATDESC", "Something else")),
    defect("M04", E, "spare", HK, "another limit", m.attribute("spare", "VALIDMAX", 7.0)),
    defect("M04", E, "rate", CURVE, "another pointer", m.attribute("rate", "DELTA_PLUS_VAR", "rate")),
    defect("M05", E, "TITLE", HK, "a global attribute missing", m.drop("TITLE")),
    defect("M05", E, "Comment", HK, "a global attribute more", m.put("Comment", "New")),
    defect("M06", E, "Time_resolution", HK, "another global text", m.put("Time_resolution", "1 s")),
    defect("M07", E, "band", CURVE, "another axis", m.values("band", 0, 7.6)),
    defect("M08", E, "spare", HK, "another compression", m.compressed("spare", level=6)),
    defect("M05", E, "Extra", HK, "a global attribute without entries", lambda f: f.attrs.new("Extra")),
    defect("M05", E, "PI_name", HK, "entries from number 5 on", m.numbered_from("PI_name", 5)),
    defect("M06", E, "PI_name", HK, "another type of text", m.put("PI_name", "x", kind="CDF_UCHAR")),
    defect("M09", E, "fp_temp_degc", HK, "another pad value", lambda f: f["fp_temp_degc"].pad(5.0)),
    spoiled("M08", E, "rate", CURVE, "another size of blocks", m.number(m.in_vdr("rate", m.VDR_BLOCK), 7)),
    spoiled("M09", E, "", HK, "version 3.7", m.number(m.in_header(m.VERSION + 4), 7)),
    defect("D01", E, "Logical_file_id", HK, "content of another dataset", m.put("Descriptor", "SHARP>Another box")),
    defect("D02", E, "Epoch", HK, "ends tomorrow", m.values("Epoch", -1, MIDNIGHT + 86_400_000_000_000)),
    defect("D05", E, "Parents", HK, "other parents", m.put("Parents", "padreMDA0_240917122901.dat")),
)  # fmt: skip
DEFECTS = (*CONTAINER, *GLOBALS, *WORDS, *POINTERS, *NUMBERS, *DATA, *MASTER)

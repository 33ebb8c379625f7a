# SPDX-License-Identifier: Apache-2.0
"""A SPASE NumericalData record of a dataset, as XML in the order of elements of the SPASE schema 2.7.

What only people can know (identifiers of persons and repositories, addresses, dates of release) is left to be assigned,
and the record says so at its top: until somebody has, no validator takes it for a finished one.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from exports.datasets.dataset import Dataset
from exports.datasets.spase_parameters import Parts, parameter

VERSION = "2.7.0"
ASSIGN = "TO BE ASSIGNED"
NAMESPACE = "http://www.spase-group.org/data/schema"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
# What ISTP calls the type of an instrument, as the kind of measurement that SPASE asks for.
MEASUREMENTS = {
    "Activity Indices": "ActivityIndex",
    "Dust and Debris": "Dust",
    "Electric Fields (space)": "ElectricField",
    "Engineering": "InstrumentStatus",
    "Ephemeris/Attitude/Ancillary": "Ephemeris",
    "Ground-Based HF-Radars": "Waves.Active",
    "Ground-Based Imagers": "ImageIntensity",
    "Ground-Based Magnetometers, Riometers, Sounders": "MagneticField",
    "Ground-Based VLF/ELF/ULF, Photometers": "Waves",
    "Housekeeping": "InstrumentStatus",
    "Imaging and Remote Sensing (ITM/Earth)": "ImageIntensity",
    "Imaging and Remote Sensing (Magnetosphere/Earth)": "ImageIntensity",
    "Imaging and Remote Sensing (Sun)": "Irradiance",
    "Magnetic Fields (Balloon)": "MagneticField",
    "Magnetic Fields (space)": "MagneticField",
    "Particles (space)": "EnergeticParticles",
    "Plasma and Solar Wind": "ThermalPlasma",
    "Radio and Plasma Waves (space)": "Waves",
}


def spase_record(dataset: Dataset) -> str:
    """The record as XML, with a comment that lists what is to be assigned."""
    root = ET.Element(
        "Spase",
        {
            "xmlns": NAMESPACE,
            "xmlns:xsi": INSTANCE,
            "xsi:schemaLocation": f"{NAMESPACE} {NAMESPACE}/spase-{VERSION}.xsd",
        },
    )
    data = ET.Element("NumericalData")
    _fill(data, _numerical_data(dataset))
    if missing := _to_assign(data):
        root.append(ET.Comment(f" Draft. To be assigned before it is registered: {', '.join(missing)} "))
    _fill(root, [("Version", VERSION)])
    root.append(data)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _numerical_data(dataset: Dataset) -> Parts:
    structure, spase_id = dataset.structure, dataset.product.spase_id
    entries = dict(structure.global_attributes)
    return [
        ("ResourceID", spase_id or ASSIGN),
        ("NamingAuthority", spase_id.split("/")[2] if spase_id else ASSIGN),
        ("ResourceType", "NumericalData"),
        ("ResourceHeader", _header(dataset, entries)),
        ("AccessInformation", _access()),
        ("ProviderResourceName", dataset.name),
        ("ProviderProcessingLevel", entries["Data_processing_level"][0]),
        ("ProviderVersion", dataset.product.version),
        ("InstrumentID", ASSIGN),
        *(("MeasurementType", kind) for kind in dict.fromkeys(MEASUREMENTS[t] for t in entries["Instrument_type"])),
        *(("Parameter", parameter(dataset, v)) for v in structure.variables if v.spec.type != "CDF_CHAR"),
    ]


def _header(dataset: Dataset, entries: dict[str, tuple[str, ...]]) -> Parts:
    links = zip(entries["LINK_TITLE"], entries["HTTP_LINK"], strict=True)
    return [
        ("ResourceName", entries["TITLE"][0]),
        ("AlternateName", dataset.name),
        *((("DOI", dataset.product.doi),) if dataset.product.doi else ()),
        ("ReleaseDate", ASSIGN),
        ("Description", " ".join(entries["TEXT"])),
        ("Acknowledgement", " ".join(entries["Acknowledgement"])),
        *(("Contact", _investigator(name)) for name in entries["PI_name"]),
        *(("InformationURL", [("Name", title), ("URL", url)]) for title, url in links),
    ]


def _investigator(name: str) -> Parts:
    return [("PersonID", ASSIGN), ("Role", "PrincipalInvestigator"), ("Note", name)]


def _access() -> Parts:
    return [
        ("RepositoryID", ASSIGN),
        ("AccessURL", [("URL", ASSIGN)]),
        ("Format", "CDF"),
        ("Encoding", "None"),
    ]


def _fill(parent: ET.Element, parts: Parts) -> None:
    for name, value in parts:
        child = ET.SubElement(parent, name)
        if isinstance(value, str):
            child.text = value
        else:
            _fill(child, value)


def _to_assign(data: ET.Element) -> Sequence[str]:
    """Names of the elements that nobody has filled in yet, each once."""
    return list(dict.fromkeys(element.tag for element in data.iter() if element.text == ASSIGN))

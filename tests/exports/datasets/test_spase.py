# SPDX-License-Identifier: Apache-2.0
"""A SPASE record keeps the order of elements of the schema, and invents nothing."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from exports.datasets.dataset import Dataset, datasets
from exports.datasets.spase import ASSIGN, MEASUREMENTS, spase_record
from exports.istp.globals import INSTRUMENT_TYPES
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from tests.exports.datasets.conftest import Changed

NS = "{http://www.spase-group.org/data/schema}"
# The sequences of the SPASE schema 2.7.0, so far as a record of ours could have their elements; + is required.
ORDER = {
    "Spase": "+Version +NumericalData",
    "NumericalData": "+ResourceID +NamingAuthority +ResourceType +ResourceHeader +AccessInformation ProcessingLevel "
    "ProviderName ProviderResourceName ProviderProcessingLevel ProviderVersion InstrumentID +MeasurementType "
    "TemporalDescription SpectralRange ObservedRegion SpatialCoverage Caveats Keyword InputResourceID Parameter",
    "ResourceHeader": "+ResourceName AlternateName DOI +ReleaseDate RevisionHistory ExpirationDate +Description "
    "Acknowledgement PublicationInfo Funding +Contact InformationURL Association PriorID",
    "Contact": "+PersonID +Role StartDate StopDate Note",
    "InformationURL": "Name +URL Description Language",
    "AccessInformation": "+RepositoryID Availability AccessRights rightsList +AccessURL +Format Encoding",
    "AccessURL": "Name +URL Style ProductKey Description Language",
    "Parameter": "+Name Set ParameterKey Description UCD Caveats Cadence CadenceMin CadenceMax Units UnitsConversion "
    "CoordinateSystem RenderingHints Structure ValidMin ValidMax FillValue Field Particle Wave Mixed Support",
    "CoordinateSystem": "+CoordinateRepresentation +CoordinateSystemName",
    "RenderingHints": "DisplayType AxisLabel RenderingAxis Index ValueFormat ScaleMin ScaleMax ScaleType",
    "Structure": "+Size Description Element",
    "Element": "+Name Qualifier +Index ParameterKey",
    "Field": "Qualifier +FieldQuantity FrequencyRange",
    "Particle": "+ParticleType Qualifier +ParticleQuantity",
    "Wave": "WaveType Qualifier +WaveQuantity",
    "Mixed": "+MixedQuantity ParticleType Qualifier",
    "Support": "Qualifier +SupportQuantity",
}
KINDS = {"Field", "Particle", "Wave", "Mixed", "Support"}
REAL = {dataset.name: dataset for dataset in datasets(read_definitions(CHECKOUT / "missions"))}


def check(element: ET.Element) -> None:
    """The children of an element with children are those of the schema, in its order, and none that it needs lacks."""
    tag = element.tag.removeprefix(NS)
    names = [child.tag.removeprefix(NS) for child in element]
    if not names:
        assert element.text
        assert element.text.strip()
        return
    known = [word.removeprefix("+") for word in ORDER[tag].split()]
    places = [known.index(name) for name in names]
    assert places == sorted(places), (tag, names)
    assert {word[1:] for word in ORDER[tag].split() if word[0] == "+"} <= set(names), tag
    if tag == "Parameter":
        assert len(KINDS & set(names)) == 1
    for child in element:
        check(child)


def record(dataset: Dataset) -> ET.Element:
    return ET.fromstring(spase_record(dataset))  # noqa: S314  our own text


def parameter(dataset: Dataset, key: str) -> ET.Element:
    found = record(dataset).iter(f"{NS}Parameter")
    return next(each for each in found if each.findtext(f"{NS}ParameterKey") == key)


@pytest.mark.parametrize("name", REAL)
def test_the_record_of_every_dataset_keeps_the_order_of_the_schema(name: str) -> None:
    check(record(REAL[name]))


def test_a_parameter_has_what_its_variable_has(box: Dataset) -> None:
    check(record(box))
    found = {child.tag.removeprefix(NS): child for child in parameter(box, "heat")}
    texts = {name: child.text for name, child in found.items() if not len(child)}
    assert texts == {
        "Name": "Heat of each part and level",
        "ParameterKey": "heat",
        "Units": "eV",
        "UnitsConversion": "1.602176634e-19>J",
        "ValidMin": "-1e+30",
        "ValidMax": "1e+30",
        "FillValue": "-1e+31",
    }
    assert found["Structure"].findtext(f"{NS}Size") == "2 3"
    assert [(child.tag, child.text) for child in found["Particle"]] == [
        (f"{NS}ParticleType", "Proton"),
        (f"{NS}ParticleQuantity", "Temperature"),
    ]


def test_components_are_elements_and_labels_are_no_parameters(box: Dataset) -> None:
    names = [element.findtext(f"{NS}Name") for element in parameter(box, "flow_km_s").iter(f"{NS}Element")]
    assert names == ["left", "right"]
    keys = [each.findtext(f"{NS}ParameterKey") for each in record(box).iter(f"{NS}Parameter")]
    assert keys == [v.spec.name for v in box.structure.variables if not v.spec.name.endswith("_label")]


def test_what_nobody_assigned_is_left_open_and_told(box: Dataset) -> None:
    text = spase_record(box)
    assert "Draft. To be assigned before it is registered: ResourceID, NamingAuthority, ReleaseDate, PersonID" in text
    assert record(box).findtext(f"{NS}NumericalData/{NS}ResourceID") == ASSIGN
    assert "spase://" not in text


def test_an_assigned_identifier_is_in_the_record(changed: Changed) -> None:
    box = changed(("box/cdf.yaml", "    mods:", "    spase_id: spase://NASA/NumericalData/Toy/Box/PT1S\n    mods:"))
    data = record(box).find(f"{NS}NumericalData")
    assert data is not None
    assert data.findtext(f"{NS}ResourceID") == "spase://NASA/NumericalData/Toy/Box/PT1S"
    assert data.findtext(f"{NS}NamingAuthority") == "NASA"
    assert "registered: ReleaseDate" in spase_record(box)


def test_every_instrument_type_of_istp_has_a_kind_of_measurement() -> None:
    assert set(MEASUREMENTS) == set(INSTRUMENT_TYPES)

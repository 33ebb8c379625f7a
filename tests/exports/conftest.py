# SPDX-License-Identifier: Apache-2.0
"""Five products like MeDDEA's, built by hand: an event list, spectra, housekeeping, a light curve, and sweeps.

The sweeps have what the others have not: three dimensions, cells without a value, axes with borders, one of them of a
dated calibration, a vector with its frame, and records that say how long they lasted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from exports.istp.globals import Edition
from exports.istp.structure import Structure, compile_product
from lake.definitions import Axis, Calibration, Column, Flag, Instrument, Mission, Product, Table, ValidTime
from lake.packet_definitions import Clock

DAY = date(2024, 9, 16)
# 2024-09-16T00:00:00 UTC: 9025.5 days after 2000-01-01T12:00 UTC, which is 64.184 s, and 5 leap seconds later.
MIDNIGHT = 9024 * 86_400_000_000_000 + 43_200_000_000_000 + 64_184_000_000 + 5_000_000_000

EPOCH = Column(
    name="epoch_tt2000",
    type="int64",
    unit="ns",
    description="Time as TT2000: nanoseconds since J2000 (TT), leap seconds included",
    nullable=True,
    label="Epoch",
    spase="SPASE>Support>SupportQuantity:Temporal",
)
QUALITY = Column(
    name="quality_flag",
    type="int32",
    description="Quality bits; 0 is good",
    valid=(0, 2147483647),
    label="Quality",
    spase="SPASE>Support>SupportQuantity:DataQuality",
)
DAY_COLUMN = Column(name="day", type="date", description="UTC date of the data", export=False)
FLAGS = (
    Flag(bit=0, name="clock_invalid", description="The clock field is impossible"),
    Flag(bit=3, name="gap_before", description="Packets are missing before this one."),
)
ENERGY = Axis(
    name="energy", size=280, first=5.1, step=0.2, unit="keV", description="Photon energy of a bin", label="Energy"
)
SLOT = Axis(name="slot", size=24, first=0, step=1, type="int16", description="Histogram slot", label="Slot")
BAND = Axis(name="band", size=5, first=7.5, step=5, unit="keV", description="Centre of an energy band", label="Band")


def _table(name: str, title: str, columns: tuple[Column, ...], **more: Any) -> Table:
    return Table(
        mission="padre",
        instrument="meddea",
        name=f"meddea_{name}",
        level=name[:2],
        title=title,
        grain="one row per record",
        columns=(EPOCH, DAY_COLUMN, *columns, QUALITY),
        flags=FLAGS,
        **more,
    )


PHOTON = _table(
    "l1_photon",
    "Photon events",
    (
        Column(name="asic", type="int8", description="Number of the Caliste-SO detector", valid=(0, 3)),
        Column(name="pixel", type="int8", description="Pixel of the detector, 0 to 11", valid=(0, 11), nullable=True),
        Column(name="adc", type="int16", description="Pulse height of the photon", valid=(0, 4095), label="ADC"),
        Column(
            name="energy_kev", type="float32", unit="keV", description="Photon energy", valid=(0, 200), nullable=True
        ),
        Column(name="baseline", type="bool", description="True for a baseline reading instead of a photon"),
        Column(name="file_sha256", type="string", description="sha256 of the raw file", export=False),
    ),
    order="nondecreasing",
)
SPECTRUM = _table(
    "l1_spectrum",
    "Spectra of 24 pixels",
    (
        Column(
            name="count_rate",
            type="float32",
            unit="count/s",
            description="Count rate of a pixel and energy bin. Dead time is corrected with the live time of the "
            "packet, and bins above the overflow mark are left as they are.",
            valid=(0, 1e6),
            axes=("slot", "energy"),
            spase="SPASE>Particle>ParticleType:Photon,ParticleQuantity:CountRate",
        ),
        Column(
            name="pixel_id", type="int32", description="Word that names the pixel", valid=(0, 65535), axes=("slot",)
        ),
        Column(
            name="total", type="float64", description="Counts by energy", axes=("energy",), scale="log", valid=(0, 1e9)
        ),
    ),
    axes=(SLOT, ENERGY),
    order="strict",
    cadence_seconds=10,
)
HOUSEKEEPING = _table(
    "l1_housekeeping",
    "Housekeeping",
    (
        Column(
            name="fp_temp_degc", type="float64", unit="degC", description="Focal plane temperature", valid=(-90, 60)
        ),
        Column(
            name="hvps_vsense_v",
            type="float32",
            unit="V",
            description="High voltage",
            valid=(-550, 10),
            label="HV sense",
            nullable=True,
        ),
        Column(name="heartbeats", type="int64", description="Heartbeats since the start of the flight software"),
        Column(name="spare", type="float32", description="Reading of the spare channel", nullable=True),
    ),
    order="strict",
)
LIGHTCURVE = _table(
    "ql_lightcurve",
    "Light curves of five energy bands",
    (
        Column(
            name="rate",
            type="float32",
            unit="count/s",
            description="Count rate in five bands",
            valid=(0, 1e5),
            axes=("band",),
            uncertainty="rate_error",
        ),
        Column(
            name="rate_error",
            type="float32",
            unit="count/s",
            description="Standard deviation of the count rate in five bands",
            valid=(0, 1e5),
            axes=("band",),
        ),
    ),
    axes=(BAND,),
    order="strict",
)
STEP = Axis(
    name="step",
    size=6,
    calibration="stepper",
    column="energy_ev",
    minus_column="below_ev",
    plus_column="above_ev",
    unit="eV",
    valid=(1, 5000),
    description="Energy that a step of the sweep selects",
    label="Energy",
    scale="log",
)
STEPPER = Calibration(
    "stepper",
    date(2024, 1, 1),
    Path("stepper_20240101.csv"),
    "0" * 64,
    pl.DataFrame(
        {
            "energy_ev": [2.5, 10.0, 40.0, 160.0, 640.0, 2560.0],
            "below_ev": [0.25, 1.0, 4.0, 16.0, 64.0, 256.0],
            "above_ev": [0.5, 2.0, 8.0, 32.0, 128.0, 512.0],
        }
    ),
)
DEFLECTION = Axis(
    name="deflection",
    size=2,
    cells=(-20, 20),
    minus=(10, 10),
    plus=(10, 10),
    unit="deg",
    description="Direction of a look",
    label="Deflection",
)
ANODE = Axis(name="anode", size=3, first=0, step=1, type="int16", description="Number of an anode", label="Anode")
COMPONENT = Axis(
    name="component", size=3, labels=("x", "y", "z"), type="int8", description="Component", label="Component"
)
ELEMENT = Axis(
    name="element",
    size=9,
    labels=tuple(f"p_{a}{b}" for a in "xyz" for b in "xyz"),
    description="Element of a tensor",
    label="Element",
)
SWEEP = _table(
    "l2_sweep",
    "Sweeps",
    (
        Column(
            name="before_s", type="float64", unit="s", description="Time from the start of the sweep", valid=(0, 10)
        ),
        Column(
            name="after_s",
            type="float32",
            unit="s",
            description="Time to the end of the sweep",
            valid=(0, 0.1),
            nullable=True,
        ),
        Column(
            name="sweep_counts",
            type="int16",
            unit="count",
            description="Counts by step, deflection and anode",
            valid=(0, 4095),
            axes=("step", "deflection", "anode"),
            nullable=True,
            spase="SPASE>Particle>ParticleType:Electron,ParticleQuantity:Counts",
        ),
        Column(
            name="sweep_flux",
            type="float32",
            unit="1/cm2/s/sr",
            description="Flux by step, deflection and anode",
            valid=(0, 1e9),
            axes=("step", "deflection", "anode"),
            nullable=True,
            scale="log",
            spase="SPASE>Particle>ParticleType:Electron,ParticleQuantity:NumberFlux",
        ),
        Column(
            name="velocity_km_s",
            type="float64",
            unit="km/s",
            description="Bulk velocity",
            valid=(-3000, 3000),
            axes=("component",),
            nullable=True,
            frame="GSE",
            spase="SPASE>Particle>ParticleType:Electron,ParticleQuantity:FlowVelocity",
        ),
        Column(
            name="heat_by_step",
            type="float32",
            description="Contribution of each step to the heat flux vector",
            valid=(-10, 10),
            axes=("component", "step"),
        ),
        Column(name="pressure", type="float32", unit="nPa", description="Pressure tensor", axes=("element",)),
    ),
    axes=(STEP, DEFLECTION, ANODE, COMPONENT, ELEMENT),
    order="strict",
)
# On a day, a dated axis has the values of its calibration.
SWEEP_ON_DAY = SWEEP.model_copy(update={"axes": (STEP.resolved(STEPPER), *SWEEP.axes[1:])})
TABLES = {table.descriptor: table for table in (PHOTON, SPECTRUM, HOUSEKEEPING, LIGHTCURVE, SWEEP_ON_DAY)}
LASTS = {"l2_sweep": {"delta_minus": "before_s", "delta_plus": "after_s"}}


def changed(table: Table, **facts: Any) -> Table:
    """A new table; a copied one would keep what it computed from the old facts."""
    return Table(**{name: facts.get(name, getattr(table, name)) for name in Table.model_fields})


def product(table: Table, **changes: Any) -> Product:
    facts: dict[str, Any] = {
        "table": table.name,
        "version": "1.0",
        "title": f"MeDDEA {table.title.lower()}",
        "text": "Measured by the four CdTe detectors of MeDDEA.\nSee the instrument paper.\n\nHandle with care.",
        "time_resolution": "10 s",
        "bin_location": 0.5,
        "mods": ("1.0: first version",),
        **LASTS.get(table.descriptor, {}),
    }
    return Product(**{**facts, **changes})


MEDDEA = Instrument(
    name="meddea",
    short_name="meddea",
    title="Measuring Directivity to Determine Electron Anisotropy",
    description="Hard X-ray spectrometer",
    status="flying",
    clock=Clock(epoch="2000-01-01T00:00:00", policy="leap", coarse="time_s"),
    tables=tuple(TABLES.values()),
    flags=FLAGS,
    unknowns=("Leap-second reading of the clock.",),
    cdf={
        "Descriptor": ("MEDDEA>Measuring Directivity to Determine Electron Anisotropy",),
        "Instrument_type": ("Imaging and Remote Sensing (Sun)",),
    },
)
PADRE = Mission.model_construct(
    name="padre",
    title="Solar Polarization and Directivity X-Ray Experiment",
    valid_time=ValidTime(start=date(2024, 2, 1), stop=date(2050, 1, 1)),
    cdf={
        "Source_name": ("PADRE>Solar Polarization and Directivity X-Ray Experiment",),
        "Project": ("PADRE>Solar Polarization and Directivity X-Ray Experiment",),
        "Discipline": ("Solar Physics>Heliospheric Physics",),
        "Mission_group": ("PADRE",),
        "PI_name": ("Juan Carlos Martinez Oliveros",),
        "PI_affiliation": ("Space Sciences Laboratory, University of California, Berkeley",),
        "Acknowledgement": ("Please acknowledge the PADRE team and NASA.",),
        "Rules_of_use": ("Open data for scientific use.",),
        "HTTP_LINK": ("https://umbra.nascom.nasa.gov/padre/",),
        "LINK_TEXT": ("Public archive of PADRE data at",),
        "LINK_TITLE": ("the Solar Data Analysis Center",),
    },
    instruments=(MEDDEA,),
)
EDITION = Edition(DAY, "1.0.0", ("padreMDA0_240916122901.dat",), date(2026, 1, 2), "0.1.0")


@dataclass(frozen=True)
class Sample:
    """A compiled product with a day of values."""

    structure: Structure
    data: dict[str, pa.Array]
    edition: Edition = EDITION

    @property
    def records(self) -> int:
        return len(self.data["epoch_tt2000"])

    def batches(self, name: str) -> Iterator[Any]:
        """In uneven pieces, as row groups come."""
        array, cut = self.data[name], self.records // 3
        yield array[:cut]
        yield pa.chunked_array([array[cut : cut + 1], array[cut + 1 :]])

    def path(self, folder: Path) -> Path:
        return folder / self.structure.file_name(self.edition)


def _column_values(table: Table, rng: np.random.Generator, n: int) -> dict[str, pa.Array]:
    seconds = np.sort(rng.integers(0, 864, n)) * 100 if table.order == "nondecreasing" else np.arange(n) * 10
    nulls = rng.random(n) < 0.1
    makers: dict[str, Callable[[], pa.Array]] = {
        "epoch_tt2000": lambda: pa.array(MIDNIGHT + seconds * 1_000_000_000),
        "quality_flag": lambda: pa.array(rng.integers(0, 9, n), pa.int32()),
        "asic": lambda: pa.array(rng.integers(0, 4, n), pa.int8()),
        "pixel": lambda: pa.array(rng.integers(0, 12, n), pa.int8(), mask=nulls),
        "adc": lambda: pa.array(rng.integers(0, 4096, n), pa.int16()),
        "energy_kev": lambda: pa.nulls(n, pa.float32()),
        "baseline": lambda: pa.array(rng.random(n) < 0.5),
        "count_rate": lambda: lists(rng.poisson(0.3, (n, 24, 280)).astype(np.float32)),
        "pixel_id": lambda: lists(rng.integers(0, 65536, (n, 24)).astype(np.int32)),
        "total": lambda: lists(rng.random((n, 280)) * 1e3),
        "fp_temp_degc": lambda: pa.array(rng.normal(-20, 5, n)),
        "hvps_vsense_v": lambda: pa.array(rng.normal(-250, 1, n).astype(np.float32), mask=nulls),
        "heartbeats": lambda: pa.array(np.arange(n) + 2**53 + 1),
        "spare": lambda: pa.array(np.where(nulls, np.nan, 1.5).astype(np.float32)),
        "rate": lambda: lists(rng.random((n, 5)).astype(np.float32)),
        "before_s": lambda: pa.array(np.full(n, 2.5)),
        "after_s": lambda: pa.array(np.full(n, 0.1, np.float32), mask=nulls),
        "sweep_counts": lambda: with_nulls(rng.poisson(3, (n, 6, 2, 3)).astype(np.int16), rng),
        "sweep_flux": lambda: with_nulls(rng.random((n, 6, 2, 3)).astype(np.float32), rng),
        "velocity_km_s": lambda: with_nulls(rng.normal(0, 400, (n, 3)), rng),
        "heat_by_step": lambda: lists(rng.random((n, 3, 6)).astype(np.float32)),
        "pressure": lambda: lists(rng.random((n, 9)).astype(np.float32)),
        "rate_error": lambda: lists(rng.random((n, 5)).astype(np.float32)),
    }
    return {column.name: makers[column.name]() for column in table.columns if column.name in makers}


def lists(values: np.ndarray[Any, Any], absent: np.ndarray[Any, Any] | None = None) -> pa.Array:
    """Records as flat row-major lists, as the lake stores arrays; null where `absent`."""
    flat = values.reshape(len(values), -1)
    offsets = np.arange(len(flat) + 1, dtype=np.int32) * flat.shape[1]
    return pa.ListArray.from_arrays(offsets, pa.array(flat.ravel(), mask=None if absent is None else absent.ravel()))


def with_nulls(values: np.ndarray[Any, Any], rng: np.random.Generator) -> pa.Array:
    """Records in which some cells have no value, and one record none at all."""
    absent = rng.random(values.shape) < 0.2
    absent[len(values) // 2] = True
    return lists(values, absent)


def make_sample(descriptor: str, n: int = 200, seed: int = 1) -> Sample:
    table = TABLES[descriptor]
    structure = compile_product(product(table), table, MEDDEA, PADRE)
    return Sample(structure, _column_values(table, np.random.default_rng(seed), n))


@pytest.fixture(params=sorted(TABLES))
def sample(request: pytest.FixtureRequest) -> Sample:
    return make_sample(request.param)


@pytest.fixture
def make() -> Callable[..., Sample]:
    return make_sample

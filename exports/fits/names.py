# SPDX-License-Identifier: Apache-2.0
"""Names of FITS files, in the form of a mission's archive, and of the CDFs that they are made from."""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple

FITS = "fits/"

_CDF = re.compile(
    r"(?P<mission>[a-z][a-z0-9]*)_(?P<instrument>[a-z0-9]+)_(?P<level>[a-z0-9]+)-(?P<descriptor>[a-z0-9-]+)"
    r"_(?P<day>\d{8})_v(?P<version>\d+\.\d+\.\d+)"
)
_FITS = re.compile(
    r"(?P<mission>[a-z][a-z0-9]*)_(?P<instrument>[a-z0-9]+)_(?P<level>[a-z0-9]+)_(?P<descriptor>[a-z0-9-]+)"
    r"_(?P<day>\d{8})T000000_v(?P<version>\d+\.\d+\.\d+)\.fits"
)


class ProductFile(NamedTuple):
    """What the names of a CDF and of its FITS file say; the instrument by its short name."""

    mission: str
    instrument: str
    level: str
    descriptor: str
    day: date
    version: str

    @property
    def fits_name(self) -> str:
        """The name in the mission's archive: a file of a day bears its midnight."""
        words = f"{self.mission}_{self.instrument}_{self.level}_{self.descriptor}"
        return f"{words}_{self.day:%Y%m%d}T000000_v{self.version}.fits"

    @property
    def file_id(self) -> str:
        """Logical_file_id of the CDF, the name of its file without extension."""
        words = f"{self.mission}_{self.instrument}_{self.level}-{self.descriptor}"
        return f"{words}_{self.day:%Y%m%d}_v{self.version}"


def of_cdf(name: str) -> ProductFile | None:
    """What a Logical_file_id, or the path of a CDF, says; None if it is not that of a product."""
    return _read(_CDF.fullmatch(name.rpartition("/")[2].removesuffix(".cdf")))


def of_fits(name: str) -> ProductFile | None:
    """What the path of a FITS file says; None if it is not that of a product."""
    return _read(_FITS.fullmatch(name.rpartition("/")[2]))


def _read(match: re.Match[str] | None) -> ProductFile | None:
    if match is None:
        return None
    mission, instrument, level, descriptor, day, version = match.groups()
    try:
        return ProductFile(mission, instrument, level, descriptor, date.fromisoformat(day), version)
    except ValueError:  # no such day
        return None

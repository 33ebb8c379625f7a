# SPDX-License-Identifier: Apache-2.0
"""A circular orbit as sunlight sees it: day and night by the phase since sunrise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from lake.packet_definitions import Noun

Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


class Orbit(Noun):
    """Length of an orbit in seconds, and the part of it that is spent in the Earth's shadow.

    The phase is 0 at sunrise. Phase 0 falls on 1970-01-01T00:00:00 UTC: any other instant would do as well.
    """

    period_s: float = Field(gt=0)
    night_fraction: float = Field(ge=0, lt=1)

    def phase(self, unix_s: Float64) -> Float64:
        """Part of the orbit since sunrise, 0 to 1."""
        return np.asarray(unix_s / self.period_s % 1.0, np.float64)

    def sunlit(self, unix_s: Float64) -> Bool:
        """True in orbit day."""
        return np.asarray(self.phase(unix_s) < 1 - self.night_fraction, np.bool_)

    def sunrise(self, unix_s: float, number: int) -> float:
        """Unix seconds of a sunrise at or after a time: number 0 is the first."""
        return float((np.ceil(unix_s / self.period_s) + number) * self.period_s)

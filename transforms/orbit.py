# SPDX-License-Identifier: Apache-2.0
"""Where a spacecraft is from its published elements, whether the Sun shines on it, and in which zones it is.

Pure formulas: arrays in, arrays out, nothing is looked up or loaded. Times are Unix seconds (UTC), UT1 is taken to be
UTC: both differ by less than 0.9 s, in which the Earth turns by 0.42 km at the equator.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sgp4.api import WGS72, Satrec

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

DAY_S = 86_400
JULIAN_DATE_1970 = 2_440_587.5
JULIAN_DATE_2000 = 2_451_545.0  # 2000-01-01T12:00
SGP4_EPOCH_UNIX_DAY = -7_306  # 1949-12-31T00:00, from which sgp4init counts
MINUTES_PER_DAY = 1_440

# WGS84, NGA.STND.0036 (2014), table 3.1 and 3.5.
EQUATOR_KM = 6_378.137
FLATTENING = 1 / 298.257223563
ECCENTRICITY_SQUARED = FLATTENING * (2 - FLATTENING)


def teme_positions(elements: dict[str, float], unix_s: Floats) -> Floats:
    """Positions [n, 3] in TEME [km] by SGP4 from one element set; NaN where the elements give none.

    `elements` are those of a two-line set: epoch_unix_us, mean_motion_rev_per_day, mean_motion_dot, mean_motion_ddot,
    bstar, inclination_deg, raan_deg, eccentricity, arg_of_perigee_deg, mean_anomaly_deg. They were fitted with the
    constants of WGS72. Source: D. Vallado et al. 2006, AIAA 2006-6753, as the package sgp4 has it.
    """
    turn = 2 * np.pi / MINUTES_PER_DAY  # a revolution a day, in radians a minute
    satellite = Satrec()
    satellite.sgp4init(
        WGS72,
        "i",
        0,
        elements["epoch_unix_us"] / (DAY_S * 1e6) - SGP4_EPOCH_UNIX_DAY,
        elements["bstar"],
        elements["mean_motion_dot"] * turn / MINUTES_PER_DAY,
        elements["mean_motion_ddot"] * turn / MINUTES_PER_DAY**2,
        elements["eccentricity"],
        *(np.radians(elements[name]) for name in ("arg_of_perigee_deg", "inclination_deg", "mean_anomaly_deg")),
        elements["mean_motion_rev_per_day"] * turn,
        np.radians(elements["raan_deg"]),
    )
    days, seconds = np.divmod(unix_s, DAY_S)
    failed, positions, _ = satellite.sgp4_array(days + JULIAN_DATE_1970, seconds / DAY_S)
    return np.where(failed[:, None] == 0, positions, np.nan)


def gives_an_orbit(elements: dict[str, float]) -> bool:
    """True if SGP4 finds a position at the epoch of an element set."""
    return bool(np.isfinite(teme_positions(elements, np.array([elements["epoch_unix_us"] / 1e6]))).all())


def sidereal_angle(unix_s: Floats) -> Floats:
    """Greenwich mean sidereal time [rad]. Source: S. Aoki et al. 1982, Astron. Astrophys. 105, 359 (IAU 1982)."""
    centuries = (unix_s / DAY_S + (JULIAN_DATE_1970 - JULIAN_DATE_2000)) / 36_525
    seconds = 67_310.54841 + (876_600 * 3600 + 8_640_184.812866) * centuries
    seconds += (0.093104 - 6.2e-6 * centuries) * centuries**2
    return np.asarray(seconds % DAY_S * (2 * np.pi / DAY_S))


def earth_fixed(teme: Floats, unix_s: Floats) -> Floats:
    """TEME positions [n, 3] turned to the Earth-fixed frame, without polar motion (15 m at most)."""
    angle = sidereal_angle(unix_s)
    x, y, z = teme.T
    return np.stack([np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x, z], axis=1)


def geodetic(position: Floats) -> tuple[Floats, Floats, Floats]:
    """Latitude and longitude [deg] and altitude [km] on WGS84 of Earth-fixed positions [n, 3] in km.

    The latitude's fixed point is found by iteration: five steps reach 1e-11 rad at any altitude of a satellite.
    """
    x, y, z = position.T
    distance = np.hypot(x, y)
    latitude = np.arctan2(z, distance * (1 - ECCENTRICITY_SQUARED))
    for _ in range(5):
        sine = np.sin(latitude)
        curvature = EQUATOR_KM / np.sqrt(1 - ECCENTRICITY_SQUARED * sine**2)
        latitude = np.arctan2(z + ECCENTRICITY_SQUARED * curvature * sine, distance)
    sine = np.sin(latitude)
    # This form of the altitude holds at the poles, too.
    altitude = distance * np.cos(latitude) + z * sine - EQUATOR_KM * np.sqrt(1 - ECCENTRICITY_SQUARED * sine**2)
    return np.degrees(latitude), np.degrees(np.arctan2(y, x)), altitude


def sun_direction(unix_s: Floats) -> Floats:
    """Unit vectors [n, 3] to the Sun, equator and equinox of date, to 0.01 deg from 1950 to 2050.

    Source: The Astronomical Almanac, section C, low-precision formulas for the Sun. The true equinox of TEME differs
    by less than 0.005 deg.
    """
    days = unix_s / DAY_S + (JULIAN_DATE_1970 - JULIAN_DATE_2000)
    anomaly = np.radians(357.528 + 0.9856003 * days)
    longitude = np.radians(280.460 + 0.9856474 * days + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    return np.stack(
        [np.cos(longitude), np.cos(obliquity) * np.sin(longitude), np.sin(obliquity) * np.sin(longitude)], axis=1
    )


def is_sunlit(position: Floats, sun: Floats) -> Mask:
    """True where the Sun's centre is above the limb of the Earth, an ellipsoid, for positions [n, 3] in km, pole up.

    The shadow is that of parallel light: stretched along the pole so that the Earth is a sphere, it is a cylinder. At
    600 km the penumbra is 13 km wide to either side, and refraction as much: a few seconds of flight, some 20 where the
    orbit only grazes the shadow.
    """
    stretch = np.array([1, 1, 1 / (1 - FLATTENING)])
    light = sun * stretch / np.linalg.norm(sun * stretch, axis=1, keepdims=True)
    along = np.sum(position * stretch * light, axis=1)
    across = np.linalg.norm(position * stretch - along[:, None] * light, axis=1)
    return np.asarray((along > 0) | (across > EQUATOR_KM))


def inside(longitude: Floats, latitude: Floats, corners: Floats) -> Mask:
    """True for points within a polygon of corners [m, 2] (longitude, latitude), which does not cross the date line.

    Straight sides in longitude and latitude; a ray to the east crosses the sides of the polygon an odd number of times.
    """
    (x1, y1), (x2, y2) = corners.T[:, :, None], np.roll(corners, -1, axis=0).T[:, :, None]
    between = (y1 > latitude) != (y2 > latitude)
    with np.errstate(divide="ignore", invalid="ignore"):  # level sides lie between no two latitudes
        crossing = x1 + (latitude - y1) / (y2 - y1) * (x2 - x1)
    return np.asarray(np.sum(between & (longitude < crossing), axis=0) % 2 == 1)

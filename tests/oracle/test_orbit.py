# SPDX-License-Identifier: Apache-2.0
"""The orbit against others.

SGP4 against Vallado's published vectors and the package's own reading of two lines; frames, heights and the Sun against
astropy; the shadow against the line of sight to astropy's Sun.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sgp4.api import WGS72, Satrec

from transforms.orbit import (
    EQUATOR_KM,
    FLATTENING,
    Floats,
    earth_fixed,
    geodetic,
    inside,
    is_sunlit,
    sun_direction,
    teme_positions,
)

pytestmark = pytest.mark.oracle

START = 1_718_000_000.0  # 2024-06-10, for which the Earth's orientation is measured
# D. Vallado et al. 2006, AIAA 2006-6753: the first of the verification cases.
VANGUARD = (
    "1 00005U 58002B   00179.78495062  .00000023  00000-0  28098-4 0  4753",
    "2 00005  34.2682 348.7242 1859667 331.7664  19.3264 10.82419157413667",
)
VANGUARD_KM = {
    0: (7022.46529266, -1400.08296755, 0.03995155),
    360: (-7154.03120202, -3783.17682504, -3536.19412294),
    1440: (-938.55923943, -6268.18748831, -4294.02924751),
}
PADRE_LIKE = (
    "1 64559U 25135AH  25310.50000000  .00004321  00000+0  21234-3 0  9990",
    "2 64559  97.7600 123.4567 0009876 210.1234 149.8765 14.91600000 20001",
)


def elements_of(lines: tuple[str, str], year: int) -> dict[str, float]:
    """The numbers at their places in the two lines."""
    first, second = lines
    days = float(first[20:32]) - 1
    year_start = np.datetime64(f"{year}-01-01", "us").astype(np.int64)
    return {
        "epoch_unix_us": round(int(year_start) + days * 86_400e6),
        "mean_motion_dot": float(first[33:43]),
        "mean_motion_ddot": 0.0,
        "bstar": float(f"{first[53]}.{first[54:59]}e{first[59:61]}"),
        "inclination_deg": float(second[8:16]),
        "raan_deg": float(second[17:25]),
        "eccentricity": float(f"0.{second[26:33]}"),
        "arg_of_perigee_deg": float(second[34:42]),
        "mean_anomaly_deg": float(second[43:51]),
        "mean_motion_rev_per_day": float(second[52:63]),
    }


def orbit(raan_deg: float, start: float, seconds: int = 6000) -> tuple[Floats, Floats]:
    """Unix seconds and positions [n, 3] in km, one for each second, of a circle like PADRE's orbit."""
    times = start + np.arange(seconds)
    radius, inclination, node = EQUATOR_KM + 520, np.radians(97.76), np.radians(raan_deg)
    angle = np.sqrt(398_600.44 / radius**3) * (times - start)
    flat = np.stack([np.cos(angle), np.sin(angle) * np.cos(inclination), np.sin(angle) * np.sin(inclination)], 1)
    turn = np.array([[np.cos(node), -np.sin(node), 0], [np.sin(node), np.cos(node), 0], [0, 0, 1]])
    return times, radius * flat @ turn.T


@pytest.fixture(scope="module")
def astropy_frames() -> Any:
    """Frames and times of astropy, which takes UT1 to be UTC as we do, and asks no network."""
    from astropy.utils import iers  # type: ignore[import-untyped]  # noqa: PLC0415  slow to import

    with iers.conf.set_temp("auto_download", False):
        yield


def frame_times(unix_s: Floats) -> Any:
    from astropy.time import Time  # type: ignore[import-untyped]  # noqa: PLC0415

    times = Time(unix_s, format="unix", scale="utc")
    times.delta_ut1_utc = 0
    return times


def suns(unix_s: Floats) -> Floats:
    """Positions [n, 3] of the Sun in TEME [km]."""
    from astropy.coordinates import TEME, get_sun  # type: ignore[import-untyped]  # noqa: PLC0415

    times = frame_times(unix_s)
    return np.asarray(get_sun(times).transform_to(TEME(obstime=times)).cartesian.xyz.to_value("km").T)


# ---- SGP4 ----------------------------------------------------------------------------------------------------------
def test_sgp4_gives_the_published_positions() -> None:
    """To a centimetre: the elements' epoch is kept to a microsecond, in which the satellite moves 8 mm."""
    elements = elements_of(VANGUARD, 2000)
    times = elements["epoch_unix_us"] / 1e6 + 60.0 * np.array(list(VANGUARD_KM))
    np.testing.assert_allclose(teme_positions(elements, times), list(VANGUARD_KM.values()), atol=1e-5)


def test_our_elements_propagate_as_the_two_lines_do() -> None:
    elements, theirs = elements_of(PADRE_LIKE, 2025), Satrec.twoline2rv(*PADRE_LIKE, WGS72)
    times = np.floor(elements["epoch_unix_us"] / 1e6) + np.linspace(-14, 14, 57) * 86_400
    days, seconds = np.divmod(times, 86_400)
    _, expected, _ = theirs.sgp4_array(days + 2_440_587.5, seconds / 86_400)
    np.testing.assert_allclose(teme_positions(elements, times), expected, atol=1e-5)


def test_elements_that_sgp4_refuses_give_no_position() -> None:
    elements = elements_of(PADRE_LIKE, 2025) | {"bstar": 0.9, "mean_motion_rev_per_day": 16.9}
    late = np.array([elements["epoch_unix_us"] / 1e6 + 86_400 * 14])
    assert np.isnan(teme_positions(elements, late)).all()


# ---- frames --------------------------------------------------------------------------------------------------------
def test_earth_fixed_positions_agree_with_astropy_to_polar_motion(astropy_frames: None) -> None:
    """astropy knows polar motion, at most 0.6 arcsec or 20 m; the rest of the rotation is the same."""
    from astropy import units  # type: ignore[import-untyped]  # noqa: PLC0415
    from astropy.coordinates import (  # type: ignore[import-untyped]  # noqa: PLC0415
        ITRS,
        TEME,
        CartesianRepresentation,
    )

    times, positions = orbit(77, START, 86_400)
    times, positions = times[::4321], positions[::4321]
    at = frame_times(times)
    teme = TEME(CartesianRepresentation(positions.T * units.km), obstime=at)
    expected = teme.transform_to(ITRS(obstime=at)).cartesian.xyz.to_value("km").T
    distance = np.linalg.norm(earth_fixed(positions, times) - expected, axis=1)
    assert distance.max() < 0.020


def test_geodetic_places_agree_with_astropy(astropy_frames: None) -> None:
    from astropy import units  # noqa: PLC0415
    from astropy.coordinates import EarthLocation  # noqa: PLC0415

    positions = orbit(10, START)[1][::37]
    positions = np.vstack([positions, [[0, 0, 6900]], [[0, 0, -6900]], [[-6900, 1, 0]], [[42_164, 0, 0]]])
    latitude, longitude, altitude = geodetic(positions)
    expected = EarthLocation(*(positions.T * units.km)).to_geodetic("WGS84")
    np.testing.assert_allclose(latitude, expected.lat.deg, atol=1e-9)
    np.testing.assert_allclose(longitude, expected.lon.deg, atol=1e-9)
    np.testing.assert_allclose(altitude, expected.height.to_value("km"), atol=1e-6)


# ---- the Sun -------------------------------------------------------------------------------------------------------
def test_the_suns_direction_is_good_to_a_fiftieth_of_a_degree(astropy_frames: None) -> None:
    """0.01 deg of the formula, 0.006 deg of aberration and 0.005 deg of the equinox."""
    times = START + np.arange(0, 365, 7) * 86_400.0
    theirs = suns(times)
    cosine = np.sum(theirs / np.linalg.norm(theirs, axis=1, keepdims=True) * sun_direction(times), axis=1)
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.02


@pytest.mark.parametrize("raan", [0, 45, 90, 135])
def test_the_shadow_is_that_of_the_line_of_sight_to_the_sun(astropy_frames: None, raan: int) -> None:
    """Each of the two edges of an orbit within three seconds, at any time of the year."""
    for start in START + np.arange(0, 365, 40) * 86_400.0:
        times, positions = orbit(raan, start)
        sun = suns(times[::600])
        towards = np.stack([np.interp(times, times[::600], sun[:, axis]) for axis in range(3)], 1) - positions
        stretch = np.array([1, 1, 1 / (1 - FLATTENING)])
        point, ray = positions * stretch, towards * stretch / np.linalg.norm(towards * stretch, axis=1, keepdims=True)
        half = np.sum(point * ray, axis=1)
        hidden = (half < 0) & (half**2 > np.sum(point**2, axis=1) - EQUATOR_KM**2)
        assert np.sum(is_sunlit(positions, sun_direction(times)) == hidden) <= 6


# ---- polygons ------------------------------------------------------------------------------------------------------
def test_points_in_polygons_are_those_of_the_winding_number() -> None:
    """Another rule for the same question: the angles from a point to the corners add up to a turn, or to none."""
    random = np.random.default_rng(5)
    corners = np.array([(-180, 66), (-79, 62), (32, 71), (180, 66), (180, 50), (85, 55), (-28, 56), (-180, 50)], float)
    points = random.uniform((-180, 40), (180, 80), (4000, 2))
    spokes = corners[None] - points[:, None]
    following = np.roll(spokes, -1, axis=1)
    cross = spokes[..., 0] * following[..., 1] - spokes[..., 1] * following[..., 0]
    turns = np.sum(np.arctan2(cross, np.sum(spokes * following, axis=2)), axis=1) / (2 * np.pi)
    assert inside(points[:, 0], points[:, 1], corners).tolist() == (np.abs(turns) > 0.5).tolist()

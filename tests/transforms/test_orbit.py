# SPDX-License-Identifier: Apache-2.0
"""Orbit formulas against a text book and plain thought; tests/oracle/test_orbit.py has the referees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.orbit import (
    EQUATOR_KM,
    FLATTENING,
    Floats,
    earth_fixed,
    geodetic,
    inside,
    is_sunlit,
    sidereal_angle,
    sun_direction,
)

J2000_UNIX = 946_728_000.0  # 2000-01-01T12:00
POLE_KM = EQUATOR_KM * (1 - FLATTENING)
SQUARE = np.array([(0, 0), (10, 0), (10, 10), (0, 10)], float)


def row(*numbers: float) -> Floats:
    return np.array([numbers], float)


# ---- sidereal time and frames --------------------------------------------------------------------------------------
def test_sidereal_time_at_j2000_is_18_h_41_min_50_s() -> None:
    hours = np.degrees(sidereal_angle(row(J2000_UNIX)[0])) / 15
    assert hours == pytest.approx(18 + 41 / 60 + 50.54841 / 3600, abs=1e-9)


def test_sidereal_time_of_a_text_book() -> None:
    """Meeus, Astronomical Algorithms, example 12.a: 1987 April 10 at 0 h UT is 13 h 10 min 46.3668 s."""
    unix = float(np.datetime64("1987-04-10", "s").astype(np.int64))
    hours = np.degrees(sidereal_angle(row(unix)[0])) / 15
    assert hours == pytest.approx(13 + 10 / 60 + 46.3668 / 3600, abs=1e-7)


@given(st.floats(0, 2e9), st.tuples(*[st.floats(-9000, 9000)] * 3))
@settings(max_examples=50)
def test_the_earths_rotation_keeps_length_and_height_over_the_equator(unix: float, place: tuple[float, ...]) -> None:
    turned = earth_fixed(row(*place), np.array([unix]))
    assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(place), abs=1e-9)
    assert turned[0, 2] == place[2]


# ---- heights -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ((EQUATOR_KM + 500, 0, 0), (0, 0, 500)),
        ((0, -EQUATOR_KM - 500, 0), (0, -90, 500)),
        ((0, 0, POLE_KM + 500), (90, 0, 500)),
        ((0, 0, -POLE_KM - 500), (-90, 0, 500)),
    ],
)
def test_places_over_the_equator_and_the_poles(place: tuple[float, ...], expected: tuple[float, ...]) -> None:
    latitude, longitude, altitude = (float(value[0]) for value in geodetic(row(*place)))
    assert (latitude, longitude, altitude) == pytest.approx(expected, abs=1e-9)


@given(st.floats(-89.9, 89.9), st.floats(-179.9, 179.9), st.floats(100, 40_000))
@settings(max_examples=80)
def test_geodetic_undoes_the_definition_of_the_ellipsoid(latitude: float, longitude: float, altitude: float) -> None:
    phi, east = np.radians(latitude), np.radians(longitude)
    square = FLATTENING * (2 - FLATTENING)
    normal = EQUATOR_KM / np.sqrt(1 - square * np.sin(phi) ** 2)
    distance = (normal + altitude) * np.cos(phi)
    z = (normal * (1 - square) + altitude) * np.sin(phi)
    found = geodetic(row(distance * np.cos(east), distance * np.sin(east), z))
    assert [float(value[0]) for value in found] == pytest.approx([latitude, longitude, altitude], abs=1e-7)


# ---- the Sun -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("time", "declination"),
    [("2025-03-20T09:01", 0), ("2025-06-21T02:42", 23.44), ("2025-09-22T18:19", 0), ("2025-12-21T15:03", -23.44)],
)
def test_the_sun_stands_over_equator_and_tropics_when_the_seasons_begin(time: str, declination: float) -> None:
    """Times of the equinoxes and solstices of 2025."""
    unix = float(np.datetime64(time, "s").astype(np.int64))
    assert np.degrees(np.arcsin(sun_direction(row(unix)[0])[0, 2])) == pytest.approx(declination, abs=0.01)


def test_shadow_begins_behind_the_earth_at_the_radius_that_is_seen() -> None:
    sun = row(1, 0, 0)
    behind = -7000.0
    assert is_sunlit(row(7000, 0, 0), sun).tolist() == [True]
    assert is_sunlit(row(behind, 0, 0), sun).tolist() == [False]
    assert is_sunlit(row(behind, EQUATOR_KM - 1, 0), sun).tolist() == [False]
    assert is_sunlit(row(behind, EQUATOR_KM + 1, 0), sun).tolist() == [True]
    # Over the pole the Earth is 21 km flatter.
    assert is_sunlit(row(behind, 0, POLE_KM - 1), sun).tolist() == [False]
    assert is_sunlit(row(behind, 0, POLE_KM + 1), sun).tolist() == [True]


# ---- polygons ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("point", "within"),
    [((5, 5), True), ((-1, 5), False), ((11, 5), False), ((5, -1), False), ((5, 11), False), ((9.9, 0.1), True)],
)
def test_points_in_a_square(point: tuple[float, float], within: bool) -> None:
    assert inside(row(point[0])[0], row(point[1])[0], SQUARE).tolist() == [within]


def test_a_corner_that_points_inwards_is_outside() -> None:
    notched = np.array([(0, 0), (10, 0), (10, 10), (5, 2), (0, 10)], float)
    assert inside(np.array([5.0, 1.0, 9.0]), np.array([5.0, 5.0, 5.0]), notched).tolist() == [False, True, True]


def test_the_direction_and_the_first_corner_do_not_matter() -> None:
    random = np.random.default_rng(2)
    x, y = random.uniform(-5, 15, (2, 500))
    expected = inside(x, y, SQUARE).tolist()
    assert expected == ((x >= 0) & (x < 10) & (y >= 0) & (y < 10)).tolist()
    assert inside(x, y, SQUARE[::-1]).tolist() == expected
    assert inside(x, y, np.roll(SQUARE, 2, axis=0)).tolist() == expected

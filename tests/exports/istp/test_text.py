# SPDX-License-Identifier: Apache-2.0
"""Words of variables: the factor that leads to SI, and keywords of SPASE."""

from __future__ import annotations

import pytest

from exports.istp.places import TemplateError
from exports.istp.text import check_unit, dictionary_key, si_conversion


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("ns", "1.0e-9>s"), ("us", "1.0e-6>s"), ("ms", "1.0e-3>s"), ("s", "1.0>s"), ("nT", "1.0e-9>T"),
        ("mV", "1.0e-3>V"), ("V", "1.0>V"), ("nA", "1.0e-9>A"), ("uA", "1.0e-6>A"), ("mA", "1.0e-3>A"), ("A", "1.0>A"),
        ("km", "1.0e3>m"), ("km/s", "1.0e3>m/s"), ("cm-3", "1.0e6>m-3"), ("K", "1.0>K"), ("kHz", "1.0e3>Hz"),
        # The electron volt is exact since 2019: the charge of the electron is 1.602176634e-19 C.
        ("eV", "1.602176634e-19>J"), ("keV", "1.602176634e-16>J"), ("MeV", "1.602176634e-13>J"), ("eV/q", "1.0>J/C"),
        ("1/(cm2 s sr)", "1.0e4>1/(m2 s sr)"), ("eV/(cm2 s sr eV)", "1.0e4>J/(m2 s sr J)"),
        # 1e4 / 1.602176634e-13
        ("1/(cm2 s sr MeV)", "6.24150907446076e16>1/(m2 s sr J)"),
        # A degree is pi / 180; a fraction of a second is a factor, not a part of the unit.
        ("deg", "1.74532925199433e-2>rad"), ("1/65536 s", "1.52587890625e-5>s"), ("percent", "1.0e-2>unitless"),
        ("count/s", "1.0>count/s"), ("nanoampere", "1.0e-9>A"), ("h", "3.6e3>s"),
    ],
)  # fmt: skip
def test_the_factor_to_si_is_exact_and_written_as_istp_wants_it(unit: str, expected: str) -> None:
    assert si_conversion(unit) == expected


@pytest.mark.parametrize("unit", ["", "1", "degC", "degF", "degC/128", "adu", "DN", "no unit"])
def test_no_factor_for_an_offset_for_steps_of_a_converter_and_for_no_unit(unit: str) -> None:
    assert si_conversion(unit) is None


def test_a_unit_is_known_to_the_unit_library_or_none() -> None:
    assert [check_unit("x", unit) for unit in ("nT", "", "1")] == ["nT", " ", " "]
    with pytest.raises(TemplateError, match="'parsecond' is no unit"):
        check_unit("x", "parsecond")


@pytest.mark.parametrize(
    ("key", "match"),
    [
        ("Particle>ParticleQuantity:Counts", "Write SPASE>"),
        ("SPASE>Particles>ParticleQuantity:Counts", "Write SPASE>"),
        ("SPASE>Particle>ParticleQuantity Counts", "Write SPASE>"),
        ("SPASE>Particle>ParticleQuantity:Counts", "no ParticleType"),
        ("SPASE>Wave>Qualifier:Vector", "no WaveType and no WaveQuantity"),
    ],
)
def test_keywords_that_spdf_would_not_understand(key: str, match: str) -> None:
    with pytest.raises(TemplateError, match=match):
        dictionary_key("x", key)


def test_a_variable_without_a_keyword_is_other_support() -> None:
    assert dictionary_key("x", None) == "SPASE>Support>SupportQuantity:Other"
    several = "SPASE>Particle>ParticleType:Proton_AlphaParticle,ParticleQuantity:Counts"
    assert dictionary_key("x", several) == several

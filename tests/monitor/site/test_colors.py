# SPDX-License-Identifier: Apache-2.0
"""Colors of the site can be read in both schemes: contrasts by the formula of WCAG 2.2, for level AA."""

from __future__ import annotations

import re

import pytest

from monitor.site.assets import ASSETS

TEXT, GRAPHIC = 4.5, 3.0  # least contrast of text, and of what has to be told apart: success criteria 1.4.3, 1.4.11
STYLE = (ASSETS / "site.css").read_text()
FOUND = re.findall(r"--([\w-]+): light-dark\(#(\w{6}), #(\w{6})\);", STYLE)
COLORS = {name: (light, dark) for name, light, dark in FOUND}
SCHEMES = pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])


def luminance(color: str) -> float:
    """Relative luminance of a color in sRGB (WCAG 2.2)."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_is_the_greatest_contrast() -> None:
    assert contrast("000000", "ffffff") == pytest.approx(21)
    assert contrast("777777", "ffffff") == pytest.approx(4.48, abs=0.01)


@SCHEMES
@pytest.mark.parametrize("name", ["ink", "quiet", "link", "ok", "warn", "fail", "none"])
@pytest.mark.parametrize("ground", ["paper", "panel"])
def test_texts_can_be_read(name: str, ground: str, scheme: int) -> None:
    assert contrast(COLORS[name][scheme], COLORS[ground][scheme]) >= TEXT


@SCHEMES
@pytest.mark.parametrize("name", ["ink", "quiet", "warn", "fail"])
@pytest.mark.parametrize("ground", ["warn-soft", "fail-soft"])
def test_figures_that_want_a_look_can_be_read(name: str, ground: str, scheme: int) -> None:
    assert contrast(COLORS[name][scheme], COLORS[ground][scheme]) >= TEXT


@SCHEMES
def test_the_focus_is_seen(scheme: int) -> None:
    assert contrast(COLORS["focus"][scheme], COLORS["paper"][scheme]) >= GRAPHIC
    assert contrast(COLORS["focus"][scheme], COLORS["panel"][scheme]) >= GRAPHIC


@pytest.mark.parametrize(
    ("word", "scheme"), [(word, s) for word in ("made", "delivered", "stale", "failed") for s in (0, 1)]
)
def test_letters_of_the_matrix_can_be_read(word: str, scheme: int) -> None:
    rule = re.search(rf"\.k-{word} {{ background: (.+?); color: (.+?);", STYLE)
    assert rule
    assert contrast(_color(rule[1], scheme), _color(rule[2], scheme)) >= TEXT


def _color(text: str, scheme: int) -> str:
    """A color as a rule gives it: a name, one for each scheme, or one."""
    if name := re.fullmatch(r"var\(--([\w-]+)\)", text):
        return COLORS[name[1]][scheme]
    found = re.findall(r"#(\w{6})", text)
    return str(found[scheme if len(found) == 2 else 0])

"""The two palettes: partners are one to one, and text can be read on its card."""

from __future__ import annotations

import re
from dataclasses import asdict

import pytest

from ravine.reports.theme import DARK, LIGHT, dark_partners


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2, in [0, 1]."""
    shares = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_no_two_roles_share_a_colour_so_each_has_its_own_partner():
    assert len(dark_partners()) == len(asdict(LIGHT))


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_text_is_readable_and_marks_are_visible_on_the_card(palette):
    assert contrast(palette.ink, palette.card) > 7
    assert contrast(palette.quiet, palette.card) > 4.5
    for colour in (palette.blue, palette.green, palette.red, palette.purple, palette.best):
        assert contrast(colour, palette.card) > 3


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_better_values_stand_further_from_the_card(palette):
    scale = [palette.worst, palette.poor, palette.fair, palette.good, palette.best]
    steps = [contrast(colour, palette.card) for colour in scale]
    assert steps == sorted(steps)

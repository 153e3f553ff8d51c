"""Colours of a landscape: the ground in few quiet shades, the paths in Okabe and Ito's set, light and dark.

The ground runs from the valley to the heights in one hue, so that every path stands out from all of it, and so that
whoever sees no colours still sees which way is down.
"""

from __future__ import annotations

from dataclasses import dataclass

from ravine.reports.theme import LIGHT, dark_partners

__all__ = ["CONTOUR", "DASHES", "Stroke", "ground_scale", "partners", "stroke"]

GROUND = {  # light: dark, from the valley up
    "rgb(173, 203, 228)": "rgb(20, 62, 98)",
    "rgb(199, 219, 236)": "rgb(24, 52, 78)",
    "rgb(222, 234, 244)": "rgb(27, 44, 62)",
    "rgb(240, 245, 250)": "rgb(29, 37, 49)",
    "rgb(254, 254, 255)": "rgb(27, 31, 39)",
}
CONTOUR = "rgba(70, 95, 125, 0.30)"
CONTOUR_DARK = "rgba(150, 180, 215, 0.22)"

COLOURS = (LIGHT.blue, LIGHT.red, LIGHT.green, LIGHT.purple, LIGHT.ink, LIGHT.orange)
DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross")


@dataclass(frozen=True)
class Stroke:
    """How one path is drawn; two that share a colour differ in dash and symbol."""

    colour: str
    dash: str
    symbol: str


def stroke(place: int) -> Stroke:
    """The stroke of the place-th path: six colours, then the same ones dashed.

    >>> stroke(0).colour == stroke(6).colour, stroke(0).dash, stroke(6).dash
    (True, 'solid', 'dash')
    """
    turn, colour = divmod(place, len(COLOURS))
    return Stroke(COLOURS[colour], DASHES[turn % len(DASHES)], SYMBOLS[colour])


def ground_scale() -> list[list[object]]:
    """A Plotly colour scale from the valley to the heights, in LIGHT."""
    return [[place / (len(GROUND) - 1), colour] for place, colour in enumerate(GROUND)]


def partners() -> dict[str, str]:
    """Each colour of a landscape in the light, and what stands in its place in the dark."""
    assert not {*GROUND, CONTOUR} & set(dark_partners()), "a ground colour is a colour of the page"
    return {**dark_partners(), **GROUND, CONTOUR: CONTOUR_DARK}

"""Colours of the page and its figures, light and dark, from Okabe and Ito's colour-blind-safe set.

A figure is drawn once, in LIGHT; the page swaps each colour for its partner in DARK when the reader's system
asks for it. Colours are `rgb(...)` strings, so that no label is ever taken for one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["DARK", "FONT", "LIGHT", "Palette", "colour_scale", "css_variables", "dark_partners"]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', Arial, sans-serif"


@dataclass(frozen=True)
class Palette:
    """One colour per role; `worst` to `best` run along a value, each step further from the card."""

    ground: str
    card: str
    ink: str
    quiet: str  # secondary text, lines that only compare
    line: str  # borders and axes
    grid: str
    blue: str
    orange: str
    green: str
    red: str
    purple: str
    band_blue: str
    band_orange: str
    band_green: str
    faint: str  # one curve among many
    worst: str
    poor: str
    fair: str
    good: str
    best: str


LIGHT = Palette(
    ground="rgb(244, 245, 247)",
    card="rgb(255, 255, 255)",
    ink="rgb(28, 33, 40)",
    quiet="rgb(92, 101, 112)",
    line="rgb(205, 210, 217)",
    grid="rgb(232, 235, 239)",
    blue="rgb(0, 114, 178)",
    orange="rgb(230, 159, 0)",
    green="rgb(0, 142, 104)",
    red="rgb(213, 94, 0)",
    purple="rgb(183, 95, 144)",
    band_blue="rgba(0, 114, 178, 0.16)",
    band_orange="rgba(230, 159, 0, 0.18)",
    band_green="rgba(0, 158, 115, 0.13)",
    faint="rgba(92, 101, 112, 0.35)",
    worst="rgb(240, 226, 150)",
    poor="rgb(196, 190, 120)",
    fair="rgb(135, 140, 124)",
    good="rgb(70, 92, 124)",
    best="rgb(0, 36, 92)",
)

DARK = Palette(
    ground="rgb(18, 21, 26)",
    card="rgb(27, 31, 38)",
    ink="rgb(229, 233, 239)",
    quiet="rgb(160, 169, 181)",
    line="rgb(66, 74, 86)",
    grid="rgb(45, 51, 61)",
    blue="rgb(86, 180, 233)",
    orange="rgb(245, 190, 65)",
    green="rgb(52, 205, 158)",
    red="rgb(250, 130, 70)",
    purple="rgb(224, 150, 190)",
    band_blue="rgba(86, 180, 233, 0.20)",
    band_orange="rgba(245, 190, 65, 0.18)",
    band_green="rgba(52, 205, 158, 0.14)",
    faint="rgba(160, 169, 181, 0.35)",
    worst="rgb(72, 88, 124)",
    poor="rgb(102, 113, 132)",
    fair="rgb(142, 147, 136)",
    good="rgb(193, 184, 106)",
    best="rgb(253, 231, 70)",
)


def dark_partners() -> dict[str, str]:
    """Each colour of LIGHT and what stands in its place in the dark."""
    dark = asdict(DARK)
    return {colour: dark[role] for role, colour in asdict(LIGHT).items()}


def css_variables(palette: Palette) -> str:
    """The palette as CSS custom properties: `--ink: rgb(...); ...`."""
    return " ".join(f"--{role.replace('_', '-')}: {colour};" for role, colour in asdict(palette).items())


def colour_scale(smaller_is_better: bool = False) -> list[list[object]]:
    """A Plotly colour scale in LIGHT from worst to best; the best end belongs to the smallest value if asked."""
    stops = [LIGHT.worst, LIGHT.poor, LIGHT.fair, LIGHT.good, LIGHT.best]
    if smaller_is_better:
        stops.reverse()
    return [[place / (len(stops) - 1), colour] for place, colour in enumerate(stops)]

"""Drawings of a few thousand letters: curves over progress, and paths over a plane."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from ravine.notebook.html import COLOURS

__all__ = ["DASHES", "curve", "line_of", "plane"]

WIDE, HIGH, EDGE = 320, 96, 14  # pixels

DASHES = ("", "6 3", "2 3", "8 3 2 3")

LINES = ("#2a87c8", "#d05a00", "#0a8f66", "#b45f94", "#b97700", "#7b8490")
"""One for each path, again from the first; the dash then changes."""

FEW = 150

BANDS = 14
"""Level bands of a surface."""


def curve(values: Sequence[float], *, highest: float = 1.0, label: str = "") -> Markup:
    """Values over progress from 0 to 1, from 0 to `highest`; steps are drawn as steps where there are many values."""
    top = max(highest, *values) or 1.0
    points = " ".join(
        f"{EDGE + (WIDE - 2 * EDGE) * i / max(len(values) - 1, 1):.1f},{HIGH - EDGE - (HIGH - 2 * EDGE) * value / top:.1f}"
        for i, value in enumerate(values)
    )
    text = "fill: currentColor; font: 10px system-ui, sans-serif; opacity: .75"
    return Markup(
        '<svg width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="img" aria-label="{label}">'
        '<path d="M{e},{e}V{low}H{right}" fill="none" stroke="currentColor" stroke-opacity=".35"/>'
        '<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        '<text x="{e}" y="{base}" style="{text}">0</text><text x="{right}" y="{base}" text-anchor="end" style="{text}">end</text>'
        '<text x="{e}" y="10" style="{text}">{top}</text></svg>'
    ).format(
        w=WIDE,
        h=HIGH,
        e=EDGE,
        low=HIGH - EDGE,
        right=WIDE - EDGE,
        base=HIGH - 2,
        points=points,
        colour=COLOURS["line"],
        text=text,
        label=label,
        top=f"{top:.3g}",
    )


def plane(
    paths: Sequence[NDArray[np.float64]],
    window: tuple[float, float, float, float],
    heights: NDArray[np.float64] | None = None,
    marks: Sequence[tuple[float, ...]] = (),
) -> Markup:
    """Paths [R, 2] over a window (x from, to, y from, to), the start of each a ring; heights [H, W] from the bottom up lie behind.

    marks: places to be marked, such as minima.
    """
    left, right, bottom, top = window
    wide, high = 400, 300

    def at(x: float, y: float) -> str:
        across, up = (x - left) / (right - left) * wide, (1 - (y - bottom) / (top - bottom)) * high
        return f"{min(max(across, -wide), 2 * wide):.1f},{min(max(up, -high), 2 * high):.1f}"

    parts = [_bands(heights, wide, high)] if heights is not None else []
    for k, path in enumerate(paths):
        look = LINES[k % len(LINES)], DASHES[k // len(LINES) % len(DASHES)]
        kept = path[_seen(len(path))]
        points = " ".join(at(*place) for place in kept)
        parts.append(
            Markup('<polyline points="{}" fill="none" stroke="{}" stroke-dasharray="{}" stroke-width="1.8"/>').format(
                points, *look
            )
        )
        x, y = at(*path[0]).split(",")
        parts.append(Markup('<circle cx="{}" cy="{}" r="4" fill="none" stroke="currentColor"/>').format(x, y))
    for place in marks:
        x, y = at(*place[:2]).split(",")
        parts.append(Markup('<path d="M{},{}m-5,0h10m-5,-5v10" stroke="currentColor"/>').format(x, y))
    return Markup(
        '<svg width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="img" style="border: 1px solid; border-color: {line}">{inside}</svg>'
    ).format(w=wide, h=high, line=COLOURS["quiet"], inside=Markup().join(parts))


def _seen(places: int) -> NDArray[np.int64]:
    """The first FEW places of a path, where it moves fastest, and as many of the rest: more is not to be seen."""
    spread = np.linspace(0, places - 1, min(FEW, places)).astype(np.int64)
    return np.unique(np.concatenate([np.arange(min(FEW, places)), spread]))


def line_of(k: int) -> Markup:
    """A short piece of the k-th path's line, for a table beside the drawing."""
    colour, dash = LINES[k % len(LINES)], DASHES[k // len(LINES) % len(DASHES)]
    return Markup(
        '<svg width="28" height="8" role="img"><path d="M0,4H28" stroke="{}" stroke-dasharray="{}" stroke-width="2"/></svg>'
    ).format(colour, dash)


def _bands(heights: NDArray[np.float64], wide: int, high: int) -> Markup:
    """Level bands as a small picture that is grey at every strength, so that it lies on white as on black."""
    flat = np.nan_to_num(heights, nan=np.inf, posinf=np.inf)
    order = np.argsort(np.argsort(flat, axis=None, kind="stable"), kind="stable").reshape(heights.shape)
    band = (order * BANDS // heights.size)[::-1]
    pixels = np.zeros((*heights.shape, 4), dtype=np.uint8)
    pixels[..., :3] = 127
    pixels[..., 3] = 20 + band * 140 // BANDS
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", optimize=True)
    return Markup('<image href="data:image/png;base64,{}" width="{}" height="{}" preserveAspectRatio="none"/>').format(
        base64.b64encode(file.getvalue()).decode(), wide, high
    )

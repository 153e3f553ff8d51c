"""Small pictures for the pages, as SVG within the page: a curve over a run, and paths over the level bands of a surface.

Their colours are classes that docs/assets/site.css knows for light and for dark. The bands are one blue that is the denser
the lower the surface, so they serve both.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from ravine.landscapes import Path, Surface, walk
from ravine.reports.landscape.contours import LEVELS, ground

__all__ = ["best_walk", "curve_picture", "paths_picture"]

WIDTH, HIGHEST, LOWEST = 640, 420, 200  # pixels that a picture's coordinates count
BLUE = (0, 114, 178)
DENSE = 150  # of 255: how dense the lowest band is
SHOWN = 400  # points of a path; more cannot be told apart


def best_walk(here: Surface, rule: str, rates: Sequence[float], start: Sequence[float], steps: int) -> Path:
    """The path of the rate that ends lowest; one that leaves for good counts only where all do."""
    paths = walk(here, rule, lrs=list(rates), starts=start, steps=steps)
    stayed = [path for path in paths if path.stopped != "diverged"] if here.minima else paths
    return min(stayed or paths, key=lambda path: float(path.losses[-1]))


def curve_picture(points: Sequence[tuple[float, float]], *, caption: str) -> str:
    """A curve over progress and factor, both in [0, 1]."""
    left, right, top, bottom = 44, 24, 12, 30
    wide, high = WIDTH - left - right, 200 - top - bottom
    places = [(left + wide * x, top + high * (1 - y)) for x, y in points]
    marks = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = top + high * (1 - share)
        x = left + wide * share
        marks.append(f'<line class="grid" x1="{left}" x2="{left + wide}" y1="{y:.1f}" y2="{y:.1f}"/>')
        marks.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{share:g}</text>')
        marks.append(f'<text x="{x:.1f}" y="{top + high + 20}" text-anchor="middle">{share:.0%}</text>')
    return _figure(200, [*marks, _line(places, "curve")], caption)


def paths_picture(here: Surface, paths: Mapping[str, Path], *, caption: str) -> str:
    """Paths over the bands of a surface, with the start ringed, the minima starred and a legend where there are several."""
    left, right, bottom, top = here.window
    high = min(max(WIDTH * (top - bottom) / (right - left), LOWEST), HIGHEST)

    def place(x: float, y: float) -> tuple[float, float]:
        far = 2 * WIDTH  # a path that leaves goes beyond the edge, and not to numbers that no picture has
        across, up = (x - left) / (right - left) * WIDTH, (top - y) / (top - bottom) * high
        return min(max(across, -far), far), min(max(up, -far), far)

    drawn = [f'<image href="{_bands(here)}" width="{WIDTH}" height="{high:.0f}" preserveAspectRatio="none"/>']
    for k, path in enumerate(paths.values()):
        points = path.points[:SHOWN].tolist()
        drawn.append(_line([place(*point) for point in points], f"path-{k}"))
        if len(points) <= 120:
            dots = (place(*point) for point in points)
            drawn += [f'<circle class="dot-{k}" cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in dots]
    x, y = place(*next(iter(paths.values())).start)
    drawn.append(f'<circle class="start" cx="{x:.1f}" cy="{y:.1f}" r="6"/>')
    for minimum in here.minima:
        x, y = place(*minimum)
        drawn.append(f'<text class="star" x="{x:.1f}" y="{y + 6:.1f}" text-anchor="middle">★</text>')
    keys = (
        [f'<span class="key-{k}">{html.escape(name)}</span>' for k, name in enumerate(paths)] if len(paths) > 1 else []
    )
    return _figure(round(high), drawn, caption, " ".join(keys))


def _bands(here: Surface) -> str:
    """The surface's bands as a data URI: a PNG of one colour, denser below."""
    field = ground(here, here.window)
    low, high = field.span
    share = np.clip((field.heights - low) / (high - low), 0, 1)
    band = np.nan_to_num(np.floor(share * LEVELS) / LEVELS, nan=1.0)
    pixels = np.zeros((*band.shape, 4), dtype=np.uint8)
    pixels[..., :3] = BLUE
    pixels[..., 3] = (DENSE * np.clip(1 - band, 0, 1)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[::-1]).save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _line(places: Sequence[tuple[float, float]], name: str) -> str:
    return f'<polyline class="{name}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>'


def _figure(high: int, drawn: Sequence[str], caption: str, keys: str = "") -> str:
    words = html.escape(caption)
    picture = f'<svg viewBox="0 0 {WIDTH} {high}" role="img" aria-label="{words}">{"".join(drawn)}</svg>'
    return f'<figure class="picture">{picture}<figcaption>{words}{" " + keys if keys else ""}</figcaption></figure>'

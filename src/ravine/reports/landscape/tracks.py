"""What is drawn of a path: few enough points for a page, none of its turns lost, and which steps they are.

A long path is not drawn by every n-th step, which would hide a zig-zag: a point is left out where it lies
within a fraction of a pixel of the last one drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ravine.landscapes import Path
from ravine.reports.landscape.contours import Window

__all__ = ["CLOSE", "Track", "as_drawn", "left_out", "marked_every", "track"]

CLOSE = 0.002
"""Points nearer to the last one drawn than this share of the window are left out of a long path."""

ALL = 300  # points of a path that are drawn whatever their distance
MOST = 2500
LOSSES = 400


@dataclass(frozen=True)
class Track:
    """The drawn part of a path; P points, L losses."""

    steps: NDArray[np.int64]  # [P]
    x: NDArray[np.float64]  # [P]
    y: NDArray[np.float64]  # [P]
    loss: NDArray[np.float64]  # [P]
    loss_steps: NDArray[np.int64]  # [L]
    losses: NDArray[np.float64]  # [L]
    marks: int  # every so many steps one is marked
    close: float  # points nearer than this share of the window were left out; 0: none


def track(path: Path, window: Window, steps: int | None = None) -> Track:
    """What is drawn of a path in 2-D, up to a step if one is given."""
    last = len(path.points) if steps is None else min(len(path.points), steps // path.every + 1)
    points, losses = path.points[:last].numpy(), path.losses[:last].numpy()
    marks = marked_every(last - 1) * path.every
    rows, close = _kept(points, window, marks // path.every)
    rare = _spread(last)
    return Track(
        steps=rows * path.every,
        x=points[rows, 0],
        y=points[rows, 1],
        loss=losses[rows],
        loss_steps=rare * path.every,
        losses=losses[rare],
        marks=marks,
        close=close,
    )


def marked_every(steps: int) -> int:
    """Of so many steps one is marked, such that about 100 marks are made at most.

    >>> [marked_every(steps) for steps in (95, 500, 10_000)]
    [1, 5, 100]
    """
    each, size = 1, 1
    while steps / each > 125:
        size *= 10 if each == 5 * size else 1
        each = next(size * m for m in (1, 2, 5, 10) if size * m > each)
    return each


def left_out(tracks: Sequence[Track]) -> str:
    """The sentence that says what is not drawn; empty when all is."""
    close = max((one.close for one in tracks), default=0.0)
    return f"Points nearer to the last one drawn than {close:.1%} of the window are left out." if close else ""


def as_drawn(values: NDArray[np.float64], digits: int = 6) -> list[float | None]:
    """Numbers for a figure, rounded far below a pixel; None, a gap, for one that is not finite."""
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in values.tolist()]


def _kept(points: NDArray[np.float64], window: Window, marks: int) -> tuple[NDArray[np.int64], float]:
    """Which points are drawn, and how far apart: each that lies apart from the last, each marked one, and both ends."""
    if len(points) <= ALL:
        return np.arange(len(points)), 0.0
    scaled = points[:, :2] / np.array([window[1] - window[0], window[3] - window[2]])
    close = CLOSE
    while True:
        rows, last = [0], scaled[0]
        for row in range(1, len(points)):
            if row % marks == 0 or float(np.abs(scaled[row] - last).max()) > close:
                rows.append(row)
                last = scaled[row]
        if rows[-1] != len(points) - 1:
            rows.append(len(points) - 1)
        if len(rows) <= MOST:
            return np.array(rows), close
        close *= 2


def _spread(count: int) -> NDArray[np.int64]:
    """At most LOSSES rows of `count`, evenly, both ends among them."""
    return np.unique(np.linspace(0, count - 1, min(count, LOSSES)).round().astype(np.int64))

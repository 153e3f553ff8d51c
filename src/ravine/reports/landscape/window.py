"""What is seen of a surface: its own window, fitted to the paths over it."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.landscapes import Path, Surface
from ravine.reports.landscape.contours import Window

__all__ = ["window_of"]


def window_of(surface: Surface, paths: Sequence[Path]) -> Window:
    """The surface's own window, fitted to the paths.

    Wider where a path starts outside it, or leaves it by at most a quarter of its size; narrower, by half at most, along an
    axis of which the paths and the minima need less than half.
    """
    if not paths:
        return surface.window
    found: list[float] = []
    for axis in (0, 1):
        low, high = surface.window[2 * axis : 2 * axis + 2]
        reach = 0.25 * (high - low)
        values = [place[axis] for place in surface.minima if low <= place[axis] <= high]
        for path in paths:
            along = path.points[:, axis]
            near = along[(along >= low - reach) & (along <= high + reach)]
            values += [float(along[0]), *([float(near.min()), float(near.max())] if len(near) else [])]
        first, last = min(values, default=low), max(values, default=high)
        if last - first < 0.5 * (high - low):
            size = max(1.7 * (last - first), 0.5 * (high - low))
            low = min(max(low, (first + last - size) / 2), high - size)
            high = low + size
        edge = 0.04 * (high - low)
        found += [first - edge if first < low + edge / 2 else low, last + edge if last > high - edge / 2 else high]
    return found[0], found[1], found[2], found[3]

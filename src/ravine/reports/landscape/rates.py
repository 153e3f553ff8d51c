"""How fast a path nears the minimum of a quadratic: measured on it, beside what the theory says."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from ravine.landscapes import Path, Surface, Theory, theory_of

__all__ = ["gaps", "measured_rate", "predicted_losses", "predicted_rate", "theory_for"]

ROUNDING = 1e-28
"""A loss of this share of the largest holds nothing but rounding: (1e-14)^2, as a loss is a distance squared."""

FEWEST = 4  # losses that a rate is measured on


def theory_for(surface: Surface, path: Path) -> Theory | None:
    """The theory of a path; None where there is none: another rule, no quadratic, or a noisy gradient."""
    return None if surface.noise else theory_of(surface, path.rule)


def predicted_rate(surface: Surface, path: Path) -> float | None:
    """The share of the error that is left after a step, in the long run."""
    theory = theory_for(surface, path)
    return None if theory is None else theory.contraction(path.lr)


def predicted_losses(surface: Surface, path: Path) -> NDArray[np.float64] | None:
    """The losses above the minimum at each point of the path, by the formula, without walking it, [R]."""
    theory = theory_for(surface, path)
    if theory is None:
        return None
    times = torch.arange(len(path.points)) * path.every
    return theory.losses(torch.tensor(path.start, dtype=torch.float64), path.lr, times).numpy()


def gaps(surface: Surface, path: Path) -> NDArray[np.float64]:
    """Loss above the minimum, [R]; the loss itself where no minimum is known."""
    return path.losses.numpy() - (surface.minimum or 0.0)


def measured_rate(surface: Surface, path: Path) -> float | None:
    """The share of the error that was left after a step, over the second half of a path.

    The slope of log(loss - minimum) / 2 by least squares, as losses swing; None where no minimum is known, or fewer than
    FEWEST losses are above rounding.

    >>> from ravine.landscapes import surface, walk
    >>> bowl = surface("bowl")
    >>> round(measured_rate(bowl, walk(bowl, "gd", lrs=0.1, steps=50)[0]), 9)
    0.8
    """
    if surface.minimum is None:
        return None
    above = gaps(surface, path)
    usable = np.flatnonzero(np.isfinite(above) & (above > ROUNDING * np.nanmax(above)))
    if len(usable) < FEWEST:
        return None
    late = usable[len(usable) // 2 :] if len(usable) >= 2 * FEWEST else usable
    slope = np.polyfit(late * path.every, np.log(above[late]) / 2, 1)[0]
    return math.exp(min(float(slope), 700.0))

"""double-scaling: inputs were divided twice, and all of them are nearly the same tiny number.

Symptom: the loss stays at that of a guess for long, then learns slowly; the same network learns at once elsewhere.
Why: pixels divided by 255 by the loader and once more by hand (or standardized with figures meant for bytes) vary by a few
thousandths. The first layer's outputs are its biases, and its gradient is as tiny as the inputs.
Found: the deviation of every feature is far below 0.1, and the same training on standardized inputs learns better.
Cure: scale once: divide bytes by 255 or standardize, not both with the other's figures.
Source: LeCun et al. 1998, efficient backprop, section 4.3; torchvision.transforms.ToTensor ("scales to [0.0, 1.0]").
"""

from __future__ import annotations

from collections.abc import Iterator

from ravine.diagnosis.faults.unscaled_input import EXPLAINS as SAME
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.scale import standardized, units

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (*SAME, "init-too-small", "symmetric-init", "unscaled-input")

SMALL = 0.1  # deviation of nearly every feature; pixels in [0, 1] have up to 0.4, border pixels 0.01
TINY = 0.02  # one of 255 levels is 0.004
ROW = 0.7  # length of a row about the mean: 1 for texts as unit vectors of many small numbers, 7 for MNIST in [0, 1]


def find(look: Look) -> Iterator[Finding]:
    found = units(look.case)
    if found is None or look.hurried:
        return
    large = float(found.std.quantile(0.95))
    row = float(look.case.x.flatten(1).std(0).square().sum().sqrt())
    tiny = large < TINY and row < ROW
    if large > SMALL or (not tiny and max(look.shortfall, look.under) < 0.02):
        return
    after, base = look.standardized, look.base
    won = look.won(after)
    confidence = (0.55 if tiny else 0.35) + 0.4 * min(1.0, won / 0.2)
    x, held_x = standardized(look.case)
    yield Finding(
        "double-scaling",
        confidence,
        {"deviation": large, "mean": float(found.mean.mean()), "row_length": row, "gain": won},
        "the inputs",
        f"Scale the inputs once: their deviation is {large:.2g}; make it 1, by multiplying with {1 / large:.3g}.",
        {"x": x, "held_x": held_x},
        f"with deviation 1, skill on held-out rows {after.held.skill:.3f} instead of "
        f"{f'{base.held.skill:.3f}' if base.finite else 'a loss that is not finite'}",
    )

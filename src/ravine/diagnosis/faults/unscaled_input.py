"""unscaled-input: inputs are large numbers, or stand in units that have nothing to do with each other.

Symptom: the loss jumps or is NaN at rates that others use; or one column rules and the rest is learnt slowly or not at all.
Why: the curvature along a weight grows with the square of its input. The largest column sets the largest rate that is stable,
and at that rate a column a hundred times smaller learns ten thousand times slower; large sums saturate or kill units at once.
Found: the size (root of the mean square) of every feature is far above 1, and the same training on standardized inputs learns
better.
Cure: subtract the training rows' mean and divide by their deviation, by column (by channel for images), on all splits alike.
Source: LeCun et al. 1998, efficient backprop, section 4.3 (normalizing the inputs).
"""

from __future__ import annotations

from collections.abc import Iterator

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.scale import standardized, units

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "lr-too-high",
    "lr-too-low",
    "momentum-too-high",
    "oscillating-loss",
    "exploding-gradient",
    "vanishing-gradient",
    "dead-units",
    "saturated-units",
    "init-too-large",
    "too-few-epochs",
    "under-fitting",
    "over-fitting",
    "over-regularized",
    "capacity-too-small",
    "batch-too-small",
    "batch-too-large",
    "epsilon-too-large",
    "decayed-too-early",
    "train-eval-mismatch",
    "missing-nonlinearity",
    "bounded-output",
)

LARGE = 5.0  # 1 is standardized, 11 the digits as they come (0 .. 16), which is harmless
HUGE = 30.0  # 86 is MNIST, 137 CIFAR as bytes; nothing that was scaled on purpose is so large


def find(look: Look) -> Iterator[Finding]:
    found = units(look.case)
    if found is None:
        return
    size, largest = found.size, int(found.size.argmax())
    if float(size.max()) < LARGE or look.hurried:
        return
    base = look.base
    if float(size.max()) < HUGE and max(look.shortfall, look.under) < 0.05:
        return
    after = look.standardized
    won = look.won(after)
    confidence = 0.55 + 0.4 * min(1.0, won / 0.2) if float(size.max()) > HUGE else 0.3 + 0.55 * min(1.0, won / 0.2)
    x, held_x = standardized(look.case)
    yield Finding(
        "unscaled-input",
        confidence,
        {
            "largest_size": float(size.max()),
            "median_size": float(size.median()),
            "smallest_deviation": float(found.std.min()),
            "gain": won,
        },
        f"column {int(found.names[largest])}",
        f"Standardize the inputs: subtract each column's training mean and divide by its deviation (column "
        f"{int(found.names[largest])}: {float(found.mean[largest]):.4g} and {float(found.std[largest]):.4g}).",
        {"x": x, "held_x": held_x},
        f"standardized, skill on held-out rows {after.held.skill:.3f} instead of "
        f"{f'{base.held.skill:.3f}' if base.finite else 'a loss that is not finite'}",
    )

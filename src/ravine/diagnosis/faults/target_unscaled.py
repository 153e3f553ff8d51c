"""target-unscaled: the targets of a regression are far from zero or of another size than one.

Symptom: a loss of thousands that falls slowly, as the output's bias has to walk to the targets' mean; or NaN at once.
Why: a fresh network answers about 0 give or take 1. The gradient of the squared error grows with the targets' size, and steps
of a bounded size (Adam) need size / rate of them to get there.
Found: the targets' mean or deviation is far from what a fresh network answers, the training falls short of what a plain network
reaches with standardized targets, and with them so does this one.
Cure: subtract the training targets' mean and divide by their deviation; undo it on the answers.
Source: Bishop 1995, neural networks for pattern recognition, section 8.2; LeCun et al. 1998, efficient backprop, section 4.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from ravine.diagnosis.faults.unscaled_input import EXPLAINS as SAME
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (*(name for name in SAME if name != "bounded-output"), "init-too-small", "wrong-loss")

LARGE = 5.0
HUGE = 50.0
SMALL = 0.05


def find(look: Look) -> Iterator[Finding]:
    case = look.case
    if case.task != "regression" or not case.y.dtype.is_floating_point or not bool(torch.isfinite(case.y).all()):
        return
    mean, std = case.y.mean(0), case.y.std(0).clamp_min(1e-12)
    size, least = float(torch.maximum(mean.abs(), std).max()), float(std.min())
    offset = float((mean.abs() / std).max())
    if (size < LARGE and least > SMALL and offset < LARGE) or look.hurried or max(look.shortfall, look.under) < 0.02:
        return
    change: dict[str, Any] = {"y": (case.y - mean) / std, "held_y": (case.held_y - mean) / std}
    after, base = look.tried(**change), look.base
    won = look.won(after)
    if won < 0.02:
        return
    yield Finding(
        "target-unscaled",
        0.55 + 0.4 * min(1.0, won / 0.2) if size > HUGE else 0.35 + 0.55 * min(1.0, won / 0.4),
        {"mean": mean.flatten()[:5].tolist(), "deviation": std.flatten()[:5].tolist(), "gain": won},
        "the targets",
        f"Standardize the targets: subtract {float(mean.flatten()[0]):.4g} and divide by {float(std.flatten()[0]):.4g}; "
        "undo it on the answers.",
        change,
        f"with standardized targets, r2 on held-out rows {after.held.skill:.3f} instead of "
        f"{f'{base.held.skill:.3f}' if base.finite else 'a loss that is not finite'}",
    )

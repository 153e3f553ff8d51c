"""Step 6: read the winner's training and validation curves.

The gap between training and validation is compared with its own standard error, so that 200 validation
examples are not asked to tell 95 % from 96 %.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ravine.recipe.remedies import against_over_fitting, against_under_fitting
from ravine.recipe.verdict import Verdict
from ravine.training import Kept
from ravine.types import Task

__all__ = ["curves"]

MATTERS = 0.02  # a gap of two points of accuracy (or r2) is worth acting on
FAULTS = {
    "unstable": "oscillating-loss",
    "still improving": "too-few-epochs",
    "over-fitting": "over-fitting",
    "under-fitting": "under-fitting",
}
"""The labels that are faults of the catalogue."""

HIGH = 0.95  # training accuracy or r2 above which a model is not called under-fitting


def curves(
    columns: dict[str, list[float]],
    winner: Kept,
    task: Task,
    *,
    examples: tuple[int, int],
    stopped: str | None = None,
    images: bool = False,
    has_dropout: bool = False,
) -> Verdict:
    """columns: the winner's rows of History.epochs. examples: training and validation rows that were looked at.

    images, has_dropout: of the data and the model, so that the advice names what they can use.
    stopped: why the winner's training ended before its schedule did, if so.
    """
    at = _kept_row(columns, winner)
    train, validation = columns["train_metric"][at], columns["validation_metric"][at]
    evidence: dict[str, Any] = {
        "trial": winner.trial,
        "metric": "accuracy" if task == "classification" else "r2",
        "train_metric": train,
        "validation_metric": validation,
        "gap": train - validation,
        "gap_error": 2 * _gap_error(train, validation, task, examples),
        "slope_per_epoch": _slope(columns),
        "swing": _swing(columns["validation_loss"]),
        "loss_rise": _rise(columns["validation_loss"]),
        "evaluations": len(columns["step"]),
        "stopped": stopped,
    }
    label, sentence, advice = _read(evidence)
    if label == "over-fitting":
        advice = against_over_fitting(winner.setting, task, images=images, has_dropout=has_dropout)
    elif label == "under-fitting":
        advice = against_under_fitting(winner.setting)
    evidence |= {"label": label, "fault": FAULTS.get(label)}
    if stopped:
        advice += (f"Its training was stopped ({stopped}): ravine train with its settings takes it to the end.",)
    numbers = f"{evidence['metric']} {train:.3f} in training, {validation:.3f} in validation"
    return Verdict("curves", "pass" if label == "good" else "warn", f"{sentence} ({numbers}).", evidence, advice)


def _read(e: dict[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    """(label, sentence, advice) for the numbers; `remedies` has the advice for over- and under-fitting."""
    if e["swing"] > 1.0:
        return (
            "unstable",
            "The validation loss swings by more than its own size",
            ("Lower the rate or lengthen the warm-up; a larger batch is calmer too.",),
        )
    if e["slope_per_epoch"] < -0.01:
        more = "Give it more time: --budget 10m, or --epochs with ravine train."
        return "still improving", "The validation loss was still going down", (more,)
    wide = e["gap"] > max(e["gap_error"], MATTERS)
    if wide and (e["gap"] > 2.5 * MATTERS or e["loss_rise"] > 0.1):
        return "over-fitting", "The gap between training and validation is wide", ()
    if not wide and e["train_metric"] < HIGH:
        unsure = "both are low, which is under-fitting unless the data holds no more"
        return "under-fitting", f"The gap is no wider than chance and {unsure}", ()
    return "good", "Training and validation agree", ()


def _kept_row(columns: dict[str, list[float]], winner: Kept) -> int:
    """The evaluation whose weights were kept."""
    metric = winner.validation.get("accuracy", winner.validation.get("r2", math.nan))
    same = [
        i for i, v in enumerate(columns["validation_metric"]) if columns["epoch"][i] == winner.epoch and v == metric
    ]
    return same[-1] if same else len(columns["step"]) - 1


def _gap_error(train: float, validation: float, task: Task, examples: tuple[int, int]) -> float:
    """Standard error of the gap. Accuracy: binomial. r2: about (1 - r2) * sqrt(2 / n), errors being near normal."""
    if task == "classification":
        parts = [p * (1 - p) / n for p, n in zip((train, validation), examples, strict=True)]
    else:
        parts = [2 * (1 - r) ** 2 / n for r, n in zip((train, validation), examples, strict=True)]
    return math.sqrt(sum(parts))


def _slope(columns: dict[str, list[float]]) -> float:
    """Relative change of the validation loss per epoch over the last third of training; 0 when chance explains it."""
    epochs, losses = columns["step"], columns["validation_loss"]
    count = max(3, len(losses) // 3)
    x, y = epochs[-count:], losses[-count:]
    if len(y) < 3 or x[0] == x[-1]:
        return 0.0
    slope, intercept = statistics.linear_regression(x, y)
    residual = math.sqrt(sum((b - slope * a - intercept) ** 2 for a, b in zip(x, y, strict=True)) / (len(y) - 2))
    error = residual / math.sqrt(sum((a - statistics.fmean(x)) ** 2 for a in x))
    if abs(slope) < 2 * error:
        return 0.0
    per_epoch = columns["step"][-1] / max(columns["epoch"][-1], 1)
    return slope * per_epoch / max(abs(statistics.fmean(y)), 1e-12)


def _swing(losses: Sequence[float]) -> float:
    """Largest jump upwards between neighbouring evaluations of the second half, relative to the median there."""
    half = losses[len(losses) // 2 :]
    jumps = [b - a for a, b in pairwise(half)]
    return max(0.0, *jumps) / max(statistics.median(half), 1e-12) if jumps else 0.0


def _rise(losses: Sequence[float]) -> float:
    """How far the validation loss ended above its lowest, relative to the lowest."""
    return losses[-1] / max(min(losses), 1e-12) - 1

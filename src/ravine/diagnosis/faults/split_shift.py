"""split-shift: held-out rows come from another distribution than the training rows.

Symptom: a good score in training and a bad one on held-out rows, from the first epochs on, that no regularization mends.
Why: rows in the order of a file (by class, by date, by place), held-out rows prepared in another way, classes that only one
split has: what was learnt does not apply there.
Found: a forest tells training rows from held-out ones by their inputs (a classifier two-sample test); shares of the classes, or
the targets' distributions, differ; or what a forest learns holds out of bag and fails on the held-out rows. Then all rows are
dealt anew at random and the training is repeated.
Cure: shuffle before splitting, prepare both splits with the same code; where the shift is real (time, place), hold out rows as
they will be met in use.
Source: Lopez-Paz & Oquab 2017 (classifier two-sample tests); Rabanser et al. 2019, failing loudly; Lipton et al. 2018 (label shift).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy import stats

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.splits import dealt_anew

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "label-noise",
    "over-fitting",
    "too-few-samples",
    "train-eval-mismatch",
    "under-fitting",
    "over-regularized",
    "capacity-too-small",
    "lr-too-high",
    "too-few-epochs",
    "labels-unrelated",
    "class-imbalance",
    "bounded-output",
)

APART = 0.7  # area under the ROC curve; 0.38 (38 rows each) to 0.57 on 58 healthy runs
FAR = 0.9
RARE = 1e-6  # chance at which a difference of the targets is believed
SIGMAS = 5.0
WORSE = 0.1


def find(look: Look) -> Iterator[Finding]:
    case = look.case
    if not case.given or look.hurried or min(len(case.x), len(case.held_x)) < 10:
        return
    area, *_ = look.apart
    few = min(len(case.x), len(case.held_x), 750)
    noise = math.sqrt((2 * few + 1) / (12 * few * few))  # of the area, where there is no difference
    inputs = area > APART and area > 0.5 + SIGMAS * noise
    targets, chance = _targets(look)
    labels = chance < RARE and targets > 0.2
    drop = _drop(look)
    if not (inputs or labels or drop > 0.15):
        return
    base = look.base
    won = 0.0
    said = ""
    if base.finite and not look.hurried:
        after = look.dealt_anew
        if after.finite:
            won = min(1.0, max(0.0, after.held.skill)) - min(1.0, max(0.0, base.held.skill))
            said = f"with all rows dealt at random, metric on held-out rows {after.held.metric:.3f} instead of {base.held.metric:.3f}"
    # rows dealt anew are harder than those held out now: it is the training rows that were made worse (broken-augmentation)
    least = 0.45 if won < -WORSE else 0.6 if (inputs and area > FAR) or (labels and targets > 0.5) else 0.4
    new = dealt_anew(case)
    yield Finding(
        "split-shift",
        min(0.97, least + 0.35 * min(1.0, max(0.0, won) / 0.2)),
        {"told_apart": area, "targets_differ_by": targets, "drop_of_forest": drop, "gain_dealt_anew": won},
        _where(look, inputs, labels),
        "Shuffle all rows before splitting them, and prepare both splits alike.",
        {"x": new.x, "y": new.y, "held_x": new.held_x, "held_y": new.held_y},
        said,
    )


def _targets(look: Look) -> tuple[float, float]:
    """How far the targets' distributions are apart, in [0, 1] (total variation, or Kolmogorov-Smirnov), and its chance."""
    case = look.case
    if case.task == "regression":
        a, b = (part.reshape(len(part), -1)[:, 0].numpy() for part in (case.y, case.held_y))
        found = stats.ks_2samp(a, b)
        return float(found.statistic), float(found.pvalue)
    size = max(case.classes, case.but(y=case.held_y).classes)
    counts = [
        torch.bincount(part.clamp_min(0), minlength=size).numpy()
        for part in (case.labels, case.but(y=case.held_y).labels)
    ]
    table = np.array(counts, dtype=float)
    table = table[:, table.sum(0) > 0]
    if table.shape[1] < 2:
        return 0.0, 1.0
    shares = table / table.sum(1, keepdims=True)
    return float(np.abs(shares[0] - shares[1]).sum() / 2), float(stats.chi2_contingency(table).pvalue)


def _drop(look: Look) -> float:
    """How much worse a forest answers the held-out rows than it does training rows out of bag; 0 where chance may do it."""
    forest = look.forest
    if not len(forest.held_y):
        return 0.0
    inside, outside = forest.train_score, forest.held_score
    noise = math.sqrt(max(0.02, inside * (1 - inside)) * (1 / len(forest.y) + 1 / len(forest.held_y)))
    return inside - outside if inside - outside > SIGMAS * noise else 0.0


def _where(look: Look, inputs: bool, labels: bool) -> str:
    if labels:
        return "the targets of the held-out rows"
    if not inputs:
        return "the targets given the inputs, on the held-out rows"
    case: Any = look.case
    a, b = case.x.float().flatten(1), case.held_x.float().flatten(1)
    differ = (a.mean(0) - b.mean(0)).abs() / a.std(0).clamp_min(1e-9)
    return f"column {int(torch.nan_to_num(differ).argmax())} of the held-out rows, and others"

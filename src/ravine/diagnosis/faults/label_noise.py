"""label-noise: many training labels are wrong.

Symptom: the training score stays below the one on held-out rows that are clean; or it climbs to 1 while the held-out score falls.
Why: rows with a wrong label contradict their neighbours. A network first learns what the right ones have in common, then the
wrong ones by heart.
Found: a forest answers rows out of bag. Either it is wrong on training rows far more often than on held-out ones; or, where those
are wrong as well, it is wrong nearly as often where it is surest as elsewhere. Classes that merely overlap are mistaken where the
forest is unsure; regressions with even noise have no rows that stand out.
Cure: look at the rows named; correct them or leave them out; fewer epochs or label smoothing until then.
Source: Northcutt et al. 2021, confident learning; Arpit et al. 2017, a closer look at memorization; Frénay & Verleysen 2014 (survey).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.forest import Forest
from ravine.diagnosis.look import Look

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "over-fitting",
    "under-fitting",
    "capacity-too-small",
    "over-regularized",
    "too-few-epochs",
    "lr-too-low",
    "batch-too-small",
    "oscillating-loss",
    "train-eval-mismatch",
    "lr-too-high",
)

ROWS = 60
EXCESS = 0.06  # of errors on training rows over those on held-out ones
SIGMAS = 3.3  # 2.2 was the largest of 58 healthy runs
SUSPECT = 2.2  # more than in any of them, and on few rows all that much noise may come to
SUREST = 0.1
FLOOR = 0.08  # share of errors in the surest tenth: 0 to 0.01 on twelve healthy tables and image sets
# that share of the one altogether: 0.62 and 0.65 where a forest is out of its depth (cats and dogs, ten classes of photographs),
# 0.79 and 0.82 with 45 % and 30 % of the labels wrong; half of its own deviation is allowed for
EVEN = 0.75
LEVEL = 0.82  # that share of the one in the surest half: 0.66 and 0.73, against 0.86 and 0.92
KNOWS = 0.28  # how far a forest has to be above chance (Cohen's kappa) for its sureness to mean something: 0.16 and 0.23, 0.44 and 0.32
FLOOR_ROWS = 300
RELATED = 0.2
WELL = 0.97


def find(look: Look) -> Iterator[Finding]:
    if look.hurried or len(look.case.x) < ROWS:
        return
    base = look.base
    if base.finite and base.train.skill > WELL and base.held.skill > WELL - 0.04:
        return
    forest = look.forest
    if forest.related(forest.votes, forest.y) < RELATED:
        return  # labels-unrelated
    excess, sigma = _excess(look, forest)
    floor, share = _floor(forest)
    by_excess = excess > EXCESS and excess > SIGMAS * sigma
    by_floor = len(forest.y) >= FLOOR_ROWS and floor > FLOOR
    suspected = excess > EXCESS and excess > SUSPECT * sigma
    if not (suspected or by_floor):  # what is known by the excess is suspected by it too
        return
    rows = forest.rows[torch.from_numpy(_suspects(forest))]
    kept = torch.ones(len(look.case.x), dtype=torch.bool)
    kept[rows] = False
    change: dict[str, Any] = {"x": look.case.x[kept], "y": look.case.y[kept]} if bool(kept.any()) else {}
    said = ""
    if change and base.finite and not look.hurried:
        after = look.tried(**change)
        if after.finite:
            said = f"without the rows named, metric on held-out rows {after.held.metric:.3f} instead of {base.held.metric:.3f}"
    confidence = 0.4
    if by_excess:
        confidence = 0.6 + 0.35 * min(1.0, (excess - EXCESS) / 0.1)
    if by_floor:
        confidence = max(confidence, 0.55 + 0.3 * min(1.0, max(0.0, floor / max(share, 1e-9) - EVEN) / 0.1))
    yield Finding(
        "label-noise",
        confidence,
        {
            "errors_on_training": 1 - forest.train_score,
            "errors_on_held_out": 1 - forest.held_score,
            "errors_where_surest": floor,
            "rows": rows[:20].tolist(),
            "suspects": len(rows),
        },
        "the training labels",
        f"Look at the {len(rows)} rows whose labels the others contradict (the first: {rows[:5].tolist()}); correct them or leave them out.",
        change,
        said,
    )


def _excess(look: Look, forest: Forest) -> tuple[float, float]:
    """How much more often answers are wrong out of bag than on held-out rows that are not leaked, and its deviation."""
    clean = ~look.leaked[0][forest.held_rows].numpy() & (forest.held_y >= 0 if forest.classes else True)
    if clean.sum() < 20:
        return 0.0, 1.0
    if forest.classes:
        inside, outside = forest.train_score, float((forest.held_votes[clean].argmax(1) == forest.held_y[clean]).mean())
        both = (inside * len(forest.y) + outside * clean.sum()) / (len(forest.y) + clean.sum())
        return outside - inside, math.sqrt(both * (1 - both) * (1 / len(forest.y) + 1 / clean.sum()))
    # share of the variance that is not explained; its deviation by Fisher's transformation of the correlation
    inside, outside = (min(0.999, max(0.0, r)) for r in (forest.train_score, _correlation(forest, clean)))
    sigma = math.sqrt(1 / max(1, len(forest.y) - 3) + 1 / max(1, int(clean.sum()) - 3))
    return outside**2 - inside**2, 2 * outside * (1 - outside**2) * sigma + 0.005


def _correlation(forest: Forest, clean: np.ndarray[Any, Any]) -> float:
    votes, y = forest.held_votes[clean], forest.held_y[clean]
    return float(np.corrcoef(votes, y)[0, 1]) if votes.std() > 0 and y.std() > 0 else 0.0


def _floor(forest: Forest) -> tuple[float, float]:
    """Share of errors among the tenth of the rows that the forest is surest of, 0 where it is less than among others that it
    is sure of, and altogether; (0, 1) for a regression, where large residuals may as well be a noise with heavy tails.
    """
    if not forest.classes:
        return 0.0, 1.0
    ordered = np.sort(forest.votes, axis=1)
    margin = ordered[:, -1] - ordered[:, -2] if forest.classes > 1 else ordered[:, -1]
    wrong = (forest.votes.argmax(1) != forest.y)[np.argsort(-margin, kind="stable")]
    share, surest, half = (float(wrong[: max(1, int(part * len(wrong)))].mean()) for part in (1.0, SUREST, 0.5))
    slack = 0.5 * math.sqrt(surest * (1 - surest) / max(1, int(SUREST * len(wrong))))
    chance = 1 - 1 / forest.classes if forest.classes > 1 else 1.0
    even = surest + slack > max(LEVEL * half, EVEN * share) and 1 - share / chance > KNOWS
    return (surest if even else 0.0), share


def _suspects(forest: Forest) -> np.ndarray[Any, Any]:
    """Places of the rows that the forest contradicts most, most contradicted first."""
    if not forest.classes:
        residual = np.abs(forest.votes - forest.y)
        far = residual > 4 * max(float(np.median(residual)), 1e-12)
        return np.asarray([i for i in np.argsort(-residual) if far[i]], dtype=np.int64)
    own = forest.votes[np.arange(len(forest.y)), forest.y]
    doubt = forest.votes.max(1) - own
    return np.asarray([i for i in np.argsort(-doubt) if doubt[i] > 0], dtype=np.int64)

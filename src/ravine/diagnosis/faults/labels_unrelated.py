"""labels-unrelated: the targets have nothing to do with the inputs; they are as good as shuffled.

Symptom: the loss stays at that of a guess, or training rows are learnt by heart and held-out ones are guessed.
Why: labels sorted apart from their rows, a join on the wrong key, an index that was reset, or a target that the inputs do not tell.
Found: nothing learns it: neither this training, nor it with a rate known to be safe, nor a plain network on standardized inputs,
nor a forest out of bag, all of them no better than chance by ROC area (so that a rare class is no excuse) on rows enough to see it.
Cure: look at ten rows beside their targets; join anew by key.
Source: Zhang et al. 2017, understanding deep learning requires rethinking generalization (networks fit shuffled labels); Ojala &
Garriga 2010, permutation tests for studying classifier performance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "label-noise",
    "over-fitting",
    "under-fitting",
    "capacity-too-small",
    "lr-too-high",
    "lr-too-low",
    "too-few-epochs",
    "too-few-samples",
    "over-regularized",
    "batch-too-small",
    "batch-too-large",
    "oscillating-loss",
    "momentum-too-high",
    "decayed-too-early",
    "epsilon-too-large",
    "dead-units",
    "class-imbalance",
    "train-eval-mismatch",
)

ROWS = 80
NOTHING = 0.12  # of skill on held-out rows
RELATED = 0.25  # 2 * area - 1, or correlation; a tenth of the rows in order gives about 0.1


def find(look: Look) -> Iterator[Finding]:
    case = look.case
    if len(case.x) < ROWS or look.hurried:
        return
    base = look.base
    if base.finite and base.held.skill > NOTHING:
        return
    forest = look.forest
    inside, outside = (forest.related(*pair) for pair in ((forest.votes, forest.y), (forest.held_votes, forest.held_y)))
    if inside > RELATED or (outside > RELATED and inside > 0.05):
        return
    if look.reference.held.skill > NOTHING:
        return
    best = max((mark.held.skill for mark in base.marks if math.isfinite(mark.held.skill)), default=0.0)
    safe = look.tried(rule="adam", lr=1e-3, momentum=0.0, nesterov=False, schedule=None)
    if max(best, safe.best_held().held.skill if safe.marks else 0.0) > 2 * NOTHING:
        return
    noise = 1 / math.sqrt(len(forest.y))
    yield Finding(
        "labels-unrelated",
        0.95 - min(0.5, 5 * noise),  # a hundred rows in which nothing is seen say little
        {
            "rows": len(case.x),
            "related": inside,
            "related_held_out": outside,
            "skill_of_plain_network": look.reference.held.skill,
            "skill": base.held.skill if base.finite else None,
            "skill_with_a_safe_rate": safe.held.skill if safe.marks else None,
        },
        "the targets",
        "Look at ten rows beside their targets and join them anew: nothing learns these targets from these inputs.",
    )

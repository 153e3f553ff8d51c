"""too-few-samples: there are too few training rows for what is to be learnt.

Symptom: training rows are answered perfectly and held-out ones badly, whatever the model; another seed gives another score.
Why: a handful of rows of a class does not show how the class varies; of all functions that fit them most are wrong elsewhere.
Found: few rows (of a class); a gap between training and held-out rows; and a learning curve that still climbs: a plain network
on half of the rows is clearly worse on the held-out ones than on all of them.
Cure: more rows; until then augmentation, pre-trained features, a simpler model, cross-validation.
Source: Cortes et al. 1994, learning curves; Figueroa et al. 2012, predicting sample size required for classification performance.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ravine.diagnosis.case import Case
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look, reference_case
from ravine.diagnosis.trace import train
from ravine.randomness import permutation

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "over-fitting",
    "label-noise",
    "labels-unrelated",
    "class-imbalance",
    "batch-too-small",
    "batch-too-large",
    "capacity-too-small",
)

ROWS_OF_A_CLASS = 25
ROWS = 100  # of a regression
GAP = 0.08  # of skill between training and held-out rows
HANDFUL, GROSS = 0.7, 0.3  # so few rows that half and all of them are alike useless
CLIMB = 0.03  # of skill on held-out rows by doubling the rows


def find(look: Look) -> Iterator[Finding]:
    case = look.case
    rows = len(case.x)
    classes = max(2, len(case.labels.unique())) if case.task == "classification" else 1
    enough = ROWS_OF_A_CLASS * classes if case.task == "classification" else ROWS
    if rows >= enough or look.hurried:
        return
    base, all_rows = look.base, look.reference
    gap = (base.train.skill if base.finite else all_rows.train.skill) - (
        base.held.skill if base.finite else all_rows.held.skill
    )
    gap = max(gap, all_rows.train.skill - all_rows.held.skill)
    if not gap > GAP:
        return
    half = _half(look)
    climb = max(0.0, all_rows.held.skill) - half
    few = 1 - rows / enough
    if climb < CLIMB and not (few > HANDFUL and gap > GROSS):
        return
    yield Finding(
        "too-few-samples",
        min(0.95, 0.5 + 0.25 * min(1.0, (gap - GAP) / 0.15) + 0.25 * few),
        {
            "rows": rows,
            "rows_of_a_class": rows / classes,
            "gap": gap,
            "skill_with_half": half,
            "skill_with_all": all_rows.held.skill,
        },
        "the training rows",
        f"Gather more rows: {rows} are too few; have at least {enough}, and until then cross-validate and augment.",
        {},
        f"a plain network reaches a skill of {all_rows.held.skill:.3f} on held-out rows, and {half:.3f} with half of the rows",
    )


def _half(look: Look) -> float:
    """Skill on held-out rows of a plain network that saw half of the rows, mean over the two halves."""
    case = look.case
    order = permutation(len(case.x), case.seed, "halves")
    halves = (order[0::2], order[1::2])
    found = [train(reference_case(_kept(case, rows)), deadline=look.deadline) for rows in halves]
    return sum(max(0.0, trace.held.skill) if trace.finite else 0.0 for trace in found) / len(found)


def _kept(case: Case, rows: Tensor) -> Case:
    """The case with these rows, and a row of the last class, so that the number of outputs stays."""
    if case.task == "classification":
        rows = torch.cat([rows, case.labels.argmax()[None]])
    return case.but(x=case.x[rows], y=case.y[rows])

"""class-imbalance: a class is so rare in training that the model does without it.

Symptom: a fine accuracy, and a class that is never, or hardly ever, answered.
Why: the mean loss counts rows. A class with a hundredth of them gives a hundredth of the gradient, and answering the others
always costs little.
Found: training labels are counted; recall on held-out rows of the rare classes is far below that of the others. The same
training with rare rows repeated as often as the others says whether weighting is enough, or more rows of them are needed.
Cure: repeat or weight the rare rows (the `weight` of the loss), gather more of them, and judge by recall of every class.
Source: Japkowicz & Stephen 2002, the class imbalance problem; Buda et al. 2018, class imbalance in convolutional networks.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ravine.diagnosis.case import Case
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.trace import Trace, outputs, predicted

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "split-shift",
    "label-noise",
    "too-few-samples",
    "over-fitting",
    "under-fitting",
    "labels-unrelated",
    "too-few-epochs",
)

RATIO = 8.0  # most common class over a rare one; 70/30 is 2.3, 88/12 is 7.3
GROSS = 20.0
MISSED = 0.2  # recall of rare classes below that of the others


def find(look: Look) -> Iterator[Finding]:
    case = look.case
    if case.task == "regression" or look.hurried or int(case.labels.min()) < 0:
        return
    counts = torch.bincount(case.labels)
    present = counts > 0
    rare = present & (counts * RATIO <= counts.max())
    if not bool(rare.any()) or not look.base.finite:
        return
    before = _recalls(case, look.base, rare)
    if before is None or before[1] - before[0] < MISSED or before[1] < 0.3:
        return
    rows = _balanced(case, counts)
    # as many steps as before: a bigger set of rows is not a longer training
    after_trace = look.tried(steps=case.steps, x=case.x[rows], y=case.y[rows])
    after = _recalls(case, after_trace, rare) or before
    won = after[0] - before[0]
    ratio = float(counts.max() / counts[rare].min())
    missed = before[1] - before[0]
    confidence = 0.45 + 0.3 * min(1.0, max(0.0, won) / 0.3) + (0.2 * min(1.0, missed / 0.5) if ratio >= GROSS else 0.0)
    names = rare.nonzero()[:, 0].tolist()
    yield Finding(
        "class-imbalance",
        confidence,
        {
            "rows": counts.tolist() if len(counts) <= 20 else sorted(counts.tolist())[:20],
            "ratio": ratio,
            "recall_of_rare": before[0],
            "recall_of_others": before[1],
            "recall_of_rare_balanced": after[0],
        },
        f"class {', '.join(map(str, names[:5]))}",
        f"Weight the rows of class {', '.join(map(str, names[:5]))} by {ratio:.0f} in the loss or repeat them so often, or gather more.",
        {"x": case.x[rows], "y": case.y[rows], "epochs": max(1, round(case.epochs * len(case.x) / len(rows)))},
        f"with its rows repeated, recall of the rare {after[0]:.2f} instead of {before[0]:.2f}",
    )


def _recalls(case: Case, trace: Trace, rare: Tensor) -> tuple[float, float] | None:
    """Mean recall of the rare classes and of the others on held-out rows; on training rows for classes that have none there."""
    if trace.model is None or not trace.finite:
        return None
    labels = case.but(y=case.held_y).labels
    unseen = ~torch.isin(case.labels, labels)
    x, labels = torch.cat([case.held_x, case.x[unseen]]), torch.cat([labels, case.labels[unseen]])
    with torch.no_grad():
        said = predicted(case, outputs(trace.model.eval(), x))
    recalls = {c: float((said[labels == c] == c).float().mean()) for c in labels.unique().tolist() if c < len(rare)}
    few = [value for c, value in recalls.items() if rare[c]]
    rest = [value for c, value in recalls.items() if not rare[c]]
    return (sum(few) / len(few), sum(rest) / len(rest)) if few and rest else None


def _balanced(case: Case, counts: Tensor) -> Tensor:
    """Rows with those of every class repeated until there are as many as of the most common one."""
    found = []
    for c in counts.nonzero()[:, 0].tolist():
        rows = (case.labels == c).nonzero()[:, 0]
        found.append(rows.repeat(-(-int(counts.max()) // len(rows)))[: int(counts.max())])
    return torch.cat(found)

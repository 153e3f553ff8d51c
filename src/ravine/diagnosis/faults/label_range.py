"""label-range: labels lie outside what the loss takes.

Symptom: "Target 10 is out of bounds", a device-side assert, or a binary loss that falls below zero without end.
Why: cross-entropy picks the output of the label's number, 0 .. C-1; binary cross-entropy wants 0 .. 1. Labels that begin at 1,
that are -1 and 1, that are 255, or codes for "unknown" are none of these.
Found: labels of both splits are compared with the number of outputs; contiguous labels 0 .. K-1 that are merely more than the
outputs are `wrong-output-size` instead. -100 is left alone: torch ignores such rows.
Cure: number the classes 0 .. C-1 (for binary losses 0 and 1), or leave out the rows that have no class.
Source: torch.nn.CrossEntropyLoss ("the target should contain class indices in the range [0, C)"); torch.nn.BCEWithLogitsLoss.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ravine.diagnosis.case import Case
from ravine.diagnosis.catalogue import CATALOGUE
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.trace import outputs

__all__ = ["EXPLAINS", "find"]

EXPLAINS = tuple(name for name in CATALOGUE if name not in ("label-range", "nan-input"))
IGNORED = -100  # torch.nn.functional.cross_entropy's ignore_index
FEW = 10  # different values that may still be labels of a binary loss
STRAY = 0.2  # rows of a class that is not foreseen, of the usual class's: fewer are slips, not a class of their own


def find(look: Look) -> Iterator[Finding]:
    case = look.case
    if case.loss in ("cross_entropy", "nll") and not case.y.dtype.is_floating_point and case.y.ndim == 1:
        yield from _classes(look)
    elif case.loss in ("bce", "bce_with_logits"):
        yield from _binary(look)
    elif case.loss == "cross_entropy" and case.y.dtype.is_floating_point and case.y.ndim == 2:
        sums = case.y.sum(1)
        if float(case.y.min()) < -1e-4 or float((sums - 1).abs().max()) > 0.01:
            shares = case.y.clamp_min(0) / case.y.clamp_min(0).sum(1, keepdim=True).clamp_min(1e-12)
            yield _finding(
                look,
                {"row_sum": float(sums.mean()), "smallest": float(case.y.min())},
                {"y": shares},
                "shares that add up to 1",
            )


def _classes(look: Look) -> Iterator[Finding]:
    case, size = look.case, _outputs(look.case)
    labels = case.y[case.y != IGNORED]
    both = torch.cat([labels, case.held_y[case.held_y != IGNORED]])
    if size < 2 or not len(labels):
        return
    outside = (both < 0) | (both >= size)
    if not bool(outside.any()):
        return
    known = labels.unique()
    if int(both.min()) == 0 and len(known) > size and _in_a_row(known):
        counts = torch.bincount(labels)
        if float(counts[size:].float().mean()) >= STRAY * float(counts[:size].float().median()):
            return  # more classes than outputs: wrong-output-size
    evidence = {
        "smallest": int(both.min()), "largest": int(both.max()), "outputs": size, "outside": int(outside.sum()),
        "share": float(outside.float().mean()),
    }  # fmt: skip
    if len(known) <= size and not bool(
        ((known >= 0) & (known < size)).all()
    ):  # the classes are there under other numbers
        change = {"y": _placed(case.y, known), "held_y": _placed(case.held_y, known)}
        yield _finding(look, evidence, change, f"the numbers 0 .. {size - 1}")
        return
    kept, held = ((y >= 0) & (y < size) for y in (case.y, case.held_y))
    change = {"x": case.x[kept], "y": case.y[kept], "held_x": case.held_x[held], "held_y": case.held_y[held]}
    yield _finding(look, evidence, change, f"the numbers 0 .. {size - 1}, and leave out the rows that have none")


def _binary(look: Look) -> Iterator[Finding]:
    case = look.case
    both = torch.cat([case.y.flatten(), case.held_y.flatten()]).float()
    if float(both.min()) >= -1e-4 and float(both.max()) <= 1 + 1e-4:
        return
    known = both.unique()
    if len(known) > FEW:
        return  # numbers, not labels: wrong-loss
    change: dict[str, Any] = {}
    if len(known) == 2:
        change = {"y": (case.y == known[1]).float(), "held_y": (case.held_y == known[1]).float()}
    evidence = {"smallest": float(both.min()), "largest": float(both.max()), "values": len(known)}
    yield _finding(look, evidence, change, "0 and 1")


def _finding(look: Look, evidence: dict[str, Any], change: dict[str, Any], wanted: str) -> Finding:
    said = ""
    if change and len(change["y"]) > 1 and not look.hurried:
        healed = look.tried(**change)
        if healed.finite:
            said = f"so numbered, the training ends with a metric of {healed.held.metric:.3f} on held-out rows"
    return Finding("label-range", 1.0, evidence, "the labels", f"Give the labels as {wanted}.", change, said)


def _outputs(case: Case) -> int:
    """How many numbers the model gives for a row, 0 where it gives none."""
    try:
        with torch.no_grad():
            out: Tensor = outputs(case.build().eval(), case.x[:2])
        return out.shape[1] if out.ndim == 2 else 0
    except Exception:
        return 0


def _placed(y: Tensor, known: Tensor) -> Tensor:
    """Labels by their place among those that are known."""
    return torch.searchsorted(known, y).clamp_max(len(known) - 1)


def _in_a_row(known: Tensor) -> bool:
    return bool((known == torch.arange(len(known))).all())

"""wrong-output-size: the model gives another number of outputs than the targets need.

Symptom: the loss raises ("Target 7 is out of bounds", "size of tensor a must match"), or broadcasts targets without a word; with
too many outputs the model spends its first epochs on learning that some never happen.
Why: the last layer was sized for another data set, or classes were counted without the first or the last one.
Found: outputs of the untrained model are counted and held against the labels of both splits, or the numbers of a target.
Cure: give the last layer one output per class (or per number of a regression's target).
Source: torch.nn.CrossEntropyLoss (class indices in [0, C)); Humbatova et al. 2020, taxonomy of real faults in deep learning
systems ("wrong size of the output layer").
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ravine.diagnosis.finding import Finding, grown
from ravine.diagnosis.look import Look
from ravine.diagnosis.symptoms import SYMPTOMS

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (*SYMPTOMS, "wrong-loss", "bounded-output")

STRAY = 0.02  # share of rows with a label beyond the outputs below which the labels are suspected, not the model
MANY = 20  # classes above which one that happens to be absent is no surprise


def find(look: Look) -> Iterator[Finding]:
    case, out = look.case, look.outputs
    if out is None or out.ndim == 0 or not len(out) or len(out) != len(case.x[: len(out)]):
        return
    if case.loss in ("cross_entropy", "nll") or (case.task == "classification" and not isinstance(case.loss, str)):
        yield from _classes(look, out)
    elif (isinstance(case.loss, str) and case.task == "regression") or case.loss in ("bce", "bce_with_logits"):
        yield from _numbers(look, out)


def _classes(look: Look, out: Tensor) -> Iterator[Finding]:
    case, count = look.case, out.shape[1] if out.ndim > 1 else 1
    if case.y.dtype.is_floating_point and case.y.ndim < 2:
        return
    if case.y.ndim > 1 and case.y.shape[1] > 1:
        if count != case.y.shape[1] and out.ndim == case.y.ndim:
            yield _finding(look, count, case.y.shape[1], 0.97)
        return
    labels, held = case.labels, case.but(y=case.held_y).labels if len(case.held_y) else case.labels[:1]
    needed, present = int(torch.cat([labels, held]).max()) + 1, len(labels.unique())
    if count < needed:
        stray = float((labels >= count).float().mean())
        shifted = int(labels.min()) > 0 and present <= count  # numbered from one: the labels are at fault
        certain = 0.4 if shifted or stray < STRAY or int(labels.min()) < 0 else 0.99
        if isinstance(case.loss, str) or look.start.raised:
            yield _finding(look, count, needed, 1.0 if look.start.raised and certain > 0.9 else certain)
    elif count > needed and case.loss in ("cross_entropy", "nll"):
        spare = (count - needed) / needed
        yield _finding(look, count, needed, 0.4 if needed > MANY and spare < 0.1 else grown(0.6, 0.9, spare))


def _numbers(look: Look, out: Tensor) -> Iterator[Finding]:
    case = look.case
    got, needed = out[0].numel(), case.y[0].numel()
    if got == needed or (case.loss in ("bce", "bce_with_logits") and case.classes > 2):
        return
    yield _finding(look, got, needed, 1.0 if look.start.raised else 0.97)


def _finding(look: Look, got: int, needed: int, confidence: float) -> Finding:
    return Finding(
        "wrong-output-size",
        confidence,
        {"outputs": got, "needed": needed, "raised": look.start.raised},
        "the model's last layer",
        f"Give the last layer {needed} output{'s' if needed > 1 else ''} instead of {got}.",
    )

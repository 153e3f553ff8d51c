"""wrong-loss: the loss does not ask for what is wanted, so that lowering it teaches something else or nothing.

Symptom: the loss falls (to minus infinity even) and the score does not rise; or the loss raises for outputs or targets of another
kind.
Why: a loss was taken for another kind of target or last layer (nll of logits, bce of numbers outside [0, 1], mse of class numbers),
a reduction or a broadcast runs over the wrong dimension ([B, 1] against [B] makes [B, B]), or the wrong thing is compared.
Found: answers are made up, and right ones must cost less than a blank one, the same for every row; a number added to all logits must
not pay; and where the model falls short of a plain network it is trained again with the loss usual for such targets.
Cure: cross_entropy of logits for classes, bce_with_logits for yes or no, mse for numbers, outputs and targets of one shape.
Source: Goodfellow, Bengio and Courville 2016, Deep Learning, 6.2; Humbatova et al. 2020, taxonomy of real faults ("wrong loss
function").
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from ravine.diagnosis.answers import SHIFT, answers
from ravine.diagnosis.finding import Finding, grown
from ravine.diagnosis.look import Look
from ravine.diagnosis.symptoms import SYMPTOMS
from ravine.diagnosis.tail import form_of, last_layer
from ravine.diagnosis.worth import gain

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (*SYMPTOMS, "label-noise", "labels-unrelated", "target-unscaled", "class-imbalance", "bounded-output")

SHORT = 0.1  # skill that must be missing before another loss is tried
WELL = 0.05  # skill missing below which a loss that looks wrong is believed to be meant
MANY = 30  # numbers that may still be classes
CLOSED = 0.5  # share of it that the other loss must bring


def find(look: Look) -> Iterator[Finding]:
    case, out = look.case, look.outputs
    if out is None or not len(out) or out.ndim == 0 or len(out) != min(len(case.x), len(out)):
        return
    said = _kind(look, out)
    if said is not None:
        yield _finding(look, out, *said)
    elif not look.start.raised:
        yield from _made_up(look, out)
        yield from _as_numbers(look, out)


def _kind(look: Look, out: Tensor) -> tuple[float, dict[str, object]] | None:
    """A loss that does not go with outputs or targets of this kind, by its name."""
    case, loss, y = look.case, look.case.loss, look.case.y
    raised = look.start.raised
    sure = 1.0 if raised else 0.97
    whole = bool((y == y.round()).all())
    many = out.ndim > 1 and out.shape[1] > 1
    if loss in ("bce", "bce_with_logits"):
        beyond = float(((y < 0) | (y > 1)).float().mean())
        if beyond > 0 and (not whole or (y.ndim == 1 and len(y.unique()) > 2)):
            return sure, {"targets_outside_0_1": beyond}
        if many and y.ndim == 1 and out.shape[1] == case.classes > 2:
            return sure, {"outputs": out.shape[1], "classes": case.classes}
        if loss == "bce" and raised and "between 0 and 1" in raised:
            return sure, {"outputs_outside_0_1": float(((out < 0) | (out > 1)).float().mean())}
    elif (
        loss in ("mse", "mae")
        and not y.dtype.is_floating_point
        and many
        and y.ndim == 1
        and case.classes == out.shape[1]
    ):
        return sure, {"outputs": out.shape[1], "targets": "class numbers"}
    elif loss in ("cross_entropy", "nll"):
        if y.dtype.is_floating_point and y.ndim < 3 and y[0].numel() == 1 and not whole:
            return sure, {"targets": "numbers, not classes"}
        if loss == "nll" and many and form_of(out) == "numbers":
            return 0.97, {"sum_of_exp": float(out.exp().sum(1).mean())}
    return None


def _made_up(look: Look, out: Tensor) -> Iterator[Finding]:
    case = look.case
    if isinstance(case.loss, str) and (case.loss not in ("mse", "mae") or case.task == "regression"):
        return  # by its name it is what it should be
    found = answers(case, out, form_of(out))
    if found is not None:
        spread = max(abs(found.wrong - found.blank), abs(found.right - found.blank), 1e-12)
        evidence: dict[str, object] = {"loss_right": found.right, "loss_blank": found.blank, "loss_wrong": found.wrong}
        if found.turned:
            return  # gradient-ascent
        blind = found.right >= found.blank - 1e-3 * spread
        bottomless = found.shifted < found.blank - 0.5 * SHIFT
        if blind or bottomless:
            # outputs may be meant otherwise, as the logarithm of a rate: then the model does well
            confidence = 0.96 if look.shortfall > WELL else 0.4
            yield _finding(look, out, confidence, {**evidence, "loss_shifted": found.shifted if bottomless else None})
            return
    usual = _usual(look, out)
    if usual is None or look.hurried or max(look.under, look.shortfall) < SHORT:
        return
    after = look.tried(loss=usual)
    better, missing = gain(look.base, after), max(look.under, look.shortfall)
    if better > CLOSED * missing:
        verified = f"skill {after.train.skill:.2f} instead of {look.base.train.skill:.2f} with {usual}"
        yield _finding(look, out, grown(0.55, 0.92, (better - 0.05) / 0.3), {"skill": look.base.train.skill}, verified)


def _as_numbers(look: Look, out: Tensor) -> Iterator[Finding]:
    """Classes regressed as numbers: no fault where they have an order, and then a classifier is no better."""
    case = look.case
    regressed = (
        case.loss in ("mse", "mae") and case.task == "classification" and out[0].numel() == case.y[0].numel() == 1
    )
    if not regressed or not 2 < len(case.y.unique()) == case.classes <= MANY or look.hurried or look.shortfall < SHORT:
        return
    last = last_layer(case)
    if last is None or not isinstance(last[1], nn.Linear):
        return
    after = look.tried(make_model=look.remade(partial(_as_classes, last[0], case.classes)), loss="cross_entropy")
    better = gain(look.base, after)
    if better > CLOSED * look.shortfall:
        verified = f"skill {after.train.skill:.2f} instead of {look.base.train.skill:.2f} with an output per class and cross_entropy"
        yield _finding(look, out, grown(0.6, 0.95, better / 0.3), {"classes": case.classes, "outputs": 1}, verified)


def _as_classes(name: str, classes: int, model: nn.Module) -> nn.Module | None:
    last = model.get_submodule(name)
    assert isinstance(last, nn.Linear)
    more = nn.Linear(last.in_features, classes, bias=last.bias is not None)
    if not name:
        return more
    model.set_submodule(name, more)
    return None


def _usual(look: Look, out: Tensor) -> str | None:
    """The loss for such targets and outputs."""
    case = look.case
    if case.task == "regression":
        return "mse" if out[0].numel() == case.y[0].numel() else None
    if out.ndim == 2 and out.shape[1] >= max(2, case.classes):
        return "nll" if form_of(out) == "log-probabilities" else "cross_entropy"
    if case.classes == 2:
        inside = bool(((out >= 0) & (out <= 1)).all())
        return "bce" if inside else "bce_with_logits"
    return None


def _finding(look: Look, out: Tensor, confidence: float, evidence: dict[str, object], verified: str = "") -> Finding:
    case = look.case
    numbers = (
        case.y.dtype.is_floating_point
        and not math.isnan(float(case.y.float().mean()))
        and len(torch.unique(case.y)) > 20
    )
    usual = "mse" if numbers else _usual(look, out) or "cross_entropy"
    name = case.loss if isinstance(case.loss, str) else "the loss given"
    raised = {"raised": look.start.raised} if look.start.raised else {}
    change: dict[str, object] = {"loss": usual}
    return Finding(
        "wrong-loss", confidence, {**evidence, **raised}, f"loss={name}", f"Use loss={usual!r}.", change, verified
    )

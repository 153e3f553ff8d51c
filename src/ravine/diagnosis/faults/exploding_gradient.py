"""exploding-gradient: the gradient grows from layer to layer on its way back, or from time to time by a great deal.

Symptom: the loss is huge or NaN within a few steps; gradient norms in the thousands or more, or rare steps whose gradient is a
hundred times the usual one, after each of which the loss jumps up.
Why: every layer (or time step) multiplies the signal and the gradient; by 2 in each of ten layers makes a thousand. A step along
such a gradient lands far away from where it was measured.
Found: the first gradient is more than 100 times as large as that of the same model with weights drawn
by default, in a network of six layers or more or one that is recurrent; or the training of such a one fails or has gradients that
jump; or the first gradient is 100 times the weights though inputs and targets are of usual size. It is surer where with the
gradient clipped, or the weights drawn anew, training ends better.
Cure: weights of variance 2 / inputs, normalization, and gradients clipped to a norm of 1 before each step.
Source: Pascanu et al. 2013, On the difficulty of training recurrent neural networks; He et al. 2015, Delving deep into rectifiers.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from typing import Any

from torch import nn

from ravine.diagnosis.case import Case
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import FIRST, Look
from ravine.diagnosis.remaking import Clipped, drawn_afresh, rectified, weights_of
from ravine.diagnosis.worth import figure, improvement, in_words, sure

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "init-too-large",
    "lr-too-high",
    "lr-too-low",
    "oscillating-loss",
    "momentum-too-high",
    "batch-too-small",
    "batch-too-large",
    "dead-units",
    "saturated-units",
    "too-few-epochs",
    "over-fitting",
    "under-fitting",
    "target-unscaled",
    "too-few-samples",
    "capacity-too-small",
    "decayed-too-early",
)

DEPTH = 6  # layers with weights
LARGE = 100.0  # times the first gradient of the model with weights drawn anew
CERTAIN = 1000.0  # times it: a fault, even where an adaptive rule has trained in spite of it
JUMP = 100.0  # times the median gradient of a training
GROWN = 1e3  # times the inputs, which no layers of a healthy network make of them
SHORT = 0.08  # of the skill


def find(look: Look) -> Iterator[Finding]:
    if look.start.raised:
        return
    recurrent = any(isinstance(module, nn.RNNBase | nn.RNNCellBase) for module in look.model.modules())
    deep = recurrent or sum(1 for _ in weights_of(look.model)) >= DEPTH
    short = max(look.under, look.shortfall) > SHORT
    if not deep and not short:
        return
    first, usual = first_gradient(look.case), first_gradient(look.case.but(make_model=look.remade(drawn_afresh)))
    evidence: dict[str, Any] = {"first_gradient": figure(first), "first_gradient_by_default": figure(usual)}
    if deep and not first <= (LARGE if short else CERTAIN) * usual:
        yield _redrawn(look, evidence)
        return
    if not short:
        return
    norms = [norm for norm in look.base.grads if math.isfinite(norm)]
    jump = max(norms) / max(statistics.median(norms), 1e-30) if norms else math.inf
    size = math.sqrt(sum(float(p.detach().square().sum()) for p in look.model.parameters()))
    steep = first > LARGE * size and first < 10 * usual and even(look.case)
    if steep or (deep and (jump > JUMP or not look.base.finite)):
        yield _clipped(look, {**evidence, "largest_over_median": figure(jump)}, deep)


def growth(look: Look) -> float:
    """How many times as far the untrained outputs lie apart over the rows as the inputs do."""
    x = look.case.x[:FIRST].float().flatten(1)
    return look.first_layers[-1].over_rows / max(float(x.std(0).mean()), 1e-30) if look.first_layers else 1.0


def even(case: Case) -> bool:
    """Whether inputs and targets are of a usual size: else it is they that make the gradient large."""
    return bool(case.x.float().abs().max() < 100) and (case.task == "classification" or bool(case.y.abs().max() < 100))


def first_gradient(case: Case) -> float:
    """The norm of the untrained model's gradient; inf where it is not finite."""
    start = Look(case.but(x=case.x[:FIRST], y=case.y[:FIRST])).start
    total = math.sqrt(sum(norm**2 for norm in start.grads.values()))
    return total if math.isfinite(total) else math.inf


def _redrawn(look: Look, evidence: dict[str, Any]) -> Finding:
    confidence, said = 0.8, ""
    redrawn: dict[str, Any] = {"make_model": look.remade(rectified)}
    by_default: dict[str, Any] = {"make_model": look.remade(drawn_afresh)}
    for change in (redrawn, by_default, {**redrawn, "rule": Clipped(look.case)}):
        if look.hurried:
            break
        cured = look.tried(**change)
        gained = improvement(look.base, cured)
        if gained > SHORT:
            confidence, said = sure(gained, least=0.8, most=0.97), in_words(look.base, cured)
            break
    return Finding(
        "exploding-gradient",
        confidence,
        evidence,
        "the initial weights, layer by layer",
        "Draw weights with variance 2 / inputs, and clip the gradient to a norm of 1.",
        change,
        said,
    )


def _clipped(look: Look, evidence: dict[str, Any], deep: bool) -> Finding:
    rule, grown = Clipped(look.case), growth(look)
    evidence = {**evidence, "outputs_over_inputs": figure(grown)}
    confidence, said = (0.7 if deep and not grown <= GROWN else 0.4), ""
    if not look.hurried:
        cured, slower = look.tried(rule=rule), look.tried(lr=look.case.lr * 0.1)
        gained = improvement(look.base, cured)
        if gained > SHORT and gained > improvement(look.base, slower) - SHORT:
            confidence, said = sure(gained, most=0.9), in_words(look.base, cured)
    return Finding(
        "exploding-gradient",
        confidence,
        evidence,
        "the gradient of all parameters",
        "Clip the gradient to a norm of 1 before each step (torch.nn.utils.clip_grad_norm_).",
        {"rule": rule},
        said,
    )

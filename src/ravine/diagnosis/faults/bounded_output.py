"""bounded-output: the last layer is a ReLU, tanh or sigmoid, and the targets lie where it cannot go.

Symptom: a regression predicts one end of the range for many rows; a classifier's loss stops at a floor, or classes die.
Why: an activation at the end cuts the outputs off: targets beyond it cannot be reached and get no gradient there. Logits cut to
a range of width w leave a cross-entropy of log(1 + (C - 1) exp(-w)) at least; a ReLU takes from a class whose logit is negative
any way to come back.
Found: the untrained model is driven by inputs up to 1000 times as large; outputs that pile up at -1, 0, 1 or 6 are at an end (or
the last module is such an activation). Held against the targets: the share of their variance that lies beyond, or the floor.
Cure: end the model in its linear layer; scale targets into the range only where a range is meant.
Source: Goodfellow, Bengio and Courville 2016, Deep Learning, 6.2.2 (output units); Humbatova et al. 2020, taxonomy of real faults.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

from torch import Tensor, nn

from ravine.diagnosis.finding import Finding, grown
from ravine.diagnosis.look import Look
from ravine.diagnosis.symptoms import SYMPTOMS
from ravine.diagnosis.tail import bounds_of, form_of, last_layer, without
from ravine.diagnosis.worth import gain

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (*SYMPTOMS, "missing-nonlinearity", "target-unscaled", "wrong-loss")

ENDS: dict[type[nn.Module], tuple[float, float]] = {
    nn.ReLU: (0.0, math.inf),
    nn.ReLU6: (0.0, 6.0),
    nn.Sigmoid: (0.0, 1.0),
    nn.Hardsigmoid: (0.0, 1.0),
    nn.Tanh: (-1.0, 1.0),
    nn.Hardtanh: (-1.0, 1.0),
    nn.Softsign: (-1.0, 1.0),
    nn.Softplus: (0.0, math.inf),
    nn.ELU: (-1.0, math.inf),
}

LOST = 0.01  # of the targets' variance beyond the ends: what cannot be learnt at all
FLOOR = 0.05  # nats a cross-entropy keeps; labels right in 95 % have about as much


def find(look: Look) -> Iterator[Finding]:
    case, out = look.case, look.outputs
    if out is None or not len(out) or form_of(out) != "numbers":
        return
    last = last_layer(case)
    ends = ENDS.get(type(last[1])) if last else None
    if ends is None:
        bounds = bounds_of(case)
        ends = bounds.low, bounds.high
    low, high = ends
    if math.isinf(low) and math.isinf(high):
        return
    judged = _regression(look, low, high) if case.task == "regression" else _classes(look, out, low, high, last)
    if judged is None:
        return
    confidence, evidence = judged
    verified, change = "", {}
    if last and last[0] and isinstance(last[1], tuple(ENDS)):
        factory = look.remade(partial(without, last[0]))
        change = {"make_model": factory}
        if not look.hurried and not look.start.raised:
            after = look.tried(make_model=factory)
            if gain(look.base, after) > 0.02:
                confidence = max(confidence, grown(0.7, 0.97, gain(look.base, after) / 0.2))
                verified = f"skill {after.train.skill:.2f} instead of {look.base.train.skill:.2f} without it"
    name = type(last[1]).__name__ if last else "the last operation"
    yield Finding(
        "bounded-output",
        confidence,
        {"low": low, "high": high, **evidence},
        f"{last[0]} ({name})" if last else "the model's end",
        f"Take {name} off the end of the model: its outputs stay within [{low:g}, {high:g}].",
        change,
        verified,
    )


def _regression(look: Look, low: float, high: float) -> tuple[float, dict[str, float]] | None:
    y = look.case.y.float()
    spread = float(y.var())
    lost = float((y - y.clamp(low, high)).square().mean()) / max(spread, 1e-30)
    outside = float(((y < low) | (y > high)).float().mean())
    if lost < LOST:
        return None
    return grown(0.6, 0.97, lost / 0.1), {"targets_outside": outside, "variance_lost": lost}


def _classes(look: Look, out: Tensor, low: float, high: float, last: object) -> tuple[float, dict[str, float]] | None:
    case = look.case
    if case.loss == "bce":
        outside = low < 0 or high > 1
        return (0.95, {"raised": bool(look.start.raised)}) if outside else None
    if case.loss == "bce_with_logits":
        if (low, high) == (0.0, 1.0):
            return None  # a sigmoid: softmax-before-loss
        floor = math.log1p(math.exp(low)) if low > -math.inf else 0.0  # of a row of class 0
        floor = max(floor, math.log1p(math.exp(-high))) if high < math.inf else floor
    elif out.ndim != 2 or out.shape[1] < 2:
        return None
    elif high == math.inf:
        bare = low == 0.0 and not (isinstance(last, tuple) and isinstance(last[1], nn.Softplus | nn.ELU))
        floor = 1.0 if bare else 0.0
    else:
        floor = math.log1p((case.classes - 1) * math.exp(low - high)) if low > -math.inf else 0.0
    if floor < FLOOR:
        return None
    confidence = grown(0.6, 0.95, floor / 0.5)
    # a loss of one's own may be made for such outputs, as a hinge is
    return (confidence if isinstance(case.loss, str) else 0.4), {
        "loss_floor": floor,
        "outputs_at_end": _at_end(out, low),
    }


def _at_end(out: Tensor, low: float) -> float:
    return float((out == low).float().mean())

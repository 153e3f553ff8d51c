"""What the curvature of the untrained network says about the largest learning rate, before any training.

By the theory of the quadratic, descent converges below a rate that the largest eigenvalue of the Hessian sets. Step 3
finds the largest safe rate by training; the two stand side by side, for where they part, the network is no quadratic:
its curvature changes on the way, and batches are noisy (Lewkowycz et al. 2020; Cohen et al. 2021).
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ravine.curvature import Objective, extremes, hessian
from ravine.data import MemorySplit, Split
from ravine.errors import InputError, ModelError, SettingError
from ravine.landscapes.theory import Kind, Theory
from ravine.randomness import permutation
from ravine.recipe.session import Session
from ravine.rules import SGD
from ravine.training import Setting, has_batch_norm

__all__ = [
    "LEAST",
    "Sharpness",
    "affordable",
    "compared",
    "measure_sharpness",
    "sample",
    "sharpness_evidence",
    "stable_below",
]

SHARE = 0.1  # of the step's time that this may take at most
EXAMPLES, LEAST = 1000, 100  # at most, at least
PRODUCTS, TOL = 30, 0.02
COST = 30  # gradients that it costs, by experience: 10 to 15 products of 1.3 to 3


@dataclass(frozen=True)
class Sharpness:
    """The largest eigenvalue of the Hessian of the training loss, in evaluation mode."""

    largest: float
    error: float  # an eigenvalue lies this near
    examples: int
    products: int
    seconds: float


def stable_below(setting: Setting, largest: float) -> float | None:
    """The rate below which the optimizer of `setting` converges on a quadratic with this largest eigenvalue.

    2 / largest for plain descent, 2 (1 + rho) / largest for heavy ball, and 2 (1 + rho) / ((1 + 2 rho) largest) in
    Nesterov's form, which is that of a Setting's sgd with momentum. None where theory has no such rate: rules that scale
    each coordinate's step, and surfaces that nowhere curve up.

    >>> round(stable_below(Setting("sgd", momentum=0.0), 100.0), 6), round(stable_below(Setting("sgd"), 100.0), 6)
    (0.02, 0.013571)
    >>> stable_below(Setting("adamw"), 100.0) is None
    True
    """
    rule = setting.rule()
    if not isinstance(rule, SGD) or not 0 < largest < math.inf:
        return None
    rho = float(rule.momentum)
    kind: Kind = "gd" if not rho else "nesterov" if rule.nesterov else "momentum"
    return Theory(torch.full((1, 1), largest, dtype=torch.float64), kind, rho).edge


def sample(split: Split, count: int, seed: int) -> Split:
    """At most `count` examples, drawn evenly over the split: the same for the same seed. The split itself when it has no more."""
    if len(split) <= count:
        return split
    rows = permutation(len(split), seed, "curvature", "sample")[:count].sort().values
    return MemorySplit(*split.batch(rows.to(split.y.device)))


def affordable(few: Objective, gradients: int, seconds: float) -> int:
    """Over how many examples so many gradients fit into the time, judged by two over `few` of them."""

    def taken() -> float:
        began = time.monotonic()
        few.gradient()
        return time.monotonic() - began

    each = max(min(taken(), taken()) / few.examples, 1e-12)
    return int(min(seconds / (gradients * each), sys.maxsize))


def measure_sharpness(session: Session, seconds: float = math.inf) -> Sharpness:
    """Of the network as it is before training, on as many of 1,000 training examples as `seconds` allow.

    Raises InputError, with the reason, where it cannot be measured or there is no time.
    """
    began = time.monotonic()
    module = session.model.build(session.seed, device=session.device)
    if has_batch_norm(module):
        raise ModelError("before training, batch norm's running statistics are not those of the data")
    few = Objective(module, sample(session.data.train, LEAST, session.seed), session.data.task)
    count = min(EXAMPLES, affordable(few, COST, seconds))
    if count < LEAST:
        raise SettingError(f"{seconds:.1f} s are too few for {LEAST} examples")
    objective = Objective(module, sample(session.data.train, count, session.seed), session.data.task)
    found = extremes(
        hessian(objective), smallest=0, tol=TOL, steps=PRODUCTS, seed=session.seed, deadline=began + seconds
    )
    return Sharpness(
        largest=float(found.largest.values[0]),
        error=float(found.largest.errors[0]),
        examples=objective.examples,
        products=found.products,
        seconds=round(time.monotonic() - began, 4),
    )


def sharpness_evidence(session: Session, optimizers: Sequence[str], seconds: float) -> dict[str, Any] | None:
    """What step 3 records of it: the eigenvalue and each optimizer's rate, or why there is none.

    None when no optimizer has such a rate. seconds: of the whole step.
    """
    settings = {name: Setting(name) for name in optimizers}
    if all(stable_below(setting, 1.0) is None for setting in settings.values()):
        return None
    try:
        found = measure_sharpness(session, SHARE * seconds)
    except InputError as error:
        return {"left_out": str(error)}
    except Exception as error:  # whatever a model raises in evaluation mode or at its second derivative: step 3 goes on
        return {"left_out": " ".join(f"{type(error).__name__}: {error}".split())}
    limits = {name: stable_below(setting, found.largest) for name, setting in settings.items()}
    return {**vars(found), "stable_below": {name: limit for name, limit in limits.items() if limit is not None}}


def compared(curvature: dict[str, Any], safe: dict[str, float]) -> str:
    """What curvature predicts beside what training found, in words. safe: the largest safe rate of each optimizer.

    >>> compared({"largest": 20.0, "examples": 1000, "stable_below": {"sgd": 0.05}}, {"sgd": 0.1})
    'The largest eigenvalue of the untrained network, 20 on 1,000 examples, lets sgd converge below 0.05; in training, rates up to 0.1 were safe.'
    """
    if "left_out" in curvature:
        return f"The curvature of the untrained network was left out: {curvature['left_out']}"
    said = [
        f"lets {name} converge below {limit:.2g}; in training, "
        + (f"rates up to {safe[name]:.2g} were safe" if safe[name] > 0 else "no rate was safe")
        for name, limit in curvature["stable_below"].items()
    ]
    found = f"The largest eigenvalue of the untrained network, {curvature['largest']:.3g} on {curvature['examples']:,} examples,"
    return f"{found} {', and '.join(said) or 'sets no rate, for the loss nowhere curves up'}."

"""Faults of the optimization, planted: settings are changed, model and data are not.

How far a setting must go before it hurts depends on the task, so a plant walks from the healthy value outwards and stops
at the first that costs as much as it should: a tenth of the skill on held-out rows for a mild fault, 0.4 of it for a severe
one, and then a notch more where there is one. A setting that never costs so much on a task has no fault to plant there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from ravine import optim
from ravine.diagnosis import Case
from ravine.diagnosis.trace import Trace, train
from ravine.schedules import Exponential, MultiStep

from .kinds import Plant, Severity

__all__ = ["PLANTS"]

COST = {"mild": 0.1, "severe": 0.4}
STEPS = 6_000  # of one small-batch run, so that it ends in seconds


def skill(run: Trace) -> float:
    return max(0.0, run.held.skill) if run.finite and math.isfinite(run.held.skill) else 0.0


def outward(
    case: Case, severity: Severity, changed: Iterable[Mapping[str, Any]], cost: float | None = None
) -> Case | None:
    """The first change that costs as much as it should; None where none does."""
    healthy, wanted = skill(train(case)), COST[severity] if cost is None else cost
    for change in changed:
        planted = case.but(**change)
        if healthy - skill(train(planted)) >= wanted:
            return planted
    return None


def lr_too_high(case: Case, severity: Severity) -> Case | None:
    return outward(case, severity, ({"lr": case.lr * factor} for factor in (10, 30, 100, 300, 1000, 3000)))


def lr_too_low(case: Case, severity: Severity) -> Case | None:
    return outward(case, severity, ({"lr": case.lr * factor} for factor in (0.1, 0.03, 0.01, 0.003, 0.001)))


def momentum_too_high(case: Case, severity: Severity) -> Case | None:
    """Descent with momentum at a constant rate that is healthy with 0.9."""
    lr = case.lr if case.rule == "sgd" else 0.05
    start = case.but(rule="sgd", lr=lr, momentum=0.9, weight_decay=0.0, schedule=None)
    return outward(
        start,
        severity,
        ({"momentum": value, "lr": lr * factor} for factor in (1, 3) for value in (0.98, 0.99, 0.995, 0.999)),
    )


def adam(**settings: Any) -> Callable[..., torch.optim.Optimizer]:
    return lambda parameters, lr: optim.Adam(parameters, lr=lr, **settings)


def oscillating_loss(case: Case, severity: Severity) -> Case | None:
    """A constant rate at the edge of what is stable: the loss goes up and down, and what is learnt is fair still. Where no rate
    does so, descent over all rows whose loss goes up and down by turns.
    """
    width = {"mild": 0.07, "severe": 0.12}[severity]
    start = case.but(epochs=max(case.epochs, 16), schedule=None)
    best = skill(train(start))
    for size in (case.batch_size, 8):
        calm = swing(train(start.but(batch_size=size)))
        for factor in (5, 7, 10, 14, 20, 28):
            planted = start.but(lr=case.lr * factor, batch_size=size)
            run = train(planted)
            fair = run.finite and skill(run) > best - 0.8 * COST["mild"]
            if fair and swing(run) > max(width, 2.5 * calm):
                return planted
    for lr in (0.2, 0.4, 0.8, 1.6, 2.5, 4.0, 5.0):
        planted = case.but(rule="sgd", momentum=0.0, batch_size=len(case.x), epochs=150, schedule=None, lr=lr)
        run = train(planted)
        if run.finite and turning(run.losses[-40:]):
            return planted
    return None


def turning(losses: list[float]) -> bool:
    """Whether every other loss is higher than the ones beside it, by a twentieth, from first to last."""
    steps = np.diff(losses)
    return bool((steps[1:] * steps[:-1] < 0).all() and np.abs(steps).min() > 0.05 * np.abs(losses).max())


def swing(run: Trace) -> float:
    """Standard deviation of the losses about a line over the last third, in units of the loss before the first step."""
    last = np.asarray(run.losses[-len(run.losses) // 3 :])
    line = np.polyval(np.polyfit(np.arange(len(last)), last, 1), np.arange(len(last)))
    return float((last - line).std() / abs(run.marks[0].train.loss))


def batch_too_small(case: Case, severity: Severity) -> Case | None:
    """One or two rows a step, at the healthy rate, or three times of it where that does no harm."""

    def small(size: int, factor: float) -> Mapping[str, Any]:
        epochs = max(1, min(case.epochs, STEPS * size // len(case.x)))
        return {"batch_size": size, "epochs": epochs, "lr": case.lr * factor}

    sizes = (2, 1) if severity == "mild" else (1,)
    return outward(
        case, severity, (small(size, factor) for factor in (1, 3) for size in sizes), cost=COST[severity] / 2
    )


def batch_too_large(case: Case, severity: Severity) -> Case | None:
    parts = (8, 4, 2, 1) if severity == "mild" else (2, 1)
    return outward(case, severity, ({"batch_size": len(case.x) // part} for part in parts), cost=COST["mild"])


def too_few_epochs(case: Case, severity: Severity) -> Case | None:
    if severity == "severe":
        return outward(case, severity, ({"epochs": 1},), cost=COST["mild"])
    fewer = sorted({max(1, case.epochs // part) for part in (5, 8, 12, 20, 40)}, reverse=True)
    return outward(case, severity, ({"epochs": epochs} for epochs in fewer))


def decayed_too_early(case: Case, severity: Severity) -> Case | None:
    return outward(case, severity, ({"schedule": shape} for shape in early(severity)))


def early(severity: Severity) -> Iterator[Any]:
    """Shapes that fall ever sooner: by steps of a hundredth, or along an exponential."""
    for share in (0.2, 0.1, 0.05, 0.02, 0.01):
        yield MultiStep(milestones=(share,), factor=0.001) if severity == "mild" else Exponential(10 ** (-2 / share))


def epsilon_too_large(case: Case, severity: Severity) -> Case | None:
    """Adam, at its own rate, or at the textbook's where the task is trained by another rule."""
    lr = case.lr if case.rule in ("adam", "adamw") else 3e-3
    start = case.but(lr=lr, momentum=0.0, rule="adam")
    return outward(start, severity, ({"rule": adam(eps=eps)} for eps in (1e-2, 0.03, 0.1, 0.3, 1.0, 10.0, 100.0)))


PLANTS: Mapping[str, Plant] = {
    "lr-too-high": lr_too_high,
    "lr-too-low": lr_too_low,
    "momentum-too-high": momentum_too_high,
    "oscillating-loss": oscillating_loss,
    "batch-too-small": batch_too_small,
    "batch-too-large": batch_too_large,
    "too-few-epochs": too_few_epochs,
    "decayed-too-early": decayed_too_early,
    "epsilon-too-large": epsilon_too_large,
}
"""Faults of the group, planted."""

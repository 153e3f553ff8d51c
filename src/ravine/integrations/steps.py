"""Steps 1 and 2 of the recipe for a rehearsal: is the first loss what it should be, and can a few batches be learnt by heart?

The recipe draws several initializations from a factory. Here there is one model, which may have been trained before: that its
first loss is lower than that of knowing nothing is no fault. While the batches are learnt a Monitor looks on; what it says of
the model and of the loss is told before training begins, and what it says of our own optimizer is not.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ravine.diagnosis import Finding, Monitor
from ravine.integrations.expected import Ignorance, ignorance
from ravine.integrations.rehearsal import Attempt, Rehearsal, undisturbed
from ravine.recipe.verdict import Verdict
from ravine.types import Status

__all__ = ["Checked", "check"]

FIRST = 8
"""Batches of which the first loss is the mean."""

BATCHES = 5
"""Batches that are to be learnt by heart."""

RATES = (1e-3, 3e-3, 3e-4, 1e-2, 1e-4, 3e-2)
"""The likelier ones first."""

SHORT, LONG = 20, 600
"""Steps by which a rate is chosen, and the most that it then takes."""

LOOK = 5
"""Steps from one close look of the monitor to the next."""

CHOOSING = 0.4
"""Of the time, what choosing a rate may take."""

LEARNT = 0.2
"""A loss that falls to a fifth of knowing nothing has learnt its batches; the recipe's 100 % needs to know what is right."""

STUCK = 0.9
"""One that stays above nine tenths of it has learnt nothing to speak of."""

TELLING = (
    "softmax-before-loss",
    "wrong-loss",
    "gradient-ascent",
    "nan-input",
    "unused-parameters",
    "frozen-parameters",
)
"""Faults of the model and its loss: what else a monitor finds in a rehearsal is of the optimizer that we took."""


@dataclass(frozen=True)
class Checked:
    """What the check before a training says."""

    verdicts: list[Verdict] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def check(rehearsal: Rehearsal, *, seconds: float = 20.0) -> Checked:
    """Steps 1 and 2, and what a monitor saw on the way, in about so many seconds. Raises whatever the loss raises."""
    begun = time.monotonic()
    with undisturbed(rehearsal.seed):
        first, known = _initial_loss(rehearsal)
        if first.status == "fail":
            return Checked([first])
        told, findings = _overfit(rehearsal, known, begun + seconds)
    return Checked([first, told], findings)


def _initial_loss(rehearsal: Rehearsal) -> tuple[Verdict, Ignorance | None]:
    """Of the model as it is, in evaluation mode, beside what knowing nothing would come to."""
    model = rehearsal.still()
    losses: list[float] = []
    known: list[Ignorance] = []
    for parts in rehearsal.batches[:FIRST]:
        loss = rehearsal.loss_of(model, parts[0])
        losses.append(float(loss.detach()))
        known += [each] if (each := ignorance(loss)) is not None else []
    evidence: dict[str, Any] = {"losses": losses, "mean": statistics.fmean(losses), "expected": None}
    if not all(map(math.isfinite, losses)):
        return _verdict(
            "initial-loss",
            "fail",
            f"The loss is not finite on {sum(not math.isfinite(loss) for loss in losses)} of {len(losses)} batches.",
            evidence,
            "Look for NaN in the inputs, and for a logarithm, a division or an exponential in forward and in the loss.",
        ), None
    if len(known) < len(losses):
        said = f"The first loss is {evidence['mean']:.4g}; what it should be is not known of this loss."
        return _verdict("initial-loss", "pass", said, evidence), None
    nothing = known[0] if known[0].classes else _joined(known)
    evidence["expected"] = nothing.loss
    return _judge_first(losses, nothing, evidence), nothing


def _judge_first(losses: list[float], nothing: Ignorance, evidence: dict[str, Any]) -> Verdict:
    mean = evidence["mean"]
    spread = statistics.stdev(losses) / math.sqrt(len(losses)) if len(losses) > 1 else 0.0
    what = f"log {nothing.classes}" if nothing.classes else "the variance of the target"
    said = f"The first loss is {mean:.4g}; {what} is {nothing.loss:.4g}."
    allowed = nothing.loss * (1.1 if nothing.classes else 1.25) + 3 * spread  # as in the recipe
    if mean <= allowed:
        before = mean < 0.9 * nothing.loss - 3 * spread
        return _verdict("initial-loss", "pass", said + " The model knows something already." * before, evidence)
    status: Status = "fail" if mean > 3 * allowed else "warn"
    if nothing.classes:
        advice = (
            "The model is sure of wrong answers: start its last layer smaller (nn.init.normal_(layer.weight, std=0.01)) and "
            "check the scale of the inputs."
        )
    else:
        advice = (
            f"Standardize the target (it has mean {nothing.mean:.3g} and deviation {nothing.deviation:.3g}), or start the last "
            "layer's bias at its mean."
        )
    return _verdict("initial-loss", status, said, evidence, advice)


def _joined(known: list[Ignorance]) -> Ignorance:
    """Over all batches: the mean loss, the mean of the targets and their deviation."""
    losses, means, deviations = ([getattr(each, name) for each in known] for name in ("loss", "mean", "deviation"))
    return Ignorance(statistics.fmean(losses), 0, statistics.fmean(means), statistics.fmean(deviations))


def _overfit(rehearsal: Rehearsal, known: Ignorance | None, deadline: float) -> tuple[Verdict, list[Finding]]:
    """Learn BATCHES batches by heart, at the rate that begins best."""
    order = range(min(BATCHES, len(rehearsal.batches)))
    rate, findings = _best_rate(rehearsal, order, time.monotonic() + CHOOSING * (deadline - time.monotonic()))
    attempt, lowest, in_time = rehearsal.begin_plainly(rate), math.inf, True
    start = math.nan if known is None else known.loss
    while in_time and len(attempt.losses) < LONG and not attempt.lost and not lowest <= LEARNT * start:
        attempt.advance(SHORT, order=order)
        in_time = time.monotonic() < deadline
        start = statistics.fmean(attempt.losses[: len(order)]) if known is None else start
        lowest = min(lowest, _reached(attempt, len(order)))
    return _judge_overfit(start, lowest, attempt, len(order), rate, known=known is not None, in_time=in_time), findings


def _best_rate(rehearsal: Rehearsal, order: Sequence[int], deadline: float) -> tuple[float, list[Finding]]:
    """The rate whose loss is lowest after SHORT steps, and what a monitor sees at the first of them."""
    reached: dict[float, float] = {}
    findings: list[Finding] = []
    for rate in RATES:
        attempt = rehearsal.begin_plainly(rate)
        if not reached:
            with Monitor(attempt.model, attempt.optimizer, every=LOOK) as monitor:
                attempt.advance(SHORT, order=order, monitor=monitor)
                findings = [finding for finding in monitor.findings() if finding.fault in TELLING]
        else:
            attempt.advance(SHORT, order=order)
        reached[rate] = _reached(attempt, len(order))
        if time.monotonic() > deadline:
            break
    return min(reached, key=lambda rate: reached[rate]), findings


def _reached(attempt: Attempt, batches: int) -> float:
    """The mean loss of its last pass over the batches."""
    last = attempt.losses[-batches:]
    mean = statistics.fmean(last)
    return mean if len(attempt.losses) >= batches and math.isfinite(mean) else math.inf


def _judge_overfit(
    start: float, lowest: float, attempt: Attempt, batches: int, rate: float, *, known: bool, in_time: bool
) -> Verdict:
    share = lowest / start if start > 0 else math.nan
    evidence: dict[str, Any] = {
        "batches": batches,
        "optimizer": "adamw",
        "lr": rate,
        "steps": len(attempt.losses),
        "start": start,
        "reached": lowest,
        "in_time": in_time,
    }
    where = f"{batches} batches at lr {rate:g}"
    said = f"The loss falls from {start:.4g} to {lowest:.4g} on {where}."
    if share <= LEARNT or (not known and lowest < start - (1 - STUCK) * abs(start)):
        return _verdict("overfit", "pass", said, evidence)
    stuck = not share <= STUCK
    said = f"The loss stays at {lowest:.4g}, from {start:.4g}, on {where}." if stuck else said
    if not in_time:
        said += " Its time ran out, so this is unsure."
    advice = (
        "The model cannot learn even a few batches: look at whether the labels belong to the inputs, at what stops the gradient "
        "(detach, no_grad, frozen layers), and at the scale of the inputs."
        if stuck
        else "The model learns its batches only in part: give it more width, or look for labels that contradict each other and "
        "for augmentation that hides the input."
    )
    return _verdict("overfit", "fail" if stuck and in_time and known else "warn", said, evidence, advice)


def _verdict(step: str, status: Status, said: str, evidence: dict[str, Any], *advice: str) -> Verdict:
    return Verdict(step, status, said, evidence, advice)

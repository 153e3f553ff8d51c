"""Step 1: is the loss of an untrained model what it should be?

A classifier that knows nothing gives every class the same probability: log C nats per example, whatever the
labels are. A regressor that knows nothing predicts the mean: the variance of the target. Several
initializations are looked at, and their own spread says how far from that value chance may lead.

Letters: K initializations, C classes.
"""

from __future__ import annotations

import math
import statistics
from typing import Any

import torch

from ravine.engines import Population
from ravine.errors import ModelError
from ravine.recipe.session import Session
from ravine.recipe.verdict import Verdict
from ravine.rules import SGD
from ravine.training.objective import LOSSES, losses_of
from ravine.training.run import probed
from ravine.types import Status

__all__ = ["initial_loss"]

INITIALIZATIONS = 8
EXAMPLES = 1024


def initial_loss(session: Session) -> Verdict:
    """Compare the mean first loss over several initializations with log C or the variance of the target."""
    task = session.data.task
    sample = probed(session.data.train, EXAMPLES)
    x, y = (t.to(session.device) for t in sample.batch(torch.arange(len(sample), device=sample.y.device)))
    modules = [session.model.build(session.seed + k, device=session.device) for k in range(INITIALIZATIONS)]
    population = Population(modules, [SGD()] * len(modules), LOSSES[task])
    try:
        losses = losses_of(task, population.outputs(x), y).tolist()
    except Exception as error:  # whatever the model raises on more rows than were tried before
        said = " ".join(str(error).split())
        raise ModelError(f"{session.model.label} cannot take inputs of shape {tuple(x.shape)}: {said}") from error
    expected = math.log(session.data.outputs) if task == "classification" else float(y.var(correction=0))
    return judge(losses, expected, task == "classification")


def judge(losses: list[float], expected: float, classes: bool) -> Verdict:
    """The verdict on K first losses.

    Tolerance: three standard errors of the mean over initializations, and a tenth of the expected loss, which a
    default initialization with outputs of spread 0.5 already adds (a spread s adds about s^2 / 2 nats). Regression:
    a quarter of the variance, which outputs of spread 0.5 add.
    """
    unit = "nats per example" if classes else "squared, standardized target"
    finite = [loss for loss in losses if math.isfinite(loss)]
    mean = statistics.fmean(finite) if finite else math.nan
    sd = statistics.stdev(finite) if len(finite) > 1 else 0.0
    scale = expected if classes else max(expected, 1.0)  # a few far targets may hold most of the variance, 1
    tolerance = 3 * sd / math.sqrt(max(len(finite), 1)) + (0.1 if classes else 0.25) * scale
    evidence: dict[str, Any] = {
        "expected": expected,
        "mean": mean,
        "sd": sd,
        "tolerance": tolerance,
        "losses": losses,
        "unit": unit,
        "fault": None,
    }
    name = f"log {round(math.exp(expected))}" if classes else "the variance of the target"
    if len(finite) < len(losses):
        return Verdict(
            "initial-loss",
            "fail",
            f"The loss is not finite in {len(losses) - len(finite)} of {len(losses)} initializations.",
            evidence,
            (
                "Make the model return finite outputs: look for a logarithm or a division in forward, "
                "and start its weights smaller (nn.init.kaiming_normal_, last layer std 0.01).",
            ),
        )
    away = abs(mean - expected)
    summary = f"An untrained model has loss {mean:.3f}; {name} is {expected:.3f}."
    if away <= tolerance:
        return Verdict("initial-loss", "pass", summary, evidence)
    too_high = mean > expected
    evidence["fault"] = "init-too-large" if too_high else None
    status: Status = "fail" if mean > 3 * scale else "warn"
    advice = (
        "The untrained model is sure of wrong answers: start the last layer smaller "
        "(nn.init.normal_(layer.weight, std=0.01)) and check the scale of the inputs."
        if too_high
        else "The untrained model does better than knowing nothing can: look for a target among the inputs, "
        "or for a loss that is not the task's."
    )
    return Verdict("initial-loss", status, summary, evidence, (advice,))

"""Why a model did not learn a few examples by heart: the lecture's causes, and those a person meets in practice."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ravine.data import Data
from ravine.diagnosis.tail import form_of
from ravine.training import Run
from ravine.training.evaluation import outputs_of

__all__ = ["Cause", "Clashes", "find_cause", "find_clashes", "find_softmax"]


class Cause(NamedTuple):
    """What it looks like, what to change, whether more time could not have shown another, and the fault it is."""

    text: str
    advice: str
    certain: bool
    fault: str = ""  # its name in `ravine.diagnosis.CATALOGUE`, where it has one


class Clashes(NamedTuple):
    """Examples that share their input with one of another target, and the best metric that they leave possible."""

    examples: int
    ceiling: float

    @property
    def cause(self) -> Cause:
        return Cause(
            f"{self.examples} of its examples have the same input as another but a different target",
            "Mend the targets, or add the column that tells such examples apart.",
            certain=True,
        )


def find_clashes(sample: Data) -> Clashes:
    """The ceiling is the accuracy of naming the commonest class of each input, or the r2 of its mean target."""
    x, y = sample.train.batch(torch.arange(len(sample.train), device=sample.train.y.device))
    group = torch.unique(x.flatten(1), dim=0, return_inverse=True)[1]
    count = int(group.max()) + 1
    low = torch.full((count,), math.inf, device=y.device).scatter_reduce(0, group, y.float(), "amin")
    high = torch.full((count,), -math.inf, device=y.device).scatter_reduce(0, group, y.float(), "amax")
    clashing = int((low != high)[group].sum())
    return Clashes(clashing, _ceiling(y, group, count, sample.task == "classification") if clashing else 1.0)


def _ceiling(y: Tensor, group: Tensor, count: int, classes: bool) -> float:
    if classes:
        table = torch.zeros(count, int(y.max()) + 1, device=y.device)
        table.index_put_((group, y), torch.ones_like(y, dtype=table.dtype), accumulate=True)
        return float(table.max(1).values.sum() / len(y))
    mean = torch.zeros(count, device=y.device).scatter_reduce(0, group, y, "mean", include_self=False)
    return float(1 - (y - mean[group]).square().sum() / (y - y.mean()).square().sum())


def find_softmax(run: Run, sample: Data) -> Cause | None:
    """Do the outputs look like the result of a softmax: none negative, each row with sum 1?"""
    if sample.task != "classification":
        return None
    if form_of(outputs_of(run.population.stack.modules[0], sample.train)) != "probabilities":
        return None
    return Cause(
        "its outputs are probabilities already, and the loss takes another softmax of them",
        "Take the softmax off the end of the model: the loss wants logits.",
        certain=True,
        fault="softmax-before-loss",
    )


def find_cause(evidence: dict[str, Any], run: Run) -> Cause:
    """What the losses of a failed attempt look like."""
    losses, rates = [loss for loss in evidence["final_loss"] if math.isfinite(loss)], evidence["rates"]
    if not losses:
        return Cause(
            f"the loss is not finite at any rate from {rates[0]:g} to {rates[-1]:g}, so the initialization is bad or a layer divides by zero",
            "Start the weights smaller (nn.init.kaiming_normal_) and look for log, division or exp in forward.",
            certain=True,
            fault="exploding-gradient",
        )
    first = run.history.steps(evidence["best"])
    if first["grad_norm"][0] < 1e-7:
        return Cause(
            f"no gradient reaches the weights (norm {first['grad_norm'][0]:.1e} at the first step)",
            "Look for detach(), torch.no_grad(), argmax or a dead activation in forward.",
            certain=True,
            fault="frozen-parameters",
        )
    if min(losses) > 0.98 * first["loss"][0]:
        return Cause(
            "the loss does not go down at any rate: the steps are too small or the initialization is bad",
            f"Raise the rate beyond {rates[-1]:g} or start the weights larger; check that the inputs are not all alike.",
            certain=False,
        )
    return Cause(
        "the loss goes down but stops short: the network is too small, or an output range or a layer limits it",
        "Use a wider network (--set hidden=512,512), and check that the last layer has no activation.",
        certain=False,
        fault="capacity-too-small",
    )

"""over-regularized: a penalty, decay or dropout is so strong that the training rows cannot be fitted.

Symptom: training and held-out rows are predicted alike, and badly; weights shrink toward 0, or the loss of training mode is far
above that of evaluation mode.
Why: regularization takes away from what a network can fit, for the sake of rows that it has not seen. Where it takes so much that
the training rows are missed too, held-out rows are missed with them.
Found: training falls short of what can be reached, and without the regularization (weight decay 0, dropout off, the plain loss in
place of one of a person's own that makes the weights shrink) held-out and training rows are both predicted better.
Cure: weight decay of 1e-4 to 1e-2, dropout of 0.1 to 0.5; the least that closes the gap between training and held-out rows.
Source: Srivastava et al. 2014, Dropout: a simple way to prevent neural networks from overfitting; Loshchilov and Hutter 2019,
Decoupled weight decay regularization.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn

from ravine.diagnosis.case import Case
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.remaking import Undropped
from ravine.diagnosis.worth import gain, held_improvement, in_words, sure

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "vanishing-gradient",
    "dead-units",
    "lr-too-high",
    "lr-too-low",
    "too-few-epochs",
    "batch-too-large",
    "batch-too-small",
    "decayed-too-early",
    "oscillating-loss",
    "momentum-too-high",
    "train-eval-mismatch",
    "under-fitting",
    "capacity-too-small",
    "wrong-loss",
)

SHORT = 0.06  # of the skill; healthy trainings with a dropout of 0.5 lose up to 0.03 by it
HEAVY = 0.1  # a weight decay from which it is worth a trial where nothing else is known
SHRUNK = 0.3  # of the norm that the weights began with: a loss with a penalty in it makes them so small


def find(look: Look) -> Iterator[Finding]:
    if look.start.raised or not look.base.marks or max(look.under, look.shortfall) < SHORT:
        return
    for where, evidence, advice, change in _suspects(look):
        if look.hurried:
            return
        cured = look.tried(**change)
        gained = min(held_improvement(look.base, cured), gain(look.base, cured))
        if gained > SHORT:
            yield Finding(
                "over-regularized",
                sure(gained, least=0.6),
                {**evidence, "gain": gained},
                where,
                advice,
                change,
                in_words(look.base, cured),
            )


def _suspects(look: Look) -> Iterator[tuple[str, dict[str, Any], str, dict[str, Any]]]:
    """(where, evidence, advice, change) of what there is of regularization."""
    case = look.case
    decay = max(float(group.get("weight_decay", 0)) for group in case.optimizer(case.build()).param_groups)
    if decay >= HEAVY or case.weight_decay > 0:
        change: dict[str, Any] = {"weight_decay": 0.0} if isinstance(case.rule, str) else {"rule": _undecayed(case)}
        yield "weight_decay", {"weight_decay": decay}, f"Write a weight decay of 0.01 or less; it is {decay:g}.", change
    if stochastic(look):
        shares = {n: float(m.p) for n, m in look.model.named_modules() if isinstance(m, nn.modules.dropout._DropoutNd)}
        most = f"; it is {max(shares.values()):g}" if shares else ""
        change = {"make_model": look.remade(Undropped)}
        yield ", ".join(shares) or "dropout", {"dropout": shares}, f"Write a dropout of 0.2 or less{most}.", change
    plain = "cross_entropy" if case.task == "classification" and look.start.out.shape[1:] != (1,) else "mse"
    weights = [sum(size**2 for size in mark.weights.values()) ** 0.5 for mark in (look.base.marks[0], look.base.last)]
    if callable(case.loss) and not isinstance(case.loss, str) and weights[1] < SHRUNK * weights[0]:
        evidence = {"weights_first": weights[0], "weights_last": weights[1]}
        advice = f"Take the penalty off the loss, or divide it by 100: weights shrank to {weights[1] / weights[0]:.2f} of their norm."
        yield "the penalty in the loss", evidence, advice, {"loss": plain}


def _undecayed(case: Case) -> Callable[..., torch.optim.Optimizer]:
    def make(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        assert not isinstance(case.rule, str)
        optimizer = case.rule(list(parameters), lr=lr)
        for group in optimizer.param_groups:
            group["weight_decay"] = 0.0
        return optimizer

    return make


def stochastic(look: Look) -> bool:
    """Whether outputs are drawn in training mode, so that two passes differ, by dropout alone, and are not in evaluation mode."""
    model, x = look.case.build().train(), look.case.x[: min(64, len(look.case.x))]
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        one, two = model(x), model(x)
        drawn = not torch.equal(one, two) and torch.equal(model.eval()(x), model(x))
        model.train()
        whole = Undropped(model)
        still = whole(x)
        return drawn and torch.equal(still, whole(x))

"""softmax-before-loss: the model ends in probabilities, and the loss takes another softmax or a sigmoid of them.

Symptom: training is slow and stops early; with C classes the cross-entropy cannot fall below log(1 + (C - 1) / e), 1.46 for ten,
and bce_with_logits not below 0.31.
Why: cross-entropy wants logits. Of probabilities it takes a second softmax, whose inputs differ by 1 at most, so that it can
never be sure of an answer, and the gradient that comes through the first one is nearly gone where that one is sure. nll wants
logarithms: of probabilities it makes a loss that is hardly curved and has no gradient where the model is surely wrong.
Found: the untrained outputs add up to 1 a row (or lie in [0, 1] at inputs of any size, for a sigmoid) while the loss takes
logits, or autograd's graph shows two in a row. Log-probabilities given to cross-entropy are harmless and are not named.
Cure: take the softmax or sigmoid off the model, for nll make it a log_softmax; take it where probabilities are wanted, outside.
Source: torch.nn.CrossEntropyLoss ("the input is expected to contain the unnormalized logits"); Humbatova et al. 2020, taxonomy of
real faults in deep learning systems.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.loss_graph import read_loss
from ravine.diagnosis.symptoms import SYMPTOMS
from ravine.diagnosis.tail import bounds_of, form_of, last_layer

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (*SYMPTOMS, "bounded-output", "wrong-loss")

LEAST = 1e-12  # a probability whose logarithm is still finite in float32


class Logarithm(nn.Module):
    """Of probabilities: what cross-entropy makes the right thing of."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp_min(LEAST).log()


class LogOdds(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.logit(x, eps=1e-6)


def logarithms(model: nn.Module) -> nn.Module:
    return nn.Sequential(model, Logarithm())


def log_odds(model: nn.Module) -> nn.Module:
    return nn.Sequential(model, LogOdds())


def find(look: Look) -> Iterator[Finding]:
    case, out = look.case, look.outputs
    if out is None or look.start.raised:
        return
    form = form_of(out)
    if case.loss in ("cross_entropy", "nll") and form == "probabilities":
        evidence = {"smallest": float(out.min()), "row_sum": float(out.sum(1).mean())}
        cure = "Take the softmax off the end of the model: cross_entropy wants logits."
        if case.loss == "nll":
            cure = "End the model in log_softmax instead of softmax: nll wants log-probabilities."
        yield _finding(look, 0.97, evidence, cure, logarithms)
    elif case.loss == "nll" and form == "numbers" and out.ndim == 2 and out.shape[1] > 1:
        # no softmax at all: wrong-loss names it; here as its second reading
        yield _finding(
            look,
            0.4,
            {"row_sum": float(out.sum(1).mean())},
            "End the model in log_softmax: nll wants log-probabilities.",
        )
    elif case.loss == "bce_with_logits" and _sigmoid(look, out):
        evidence = {"smallest": float(out.min()), "largest": float(out.max())}
        cure = "Take the sigmoid off the end of the model: bce_with_logits wants logits."
        yield _finding(look, 0.96, evidence, cure, log_odds)
    elif not isinstance(case.loss, str) and case.task == "classification":
        twice = _read(look)
        if twice:
            cure = f"Take the {twice} off the end of the model: the loss takes one itself."
            yield _finding(look, 0.95, {"before the loss": twice}, cure)


def _sigmoid(look: Look, out: Tensor) -> bool:
    if not bool(((out >= 0) & (out <= 1)).all()):
        return False
    last = last_layer(look.case)
    bounds = bounds_of(look.case)
    return (
        (last is not None and isinstance(last[1], nn.Sigmoid))
        or (bounds.low == 0 and bounds.high == 1)
        or form_of(out) == "probabilities"
    )


def _read(look: Look) -> str:
    case = look.case
    try:
        return read_loss(case.loss_of(case.build().train()(case.x[:8]), case.y[:8])).twice
    except Exception:  # the start has told what it is
        return ""


def _finding(
    look: Look, confidence: float, evidence: Mapping[str, object], cure: str, change: object = None
) -> Finding:
    verified = ""
    if callable(change) and not look.hurried:
        after = look.tried(make_model=look.remade(change))
        if after.finite and after.held.skill > look.base.held.skill:
            verified = f"skill {after.held.skill:.2f} instead of {look.base.held.skill:.2f} with it undone"
    made = {"make_model": look.remade(change)} if callable(change) else {}
    return Finding("softmax-before-loss", confidence, evidence, "the model's last layer", cure, made, verified)

"""gradient-ascent: the steps go uphill, so that training makes the model worse.

Symptom: the loss rises from the first step on and runs away, however small the rate; or it falls below zero without end while the
score falls too.
Why: a sign was turned: the loss negated, maximize=True set, the update added instead of subtracted, a gradient reversed by a hook.
Found: the loss is followed along the first update, scaled to change it by 1 % and by 0.1 %, and rises as much as the gradient says
it should fall or rise; or made-up right answers cost more than wrong ones. Both together are right again.
Cure: turn the sign back: loss instead of -loss, maximize=False.
Source: Cauchy 1847 (the method of steepest descent); PyTorch documentation, torch.optim.SGD (maximize).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from ravine.diagnosis.answers import answers
from ravine.diagnosis.case import Loss
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.symptoms import SYMPTOMS
from ravine.diagnosis.tail import form_of

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    *SYMPTOMS,
    "wrong-loss",
    "labels-unrelated",
    "label-noise",
    "target-unscaled",
    "class-imbalance",
    "train-eval-mismatch",
)

UPHILL = 0.5  # change of the loss over what the gradient says: healthy rules gave -1.0 to -0.9, those turned round 0.9 to 1.0

LEARNS = 0.2  # skill that no training uphill comes to


def find(look: Look) -> Iterator[Finding]:
    if look.start.raised:
        return
    uphill, turned = look.stepping.rise > UPHILL, _turned(look)
    if uphill == (turned is not None):
        return  # downhill on a loss that is right; or twice turned
    if turned is not None and look.base.finite and look.base.held.skill > LEARNS:
        return  # the outputs are meant otherwise than the answers were made up
    verified, change = "", {}
    if turned is not None:
        evidence, where, advice = (
            turned,
            "the loss",
            "Turn the sign of the loss: right answers must cost less than wrong ones.",
        )
        change = {"loss": _negated(look)}
        if not look.hurried:
            after = look.tried(loss=change["loss"])
            if after.finite:
                verified = f"skill {after.train.skill:.2f} instead of {look.base.train.skill:.2f} with the sign turned"
    else:
        evidence, where = {"change_over_gradient": look.stepping.rise}, "the optimizer"
        advice = "Let the optimizer go downhill: maximize=False, and the update subtracted."
    yield Finding("gradient-ascent", 0.98, evidence, where, advice, change, verified)


def _turned(look: Look) -> dict[str, Any] | None:
    """Losses of made-up answers where wrong ones cost less than right ones."""
    if isinstance(look.case.loss, str) or look.outputs is None:
        return None
    found = answers(look.case, look.outputs, form_of(look.outputs))
    if found is None or not found.turned:
        return None
    return {"loss_right": found.right, "loss_blank": found.blank, "loss_wrong": found.wrong}


def _negated(look: Look) -> Loss:
    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        return -look.case.loss_of(outputs, y)

    return loss

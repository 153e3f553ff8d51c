"""What a loss thinks of right answers: a loss that does not prefer them to a blank one cannot teach a model."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ravine.diagnosis.case import Case
from ravine.diagnosis.tail import Form

__all__ = ["Answers", "answers"]

ROWS = 256
SURE = (1.0, 4.0)  # log-odds of an answer: what a squared error against one-hot labels wants, and 0.98 for two classes
SHIFT = 100.0


class Answers(NamedTuple):
    """Losses of answers that were made up. right: each row's own, as sure as is cheapest; blank: the same for all rows; wrong:
    another row's class as surely, or the target mirrored at its mean. shifted: blank with 100 added to every output; NaN where
    that has no meaning.
    """

    right: float
    blank: float
    wrong: float
    shifted: float

    @property
    def turned(self) -> bool:
        """Whether wrong answers cost less than right ones."""
        return self.wrong < self.right - 1e-3 * max(abs(self.right), abs(self.wrong))


def answers(case: Case, out: Tensor, form: Form) -> Answers | None:
    """Answers in the shape and form of the outputs `out` [B, ...]; None where they cannot be made up.

    >>> from ravine.diagnosis.case import Case
    >>> x, y = torch.zeros(4, 1), torch.tensor([0, 1, 0, 1])
    >>> case = Case(torch.nn.Identity, x, y, x, y, loss="cross_entropy", rule="sgd", lr=1.0, batch_size=2, epochs=1)
    >>> found = answers(case, torch.zeros(4, 2), "numbers")
    >>> found.right < found.blank < found.wrong
    True
    """
    y = case.y[:ROWS]
    classes = case.task == "classification"
    made = [_classes(case, y, out, form, sure) for sure in SURE] if classes else [_numbers(y, out)]
    try:
        costs = [_costs(case, y, *parts, form) for parts in made if parts is not None]
    except Exception:  # a loss that wants outputs of another kind
        return None
    costs = [cost for cost in costs if all(math.isfinite(loss) for loss in cost[:3])]
    return min(costs) if costs else None


def _costs(case: Case, y: Tensor, right: Tensor, blank: Tensor, wrong: Tensor, form: Form) -> Answers:
    with torch.no_grad():
        shifted = math.nan
        if form == "numbers" and right[0].numel() > 1:
            shifted = float(case.loss_of(blank + SHIFT, y))
        return Answers(
            float(case.loss_of(right, y)), float(case.loss_of(blank, y)), float(case.loss_of(wrong, y)), shifted
        )


def _classes(case: Case, y: Tensor, out: Tensor, form: Form, sure: float) -> tuple[Tensor, Tensor, Tensor] | None:
    labels = case.but(y=y).labels
    if out.ndim == 1 or (out.ndim == 2 and out.shape[1] == 1):
        if case.classes > 2:
            return None
        signs = sure * (2.0 * labels - 1).reshape(len(y), *out.shape[1:])
        if bool(((out >= 0) & (out <= 1)).all()):  # probabilities, as far as can be seen
            return torch.sigmoid(signs), torch.full_like(signs, 0.5), torch.sigmoid(-signs)
        return signs, torch.zeros_like(signs), -signs
    count = out.shape[1]
    if out.ndim != 2 or int(labels.max()) >= count or int(labels.min()) < 0:
        return None
    right = sure * F.one_hot(labels, count).float()
    wrong = sure * F.one_hot((labels + 1) % max(case.classes, 2), count).float()
    blank = torch.zeros_like(right)
    if form == "numbers":
        return right, blank, wrong
    right, blank, wrong = (torch.log_softmax(part, 1) for part in (right, blank, wrong))
    return (right.exp(), blank.exp(), wrong.exp()) if form == "probabilities" else (right, blank, wrong)


def _numbers(y: Tensor, out: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    if out[0].numel() != y[0].numel():
        return None
    right = y.float().reshape(len(y), *out.shape[1:])
    blank = right.mean(0, keepdim=True).expand_as(right)
    return right, blank, 2 * blank - right

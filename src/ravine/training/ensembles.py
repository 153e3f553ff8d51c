"""Several models that answer as one.

Letters in shapes: M members, B batch, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ravine.errors import ModelError, nearest
from ravine.types import Task

__all__ = ["Average", "Ensemble", "averaged"]

Average = Literal["probabilities", "logits"]
"""What classifiers average: probabilities (arithmetic mean), or logits (geometric mean of the probabilities)."""


class Ensemble(nn.Module):
    """The mean of its members' probabilities, given as log-probabilities so that it can stand for one model.

    Classification: log of the mean over members of softmax(logits), [B, C]; a softmax of it is the mean
    itself. average="logits": log-softmax of the mean logits instead. Regression: the mean prediction, [B, 1],
    whatever `average` says. Source: Lakshminarayanan et al. 2017.

    weights: positive, one per member, in any unit (they are divided by their sum), such as the multiplicities
    of `greedy_selection`; equal when left out. Raises ModelError when there are no members, when the weights
    do not fit them, and at the first forward when the members give different numbers of outputs.

    >>> sure, unsure = nn.Linear(1, 2), nn.Linear(1, 2)
    >>> for member, logit in ((sure, 9.0), (unsure, 0.0)):
    ...     _ = nn.init.zeros_(member.weight), nn.init.constant_(member.bias, 0.0)
    ...     member.bias.data[0] = logit
    >>> Ensemble([sure, unsure], "classification")(torch.zeros(1, 1)).exp().round(decimals=2).tolist()
    [[0.75, 0.25]]
    >>> Ensemble([sure, unsure], "classification", weights=[1, 3])(torch.zeros(1, 1)).exp().round(decimals=3).tolist()
    [[0.625, 0.375]]
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        task: Task,
        *,
        weights: Sequence[float] | None = None,
        average: Average = "probabilities",
    ) -> None:
        super().__init__()
        if not members:
            raise ModelError("an ensemble needs at least one model, got none.")
        _check_average(average)
        self.members, self.task, self.average = nn.ModuleList(members), task, average
        self.weights = None if weights is None else _shares(weights, len(members))

    def __len__(self) -> int:
        return len(self.members)

    def forward(self, x: Tensor) -> Tensor:
        outputs = [member(x) for member in self.members]
        return averaged(outputs, self.task, weights=self.weights, average=self.average)


def averaged(
    outputs: Sequence[Tensor] | Tensor,
    task: Task,
    *,
    weights: Sequence[float] | None = None,
    average: Average = "probabilities",
) -> Tensor:
    """The answer of an ensemble whose M members give `outputs`, each [B, ...]; weights and average as in Ensemble."""
    _check_average(average)
    together = _stacked(outputs)
    shares = None if weights is None else torch.tensor(_shares(weights, len(together))).to(together)
    if task == "regression":
        return _mean(together, shares)
    if average == "logits":
        return torch.log_softmax(_mean(together, shares), dim=-1)
    logs = torch.log_softmax(together, dim=-1)
    if shares is None:
        return torch.logsumexp(logs, dim=0) - math.log(len(logs))
    return torch.logsumexp(logs + _column(shares, logs).log(), dim=0)


def _mean(together: Tensor, shares: Tensor | None) -> Tensor:
    """Mean over members of [M, ...], by shares [M] that sum to 1."""
    return together.mean(0) if shares is None else (_column(shares, together) * together).sum(0)


def _column(shares: Tensor, like: Tensor) -> Tensor:
    return shares.view(-1, *(1 for _ in like.shape[1:]))


def _stacked(outputs: Sequence[Tensor] | Tensor) -> Tensor:
    """The members' outputs as one tensor, [M, B, ...]."""
    if not len(outputs):
        raise ModelError("an average needs the outputs of at least one model, got none.")
    shapes = sorted({tuple(one.shape) for one in outputs})
    if len(shapes) > 1:
        raise ModelError(
            f"the members of an ensemble answer in different shapes, {' and '.join(str(list(s)) for s in shapes)}: "
            "give models that were made for the same classes or target."
        )
    return outputs if isinstance(outputs, Tensor) else torch.stack(list(outputs))


def _shares(weights: Sequence[float], count: int) -> tuple[float, ...]:
    """Weights divided by their sum."""
    if len(weights) != count:
        raise ModelError(f"{len(weights)} weights were given for {count} models: give one weight per model.")
    if not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise ModelError(
            f"the weights of an ensemble are {list(weights)}; each must be positive and finite: leave out the models "
            "that should not count."
        )
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)


def _check_average(average: str) -> None:
    known = get_args(Average)
    if average not in known:
        raise ModelError(f"average is {average!r}; it must be 'probabilities' or 'logits': {nearest(average, known)}")

"""Several models that answer as one.

Letters in shapes: B batch, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ravine.errors import ModelError
from ravine.types import Task

__all__ = ["Ensemble", "averaged"]


class Ensemble(nn.Module):
    """The mean of its members' probabilities, given as log-probabilities so that it can stand for one model.

    Classification: log of the mean over members of softmax(logits), [B, C]; a softmax of it is the mean
    itself. Regression: the mean prediction, [B, 1]. Source: Lakshminarayanan et al. 2017.

    >>> sure, unsure = nn.Linear(1, 2), nn.Linear(1, 2)
    >>> for member, logit in ((sure, 9.0), (unsure, 0.0)):
    ...     _ = nn.init.zeros_(member.weight), nn.init.constant_(member.bias, 0.0)
    ...     member.bias.data[0] = logit
    >>> Ensemble([sure, unsure], "classification")(torch.zeros(1, 1)).exp().round(decimals=2).tolist()
    [[0.75, 0.25]]
    """

    def __init__(self, members: Sequence[nn.Module], task: Task) -> None:
        super().__init__()
        if not members:
            raise ModelError("an ensemble needs at least one model, got none.")
        self.members, self.task = nn.ModuleList(members), task

    def __len__(self) -> int:
        return len(self.members)

    def forward(self, x: Tensor) -> Tensor:
        return averaged([member(x) for member in self.members], self.task)


def averaged(outputs: Sequence[Tensor], task: Task) -> Tensor:
    """The answer of an ensemble whose members give `outputs`, each [B, ...]."""
    together = torch.stack(list(outputs))
    if task == "regression":
        return together.mean(0)
    return torch.logsumexp(torch.log_softmax(together, dim=-1), dim=0) - math.log(len(together))

"""The stacked engine, a portion of the trials at a time: a stack holds the activations of all its trials at once.

Trainings one after another hold the activations of one model, and a stack of K those of K. What a stack saves is the
cost of calling operations, and a few trials at a time save most of it already. Of 64 perceptrons 784-64-64-10, batch
32, a trial's gradients took 0.21 ms by 64, 0.20 by 8, 0.31 by 2 and 0.38 alone; of 64 small CNNs, batch 64, 6.4, 6.3,
6.5 and 6.6 (one thread, best of 7).

Letters in shapes: K trials, B batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ravine.engines.loss import Loss
from ravine.engines.ownership import Own
from ravine.engines.provisional import CHECKS
from ravine.engines.recorded import Recorder
from ravine.engines.stack import Stack

__all__ = ["Portions"]


class Portions:
    """The stacked step of all trials of a stack, at most `size` at once. A stack that has shrunk needs new portions."""

    def __init__(self, stack: Stack, loss: Loss, size: int) -> None:
        self.size = size
        count = -(-len(stack) // size)
        self._ends = [len(stack) * i // count for i in range(count + 1)]  # alike in size, for each size has its list
        self._parts = [stack.part(*ends) for ends in pairwise(self._ends)]
        sizes = Counter(len(part) for part in self._parts)
        self._recorders = {size: Recorder(loss, checks=CHECKS * times) for size, times in sizes.items()}

    def losses(self, x: Tensor, y: Tensor, *, own: Own) -> Tensor:
        """Losses of one batch, [K]; gradients land in the stack's `grads`."""
        found = []
        for part, (start, stop) in zip(self._parts, pairwise(self._ends), strict=True):
            batch = x[start:stop] if own.x else x, y[start:stop] if own.y else y
            found.append(self._recorders[len(part)].losses(part, *batch, own=own))
        return torch.cat(found)

    def snapshot(self) -> dict[str, Any]:
        """What a resumed run must repeat for the same bits: the size, and what was found out about writing down."""
        return {"size": self.size, "lists": {str(size): each.snapshot() for size, each in self._recorders.items()}}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what portions of the same trials and size have found out."""
        for size, recorder in self._recorders.items():
            recorder.restore(saved["lists"][str(size)])

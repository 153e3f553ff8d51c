"""What a loss should be of a model that knows nothing, read off autograd's graph where the loss is one of torch's own.

Nobody tells a framework's loop how many classes there are, but the graph of a cross-entropy holds its logits, and that of a
squared error its targets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["Ignorance", "ignorance"]

SAME = ("ToCopy", "View", "Squeeze", "Alias", "Clone")
"""Nodes that hand on a single number as it is."""

MEAN = 1  # torch's number for reduction="mean"


@dataclass(frozen=True)
class Ignorance:
    """The loss of knowing nothing on one batch. classes: how many; 0 for numbers, with their mean and deviation."""

    loss: float
    classes: int = 0
    mean: float = 0.0
    deviation: float = 0.0


def ignorance(loss: Tensor) -> Ignorance | None:
    """What the loss of a batch would be without any knowledge; None where its graph does not say. Read it before backward.

    >>> import torch
    >>> logits = torch.zeros(8, 10, requires_grad=True)
    >>> ignorance(torch.nn.functional.cross_entropy(logits, torch.zeros(8, dtype=torch.int64))).classes
    10
    >>> ignorance(logits.exp().mean()) is None
    True
    """
    node = loss.grad_fn
    while node is not None and _name(node) in SAME:
        node = node.next_functions[0][0]
    if node is None or getattr(node, "_saved_reduction", None) != MEAN:
        return None
    name = _name(node)
    if name.startswith("NllLoss"):
        return _of_classes(node)
    if name == "MseLoss":
        return _of_numbers(node)
    if name == "BinaryCrossEntropyWithLogits" and node._saved_pos_weight is None:  # type: ignore[attr-defined]
        return Ignorance(math.log(2), 2)
    return None


def _of_classes(node: Any) -> Ignorance | None:
    logits = node._saved_self  # [N, C, ...], after a log_softmax
    if logits.ndim < 2:
        return None
    classes = int(logits.shape[1])
    return Ignorance(math.log(classes), classes) if classes > 1 else None


def _of_numbers(node: Any) -> Ignorance | None:
    target = node._saved_target.detach().double()
    if target.numel() < 2 or len(target) < 2:
        return None
    apart = target - target.mean(0)
    return Ignorance(float(apart.square().mean()), 0, float(target.mean()), float(target.std()))


def _name(node: Any) -> str:
    return str(node.name()).partition("Backward")[0].rpartition("::")[2]

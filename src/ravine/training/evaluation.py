"""How good a trained model is on a split.

Letters in shapes: N examples, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ravine.data import Split
from ravine.training.objective import measure
from ravine.types import Metrics, Task

__all__ = ["confusion", "evaluate", "outputs_of"]


@torch.no_grad()
def outputs_of(module: nn.Module, split: Split, *, chunk: int = 1024) -> Tensor:
    """The module's outputs over a split in evaluation mode, [N, ...], on the module's device."""
    module.eval()
    device = next(module.parameters()).device
    parts = torch.arange(len(split), device=split.y.device).split(chunk)
    return torch.cat([module(split.batch(part)[0].to(device)) for part in parts])


def evaluate(module: nn.Module, split: Split, task: Task, *, scale: float = 1.0) -> Metrics:
    """Metrics over the whole split; scale: standard deviation of the target in training."""
    outputs = outputs_of(module, split)
    return measure(task, outputs.unsqueeze(0), split.y.to(outputs.device), scale=scale)[0]


def confusion(outputs: Tensor, y: Tensor) -> list[list[int]]:
    """Counts, [C][C]: row the true class, column the one that logits [N, C] name.

    >>> confusion(torch.eye(2), torch.tensor([0, 0]))
    [[1, 1], [0, 0]]
    """
    classes = outputs.shape[-1]
    pairs = y.cpu() * classes + outputs.argmax(-1).cpu()
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes).tolist()

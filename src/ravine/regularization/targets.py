"""Targets that can be averaged: classes as soft targets, and what every mixer asks of a batch.

Letters in shapes: B batch, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.errors import SettingError

__all__ = ["check_floating", "check_mixable", "soft_targets"]


def soft_targets(y: Tensor, classes: int) -> Tensor:
    """One-hot rows, [B, C] float32: what `F.cross_entropy` takes as probabilities. y: [B] class indices.

    Raises SettingError when y is not [B] whole numbers in [0, classes).

    >>> soft_targets(torch.tensor([0, 2]), 3)
    tensor([[1., 0., 0.],
            [0., 0., 1.]])
    """
    if y.ndim != 1 or y.is_floating_point():
        raise SettingError(
            f"soft_targets got y of shape {list(y.shape)} and {y.dtype}; it needs class indices, [B] int64. "
            "Targets that are soft or numbers already need no change."
        )
    if len(y) and not (int(y.min()) >= 0 and int(y.max()) < classes):
        raise SettingError(
            f"y holds classes from {int(y.min())} to {int(y.max())}; with {classes} classes they must lie "
            f"in 0 ... {classes - 1}: write soft_targets(y, {int(y.max()) + 1}), or number the classes from 0."
        )
    return torch.zeros(len(y), classes, device=y.device).scatter_(1, y.long()[:, None], 1.0)


def check_floating(name: str, y: Tensor) -> None:
    """Raise SettingError when targets are class indices, which have no average."""
    if not y.is_floating_point():
        raise SettingError(
            f"{name} averages targets and y is {y.dtype}, class indices: write y = soft_targets(y, classes) first."
        )


def check_mixable(name: str, x: Tensor, y: Tensor) -> None:
    """Raise SettingError unless x [B, ...] and y [B, ...] can be averaged over a batch of two or more."""
    if not x.is_floating_point():
        raise SettingError(f"{name} averages examples and x is {x.dtype}: give numbers, x.float(), not indices.")
    check_floating(name, y)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise SettingError(
            f"{name} got x of shape {list(x.shape)} and y of shape {list(y.shape)}: give one target per example."
        )
    if len(x) < 2:
        raise SettingError(f"{name} mixes the examples of a batch and got {len(x)}: give a batch of 2 or more.")

"""What an engine calls a loss."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

__all__ = ["Loss"]

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs [B, ...], targets [B]) -> the mean loss over the batch, a scalar."""

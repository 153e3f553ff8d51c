"""What every reader hands back: three splits of tensors, and how raw examples became them.

Letters in shapes: N examples, B batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ravine.data.preprocessing import Preprocessing
from ravine.types import Task

__all__ = ["Data", "MemorySplit", "Split"]


class Split(Protocol):
    """One split. Targets are always in memory; inputs may be read as they are asked for."""

    @property
    def y(self) -> Tensor:
        """[N]: int64 class indices, or float32 standardized targets."""
        ...

    def __len__(self) -> int: ...

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs [B, *input_shape] float32 and targets [B] of the rows `index`, [B] int64."""
        ...


@dataclass(frozen=True, eq=False)
class MemorySplit:
    """A split whose inputs fit in memory: x [N, *input_shape] float32, y [N]."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return self.x.index_select(0, index), self.y.index_select(0, index)

    def to(self, device: torch.device) -> MemorySplit:
        return MemorySplit(self.x.to(device), self.y.to(device))


@dataclass(frozen=True, eq=False)
class Data:
    """A data set ready to train on. The test split is never used for choosing."""

    name: str  # as the user wrote it: "digits", a path, "hf:NAME", "arrays"
    task: Task
    input_shape: tuple[int, ...]  # of one example: (features,) or (channels, height, width)
    outputs: int  # classes, or 1 for regression
    train: Split
    validation: Split
    test: Split
    preprocessing: Preprocessing  # raw example -> tensor and back to the target's own units
    notes: tuple[str, ...]  # what a person should know: columns imputed or left out, sizes changed
    fingerprint: str  # sha256 over inputs and targets of all splits, hexadecimal

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the model's outputs; () for regression."""
        return self.preprocessing.target.classes

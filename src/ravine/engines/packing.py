"""Every parameter of K trials in one buffer, [K, P]: the update is then one pass over one tensor.

Parameters that decay come first, so a rule meets two slices (with and without decay) instead of a mask.

Letters in shapes: K trials, P parameters of one trial.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from ravine.errors import ModelError
from ravine.regularization import decaying

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """Where each parameter lies in a row of the packed buffer."""

    shapes: Mapping[str, torch.Size]  # in packed order: those that decay first
    decaying: frozenset[str]
    dtype: torch.dtype

    @cached_property
    def decayed(self) -> int:
        """How many entries at the start of a row decay."""
        return sum(math.prod(shape) for name, shape in self.shapes.items() if name in self.decaying)

    @cached_property
    def size(self) -> int:
        """P, entries in a row."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """Each parameter as a view [K, *shape] of flat, [K, P] (or [*shape] of a row, [P])."""
        found, start = {}, 0
        for name, shape in self.shapes.items():
            count = math.prod(shape)
            found[name] = flat[..., start : start + count].unflatten(-1, shape or (1,)).view((*flat.shape[:-1], *shape))
            start += count
        return found

    @classmethod
    def of(cls, module: nn.Module) -> Layout:
        """The layout of a module's trainable parameters; `decaying` says which of them decay."""
        chosen = decaying(module)
        params = {name: p for name, p in module.named_parameters() if p.requires_grad}
        dtypes = {p.dtype for p in params.values()}
        if len(dtypes) != 1:
            found = ", ".join(sorted(map(str, dtypes))) or "none"
            raise ModelError(
                f"{type(module).__name__} has trainable parameters of dtype {found}; one dtype is needed: "
                "write module.float(), and leave at least one parameter with requires_grad=True."
            )
        first = {name: p.shape for name, p in params.items() if name in chosen}
        last = {name: p.shape for name, p in params.items() if name not in first}
        return cls({**first, **last}, frozenset(first), dtypes.pop())

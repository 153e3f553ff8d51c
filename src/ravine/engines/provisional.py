"""What every way of having a step written down shares: it is trusted only when it has come to what autograd comes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["CHECKS", "CannotRecordError", "Provisional", "alike", "only_operations"]

CHECKS = 2
"""Steps that are taken in both ways and compared, each time that what was written is new to its surroundings."""


class CannotRecordError(Exception):
    """The step is more than its operations."""


class Provisional:
    """A step that may be written down: why it cannot be, and at how many steps it is still compared."""

    def __init__(self, checks: int = CHECKS) -> None:
        self.refusal = ""  # why nothing is written, and will not be
        self._doubtful = checks

    def snapshot(self) -> dict[str, Any]:
        """What has been found out. The written step may round differently, so a resumed run must know."""
        return {"refusal": self.refusal, "doubtful": self._doubtful}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what was found out in an earlier process: the step is written anew, and compared no more than there."""
        self.refusal, self._doubtful = saved["refusal"], saved["doubtful"]


@contextmanager
def only_operations(module: nn.Module) -> Iterator[None]:
    """Raise CannotRecordError for a module with hooks, and for one whose step in the block changed a plain value of it."""
    if any(_hooked(part) for part in module.modules()):
        raise CannotRecordError(f"{type(module).__name__} has hooks")
    before = _attributes(module)
    yield
    if _attributes(module) != before:
        raise CannotRecordError(f"{type(module).__name__} counts its steps")


def alike(found: Tensor, wanted: Tensor) -> bool:
    """Equal but for rounding, as a GPU adds in another order every time."""
    wanted = wanted.detach()
    if not wanted.is_floating_point():
        return torch.equal(found, wanted)
    finite = wanted[wanted.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    return torch.allclose(found, wanted, rtol=1e-3, atol=1e-4 * scale, equal_nan=True)


def _hooked(module: nn.Module) -> bool:
    """Whether something listens that a list of operations would not tell."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, kind) for kind in kinds)


def _attributes(module: nn.Module) -> list[dict[str, object]]:
    """The plain values that a forward may read and change."""
    plain = (bool, int, float, str, type(None))
    return [{name: value for name, value in vars(m).items() if isinstance(value, plain)} for m in module.modules()]

"""How much memory a trial takes, so that as many are stacked as fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["keeping", "saved_bytes", "trial_bytes"]

TENSORS_PER_PARAMETER = 10
"""Parameters, gradients, two of state, their change, best weights; copies of four while engines are timed."""


def trial_bytes(module: nn.Module, x: Tensor) -> int:
    """Bytes that one trial takes while it trains on batches like x, [B, ...]; kept activations count twice, for their gradients."""
    parameters = sum(p.numel() * p.element_size() for p in module.parameters() if p.requires_grad)
    return TENSORS_PER_PARAMETER * parameters + 2 * saved_bytes(module, x)


def saved_bytes(module: nn.Module, x: Tensor) -> int:
    """Bytes that autograd keeps between forward and backward for a batch x, the module's own tensors left out.

    The module is run once in training mode: hand in one that is thrown away.
    """
    with keeping([*module.parameters(), *module.buffers(), x]) as kept:
        out = module.train()(x)
    assert out is not None, "the graph must live until it is measured"
    return sum(kept.values())


@contextmanager
def keeping(own: Iterable[Tensor]) -> Iterator[dict[int, int]]:
    """Bytes of each storage that autograd keeps in the block, by address; `own` tensors are not counted."""
    known = {tensor.untyped_storage().data_ptr() for tensor in own}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept

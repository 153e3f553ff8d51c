"""How much memory a trial takes, so that as many are stacked as fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["keeping", "out_of_memory", "saved_bytes", "stacked_at_once", "trial_bytes"]

TENSORS_PER_PARAMETER = 13
"""Parameters, gradients, two of state, the best weights, and, of all that are stacked at once, gradients before they are
packed and the copies of the first steps. Resident peak of 16 perceptrons 784-512-512-10 under AdamW, for each: 12.8
stacked whole, 7.6 compiled, both when their change had memory of its own."""

ACTIVATIONS = 4
"""So many times what autograd keeps: gradients, temporary results, and what the allocator cannot use again come on top.
Measured like that: 2.8 for 8 small CNNs, 3.5 for 8 ResNet-8."""

SEPARATE = 4
"""Parameters, gradients and two of state: what a training by itself keeps of every parameter."""

TEMPORARIES = 3
"""A stack's own gradients, before they are packed, and the copies of its first steps."""

SHARE, ROOM = 0.1, 2**22
"""A stack may take so much more than separate trainings, and so many bytes in any case: a process takes some hundred
times as much before it has a model."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says, or comes of one that says, that memory was asked for that is not there: by a GPU, by
    Python, or by torch on a CPU.

    >>> out_of_memory(MemoryError()), out_of_memory(RuntimeError("shapes do not match"))
    (True, False)
    """
    if error.__cause__ is not None and out_of_memory(error.__cause__):
        return True
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    said = str(error)  # torch's allocator on a CPU has no class of its own
    return isinstance(error, RuntimeError) and ("not enough memory" in said or "can't allocate memory" in said)


def trial_bytes(module: nn.Module, x: Tensor) -> int:
    """Bytes that one trial of a stack takes at most while it trains on batches like x, [B, ...].

    Rules that keep matrices for every parameter (SOAP, Shampoo) take more: five times as much for a perceptron
    784-128-128-10 with SOAP.
    """
    parameters = sum(p.numel() * p.element_size() for p in module.parameters() if p.requires_grad)
    return TENSORS_PER_PARAMETER * parameters + ACTIVATIONS * saved_bytes(module, x)


def stacked_at_once(trials: int, parameters: int, kept: int) -> int:
    """How many of so many trials a stack takes at once, on a CPU, to stay within 10 % of the memory of trainings one
    after another: at least one.

    parameters: bytes of a trial's weights. kept: bytes that autograd keeps of a trial between forward and backward.

    >>> [stacked_at_once(64, 2**20, kept) for kept in (2**15, 2**20, 2**25)]
    [9, 4, 1]
    """
    room = max(ROOM, SHARE * SEPARATE * parameters * trials)
    return min(trials, 1 + int(room / (ACTIVATIONS * kept + TEMPORARIES * parameters)))


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

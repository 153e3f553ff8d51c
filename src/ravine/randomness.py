"""Stateless randomness: every draw is a pure function of (seed, purpose, ...), never of a global generator.

So a trial meets the same draws alone, in a stack and after its neighbours were dropped, and a resumed
run needs no generator state. `derive` mixes a seed with the purpose of a draw into a new seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["derive", "generator", "permutation", "seeded"]


def derive(seed: int, *purpose: str | int) -> int:
    """A seed in [0, 2^63) for one purpose: `derive(7, "order", 3)` is the data order of epoch 3 of trial 7.

    >>> derive(7, "order", 3) == derive(7, "order", 3)
    True
    >>> derive(7, "order", 3) == derive(7, "order", 4)
    False
    """
    text = "/".join([str(seed), *(str(part) for part in purpose)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A fresh CPU generator for one purpose, always at its first draw."""
    return torch.Generator().manual_seed(derive(seed, *purpose))


def permutation(count: int, seed: int, *purpose: str | int) -> Tensor:
    """A shuffled range(count), [count] int64, the same for the same seed and purpose."""
    return torch.randperm(count, generator=generator(seed, *purpose))


@contextmanager
def seeded(seed: int, *purpose: str | int) -> Iterator[None]:
    """Code that draws from torch's global generator (an initialization, say) made stateless.

    Inside, the global generator stands at `derive(seed, *purpose)`; afterwards it is as it was.
    """
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []  # others' are for other processes
    with torch.random.fork_rng(devices):
        torch.manual_seed(derive(seed, *purpose))
        yield

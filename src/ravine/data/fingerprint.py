"""One number for a data set: whoever gets the same one trained and tested on the same bits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch

from ravine.data.dataset import Split

__all__ = ["fingerprint"]

CHUNK = 1024  # rows hashed at once, so that a streamed split never has to be in memory


def fingerprint(splits: Iterable[Split]) -> str:
    """sha256, hexadecimal, over rows, inputs and targets of the splits in order; streamed or not, the same."""
    digest = hashlib.sha256()
    for split in splits:
        digest.update(f"{len(split)};".encode())
        for start in range(0, len(split), CHUNK):
            for tensor in split.batch(torch.arange(start, min(start + CHUNK, len(split)))):
                digest.update(f"{list(tensor.shape[1:])}{tensor.dtype};".encode())
                digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()

"""How many threads a step uses. Small tensors are faster on one; and where other programs use the same cores,
two threads that wait for each other at every operation can be ten times slower than one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["threads"]


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Torch's thread count inside the block; afterwards it is as it was. None changes nothing."""
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

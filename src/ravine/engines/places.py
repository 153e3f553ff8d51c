"""Where a tensor's numbers lie in memory, and how to walk several tensors side by side with as few loops as can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

__all__ = ["Place", "Room", "dense", "index", "merged", "mirrored", "spread", "turned"]


class Place(NamedTuple):
    """Where the numbers of a tensor lie: in which memory, from which byte on, and how to walk them."""

    memory: int
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype


def dense(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a contiguous tensor."""
    strides, size = [], 1
    for n in reversed(shape):
        strides.append(size)
        size *= max(1, n)
    return tuple(reversed(strides))


def spread(place: Place, shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a place that broadcasts to a shape."""
    missing = len(shape) - len(place.shape)
    own = [0 if n == 1 else stride for n, stride in zip(place.shape, place.strides, strict=True)]
    return tuple([0] * missing + own)


def merged(shape: Sequence[int], strides: Sequence[tuple[int, ...]]) -> tuple[list[int], list[list[int]]]:
    """The same walk with as few loops as can be: neighbours that every tensor crosses in one stride are joined."""
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for d, n in enumerate(shape):
        if n == 1:
            continue
        here = [each[d] for each in strides]
        if sizes and all(own[-1] == s * n for own, s in zip(steps, here, strict=True)):
            sizes[-1] *= n
            for own, s in zip(steps, here, strict=True):
                own[-1] = s
        else:
            sizes.append(n)
            for own, s in zip(steps, here, strict=True):
                own.append(s)
    return sizes, steps


def turned(matrix: Place) -> bool:
    """Whether a matrix lies column by column."""
    return matrix.strides[0] == 1 and matrix.strides[1] != 1


def mirrored(matrix: Place) -> Place:
    return matrix._replace(shape=matrix.shape[::-1], strides=matrix.strides[::-1])


def index(strides: Sequence[int]) -> str:
    return " + ".join(f"i{d}" if s == 1 else f"i{d} * {s}" for d, s in enumerate(strides) if s) or "0"


class Room:
    """Memory that is lent in stretches and given back. `top` bytes were in use at most."""

    def __init__(self) -> None:
        self.free = [(0, 1 << 62)]  # stretches: from, size
        self.top = 0

    def take(self, size: int) -> int:
        """Where the first stretch begins that is large enough.

        >>> room = Room()
        >>> room.take(64), room.take(128)
        (0, 64)
        >>> room.give(0, 64)
        >>> room.take(128), room.take(64), room.top
        (192, 0, 320)
        """
        i = next(i for i, (_, left) in enumerate(self.free) if left >= size)
        start, left = self.free[i]
        self.free[i : i + 1] = [(start + size, left - size)] if left > size else []
        self.top = max(self.top, start + size)
        return start

    def give(self, start: int, size: int) -> None:
        """Give a stretch back, joined with its neighbours."""
        first, *others = sorted([*self.free, (start, size)])
        self.free = [first]
        for begin, more in others:
            last, length = self.free[-1]
            if last + length == begin:
                self.free[-1] = (last, length + more)
            else:
                self.free.append((begin, more))

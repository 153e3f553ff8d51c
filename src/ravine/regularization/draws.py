"""Draws that are a hash of (seed, step, position), on any device and inside `torch.func.vmap`.

No generator is moved, so a trial meets the same draws alone, in a stack and after its neighbours were dropped,
and a run that goes on from a checkpoint has no generator to restore.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["FINEST", "keep_mask", "permuted", "uniform"]

# Odd multipliers and shifts of a 64-bit finalizer (Stafford 2011, variant 13), as signed integers.
_GOLDEN = -7046029254386353131
_MIX1 = -4658895280553007687
_MIX2 = -7723592293110705685

FINEST = 2**-16
"""To this a share of kept entries is exact: a mask is made of 16-bit draws."""


def keep_mask(shape: Sequence[int], p: Tensor, seed: Tensor, step: Tensor, *, first: int = 0) -> Tensor:
    """Which entries survive, bool of `shape`; each is dropped with probability p, to within 2^-16.

    p, seed, step: scalars. first: entries of a larger mask that come before these. Every hashed int64 is cut into four
    16-bit draws.
    """
    count, begun = math.prod(shape), first % 4  # draws of the first int64 that belong to entries before these
    bits = _bits(-(-(begun + count) // 4), seed, step, first // 4)
    draws = bits.view(torch.int16)[begun : begun + count].view(tuple(shape))  # uniform on [-2^15, 2^15)
    threshold = (p.double() * 65536 - 32768).round().clamp(max=32767).to(torch.int16)
    return draws >= threshold


def uniform(
    shape: Sequence[int], seed: int | Tensor, step: int | Tensor, *, device: torch.device | str = "cpu"
) -> Tensor:
    """Numbers in [0, 1), float32 of `shape`, multiples of 2^-24.

    >>> bool((uniform((3,), 7, 1) == uniform((3,), 7, 1)).all())
    True
    """
    seed, step = torch.as_tensor(seed, device=device), torch.as_tensor(step, device=device)
    bits = _right(_bits(math.prod(shape), seed, step), 40)
    return (bits.to(torch.float32) * 2**-24).view(tuple(shape))


def permuted(count: int, seed: int, step: int, *, device: torch.device | str = "cpu") -> Tensor:
    """A shuffled range(count), [count] int64."""
    bits = _bits(count, torch.as_tensor(seed, device=device), torch.as_tensor(step, device=device))
    return bits.argsort()


def _bits(count: int, seed: Tensor, step: Tensor, first: int = 0) -> Tensor:
    """Uniform bits, [count] int64: a counter that begins at `first`, scrambled."""
    counter = torch.arange(count, device=seed.device, dtype=torch.int64)
    if first:  # else one operation less, and one that every engine can print
        counter = counter + first
    return _mix(counter * _GOLDEN + _mix(seed + step * _MIX2))


def _mix(bits: Tensor) -> Tensor:
    """Scramble int64 so that counters become uniform bits, one to one."""
    bits = (bits ^ _right(bits, 30)) * _MIX1
    bits = (bits ^ _right(bits, 27)) * _MIX2
    return bits ^ _right(bits, 31)


def _right(bits: Tensor, by: int) -> Tensor:
    """Shift right and fill with zeros: torch's own shift copies the sign, and x ^ (x >> n) would then lose it."""
    return (bits >> by) & ((1 << (64 - by)) - 1)

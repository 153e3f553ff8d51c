"""Images rearranged by whole pixels, each its own way.

Letters in shapes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["shifted", "taken"]


def taken(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Every image of x [B, C, H, W] put together anew from its own pixels.

    rows: [B or 1, H], columns: [B or 1, W]: the position that each position is filled from. One gather with one
    index per pixel, shared by the channels, is several times as fast here as indexing, which looks up each entry.
    """
    source = rows[:, :, None] * x.shape[3] + columns[:, None, :]
    return x.flatten(2).gather(2, source.flatten(1)[:, None].expand(*x.shape[:2], -1)).view(x.shape)


def shifted(x: Tensor, down: Tensor | None = None, across: Tensor | None = None) -> Tensor:
    """Every image of x [B, C, H, W] moved down and to the right. down, across: [B] whole pixels; None is no move.

    Beyond the border the image is reflected without repeating its edge, again and again for a long way.
    """
    return taken(x, _reflected(x.shape[2], down, x.device), _reflected(x.shape[3], across, x.device))


def _reflected(size: int, moved: Tensor | None, device: torch.device) -> Tensor:
    """The position in 0 ... size - 1 that each position is filled from, [B, size], or [1, size] without a move."""
    position = torch.arange(size, device=device)[None]
    if moved is None:
        return position
    there_and_back = max(2 * (size - 1), 1)
    position = (position - moved.long()[:, None]) % there_and_back
    return torch.minimum(position, there_and_back - position)

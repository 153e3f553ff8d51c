"""L-BFGS: Newton's direction from the last few steps and gradients, without a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules.line_search import dot, pick, pick_each
from ravine.rules.quasi_newton import Pair, QuasiNewton

__all__ = ["LBFGS", "LBFGSMemory"]


class LBFGSMemory(NamedTuple):
    pairs: tuple[Pair, ...]  # the oldest first
    scale: Tensor  # [K], the inverse Hessian before any pair is this times the identity


@dataclass(frozen=True)
class LBFGS(QuasiNewton):
    """Limited-memory BFGS, the two loops over the last `history_size` pairs (s, y):

        q     <- -grad
        alpha <- s'q / y's,  q <- q - alpha y          (from the newest pair to the oldest)
        r     <- y's / y'y * q                         (y and s of the newest pair; 1 before any)
        r     <- r + s (alpha - y'r / y's)             (from the oldest to the newest)
        x     <- x + t r                               (t by the line search)

    Source: Nocedal 1980; Nocedal & Wright 2006, algorithms 7.4 and 7.5, with the scale of their equation 7.20.
    Liu & Nocedal 1989 compare scales and find this one best.
    Memory: 2 history_size + 2 tensors per parameter.

    >>> from ravine.rules.minimize import minimize
    >>> def rosenbrock(x):
    ...     return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    >>> found = minimize(LBFGS(), rosenbrock, torch.tensor([-1.2, 1.0], dtype=torch.float64))
    >>> found.x.round(decimals=4).tolist(), found.stopped
    ([1.0, 1.0], ('no gradient left',))
    """

    history_size: int = 10  # pairs kept, >= 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.history_size < 1:
            raise SettingError(f"LBFGS.history_size is {self.history_size!r}; it must be 1 or more: write 10.")

    def begin(self, x: Tensor) -> LBFGSMemory:
        return LBFGSMemory((), torch.ones_like(x[:, 0]))

    def learned(self, memory: LBFGSMemory, pair: Pair, keep: Tensor, age: Tensor) -> LBFGSMemory:  # noqa: ARG002
        """Problems that keep the pair move their pairs up by one place; the places of the others stay as they are."""
        moved = (*memory.pairs, pair)[-self.history_size :]
        if not bool(keep.all()):
            empty = Pair(*(torch.zeros_like(part) for part in pair))
            still = (empty, *memory.pairs)[-self.history_size :]
            moved = tuple(pick_each(keep, new, old) for new, old in zip(moved, still, strict=True))
        scale = 1 / (pair.inverse * dot(pair.change, pair.change))
        return LBFGSMemory(moved, torch.where(keep, scale, memory.scale))

    def cleared(self, memory: LBFGSMemory, which: Tensor) -> LBFGSMemory:
        pairs = tuple(Pair(*(pick(which, torch.zeros_like(part), part) for part in pair)) for pair in memory.pairs)
        return LBFGSMemory(pairs, torch.where(which, 1.0, memory.scale))

    def direction(self, memory: LBFGSMemory, grad: Tensor) -> Tensor:
        q = -grad
        shares = []
        for pair in reversed(memory.pairs):
            share = pair.inverse * dot(pair.step, q)
            q = torch.addcmul(q, share[:, None], pair.change, value=-1)
            shares.append(share)
        r = memory.scale[:, None] * q
        for pair, share in zip(memory.pairs, reversed(shares), strict=True):
            rest = share - pair.inverse * dot(pair.change, r)
            r = torch.addcmul(r, rest[:, None], pair.step)
        return r

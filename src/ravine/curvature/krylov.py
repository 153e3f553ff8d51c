"""The Lanczos recurrence, for several start vectors at once, with every new vector made orthogonal to all before.

Letters in shapes: K starts, M steps, P parameters, R vectors kept away from.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ravine.curvature.operators import Operator
from ravine.randomness import generator

__all__ = ["Krylov", "draw", "draw_vectors"]

Fresh = Callable[[int], Tensor]
"""A number -> another start, [P]."""


def draw(operator: Operator, count: int, seed: int, *purpose: str | int) -> Tensor:
    """Gaussian vectors, [count, P] float64: a function of (seed, purpose) alone."""
    return draw_vectors(operator.size, count, seed, *purpose).to(operator.device)


def draw_vectors(size: int, count: int, seed: int, *purpose: str | int) -> Tensor:
    """Gaussian vectors, [count, size] float64, on the CPU: a function of (seed, purpose) alone."""
    return torch.randn(count, size, generator=generator(seed, "curvature", *purpose), dtype=torch.float64)


class Krylov:
    """H seen in the spaces spanned by start, H start, H^2 start, ...: there it is tridiagonal.

        diagonal_m <- q_m' H q_m
        w          <- H q_m - Q Q' H q_m        (the projection twice; Q: q_1 ... q_m)
        off_m      <- |w|
        q_(m+1)    <- w / off_m

    Source: Lanczos 1950; Golub & Van Loan 2013, 10.1; twice is enough: Giraud et al. 2005. All in float64.
    Where |w| is rounding, the space is invariant: off_m is 0, and it goes on with `fresh`, made orthogonal, or with zeros,
    whose rows stand apart and weigh nothing, when there is none or the space is whole.
    away: [R, P] orthonormal vectors that all others are kept orthogonal to; H is then that of the rest of the space.
    Memory: 8 bytes for each of K * M * P entries.
    """

    def __init__(
        self, operator: Operator, starts: Tensor, *, away: Tensor | None = None, fresh: Fresh | None = None
    ) -> None:
        self.operator, self.fresh = operator, fresh
        self.away = starts.new_zeros(0, operator.size) if away is None else away
        self._room = starts.new_zeros(len(starts), 8, operator.size)
        self.diagonal = starts.new_zeros(len(starts), 0)  # [K, M]
        self.off = starts.new_zeros(len(starts), 0)  # [K, M], the last couples to what is not yet in the basis
        self.scale = 0.0  # the longest product of a unit vector so far; some eigenvalue is as large
        self.next = _unit(self._orthogonal(starts))

    def __len__(self) -> int:
        """M."""
        return self.diagonal.shape[1]

    @property
    def basis(self) -> Tensor:
        """Orthonormal vectors of each start, [K, M, P]."""
        return self._room[:, : len(self)]

    @property
    def invariant(self) -> bool:
        """Whether the last step left nothing outside the space, for every start."""
        return not bool(self.off[:, -1].any())

    def step(self) -> None:
        """One more dimension: K products."""
        here = self.next
        product = self.operator(here)
        if len(self) == self._room.shape[1]:
            self._room = torch.cat([self._room, torch.zeros_like(self._room)], dim=1)
        self._room[:, len(self)] = here
        self.scale = max(self.scale, float(product.norm(dim=-1).max()))
        self.diagonal = torch.cat([self.diagonal, (here * product).sum(-1, keepdim=True)], dim=1)
        rest = self._orthogonal(product)
        size = rest.norm(dim=-1)
        whole = len(self) + len(self.away) >= self.operator.size
        broken = (size <= 10 * self.operator.eps * self.scale) | whole
        self.off = torch.cat([self.off, size.where(~broken, 0.0)[:, None]], dim=1)
        self.next = _unit(rest).where(~broken[:, None], 0.0)
        if self.fresh is not None and not whole and bool(broken.any()):
            others = self._orthogonal(self.fresh(len(self)).expand_as(rest))
            self.next = _unit(others).where(broken[:, None], self.next)

    def ritz(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues [K, M], rising, and eigenvectors [K, M, M] in columns, of the tridiagonal matrices."""
        inner = self.off[:, :-1]
        matrix = torch.diag_embed(self.diagonal) + torch.diag_embed(inner, 1) + torch.diag_embed(inner, -1)
        values, vectors = torch.linalg.eigh(matrix)
        return values, vectors

    def _orthogonal(self, vectors: Tensor) -> Tensor:
        """Vectors [K, P] without their parts in the basis and in what is kept away from."""
        for _ in range(2):
            if len(self.away):
                vectors = vectors - (vectors @ self.away.mT) @ self.away
            inside = torch.bmm(self.basis, vectors[:, :, None])
            vectors = torch.baddbmm(vectors[:, None, :], inside.mT, self.basis, alpha=-1).squeeze(1)
        return vectors


def _unit(vectors: Tensor) -> Tensor:
    sizes = vectors.norm(dim=-1, keepdim=True)
    return torch.where(sizes > 0, vectors / sizes, 0.0)

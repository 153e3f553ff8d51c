"""What descent does on a quadratic f = 1/2 (x - m)' A (x - m), exactly and without simulating it.

In the eigenbasis of A every coordinate walks by itself, and all three methods, started at rest, are

    z_{t+1} = trace z_t - det z_{t-1},    z_{-1} = z_0

    gd:        trace = 1 - lr lambda                    det = 0
    momentum:  trace = 1 + rho - lr lambda              det = rho
    nesterov:  trace = (1 + rho) (1 - lr lambda)        det = rho (1 - lr lambda)

so z_t is a power of a 2 x 2 matrix, and the larger of the sizes of its two eigenvalues is what is left of an error from
step to step in the long run. Where the two are one (a Jordan block) the error falls like t r^t; the powers hold that
case too, as they are multiplied out and not taken of eigenvalues.

Sources: Polyak 1964 (heavy ball); Nesterov 1983; Goh, "Why momentum really works", Distill 2017; Lessard, Recht &
Packard 2016, section 4.1 (best rates of the three on quadratics); Flammarion & Bach 2015 (stability of Nesterov).

Letters in shapes: d coordinates, T times, E learning rates, M momenta.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

from ravine.errors import SettingError, nearest
from ravine.landscapes.surface import Surface
from ravine.rules import SGD, Method, Rule
from ravine.rules.rule import check_range

__all__ = ["Kind", "Theory", "companion", "radius", "stability_map", "theory_of"]

Kind = Literal["gd", "momentum", "nesterov"]

TINY = 1e-300  # what stands for 0 under a logarithm
CHUNK = 4096  # times looked at together when the steps to an accuracy are counted


@dataclass(frozen=True, eq=False)
class Theory:
    """Gradient descent, heavy ball or Nesterov's method on one quadratic.

    matrix: A, [d, d], symmetric positive definite. rho: the momentum, in [0, 1); gd has none. center: m, [d]; 0 if
    not given. Points are the x of Nesterov's own form, as in `walk`. Raises SettingError for what is not so.

    >>> ravine = Theory(torch.diag(torch.tensor([2.0, 100.0])))
    >>> ravine.edge, round(ravine.best_lr, 6), ravine.condition
    (0.02, 0.019608, 50.0)
    >>> ravine.iterates(torch.tensor([4.0, 0.5]), lr=0.01, times=2)
    tensor([3.8416, 0.0000], dtype=torch.float64)
    """

    matrix: Tensor
    kind: Kind = "gd"
    rho: float = 0.0
    center: Tensor | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise SettingError(f"the theory knows no {self.kind!r}; {nearest(self.kind, get_args(Kind))}")
        check_range("Theory", "rho", self.rho, 0.0, 1.0)
        if self.kind == "gd" and self.rho:
            raise SettingError(f"gd has rho {self.rho}, and it has no momentum: write kind='momentum', or rho=0.")
        a = torch.as_tensor(self.matrix, dtype=torch.float64)
        if a.dim() != 2 or a.shape[0] != a.shape[1] or not torch.allclose(a, a.mT, atol=1e-9 * float(a.abs().max())):
            raise SettingError(f"the matrix has shape {list(a.shape)}; it must be symmetric, [d, d].")
        object.__setattr__(self, "matrix", (a + a.mT) / 2)
        if not self.smallest > 0:
            raise SettingError(f"the matrix has the eigenvalue {self.smallest:.3g}; all must be positive.")

    @cached_property
    def _basis(self) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(self.matrix)
        return values, vectors

    @property
    def values(self) -> Tensor:
        """The eigenvalues of A, ascending, [d]."""
        return self._basis[0]

    @property
    def vectors(self) -> Tensor:
        """The eigenvectors, [d, d], in columns."""
        return self._basis[1]

    @property
    def smallest(self) -> float:
        return float(self.values[0])

    @property
    def largest(self) -> float:
        return float(self.values[-1])

    @property
    def condition(self) -> float:
        """kappa, the largest eigenvalue over the smallest."""
        return self.largest / self.smallest

    @property
    def edge(self) -> float:
        """The method converges from every start if and only if 0 < lr < edge.

        2 / L for gd, 2 (1 + rho) / L for momentum, 2 (1 + rho) / ((1 + 2 rho) L) for nesterov, where both roots of
        the recurrence leave the unit circle at -1; L is the largest eigenvalue.
        """
        return _reach(self.kind, self.rho) / self.largest

    @property
    def best_lr(self) -> float:
        """The rate with the least contraction, for this rho.

        2 / (mu + L) for gd, 2 (1 + rho) / (mu + L) for momentum (one of many where both ends already fall like
        sqrt(rho)). For nesterov it is where the smallest and the largest eigenvalue fall equally fast: the
        contraction of an eigenvalue falls and then rises with lr, and the two are equal once, between 1 / L and 1 / mu.
        """
        if self.kind != "nesterov":
            return 2 * (1 + self.rho) / (self.smallest + self.largest)
        low, high = 1 / self.largest, min(1 / self.smallest, self.edge)
        for _ in range(200):
            lr = (low + high) / 2
            if not low < lr < high:
                break
            slow, fast = radius(
                self.kind, torch.tensor([self.smallest, self.largest], dtype=torch.float64), lr, self.rho
            )
            low, high = (lr, high) if slow > fast else (low, lr)
        return low

    def best(self) -> tuple[float, float]:
        """The rate and the momentum (lr, rho) with the least contraction of all.

        gd: 2 / (mu + L), which leaves (kappa - 1) / (kappa + 1). momentum (Polyak 1964): (2 / (sqrt L + sqrt mu))^2 and
        ((sqrt kappa - 1) / (sqrt kappa + 1))^2, which leaves the root of that. nesterov (Lessard et al. 2016, for
        quadratics): 4 / (3 L + mu) and (sqrt(3 kappa + 1) - 2) / (sqrt(3 kappa + 1) + 2), which leaves 1 - 2 / sqrt(3 kappa + 1).
        At the best momentum is a Jordan block: an error first grows, and falls like t r^t.
        """
        low, high = self.smallest, self.largest
        if self.kind == "gd":
            return 2 / (low + high), 0.0
        if self.kind == "momentum":
            a, b = math.sqrt(low), math.sqrt(high)
            return (2 / (a + b)) ** 2, ((b - a) / (b + a)) ** 2
        root = math.sqrt(3 * high / low + 1)
        return 4 / (3 * high + low), (root - 2) / (root + 2)

    def at_best(self) -> tuple[Theory, float]:
        """The same with the best momentum, and the rate that goes with it."""
        lr, rho = self.best()
        return replace(self, rho=rho), lr

    def radii(self, lr: float) -> Tensor:
        """The contraction per step along each eigenvector, [d]: the size of the error that is left in the long run."""
        return radius(self.kind, self.values, lr, self.rho)

    def contraction(self, lr: float) -> float:
        """The contraction per step from a general start; below 1 the method converges."""
        return float(self.radii(lr).max())

    def iterates(self, start: Tensor, lr: float, times: int | Tensor) -> Tensor:
        """Where the method is after so many steps from rest at `start` [d]: [d], or [T, d] for times [T].

        Exact to about t times the rounding error of float64; past its range they are infinite.
        """
        x = (self._along(start, lr, times) @ self.vectors.mT).nan_to_num(nan=math.inf) + self._center()
        return x if isinstance(times, Tensor) and times.dim() else x[0]

    def losses(self, start: Tensor, lr: float, times: int | Tensor) -> Tensor:
        """The loss above its minimum, f - f*, after so many steps: 1/2 sum of lambda_i z_i^2 (the slide's sum lacks the 1/2); a scalar, or [T]."""
        z = self._along(start, lr, times)
        found = 0.5 * (self.values * z.square()).sum(-1)
        return found if isinstance(times, Tensor) and times.dim() else found[0]

    def steps_to(
        self, accuracy: float, start: Tensor, lr: float, *, of: Literal["distance", "loss"] = "distance"
    ) -> int | None:
        """After how many steps the error is at most `accuracy` times what it was at the start, and stays so.

        of: the error is the distance to the minimum, or the loss above it. accuracy: in (0, 1). The last step with a
        larger error is looked for among the exact iterates, below a bound that no later one exceeds: an error that
        first grows, swings, or meets a Jordan block is counted as it is. None: never, as lr does not lie in (0, edge).
        """
        if not 0 < accuracy < 1:
            raise SettingError(f"accuracy is {accuracy!r}; it is a share of the error at the start: write 0.01, say.")
        share = self._coordinates(start).square()
        if of == "loss":
            share = share * self.values
        if not bool(share.any()):
            return 0
        if not 0 < lr < self.edge:
            return None
        share, goal = share / share.sum(), math.log(accuracy) * (0.5 if of == "loss" else 1.0)
        end = self._beyond(lr, share, goal)
        while end > 0:
            times = torch.arange(max(end - CHUNK, 0), end)
            sizes = (share * self._growth(lr, times).square()).sum(-1).log() / 2
            above = (sizes > goal).nonzero()
            if len(above):
                return int(times[above[-1]]) + 1
            end = int(times[0])
        return 0

    def _beyond(self, lr: float, share: Tensor, goal: float) -> int:
        """A time from which on the logarithm of the error is below `goal`, by a bound that falls from there on.

        Two roots apart: |z_t| <= |c1| |r1|^t + |c2| |r2|^t, with c1 and c2 from z_0 and z_1. Two that are nearly one:
        |z_t| <= t r^(t-1) (|z_1| + r), as (r1^t - r2^t) / (r1 - r2) is a sum of t terms r1^i r2^(t-1-i); it falls once
        t > 1 / log(1 / r).
        """
        trace, det = companion(self.kind, self.values, lr, self.rho)
        first = 1 - lr * self.values  # z_1 / z_0
        half = (trace.square() / 4 - det).to(torch.complex128).sqrt()  # half of r1 - r2
        one, two = trace / 2 + half, trace / 2 - half
        size = torch.maximum(one.abs(), two.abs()).clamp(min=TINY)
        near = half.abs() <= 1e-6 * size
        spans = [
            (c.abs().clamp(min=TINY).log(), root.abs().clamp(min=TINY).log())
            for c, root in (((first - two) / (2 * half), one), ((one - first) / (2 * half), two))
        ]

        def below(t: int) -> bool:
            apart = torch.logaddexp(*(c + t * root for c, root in spans))
            together = math.log(t) + (t - 1) * size.log() + (first.abs() + size).log()
            bound = torch.where(near, together, apart) + 1e-6  # for rounding
            return float(torch.logsumexp(2 * bound + share.log(), 0)) / 2 <= goal

        low = math.ceil(float(torch.where(near, -1 / size.log(), 1.0).max()))
        high = max(low, 2)
        while not below(high):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if below(middle) else (middle, high)
        return high

    def _center(self) -> Tensor:
        return torch.zeros_like(self.values) if self.center is None else self.center.double()

    def _coordinates(self, start: Tensor) -> Tensor:
        """The start from the center in the eigenbasis, [d]."""
        x = torch.as_tensor(start, dtype=torch.float64)
        if x.shape != self.values.shape:
            raise SettingError(f"the start has shape {list(x.shape)}; the quadratic needs [{len(self.values)}].")
        return (x - self._center()) @ self.vectors

    def _along(self, start: Tensor, lr: float, times: int | Tensor) -> Tensor:
        """z_t along each eigenvector, [T, d]."""
        z = self._coordinates(start)
        growth = self._growth(lr, torch.as_tensor(times).reshape(-1))
        return torch.where(z == 0, 0.0, growth * z)  # also where the growth is infinite

    def _growth(self, lr: float, times: Tensor) -> Tensor:
        """z_t / z_0 at times [T], along each eigenvector, [T, d]."""
        if bool((times < 0).any()):
            raise SettingError(
                f"times reach down to {int(times.min())}; they count steps from the start: write 0 or more."
            )
        trace, det = companion(self.kind, self.values, lr, self.rho)
        if self.kind == "gd":
            return trace.pow(times.double()[:, None])
        now = before = torch.ones(len(times), len(trace), dtype=torch.float64)  # z_t and z_{t-1}, at t = 0
        a, b, c, d = (
            trace,
            -det,
            torch.ones_like(trace),
            torch.zeros_like(trace),
        )  # the matrix (a b; c d) to the power 2^i
        left = times[:, None]
        while bool(left.any()):
            odd = left % 2 == 1
            now, before = torch.where(odd, a * now + b * before, now), torch.where(odd, c * now + d * before, before)
            left = left // 2
            a, b, c, d = a * a + b * c, b * (a + d), c * (a + d), b * c + d * d
        return now.nan_to_num(nan=math.inf, posinf=math.inf, neginf=-math.inf)


def companion(kind: Kind, values: Tensor, lr: float | Tensor, rho: float | Tensor) -> tuple[Tensor, Tensor]:
    """Trace and determinant of the recurrence's matrix, for eigenvalues that broadcast with lr and rho."""
    left = 1 - lr * values
    if kind == "gd":
        return left, torch.zeros_like(left)
    if kind == "momentum":
        return left + rho, torch.zeros_like(left) + rho
    return (1 + rho) * left, rho * left


def radius(kind: Kind, values: Tensor, lr: float | Tensor, rho: float | Tensor = 0.0) -> Tensor:
    """The larger size of the two roots of r^2 - trace r + det: the contraction per step along an eigenvector.

    values: eigenvalues of A; they broadcast with lr and rho.

    >>> radius("momentum", torch.tensor([1.0, 100.0]), lr=4 / 121, rho=81 / 121)
    tensor([0.8182, 0.8182])
    """
    trace, det = companion(kind, values, lr, rho)
    under = trace.square() / 4 - det
    real = trace.abs() / 2 + under.clamp(min=0).sqrt()
    return torch.where(under < 0, det.clamp(min=0).sqrt(), real)


def stability_map(kind: Kind, matrix: Tensor, lrs: Tensor, momenta: Tensor) -> Tensor:
    """The contraction per step on a grid of rates [E] and momenta [M], [E, M]; from 1 on the method does not converge.

    Along lr * lambda the contraction falls and then rises, for each of the methods, so of all eigenvalues of A, [d, d],
    the smallest and the largest decide. For gd the momenta are not looked at.
    """
    values = Theory(matrix).values[[0, -1]]
    rates, rhos = (torch.as_tensor(part, dtype=torch.float64) for part in (lrs, momenta))
    found = radius(kind, values, rates[:, None, None], rhos[:, None]).amax(-1)
    return found.expand(len(rates), len(rhos))


def theory_of(surface: Surface, rule: Rule | Method) -> Theory | None:
    """The theory of a rule on a surface; None unless that is a quadratic, and the rule SGD without decay and dampening.

    >>> from ravine.landscapes import surface
    >>> theory_of(surface("ravine50"), SGD(momentum=0.9)).edge
    0.038
    """
    if surface.quadratic is None or not isinstance(rule, SGD) or isinstance(rule.momentum, Tensor):
        return None
    if rule.weight_decay or rule.dampening:
        return None
    kind: Kind = "nesterov" if rule.nesterov else "gd" if rule.plain else "momentum"
    return Theory(surface.quadratic, kind, rule.momentum, surface.center)


def _reach(kind: Kind, rho: float) -> float:
    """The largest lr * lambda that converges."""
    if kind == "nesterov":
        return 2 * (1 + rho) / (1 + 2 * rho)
    return 2 * (1 + rho)

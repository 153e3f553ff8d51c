"""Newton, BFGS and LBFGS against scipy.optimize.minimize: the same minimum for no more than 1.5 x its evaluations.

One evaluation is a loss and its gradient together, for both (scipy: jac=True, its nfev). Both stop when no partial
derivative is larger than 1e-5. scipy's counterparts: L-BFGS-B without bounds and with as many pairs; BFGS; and for
Newton whichever of trust-ncg and Newton-CG used less. Evaluations are summed over a surface's starts,
which we minimize in one stack and scipy one by one.

Letters in shapes: S starts, d coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from scipy import optimize
from torch import Tensor

from ravine.rules.bfgs import BFGS
from ravine.rules.lbfgs import LBFGS
from ravine.rules.method import Method
from ravine.rules.minimize import minimize
from ravine.rules.newton import Newton

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Surface:
    """A function from [..., d] to [...], where to start, [S, d], and where its minima lie, [M, d]; all have loss 0."""

    function: Callable[[Tensor], Tensor]
    starts: Tensor
    minima: Tensor
    near: float  # how close a gradient of TOLERANCE brings a coordinate


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


def himmelblau(x: Tensor) -> Tensor:
    a, b = x[..., 0], x[..., 1]
    return (a * a + b - 11) ** 2 + (a + b * b - 7) ** 2


def beale(x: Tensor) -> Tensor:
    a, b = x[..., 0], x[..., 1]
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


def zakharov(x: Tensor) -> Tensor:
    along = (torch.arange(1, x.shape[-1] + 1) / 2 * x).sum(-1)
    return (x * x).sum(-1) + along**2 + along**4


def quadratic(kappa: float, size: int) -> Callable[[Tensor], Tensor]:
    """Curvatures from 1 to kappa, evenly in their logarithm, along directions at random."""
    axes = torch.linalg.qr(draw(size, size, seed=0)).Q
    curvatures = torch.logspace(0, math.log10(kappa), size, dtype=torch.float64)
    return lambda x: ((x @ axes) ** 2 * curvatures).sum(-1) / 2


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rows(*values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


HIMMELBLAU = rows((3, 2), (-2.805118, 3.131313), (-3.779310, -3.283186), (3.584428, -1.848127))

SURFACES = {
    "rosenbrock 2": Surface(rosenbrock, rows((-1.2, 1), (0, 0), (2, -2), (-3, 4)), rows((1, 1)), 1e-3),
    "rosenbrock 10": Surface(rosenbrock, 1 + 0.5 * draw(4, 10), torch.ones(1, 10), 1e-3),
    "rosenbrock 100": Surface(rosenbrock, 1 + 0.5 * draw(3, 100), torch.ones(1, 100), 1e-3),
    "himmelblau": Surface(himmelblau, rows((0, 0), (4, 4), (-4, 3), (-1, -5)), HIMMELBLAU, 1e-5),
    "beale": Surface(beale, rows((1, 1), (0, 0), (2, -0.5), (4, 0.8)), rows((3, 0.5)), 1e-3),
    "zakharov 2": Surface(zakharov, 3 * draw(4, 2), torch.zeros(1, 2), 1e-5),
    "zakharov 10": Surface(zakharov, 3 * draw(4, 10), torch.zeros(1, 10), 1e-5),
    **{
        f"quadratic {size}, kappa {kappa:.0e}": Surface(
            quadratic(kappa, size), draw(4, size), torch.zeros(1, size), TOLERANCE * size**0.5
        )
        for kappa, size in ((1e2, 50), (1e4, 10), (1e4, 50), (1e6, 10), (1e8, 10))
    },
}
METHODS: dict[str, tuple[Method, list[str]]] = {
    "newton": (Newton(), ["trust-ncg", "Newton-CG"]),
    "bfgs": (BFGS(), ["BFGS"]),
    "lbfgs": (LBFGS(), ["L-BFGS-B"]),
}


def scipys(function: Callable[[Tensor], Tensor], start: Tensor, name: str) -> int:
    """How many evaluations scipy needs from this start [d]."""

    def both(x: Any) -> tuple[float, Any]:
        place = torch.tensor(x, requires_grad=True)
        loss = function(place)
        loss.backward()
        assert place.grad is not None
        return loss.item(), place.grad.numpy()

    def hessian(x: Any) -> Any:
        return torch.autograd.functional.hessian(function, torch.tensor(x), vectorize=True).numpy()

    options: dict[str, Any] = {"gtol": TOLERANCE, "maxiter": 100_000}
    if name == "L-BFGS-B":
        options |= {"ftol": 0, "maxfun": 100_000, "maxcor": LBFGS().history_size}
    if name == "Newton-CG":  # it knows no tolerance of the gradient
        options = {"xtol": 1e-8, "maxiter": 100_000}
    second = {"hess": hessian} if name in ("trust-ncg", "Newton-CG") else {}
    found = optimize.minimize(both, start.numpy(), jac=True, method=name, options=options, **second)
    return int(found.nfev)


@pytest.mark.parametrize("name", SURFACES)
@pytest.mark.parametrize("kind", METHODS)
def test_the_same_minimum_for_no_more_than_one_and_a_half_times_scipys_evaluations(kind: str, name: str) -> None:
    (method, peers), surface = METHODS[kind], SURFACES[name]
    found = minimize(method, surface.function, surface.starts, tolerance_grad=TOLERANCE, max_iter=10_000)
    theirs = [min(scipys(surface.function, start, peer) for peer in peers) for start in surface.starts]
    print(f"{kind:6} {name:24} {found.evaluations.tolist()} {theirs}")  # pytest -rP shows the table
    assert set(found.stopped) == {"no gradient left"}
    gaps = (found.x[:, None] - surface.minima).abs().amax(-1)
    assert (gaps.amin(-1) < surface.near).all()
    assert found.evaluations.sum() <= 1.5 * sum(theirs)

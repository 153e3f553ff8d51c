"""The theory against walks of the real rules: 1,000 random quadratics, each under the three methods.

Problems of one dimension walk together, as the rows of one surface that knows which matrix belongs to which row.

Letters in shapes: P problems, C configurations of each, d coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ravine.landscapes import Configuration, Path, Surface, Theory, follow, surface
from ravine.landscapes.theory import Kind, companion
from ravine.randomness import generator
from ravine.rules import SGD

DIMENSIONS = [2, 3, 5, 7, 10, 14, 19, 25, 31, 50]
PROBLEMS = 100  # of each dimension: 1,000 in all
STEPS, LATE = 300, 200
TIMES = torch.tensor([0, 1, 2, 3, 10, 50, 100, LATE, STEPS])
EDGE = 1e-6  # how far from the edge a rate lies, as a share of it

KINDS: list[Kind] = ["gd", "momentum", "nesterov"]


@dataclass
class Case:
    """One problem under one method: its theory, a rate inside, and the four paths."""

    theory: Theory
    lr: float
    inside: Path  # from a random start
    slow: Path  # the same rate, from the slowest eigenvector
    below: Path  # just below the edge, from the steepest eigenvector
    above: Path  # just above it


def matrices(dimension: int) -> Tensor:
    """P matrices [P, d, d]: condition numbers up to 1e6 and scales of 1e-3 to 1e3, log-uniform; every second one turned."""
    draw = generator(dimension, "problems")
    kappas = 10 ** (6 * torch.rand(PROBLEMS, generator=draw, dtype=torch.float64))
    scales = 10 ** (6 * torch.rand(PROBLEMS, generator=draw, dtype=torch.float64) - 3)
    inner = torch.rand(PROBLEMS, dimension - 2, generator=draw, dtype=torch.float64)
    made = []
    for k in range(PROBLEMS):
        exponents = torch.cat((torch.zeros(1), inner[k], torch.ones(1))).double()
        turned = {"seed": k} if k % 2 else {}
        made.append(surface("quadratic", eigenvalues=(scales[k] * kappas[k] ** exponents).tolist(), **turned).quadratic)
    return torch.stack(made)


def stacked(a: Tensor) -> Surface:
    """The surface of points [..., P * C, d] whose rows belong to the problems in turn."""
    size = a.shape[-1]

    def slope(x: Tensor) -> Tensor:
        return (x.unflatten(-2, (len(a), -1)) @ a).flatten(-3, -2)

    def value(x: Tensor) -> Tensor:
        return 0.5 * (x * slope(x)).sum(-1)

    return Surface("stacked", "½ xᵀA x", value, size, slope=slope)


def cases(kind: Kind, dimension: int) -> list[Case]:
    a, draw = matrices(dimension), generator(dimension, "cases", kind)
    configurations, theories, lrs = [], [], []
    for k in range(PROBLEMS):
        rho, share = torch.rand(2, generator=draw, dtype=torch.float64).tolist()
        theory = Theory(a[k], kind, 0.0 if kind == "gd" else 0.1 + 0.7 * rho)
        lr = (0.05 + 0.9 * share) * theory.edge
        start = torch.randn(dimension, generator=draw, dtype=torch.float64)
        slow = theory.vectors[:, int(theory.radii(lr).argmax())]
        rule = SGD(momentum=theory.rho, nesterov=kind == "nesterov")
        walks = [
            (lr, start),
            (lr, slow),
            (theory.edge * (1 - EDGE), theory.vectors[:, -1]),
            (theory.edge * (1 + EDGE), theory.vectors[:, -1]),
        ]
        configurations += [Configuration(rule, rate, tuple(place.tolist())) for rate, place in walks]
        theories.append(theory)
        lrs.append(lr)
    paths = follow(stacked(a), configurations, steps=STEPS, tolerance=None, far=1e300)
    return [Case(theories[k], lrs[k], *paths[4 * k : 4 * k + 4]) for k in range(PROBLEMS)]


@pytest.fixture(scope="module", params=KINDS)
def problems(request: pytest.FixtureRequest) -> list[Case]:
    found = [case for dimension in DIMENSIONS for case in cases(request.param, dimension)]
    assert len(found) == 1000
    return found


def test_a_walk_is_where_the_theory_says(problems: list[Case]) -> None:
    for case in problems:
        predicted = case.theory.iterates(case.inside.points[0], case.lr, TIMES)
        error = (case.inside.points[TIMES] - predicted).norm(dim=-1) / case.inside.points[0].norm()
        assert float(error.max()) < 1e-11


def test_a_walk_loses_what_the_theory_says(problems: list[Case]) -> None:
    for case in problems:
        predicted = case.theory.losses(case.inside.points[0], case.lr, TIMES)
        error = (case.inside.losses[TIMES] - predicted).abs() / case.inside.losses[0]
        assert float(error.max()) < 1e-11


def test_a_millionth_below_the_edge_the_error_shrinks_and_a_millionth_above_it_grows(problems: list[Case]) -> None:
    for case in problems:
        for path, shrinks in ((case.below, True), (case.above, False)):
            assert (case.theory.contraction(path.lr) < 1) is shrinks
            early, late = path.points[LATE].norm(), path.points[STEPS].norm()
            assert (float(late / early) < 1 - 1e-5) is shrinks
            assert (float(late / early) > 1 + 1e-5) is not shrinks


def test_the_measured_rate_is_the_predicted_one_to_a_millionth(problems: list[Case]) -> None:
    """Of log r, the share of the digits lost per step; compared to r itself every slow rate would pass."""
    measured = [(rate, case) for case in problems if (rate := measured_rate(case)) is not None]
    assert len(measured) > 800  # in the others two roots lie too close together for 300 steps to tell
    for rate, case in measured:
        assert rate == pytest.approx(math.log(case.theory.contraction(case.lr)), rel=1e-6)


def measured_rate(case: Case) -> float | None:
    """The log of r from the path along the slowest eigenvector alone; None where its digits do not suffice.

    One root dominates: the ratio of two late errors. A complex pair swings, but w_t = z_{t+1} z_{t-1} - z_t^2 falls
    by exactly r^2 a step (Casorati).
    """
    theory, k = case.theory, int(case.theory.radii(case.lr).argmax())
    z = case.slow.points @ theory.vectors[:, k]
    trace, det = (float(part) for part in companion(theory.kind, theory.values[k], case.lr, theory.rho))
    under = trace * trace / 4 - det
    if under < 0:
        w = z[2:] * z[:-2] - z[1:-1].square()
        sharp = -under / det  # sin² of the angle: the share of z² that is left in w
        enough = 1e-15 / sharp < 1e-7 * LATE * abs(math.log(det))
        return float((w[LATE] / w[0]).abs().log() / LATE / 2) if enough else None
    ratio = abs(abs(trace) / 2 - math.sqrt(under)) / (abs(trace) / 2 + math.sqrt(under))
    early, late = (100, 200) if theory.kind != "gd" else (0, 100)
    fall = abs(math.log(theory.contraction(case.lr)))
    enough = ratio**early < 1e-9 * fall or theory.kind == "gd"
    seen = enough and float(z[late].abs()) > 1e-250
    return float((z[late] / z[early]).abs().log() / (late - early)) if seen else None

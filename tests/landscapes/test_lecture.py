"""What the lecture says of its pictures, each claim a test at the lecture's own settings (SPEC §3)."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ravine.landscapes import SURFACES, Path, surface, theory_of, walk
from ravine.rules import SGD

RAVINE = surface("ravine50")
RATES = [0.001, 0.005, 0.01, 0.015, 0.019, 0.02]


def paths(rule: object, lrs: list[float], steps: int = 100) -> dict[float, Path]:
    return {path.lr: path for path in walk(RAVINE, rule, lrs=lrs, steps=steps)}


def flips(y: Tensor) -> int:
    """How often the sign changes."""
    return int((y[1:] * y[:-1] < 0).sum())


@pytest.mark.parametrize("name", ["bowl", "rosenbrock", "himmelblau", "beale", "booth", "rastrigin"])
def test_descent_steps_at_right_angles_to_the_contour(name: str) -> None:
    one = surface(name)
    (path,) = walk(one, "gd", lrs=1e-5, steps=1)
    here = path.points[0]
    step = path.points[1] - here
    along = torch.stack((-step[1], step[0])) / step.norm() * 1e-4
    contour = (one.value(here + along) - one.value(here - along)).abs()
    downhill = (one.value(here + step / step.norm() * 1e-4) - one.value(here - step / step.norm() * 1e-4)).abs()
    assert float(contour / downhill) < 1e-5


def test_a_rate_of_02_is_exactly_the_edge_on_the_ravine() -> None:
    found = paths("gd", [0.0199, 0.02, 0.0201], steps=2000)
    assert float(found[0.0199].points[-1, 1].abs()) < 1e-8
    assert found[0.02].points[:, 1].abs().tolist() == pytest.approx([0.5] * 2001)  # for ever from side to side
    assert found[0.0201].stopped == "diverged"
    assert theory_of(RAVINE, SGD()).edge == 0.02


def test_on_the_bowl_and_the_milder_ravine_all_of_its_rates_converge() -> None:
    for name in ("bowl", "ravine10"):
        for path in walk(surface(name), "gd", lrs=[*RATES[:4], 0.02], steps=100):
            assert bool((path.losses[1:] < path.losses[:-1]).all())


def test_descent_zig_zags_across_the_ravine_at_high_rates_alone() -> None:
    found = paths("gd", RATES, steps=30)
    for lr in (0.015, 0.019, 0.02):
        assert flips(found[lr].points[:, 1]) == 30  # to the other side at every step
        assert flips(found[lr].points[:, 0]) == 0
    for lr in (0.001, 0.005):
        assert flips(found[lr].points[:, 1]) == 0


def test_along_the_ravine_descent_is_slow_at_every_rate_that_converges() -> None:
    assert float(paths("gd", [0.019], steps=50)[0.019].points[-1, 0]) > 0.1 * 4


def test_momentum_damps_the_zig_zag() -> None:
    for rho in (0.5, 0.9):
        gd, momentum = paths("gd", [0.019, 0.02]), paths(SGD(momentum=rho), [0.019, 0.02])
        assert flips(momentum[0.019].points[:, 1]) < flips(gd[0.019].points[:, 1])
        assert float(momentum[0.02].points[-1, 1].abs()) < 0.05 < float(gd[0.02].points[-1, 1].abs())
    at = 30
    gentle = paths(SGD(momentum=0.5), [0.019])[0.019].points[at, 1]
    assert float(gentle.abs()) < 0.01 * float(paths("gd", [0.019])[0.019].points[at, 1].abs())


def test_momentum_gets_further_along_the_ravine_at_low_rates() -> None:
    gd, momentum = paths("gd", [0.001]), paths("momentum", [0.001])
    assert float(momentum[0.001].losses[-1]) < 0.05 * float(gd[0.001].losses[-1])


def test_momentum_overshoots_the_optimum_further_than_nesterov() -> None:
    momentum, nesterov = walk(RAVINE, ["momentum", "nesterov"], lrs=0.01, steps=95)
    assert momentum.steps == nesterov.steps == 95
    past = [-float(path.points[:, 0].min()) for path in (momentum, nesterov)]
    assert past[0] > 1.2 * past[1] > 0
    sway = [float(path.points[10:, 1].abs().max()) for path in (momentum, nesterov)]
    assert sway[0] > 10 * sway[1]  # and across the ravine, where the gradient taken ahead brakes
    assert float(nesterov.losses[-1]) < float(momentum.losses[-1])


@pytest.mark.parametrize("lr", [0.0001, 0.0005, 0.001, 0.005, 0.01])
def test_nesterov_converges_at_the_lectures_rates(lr: float) -> None:
    theory = theory_of(RAVINE, SGD(momentum=0.9, nesterov=True))
    assert theory.contraction(lr) < 1
    assert lr < theory.edge < 0.0136


def test_adagrads_effective_rate_only_shrinks() -> None:
    for lr in (0.001, 0.005, 0.01, 0.05, 0.1, 0.5):
        (path,) = walk(RAVINE, "adagrad", lrs=lr, steps=100)
        grads = RAVINE.gradient(path.points)[:-1]
        rate = (path.points[:-1] - path.points[1:])[:20] / grads[:20]
        assert bool((rate[1:, 0] < rate[:-1, 0]).all())
        assert bool((rate[1:, 1] <= rate[:-1, 1] * (1 + 1e-12)).all())  # the ravine's floor has no gradient across
        assert float(rate[0, 0]) == pytest.approx(lr / 8)  # the first step is lr in every coordinate
        assert float(rate[0, 1]) == pytest.approx(lr / 50)


def test_adagrad_needs_the_highest_of_its_rates_here() -> None:
    final = [float(path.losses[-1]) for path in walk(RAVINE, "adagrad", lrs=[0.001, 0.05, 0.5], steps=100)]
    assert final[0] > final[1] > final[2]
    assert final[0] > 0.9 * 28.5


def test_adams_first_steps_are_as_long_as_its_rate_in_both_directions() -> None:
    for path in walk(RAVINE, "adam", lrs=[0.001, 0.005, 0.01, 0.015, 0.02], steps=1):
        assert (path.points[0] - path.points[1]).tolist() == pytest.approx([path.lr] * 2, rel=1e-6)


def test_adam_gets_further_on_rosenbrock_than_descent_in_the_same_steps() -> None:
    gd, adam = (
        walk(surface("rosenbrock"), name, lrs=[rate, 10 * rate, 100 * rate], steps=5000)
        for name, rate in (("gd", 1e-5), ("adam", 1e-3))
    )
    for slow, fast in zip(gd, adam, strict=True):
        assert float(fast.losses[-1]) < float(slow.losses[-1])
    assert min(float(path.losses[-1]) for path in adam) < 1e-6 * min(float(path.losses[-1]) for path in gd)


def test_on_rosenbrock_descent_reaches_the_valley_and_then_crawls() -> None:
    (path,) = walk(surface("rosenbrock"), "gd", lrs=1e-4, steps=10_000)
    assert float(path.losses[100]) < 0.25 * float(path.losses[0])
    assert float((path.points[-1] - 1).norm()) > 0.5


def test_a_rate_fit_for_the_plateau_flings_a_path_off_the_cliff() -> None:
    one = surface("cliff")
    (path,) = walk(one, "gd", lrs=1.0, steps=200)
    moves = (path.points[1:] - path.points[:-1]).norm(dim=-1)
    assert float(moves.max()) > 10 * float(moves.median())
    assert "cliff" in SURFACES


def test_noise_keeps_a_path_from_settling_and_a_lower_rate_settles_closer() -> None:
    """In the long run E z^2 = lr v / (lambda (2 - lr lambda)) along each eigenvector, v being the variance."""
    one = surface("noisy")
    for lr in (0.02, 0.1):
        paths = walk(one, "gd", lrs=lr, starts=[one.start] * 100, steps=800)
        settled = torch.stack([path.points[400:] for path in paths]).flatten(0, 1)
        for i, value in enumerate((1.0, 10.0)):
            expected = lr * one.noise / (value * (2 - lr * value))
            assert float(settled[:, i].square().mean()) == pytest.approx(expected, rel=0.15)
    assert math.isclose(one.noise, 4.0)

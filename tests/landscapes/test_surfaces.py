"""What must hold of every surface in SURFACES, and of those that a user brings."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.landscapes import SURFACES, Surface, surface
from ravine.randomness import generator

LARGER = [("rosenbrock", 5), ("rastrigin", 3), ("ackley", 4), ("quadratic", 6)]
CASES = [(name, {}) for name in SURFACES] + [(name, {"dimension": size}) for name, size in LARGER]
CASES += [
    ("quadratic", {"eigenvalues": (1, 7, 90), "seed": 5}),
    ("quadratic", {"kappa": 30, "angle": 20}),
    ("noisy", {"kappa": 4, "noise": 0.5, "angle": -45}),
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]} {case[1] or ''}".strip())
def one(request: pytest.FixtureRequest) -> Surface:
    name, numbers = request.param
    return surface(name, **numbers)


def places(one: Surface, count: int = 40) -> Tensor:
    """Points of its window, [count, d] float64."""
    low, high = min(one.window), max(one.window)
    share = torch.rand(count, one.dimension, generator=generator(3, one.name), dtype=torch.float64)
    return low + (high - low) * share


def derived(one: Surface) -> Surface:
    """The same surface with no formulas: everything by automatic differentiation."""
    return Surface(one.name, one.formula, one.value, one.dimension, start=one.start)


def test_its_name_is_the_one_it_is_asked_for(one: Surface) -> None:
    assert one.name in SURFACES
    assert len(one.formula) > 4


def test_its_gradient_is_that_of_automatic_differentiation(one: Surface) -> None:
    x = places(one)
    expected = derived(one).gradient(x)
    assert torch.allclose(one.gradient(x), expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max()))


def test_its_gradient_is_the_slope_between_neighbours(one: Surface) -> None:
    x, step = places(one), 1e-5
    for i in range(one.dimension):
        aside = torch.zeros(one.dimension, dtype=torch.float64)
        aside[i] = step
        slope = (one.value(x + aside) - one.value(x - aside)) / (2 * step)
        scale = float(one.gradient(x).abs().max())
        assert torch.allclose(one.gradient(x)[:, i], slope, rtol=1e-5, atol=1e-5 * scale)


def test_its_hessian_is_that_of_automatic_differentiation_and_symmetric(one: Surface) -> None:
    x = places(one)
    found, expected = one.hessian(x), derived(one).hessian(x)
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-10 * float(expected.abs().max()))
    assert torch.allclose(found, found.mT, rtol=1e-12, atol=1e-10 * float(expected.abs().max()))


def test_its_hessian_is_the_slope_of_its_gradient(one: Surface) -> None:
    x, step = places(one), 1e-5
    for i in range(one.dimension):
        aside = torch.zeros(one.dimension, dtype=torch.float64)
        aside[i] = step
        slope = (one.gradient(x + aside) - one.gradient(x - aside)) / (2 * step)
        scale = float(one.hessian(x).abs().max())
        assert torch.allclose(one.hessian(x)[:, i], slope, rtol=1e-5, atol=1e-5 * scale)


def test_its_minima_are_level_have_the_value_stated_and_nothing_near_is_lower(one: Surface) -> None:
    assert bool(one.minima) == (one.name not in ("saddle", "monkey_saddle"))
    for place in one.minima:
        m = torch.tensor(place, dtype=torch.float64)
        assert float(one.value(m)) == pytest.approx(one.minimum, abs=1e-14)
        assert float(one.gradient(m).abs().max()) < 1e-12
        near = m + 0.05 * torch.randn(200, one.dimension, generator=generator(1, "near"), dtype=torch.float64)
        assert bool((one.value(near) > one.minimum).all())
        assert one.window[0] <= place[0] <= one.window[1]
        assert one.window[2] <= place[1] <= one.window[3]


def test_nothing_in_its_window_is_lower_than_its_minimum(one: Surface) -> None:
    if one.minimum is not None:
        assert float(one.value(places(one, 4000)).min()) >= one.minimum


def test_its_start_is_in_its_window_and_not_level(one: Surface) -> None:
    x = torch.tensor(one.start, dtype=torch.float64)
    assert one.window[0] <= one.start[0] <= one.window[1]
    assert one.window[2] <= one.start[1] <= one.window[3]
    assert float(one.gradient(x).abs().max()) > 1e-3


def test_leading_dimensions_and_the_dtype_are_kept(one: Surface) -> None:
    x = places(one, 12).reshape(3, 4, one.dimension)
    assert torch.allclose(one.value(x).flatten(), one.value(x.reshape(12, -1)), rtol=1e-13)
    assert one.value(x).shape == (3, 4)
    assert one.gradient(x).shape == x.shape
    assert one.hessian(x).shape == (*x.shape, one.dimension)
    for found in (one.value, one.gradient, one.hessian):
        assert found(x[0, 0].float()).dtype == torch.float32


def test_its_matrix_is_that_of_the_function(one: Surface) -> None:
    if one.quadratic is None:
        return
    x = places(one)
    from_center = x - one.center
    assert torch.allclose(one.value(x), (from_center @ one.quadratic * from_center).sum(-1) / 2, rtol=1e-12)
    assert torch.equal(one.quadratic, one.quadratic.mT)


def test_the_lectures_ravines_have_its_formulas() -> None:
    x = torch.tensor([4.0, 0.5], dtype=torch.float64)
    for name, steep in (("bowl", 1), ("ravine10", 10), ("ravine50", 50)):
        assert float(surface(name).value(x)) == 16 + steep * 0.25
        assert surface(name).start == (4.0, 0.5)


def test_rosenbrocks_value_by_hand() -> None:
    assert float(surface("rosenbrock").value(torch.tensor([2.0, 3.0]))) == 1 + 100 * 1
    chained = surface("rosenbrock", dimension=3)
    assert float(chained.value(torch.tensor([2.0, 3.0, 4.0]))) == (1 + 100) + (4 + 100 * 25)


def test_himmelblau_has_four_minima_and_newton_finds_no_better_ones() -> None:
    one = surface("himmelblau")
    assert len(set(one.minima)) == 4
    for place in one.minima:
        m = torch.tensor(place, dtype=torch.float64)
        step = torch.linalg.solve(one.hessian(m), one.gradient(m))
        assert float(step.abs().max()) < 1e-14


def test_booth_is_the_formula_it_says() -> None:
    x = places(surface("booth"))
    a, b = x.unbind(-1)
    assert torch.allclose(surface("booth").value(x), (a + 2 * b - 7) ** 2 + (2 * a + b - 5) ** 2, rtol=1e-12)


def test_the_cliff_is_a_hundred_times_as_steep_as_its_plateau() -> None:
    line = torch.stack((torch.linspace(-6, 3, 9001, dtype=torch.float64), torch.zeros(9001)), dim=-1)
    slopes = surface("cliff").gradient(line)[:, 0].abs()
    assert float(slopes[line[:, 0] < -1].max()) < 0.1
    assert float(slopes.max()) > 10


def test_saddles_have_a_level_point_that_is_no_minimum() -> None:
    origin = torch.zeros(2, dtype=torch.float64)
    for name in ("saddle", "monkey_saddle"):
        assert surface(name).gradient(origin).tolist() == [0, 0]
        assert float(surface(name).value(places(surface(name))).min()) < 0
    assert surface("monkey_saddle").hessian(origin).abs().max() == 0


def test_a_quadratic_has_the_eigenvalues_that_were_asked_for() -> None:
    for numbers in ({}, {"seed": 4}, {"seed": 5}):
        values = torch.linalg.eigvalsh(surface("quadratic", kappa=1000, dimension=4, **numbers).quadratic)
        assert values.tolist() == pytest.approx([1, 10, 100, 1000], rel=1e-12)
    turned = surface("quadratic", eigenvalues=(1, 4), angle=30)
    along = torch.tensor([math.cos(math.pi / 6), math.sin(math.pi / 6)], dtype=torch.float64)
    assert torch.allclose(turned.quadratic @ along, along, atol=1e-14)  # the axis of 1, turned counter-clockwise


def test_seeds_turn_differently_and_each_the_same_way_again() -> None:
    a, again, b = (surface("quadratic", dimension=3, seed=seed).quadratic for seed in (1, 1, 2))
    assert torch.equal(a, again)
    assert not torch.allclose(a, b)


def test_a_surface_may_be_looked_at_and_met_otherwise() -> None:
    one = surface("bowl", start=(1, 2), window=(-1, 1, -1, 1), noise=0.5, log=True)
    assert (one.start, one.window, one.noise, one.log) == ((1.0, 2.0), (-1.0, 1.0, -1.0, 1.0), 0.5, True)
    assert surface(one, start=(3, 3)).start == (3.0, 3.0)


def test_a_function_of_the_users_has_derivatives_too() -> None:
    def ridge(x: Tensor) -> Tensor:
        return x[..., 0].square() * x[..., 2]

    one = surface(ridge, dimension=3, start=(1, 2, 3))
    assert (one.name, one.start) == ("ridge", (1.0, 2.0, 3.0))
    x = torch.tensor([[1.0, 2.0, 3.0], [2.0, 0.0, 5.0]])
    assert one.gradient(x).tolist() == [[6, 0, 1], [20, 0, 4]]
    assert one.hessian(x)[0].tolist() == [[6, 0, 2], [0, 0, 0], [2, 0, 0]]
    level = surface(lambda x: torch.zeros(x.shape[:-1]), dimension=2)
    assert level.gradient(x[:, :2]).tolist() == [[0, 0], [0, 0]]
    assert level.hessian(x[:, :2]).abs().max() == 0


def test_a_function_with_parameters_of_its_own_is_derived_by_its_points_alone() -> None:
    w = torch.nn.Parameter(torch.tensor([2.0, 3.0]))
    x = torch.tensor([[1.0, 2.0]])
    line = surface(lambda x: (w * x).sum(-1), dimension=2)
    assert line.gradient(x).tolist() == [[2, 3]]
    assert line.hessian(x).tolist() == [[[0, 0], [0, 0]]]
    level = surface(lambda x: w.sum().expand(x.shape[:-1]), dimension=2)
    assert level.gradient(x).tolist() == [[0, 0]]
    assert w.grad is None


@pytest.mark.parametrize(
    ("source", "numbers", "said"),
    [
        ("rosenbrok", {}, "did you mean rosenbrock"),
        ("rosenbrock", {"dimensions": 3}, "did you mean dimension"),
        ("rosenbrock", {"dimension": 1}, "2 or more"),
        ("rosenbrock", {"start": (1, 2, 3)}, "has 3: write 2 numbers"),
        ("bowl", {"start": 4}, r"write numbers, such as \(4, 0.5\)"),
        ("bowl", {"window": (1, 2, 3)}, "3 numbers"),
        ("bowl", {"window": (5, -5, -5, 5)}, "from < to"),
        ("bowl", {"noise": -1.0}, "variance"),
        ("bowl", {"noise": math.nan}, "variance"),
        ("quadratic", {"kappa": 0.5}, "1 or more"),
        ("quadratic", {"kappa": 5, "dimension": 1}, "1 in one dimension"),
        ("quadratic", {"eigenvalues": (1, -2)}, "positive"),
        ("quadratic", {"eigenvalues": (1, 2), "kappa": 3}, "eigenvalues alone"),
        ("quadratic", {"dimension": 3, "angle": 30}, "an angle turns 2-D"),
        ("quadratic", {"dimension": 2.5}, "whole number"),
        (lambda x: x.sum(-1), {}, r"write surface\(<lambda>, dimension=2\)"),
        (lambda x: x.sum(), {"dimension": 2}, r"shape \[\]"),
        (lambda x: x, {"dimension": 2}, r"shape \[2, 3, 2\] with shape \[2, 3, 2\]"),
        (lambda x: x[:, 0] + x[:, 1], {"dimension": 2}, r"with shape \[2, 2\].* write x\[\.\.\., 0\]"),
        (lambda x: 3.0, {"dimension": 2}, "float"),  # noqa: ARG005
        (lambda x: x.sum(-1), {"dimension": 2, "startt": (1, 2)}, "did you mean start"),
        (lambda x: x.sum(-1), {"dimension": 2, "quadratic": torch.eye(2)}, "minima"),
    ],
)
def test_what_is_no_surface_is_refused(source: object, numbers: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        surface(source, **numbers)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (torch.ones(2, 3), r"\[2, 3\]"),
        (torch.tensor([[1.0, 2.0], [0.0, 1.0]]), "not symmetric"),
        (torch.tensor([[1.0, 2.0], [2.0, 1.0]]), "eigenvalue -1"),
        (torch.tensor([[math.inf]]), "finite"),
    ],
)
def test_a_matrix_that_has_no_minimum_is_refused(matrix: Tensor, said: str) -> None:
    from ravine.landscapes.quadratics import from_matrix

    with pytest.raises(SettingError, match=said):
        from_matrix("mine", "mine", matrix)

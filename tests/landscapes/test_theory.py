"""The theory against itself and against hand-made cases; against walks of the real rules in test_random_problems."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.landscapes import Theory, radius, stability_map, surface, theory_of, walk
from ravine.landscapes.theory import Kind
from ravine.rules import SGD, Adam

KINDS: list[Kind] = ["gd", "momentum", "nesterov"]


def spread(*values: float) -> Tensor:
    """The diagonal matrix with these eigenvalues."""
    return torch.diag(torch.tensor(values, dtype=torch.float64))


def rule_of(theory: Theory) -> SGD:
    return SGD(momentum=theory.rho, nesterov=theory.kind == "nesterov")


def test_descent_on_the_lectures_ravine_by_hand() -> None:
    theory = Theory(spread(2.0, 100.0))
    assert theory.edge == 0.02
    assert theory.best_lr == pytest.approx(2 / 102, rel=1e-15)
    assert theory.contraction(theory.best_lr) == pytest.approx(49 / 51, rel=1e-14)
    assert theory.contraction(0.02) == 1.0
    start = torch.tensor([4.0, 0.5], dtype=torch.float64)
    assert theory.iterates(start, 0.015, 2).tolist() == pytest.approx([4 * 0.97**2, 0.5 * 0.25])
    assert float(theory.losses(start, 0.015, 0)) == pytest.approx(16 + 50 * 0.25)  # the 1/2 that the slide forgot


def test_one_step_reaches_the_minimum_where_the_condition_number_is_one() -> None:
    theory = Theory(spread(2.0, 2.0))
    assert theory.contraction(theory.best_lr) == 0
    start = torch.tensor([4.0, 0.5], dtype=torch.float64)
    assert theory.steps_to(1e-9, start, theory.best_lr) == 1
    for kind in ("momentum", "nesterov"):
        tuned, lr = Theory(spread(2.0, 2.0), kind).at_best()
        assert tuned.rho == pytest.approx(0, abs=1e-15)
        assert lr == pytest.approx(0.5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rho", [0.1, 0.5, 0.9, 0.99])
def test_the_edge_is_where_the_contraction_passes_one(kind: Kind, rho: float) -> None:
    theory = Theory(spread(1.0, 3.0, 70.0), kind, 0.0 if kind == "gd" else rho)
    assert theory.contraction(theory.edge * (1 - 1e-9)) < 1
    assert theory.contraction(theory.edge) == pytest.approx(1, abs=1e-12)
    assert theory.contraction(theory.edge * (1 + 1e-9)) > 1


def test_the_edges_in_closed_form() -> None:
    assert Theory(spread(1.0, 4.0), "momentum", 0.9).edge == pytest.approx(2 * 1.9 / 4)
    assert Theory(spread(1.0, 4.0), "nesterov", 0.9).edge == pytest.approx(2 * 1.9 / (2.8 * 4))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rho", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("kappa", [1.5, 40.0, 1e4])
def test_no_rate_of_a_fine_grid_beats_the_best_rate(kind: Kind, rho: float, kappa: float) -> None:
    theory = Theory(spread(1.0, math.sqrt(kappa), kappa), kind, 0.0 if kind == "gd" else rho)
    grid = torch.linspace(0, theory.edge, 4001, dtype=torch.float64)[1:]
    least = float(radius(kind, theory.values, grid[:, None], theory.rho).amax(-1).min())
    best = theory.contraction(theory.best_lr)
    assert best <= least * (1 + 1e-12)
    assert least - best < 1e-3  # the grid comes close, so the bound above is not empty


@pytest.mark.parametrize("kind", ["momentum", "nesterov"])
@pytest.mark.parametrize("kappa", [3.0, 50.0, 1000.0])
def test_no_point_of_a_grid_beats_the_best_rate_and_momentum(kind: Kind, kappa: float) -> None:
    tuned, lr = Theory(spread(1.0, kappa), kind).at_best()
    lrs = torch.linspace(0.2, 2.0, 301, dtype=torch.float64) * lr
    momenta = (tuned.rho + torch.linspace(-0.2, 0.2, 301, dtype=torch.float64)).clamp(0, 0.9999)
    least = float(stability_map(kind, tuned.matrix, lrs, momenta).min())
    root = math.sqrt(kappa)
    known = (root - 1) / (root + 1) if kind == "momentum" else 1 - 2 / math.sqrt(3 * kappa + 1)
    assert tuned.contraction(lr) == pytest.approx(known, abs=1e-7)  # the roots meet here: half the digits are left
    assert known <= least + 1e-7
    assert least - known < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_the_map_is_the_contraction_at_each_of_its_points(kind: Kind) -> None:
    turn = surface("quadratic", eigenvalues=(1, 5, 9, 30), seed=3).quadratic
    lrs, momenta = torch.linspace(0.001, 0.2, 7), torch.tensor([0.0, 0.3, 0.9])
    grid = stability_map(kind, turn, lrs, momenta)
    assert grid.shape == (7, 3)
    for i, lr in enumerate(lrs.double().tolist()):
        for j, rho in enumerate(momenta.double().tolist()):
            theory = Theory(turn, kind, 0.0 if kind == "gd" else rho)
            assert float(grid[i, j]) == pytest.approx(theory.contraction(lr), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_iterates_at_many_times_and_at_one(kind: Kind) -> None:
    theory = Theory(spread(1.0, 9.0), kind, 0.0 if kind == "gd" else 0.6, center=torch.tensor([2.0, -1.0]))
    start = torch.tensor([4.0, 0.5], dtype=torch.float64)
    times = torch.tensor([0, 1, 7, 64, 1000])
    many = theory.iterates(start, 0.1, times)
    assert many.shape == (5, 2)
    assert torch.allclose(many[0], start, atol=1e-15)
    assert torch.equal(many[3], theory.iterates(start, 0.1, 64))
    assert torch.allclose(many[4], torch.tensor([2.0, -1.0], dtype=torch.float64), atol=1e-9)
    half = (many - theory.center) @ theory.matrix * (many - theory.center) / 2
    assert torch.allclose(theory.losses(start, 0.1, times), half.sum(-1), rtol=1e-9)


def test_iterates_past_the_range_of_numbers_are_infinite() -> None:
    theory = Theory(spread(1.0, 9.0), "momentum", 0.6)
    start = torch.tensor([4.0, 0.5], dtype=torch.float64)
    assert float(theory.losses(start, 10.0, 10**6)) == math.inf
    assert bool(theory.iterates(start, 10.0, 10**6).isinf().all())
    still = torch.tensor([0.0, 0.0], dtype=torch.float64)
    assert theory.iterates(still, 10.0, 10**6).tolist() == [0, 0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("of", ["distance", "loss"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
@pytest.mark.parametrize("rho", [0.3, 0.95])
def test_the_steps_to_an_accuracy_are_those_that_a_walk_takes(kind: Kind, of: str, share: float, rho: float) -> None:
    function = surface("quadratic", eigenvalues=(1, 4, 30), seed=1)
    theory = theory_of(function, SGD(momentum=0.0 if kind == "gd" else rho, nesterov=kind == "nesterov"))
    lr, start = share * theory.edge, torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    (path,) = walk(function, rule_of(theory), lrs=lr, starts=start, steps=6000)
    error = path.points.norm(dim=-1) if of == "distance" else path.losses
    last = int((error > 1e-3 * error[0]).nonzero()[-1])
    assert theory.steps_to(1e-3, start, lr, of=of) == last + 1


def test_steps_where_the_roots_meet_count_the_slower_fall_and_the_first_growth() -> None:
    tuned, lr = Theory(spread(1.0, 400.0), "momentum").at_best()
    start = torch.tensor([0.0, 1.0], dtype=torch.float64)
    found = tuned.steps_to(1e-3, start, lr)
    sizes = tuned.iterates(start, lr, torch.arange(1000)).norm(dim=-1)
    assert float(sizes.max()) > 5  # it first grows: the rate alone would not say so
    assert found == int((sizes > 1e-3).nonzero()[-1]) + 1
    assert found > 1.3 * math.log(1e-3) / math.log(tuned.contraction(lr))


def test_steps_of_an_ill_conditioned_descent_are_found_without_taking_them() -> None:
    theory = Theory(spread(1.0, 1e6))
    start = torch.tensor([1.0, 0.0], dtype=torch.float64)
    expected = math.ceil(math.log(0.01) / math.log1p(-1e-6))
    assert theory.steps_to(0.01, start, 1e-6) == expected


def test_no_steps_lead_there_from_the_edge_on_and_none_are_needed_at_the_minimum() -> None:
    theory = Theory(spread(2.0, 100.0), "nesterov", 0.9)
    start = torch.tensor([4.0, 0.5], dtype=torch.float64)
    assert theory.steps_to(0.1, start, theory.edge) is None
    assert theory.steps_to(0.1, start, 2 * theory.edge) is None
    assert theory.steps_to(0.1, 0 * start, theory.edge / 2) == 0


def test_a_turned_matrix_has_the_theory_of_its_eigenvalues() -> None:
    turned = Theory(surface("quadratic", eigenvalues=(2, 100), angle=30).quadratic)
    assert turned.edge == pytest.approx(0.02, rel=1e-12)
    assert turned.condition == pytest.approx(50, rel=1e-12)


def test_only_quadratics_and_plain_sgd_have_a_theory() -> None:
    ravine = surface("ravine50")
    assert theory_of(ravine, SGD()).kind == "gd"
    assert theory_of(ravine, SGD(momentum=0.9)).kind == "momentum"
    assert theory_of(ravine, SGD(momentum=0.9, nesterov=True)).kind == "nesterov"
    assert theory_of(ravine, Adam()) is None
    assert theory_of(ravine, SGD(weight_decay=0.1)) is None
    assert theory_of(surface("rosenbrock"), SGD()) is None
    booth = theory_of(surface("booth"), SGD())
    assert booth.iterates(torch.tensor([1.0, 3.0]), 0.01, 5).tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "nestrov"}, "did you mean nesterov"),
        ({"rho": 0.9}, "no momentum"),
        ({"kind": "momentum", "rho": 1.0}, "rho"),
        ({"matrix": torch.ones(2, 3)}, r"\[2, 3\]"),
        ({"matrix": torch.tensor([[1.0, 2.0], [0.0, 1.0]])}, "symmetric"),
        ({"matrix": torch.diag(torch.tensor([1.0, -1.0]))}, "eigenvalue -1"),
    ],
)
def test_what_has_no_theory_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Theory(**{"matrix": spread(1.0, 2.0), **wrong})


def test_wrong_questions_are_refused() -> None:
    theory = Theory(spread(1.0, 2.0))
    with pytest.raises(SettingError, match="accuracy is 1"):
        theory.steps_to(1, torch.ones(2), 0.1)
    with pytest.raises(SettingError, match=r"\[3\]"):
        theory.iterates(torch.ones(3), 0.1, 5)
    with pytest.raises(SettingError, match="-1"):
        theory.iterates(torch.ones(2), 0.1, -1)

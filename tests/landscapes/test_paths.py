"""Paths: every engine against the bare rule, why each stopped, and what is refused."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.landscapes import (
    FAR,
    TOLERANCE,
    Configuration,
    Surface,
    named_rule,
    rule_names,
    surface,
    walk,
)
from ravine.landscapes.crowd import gaussian, kinds
from ravine.rules import METHODS, RULES, SGD, Adam, Muon, RMSprop, Rule

STEPS = 25

WALKED: list[Rule] = [
    *(kind() for kind in RULES.values()),
    SGD(momentum=0.9),
    SGD(momentum=0.9, dampening=0.5, weight_decay=0.1),
    Adam(amsgrad=True),
    RMSprop(momentum=0.9, centered=True),
]


def alone(one: Surface, rule: Rule, lr: float, start: tuple[float, ...], steps: int) -> Tensor:
    """The points of the bare rule, [T + 1, d]: one configuration, step by step."""
    x = torch.tensor(start, dtype=torch.float64)
    state, points = rule.init(x), [x]
    for step in range(1, steps + 1):
        x, state = rule.update(x, one.gradient(x), state, lr=lr, step=step)
        points.append(rule.settled(x, state))
    return torch.stack(points)


@pytest.fixture
def counted() -> tuple[Surface, list[int]]:
    """A bowl, and the sizes of the batches at which its gradient was asked for."""
    calls: list[int] = []
    bowl = surface("bowl")

    def slope(x: Tensor) -> Tensor:
        calls.append(math.prod(x.shape[:-1]))
        return bowl.gradient(x)

    return dataclasses.replace(bowl, slope=slope), calls


@pytest.mark.parametrize("rule", WALKED, ids=str)
def test_stacked_paths_match_the_bare_rule_walked_alone(rule: Rule) -> None:
    one, starts = surface("himmelblau"), [(-0.5, -0.5), (4.0, 1.0)]
    paths = walk(one, rule, lrs=[1e-3, 1e-2], starts=starts, steps=STEPS)
    assert [(path.lr, path.start) for path in paths] == [(lr, start) for lr in (1e-3, 1e-2) for start in starts]
    for path in paths:
        expected = alone(one, rule, path.lr, path.start, STEPS)
        assert path.points.dtype == torch.float64
        assert torch.allclose(path.points, expected, rtol=1e-12, atol=1e-13)
        assert torch.allclose(path.losses, one.value(expected), rtol=1e-11)


def test_rules_of_all_kinds_walk_in_one_call_as_they_walk_alone() -> None:
    one = surface("rosenbrock")
    together = walk(one, [*WALKED, *METHODS], lrs=[1e-3, 1e-4], steps=STEPS)
    assert len(together) == 2 * len(WALKED) + 2 * len(METHODS)
    apart = [path for rule in [*WALKED, *METHODS] for path in walk(one, rule, lrs=[1e-3, 1e-4], steps=STEPS)]
    for a, b in zip(together, apart, strict=True):
        assert (type(a.rule), a.lr, a.stopped) == (type(b.rule), b.lr, b.stopped)
        assert torch.allclose(a.points, b.points, rtol=1e-12, atol=1e-13)


def test_settings_that_differ_in_numbers_are_stacked_and_walk_as_they_walk_alone() -> None:
    one = surface("ravine50")
    rules: list[Rule] = [SGD(), SGD(momentum=0.5), SGD(momentum=0.9), SGD(momentum=0.9, weight_decay=0.3)]
    paths = walk(one, rules, lrs=[0.001, 0.01], steps=STEPS)
    for path in paths:
        assert torch.allclose(path.points, alone(one, path.rule, path.lr, path.start, STEPS), rtol=1e-12, atol=1e-13)
    configurations = [Configuration(path.rule, path.lr, path.start) for path in paths]
    assert kinds(configurations) == [[0, 1], [2, 3, 4, 5], [6, 7]]  # without a velocity; with; with decay too


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_nesterovs_points_are_those_of_its_own_form_and_the_practical_ones_lie_ahead(decay: float) -> None:
    one, rho, lr = surface("ravine50"), 0.9, 0.003
    rule = SGD(momentum=rho, nesterov=True, weight_decay=decay)
    (path,) = walk(one, rule, lrs=lr, steps=STEPS)
    x, v = torch.tensor([4.0, 0.5], dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for t in range(STEPS + 1):
        assert torch.allclose(path.points[t], x, rtol=1e-12, atol=1e-14)
        e = x + rho * v  # as the lecture writes it
        v = rho * v - lr * (one.gradient(e) + decay * e)
        x = x + v
    practical = alone(one, rule, lr, path.start, STEPS)
    moves = path.points[1:] - path.points[:-1]
    assert torch.allclose(practical[1:], path.points[1:] + rho * moves, rtol=1e-11, atol=1e-13)


def test_every_rule_by_its_name_walks_down_from_the_start() -> None:
    for name in rule_names():
        lr = 1.0 if name in (*METHODS, "adadelta") else 1e-3
        (path,) = walk(surface("ravine10"), name, lrs=lr, steps=20)
        assert path.losses[-1] < path.losses[0], name


def test_one_list_of_rates_for_all_rules_or_one_for_each() -> None:
    bowl = surface("bowl")
    same = walk(bowl, ["gd", "adam"], lrs=[0.1, 0.2], steps=2)
    assert [(type(path.rule).__name__, path.lr) for path in same] == [
        ("SGD", 0.1), ("SGD", 0.2), ("Adam", 0.1), ("Adam", 0.2),
    ]  # fmt: skip
    own = walk(bowl, ["gd", "adam"], lrs=[[0.1], [0.2, 0.3]], steps=2)
    assert [path.lr for path in own] == [0.1, 0.2, 0.3]


def test_starts_may_be_one_point_or_several_or_a_tensor() -> None:
    bowl = surface("bowl")
    assert walk(bowl, "gd", lrs=0.1, steps=1)[0].start == bowl.start
    assert [p.start for p in walk(bowl, "gd", lrs=0.1, starts=(1, 2), steps=1)] == [(1.0, 2.0)]
    for starts in ([(1, 2), (3, 4)], torch.tensor([[1.0, 2.0], [3.0, 4.0]])):
        assert [p.start for p in walk(bowl, "gd", lrs=0.1, starts=starts, steps=1)] == [(1.0, 2.0), (3.0, 4.0)]


def test_of_every_so_many_steps_one_is_recorded() -> None:
    one = surface("rosenbrock")
    (fine,) = walk(one, "adam", lrs=0.01, steps=600)
    (coarse,) = walk(one, "adam", lrs=0.01, steps=600, every=50)
    assert torch.equal(coarse.points, fine.points[::50])
    assert (coarse.steps, len(coarse.points), coarse.every) == (600, 13, 50)


def test_no_steps_leave_the_start_alone() -> None:
    (path,) = walk(surface("bowl"), "gd", lrs=0.1, steps=0)
    assert (path.points.tolist(), path.stopped, path.steps) == ([[4.0, 0.5]], "steps", 0)


def test_a_diverging_path_is_cut_before_the_first_place_too_far_away() -> None:
    one = surface("ravine50")
    near, far = walk(one, "gd", lrs=[0.019, 0.03], steps=200)
    assert (near.stopped, far.stopped) == ("steps", "diverged")
    limit = FAR * 5  # the window reaches to 5
    y = [0.5 * (-2.0) ** t for t in range(20)]
    inside = [value for value in y if abs(value) <= limit]
    assert far.points[:, 1].tolist() == pytest.approx(inside)
    assert far.steps == len(inside) - 1
    (wider,) = walk(one, "gd", lrs=0.03, steps=2000, far=1e6)
    assert wider.steps > far.steps


@pytest.mark.parametrize("lr", [1e-2, 1.0, 1e300])
def test_no_path_holds_a_number_that_is_not_finite(lr: float) -> None:
    rules = ["gd", "momentum", "nesterov", "adam", "lamb"]
    for name in ("ravine50", "rosenbrock", "beale", "saddle", "monkey_saddle", "cliff", "noisy", "ackley"):
        one = surface(name)
        for path in walk(one, rules if one.noise else [*rules, "bfgs"], lrs=lr, steps=60):
            assert bool(path.points.isfinite().all())
            assert bool(path.losses.isfinite().all())
            assert len(path.points) == len(path.losses)


def test_a_path_that_leaves_the_domain_is_cut_at_its_last_finite_place() -> None:
    (path,) = walk(surface("log(x) + y^2", start=(0.5, 1)), "gd", lrs=0.1, steps=50)
    assert path.stopped == "diverged"
    assert float(path.points[-1, 0]) > 0
    assert float(path.points[-1, 0] - 0.1 / path.points[-1, 0]) <= 0  # the next step would have left


def test_a_diverging_path_does_not_move_another() -> None:
    one = surface("rosenbrock")
    lrs = [1e-3, 1.0, 1e-4]
    together = walk(one, "momentum", lrs=lrs, steps=700)
    assert [path.stopped for path in together] == ["steps", "diverged", "steps"]
    for path, lr in zip(together, lrs, strict=True):
        (apart,) = walk(one, "momentum", lrs=lr, steps=700)
        assert torch.equal(path.points, apart.points)


def test_a_path_has_converged_when_gradient_and_move_are_within_the_tolerance() -> None:
    one = surface("bowl")
    (path,) = walk(one, "gd", lrs=0.25, steps=500)
    assert path.stopped == "converged"
    moves = (path.points[1:] - path.points[:-1]).abs().amax(-1)
    slopes = one.gradient(path.points).abs().amax(-1)[1:]
    still = (moves <= TOLERANCE) & (slopes <= TOLERANCE)
    assert still.tolist() == [False] * (path.steps - 1) + [True]
    (looser,) = walk(one, "gd", lrs=0.25, steps=500, tolerance=1e-3)
    assert looser.steps < path.steps
    (never,) = walk(one, "gd", lrs=0.25, steps=500, tolerance=None)
    assert (never.stopped, never.steps) == ("steps", 500)


def test_a_momentum_that_rushes_through_a_level_place_has_not_converged() -> None:
    """z_t = trace z_{t-1} - rho z_{t-2} is 0 to rounding at t = 1 for lr = 1 / lambda, and moves on."""
    (path,) = walk(surface("x^2 + 0*y", start=(4, 0)), SGD(momentum=0.9), lrs=0.5, steps=50)
    assert path.points[1].tolist() == [0, 0]
    assert path.stopped == "steps"


def test_a_start_on_a_saddle_is_said_to_have_converged_and_newton_leaves_it() -> None:
    one = surface("x^2 - y^2 + y^4", start=(0, 0))
    gd, newton = walk(one, ["gd", "newton"], lrs=[[0.1], [1.0]], steps=100)
    assert (gd.stopped, gd.steps) == ("converged", 1)
    assert (newton.stopped, float(newton.losses[-1])) == ("converged", pytest.approx(-0.25))


def test_second_order_methods_converge_in_few_steps() -> None:
    for name in METHODS:
        paths = walk(surface("rosenbrock"), name, lrs=[1.0, 0.5], starts=[(-1.2, 1.0), (0.5, -0.5)], steps=300)
        for path in paths:
            assert path.stopped == "converged"
            assert path.steps < 120
            assert path.points[-1].tolist() == pytest.approx([1, 1], abs=1e-9)
            assert bool((path.losses[1:] <= path.losses[:-1]).all())
    (one_step,) = walk(surface("ravine50"), "newton", lrs=1.0, steps=5)
    assert float(one_step.losses[1]) < 1e-28


def test_a_methods_rate_is_the_first_step_it_tries() -> None:
    half, whole = walk(surface("ravine50"), "newton", lrs=[0.5, 1.0], steps=1)
    assert half.points[1].tolist() == pytest.approx([2, 0.25])
    assert whole.points[1].tolist() == pytest.approx([0, 0], abs=1e-14)


def test_a_method_that_finds_no_better_place_has_converged_whatever_the_tolerance() -> None:
    one = surface("himmelblau")
    for name in METHODS:
        (path,) = walk(one, name, lrs=1.0, starts=(-3.0, 3.0), steps=300, tolerance=0.0)
        assert path.stopped == "converged"
        assert path.steps < 60
        assert 0 < float(one.gradient(path.points[-1]).abs().max()) < 1e-5


def test_methods_whose_rate_differs_walk_as_they_walk_alone() -> None:
    one = surface("beale")
    for path in walk(one, "bfgs", lrs=[1.0, 0.3], starts=[(1.0, 1.5), (2.0, 0.0)], steps=40):
        (apart,) = walk(one, "bfgs", lrs=path.lr, starts=path.start, steps=40)
        assert torch.allclose(path.points, apart.points, rtol=1e-12, atol=1e-13)
        assert path.stopped == apart.stopped


def test_steps_that_no_path_needs_are_not_taken(counted: tuple[Surface, list[int]]) -> None:
    bowl, calls = counted
    walk(bowl, "gd", lrs=[0.5, 5.0], steps=100_000)  # one at the minimum in a step, one away in a few
    assert len(calls) < 40


def test_paths_that_have_stopped_are_not_walked_on(counted: tuple[Surface, list[int]]) -> None:
    bowl, calls = counted
    walk(bowl, "gd", lrs=[5.0] * 9 + [1e-6], steps=300)
    assert sum(calls) < 900  # 10 configurations x 300 steps, were all walked


def test_noise_has_the_variance_and_no_mean() -> None:
    (draws,) = gaussian(500, 40, seed=3, steps=torch.tensor([7]))
    assert abs(float(draws.mean())) < 4 / math.sqrt(20_000)
    assert abs(float(draws.var()) - 1) < 4 * math.sqrt(2 / 20_000)
    assert abs(float(draws.pow(4).mean()) - 3) < 4 * math.sqrt(96 / 20_000)
    flat = surface("0*x", noise=2.5)
    (path,) = walk(flat, "gd", lrs=0.01, steps=4000)
    kicks = (path.points[1:] - path.points[:-1]) / 0.01
    assert float(kicks.var()) == pytest.approx(2.5, rel=4 * math.sqrt(2 / 8000))


def test_noise_is_a_function_of_seed_step_and_place_in_the_list() -> None:
    one = surface("noisy")
    first = walk(one, ["gd", "adam"], lrs=[0.01, 0.02], steps=30, seed=1)
    again = walk(one, ["gd", "adam"], lrs=[0.01, 0.02], steps=30, seed=1)
    other = walk(one, ["gd", "adam"], lrs=[0.01, 0.02], steps=30, seed=2)
    fewer = walk(one, "gd", lrs=[0.01], steps=30, seed=1)
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a.points, b.points)
    assert torch.allclose(first[0].points, fewer[0].points, rtol=1e-13)
    assert not torch.allclose(first[0].points, other[0].points)
    kicks = [path.points[1] - path.points[0] + path.lr * one.gradient(path.points[0]) for path in first[:2]]
    assert not torch.allclose(kicks[0] / 0.01, kicks[1] / 0.02)
    two = gaussian(3, 2, 1, torch.tensor([5, 6]))
    assert not torch.equal(two[0], two[1])
    assert torch.equal(gaussian(9, 2, 1, torch.tensor([6]))[0, :3], two[1])


def test_noise_is_drawn_the_same_after_a_neighbour_has_left() -> None:
    one = surface("noisy")
    gone, stays = walk(one, "gd", lrs=[3.0, 0.01], steps=400)
    assert (gone.stopped, stays.stopped) == ("diverged", "steps")
    quiet, same = walk(one, "gd", lrs=[0.02, 0.01], steps=400)
    assert quiet.stopped == "steps"
    assert torch.equal(stays.points, same.points)


def test_losses_hold_no_noise() -> None:
    one = surface("noisy")
    (path,) = walk(one, "gd", lrs=0.05, steps=20)
    assert torch.equal(path.losses, one.value(path.points))


def test_the_global_generator_is_not_touched() -> None:
    before = torch.random.get_rng_state()
    walk(surface("noisy"), ["gd", "lamb"], lrs=0.01, steps=5)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_named_rule_has_its_settings() -> None:
    assert named_rule("gd") == SGD()
    assert named_rule("momentum") == SGD(momentum=0.9)
    assert named_rule("momentum", momentum=0.5) == SGD(momentum=0.5)
    assert named_rule("nesterov") == SGD(momentum=0.9, nesterov=True)
    assert named_rule("adam", beta1=0.8) == Adam(beta1=0.8)
    assert named_rule("muon") == Muon()


def nan_slope(x: Tensor) -> Tensor:
    return x.sum(-1).sqrt()


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: walk(surface("bowl"), "adm", lrs=0.1), "did you mean adam"),
    (lambda: walk(surface("bowl"), [], lrs=0.1), "no rules"),
    (lambda: walk(surface("bowl"), [3], lrs=0.1), "3 is not a rule"),
    (lambda: walk(surface("bowl"), "gd", lrs=-0.1), "rate of SGD is -0.1"),
    (lambda: walk(surface("bowl"), "gd", lrs=math.nan), "rate of SGD is nan"),
    (lambda: walk(surface("bowl"), "gd", lrs=[]), "lrs is"),
    (lambda: walk(surface("bowl"), ["gd", "adam"], lrs=[[0.1]]), "one list for each rule"),
    (lambda: walk(surface("bowl"), ["gd", "adam"], lrs=[[0.1], 0.2]), "one list for each rule"),
    (lambda: walk(surface("bowl"), "gd", lrs=0.1, starts=[]), "starts is empty"),
    (lambda: walk(surface("bowl"), "gd", lrs=0.1, starts=(1, 2, 3)), "3 coordinates and bowl has 2"),
    (lambda: walk(surface("bowl"), "gd", lrs=0.1, steps=-1), "steps is -1"),
    (lambda: walk(surface("bowl"), "gd", lrs=0.1, steps=2.5), "steps is 2.5"),
    (lambda: walk(surface("bowl"), "gd", lrs=0.1, steps=10, every=3), "write a multiple, steps=9"),
    (lambda: walk(surface("bowl"), "gd", lrs=0.1, every=0), "every is 0"),
    (lambda: walk(surface("bowl"), "gd", lrs=0.1, tolerance=-1.0), "tolerance"),
    (lambda: walk(surface("bowl"), "gd", lrs=0.1, far=math.nan), "far"),
    (lambda: walk(surface("log(x)", start=(-1, 0)), "gd", lrs=0.1), r"not finite at the start \(-1.0, 0.0\)"),
    (lambda: walk(surface("sqrt(x)", start=(0, 0)), "gd", lrs=0.1), "its gradient"),
    (lambda: walk(surface("bowl"), "gd", lrs=0.1, starts=(math.inf, 0)), "not finite at the start"),
    (lambda: walk(surface("noisy"), "bfgs", lrs=1.0), "without noise"),
    (lambda: walk(surface("bowl"), SGD(momentum=torch.tensor([[0.1], [0.2]])), lrs=0.1), "momentum"),
    (lambda: named_rule("adam", beta3=0.1), "takes no beta3; did you mean beta"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG)
def test_what_cannot_be_walked_is_refused(wrong: Callable[[], object], said: str) -> None:
    with pytest.raises(SettingError, match=said) as refusal:
        wrong()
    assert "\n" not in str(refusal.value)

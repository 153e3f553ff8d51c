"""Samplers: Optuna's own conformance suite, and that a draw follows from the seed, the number and the trials before."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase

from ravine.errors import SettingError
from ravine.search import SAMPLERS, RepeatableSampler
from ravine.search.places import count_of, placed
from ravine.search.samplers import grid_levels

Distributions = dict[str, BaseDistribution]
PLANE: Distributions = {"x": FloatDistribution(-1, 1), "y": FloatDistribution(1e-4, 1, log=True)}


@pytest.fixture(params=SAMPLERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestConformance(BasicSamplerTestCase, RelativeSamplerTestCase):
    """What every sampler of Optuna must do, as Optuna publishes it."""

    @pytest.fixture
    def sampler(self, kind: str) -> Callable[[], BaseSampler]:
        return lambda: RepeatableSampler(kind, seed=3)


def searched(
    kind: str, seed: int, count: int, *, space: Distributions = PLANE, trials: int = 64
) -> list[dict[str, Any]]:
    """The values of a search that tells each trial before it asks for the next."""
    study = optuna.create_study(sampler=RepeatableSampler(kind, seed, trials=trials))
    for _ in range(count):
        trial = study.ask(space)
        study.tell(trial, trial.params["x"] ** 2 + abs(math.log(trial.params["y"])))
    return [t.params for t in study.trials]


def drawn(kind: str, seed: int, count: int, *, space: Distributions = PLANE, trials: int = 64) -> list[dict[str, Any]]:
    """The values of a batch: the sampler is told the whole space, and nothing is told to it."""
    sampler, study = RepeatableSampler(kind, seed, trials=trials), optuna.create_study()
    for number in range(count):
        trial = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
        trial.number = number
        trial.params = sampler.sample_relative(study, trial, space)
        trial.distributions = space
        study.add_trial(trial)
    return [t.params for t in study.trials]


@pytest.mark.parametrize("kind", [kind for kind in SAMPLERS if kind != "gp"])
def test_the_same_seed_gives_the_same_values_and_another_seed_others(kind: str) -> None:
    assert searched(kind, 1, 14) == searched(kind, 1, 14)
    assert searched(kind, 1, 14) != searched(kind, 2, 14)


def test_a_sampler_that_is_made_anew_half_way_goes_on_as_if_it_had_not_been(kind: str) -> None:
    whole = searched(kind, 1, 12)
    study = optuna.create_study(sampler=RepeatableSampler(kind, 1))
    for number in range(12):
        if number == 11:  # TPE and the Gaussian process have begun to learn
            study.sampler = RepeatableSampler(kind, 1)
        trial = study.ask(PLANE)
        study.tell(trial, trial.params["x"] ** 2 + abs(math.log(trial.params["y"])))
    assert [t.params for t in study.trials] == whole


@pytest.mark.parametrize("kind", ["tpe", "gp"])
def test_what_learns_goes_where_it_is_good_and_does_not_ask_for_the_same_twice(kind: str) -> None:
    sampler, study = RepeatableSampler(kind, 0), optuna.create_study()

    def add(params: dict[str, Any], value: float | None) -> None:
        state = optuna.trial.TrialState.RUNNING if value is None else optuna.trial.TrialState.COMPLETE
        study.add_trial(optuna.trial.create_trial(state=state, value=value, params=params, distributions=PLANE))

    for params in drawn("sobol", 0, 24):
        add(params, (params["x"] - 0.5) ** 2)
    batch = []
    for number in range(24, 28):
        trial = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
        trial.number = number
        batch.append(sampler.sample_relative(study, trial, PLANE))
        add(batch[-1], None)
    assert sum(abs(params["x"] - 0.5) < 0.4 for params in batch) >= 3  # by chance 40 % of them
    assert len({params["x"] for params in batch}) == 4


def test_trials_of_another_phase_or_optimizer_teach_nothing() -> None:
    """A quasi-random sequence begins anew for them."""
    sampler, study = RepeatableSampler("halton", 0), optuna.create_study()
    choice = CategoricalDistribution(["sgd", "adamw"])

    def ask(optimizer: str, phase: str) -> tuple[float, float]:
        trial = optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params={"optimizer": optimizer},
            distributions={"optimizer": choice},
            user_attrs={"phase": phase},
        )
        trial.number = len(study.trials)
        values = sampler.sample_relative(study, trial, PLANE)
        trial.distributions = {**trial.distributions, **PLANE}
        trial.params = {**trial.params, **values}
        study.add_trial(trial)
        return values["x"], values["y"]

    def alone(optimizer: str, phase: str, count: int) -> list[tuple[float, float]]:
        nonlocal study
        study = optuna.create_study()
        return [ask(optimizer, phase) for _ in range(count)]

    others = [("sgd", "coarse"), ("adamw", "coarse"), ("sgd", "refine")]
    mixed = [ask(*other) for other in others * 2]
    for i, other in enumerate(others):
        assert mixed[i::3] == alone(*other, 2)


def test_quasi_random_values_fill_cells_where_random_ones_leave_gaps() -> None:
    def cells(kind: str) -> int:
        found = drawn(kind, 0, 16)
        return len({(int(2 * (p["x"] + 1)), int(4 * (math.log(p["y"], 1e-4)))) for p in found})

    assert cells("sobol") == 16  # a net: one point in each of 4 x 4 cells
    assert cells("halton") > cells("random") + 1


def test_a_grid_has_as_many_points_as_trials_and_what_comes_after_lies_between() -> None:
    space: Distributions = {**PLANE, "z": CategoricalDistribution(["a", "b", "c"])}
    assert grid_levels(space, 27) == {"x": 3, "y": 3, "z": 3}
    found = [tuple(params.values()) for params in drawn("grid", 5, 28, space=space, trials=27)]
    assert len(set(found[:27])) == 27
    assert len(set(found)) == 28
    assert found[27][2] == found[0][2]
    assert found[27][0] == pytest.approx(found[0][0] - 1 / 6)  # a quarter into its third of [-1, 1], not half
    assert sorted({x for x, _, _ in found[:27]}) == pytest.approx([-2 / 3, 0, 2 / 3])
    assert sorted({y for _, y, _ in found[:27]}) == pytest.approx([10 ** (-4 * (1 - (i + 0.5) / 3)) for i in range(3)])
    assert found[:27] != sorted(found[:27])  # in random order, so that a search cut short has seen all sides


def test_a_grid_is_never_finer_than_what_it_searches() -> None:
    space: Distributions = {"n": IntDistribution(1, 3), "z": CategoricalDistribution(["a"])}
    assert grid_levels(space, 100) == {"n": 3, "z": 1}
    assert {params["n"] for params in drawn("grid", 0, 3, space=space)} == {1, 2, 3}


def test_random_values_are_spread_evenly_on_their_own_scale() -> None:
    ys = sorted(params["y"] for params in drawn("random", 1, 400))
    for share in (0.25, 0.5, 0.75):
        assert math.log(ys[int(400 * share)], 1e-4) == pytest.approx(1 - share, abs=0.08)  # 3 deviations of n = 400


@pytest.mark.parametrize(
    "d",
    [
        FloatDistribution(0, 1, step=0.1),
        IntDistribution(2, 9),
        IntDistribution(1, 40, log=True),
        IntDistribution(-4, 4, step=2),
        CategoricalDistribution(["a", "b", "c"]),
    ],
)
def test_every_value_of_a_list_has_its_place(d: BaseDistribution) -> None:
    found = {placed(d, i / 2000) for i in range(2000)}
    assert len(found) == count_of(d)
    assert all(d._contains(d.to_internal_repr(value)) for value in found)


def test_a_mistyped_sampler_is_answered_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="sampler 'sobel' is not known; did you mean sobol"):
        RepeatableSampler("sobel")

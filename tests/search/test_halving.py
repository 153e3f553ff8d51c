"""Successive halving on runs whose metrics are written down beforehand, and once on real ones."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from ravine.data import from_arrays
from ravine.models import Model
from ravine.models.mlp import mlp
from ravine.search import climb, survivors
from ravine.search.halving import SLICE
from ravine.training import Run, Setting, rank
from ravine.types import Metrics


@dataclass
class Scripted:
    """A run of trials whose accuracy is known: number -> accuracy, NaN from a step on. `seconds` a step of a trial."""

    worth: dict[int, float]
    lost_at: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    step: int = 0
    steps_per_epoch: int = 10

    def __post_init__(self) -> None:
        self.trials = list(self.worth)
        self.measured: list[tuple[int, tuple[int, ...]]] = []
        self.best: dict[int, SimpleNamespace] = {}

    def advance(self, steps: int, *, deadline: float = math.inf) -> bool:
        for _ in range(steps):
            if time.monotonic() >= deadline:
                return False
            time.sleep(self.seconds * len(self.trials))
            self.step += 1
        return True

    def evaluate(self) -> list[Metrics]:
        self.measured.append((self.step, tuple(self.trials)))
        found: list[Metrics] = [
            {"accuracy": self.worth[t], "nll": math.nan if self.step >= self.lost_at.get(t, 10**9) else 1.0}
            for t in self.trials
        ]
        for trial, metrics in zip(self.trials, found, strict=True):
            if trial not in self.best or rank(metrics) > rank(self.best[trial].validation):
                self.best[trial] = SimpleNamespace(validation=metrics)
        return found

    def keep(self, index: Sequence[int]) -> None:
        self.trials = [self.trials[k] for k in index]


def scripted(count: int = 8, **more: object) -> Scripted:
    """Trial t reaches accuracy t / count."""
    return Scripted({t: t / count for t in range(count)}, **more)  # type: ignore[arg-type]


def test_the_best_survive_each_rung_and_every_trial_has_an_outcome() -> None:
    run = scripted()
    outcomes = climb([run], [10, 20, 40])  # type: ignore[list-item]
    assert run.measured == [(10, tuple(range(8))), (20, (4, 5, 6, 7)), (40, (6, 7))]
    assert sorted(outcomes) == list(range(8))
    assert {t: o.step for t, o in outcomes.items()} == {0: 10, 1: 10, 2: 10, 3: 10, 4: 20, 5: 20, 6: 40, 7: 40}
    assert [outcomes[t].reason for t in (0, 4, 6)] == ["behind at step 10", "behind at step 20", None]
    assert outcomes[7].metrics["accuracy"] == 7 / 8
    assert (outcomes[0].epoch, outcomes[7].epoch) == (1, 4)


def test_a_trial_is_judged_by_the_best_it_has_reached_not_by_its_last_evaluation() -> None:
    run = Scripted({0: 0.9, 1: 0.5, 2: 0.6, 3: 0.4})
    outcomes = climb([run], [10, 20, 40], on_rung=lambda *_: run.worth.update({0: 0.1}))  # type: ignore[list-item]
    assert [outcomes[trial].reason for trial in (0, 2)] == [None, "behind at step 20"]
    assert outcomes[0].metrics["accuracy"] == 0.1  # what is reported is where it stands


def test_trials_of_all_groups_are_compared_with_each_other_at_the_same_step() -> None:
    poor, rich = Scripted({0: 0.1, 1: 0.2, 2: 0.3}), Scripted({3: 0.7, 4: 0.8, 5: 0.9})
    seen: list[tuple[int, set[int]]] = []
    climb([poor, rich], [10, 30], on_rung=lambda step, metrics: seen.append((step, set(metrics))))  # type: ignore[list-item]
    assert seen == [(10, {0, 1, 2, 3, 4, 5}), (30, {3, 4, 5})]
    assert (poor.step, rich.step) == (10, 30)


def test_a_trial_that_is_not_finite_is_dropped_at_once_and_named_diverged() -> None:
    outcomes = climb([scripted(lost_at={7: 5})], [10, 20])  # type: ignore[list-item]
    assert outcomes[7].diverged
    assert outcomes[7].step == 10
    assert outcomes[7].reason == "loss not finite by step 10"
    assert not outcomes[6].diverged
    assert outcomes[6].reason is None


def test_a_trial_that_is_not_finite_at_the_last_rung_is_named_diverged_too() -> None:
    outcomes = climb([scripted(lost_at={7: 15})], [10, 20])  # type: ignore[list-item]
    assert outcomes[7].diverged
    assert outcomes[7].reason == "loss not finite by step 20"


def test_when_all_diverge_the_climb_ends() -> None:
    run = scripted(2, lost_at={0: 1, 1: 1})
    outcomes = climb([run], [10, 20, 40])  # type: ignore[list-item]
    assert run.step == 10
    assert all(outcome.diverged for outcome in outcomes.values())


def test_at_least_so_many_are_kept() -> None:
    run = scripted()
    climb([run], [10, 20, 40], least=5)  # type: ignore[list-item]
    assert run.measured[-1] == (40, (3, 4, 5, 6, 7))


def test_at_a_deadline_the_trials_are_ranked_as_they_stand() -> None:
    run = scripted(4, seconds=0.002)
    outcomes = climb([run], [10**6], deadline=time.monotonic() + 0.2)  # type: ignore[list-item]
    assert 0 < run.step < 10**6
    assert sorted(outcomes) == [0, 1, 2, 3]
    assert {outcome.step for outcome in outcomes.values()} == {run.step}


def test_groups_are_equally_far_within_a_slice_when_the_deadline_comes() -> None:
    fast, slow = scripted(2), Scripted({2: 0.5}, seconds=0.001)
    climb([fast, slow], [10**6], deadline=time.monotonic() + 0.3)  # type: ignore[list-item]
    assert abs(fast.step - slow.step) <= SLICE


def test_who_watches_is_told_how_far_and_how_many_within_a_rung() -> None:
    told: list[tuple[int, int]] = []
    climb([scripted(4), Scripted({9: 0.1})], [25, 40], on_slice=lambda *seen: told.append(seen))  # type: ignore[list-item]
    assert told == [(10, 5), (20, 5), (25, 5), (35, 3), (40, 3)]


def test_a_plan_that_was_too_bold_keeps_fewer_than_half() -> None:
    run = scripted(8, seconds=0.001)
    outcomes = climb([run], [20, 300], deadline=time.monotonic() + 0.9)  # type: ignore[list-item]
    assert len(run.measured[-1][1]) < 4  # 280 steps at 1 ms: two trials fit into what is left
    assert outcomes[3].reason == "behind at step 20, when time was short"
    assert 7 in run.measured[-1][1]


def test_equal_accuracies_are_told_apart_by_the_loss_and_errors_are_ranked_downwards() -> None:
    assert survivors({0: {"accuracy": 0.9, "nll": 0.5}, 1: {"accuracy": 0.9, "nll": 0.2}}, 1) == {1}
    assert survivors(
        {0: {"rmse": 3.0, "r2": 0.5}, 1: {"rmse": 2.0, "r2": 0.6}, 2: {"rmse": math.nan, "r2": 0.0}}, 2
    ) == {0, 1}


def test_real_runs_of_two_optimizers_leave_the_trial_that_learns() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 120)
    data = from_arrays((rng.normal(size=(120, 4)) + 3 * np.eye(4)[y]).astype("float32"), y)
    model = Model("mlp", mlp, data.input_shape, data.outputs, {"hidden": (8,)})

    def run(optimizer: str, rates: Sequence[float], first: int) -> Run:
        settings = [Setting(optimizer, lr=lr, schedule="constant", warmup=0, batch_size=16, order=0) for lr in rates]
        return Run(data, model, settings, steps=40, trials=range(first, first + len(rates)), engine="stacked")

    outcomes = climb([run("adamw", (1e-6, 3e-2), 0), run("sgd", (1e-7, 1e30), 2)], [10, 20, 40])
    assert sorted(outcomes) == [0, 1, 2, 3]
    assert outcomes[3].diverged
    assert [t for t, outcome in outcomes.items() if outcome.reason is None] == [1]
    assert outcomes[1].metrics["accuracy"] == pytest.approx(1.0, abs=0.1)

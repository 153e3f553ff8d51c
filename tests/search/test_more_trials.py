"""The best of n: every subset counted by hand, curves of known distributions, and where nothing is claimed."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import statistics
from collections.abc import Callable

import numpy as np
import pytest

from ravine.search import Compared, expected_best, more_trials

Planted = Callable[..., list[Compared]]


def test_the_expected_best_is_the_mean_over_all_subsets() -> None:
    worths = [0.3, 0.9, 0.3, 0.5, 0.1]
    for n, value in enumerate(expected_best(worths), 1):
        assert value == pytest.approx(statistics.fmean(map(max, itertools.combinations(worths, n))))


def test_of_uniform_values_the_best_of_n_is_n_over_n_plus_one() -> None:
    rng = np.random.default_rng(0)
    curves = np.array([expected_best(rng.random(12).tolist()) for _ in range(2000)])
    wanted = [n / (n + 1) for n in range(1, 13)]
    assert curves.mean(axis=0) == pytest.approx(wanted, abs=0.008)  # four standard errors: nowhere biased


def test_a_curve_rises_less_and_less_up_to_the_best_there_was(planted: Planted) -> None:
    found = more_trials(planted(32, lambda place, _: place["lr"]), "random", maximize=True)
    counts, values = zip(*found["curve"], strict=True)
    assert counts == tuple(range(1, 33))
    gains = np.diff(values)
    assert (gains >= 0).all()
    assert (np.diff(gains) <= 1e-12).all()
    assert found["slope"] == pytest.approx(gains[-1])
    assert found["doubling"] == pytest.approx(values[31] - values[15])
    assert found["before"] == pytest.approx(values[15] - values[7])
    assert found["low"] <= found["doubling"] <= found["high"]
    assert json.loads(json.dumps(found)) == found


def test_errors_fall_where_accuracies_rise(planted: Planted) -> None:
    up = more_trials(planted(16, lambda place, _: place["lr"]), "random", maximize=True)
    down = more_trials(planted(16, lambda place, _: -place["lr"], maximize=True), "random", maximize=False)
    errors = more_trials(planted(16, lambda place, _: 1 - place["lr"], maximize=False), "random", maximize=False)
    assert errors["curve"][0][1] > errors["curve"][-1][1] > 0
    assert errors["doubling"] == pytest.approx(up["doubling"])
    assert down["doubling"] >= 0


def test_a_trial_that_diverged_counts_as_the_worst_that_did_not(planted: Planted) -> None:
    trials = planted(16, lambda place, _: -math.inf if place["lr"] < 0.3 else place["lr"])
    found = more_trials(trials, "random", maximize=True)
    worths = [t.worth if t.value is not None else min(u.worth for u in trials if u.value is not None) for t in trials]
    assert any(t.value is None for t in trials)
    assert found["curve"][0][1] == pytest.approx(statistics.fmean(worths))


def test_where_the_trials_are_not_random_or_too_few_nothing_is_claimed(planted: Planted) -> None:
    trials = planted(16, lambda place, _: place["lr"])
    assert "drawn by tpe" in more_trials(trials, "tpe", maximize=True)["why"]
    given = [dataclasses.replace(t, given=i < 9) for i, t in enumerate(trials)]
    assert more_trials(given, "random", maximize=True)["why"].startswith("7 random trials of equal length")
    lost = planted(16, lambda *_: -math.inf)
    assert more_trials(lost, "random", maximize=True) == {"applies": False, "why": "no trial kept a finite loss"}

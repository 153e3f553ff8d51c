"""Grid against random: what is said is true of the trials, and nothing is said where it would not be."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest

from ravine.search import Choice, Compared, Log, Uniform, grid_or_random
from ravine.search.places import placed, to_optuna

Planted = Callable[..., list[Compared]]

PLANE = {"lr": Log(1e-4, 1e-1), "dropout": Uniform(0.0, 0.5)}


def test_a_grid_tries_fewer_values_of_what_matters(planted: Planted) -> None:
    trials = planted(64, lambda place, _: -abs(place["lr"] - 0.6))
    found = grid_or_random(trials, ["lr", "dropout"], "random", maximize=True)
    assert (found["parameters"], found["searched"], found["levels"]) == (["lr", "dropout"], 3, 4)  # 4^3 = 64
    assert found["distinct"] == {"grid": 4, "random": 64}
    assert found["one"]["points"] == 4
    assert found["two"]["points"] == 16
    assert found["all"] == {"trials": 64, "best": max(t.value for t in trials)}
    assert json.loads(json.dumps(found)) == found


def test_the_best_near_the_grid_is_the_best_of_the_trials_named(planted: Planted) -> None:
    trials = planted(64, lambda place, _: -abs(place["lr"] - 0.6))
    found = grid_or_random(trials, ["lr", "dropout"], "random", maximize=True)
    values = [value for *_, value, near in found["places"] if near]
    assert len(values) == found["two"]["trials"]
    assert max(values) == found["two"]["best"]
    assert found["two"]["low"] <= found["two"]["expected"] <= found["two"]["high"] <= found["all"]["best"]


def test_trials_that_lie_on_the_grid_are_the_ones_taken(planted: Planted) -> None:
    trials = planted(25, lambda place, _: place["lr"], ranges=PLANE)
    lr, dropout = (to_optuna(d) for d in PLANE.values())
    for t, (i, j) in zip(trials, np.ndindex(5, 5), strict=True):
        t.params.update(lr=placed(lr, (i + 0.5) / 5), dropout=placed(dropout, (j + 0.5) / 5))
    found = grid_or_random(trials, ["dropout", "lr"], "random", maximize=True)
    assert found["parameters"] == ["dropout", "lr"]
    assert (found["levels"], found["two"]["trials"], found["distinct"]["random"]) == (5, 25, 5)
    assert found["two"]["best"] == found["two"]["expected"] == found["all"]["best"]


def test_of_one_that_matters_the_grid_sees_as_much_as_so_few_random_trials(planted: Planted) -> None:
    """The paper's point: with three hyper-parameters of which one matters, 64 grid trials are worth 4."""
    found = [
        grid_or_random(planted(64, lambda place, _: -abs(place["lr"] - 0.3), seed), ["lr"], "random", maximize=True)
        for seed in range(10)
    ]
    assert all(one["one"]["trials"] == 4 for one in found)
    assert all(one["one"]["best"] < one["all"]["best"] for one in found)
    levels = [abs((i + 0.5) / 4 - 0.3) for i in range(4)]
    assert np.mean([one["one"]["best"] for one in found]) == pytest.approx(-min(levels), abs=0.02)


def test_errors_are_smallest_at_their_best(planted: Planted) -> None:
    trials = planted(27, lambda place, _: 1 + place["lr"], maximize=False)
    found = grid_or_random(trials, ["lr", "dropout"], "random", maximize=False)
    assert found["all"]["best"] == min(t.value for t in trials)
    assert found["two"]["low"] <= found["two"]["expected"] <= found["two"]["high"]
    assert found["two"]["low"] >= found["all"]["best"]


def test_where_it_would_not_be_true_nothing_is_said(planted: Planted) -> None:
    trials = planted(16, lambda place, _: place["lr"])
    whys = [
        grid_or_random(trials, ["lr"], "tpe", maximize=True)["why"],
        grid_or_random(trials[:15], ["lr"], "random", maximize=True)["why"],
        grid_or_random([dataclasses.replace(t, given=True) for t in trials], ["lr"], "random", maximize=True)["why"],
        grid_or_random(
            planted(16, lambda place, _: place["lr"], ranges={"lr": Log(1, 2), "crop": Choice([0, 2])}),
            ["lr"],
            "random",
            maximize=True,
        )["why"],
    ]
    assert [why.split(":")[0] for why in whys] == [
        "the trials were drawn by tpe",
        "15 random trials of one optimizer are too few to tell",
        "0 ranges were searched; a grid differs from random trials where there are two or more",
        "1 ranges were searched; a grid differs from random trials where there are two or more",
    ]

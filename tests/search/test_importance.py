"""Importance: a planted cause is found, what does nothing is not, and too few trials say so."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable

from ravine.search import Choice, Compared, Log, importance
from ravine.search.places import to_optuna

Planted = Callable[..., list[Compared]]


def test_the_one_that_decides_is_found_and_alone(planted: Planted) -> None:
    trials = planted(40, lambda place, rng: -((place["lr"] - 0.6) ** 2) + 0.01 * rng.normal())
    found = importance(trials)
    assert found["told"] == ["lr"]
    assert next(iter(found["importance"])) == "lr"
    lr = found["importance"]["lr"]
    assert lr["low"] <= lr["share"] <= lr["high"]
    assert lr["share"] > 0.8
    assert lr["chance"] < 0.02
    assert sum(one["share"] for one in found["importance"].values()) == 1
    assert "optimizer" not in found["importance"]  # it was not varied
    assert json.loads(json.dumps(found)) == found


def test_two_that_decide_are_both_found_in_their_order(planted: Planted) -> None:
    trials = planted(150, lambda place, _: -((place["lr"] - 0.5) ** 2) - 0.3 * (place["dropout"] - 0.2) ** 2)
    assert importance(trials)["told"] == ["lr", "dropout"]


def test_what_does_nothing_is_told_from_chance_no_more_often_than_agreed(planted: Planted) -> None:
    told = [importance(planted(24, lambda _, rng: rng.normal(), seed))["told"] for seed in range(5)]
    assert sum(map(len, told)) <= 3  # of 15 at 5 % each 0.75 are expected, four or more come once in 183 times


def test_fewer_than_twenty_are_too_few_and_one_alone_varies_nothing(planted: Planted) -> None:
    found = importance(planted(19, lambda place, _: place["lr"]))
    assert not found["applies"]
    assert found["why"] == "19 trials of equal length are too few to tell: 20 are needed"
    alike = [dataclasses.replace(t, params={"lr": 0.01}) for t in planted(30, lambda place, _: place["lr"])]
    assert importance(alike)["why"] == "nothing was varied"


def test_a_trial_that_diverged_is_only_the_worst(planted: Planted) -> None:
    def cliff(place: dict[str, float], _: object) -> float:
        return -math.inf if place["lr"] > 0.9 else place["dropout"]

    assert importance(planted(60, cliff))["told"] == ["dropout"]


def test_ranges_may_differ_between_optimizers(planted: Planted) -> None:
    trials = planted(60, lambda place, _: -((place["lr"] - 0.6) ** 2))
    choice = to_optuna(Choice(["adamw", "sgd"]))
    for i, t in enumerate(trials):
        sgd = i % 2
        t.params["optimizer"] = "sgd" if sgd else "adamw"
        t.distributions["optimizer"] = choice
        if sgd:
            t.params["lr"] *= 10
            t.distributions["lr"] = to_optuna(Log(1e-3, 1.0))
    assert importance(trials)["told"] == ["lr"]


def test_the_same_trials_give_the_same_record(planted: Planted) -> None:
    trials = planted(24, lambda place, rng: place["lr"] + 0.3 * rng.normal())
    assert importance(trials, seed=1) == importance(trials, seed=1)

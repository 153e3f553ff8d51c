"""Step 5: the region that is searched again, and the trials that are trained to the end."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest

from ravine.data import Data
from ravine.recipe.coarse import coarse, edges_of
from ravine.recipe.refine import judge_refine, refine, refined_spaces
from ravine.recipe.session import Session
from ravine.recipe.trials import Search
from ravine.search import Asked, Choice, Int, Log, Outcome, Study, Uniform
from ravine.training import History, Kept, Setting

Sit = Callable[..., Session]
SPACE = {"lr": Log(1e-4, 1e-1), "dropout": Uniform(0.0, 0.5)}


def searched(*trials: tuple[str, float, float, float]) -> Search:
    """A coarse search that ended so: (optimizer, lr, dropout, accuracy) of each trial."""
    params: list[dict[str, Any]] = [{"optimizer": o, "lr": lr, "dropout": d} for o, lr, d, _ in trials]
    metrics = [{"accuracy": accuracy, "nll": 0.5} for *_, accuracy in trials]
    return Search(
        "coarse",
        {"adamw": SPACE, "sgd": SPACE},
        [Asked(i, p) for i, p in enumerate(params)],
        {i: Outcome(i, m, 40, 4, None) for i, m in enumerate(metrics)},
        {i: Kept(i, Setting(**params[i]), 4, 40, m, {}) for i, m in enumerate(metrics)},
    )


def test_the_region_holds_the_best_quarter_and_leaves_the_worst_out() -> None:
    best = [("adamw", lr, 0.2, 0.95) for lr in (1e-3, 2e-3, 4e-3)]
    worst = [("adamw", lr, 0.4, 0.5) for lr in (2e-4, 5e-2)] * 4
    (space,) = refined_spaces(searched(*worst, *best)).values()
    assert space["lr"] == Log(5e-4, 8e-3)
    assert isinstance(space["dropout"], Uniform)
    assert (space["dropout"].low, space["dropout"].high) == pytest.approx((0.1, 0.3))


def test_an_optimizer_that_is_not_among_the_best_is_searched_no_further() -> None:
    trials = [("sgd", 1e-3, 0.1, 0.95 - i / 1000) for i in range(4)] + [("adamw", 1e-3, 0.1, 0.2)] * 8
    assert list(refined_spaces(searched(*trials))) == ["sgd"]


def test_what_only_some_trials_have_is_searched_around_theirs() -> None:
    search = searched(*(("adamw", lr, 0.2, 0.95) for lr in (1e-3, 2e-3, 4e-3)))
    spaces = {"adamw": {**SPACE, "schedule": Choice(["cosine", "warm_restarts"]), "cycles": Int(1, 20)}}
    one, *rest = [{**a.params, "schedule": "cosine"} for a in search.asked]
    asked = [Asked(i, p) for i, p in enumerate([one, *({**p, "schedule": "warm_restarts", "cycles": 3} for p in rest)])]
    found = refined_spaces(dataclasses.replace(search, spaces=spaces, asked=asked))["adamw"]
    assert found["cycles"] == Int(1, 7)
    none = refined_spaces(dataclasses.replace(search, spaces=spaces, asked=[Asked(0, one)]))["adamw"]
    assert "cycles" not in none
    assert edges_of(dataclasses.replace(search, spaces=spaces, asked=[Asked(0, one)])) == []


@pytest.mark.parametrize(("lr", "low", "high"), [(1.1e-4, 1.1e-4 / 20, 2.2e-4), (9e-2, 4.5e-2, 1.8)])
def test_a_winner_at_an_end_of_its_range_extends_it(lr: float, low: float, high: float) -> None:
    (space,) = refined_spaces(searched(("adamw", lr, 0.2, 0.9))).values()
    found = space["lr"]
    assert isinstance(found, Log)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_only_the_winners_optimizer_is_extended() -> None:
    spaces = refined_spaces(searched(("adamw", 1e-2, 0.2, 0.9), ("sgd", 9e-2, 0.2, 0.8)))
    found = spaces["sgd"]["lr"]
    assert isinstance(found, Log)
    assert found.high == pytest.approx(0.18)


def test_the_coarse_winner_runs_again_beside_new_trials_with_warm_up_and_cosine(three_classes: Data, sit: Sit) -> None:
    session, history = sit(three_classes), History()
    session.pace = 1e-3
    study = Study(None, "classification", 0, ["adamw"])
    before = coarse(session, study, {"adamw": SPACE}, history, trials=4)
    session.pace = 1e9  # so slow that one epoch is planned
    done = refine(session, study, before, history, trials=3, deadline=float("inf"))
    first, winner = done.asked[0], before.ranked[0]
    assert first.params["lr"] == winner.params["lr"]
    assert first.params["dropout"] == winner.params["dropout"]
    assert [a.number for a in done.asked] == [4, 5, 6]
    assert {t.user_attrs["phase"] for t in study.trials[4:]} == {"refine"}
    settings = [kept.setting for kept in done.kept.values()]
    assert {(s.schedule, s.warmup) for s in settings} == {("cosine", 0.1)}
    rates = history.steps(4)["lr"]
    assert rates[0] < max(rates) > rates[-1]
    assert judge_refine(done, before).evidence["best"]["trial"] == done.ranked[0].number


def test_a_winner_at_an_end_asks_for_a_wider_range_and_none_at_all_fails() -> None:
    at_end, inside, lost = (searched(("adamw", lr, 0.2, a)) for lr, a in ((9e-2, 0.9), (1e-2, 0.9), (1e-2, math.nan)))
    assert "wider range" in judge_refine(at_end, at_end).advice[0]
    assert judge_refine(inside, inside).status == "pass"
    assert judge_refine(lost, inside).status == "fail"


def test_an_end_of_the_region_inside_of_what_was_searched_before_is_none() -> None:
    near = searched(("adamw", 9e-2, 0.2, 0.9))
    wide = dataclasses.replace(near, spaces={"adamw": {**SPACE, "lr": Log(1e-4, 10)}})
    assert judge_refine(near, wide).status == "pass"


def test_dropout_at_its_upper_end_goes_half_of_the_way_to_one() -> None:
    (space,) = refined_spaces(searched(("adamw", 1e-2, 0.49, 0.9))).values()
    assert isinstance(space["dropout"], Uniform)
    assert space["dropout"].high == pytest.approx(0.75)

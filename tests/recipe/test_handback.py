"""The hand-back: who wins, what their average reaches, and that the test split was left alone until then."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ravine.data import Data, MemorySplit, Split
from ravine.recipe.budget import Budget
from ravine.recipe.folder import Folder
from ravine.recipe.handback import Committee, Ranked, averaged_if_better, greedy, hand_back, ranked
from ravine.recipe.session import Session
from ravine.recipe.walk import Walk, Wanted
from ravine.training import SWA, Averaging, Kept, Run, Setting, rank

Sit = Callable[..., Session]


class Watched:
    """A split that counts how often somebody asks for its examples."""

    def __init__(self, split: Split) -> None:
        self.split, self.asked = split, 0

    @property
    def y(self) -> Tensor:
        return self.split.y

    def __len__(self) -> int:
        return len(self.split)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        self.asked += 1
        return self.split.batch(index)


def trained(session: Session, rates: tuple[float, ...], steps: int = 60) -> list[Kept]:
    settings = [Setting(lr=lr, schedule="constant", warmup=0.0, batch_size=16, seed=i) for i, lr in enumerate(rates)]
    run = Run(session.data, session.model, settings, steps=steps, engine="stacked")
    run.advance(steps)
    run.evaluate()
    return list(run.best.values())


def committee(members: list[Ranked], *weights: float) -> Committee:
    return Committee("greedy", members, weights or [1.0] * len(members), len(members))


def test_the_best_on_validation_comes_first_and_all_are_looked_at(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    found = ranked(session, trained(session, (1e-7, 1e-2, 1e-6, 3e-3, 1e-3, 5e-3, 2e-2)))
    scores = [(one.validation["accuracy"], -one.validation["nll"]) for one in found]
    assert len(found) == 7
    assert scores == sorted(scores, reverse=True)
    assert {one.kept.trial for one in found[:5]}.isdisjoint({0, 2})
    assert not any(one.module.training for one in found)


def test_where_time_is_short_the_likeliest_ten_are_looked_at(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    kept = trained(session, tuple(1e-4 * 2**i for i in range(12)), steps=20)
    found = ranked(session, kept, deadline=time.monotonic() - 1)
    assert len(found) == 10
    likeliest = sorted(kept, key=lambda one: rank(one.validation), reverse=True)[:10]
    assert {one.kept.trial for one in found} == {one.trial for one in likeliest}


def test_the_ensemble_is_the_weighted_mean_of_the_members_probabilities(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    members = ranked(session, trained(session, (1e-3, 3e-3, 1e-2)))
    given = hand_back(session, members[0], committee(members, 3, 1, 1)).answers["greedy"]
    x, y = three_classes.test.batch(torch.arange(len(three_classes.test)))
    with torch.no_grad():
        each = torch.stack([torch.softmax(one.module(x), -1) for one in members])
    mean = (each * torch.tensor([0.6, 0.2, 0.2]).view(3, 1, 1)).sum(0)
    assert given.test["accuracy"] == pytest.approx(float((mean.argmax(-1) == y).float().mean()))
    nll = -mean[torch.arange(len(y)), y].log().mean()
    assert given.test["nll"] == pytest.approx(float(nll), rel=1e-4)
    brier = (mean - torch.nn.functional.one_hot(y, 3)).square().sum(1).mean()
    assert given.test["brier"] == pytest.approx(float(brier), rel=1e-4)


def test_greedy_leaves_out_a_model_that_would_spoil_the_average(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    *good, bad = ranked(session, trained(session, (1e-2, 3e-3, 1e-2, 2e-2)))
    wrong = 1e3 * torch.nn.functional.one_hot((three_classes.validation.y + 1) % 3, 3).float()
    spoilt = dataclasses.replace(bad, outputs=wrong)
    chosen = greedy(session, [*good, spoilt])
    assert spoilt not in chosen.members
    assert chosen.considered == 4
    best = min(one.validation["nll"] for one in good)
    assert hand_back(session, good[0], chosen).answers["greedy"].validation["nll"] <= best + 1e-6


def test_greedy_takes_no_more_than_it_may(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    candidates = ranked(session, trained(session, (1e-2, 3e-3, 1e-2, 2e-2, 5e-3)))
    assert len(greedy(session, candidates, size=2).members) <= 2


def test_a_temperature_is_fitted_on_validation_and_measured_on_both(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    best = ranked(session, trained(session, (1e-2,)))[0]
    hot = dataclasses.replace(best, outputs=best.outputs * 20)
    answer = hand_back(session, hot, None).answers["best"]
    assert answer.temperature is not None
    assert answer.temperature > 1
    assert answer.validation["calibrated_nll"] < answer.validation["nll"]
    assert set(answer.test) == set(answer.validation)


def test_a_model_with_dropout_is_also_asked_many_times(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes, dropout=0.3)
    best = ranked(session, trained(session, (1e-2,)))[0]
    given = hand_back(session, best, None)
    assert list(given.answers) == ["best", "mc_dropout"]
    assert given.answers["mc_dropout"].test["nll"] != given.answers["best"].test["nll"]
    assert abs(given.answers["mc_dropout"].test["accuracy"] - given.answers["best"].test["accuracy"]) < 0.1
    late = hand_back(session, best, None, deadline=time.monotonic())
    assert list(late.answers) == ["best"]  # no time left for it


def test_averaged_weights_are_taken_only_where_they_are_better(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    setting = Setting(lr=1e-2, batch_size=16)
    run = Run(session.data, session.model, [setting], steps=40, averaging=Averaging(SWA()))
    run.advance(40)
    run.evaluate()
    single = ranked(session, list(run.best.values()))[0]
    given = averaged_if_better(session, run, single)
    assert rank(given.validation) >= rank(single.validation)
    unbeatable = dataclasses.replace(single, module=Oracle(three_classes))
    assert averaged_if_better(session, run, unbeatable) is unbeatable


class Oracle(torch.nn.Module):
    """Knows the validation split by heart."""

    def __init__(self, data: Data) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(50 * torch.nn.functional.one_hot(data.validation.y, data.outputs).float())

    def forward(self, x: Tensor) -> Tensor:
        return self.logits[: len(x)]


def test_the_best_models_test_metrics_are_those_of_its_own_outputs(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    winners = ranked(session, trained(session, (1e-3, 1e-2)))
    given = hand_back(session, winners[0], None)
    x, y = three_classes.test.batch(torch.arange(len(three_classes.test)))
    with torch.no_grad():
        right = winners[0].module(x).argmax(-1) == y
    alone = given.answers["best"]
    assert alone.test["accuracy"] == pytest.approx(float(right.float().mean()))
    assert alone.validation["nll"] == pytest.approx(winners[0].validation["nll"])
    confusion = torch.tensor(given.evaluation["confusion"])
    assert confusion.sum() == len(y)
    assert confusion.diag().sum() == right.sum()
    assert confusion.sum(1).tolist() == torch.bincount(y, minlength=3).tolist()


def test_a_regressors_errors_are_in_units_of_the_target(numbers: Data, sit: Sit) -> None:
    session = sit(numbers)
    winners = ranked(session, trained(session, (1e-2, 2e-2)))
    given = hand_back(session, winners[0], committee(winners))
    target = numbers.preprocessing.target
    x, y = numbers.test.batch(torch.arange(len(numbers.test)))
    with torch.no_grad():
        mean = torch.stack([one.module(x).flatten() for one in winners]).mean(0)
    rmse = (target.restore(mean) - target.restore(y)).square().mean().sqrt()
    assert given.answers["greedy"].test["rmse"] == pytest.approx(float(rmse), rel=1e-4)
    assert given.evaluation["actual"] == pytest.approx(target.restore(y).tolist())
    assert len(given.evaluation["predicted"]) == len(y)
    assert "confusion" not in given.evaluation


def test_the_test_split_is_not_looked_at_before_the_hand_back(three_classes: Data, sit: Sit) -> None:
    test = Watched(three_classes.test)
    session = sit(dataclasses.replace(three_classes, test=test))
    walk = Walk(session, Folder(None), Budget(3), keep_going=True)
    walk.wanted = Wanted({"coarse": 2, "refine": 2})
    looked: list[int] = []
    give = walk.give
    walk.give = lambda *given: (looked.append(test.asked), give(*given))[1]  # type: ignore[method-assign]
    result = walk.tune({})
    assert looked == [0]
    assert test.asked > 0
    assert result.best is not None


def test_the_order_of_the_winners_does_not_hang_on_the_test_split(three_classes: Data, sit: Sit) -> None:
    x, y = three_classes.test.batch(torch.arange(len(three_classes.test)))
    shuffled = dataclasses.replace(three_classes, test=MemorySplit(x, (y + 1) % 3))
    one, other = sit(three_classes), sit(shuffled)
    kept = trained(one, (1e-3, 3e-3, 1e-2))
    assert [r.kept.trial for r in ranked(one, kept)] == [r.kept.trial for r in ranked(other, kept)]

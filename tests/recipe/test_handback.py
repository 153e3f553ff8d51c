"""The hand-back: who wins, what their average reaches, and that the test split was left alone until then."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ravine.data import Data, MemorySplit, Split
from ravine.recipe.budget import Budget
from ravine.recipe.folder import Folder
from ravine.recipe.handback import hand_back, ranked, together
from ravine.recipe.session import Session
from ravine.recipe.walk import Walk
from ravine.training import Kept, Run, Setting

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


def test_the_best_on_validation_comes_first_and_five_are_kept(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    winners = ranked(session, trained(session, (1e-7, 1e-2, 1e-6, 3e-3, 1e-3, 5e-3, 2e-2)))
    scores = [(one.validation["accuracy"], -one.validation["nll"]) for one in winners]
    assert len(winners) == 5
    assert scores == sorted(scores, reverse=True)
    assert {one.kept.trial for one in winners}.isdisjoint({0, 2})
    assert not any(one.module.training for one in winners)


def test_the_ensemble_is_the_mean_of_the_members_probabilities(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    winners = ranked(session, trained(session, (1e-3, 3e-3, 1e-2)))
    given = hand_back(session, winners)
    x, y = three_classes.test.batch(torch.arange(len(three_classes.test)))
    with torch.no_grad():
        mean = torch.stack([torch.softmax(one.module(x), -1) for one in given.members]).mean(0)
    assert given.ensemble["test"]["accuracy"] == pytest.approx(float((mean.argmax(-1) == y).float().mean()))
    nll = -mean[torch.arange(len(y)), y].log().mean()
    assert given.ensemble["test"]["nll"] == pytest.approx(float(nll), rel=1e-4)
    assert given.evaluation["ensemble"] == given.ensemble["test"]


def test_a_member_that_would_spoil_the_average_is_left_out(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    *good, bad = ranked(session, trained(session, (1e-2, 3e-3, 1e-2, 2e-2)))
    wrong = 1e3 * torch.nn.functional.one_hot((three_classes.validation.y + 1) % 3, 3).float()
    members, validation = together(session, [*good, dataclasses.replace(bad, outputs=wrong)])
    assert [one.kept.trial for one in members] == [one.kept.trial for one in good[: len(members)]]
    assert validation["accuracy"] >= max(one.validation["accuracy"] for one in good[:2]) - 0.05


def test_members_that_do_no_harm_are_all_taken(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    winners = ranked(session, trained(session, (1e-2, 3e-3, 1e-2, 2e-2, 5e-3)))
    twins = [dataclasses.replace(one, outputs=winners[0].outputs) for one in winners]
    assert len(together(session, twins)[0]) == 5


def test_of_numbers_a_member_that_spoils_is_left_out_and_others_are_not(numbers: Data, sit: Sit) -> None:
    session = sit(numbers)
    winners = ranked(session, trained(session, (1e-2, 2e-2, 3e-2, 1e-2)))
    twins = [dataclasses.replace(one, outputs=winners[0].outputs) for one in winners]
    assert len(together(session, twins)[0]) == 4
    *good, last = twins
    assert len(together(session, [*good, dataclasses.replace(last, outputs=last.outputs + 5)])[0]) == 3


def test_one_winner_is_an_ensemble_of_one(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    winners = ranked(session, trained(session, (1e-2,)))
    members, validation = together(session, winners)
    assert list(members) == winners
    assert validation == pytest.approx(winners[0].validation, rel=1e-5)


def test_the_best_models_test_metrics_are_those_of_its_own_outputs(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    winners = ranked(session, trained(session, (1e-3, 1e-2)))
    given = hand_back(session, winners)
    x, y = three_classes.test.batch(torch.arange(len(three_classes.test)))
    with torch.no_grad():
        right = winners[0].module(x).argmax(-1) == y
    assert given.best["test"]["accuracy"] == pytest.approx(float(right.float().mean()))
    assert given.best["validation"] == winners[0].validation
    confusion = torch.tensor(given.evaluation["confusion"])
    assert confusion.sum() == len(y)
    assert confusion.diag().sum() == right.sum()
    assert confusion.sum(1).tolist() == torch.bincount(y, minlength=3).tolist()


def test_a_regressors_errors_are_in_units_of_the_target(numbers: Data, sit: Sit) -> None:
    session = sit(numbers)
    winners = ranked(session, trained(session, (1e-2, 2e-2)))
    given = hand_back(session, winners)
    target = numbers.preprocessing.target
    x, y = numbers.test.batch(torch.arange(len(numbers.test)))
    with torch.no_grad():
        mean = torch.stack([one.module(x).flatten() for one in given.members]).mean(0)
    rmse = (target.restore(mean) - target.restore(y)).square().mean().sqrt()
    assert given.ensemble["test"]["rmse"] == pytest.approx(float(rmse), rel=1e-4)
    assert given.evaluation["actual"] == pytest.approx(target.restore(y).tolist())
    assert len(given.evaluation["predicted"]) == len(y)
    assert "confusion" not in given.evaluation


def test_the_test_split_is_not_looked_at_before_the_hand_back(three_classes: Data, sit: Sit) -> None:
    test = Watched(three_classes.test)
    session = sit(dataclasses.replace(three_classes, test=test))
    walk = Walk(session, Folder(None), Budget(3), trials=2, keep_going=True)
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

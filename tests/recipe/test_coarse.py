"""Step 4: what is searched, and what is said of the winner."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from ravine.data import Data
from ravine.recipe.coarse import coarse, coarse_spaces, judge_coarse
from ravine.recipe.lr_range import LrRange
from ravine.recipe.session import Session
from ravine.recipe.trials import Search
from ravine.search import Asked, Choice, Log, Outcome, Study, Uniform
from ravine.training import History, Kept, Setting
from ravine.types import Metrics

Sit = Callable[..., Session]


def found(low: float, high: float) -> LrRange:
    return LrRange([low, high], 1.0, [[0.5], [0.5]], low, high, low, high, 0.2, 0.5, 100, 1)


RANGES = {"adamw": found(1e-3, 1e-2), "sgd": found(1e-2, 1e-1)}


def search(spaces: dict[str, Any], *trials: tuple[dict[str, Any], Metrics, str | None]) -> Search:
    """A phase that ended so: (params, metrics, reason) of each trial."""
    asked = [Asked(number, params) for number, (params, _, _) in enumerate(trials)]
    outcomes = {i: Outcome(i, metrics, 40, 4, reason) for i, (_, metrics, reason) in enumerate(trials)}
    kept = {i: Kept(i, Setting(**params), 4, 40, metrics, {}) for i, (params, metrics, _) in enumerate(trials)}
    return Search("coarse", spaces, asked, outcomes, kept)


def test_rates_are_searched_around_the_range_of_step_three() -> None:
    spaces = coarse_spaces(RANGES, dropout=False)
    assert set(spaces) == {"adamw", "sgd"}
    lr = spaces["adamw"]["lr"]
    assert isinstance(lr, Log)
    assert (lr.low, lr.high) == pytest.approx((1e-3 / 3, 3e-2))
    assert set(spaces["sgd"]) == {"lr", "weight_decay"}


def test_dropout_is_searched_only_where_the_model_has_some() -> None:
    assert coarse_spaces(RANGES, dropout=True)["sgd"]["dropout"] == Uniform(0.0, 0.5)


def test_a_persons_distributions_take_the_place_of_ours() -> None:
    mine = {"lr": Log(1, 2), "momentum": Uniform(0.5, 0.9)}
    spaces = coarse_spaces(RANGES, dropout=False, given=mine)
    assert spaces["sgd"]["lr"] == Log(1, 2)
    assert spaces["sgd"]["momentum"] == Uniform(0.5, 0.9)
    assert "momentum" not in spaces["adamw"]
    assert "weight_decay" in spaces["adamw"]


def test_a_choice_of_optimizer_limits_the_list() -> None:
    assert list(coarse_spaces(RANGES, dropout=False, given={"optimizer": Choice(["sgd"])})) == ["sgd"]


def good(lr: float, accuracy: float = 0.9, reason: str | None = None) -> tuple[dict[str, Any], Metrics, str | None]:
    return {"optimizer": "adamw", "lr": lr}, {"accuracy": accuracy, "nll": 0.3}, reason


SPACES = {"adamw": {"lr": Log(1e-4, 1e-2)}}


def test_the_best_of_the_trials_is_reported_with_what_was_searched() -> None:
    verdict = judge_coarse(search(SPACES, good(1e-3, 0.9), good(2e-3, 0.95), good(5e-4, 0.5, "behind at step 40")))
    assert verdict.status == "pass"
    assert verdict.evidence["best"]["trial"] == 1
    assert verdict.evidence["best"]["hyperparameters"]["lr"] == 2e-3
    assert (verdict.evidence["trials"], verdict.evidence["stopped_early"], verdict.evidence["diverged"]) == (3, 1, 0)
    assert verdict.evidence["space"] == {"lr": {"adamw": [1e-4, 1e-2]}}


@pytest.mark.parametrize(("lr", "end"), [(1.05e-4, "lower"), (9.5e-3, "upper")])
def test_a_winner_at_an_end_of_its_range_is_said(lr: float, end: str) -> None:
    verdict = judge_coarse(search(SPACES, good(lr)))
    assert verdict.status == "warn"
    assert f"at the {end} end" in verdict.advice[0]


def test_no_dropout_at_all_is_no_edge() -> None:
    one = ({"optimizer": "adamw", "dropout": 0.0}, {"accuracy": 0.9, "nll": 0.3}, None)
    assert judge_coarse(search({"adamw": {"dropout": Uniform(0.0, 0.5)}}, one)).status == "pass"


def test_when_every_trial_diverged_the_step_fails() -> None:
    lost = ({"optimizer": "adamw", "lr": 1e-3}, {"accuracy": 0.1, "nll": math.nan}, "loss not finite by step 40")
    verdict = judge_coarse(search(SPACES, lost, lost))
    assert verdict.status == "fail"
    assert verdict.evidence["best"] is None
    assert verdict.evidence["diverged"] == 2


def test_a_search_trains_every_trial_it_asked_for_and_tells_the_study(three_classes: Data, sit: Sit) -> None:
    session, history = sit(three_classes), History()
    session.pace = 1e-3
    study = Study(None, "classification", 0, ["adamw", "sgd"])
    done = coarse(session, study, coarse_spaces(RANGES, dropout=True), history, trials=6)
    assert sorted(done.outcomes) == [0, 1, 2, 3, 4, 5]
    assert [a.params["optimizer"] for a in done.asked] == ["adamw", "sgd"] * 3
    assert {trial.state.name for trial in study.trials} == {"COMPLETE", "PRUNED"}
    assert all(trial.user_attrs["phase"] == "coarse" for trial in study.trials)
    assert done.ranked[0].number in done.kept
    assert done.kept[done.ranked[0].number].validation["accuracy"] > 0.6
    assert {kept.setting.order for kept in done.kept.values()} == {0}  # all see the same batches
    assert len({kept.setting.seed for kept in done.kept.values()}) == 6
    rates = history.steps(min(a.number for a in done.ranked))["lr"]  # warm-up, and down to nothing with the last rung
    assert max(rates) == pytest.approx(done.kept[0].setting.lr, rel=1e-3)
    assert rates[0] < 0.2 * max(rates)
    longest = history.steps(done.ranked[0].number)["lr"]
    assert longest[-1] < 0.01 * max(longest)


def test_a_sampler_that_learns_is_asked_again_when_the_first_trials_have_ended(three_classes: Data, sit: Sit) -> None:
    class Counting(Study):
        """Notes how many trials had ended whenever one is asked for."""

        ended: ClassVar[list[int]] = []

        def ask(self, *args: Any, **more: Any) -> Asked:
            self.ended.append(sum(trial.state.is_finished() for trial in self.trials))
            return super().ask(*args, **more)

    study = Counting(None, "classification", 0, ["adamw"], sampler="tpe")
    spaces = {"adamw": coarse_spaces(RANGES, dropout=True)["adamw"]}
    done = coarse(sit(three_classes), study, spaces, History(), trials=16, epochs=1)
    assert Counting.ended == [0] * 10 + [10] * 3 + [13] * 3
    assert sorted(done.outcomes) == sorted(a.number for a in done.asked) == list(range(16))

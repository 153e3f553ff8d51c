"""Runs that climb by themselves: who is judged against whom, what a record repeats, and what a lost worker costs."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from ravine.data import Data, from_arrays
from ravine.errors import SettingError, WorkerError
from ravine.models import Model, mlp
from ravine.search import Outcome, asynchronous
from ravine.search.asynchronous import AsynchronousClimb, Decision, Here, InPlace, WorkerLostError
from ravine.search.remote_run import Answer, Key, RemoteRun
from ravine.search.serving import Order, Served, Workshop
from ravine.training import History, Kept, Setting

RUNGS = [15, 30, 50]


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 160)
    data: Data = from_arrays((rng.normal(size=(160, 4)) + 2 * np.eye(4)[y]).astype("float32"), y)
    return Workshop(data, Model("mlp", mlp, data.input_shape, data.outputs, {"hidden": (8,)}))


def order(trials: Sequence[int], **more: Any) -> Order:
    """Rates rise with the number of a trial."""
    settings = {t: Setting("adamw", lr=0.003 * (1 + t), batch_size=16, seed=t, order=0) for t in trials}
    given = {"steps": RUNGS[-1], "steps_per_epoch": 8, "probe": 1000, "every": 7, "engine": "one by one", **more}
    return Order(settings, {"hidden": (8,)}, **given)


ORDERS = [order(range(4)), order(range(4, 6)), order(range(6, 9))]


class Climbed:
    """A climb that has ended: what came of it, and every state it could have gone on from."""

    def __init__(self, crew: Any, orders: Sequence[Order] = ORDERS, **more: Any) -> None:
        self.history, self.said, self.saved = History(), list[str](), list[Any]()
        climb = AsynchronousClimb(orders, RUNGS, crew, self.history, say=self.said.append, **more)
        self.outcomes: dict[int, Outcome] = climb.go(
            on_slice=lambda *_: self.saved.append([climb.snapshot(), self.history.snapshot(), list(climb.decided)])
        )
        self.best: dict[int, Kept] = climb.best
        self.decided = climb.decided

    def rows(self) -> dict[int, Any]:
        return {t: (self.history.steps(t), self.history.epochs(t)) for t in range(9)}


@pytest.fixture(autouse=True)
def every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn is short, and a state is fetched and may be saved after each."""
    monkeypatch.setattr(asynchronous, "TURN", 0.002)
    monkeypatch.setattr(asynchronous, "TOLD_EVERY", 0.0)
    monkeypatch.setattr(asynchronous, "SAVED_EVERY", 0.0)
    monkeypatch.setattr(asynchronous, "SHARE", 1e9)


@pytest.fixture(scope="module")
def whole(workshop: Workshop) -> Climbed:
    return Climbed(Here(workshop))


def assert_same(one: Climbed, other: Climbed) -> None:
    """To the bit."""
    assert one.outcomes == other.outcomes
    assert one.best.keys() == other.best.keys()
    for trial, kept in one.best.items():
        found = other.best[trial]
        assert (kept.epoch, kept.validation, kept.setting) == (found.epoch, found.validation, found.setting)
        assert kept.state.keys() == found.state.keys() != set()
        assert all(torch.equal(value, found.state[name]) for name, value in kept.state.items())
    assert one.rows() == other.rows()


def test_every_trial_has_an_outcome_and_only_the_last_rung_is_without_a_reason(whole: Climbed) -> None:
    assert sorted(whole.outcomes) == list(range(9))
    top = {trial for trial, outcome in whole.outcomes.items() if outcome.reason is None}
    assert top
    assert {whole.outcomes[trial].step for trial in top} == {RUNGS[-1]}
    assert {outcome.step for trial, outcome in whole.outcomes.items() if trial not in top} <= set(RUNGS[:-1])


def test_a_trial_is_judged_against_all_that_have_reached_its_rung_and_no_others(whole: Climbed) -> None:
    came: dict[int, list[tuple[float, float]]] = {}
    for decision in whole.decided:
        if decision.last:
            continue
        ranks = came.setdefault(decision.step, [])
        ranks += [(m["accuracy"], -m["nll"]) for m in decision.best.values()]
        cut = sorted(ranks, reverse=True)[math.ceil(len(ranks) / 2) - 1]
        assert set(decision.stay) == {t for t, m in decision.best.items() if (m["accuracy"], -m["nll"]) >= cut}
    assert len(came[RUNGS[0]]) == 9


def test_a_record_of_decisions_repeats_the_search_however_its_runs_are_cut_and_in_whatever_turn(
    workshop: Workshop, whole: Climbed
) -> None:
    record = json.loads(json.dumps([decision.record() for decision in whole.decided]))
    decided = [Decision.of(one) for one in record]
    for orders in ([order(range(9))], [order([t]) for t in reversed(range(9))]):
        again = Climbed(Here(workshop), orders, decided=decided)
        assert_same(whole, again)
        assert again.decided == whole.decided
    free = Climbed(Here(workshop), [order([t]) for t in reversed(range(9))])
    assert free.outcomes != whole.outcomes  # else the record would not have been needed


class Forgetful(Here):
    """Workers, one for each run, that are lost in the middle of so many answers, one after the other."""

    def __init__(self, workshop: Workshop, lives: Sequence[int]) -> None:
        self.workshop, self.lives, self.begun = workshop, list(lives), 0

    def take(self, run: RemoteRun) -> bool:
        self.begun += 1
        run.worker = _Mortal(Served(workshop=self.workshop), self.lives.pop(0) if self.lives else 10**9)
        return True

    def drop(self, run: RemoteRun) -> None: ...


class _Mortal(InPlace):
    def __init__(self, served: Served, life: int) -> None:
        super().__init__(served)
        self.life = life

    def answer(self, key: Key) -> Answer:
        self.life -= 1
        found = super().answer(key)
        if self.life < 0:
            raise WorkerLostError("a worker is lost.")
        return found


def test_runs_of_lost_workers_go_on_from_their_last_state_and_write_no_row_twice(
    workshop: Workshop, whole: Climbed
) -> None:
    draw = np.random.default_rng(5)
    for _ in range(4):
        crew = Forgetful(workshop, draw.integers(4, 14, size=8).tolist())
        again = Climbed(crew, decided=whole.decided)
        assert_same(whole, again)
        assert crew.begun > 3
        assert any("a worker is lost. trials" in said for said in again.said)


def test_what_kills_three_workers_in_a_row_ends_the_search(workshop: Workshop) -> None:
    with pytest.raises(WorkerError, match=r"a worker is lost\. It is the 3rd worker in a row .* trials 0 to 3"):
        Climbed(Forgetful(workshop, [0] * 9))


def test_a_climb_goes_on_from_any_state_by_the_decisions_made_since(workshop: Workshop, whole: Climbed) -> None:
    for climb, history, _ in whole.saved[:: max(1, len(whole.saved) // 6)]:
        again = Climbed.__new__(Climbed)
        again.history = History()
        one = AsynchronousClimb(ORDERS, RUNGS, Here(workshop), again.history, decided=whole.decided)
        one.restore(climb)
        again.history.restore(history)
        again.outcomes, again.best, again.decided = one.go(), one.best, one.decided
        assert_same(whole, again)


def test_trials_that_cannot_be_built_or_raise_are_lost_and_the_others_go_on(workshop: Workshop) -> None:
    def touchy(shape: tuple[int, ...], outputs: int, hidden: Any = (8,)) -> torch.nn.Module:
        model, steps = mlp(shape, outputs, hidden=hidden, dropout=0.1), [0]

        def complain(module: torch.nn.Module, _inputs: object) -> None:
            rate = float(module[3].p)  # type: ignore[index]
            steps[0] += module.training
            if rate > 0.3 and steps[0] > 20:
                raise ValueError(f"{rate:g} is too high")

        model.register_forward_pre_hook(complain)
        return model

    data = workshop.data
    own = Workshop(data, Model("", touchy, data.input_shape, data.outputs, {"hidden": (8,)}))
    rates = [0.1, 0.4, 0.2]
    settings = {k: Setting(lr=0.01, dropout=p, batch_size=16, seed=k, order=0) for k, p in enumerate(rates)}
    settings[3] = Setting(lr=0.01, stochastic_depth=0.5, batch_size=16, seed=3, order=0)  # the model has none
    made = Order(settings, {"hidden": (8,)}, steps=50, steps_per_epoch=8, probe=1000, every=7, engine="one by one")
    found = Climbed(Here(own), [made], keep=1.0)
    reasons = [found.outcomes[t].reason or "" for t in range(4)]
    assert reasons[:3] == ["", "raised ValueError: 0.4 is too high", ""]
    assert reasons[3].startswith("raised SettingError: depth is 0.5")
    step = found.outcomes[1].step
    assert 0 < step < 50
    assert [said.split(":")[0] for said in found.said] == ["trial 3 could not begin", f"trial 1 ended at step {step}"]
    assert [len(found.history.steps(t)["step"]) for t in range(4)] == [50, step, 50, 0]


def test_at_the_deadline_every_trial_ends_as_it_stands_and_is_recorded_so(workshop: Workshop) -> None:
    late = Climbed(Here(workshop), [order([0], steps=5000), order([1], steps=5000)], deadline=time.monotonic() + 0.02)
    assert {outcome.reason for outcome in late.outcomes.values()} == {None}
    assert all(decision.last for decision in late.decided if decision.step not in RUNGS)
    again = Climbed(Here(workshop), [order([0, 1], steps=5000)], decided=late.decided)
    assert again.outcomes == late.outcomes


def test_decisions_of_another_search_are_refused(workshop: Workshop, whole: Climbed) -> None:
    for orders, rungs in (([order(range(3))], RUNGS), (ORDERS, [15, 30, 40])):
        with pytest.raises(
            SettingError, match=r"decisions to follow are of another search: trials .* Ask for the same"
        ):
            AsynchronousClimb(orders, rungs, Here(workshop), History(), decided=whole.decided)

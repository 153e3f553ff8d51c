"""A setting changed and the training made again."""

from __future__ import annotations

import time

import pytest
from tests.faults.tasks import TASKS

from ravine.diagnosis import Case, Look
from ravine.diagnosis.catalogue import fault
from ravine.diagnosis.cures import cure, harmed
from ravine.diagnosis.trace import Trace


def test_a_cure_that_the_clock_has_kept_from_its_first_step_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    case: Case = TASKS["friedman-mlp"].make().but(epochs=1)
    look = Look(case)
    assert cure(look, {"lr": 1e-3}, "lr 0.001", odd=0.0) is not None
    monkeypatch.setattr(look, "tried", lambda _steps, **_changes: Trace(case, marks=look.base.marks[:1]))
    assert cure(look, {"lr": 1e-4}, "lr 0.0001", odd=0.0) is None


def test_a_shortened_experiment_is_never_longer_than_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    case: Case = TASKS["friedman-mlp"].make().but(epochs=1, schedule="cosine")
    look = Look(case)
    assert case.steps < 50
    monkeypatch.setattr(look.base, "seconds", 100.0)
    found = cure(look, {"lr": 1e-3}, "lr 0.001", odd=0.0, short=True)
    assert found is not None
    assert not found.run.raised
    assert len(found.run.losses) == case.steps


def test_a_training_that_the_clock_has_kept_from_its_first_step_is_blamed_on_nothing() -> None:
    look = Look(TASKS["friedman-mlp"].make(), deadline=time.monotonic() - 1)
    assert look.base.losses == []
    assert look.base.marks
    assert not harmed(look)
    told = [fault(name).find(look) for name in ("lr-too-high", "lr-too-low", "too-few-epochs")]
    assert [list(found) for found in told] == [[], [], []]

"""A setting changed and the training made again."""

from __future__ import annotations

import pytest
from tests.faults.tasks import TASKS

from ravine.diagnosis import Case, Look
from ravine.diagnosis.cures import cure
from ravine.diagnosis.trace import Trace


def test_a_cure_that_the_clock_has_kept_from_its_first_step_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    case: Case = TASKS["friedman-mlp"].make().but(epochs=1)
    look = Look(case)
    assert cure(look, {"lr": 1e-3}, "lr 0.001", odd=0.0) is not None
    monkeypatch.setattr(look, "tried", lambda _steps, **_changes: Trace(case, marks=look.base.marks[:1]))
    assert cure(look, {"lr": 1e-4}, "lr 0.0001", odd=0.0) is None

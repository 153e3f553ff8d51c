"""keras-team/autokeras: the best of trials, one of which diverged."""

from __future__ import annotations

from pathlib import Path

import pytest

import ravine
from ravine.api import work
from ravine.search import Choice

from .conftest import trials_of
from .reports import report
from .small import arrays


@report(
    "keras-team/autokeras",
    1758,
    "When the loss of the first trial is NaN, it stays the best loss so far whatever the others reach.",
    ravine="A trial whose loss is not finite has failed, with its reason; it ranks below every other and is the best of none.",
)
def test_1758_a_trial_that_diverged_is_never_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "write_report", lambda _folder: None)
    space = {"optimizer": Choice(["sgd"]), "lr": Choice([1e30, 0.05])}
    result = ravine.run_search(
        "mlp",
        arrays(),
        space=space,
        trials=4,
        epochs=4,
        sampler="grid",
        known=False,
        settings={"hidden": [8]},
        engine="one by one",
        seed=1,
        out=tmp_path / "run",
    )
    trials = trials_of(tmp_path / "run")
    lost = [trial for trial in trials if trial.params["lr"] == 1e30]
    assert lost
    assert all(trial.state.name == "FAIL" for trial in lost)
    assert all("not finite" in trial.user_attrs["reason"] for trial in lost)
    assert result.best is not None
    assert result.best.hyperparameters["lr"] == 0.05

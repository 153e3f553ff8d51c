"""scikit-learn/scikit-learn: its multi-layer perceptrons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ravine
from ravine.api import work
from ravine.data import from_arrays

from .reports import report
from .small import arrays

SKLEARN = "scikit-learn/scikit-learn"
HERE = "scikit-learn 1.9.1"


@pytest.fixture(autouse=True)
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "write_report", lambda _folder: None)


@report(
    SKLEARN,
    33760,
    "MLPClassifier(early_stopping=True) raises on classes that are names: isnan is not defined for text.",
    ravine="Names of classes are classes: training with patience takes them, and predict gives them back.",
    gone=HERE,
)
def test_33760_early_stopping_takes_classes_that_are_names(tmp_path: Path) -> None:
    x, y = arrays()
    names = np.array(["Class_A", "Class_B", "Class_C"])[y]
    more = {"settings": {"hidden": [8]}, "engine": "one by one", "batch_size": 16}
    ravine.train("mlp", (x, names), epochs=10, patience=2, setting={"lr": 0.05}, out=tmp_path / "run", **more)
    predicted = ravine.load(tmp_path / "run").predict(x)
    assert set(predicted) == set(names)
    assert (predicted == names).mean() > 0.8


@report(
    SKLEARN,
    29504,
    "MLPRegressor with early stopping crashes when its weights overflow: the score of its own validation rows raises.",
    ravine="A run whose loss is not finite comes to its end, and is called failed: exit status 1, with the faults that were found.",
    gone=HERE,
)
def test_29504_a_training_that_overflows_is_called_failed() -> None:
    x, _ = arrays()
    y = 1e3 * x[:, 0]
    more = {"settings": {"hidden": [8]}, "engine": "one by one", "batch_size": 16}
    setting = {"optimizer": "sgd", "lr": 1e20, "schedule": "constant", "warmup": 0.0}
    result = ravine.train("mlp", (x, y), epochs=5, patience=2, setting=setting, budget="3s", **more)
    assert result.failed
    assert result.best is not None
    assert not np.isfinite(result.best.validation["rmse"])


@report(
    SKLEARN,
    24713,
    "MLPRegressor with early stopping on two rows has no validation score, only NaN, and fails at the end of the training.",
    ravine="Data too few to be divided are refused before anything is trained.",
    gone=HERE,
)
def test_24713_too_few_rows_to_be_divided_are_refused_at_once() -> None:
    with pytest.raises(ravine.errors.DataError):
        from_arrays(np.array([[0.0, 1.0], [1.0, 0.0]], dtype="float32"), np.array([1.0, 1.0]), task="regression")

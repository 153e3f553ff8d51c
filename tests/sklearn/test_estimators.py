"""The estimators at work among scikit-learn's own: pipelines, grids, clones, files; and what they refuse."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits, make_blobs, make_regression
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import get_tags
from torch import nn

import ravine
from ravine.errors import InputError
from ravine.search import Choice, Log
from ravine.sklearn import RavineClassifier, RavineRegressor

SMALL: dict[str, Any] = {"settings": {"hidden": (16,)}, "random_state": 0}
ONCE: dict[str, Any] = {**SMALL, "tune": False, "epochs": 15, "lr": 0.01}
COUNTED: dict[str, Any] = {
    **SMALL,
    "trials": 3,
    "epochs": 4,
    "space": {"lr": Log(3e-3, 3e-2), "optimizer": Choice(["adamw"])},
}


@pytest.fixture(scope="module")
def blobs() -> tuple[NDArray[Any], NDArray[Any]]:
    """90 rows of 2 features, three clouds well apart, by name."""
    x, y = make_blobs(90, centers=[[0, 0], [6, 0], [0, 6]], random_state=0)
    return x, np.array(["ant", "bee", "cat"])[y]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made for the length of a test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_classes_keep_their_names_and_probabilities_their_order(blobs: Any) -> None:
    x, y = blobs
    model = RavineClassifier(**ONCE).fit(x, y)
    assert model.classes_.tolist() == ["ant", "bee", "cat"]
    shares = model.predict_proba(x)
    assert shares.sum(1) == pytest.approx(np.ones(90), abs=1e-12)
    assert (model.classes_[shares.argmax(1)] == model.predict(x)).all()
    assert model.score(x, y) > 0.95
    assert set(model.validation_) == {"accuracy", "nll"}
    assert model.hyperparameters_["lr"] == 0.01
    assert model.result_ is None


def test_numbers_come_back_in_their_own_units() -> None:
    x, y = make_regression(80, 3, noise=1.0, random_state=0)
    model = RavineRegressor(**{**ONCE, "epochs": 40}).fit(x, 1e6 + y)
    assert model.predict(x).mean() == pytest.approx(1e6, abs=50)
    assert model.score(x, 1e6 + y) > 0.9


def test_a_grid_over_a_pipeline_finds_the_better_rate(blobs: Any) -> None:
    x, y = blobs
    pipe = make_pipeline(StandardScaler(), RavineClassifier(**ONCE))
    grid = GridSearchCV(pipe, {"ravineclassifier__lr": [1e-6, 0.01]}, cv=2).fit(x, y)
    assert grid.best_params_ == {"ravineclassifier__lr": 0.01}
    assert cross_val_score(clone(grid.best_estimator_), x, y, cv=2).min() > 0.9


def test_a_table_with_texts_comes_through_a_column_transformer() -> None:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"size": draw.normal(size=60), "colour": draw.choice(["red", "blue"], 60)})
    y = frame["colour"] == "red"
    columns = make_column_transformer((OneHotEncoder(sparse_output=False), ["colour"]), remainder="passthrough")
    model = make_pipeline(columns.set_output(transform="pandas"), RavineClassifier(**ONCE)).fit(frame, y)
    assert model.score(frame, y) > 0.95
    assert model[-1].feature_names_in_.tolist() == [
        "onehotencoder__colour_blue",
        "onehotencoder__colour_red",
        "remainder__size",
    ]


def test_rows_of_pixels_become_images() -> None:
    x, y = load_digits(return_X_y=True)
    settings = {"channels": (4,), "hidden": 8}
    model = RavineClassifier("cnn", **{**ONCE, "settings": settings, "epochs": 2}, input_shape=(1, 8, 8))
    model.fit(x[:200], y[:200])
    assert any(isinstance(layer, nn.Conv2d) for layer in model.network_.module.modules())
    assert model.predict(x[:3]).shape == (3,)
    with pytest.raises(InputError, match=r"49 numbers, and X has 64 features"):
        clone(model).set_params(input_shape=(7, 7)).fit(x[:50], y[:50])


def test_an_answer_does_not_hang_on_the_rows_beside_it(blobs: Any) -> None:
    x, y = blobs
    model = RavineClassifier(**ONCE).fit(1e3 * x, y)
    together = model.predict_proba(1e3 * x)
    alone = np.concatenate([model.predict_proba(row) for row in 1e3 * x[:, None]])
    assert abs(together - alone).max() < 1e-12


def picky(shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A factory of one's own whose module insists on float32."""

    class Picky(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert x.dtype == torch.float32
            return super().forward(x)

    return Picky(shape[0], outputs)


def test_a_module_that_insists_on_float32_answers_in_it(blobs: Any) -> None:
    x, y = blobs
    model = RavineClassifier(picky, **{**ONCE, "settings": None, "lr": 0.1}).fit(x, y)
    assert pickle.loads(pickle.dumps(model)).predict(x).tolist() == model.predict(x).tolist()  # noqa: S301 (our own)
    assert model.score(x, y) > 0.9


def test_a_fitted_estimator_is_stored_as_plain_values(blobs: Any, tmp_path: Path) -> None:
    x, y = blobs
    model = RavineClassifier(**ONCE).fit(x, y)
    joblib.dump(model, tmp_path / "model.joblib")
    content = (tmp_path / "model.joblib").read_bytes()
    assert b"torch" not in content
    again = joblib.load(tmp_path / "model.joblib")
    assert (again.predict_proba(x) == model.predict_proba(x)).all()
    torch.testing.assert_close(again.network_.module.state_dict(), model.network_.module.state_dict(), rtol=0, atol=0)


def test_a_counted_search_comes_to_the_same_network_and_leaves_nothing(blobs: Any, temporary: Path) -> None:
    x, y = blobs
    first, second = (RavineClassifier(**COUNTED).fit(x, y) for _ in range(2))
    assert (first.predict_proba(x) == second.predict_proba(x)).all()
    assert first.hyperparameters_ == second.hyperparameters_
    assert first.score(x, y) > 0.95
    assert [step.step for step in first.result_.steps] == ["coarse", "refine", "curves"]
    assert list(temporary.iterdir()) == []
    assert not get_tags(first).non_deterministic


def test_a_search_within_a_budget_keeps_its_folder_where_it_is_asked_to(tmp_path: Path) -> None:
    x, y = make_regression(60, 2, noise=1.0, random_state=0)
    model = RavineRegressor(**SMALL, budget="2s", out=tmp_path / "run", space={"lr": Log(3e-3, 3e-2)})
    assert get_tags(model).non_deterministic
    model.fit(x, y)
    assert (tmp_path / "run" / "report.html").is_file()
    assert ravine.load(tmp_path / "run").predict(x) == pytest.approx(model.predict(x), rel=1e-4)
    assert "there is no test split here" in (tmp_path / "run" / "config.json").read_text()
    with pytest.raises(InputError, match="exists already"):
        model.fit(x, y)


def test_another_seed_is_another_network(blobs: Any) -> None:
    x, y = blobs
    found = [
        RavineClassifier(**{**ONCE, "random_state": state}).fit(x, y).predict_proba(x)
        for state in (0, 1, np.random.RandomState(0))
    ]
    assert abs(found[0] - found[1]).max() > 1e-6
    assert (found[0] == found[2]).all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"tune": True}, "lr is 0.01, and a search chooses it: write tune=False"),
        ({"budget": "5s"}, "budget is '5s', and tune=False searches nothing"),
        ({"setting": {"lr": 0.1}}, "lr is given twice"),
        ({"setting": {"mixupp": 0.1}}, "'mixupp' is no setting; did you mean mixup"),
        ({"lr": -1.0}, "lr is -1.0; it must be a positive number"),
        ({"epochs": 0}, "epochs is 0; it must be 1 or more"),
        ({"model": "mpl"}, "model 'mpl' is not known; did you mean mlp"),
        ({"settings": {"hiden": (8,)}}, "has no setting 'hiden'; did you mean hidden"),
        ({"lr": 1e30, "optimizer": "sgd"}, r"no epoch ended with a finite loss at lr 1e\+30: write a lower lr"),
    ],
)
def test_what_cannot_be_used_is_answered_in_a_line(blobs: Any, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RavineClassifier(**{**ONCE, **changed}).fit(*blobs)


def test_data_that_teach_nothing_are_answered_in_a_line(blobs: Any) -> None:
    x, _ = blobs
    with pytest.raises(ValueError, match="y holds one class, 'ant'"):
        RavineClassifier(**ONCE).fit(x[:20], ["ant"] * 20)
    with pytest.raises(ValueError, match="every class has one row, 5 in all"):
        RavineClassifier(**ONCE).fit(x[:5], list("abcde"))
    with pytest.raises(ValueError, match="regression needs values that differ"):
        RavineRegressor(**ONCE).fit(x[:20], np.ones(20))
    with pytest.raises(ValueError, match="minimum of 5 is required"):
        RavineRegressor(**ONCE).fit(x[:4], np.arange(4))
    with pytest.raises(TypeError, match="Sparse data was passed"):
        RavineClassifier(**ONCE).fit(sparse.csr_array(x), np.arange(90) % 2)
    with pytest.raises(NotFittedError):
        RavineClassifier(**ONCE).predict(x)

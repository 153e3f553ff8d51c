"""What both estimators share: the parameters, how they are read, and how raw rows become outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from ravine.data.targets import Labels
from ravine.errors import DataError, SettingError
from ravine.recipe.opening import MakeModel
from ravine.search import Space
from ravine.sklearn.fitting import Fitted, searched, trained
from ravine.sklearn.held_out import held_out
from ravine.types import Task

__all__ = ["Estimator"]

BUDGET = "10s"  # of a search where nothing is said of it
EPOCHS = 100  # of a single training where nothing is said of it
FEWEST = 5  # rows of which a fifth can be held out
NUMBERS = (np.float64, np.float32)  # what X is kept as; other numbers become float64

_OF_SEARCH = ("budget", "trials", "space", "out")
_OF_TRAINING = ("optimizer", "lr", "weight_decay", "dropout", "setting")


class Estimator(BaseEstimator):  # type: ignore[misc]
    """The base of `RavineClassifier`, where the parameters are described, and of `RavineRegressor`."""

    def __init__(
        self,
        model: MakeModel = "mlp",
        *,
        settings: Mapping[str, Any] | None = None,
        input_shape: Sequence[int] | None = None,
        tune: bool = True,
        budget: str | float | None = None,
        trials: int | None = None,
        epochs: int | None = None,
        space: Space | None = None,
        optimizer: str | None = None,
        lr: float | None = None,
        weight_decay: float | None = None,
        dropout: float | None = None,
        setting: Mapping[str, Any] | None = None,
        batch_size: int | None = None,
        device: str = "auto",
        out: str | Path | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.model = model
        self.settings = settings
        self.input_shape = input_shape
        self.tune = tune
        self.budget = budget
        self.trials = trials
        self.epochs = epochs
        self.space = space
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.setting = setting
        self.batch_size = batch_size
        self.device = device
        self.out = out
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = self.tune and self._wall_clock() is not None
        return tags

    def _wall_clock(self) -> str | float | None:
        """The budget of a search; None where trials and epochs are both counted and no budget is given."""
        counted = self.trials is not None and self.epochs is not None
        return BUDGET if self.budget is None and not counted else self.budget

    def _checked(self, X: Any, y: Any, **more: Any) -> tuple[NDArray[Any], NDArray[Any]]:  # noqa: N803
        """X [N, F] and y [N] as scikit-learn checks them."""
        x, labels = validate_data(self, X, y, dtype=NUMBERS, ensure_min_samples=FEWEST, **more)
        return x, labels

    def _fit(self, x: NDArray[Any], labels: Labels, task: Task) -> None:
        """Train or search, and keep what came out."""
        self._check_ways()
        shape = self._shape(x.shape[1])
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        data = held_out(x.reshape(len(x), *shape), labels, task, seed)
        common: dict[str, Any] = {
            "settings": self.settings,
            "batch_size": self.batch_size,
            "seed": seed,
            "device": self.device,
        }
        fitted = self._search(data, common) if self.tune else self._train(data, common)
        self.network_ = fitted.network
        self.hyperparameters_ = fitted.hyperparameters
        self.validation_ = fitted.validation
        self.result_ = fitted.result

    def _search(self, data: Any, common: Mapping[str, Any]) -> Fitted:
        return searched(
            self.model,
            data,
            space=self.space,
            trials=self.trials,
            epochs=self.epochs,
            budget=self._wall_clock(),
            out=self.out,
            **common,
        )

    def _train(self, data: Any, common: Mapping[str, Any]) -> Fitted:
        named = {name: getattr(self, name) for name in _OF_TRAINING if name != "setting"}
        setting = {name: value for name, value in named.items() if value is not None}
        twice = sorted(setting.keys() & (self.setting or {}).keys())
        if twice:
            raise SettingError(f"{twice[0]} is given twice, as a parameter and in setting: leave one of them out.")
        epochs = EPOCHS if self.epochs is None else self.epochs
        return trained(self.model, data, {**setting, **(self.setting or {})}, epochs=epochs, **common)

    def _check_ways(self) -> None:
        """Raise SettingError for parameters of the other way to fit: they would be passed over."""
        others = _OF_TRAINING if self.tune else _OF_SEARCH
        given = [name for name in others if getattr(self, name) is not None]
        if not given:
            return
        if self.tune:
            raise SettingError(
                f"{given[0]} is {getattr(self, given[0])!r}, and a search chooses it: write tune=False to train with it, or "
                "search it in a range of your own with space={...}."
            )
        raise SettingError(f"{given[0]} is {getattr(self, given[0])!r}, and tune=False searches nothing: leave it out.")

    def _shape(self, features: int) -> tuple[int, ...]:
        """Of one example, as the model sees it."""
        shape = (features,) if self.input_shape is None else tuple(self.input_shape)
        if math.prod(shape) != features:
            raise DataError(
                f"input_shape is {shape}, which is {math.prod(shape)} numbers, and X has {features} features a row: they must agree."
            )
        return shape

    def _outputs(self, X: Any) -> Tensor:  # noqa: N803
        """Logits or standardized predictions of raw rows, [N, outputs]."""
        check_is_fitted(self)
        return self.network_.outputs(validate_data(self, X, reset=False, dtype=NUMBERS))

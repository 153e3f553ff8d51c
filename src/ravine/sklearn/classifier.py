"""Classes for scikit-learn.

Letters in shapes: N examples, F features, C classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from ravine.data.targets import Labels
from ravine.errors import DataError
from ravine.sklearn.estimator import Estimator

__all__ = ["RavineClassifier"]


class RavineClassifier(ClassifierMixin, Estimator):  # type: ignore[misc]
    """A network that tells classes apart, tuned while it is fitted.

    Every fit holds a fifth of the rows out, by which the best epoch and the best trial are chosen; features are
    standardized by the other rows. Rows are numbers: texts and missing cells belong to a step before this one in a
    pipeline.

    model: mlp, cnn, resnet, package.module:factory, file.py:factory, or a callable (input_shape, outputs) -> nn.Module.
    settings: keywords of that factory, such as {"hidden": (64, 64)}.
    input_shape: of one example as the model sees it, such as (1, 8, 8) for rows of 64 pixels; [F] when not given.
    tune: search within `budget` (wall clock of each fit, such as "30s"; 10 s when not given), or train one setting. A search
        takes two or three seconds before it can compare much: for a shorter fit, or for many, train one setting.
    trials, epochs, space: of the search, as in `ravine.run_search`. With both counts and no budget no clock decides
        anything, and an int random_state gives the same network every time.
    epochs, optimizer, lr, weight_decay, dropout: of a single training (tune=False), 100 epochs and the defaults of
        `ravine.training.Setting` when not given; setting: any other fields of it, such as {"mixup": 0.2}.
    batch_size: by the number of rows when not given. device: cpu, cuda or auto. The fitted network is on the CPU.
    out: a folder for the search and its report; without one nothing is left. It must be free, so it is for one fit.
    random_state: an int, a RandomState, or None for another seed at every fit.

    Raises ValueError (`ravine.errors.InputError`), one line, for what cannot be used.

    After `fit`: classes_, n_features_in_ (and feature_names_in_), network_ (its `module` is the nn.Module),
    hyperparameters_, validation_ (metrics on the rows held out), result_ (of a search: its verdicts).

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = RavineClassifier(tune=False, epochs=20, lr=0.01, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.9
    True
    """

    def fit(self, X: Any, y: Any) -> RavineClassifier:  # noqa: N803
        """X: [N, F] numbers. y: [N] classes of any kind. Raises ValueError for less than two classes or five rows."""
        x, values = self._checked(X, y)
        check_classification_targets(values)
        self.classes_, position = np.unique(values, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(f"y holds one class, {str(self.classes_[0])!r}; at least two are needed.")
        names = tuple(str(name) for name in self.classes_)
        self._fit(x, Labels("y", position, _row, declared=names), "classification")
        return self

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The likeliest class of each row, [N]."""
        chosen = self._outputs(X).argmax(-1).numpy()
        found: NDArray[Any] = self.classes_[chosen]
        return found

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Probabilities of the classes in the order of classes_, [N, C]."""
        return torch.softmax(self._outputs(X), dim=-1).numpy()


def _row(*rows: int) -> str:
    return ", ".join(f"y[{row}]" for row in rows)

"""Numbers for scikit-learn.

Letters in shapes: N examples, F features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin

from ravine.data.targets import label_array
from ravine.sklearn.estimator import Estimator

__all__ = ["RavineRegressor"]


class RavineRegressor(RegressorMixin, Estimator):  # type: ignore[misc]
    """A network that predicts one number, tuned while it is fitted.

    Parameters and attributes are those of `RavineClassifier`, classes_ left out. The target is standardized while
    training and given back in its own units.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = RavineRegressor(tune=False, epochs=20, lr=0.003, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.4
    True
    """

    def fit(self, X: Any, y: Any) -> RavineRegressor:  # noqa: N803
        """X: [N, F] numbers. y: [N] numbers. Raises ValueError for a target that is one number, or less than five rows."""
        x, values = self._checked(X, y, y_numeric=True)
        self._fit(x, label_array(values.astype(np.float64), "y"), "regression")
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """A number for each row, [N], in units of y."""
        outputs = self._outputs(X)
        restored: NDArray[np.float64] = self.network_.preprocessing.target.restore(
            outputs.reshape(len(outputs))
        ).numpy()
        return restored

"""scikit-learn's own examination of both estimators, each check a test: none is excused.

One setting is trained, for the checks fit more than a hundred times. What a search adds is tested in test_estimators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from ravine.sklearn import RavineClassifier, RavineRegressor

SMALL: dict[str, Any] = {"tune": False, "epochs": 20, "lr": 0.01, "settings": {"hidden": (32,)}}


@parametrize_with_checks([RavineClassifier(**SMALL), RavineRegressor(**SMALL)])
def test_the_estimator_passes_scikit_learns_check(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)

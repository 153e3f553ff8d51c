"""Ravine as scikit-learn estimators: `RavineClassifier` and `RavineRegressor`.

    from ravine.sklearn import RavineClassifier
    model = RavineClassifier(budget="30s", random_state=0).fit(X, y)
    model.score(X_test, y_test)

`fit` searches steps 3 to 6 of the recipe, or with tune=False trains one setting. They follow scikit-learn's conventions, so
pipelines, cross-validation, grids and clones take them as they take any other.

joblib and pickle store a fitted estimator by scikit-learn's own convention: weights as plain arrays, the network rebuilt from
the name of its factory. A pickle runs code when it is loaded, whoever wrote it: never load another's. What `ravine.tune`
leaves in its folder (`out=`) and what `ravine export` makes of it are the forms to give away.
"""

from ravine.sklearn.classifier import RavineClassifier
from ravine.sklearn.regressor import RavineRegressor

__all__ = ["RavineClassifier", "RavineRegressor"]

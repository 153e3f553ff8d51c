"""What a forest of random trees makes of the rows: a second reference, quick and hard to fool with wrong labels.

Its answers for training rows are out of bag: each tree is asked only about rows that it was not grown on, so they can be
compared with its answers for the held-out rows. Source: Breiman 2001 (random forests); Geurts et al. 2006 (extra trees).

Letters in shapes: N training rows, M held-out rows, C classes, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional as F

from ravine.diagnosis.case import Case
from ravine.randomness import derive, permutation

__all__ = ["Forest", "apart", "features", "grow"]

TREES = 120  # one row is out of bag in about 44 of them
ROWS = 1_500  # of each split, drawn at random where there are more; about a second for 200 features on one core
SIDE = 14  # images are averaged down to this many pixels a side
COLUMNS = 256
WORDS = 1_000  # whole numbers up to here are counted like words; above they are left as they are


@dataclass(frozen=True, eq=False)
class Forest:
    """Answers of a forest. rows, held_rows: which rows of the case they are for."""

    rows: Tensor  # [N] int64
    y: np.ndarray[Any, Any]  # [N] classes as 0 .. C-1 by order, or first target
    votes: np.ndarray[Any, Any]  # [N, C] shares of the votes out of bag, or [N] predictions
    held_rows: Tensor  # [M]
    held_y: np.ndarray[Any, Any]  # [M]; -1 for a class that no training row has
    held_votes: np.ndarray[Any, Any]  # [M, C] or [M]
    classes: int  # 0 for a regression

    @property
    def train_score(self) -> float:
        """Accuracy out of bag, or the correlation with the target."""
        return _score(self.votes, self.y)

    @property
    def held_score(self) -> float:
        return _score(self.held_votes, self.held_y)

    def related(self, votes: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> float:
        """How much answers have to do with the targets: mean over classes of the area under the ROC curve, as 2 A - 1, or
        the correlation; 0 is nothing, and classes that are rare count like the others.
        """
        if not self.classes:
            return _score(votes, y)
        areas = [roc_auc_score(y == c, votes[:, c]) for c in range(self.classes) if 0 < (y == c).sum() < len(y)]
        return 2 * float(np.mean(areas)) - 1 if areas else 0.0


def grow(case: Case) -> Forest:
    """A forest grown on the training rows of a case."""
    rows, held_rows = _some(case, len(case.x), "rows"), _some(case, len(case.held_x), "held")
    both = features(torch.cat([case.x[rows], case.held_x[held_rows]]))
    x, held = both[: len(rows)], both[len(rows) :]
    seed = derive(case.seed, "forest") % 2**31
    settings: dict[str, Any] = {"bootstrap": True, "oob_score": True, "random_state": seed, "n_jobs": 1}
    if case.task == "regression":
        y = case.y[rows].reshape(len(rows), -1)[:, 0].numpy()
        held_y = case.held_y[held_rows].reshape(len(held_rows), -1)[:, 0].numpy()
        model = ExtraTreesRegressor(TREES, min_samples_leaf=3, max_features=0.4, **settings).fit(x, y)
        return Forest(rows, y, model.oob_prediction_, held_rows, held_y, model.predict(held), 0)
    known, y = np.unique(case.labels[rows].numpy(), return_inverse=True)
    held_labels = case.but(y=case.held_y).labels[held_rows].numpy()
    place = {int(label): i for i, label in enumerate(known)}
    held_y = np.array([place.get(int(label), -1) for label in held_labels])
    model = ExtraTreesClassifier(TREES, min_samples_leaf=2, max_features="sqrt", **settings).fit(x, y)
    return Forest(rows, y, model.oob_decision_function_, held_rows, held_y, model.predict_proba(held), len(known))


def apart(a: Tensor, b: Tensor, seed: int) -> tuple[float, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """How well a forest tells two sets of rows apart: the area under its ROC curve out of bag, 0.5 where it cannot, and
    its share of votes for "b" on either's rows. Source: Lopez-Paz & Oquab 2017 (classifier two-sample tests).
    """
    few = min(len(a), len(b), ROWS // 2)
    a, b = (part[permutation(len(part), seed, "apart")[:few]] for part in (a, b))
    x, y = features(torch.cat([a, b])), np.arange(2 * few) >= few
    settings: dict[str, Any] = {"bootstrap": True, "oob_score": True, "random_state": derive(seed, "apart") % 2**31}
    votes = ExtraTreesClassifier(TREES, min_samples_leaf=3, max_features="sqrt", n_jobs=1, **settings).fit(x, y)
    said = votes.oob_decision_function_[:, 1]
    return float(roc_auc_score(y, said)), said[:few], said[few:]


def features(x: Tensor) -> np.ndarray[Any, Any]:
    """Rows as a forest takes them, [N, F], at most `COLUMNS`: images averaged down, words counted, NaN as 0."""
    if not x.dtype.is_floating_point and x.ndim == 2 and len(x) and int(x.min()) >= 0 and int(x.max()) < WORDS:
        counts = torch.zeros(len(x), int(x.max()) + 1).scatter_add_(1, x, torch.ones(x.shape))
        x = torch.cat([x.float(), counts], 1)
    x = torch.nan_to_num(x.float(), posinf=0.0, neginf=0.0)
    if x.ndim == 4 and x.shape[-1] > SIDE:
        x = F.adaptive_avg_pool2d(x, SIDE)
    flat = x.flatten(1)
    if flat.shape[1] > COLUMNS:
        flat = flat[:, torch.linspace(0, flat.shape[1] - 1, COLUMNS).long()]
    return flat.numpy()


def _some(case: Case, count: int, split: str) -> Tensor:
    return permutation(count, case.seed, "forest", split)[:ROWS].sort().values


def _score(votes: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> float:
    if votes.ndim > 1:
        return float((votes.argmax(1) == y).mean()) if len(y) else 0.0
    return float(np.corrcoef(votes, y)[0, 1]) if len(y) > 2 and votes.std() > 0 and y.std() > 0 else 0.0

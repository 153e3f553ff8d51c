"""keras-team/keras: early stopping and validation_split."""

from __future__ import annotations

import numpy as np
import pytest

from ravine.data import Data, from_arrays
from ravine.training import Setting, evaluate, rank

from .reports import report
from .small import arrays, own, run

KERAS = "keras-team/keras"


@report(
    KERAS,
    12511,
    "EarlyStopping(restore_best_weights=True) gives back the last weights, not the best, when the training runs to its end.",
    ravine="The weights of the best evaluation are kept in every run, stopped early or not, and are what is handed back.",
)
def test_12511_a_run_that_goes_to_its_end_hands_back_its_best_weights(three_classes: Data) -> None:
    setting = Setting("sgd", lr=2.0, schedule="constant", warmup=0.0, batch_size=8, seed=3)
    trained = run(three_classes, setting, steps=40)
    seen = []
    for _ in range(20):
        trained.advance(2)
        seen.append(trained.evaluate()[0])
    assert trained.finished
    best = max(seen, key=rank)
    assert rank(best) > rank(seen[-1])  # the last is not the best here
    kept = trained.best[0]
    assert kept.validation == best
    module = own(three_classes).build(0)
    module.load_state_dict(kept.state)
    again = evaluate(module, three_classes.validation, three_classes.task)
    assert again["nll"] == pytest.approx(best["nll"], rel=1e-5)


@report(
    KERAS,
    8346,
    "validation_split takes the last rows before anything is shuffled: of sorted data, a class that training never sees.",
    ravine="Rows are divided by class and by seed; every split has every class, in its share, however the rows are ordered.",
)
def test_8346_sorted_rows_give_every_class_to_every_split() -> None:
    x, y = arrays(300)
    order = np.argsort(y, kind="stable")
    data = from_arrays(x[order], y[order])
    share = np.bincount(y) / len(y)
    for split in (data.train, data.validation, data.test):
        assert split.y.bincount(minlength=3).numpy() / len(split) == pytest.approx(share, abs=0.02)

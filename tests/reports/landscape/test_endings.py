"""The table and the record say where the paths ended, and the measured rate is the true one."""

from __future__ import annotations

import json
import math

import pytest
import torch

from ravine.landscapes import Theory, surface, walk
from ravine.reports.landscape import Asked, endings, record, theory_sentences, walked
from ravine.reports.landscape.rates import measured_rate, predicted_rate


@pytest.mark.parametrize(("rule", "lr"), [("gd", 0.01), ("gd", 0.0195), ("momentum", 0.005), ("nesterov", 0.01)])
def test_the_measured_rate_nears_the_predicted_one(rule, lr) -> None:
    ravine = surface("ravine50")
    (path,) = walk(ravine, rule, lrs=lr, steps=400)
    assert measured_rate(ravine, path) == pytest.approx(predicted_rate(ravine, path), rel=2e-3)


def test_a_rate_is_not_measured_on_rounding_or_without_a_minimum() -> None:
    bowl = surface("bowl")
    (path,) = walk(bowl, "gd", lrs=0.4, steps=500, tolerance=None)
    assert measured_rate(bowl, path) == pytest.approx(0.2, rel=1e-6)
    saddle = surface("saddle")
    (path,) = walk(saddle, "gd", lrs=0.1)
    assert measured_rate(saddle, path) is None


def test_the_table_has_a_row_for_each_path_and_rates_only_on_quadratics() -> None:
    found = walked(Asked("ravine50", ("gd", "adam"), (0.01, 0.03)))
    table = endings(found)
    assert table.columns[-2:] == ("measured rate", "predicted rate")
    assert [row[0] for row in table.rows] == ["gd", "gd", "adam", "adam"]
    assert [row[6] for row in table.rows][:2] == ["all steps taken", "diverged"]
    assert [row[-1] for row in table.rows] == ["0.98", "2", "—", "—"]
    assert "predicted rate" not in endings(walked(Asked("beale", ("gd",), (0.001,)))).columns


def test_the_record_holds_every_number_and_is_json() -> None:
    found = walked(Asked("ravine50", ("momentum",), (0.01,), {"momentum": 0.9}, ((4.0, 0.5),)))
    kept = json.loads(json.dumps(record(found)))
    (path,) = kept["paths"]
    assert torch.equal(torch.tensor(path["points"], dtype=torch.float64), found.paths[0].points)
    assert torch.equal(torch.tensor(path["losses"], dtype=torch.float64), found.paths[0].losses)
    assert path["predicted_losses"] == pytest.approx(path["losses"], rel=1e-9, abs=1e-15)
    assert path["predicted_rate"] == pytest.approx(math.sqrt(0.9))
    assert kept["theory"]["momentum"]["edge"] == pytest.approx(0.038)
    assert kept["surface"]["quadratic"] == [[2.0, 0.0], [0.0, 100.0]]


def test_the_theory_is_told_in_words() -> None:
    said = theory_sentences(walked(Asked("ravine50", ("gd", "adam"), (0.01,))))
    theory = Theory(torch.diag(torch.tensor([2.0, 100.0])))
    assert "condition number is 50" in said[0]
    assert said[1:] == [
        f"gd: converges for lr below 0.02; the best is {theory.best_lr:.6g}, and leaves 0.9608 of the error at each step."
    ]
    assert theory_sentences(walked(Asked("beale", ("gd",), (0.001,)))) == []

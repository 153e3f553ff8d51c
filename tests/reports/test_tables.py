"""The evidence as tables: what was measured is there, rounded, and what was not is not."""

from __future__ import annotations

import pytest

from ravine.reports.folder import read_run
from ravine.reports.records import CurveReading, InitialLoss, LrRange, Overfit, SearchSummary
from ravine.reports.tables import evidence_table, scores_table


@pytest.fixture(scope="module")
def run(finished):
    return read_run(finished)


def rows(measured):
    return {row[0]: row[1:] for row in evidence_table(measured).rows}


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (InitialLoss, "expected loss", "2.303 nats per example"),
        (Overfit, "examples", "160 in 5 mini-batches of 32"),
        (Overfit, "best rate", "0.01"),
        (SearchSummary, "searched lr", "adamw: 0.00025 to 0.025; sgd: 0.01 to 1"),
        (SearchSummary, "at an edge", "lr of sgd at its upper edge 1.0: search up to 3.0"),
        (CurveReading, "gap", "0.03 ± 0.012 (two standard errors)"),
    ],
)
def test_a_step_says_what_it_measured(run, kind, name, value):
    assert rows(run.evidence(kind)[0])[name] == (value,)


def test_the_range_test_has_a_row_per_optimizer(run):
    found = rows(run.evidence(LrRange)[0])
    assert list(found) == ["adamw", "sgd"]
    assert found["sgd"][:4] == ("0.01 to 1", "0.1", "1.58", "a factor of 1.6")


def test_a_field_the_table_does_not_know_is_shown_all_the_same():
    found = rows(CurveReading(trial=1, label="good", last_epochs=4))
    assert found["last epochs"] == ("4",)
    assert "gap" not in found


def test_the_ensemble_stands_beside_the_best_model(run):
    table = scores_table(run.evaluation, run.result.ensemble)
    assert table.columns == ("test split", "best model", "ensemble of 5 (greedy)")
    assert table.rows[0] == ("accuracy", "0.9722", "0.9806")
    assert {name: rest for name, *rest in table.rows}["ECE, 15 bins"] == ["0.02", "0.02"]
    assert table.rows[-1] == ("temperature", "1.2", "1.2")
    only = {"best": run.evaluation.answers["best"], "mc_dropout": run.evaluation.answers["greedy"]}
    alone = scores_table(run.evaluation.model_copy(update={"answers": only}), None)
    assert alone.columns == ("test split", "best model", "Monte-Carlo dropout")

"""What a run returns, as JSON with the fields that the command line promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ravine.recipe.result import Best, EnsembleResult, Result
from ravine.recipe.verdict import Verdict

SCORES = {"accuracy": 0.9, "nll": 0.3}
BEST = Best(7, {"lr": 0.01}, SCORES, SCORES, "ravine train ...")
ENSEMBLE = EnsembleResult(2, [7, 3], SCORES, SCORES)


def verdict(status: str) -> Verdict:
    return Verdict("overfit", status, "", {})  # type: ignore[arg-type]


def test_the_record_has_the_promised_fields() -> None:
    record = json.loads(json.dumps(Result([verdict("pass")], BEST, ENSEMBLE, 12, 3.14159, Path("runs/x")).record()))
    assert set(record) == {"steps", "best", "ensemble", "trials", "seconds", "out"}
    assert {"step", "status", "evidence", "advice"} <= set(record["steps"][0])
    assert {"hyperparameters", "validation", "test"} <= set(record["best"])
    assert {"size", "validation", "test"} <= set(record["ensemble"])
    assert record["best"]["test"] == SCORES
    assert (record["trials"], record["seconds"], record["out"]) == (12, 3.14, "runs/x")


def test_a_walk_that_was_stopped_has_no_best() -> None:
    record = Result([verdict("fail")], None, None, 0, 1.0, None).record()
    assert (record["best"], record["ensemble"], record["out"]) == (None, None, None)


@pytest.mark.parametrize(
    ("statuses", "failed"), [(["pass", "warn"], False), (["pass", "fail", "pass"], True), ([], False)]
)
def test_one_failed_step_is_a_failure_and_a_warning_is_none(statuses: list[str], failed: bool) -> None:
    assert Result([verdict(s) for s in statuses], None, None, 0, 0.0, None).failed == failed

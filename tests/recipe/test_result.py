"""What a run returns, as JSON with the fields that the command line promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ravine.diagnosis import Finding
from ravine.recipe.result import Best, EnsembleResult, Result
from ravine.recipe.verdict import Verdict

SCORES = {"accuracy": 0.9, "nll": 0.3}
BEST = Best(7, {"lr": 0.01}, SCORES, SCORES, "ravine train ...")
ENSEMBLE = EnsembleResult(
    "greedy", 2, [7, 3], [2, 1], 9, {"accuracy": 0.92, "nll": 0.25}, {"accuracy": 0.91, "nll": 0.35}
)


def verdict(status: str) -> Verdict:
    return Verdict("overfit", status, "", {})  # type: ignore[arg-type]


def test_the_record_has_the_promised_fields() -> None:
    record = json.loads(json.dumps(Result([verdict("pass")], BEST, ENSEMBLE, 12, 3.14159, Path("runs/x")).record()))
    assert set(record) == {"steps", "findings", "best", "ensemble", "gain", "trials", "seconds", "out"}
    assert {"step", "status", "evidence", "advice"} <= set(record["steps"][0])
    assert {"hyperparameters", "validation", "test"} <= set(record["best"])
    assert {"kind", "size", "members", "weights", "validation", "test"} <= set(record["ensemble"])
    assert record["best"]["test"] == SCORES
    assert (record["trials"], record["seconds"], record["out"]) == (12, 3.14, "runs/x")


def test_the_gain_is_said_on_validation_with_the_test_figure_beside_it() -> None:
    said = Result([], BEST, ENSEMBLE, 12, 3.0, None).gain
    assert said.startswith("The greedy ensemble of 2 models, against the best single model: ")
    assert "accuracy +0.0200 on validation (+0.0100 on test)" in said
    assert "nll -0.0500 on validation (+0.0500 on test)" in said  # a loss is not hidden
    assert Result([], BEST, None, 1, 1.0, None).gain == ""


def test_a_walk_that_was_stopped_has_no_best() -> None:
    record = Result([verdict("fail")], None, None, 0, 1.0, None).record()
    assert (record["best"], record["ensemble"], record["out"]) == (None, None, None)


@pytest.mark.parametrize(
    ("statuses", "failed"), [(["pass", "warn"], False), (["pass", "fail", "pass"], True), ([], False)]
)
def test_one_failed_step_is_a_failure_and_a_warning_is_none(statuses: list[str], failed: bool) -> None:
    assert Result([verdict(s) for s in statuses], None, None, 0, 0.0, None).failed == failed


def test_an_alarm_is_a_failure_and_a_suspicion_is_none() -> None:
    for confidence, failed in ((0.6, True), (0.4, False)):
        finding = Finding("nan-input", confidence, {"rows": 3}, "inputs", "Fill them.", change={"lr": 0.1})
        result = Result([verdict("pass")], None, None, 0, 0.0, None, findings=[finding])
        assert result.failed is failed
        again = Result.of(json.loads(json.dumps(result.record())))
        assert again.failed is failed
        assert (again.findings[0].fault, again.findings[0].evidence) == ("nan-input", {"rows": 3})

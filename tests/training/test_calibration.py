"""Calibration: against torchmetrics and scikit-learn, by hand, and a temperature that is the best one."""

from __future__ import annotations

import json
import math

import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import brier_score_loss
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import multiclass_calibration_error

from ravine.errors import InputError
from ravine.training.calibration import (
    TEMPERATURES,
    brier_score,
    expected_calibration_error,
    fit_temperature,
    reliability,
    scores,
)


def problem(seed: int, n: int = 400, classes: int = 4, heat: float = 1.0) -> tuple[Tensor, Tensor]:
    """Logits whose softmax at temperature `heat` the classes were drawn from."""
    generator = torch.Generator().manual_seed(seed)
    z = 2 * torch.randn(n, classes, generator=generator, dtype=torch.float64)
    return heat * z, torch.multinomial(z.softmax(-1), 1, generator=generator).squeeze(1)


def nll(logits: Tensor, y: Tensor, temperature: float) -> float:
    return float(F.cross_entropy(logits / temperature, y))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bins", [1, 7, 15])
def test_the_calibration_error_is_that_of_torchmetrics(seed: int, bins: int) -> None:
    logits, y = problem(seed, heat=2.0)
    p = logits.softmax(-1)
    theirs = multiclass_calibration_error(p, y, num_classes=4, n_bins=bins, norm="l1")
    assert expected_calibration_error(p, y, bins) == pytest.approx(float(theirs), abs=2e-6)  # theirs is in float32
    assert bins == 1 or float(theirs) > 0.02


@pytest.mark.parametrize("classes", [2, 4])
def test_the_brier_score_is_that_of_scikit_learn(classes: int) -> None:
    logits, y = problem(1, classes=classes)
    p = logits.softmax(-1)
    theirs = brier_score_loss(y.numpy(), p.numpy(), labels=list(range(classes)), scale_by_half=False)
    assert brier_score(p, y) == pytest.approx(theirs, rel=1e-12)


def test_brier_reaches_from_zero_to_two() -> None:
    p = torch.eye(3)
    assert brier_score(p, torch.arange(3)) == 0.0
    assert brier_score(p, torch.tensor([1, 2, 0])) == 2.0


def test_a_reliability_diagram_worked_by_hand() -> None:
    p = torch.tensor([[0.5, 0.5], [0.75, 0.25], [0.25, 0.75], [1.0, 0.0]])
    found = reliability(p, torch.tensor([0, 0, 0, 1]), bins=4)
    assert found.edges == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert found.count == (0, 1, 2, 1)  # 0.5 and 0.75 lie on an edge and belong below it
    assert found.confidence[1:] == (0.5, 0.75, 1.0)
    assert found.accuracy[1:] == (1.0, 0.5, 0.0)
    assert math.isnan(found.confidence[0])
    assert found.error == pytest.approx((0.5 + 2 * 0.25 + 1.0) / 4)
    record = json.loads(json.dumps(found.record(), allow_nan=False))
    assert record["accuracy"] == [None, 1.0, 0.5, 0.0]


def test_a_confidence_rounded_above_one_is_counted() -> None:
    found = reliability(torch.tensor([[1.0000002, 0.0]]), torch.tensor([0]), bins=3)
    assert found.count == (0, 0, 1)


@pytest.mark.parametrize("heat", [0.05, 0.3, 1.0, 2.5, 40.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_temperature_is_the_one_that_scipy_finds(heat: float, seed: int) -> None:
    logits, y = problem(seed, heat=heat)
    found = fit_temperature(logits, y)
    theirs = minimize_scalar(
        lambda log_t: nll(logits, y, math.exp(log_t)),
        bounds=[math.log(bound) for bound in TEMPERATURES],
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert found == pytest.approx(math.exp(theirs.x), rel=1e-5)  # scipy sees values only: half the digits
    assert nll(logits, y, found) <= theirs.fun + 1e-12
    assert found == pytest.approx(heat, rel=0.35)  # 400 rows drawn at that temperature


@pytest.mark.parametrize("shape", ["random", "float32", "useless", "opposed", "huge", "two rows"])
@pytest.mark.parametrize("seed", range(10))
def test_a_fitted_temperature_is_never_worse_than_one(shape: str, seed: int) -> None:
    logits, y = problem(seed, n=2 if shape == "two rows" else 60)
    logits = {
        "float32": logits.float(),
        "useless": torch.randn(logits.shape, generator=torch.Generator().manual_seed(seed)),
        "opposed": -logits,
        "huge": 1e5 * logits,
    }.get(shape, logits)
    found = fit_temperature(logits, y)
    assert TEMPERATURES[0] <= found <= TEMPERATURES[1]
    # in float64 exactly; cross_entropy of float32 logits rounds on its own
    assert nll(logits.double(), y, found) <= nll(logits.double(), y, 1.0) + 1e-12


def test_rows_without_a_mistake_do_not_sharpen() -> None:
    assert fit_temperature(5 * torch.eye(3), torch.arange(3)) == 1.0
    one_wrong = torch.cat([5 * torch.eye(3), torch.tensor([[0.2, 0.0, 0.0]])])
    assert fit_temperature(one_wrong, torch.tensor([0, 1, 2, 1])) != 1.0


def test_logits_that_are_always_wrong_are_softened_to_the_bound() -> None:
    assert fit_temperature(5 * torch.eye(3), torch.tensor([1, 2, 0])) == pytest.approx(TEMPERATURES[1])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_no_temperature_mends_are_left_alone(value: float) -> None:
    logits, y = problem(0)
    logits[3, 1] = value
    assert fit_temperature(logits, y) == 1.0


def test_a_class_that_is_ruled_out_is_no_obstacle() -> None:
    logits, y = problem(0, heat=3.0)
    wider = torch.cat([logits, torch.full((len(y), 1), -math.inf, dtype=logits.dtype)], dim=1)
    assert fit_temperature(wider, y) == pytest.approx(fit_temperature(logits, y), rel=1e-9)
    assert fit_temperature(wider, torch.full_like(y, 4)) == 1.0  # but true: the NLL is infinite at every T


def test_a_temperature_leaves_the_logits_untouched_and_ignores_a_shift() -> None:
    logits, y = problem(2, heat=2.0)
    before = logits.clone()
    found = fit_temperature(logits, y)
    assert torch.equal(logits, before)
    assert fit_temperature(logits.log_softmax(-1), y) == pytest.approx(found, rel=1e-9)


def test_the_scores_of_a_classifier() -> None:
    logits, y = problem(3, heat=2.0)
    plain, cooled = scores("classification", logits, y), scores("classification", logits, y, temperature=2.0)
    assert list(plain) == ["accuracy", "nll", "ece", "brier"]
    assert plain["nll"] == pytest.approx(nll(logits, y, 1.0))
    assert plain["ece"] == expected_calibration_error(logits.softmax(-1), y)
    assert cooled["accuracy"] == plain["accuracy"]
    assert cooled["nll"] == pytest.approx(nll(logits, y, 2.0))
    assert cooled["brier"] == pytest.approx(brier_score((logits / 2).softmax(-1), y))
    assert cooled["ece"] < plain["ece"]  # the classes were drawn at temperature 2
    again = scores("classification", logits.log_softmax(-1), y)
    assert again == {key: pytest.approx(value, abs=1e-12) for key, value in plain.items()}


def test_the_scores_of_a_regression_are_in_the_targets_units() -> None:
    found = scores("regression", torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 2.0]), scale=10.0)
    assert found == {"rmse": pytest.approx(10.0), "r2": pytest.approx(0.0)}


def test_outputs_that_still_carry_gradients_are_measured() -> None:
    logits, y = problem(3, heat=2.0)
    carrying = logits.clone().requires_grad_()
    assert scores("classification", carrying, y) == scores("classification", logits, y)
    assert fit_temperature(carrying, y) == fit_temperature(logits, y)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(InputError, match="must be positive"):
        scores("classification", torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64), temperature=temperature)


def test_a_temperature_in_regression_is_refused() -> None:
    with pytest.raises(InputError, match="1 in regression"):
        scores("regression", torch.zeros(2, 1), torch.zeros(2), temperature=2.0)


def test_logits_in_place_of_probabilities_are_refused() -> None:
    logits, y = problem(0)
    for figure in (expected_calibration_error, brier_score, reliability):
        with pytest.raises(InputError, match=r"write torch\.softmax"):
            figure(logits, y)


def test_shapes_that_do_not_fit_are_refused() -> None:
    y = torch.zeros(3, dtype=torch.int64)
    for rows in (torch.zeros(2, 2), torch.zeros(3), torch.zeros(3, 1, 2)):
        with pytest.raises(InputError, match="at least one row"):
            brier_score(rows, y)
    with pytest.raises(InputError, match="at least one row"):
        fit_temperature(torch.zeros(0, 2), y[:0])
    with pytest.raises(InputError, match="bins is 0"):
        reliability(torch.eye(3), y, bins=0)

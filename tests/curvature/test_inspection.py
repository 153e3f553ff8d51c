"""The whole record: what a point is called, what it says against dense answers, and that the model stays as it was."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor, nn

from ravine.curvature import Curvature, angle, inspect_model
from ravine.data import Data
from ravine.errors import DataError, ModelError, SettingError
from ravine.models import mlp

from .conftest import Case, normal


def squares(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - y).square().mean()


def linear_pair(scale: float) -> nn.Module:
    """The map B A x, a saddle where both are zero: the gradient vanishes, and A and B may grow together or apart."""
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 3, bias=False)).double()
    with torch.no_grad():
        for number, param in enumerate(model.parameters()):
            param.copy_(scale * normal(*param.shape, seed=number))
    return model


X = normal(40, 3)


def look(model: nn.Module, x: Tensor = X, **more: float) -> Curvature:
    return inspect_model(model, (x, x), squares, **more)


def test_zero_in_a_two_layer_linear_network_is_a_saddle_with_its_index() -> None:
    """Each of the 3 inputs pairs with each of the 4 hidden units: 12 directions down, 12 up."""
    found = look(linear_pair(0.0))
    assert found.kind == "saddle"
    assert found.unused_drop == 0
    assert (found.index.value, found.index.error, found.index.at_least) == (12.0, 0.0, 12)


def test_the_index_is_estimated_where_not_every_eigenvalue_is_found() -> None:
    found = look(linear_pair(0.0), steps=20, bottom=1, probes=30, tol=0.5)
    assert found.kind == "saddle"
    assert found.index.at_least < 12
    assert found.index.error > 0
    assert abs(found.index.value - 12) < 4 * found.index.error + 0.5


def test_away_from_where_the_gradient_vanishes_it_is_not_called_a_saddle() -> None:
    found = look(linear_pair(0.2))
    assert found.bottom[0].eigenvalue < 0
    assert found.kind == "negative curvature here"
    assert found.unused_drop > found.stationary


def test_a_minimum_is_not_called_a_saddle(at_rest: Case) -> None:
    found = inspect_model(at_rest.model, (at_rest.x, at_rest.y), at_rest.loss)
    assert (found.kind, found.index.value) == ("minimum", 0.0)


def test_a_slope_without_negative_curvature_is_a_slope() -> None:
    model = nn.Linear(3, 3, bias=False).double()
    assert look(model).kind == "slope"


def test_what_a_point_is_called_does_not_hang_on_the_unit_of_the_loss() -> None:
    for scale in (0.0, 0.2):
        kinds = {
            inspect_model(linear_pair(scale), (X, X), lambda out, y, unit=unit: unit * squares(out, y)).kind
            for unit in (1e-6, 1.0, 1e6)
        }
        assert len(kinds) == 1


def test_the_record_agrees_with_the_dense_hessian(case: Case) -> None:
    found = inspect_model(case.model, (case.x, case.y), case.loss, batch=32, tol=1e-4)
    values = case.values
    assert found.converged
    assert found.largest == pytest.approx(float(values[-1]), rel=1e-4)
    assert found.smallest == pytest.approx(float(values[0]), rel=1e-2)
    assert found.max_lr == 2 / found.largest
    assert found.max_lr_momentum["0.9"] == pytest.approx(1.9 * found.max_lr)
    assert found.trace is not None
    assert abs(found.trace.value - float(values.sum())) < 2.5 * found.trace.error
    assert found.density is not None
    for moment, order in zip(found.density.moments, (1, 2, 3, 4), strict=True):
        error = 0.0 if math.isnan(moment.error) else moment.error
        assert abs(moment.value - float((values**order).mean())) < 5 * error + 1e-4 * float(
            (values.abs() ** order).mean()
        )
    assert sum(found.density.weights) == pytest.approx(1.0)
    assert found.parameters == len(values)
    assert found.examples == len(case.x)
    gradient = case.objective().gradient()
    assert found.gradient_norm == pytest.approx(float(gradient.norm()))
    top = found.ends.largest
    assert (top.vectors @ case.matrix - top.values[:, None] * top.vectors).norm(dim=1).max() <= 2 * top.errors.max()
    _, vectors = torch.linalg.eigh(case.matrix)
    share = float((vectors[:, -1] @ gradient) ** 2 / gradient.square().sum())
    assert found.top[0].gradient_share == pytest.approx(share, rel=1e-2, abs=1e-4)


def test_the_condition_and_the_best_rate_of_a_known_quadratic() -> None:
    """Mean of (w' x)^2 / 2 over axis examples: eigenvalues are known, 1e-6 counts as zero."""
    sizes = torch.tensor([8.0, 4.0, 2.0, 1e-6], dtype=torch.float64)
    x = torch.diag((4 * sizes).sqrt())
    model = nn.Linear(4, 1, bias=False).double()
    found = inspect_model(model, (x, torch.zeros(4, 1)), lambda out, y: (out - y).square().mean() / 2)
    assert found.condition == pytest.approx(4.0)
    assert found.condition_exact
    assert (found.lr, found.lr_given) == (pytest.approx(2 / 10), False)
    steps = [direction.steps_to_halve for direction in found.top[:3]]
    wanted = [math.log(0.5) / (2 * math.log(abs(1 - 0.2 * value))) for value in (8, 4, 2)]
    assert steps == pytest.approx(wanted)
    assert found.effective_rank == pytest.approx(14**2 / 84, rel=1e-5)
    assert found.newton is not None
    home = model.weight.detach()[0] * torch.tensor([1, 1, 1, 0])
    slope = model.weight.detach()[0] * sizes
    assert found.newton.degrees == pytest.approx(angle(home, slope), abs=0.1)
    assert found.gauss_newton is not None
    assert found.gauss_newton.value == pytest.approx(8.0, rel=1e-2)


def test_the_model_stays_bit_for_bit_as_it_was(three_classes: Data) -> None:
    model = nn.Sequential(nn.BatchNorm1d(5), mlp((5,), 3, hidden=6, dropout=0.3)).train()
    x, y = three_classes.train.batch(torch.arange(50))
    nn.functional.cross_entropy(model(x), y).backward()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    slopes = [param.grad.clone() for param in model.parameters() if param.grad is not None]
    modes = [layer.training for layer in model.modules()]
    random = torch.get_rng_state()
    inspect_model(model, three_classes.train, three_classes.task, steps=40)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(torch.equal(a, b.grad) for a, b in zip(slopes, model.parameters(), strict=True) if b.grad is not None)
    assert [layer.training for layer in model.modules()] == modes
    assert torch.equal(random, torch.get_rng_state())


def test_the_same_seed_gives_the_same_record_and_it_is_json(three_classes: Data) -> None:
    model = mlp((5,), 3, hidden=6)
    records = [inspect_model(model, three_classes.train, "classification", seed=3).record() for _ in range(2)]
    for record in records:
        assert json.loads(json.dumps(record, allow_nan=False)) == record
        assert record.pop("seconds") > 0
        assert record.pop("gradient_seconds") > 0
    assert records[0] == records[1]


def test_a_short_budget_leaves_extras_out_and_says_so(three_classes: Data) -> None:
    found = inspect_model(mlp((5,), 3, hidden=300), three_classes.train, "classification", budget=0.02)
    assert found.density is None
    assert any(note.startswith("the spectral density was left out") for note in found.notes)
    assert not found.converged


def test_vectors_that_do_not_fit_the_memory_are_fewer_or_refused() -> None:
    model = linear_pair(0.2)
    few = look(model, memory=8 * 24 * 22)
    assert any(note.startswith("22 products at most") for note in few.notes)
    with pytest.raises(SettingError, match="at least 20 are needed"):
        look(model, memory=8 * 24 * 5)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lr": 0.0}, "lr is"),
        ({"momentum": [1.0]}, "momentum is"),
        ({"budget": 0.0}, "budget"),
        ({"threshold": 1.0}, "threshold"),
        ({"top": 0}, "top is"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        look(linear_pair(0.2), **wrong)


def test_what_cannot_be_inspected_is_refused_in_one_line() -> None:
    with pytest.raises(ModelError, match="requires_grad"):
        look(linear_pair(0.2).requires_grad_(False))
    with pytest.raises(DataError, match="no examples"):
        look(linear_pair(0.2), X[:0])
    with pytest.raises(DataError, match=r"inf|nan"):
        look(linear_pair(0.2), X * 1e200)

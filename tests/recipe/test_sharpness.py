"""What curvature says before training: against simulation, against the dense Hessian, and left out where it means nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import hessian
from torch.func import functional_call

from ravine.data import Data, MemorySplit
from ravine.errors import InputError
from ravine.recipe.lr_range import judge_ranges, read_range
from ravine.recipe.session import Session
from ravine.recipe.sharpness import compared, measure_sharpness, sample, sharpness_evidence, stable_below
from ravine.training import LOSSES, Setting

Sit = Callable[..., Session]


def left_after(setting: Setting, lr: float, bend: float, steps: int = 400) -> float:
    """How far from the minimum of bend/2 x^2 the setting's own rule ends, from a start at distance 1."""
    rule, param = setting.rule(), torch.ones(1, dtype=torch.float64)
    state = rule.init(param)
    for step in range(1, steps + 1):
        param, state = rule.update(param, bend * param, state, lr=lr, step=step)
    return float(param.abs())


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_the_rule_itself_converges_just_below_the_limit_and_diverges_just_above(momentum: float) -> None:
    setting = Setting("sgd", momentum=momentum)
    limit = stable_below(setting, 7.0)
    assert limit is not None
    assert left_after(setting, 0.98 * limit, 7.0) < 0.1
    assert left_after(setting, 1.02 * limit, 7.0) > 10


def test_rules_that_scale_each_coordinate_and_surfaces_that_do_not_curve_up_have_no_limit() -> None:
    assert stable_below(Setting("adamw"), 7.0) is None
    assert stable_below(Setting("lion"), 7.0) is None
    assert stable_below(Setting("sgd"), -1.0) is None


def test_the_eigenvalue_is_that_of_the_dense_hessian(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    found = measure_sharpness(session)
    module = session.model.build(session.seed).eval()
    x, y = three_classes.train.batch(torch.arange(len(three_classes.train)))
    names, shapes = zip(*((name, p.shape) for name, p in module.named_parameters()), strict=True)
    flat = torch.cat([p.detach().flatten() for p in module.parameters()])

    def loss(vector: Tensor) -> Tensor:
        parts = vector.split([math.prod(shape) for shape in shapes])
        named = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return LOSSES["classification"](functional_call(module, named, (x,)), y)

    largest = float(torch.linalg.eigvalsh(hessian(loss, flat)).max())
    assert found.largest == pytest.approx(largest, rel=0.02)
    assert abs(found.largest - largest) <= found.error
    assert found.examples == len(three_classes.train)


def test_little_time_means_fewer_examples_and_too_little_none(numbers: Data, sit: Sit) -> None:
    session = sit(numbers)
    with pytest.raises(InputError, match="too few for 100 examples"):
        measure_sharpness(session, 1e-6)
    evidence = sharpness_evidence(session, ["sgd"], 1e-6)
    assert evidence is not None
    assert "too few" in evidence["left_out"]


class Normed(nn.Sequential):
    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(nn.Linear(input_shape[0], 8), nn.BatchNorm1d(8), nn.Linear(8, outputs))


class Once(torch.autograd.Function):
    @staticmethod
    def forward(_ctx, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(_ctx, slope: Tensor) -> Tensor:
        return 2 * slope


class Single(nn.Linear):
    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(input_shape[0], outputs)

    def forward(self, x: Tensor) -> Tensor:
        return Once.apply(super().forward(x))


@pytest.mark.parametrize(("factory", "said"), [(Normed, "batch norm"), (Single, "differentiated twice")])
def test_a_model_whose_curvature_means_nothing_leaves_it_out_and_says_why(
    three_classes: Data, sit: Sit, factory: type[nn.Module], said: str
) -> None:
    evidence = sharpness_evidence(sit(three_classes, factory), ["adamw", "sgd"], math.inf)
    assert evidence is not None
    assert said in evidence["left_out"]
    assert said in compared(evidence, {})


def test_it_is_not_measured_where_no_optimizer_could_use_it(three_classes: Data, sit: Sit) -> None:
    assert sharpness_evidence(sit(three_classes), ["adamw", "lion"], math.inf) is None


def test_the_verdict_carries_the_limit_beside_what_training_found(three_classes: Data, sit: Sit) -> None:
    curvature = sharpness_evidence(sit(three_classes), ["adamw", "sgd"], math.inf)
    curve = [[2.0, *[end] * 39] for end in (2.0, 1.4, 1.0, 1.6)]
    found = read_range([1e-3, 1e-2, 1e-1, 1.0], [curve], 40)
    evidence = judge_ranges({"adamw": found, "sgd": found}, curvature).evidence["curvature"]
    assert list(evidence["stable_below"]) == ["sgd"]
    assert evidence["stable_below"]["sgd"] == pytest.approx(3.8 / 2.8 / evidence["largest"])
    assert f"below {evidence['stable_below']['sgd']:.2g}; in training, rates up to 1 were safe" in evidence["said"]
    assert "curvature" not in judge_ranges({"adamw": found}).evidence


def test_a_sample_is_spread_over_the_split_and_the_same_every_time() -> None:
    split = MemorySplit(torch.arange(1000.0)[:, None], torch.arange(1000))
    rows = sample(split, 100, 3).y
    assert torch.equal(rows, sample(split, 100, 3).y)
    assert not torch.equal(rows, sample(split, 100, 4).y)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert len(rows) == 100
    assert 25 <= int((rows < 500).sum()) <= 75
    assert sample(split, 1000, 3) is split

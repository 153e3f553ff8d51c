"""pytorch/functorch, now torch.func: many models trained at once."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ravine.curvature import Objective, extremes, hessian, trace_of
from ravine.data import Data
from ravine.engines import Engine, Population
from ravine.regularization import replace_dropout
from ravine.rules import SGD
from ravine.training import Setting

from .reports import report
from .small import normalized, run

FUNCTORCH = "pytorch/functorch"
HERE = "torch 2.13.0"


@report(
    FUNCTORCH,
    782,
    "Models that are stacked for vmap cannot have a learning rate each: an optimizer sees one parameter for all of them.",
    ravine="A population has a rate for each trial, and each trial does what it does alone at its rate.",
)
def test_782_every_stacked_model_has_its_own_rate(three_classes: Data) -> None:
    rates = (1e-3, 1e-2, 1e-1)
    settings = [Setting("adamw", lr=lr, batch_size=16, seed=4, order=4) for lr in rates]
    stacked = run(three_classes, *settings, engine="stacked", steps=30)
    stacked.advance(30)
    losses = []
    for k, setting in enumerate(settings):
        alone = run(three_classes, setting, steps=30)
        alone.advance(30)
        for name, value in alone.population.state(0).items():
            torch.testing.assert_close(stacked.population.state(k)[name], value, rtol=1e-3, atol=1e-4)
        losses.append(stacked.history.steps(k)["loss"][-1])
    assert losses[0] > losses[1]  # the rates were other ones indeed


@report(
    FUNCTORCH,
    996,
    "An ensemble whose members draw at random cannot be vmapped as it is: random operations are refused unless vmap is told how.",
    ravine="A mask is a function of (the trial's seed, the layer, the step): other in every trial, and the same alone.",
    seen=HERE,
)
def test_996_dropout_differs_between_stacked_models_and_is_that_of_each_alone(three_classes: Data) -> None:
    x, y = three_classes.train.batch(torch.arange(64))

    def losses(seeds: tuple[int, ...], engine: Engine) -> list[float]:
        modules = []
        for seed in seeds:
            torch.manual_seed(0)  # the same weights in all
            layers = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 3))
            modules.append(replace_dropout(layers, seed=seed))
        torch.manual_seed(len(seeds))  # nothing hangs on the global generator
        population = Population(modules, [SGD()] * len(seeds), nn.functional.cross_entropy, engine=engine)
        for _ in range(3):
            record = population.step(x, y, [0.0] * len(seeds))
        return record.loss.tolist()

    stacked = losses((1, 2, 1), "stacked")
    assert stacked[0] == pytest.approx(stacked[2], rel=1e-6)
    assert stacked[0] != pytest.approx(stacked[1], rel=1e-3)
    assert losses((2,), "one by one") == pytest.approx([stacked[1]], rel=1e-6)


@report(
    FUNCTORCH,
    384,
    "Batch norm with running statistics cannot be vmapped: they are changed in place, and belong to one model.",
    ravine="Buffers are stacked with the weights: every trial has statistics of its own, those that it has alone.",
    seen=HERE,
)
def test_384_every_stacked_model_keeps_its_own_batch_norm_statistics(three_classes: Data) -> None:
    pairs = ((1, 1e-3), (2, 1e-1))
    settings = [Setting("sgd", lr=lr, batch_size=16, seed=seed, order=0, dropout=0.0) for seed, lr in pairs]
    stacked = run(three_classes, *settings, factory=normalized, engine="stacked", steps=12)
    stacked.advance(12)
    for k, setting in enumerate(settings):
        alone = run(three_classes, setting, factory=normalized, steps=12)
        alone.advance(12)
        here, there = stacked.population.state(k), alone.population.state(0)
        assert here["1.num_batches_tracked"] == there["1.num_batches_tracked"] == 12
        for name in ("1.running_mean", "1.running_var"):
            torch.testing.assert_close(here[name], there[name], rtol=1e-4, atol=1e-5)
    first, second = (stacked.population.state(k)["1.running_mean"] for k in range(2))
    assert not torch.allclose(first, second, atol=1e-2)


@report(
    FUNCTORCH,
    986,
    "Hessian-vector products of a ResNet raise: its batch norm changes its running statistics in place.",
    ravine="Curvature is that of a copy in evaluation mode; the statistics are constants there, and are left as they are.",
    seen=HERE,
)
def test_986_the_hessian_of_a_network_with_batch_norm_is_the_exact_one(three_classes: Data) -> None:
    trained = run(three_classes, Setting(batch_size=16), factory=normalized, steps=20)
    trained.advance(20)
    module = normalized(three_classes.input_shape, three_classes.outputs)
    module.load_state_dict(trained.population.state(0))
    module.train().double()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    x, y = three_classes.train.batch(torch.arange(100))
    of = Objective(module, (x.double(), y), "classification")
    exact = torch.autograd.functional.hessian(
        lambda point: of.loss_function(
            torch.func.functional_call(
                of.module, dict(zip(of.layout.shapes, of.unpack(point), strict=True)), x.double()
            ),
            y,
        ),
        of.point(),
    )
    found = trace_of(hessian(of))
    assert abs(found.value - float(exact.trace())) <= found.error
    top = float(torch.linalg.eigvalsh(exact)[-1])
    assert extremes(hessian(of)).largest.values.item() == pytest.approx(top, rel=1e-3)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert module.training

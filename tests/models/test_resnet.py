"""The residual network: its size, its start, what it refuses, and its training alone and in a stack.

Letters in shapes: K trials, B batch.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ravine.data import load
from ravine.engines import Engine, Population
from ravine.errors import ModelError
from ravine.models import Model, resnet
from ravine.randomness import seeded
from ravine.regularization import StochasticDepth, dropouts, set_step
from ravine.rules import SGD
from ravine.training import Run, Setting


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [each for each in model.modules() if isinstance(each, nn.Conv2d)]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (2, 5, 9), (1, 1, 1)])
def test_it_takes_images_of_any_size(shape: tuple[int, ...]) -> None:
    assert resnet(shape, 4, width=2)(torch.randn(3, *shape)).shape == (3, 4)


def test_three_blocks_a_stage_are_the_papers_twenty_layers() -> None:
    model = resnet((3, 32, 32), 10, width=16, depth=3)
    threes = [c for c in convolutions(model) if c.kernel_size == (3, 3)]
    assert len(threes) + 1 == 20  # and the last layer
    assert [c.out_channels for c in threes] == [16] * 7 + [32] * 6 + [64] * 6
    assert [c.stride[0] for c in threes].count(2) == 2
    # 0.27 M, Table 6 of He et al. 2015; the two shortcuts of 1 x 1 are ours
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(0.27e6, rel=0.03)


def test_a_block_whose_branch_is_zero_passes_its_input_through() -> None:
    block = resnet((1, 8, 8), 3, width=4, depth=2)[2]  # the second of the first stage
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(x), x)


def test_stochastic_depth_of_the_last_branch_leaves_its_shortcut() -> None:
    model = Model("resnet", resnet, (1, 8, 8), 3, {"width": 4, "depth": 2}).build(0, depth=0.5)
    rates = [float(layer.p) for layer in model.modules() if isinstance(layer, StochasticDepth)]
    assert rates == pytest.approx([0.5 * i / 6 for i in range(1, 7)])
    x, ends = torch.randn(64, 1, 8, 8), []
    last = model[6]
    last.register_forward_hook(lambda _m, given, out: ends.append(((out - given[0]).flatten(1) == 0).all(1)))
    set_step(model, 1)
    model(x)
    assert 0.2 < ends[0].float().mean() < 0.8  # every other sample went past the branch


def test_the_dropout_rate_reaches_the_layer_before_the_last() -> None:
    [(_, layer)] = list(dropouts(resnet((1, 8, 8), 2, dropout=0.25)))
    assert layer.p.item() == 0.25


@pytest.mark.parametrize("classes", [2, 100])
def test_the_first_loss_is_log_c(classes: int) -> None:
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(200, 1, 8, 8, generator=generator), torch.randint(classes, (200,), generator=generator)
    with seeded(1, "test"), torch.no_grad():
        loss = F.cross_entropy(resnet((1, 8, 8), classes)(x), y).item()
    assert loss == pytest.approx(math.log(classes), abs=0.05)


@pytest.mark.parametrize(
    ("shape", "settings", "said"),
    [
        ((7,), {}, r"resnet needs images, .* shape \(7,\): write --model mlp"),
        ((1, 8, 8), {"width": 0}, r"width holds 0; a width is a whole number, 1 or more"),
        ((1, 8, 8), {"depth": 0}, r"depth is 0; it counts the blocks of a stage, 1 or more: write --set depth=2"),
        ((1, 8, 8), {"depth": 1.5}, r"depth is 1.5"),
    ],
)
def test_what_cannot_be_built_is_refused(shape: tuple[int, ...], settings: dict[str, int], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        resnet(shape, 2, **settings)


@pytest.mark.parametrize("engine", ["stacked", "one by one"])
def test_three_stacked_go_as_each_alone(engine: Engine) -> None:
    """In float64, so that only an error tells them apart: losses, weights and batch-norm statistics after six steps."""
    rates, generator = [0.05, 0.1, 0.2], torch.Generator().manual_seed(1)
    batches = [
        (torch.randn(8, 1, 8, 8, generator=generator).double(), torch.randint(3, (8,), generator=generator))
        for _ in range(6)
    ]
    built = Model("resnet", resnet, (1, 8, 8), 3, {"width": 4})

    def trained(trials: list[int], engine: Engine) -> list[dict[str, torch.Tensor]]:
        modules = [built.build(k, dropout=0.1 * k, depth=0.2 * k).double() for k in trials]
        rules = [SGD(momentum=0.5 + 0.1 * k) for k in trials]
        population = Population(modules, rules, F.cross_entropy, engine=engine)
        for x, y in batches:
            population.step(x, y, [rates[k] for k in trials])
        return [population.state(k) for k in range(len(trials))]

    together = trained([0, 1, 2], engine)
    for k in range(3):
        [alone] = trained([k], "one by one")
        for name, value in alone.items():
            torch.testing.assert_close(together[k][name], value, rtol=1e-10, atol=1e-10, msg=f"trial {k}, {name}")
    assert not torch.equal(together[0]["0.weight"], together[1]["0.weight"])
    assert together[0]["1.norm1.num_batches_tracked"] == 6


def test_it_learns_digits_in_a_population() -> None:
    data = load("digits")
    model = Model("resnet", resnet, data.input_shape, data.outputs, {"width": 8})
    settings = [Setting(lr=lr, batch_size=32, seed=k, stochastic_depth=0.1 * k) for k, lr in enumerate((0.02, 0.01))]
    run = Run(data, model, settings, steps=60)
    run.advance(60)
    assert min(metrics["accuracy"] for metrics in run.evaluate()) > 0.85

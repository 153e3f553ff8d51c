"""A run against a loop written by hand in plain PyTorch: same batches, same schedule, same model.

Tolerance 1e-5 over 60 steps in float32: the packed update rounds in another order than torch's optimizers.

Letters in shapes: T steps.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.data import Data
from ravine.models import Model, mlp
from ravine.randomness import permutation
from ravine.schedules import table
from ravine.training import Run, Setting

STEPS, BATCH = 60, 32

ADAMW = Setting(optimizer="adamw", lr=0.01, weight_decay=0.1, batch_size=BATCH, seed=3)
SGD = Setting(optimizer="sgd", lr=0.1, weight_decay=0.01, batch_size=BATCH, seed=4, order=9)


def network(data: Data) -> Model:
    return Model("mlp", mlp, data.input_shape, data.outputs, {"hidden": (12,)})


def torchs(module: nn.Module, setting: Setting) -> torch.optim.Optimizer:
    """Torch's optimizer with decay on weights alone."""
    groups = [
        {"params": [p for p in module.parameters() if p.ndim >= 2], "weight_decay": setting.weight_decay},
        {"params": [p for p in module.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    if setting.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=setting.lr, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=setting.lr)


def by_hand(data: Data, setting: Setting) -> tuple[dict[str, Tensor], list[float]]:
    """The weights and the losses of each step, of a plain loop."""
    module = network(data).build(setting.seed)
    optimizer = torchs(module, setting)
    factors = table(setting.shape(), STEPS)
    losses: list[float] = []
    for step in range(STEPS):
        epoch, position = divmod(step, len(data.train) // BATCH)
        order = permutation(len(data.train), setting.order_seed, "order", epoch)
        x, y = data.train.batch(order[position * BATCH : (position + 1) * BATCH])
        for group in optimizer.param_groups:
            group["lr"] = setting.lr * factors[step].item()
        optimizer.zero_grad()
        out = module(x)
        loss = F.cross_entropy(out, y) if data.task == "classification" else F.mse_loss(out.squeeze(1), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return dict(module.state_dict()), losses


@pytest.mark.parametrize("setting", [ADAMW, SGD], ids=lambda setting: setting.optimizer)
@pytest.mark.parametrize("kind", ["three_classes", "numbers"])
def test_a_run_of_one_setting_walks_the_path_of_a_plain_loop(
    kind: str, setting: Setting, request: pytest.FixtureRequest
) -> None:
    data = request.getfixturevalue(kind)
    run = Run(data, network(data), [setting], steps=STEPS)
    assert run.advance(STEPS)
    weights, losses = by_hand(data, setting)
    torch.testing.assert_close(run.population.state(0), weights, rtol=1e-5, atol=1e-5)
    assert run.history.steps(0)["loss"] == pytest.approx(losses, rel=1e-5, abs=1e-5)
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("engine", ["stacked", "one by one"])
@pytest.mark.parametrize("order", [None, 5], ids=["own batches", "shared batches"])
def test_a_run_of_four_settings_is_four_runs_of_one(three_classes: Data, engine: str, order: int | None) -> None:
    settings = [
        Setting(
            lr=0.002 * 2**k,
            weight_decay=0.1 * k,
            dropout=0.1 * k,
            schedule=shape,
            batch_size=BATCH,
            seed=k,
            order=order,
        )
        for k, shape in enumerate(["cosine", "linear", "constant", "cosine"])
    ]
    together = Run(three_classes, network(three_classes), settings, steps=STEPS, engine=engine)
    together.advance(STEPS)
    metrics = together.evaluate()
    for k, setting in enumerate(settings):
        alone = Run(three_classes, network(three_classes), [setting], steps=STEPS)
        alone.advance(STEPS)
        torch.testing.assert_close(together.population.state(k), alone.population.state(0), rtol=1e-5, atol=1e-5)
        assert metrics[k] == pytest.approx(alone.evaluate()[0], rel=1e-4)

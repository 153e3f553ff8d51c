"""davidtvs/pytorch-lr-finder."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import ravine
from ravine.data import Data
from ravine.recipe import lr_range

from .reports import report


@report(
    "davidtvs/pytorch-lr-finder",
    11,
    "A model that the finder has looked at learns worse afterwards than one that it has not: it begins where the sweep ended.",
    ravine="A model that was looked at, with the optimizer that belongs to it, learns as one that was not, loss for loss.",
)
def test_11_a_model_learns_as_well_after_a_range_test_as_without_one(
    three_classes: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lr_range, "_grid", lambda *_: (1, 1, 30))
    x, y = three_classes.train.batch(torch.arange(len(three_classes.train)))
    curves = []
    for looked in (True, False):
        torch.manual_seed(5)
        module = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
        if looked:
            found = ravine.lr_range(module, three_classes, optimizers=["sgd"], engine="one by one")
            assert found.steps[-1].evidence["optimizers"]["sgd"]["rates"][-1] == pytest.approx(10)
        losses = []
        for _ in range(30):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        curves.append(losses)
    assert curves[0] == curves[1]
    assert curves[0][-1] < 0.8 * curves[0][0]

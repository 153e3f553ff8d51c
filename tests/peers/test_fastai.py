"""fastai/fastai: its learning-rate finder."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import ravine
from ravine.api import work
from ravine.data import Data
from ravine.recipe import lr_range

from .reports import report
from .small import arrays

FASTAI = "fastai/fastai"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One rate a decade, two seeds, 30 steps; no report, which is made of the records."""
    monkeypatch.setattr(lr_range, "_grid", lambda *_: (1, 2, 30))
    monkeypatch.setattr(work, "write_report", lambda _folder: None)


@report(
    FASTAI,
    2892,
    "After lr_find the optimizer keeps the state that the search left in it, and the training that follows is another one.",
    ravine="lr_range trains copies with optimizers of their own; a training that goes on around it ends in the same bits.",
)
def test_2892_a_training_with_a_range_test_in_the_middle_ends_in_the_same_bits(three_classes: Data) -> None:
    def trained(*, looked: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
        optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
        for step in range(20):
            if looked and step == 10:
                ravine.lr_range(module, three_classes, optimizers=["adam"], engine="one by one")
            index = torch.randint(len(three_classes.train), (16,))  # the global generator is left alone, too
            x, y = three_classes.train.batch(index)
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x), y).backward()
            optimizer.step()
        return [*module.state_dict().values(), *(held["exp_avg"] for held in optimizer.state.values())]

    assert all(map(torch.equal, trained(looked=True), trained(looked=False)))


@report(
    FASTAI,
    3295,
    "lr_find names another rate at every run on the same data.",
    ravine="The range is a function of the data, the model and the seed; the global random state has no say in it.",
)
def test_3295_the_range_is_the_same_whenever_it_is_asked_for() -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        result = ravine.lr_range("mlp", arrays(), optimizers=["sgd"], settings={"hidden": [8]}, engine="one by one")
        found.append(result.steps[-1].evidence["optimizers"]["sgd"])
    assert repr(found[0]) == repr(found[1])  # NaN, where a rate diverged, is equal to nothing
    assert found[0]["seeds"] == 2
    assert found[0]["uncertainty_decades"] > 0

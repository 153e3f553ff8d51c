"""Models as timm and torchvision have them: made by name with num_classes and in_chans, with all that such networks do.

Neither library is imported here; this network does what theirs do: batch normalization, activations in place, dropout, and
branches that are dropped by torch's global generator.
"""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import ravine
from ravine.data import Data, from_arrays
from ravine.search import Choice, Log, Space


class DropPath(nn.Module):
    """As timm writes it: the branch of an example is dropped as a whole."""

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.drop_prob:
            return x
        keep = 1 - self.drop_prob
        return x * x.new_empty((x.shape[0], 1, 1, 1)).bernoulli_(keep).div_(keep)


class Block(nn.Module):
    def __init__(self, width: int, drop_path: float) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.act1 = nn.ReLU(inplace=True)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.drop_path(self.bn1(self.conv1(x)))
        x += shortcut
        return self.act1(x)


class NamedNet(nn.Module):
    """A backbone and a head that can be taken off."""

    def __init__(
        self, num_classes: int = 1000, in_chans: int = 3, drop_rate: float = 0.1, drop_path_rate: float = 0.1
    ) -> None:
        super().__init__()
        self.num_classes, self.num_features = num_classes, 12
        self.default_cfg = {"architecture": "namednet", "input_size": (3, 8, 8)}
        self.conv_stem, self.bn1 = nn.Conv2d(in_chans, 12, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(12)
        self.act1 = nn.SiLU(inplace=True)
        self.blocks = nn.Sequential(*(Block(12, drop_path_rate * i / 2) for i in (1, 2)))
        self.global_pool, self.drop = nn.AdaptiveAvgPool2d(1), nn.Dropout(drop_rate, inplace=True)
        self.classifier = nn.Linear(12, num_classes) if num_classes else nn.Identity()

    def forward_features(self, x: Tensor) -> Tensor:
        return self.blocks(self.act1(self.bn1(self.conv_stem(x))))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.drop(self.global_pool(x).flatten(1))
        return x if pre_logits else self.classifier(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def create_model(name: str, **settings: int | float) -> nn.Module:
    assert name == "namednet"
    return NamedNet(**settings)  # type: ignore[arg-type]


def factory(input_shape: tuple[int, ...], outputs: int, drop_path_rate: float = 0.1) -> nn.Module:
    """The whole road from such a library to here."""
    return create_model("namednet", in_chans=input_shape[0], num_classes=outputs, drop_path_rate=drop_path_rate)


@pytest.fixture(scope="module")
def digits() -> Data:
    x, y = load_digits(n_class=4, return_X_y=True)
    return from_arrays(torch.tensor(x / 16, dtype=torch.float32).reshape(-1, 1, 8, 8), y, task="classification")


def test_check_takes_such_a_model_and_finds_nothing_wrong(digits: Data) -> None:
    named = lambda shape, outputs: create_model("namednet", in_chans=shape[0], num_classes=outputs)  # noqa: E731
    result = ravine.check(named, digits, budget="5s")
    assert result.steps[0].status == "pass"
    assert result.steps[1].status != "fail"  # on a busy machine its time may run out
    assert not any(finding.alarm for finding in result.findings)


def test_train_trains_it_the_same_every_time_and_global_draws_go_on_as_they_were(digits: Data) -> None:
    ends = []
    torch.manual_seed(4)
    before = torch.get_rng_state()
    for _ in range(2):
        result = ravine.train(factory, digits, epochs=3, setting={"lr": 0.01}, settings={"drop_path_rate": 0.2})
        assert result.best is not None
        ends.append(result.best.validation)
    assert ends[0] == ends[1]
    assert ends[0]["accuracy"] > 0.6
    assert torch.equal(before, torch.get_rng_state())


def test_its_own_settings_are_searched_beside_the_rate(digits: Data) -> None:
    space: Space = {"lr": Log(3e-3, 3e-2), "drop_path_rate": Choice([0.0, 0.2])}
    result = ravine.run_search(factory, digits, space=space, trials=4, epochs=4, seed=1)
    assert result.best is not None
    assert result.best.hyperparameters["drop_path_rate"] in (0.0, 0.2)
    assert result.best.validation["accuracy"] > 0.6


def test_tune_walks_its_whole_recipe_with_it(digits: Data) -> None:
    result = ravine.tune(factory, digits, budget="3s", trials=2, keep_going=True)
    assert [verdict.step for verdict in result.steps][:3] == ["initial-loss", "overfit", "lr-range"]
    assert result.best is not None

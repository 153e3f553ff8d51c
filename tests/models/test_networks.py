"""The reference networks: sizes, settings, and a first loss of log C."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ravine.errors import ModelError
from ravine.models import cnn, mlp
from ravine.models.initialization import start_quiet
from ravine.randomness import seeded
from ravine.regularization import dropouts


def linears(model: nn.Module) -> list[tuple[int, int]]:
    return [(each.in_features, each.out_features) for each in model.modules() if isinstance(each, nn.Linear)]


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 5)])
@pytest.mark.parametrize("outputs", [1, 10])
def test_an_mlp_flattens_any_example_and_ends_in_the_outputs(shape: tuple[int, ...], outputs: int) -> None:
    model = mlp(shape, outputs, hidden=(6, 4))
    assert linears(model) == [(math.prod(shape), 6), (6, 4), (4, outputs)]
    assert model(torch.randn(5, *shape)).shape == (5, outputs)


def test_an_mlp_without_hidden_layers_is_linear() -> None:
    assert linears(mlp((3,), 2, hidden=())) == [(3, 2)]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 17)])
def test_a_cnn_halves_the_image_once_for_each_convolution(shape: tuple[int, ...]) -> None:
    model = cnn(shape, 4, channels=(5, 6, 7), hidden=11)
    assert model(torch.randn(2, *shape)).shape == (2, 4)
    assert linears(model) == [(7 * (shape[1] // 8) * (shape[2] // 8), 11), (11, 4)]
    convolutions = [each for each in model.modules() if isinstance(each, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [(shape[0], 5), (5, 6), (6, 7)]


@pytest.mark.parametrize("build", [lambda p: mlp((4,), 2, dropout=p), lambda p: cnn((1, 8, 8), 2, dropout=p)])
def test_the_dropout_rate_reaches_every_dropout_layer(build: object) -> None:
    found = list(dropouts(build(0.25)))
    assert found
    assert all(layer.p.item() == 0.25 for _, layer in found)


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("build", [lambda c: mlp((1, 8, 8), c), lambda c: cnn((1, 8, 8), c)])
def test_the_first_loss_is_log_c(build: object, classes: int) -> None:
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(500, 1, 8, 8, generator=generator), torch.randint(classes, (500,), generator=generator)
    with seeded(1, "test"), torch.no_grad():
        loss = F.cross_entropy(build(classes).eval()(x), y).item()
    assert loss == pytest.approx(math.log(classes), abs=0.05)


def test_hidden_layers_start_by_he_and_the_last_one_quietly() -> None:
    with seeded(2, "test"):
        model = start_quiet(
            nn.Sequential(nn.Linear(400, 300), nn.ReLU(), nn.Linear(300, 200, bias=False), nn.Linear(200, 50))
        )
    stds = [layer.weight.std().item() for layer in model if isinstance(layer, nn.Linear)]
    assert stds == pytest.approx([math.sqrt(2 / 400), math.sqrt(2 / 300), 0.01], rel=0.03)
    assert not model[0].bias.any()


def test_a_cnn_refuses_what_is_no_image() -> None:
    with pytest.raises(ModelError, match=r"shape \(7,\): write --model mlp"):
        cnn((7,), 2)


def test_a_cnn_refuses_an_image_too_small_and_says_how_many_channels_fit() -> None:
    with pytest.raises(ModelError, match=r"3 times, but it is 5 x 9: write --set channels=8,16, or"):
        cnn((1, 5, 9), 2, channels=(8, 16, 32))
    assert cnn((1, 5, 9), 2, channels=(8, 16))(torch.zeros(1, 1, 5, 9)).shape == (1, 2)


def test_an_image_one_pixel_high_is_sent_to_the_mlp() -> None:
    with pytest.raises(ModelError, match=r"1 x 9: write --model mlp\.$"):
        cnn((1, 1, 9), 2)

"""DropConnect: a linear layer in evaluation, masks over weights in training.

Letters in shapes: B batch, I inputs, O outputs.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.errors import SettingError
from ravine.randomness import seeded
from ravine.regularization import DropConnect, keep_mask


def layer(p: float = 0.4, *, bias: bool = True) -> DropConnect:
    with seeded(2, "test"):
        made = DropConnect(5, 3, p, bias=bias, seed=11)
    made.step.fill_(4)
    return made


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(6))


@pytest.mark.parametrize("bias", [True, False])
def test_evaluation_is_a_linear_layer_with_the_mean_weights(bias: bool) -> None:
    found, x = layer(bias=bias).eval(), inputs(7, 5)
    assert torch.equal(found(x), F.linear(x, found.weight, found.bias))


@pytest.mark.parametrize("bias", [True, False])
def test_every_sample_meets_its_own_masked_weights(bias: bool) -> None:
    found, x = layer(bias=bias), inputs(7, 5)
    masks = keep_mask((7, 3, 5), found.p, found.seed, found.step)
    rows = [F.linear(row, found.weight * mask / 0.6, found.bias) for row, mask in zip(x, masks, strict=True)]
    torch.testing.assert_close(found(x), torch.stack(rows), rtol=1e-5, atol=1e-6)  # float32 rounding


def test_the_positions_of_a_sample_share_its_mask() -> None:
    found, x = layer(), inputs(4, 1, 1, 5).expand(4, 2, 3, 5)
    out = found(x)
    assert out.shape == (4, 2, 3, 3)
    torch.testing.assert_close(out, out[:, :1, :1].expand_as(out))


def test_one_sample_may_come_without_a_batch() -> None:
    x = inputs(5)
    torch.testing.assert_close(layer()(x), layer()(x[None])[0])


def test_it_is_initialized_and_saved_as_a_linear_layer_is() -> None:
    with seeded(2, "test"):
        linear = nn.Linear(5, 3)
    found = layer()
    assert isinstance(found, nn.Linear)
    assert {key: value.tolist() for key, value in found.state_dict().items()} == {
        key: value.tolist() for key, value in linear.state_dict().items()
    }


def test_a_network_of_it_learns() -> None:
    with seeded(5, "test"):
        x = torch.randn(256, 2)
        y = (x[:, 0] * x[:, 1] > 0).long()  # no linear model is better than chance
        model = nn.Sequential(DropConnect(2, 32, 0.2, seed=1), nn.ReLU(), DropConnect(32, 2, 0.2, seed=2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for step in range(200):
        for each in (model[0], model[2]):
            each.step.fill_(step)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert (model.eval()(x).argmax(1) == y).float().mean() > 0.9


@pytest.mark.parametrize("p", [1, -0.1, float("nan")])
def test_a_rate_outside_its_range_is_refused(p: float) -> None:
    with pytest.raises(SettingError, match=rf"DropConnect has p = {p}; .*\[0, 1\).*: write 0.5"):
        DropConnect(2, 2, p)


def test_the_layer_prints_its_sizes_and_its_rate() -> None:
    assert repr(DropConnect(2, 3, 0.5)) == "DropConnect(in_features=2, out_features=3, bias=True, p=[0.5])"

"""Stochastic depth: whole branches of samples or of the batch, scaled."""

from __future__ import annotations

import math

import pytest
import torch

from ravine.errors import SettingError
from ravine.regularization import StochasticDepth


def test_a_row_is_dropped_whole_or_scaled_whole() -> None:
    out = StochasticDepth(0.2)(torch.ones(20_000, 2, 3)).flatten(1)
    assert torch.equal(out, out[:, :1].expand_as(out))
    assert out.unique().tolist() == [0.0, 1.25]
    # four standard errors of 20,000 draws
    assert abs((out[:, 0] == 0).float().mean().item() - 0.2) < 4 * math.sqrt(0.2 * 0.8 / 20_000)


def test_a_batch_is_dropped_whole_in_the_share_p_of_steps() -> None:
    layer, x, dropped = StochasticDepth(0.25, mode="batch"), torch.ones(5, 2), 0
    for step in range(2000):
        layer.step.fill_(step)
        out = layer(x).unique()
        assert len(out) == 1
        dropped += out.item() == 0
    assert abs(dropped / 2000 - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 2000)  # four standard errors


def test_evaluation_is_the_identity() -> None:
    x = torch.randn(4, 3)
    assert StochasticDepth(0.9).eval()(x) is x


@pytest.mark.parametrize("p", [1, -0.1, float("nan")])
def test_a_rate_outside_its_range_is_refused(p: float) -> None:
    with pytest.raises(SettingError, match=rf"StochasticDepth has p = {p}; .*\[0, 1\).*: write 0.5"):
        StochasticDepth(p)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(SettingError, match=r"mode is 'rows'; write 'row' .* or 'batch'"):
        StochasticDepth(0.5, mode="rows")


def test_the_layer_prints_its_rate_and_mode() -> None:
    assert repr(StochasticDepth(0.5, "batch")) == "StochasticDepth(p=[0.5], mode=batch)"

"""Flips: the share that is mirrored, and which way."""

from __future__ import annotations

import math

import pytest
import torch

from ravine.errors import SettingError
from ravine.randomness import derive
from ravine.regularization import HorizontalFlip, VerticalFlip, uniform


@pytest.mark.parametrize(("flip", "dim", "purpose"), [(HorizontalFlip, 2, "flip"), (VerticalFlip, 1, "flip_vertical")])
def test_each_image_is_mirrored_or_left_as_a_loop_would(flip: type[HorizontalFlip], dim: int, purpose: str) -> None:
    x = torch.randn(20, 2, 5, 8, generator=torch.Generator().manual_seed(1))
    after = flip(0.4)(x, seed=2, step=6)
    draws = uniform((20,), derive(2, purpose), 6)
    for i in range(20):
        assert torch.equal(after[i], x[i].flip(dim) if draws[i] < 0.4 else x[i])


@pytest.mark.parametrize("flip", [HorizontalFlip, VerticalFlip])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_mirrored_is_p(flip: type[HorizontalFlip], p: float) -> None:
    count = 20_000
    x = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).expand(count, 1, 2, 2)
    share = (flip(p)(x, seed=1, step=1)[:, 0, 0, 0] != 0).double().mean().item()
    assert abs(share - p) < 4 * math.sqrt(p * (1 - p) / count)


def test_the_two_flips_draw_independently() -> None:
    count = 20_000
    x = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).expand(count, 1, 2, 2)
    corner = VerticalFlip()(HorizontalFlip()(x, seed=1, step=1), seed=1, step=1)[:, 0, 0, 0]
    shares = torch.bincount(corner.long(), minlength=4) / count
    assert (shares - 0.25).abs().max() < 4 * math.sqrt(0.25 * 0.75 / count)


def test_p_1_mirrors_every_image_and_more_is_refused() -> None:
    x = torch.randn(50, 1, 3, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(HorizontalFlip(1.0)(x, seed=1, step=1), x.flip(3))
    assert torch.equal(VerticalFlip(1.0)(x, seed=1, step=1), x.flip(2))
    with pytest.raises(SettingError, match=r"flip is 1\.1"):
        HorizontalFlip(1.1)

"""Brightness and contrast against a loop over images, and how their draws are spread."""

from __future__ import annotations

import math

import torch

from ravine.randomness import derive
from ravine.regularization import Brightness, Contrast, uniform

COUNT = 20_000


def test_each_image_becomes_what_a_loop_would_make_of_it() -> None:
    x = torch.randn(9, 3, 4, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    bright, stretched = Brightness(0.4)(x, seed=2, step=5), Contrast(0.5)(x, seed=2, step=5)
    by, factor = uniform((9,), derive(2, "brightness"), 5), uniform((9,), derive(2, "contrast"), 5)
    for i in range(9):
        # the draws are made in float32
        torch.testing.assert_close(bright[i], x[i] + (2 * by[i].item() - 1) * 0.4, rtol=0, atol=1e-6)
        mean = x[i].mean()
        wanted = mean + (x[i] - mean) * 1.5 ** (2 * factor[i].item() - 1)
        torch.testing.assert_close(stretched[i], wanted, rtol=0, atol=1e-5)


def test_brightness_is_uniform_up_to_its_strength() -> None:
    by = Brightness(0.6)(torch.zeros(COUNT, 1, 1, 2), seed=1, step=1)[:, 0, 0, 0].double()
    assert abs(by.mean().item()) < 4 * 0.6 / math.sqrt(3 * COUNT)
    assert abs(by.abs().mean().item() - 0.3) < 4 * 0.6 / math.sqrt(12 * COUNT)
    assert 0.59 < by.abs().max() <= 0.6


def test_contrast_is_uniform_in_the_logarithm_about_the_same_mean() -> None:
    x = torch.tensor([[1.0, 3.0]]).expand(COUNT, 1, 1, 2)
    after = Contrast(1.0)(x, seed=1, step=1).double()
    factors = (after[:, 0, 0, 1] - after[:, 0, 0, 0]) / 2
    torch.testing.assert_close(after.mean((1, 2, 3)), torch.full((COUNT,), 2.0, dtype=torch.float64))
    logs = factors.log2()
    assert abs(logs.mean().item()) < 4 / math.sqrt(3 * COUNT)
    assert abs(logs.abs().mean().item() - 0.5) < 4 / math.sqrt(12 * COUNT)
    assert factors.min() >= 0.5 - 1e-6
    assert factors.max() <= 2 + 1e-6

"""Cutout: a square at a uniform centre, its own for each image."""

from __future__ import annotations

import math

import pytest
import torch

from ravine.errors import SettingError
from ravine.randomness import derive
from ravine.regularization import Cutout, uniform


@pytest.mark.parametrize(("height", "width", "share"), [(8, 8, 0.5), (7, 12, 0.4), (9, 5, 1.0), (6, 6, 0.01)])
def test_the_square_is_the_one_a_loop_would_erase(height: int, width: int, share: float) -> None:
    x = torch.randn(20, 2, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    cut, _ = Cutout(share)(x, torch.zeros(20), seed=3, step=5)
    side = max(1, round(share * min(height, width)))
    centres = uniform((2, 20), derive(3, "cutout"), 5)
    for i in range(20):
        wanted = x[i].clone()
        for row in range(height):
            for column in range(width):
                top = int(centres[0, i] * height) - side // 2
                left = int(centres[1, i] * width) - side // 2
                if top <= row < top + side and left <= column < left + side:
                    wanted[:, row, column] = 0
        assert torch.equal(cut[i], wanted)


def test_the_share_erased_is_that_of_a_clipped_square_and_the_middle_is_erased_most() -> None:
    count, side, size = 20_000, 4, 8
    erased = Cutout(0.5)(torch.ones(count, 1, size, size), torch.zeros(count), seed=1, step=1)[0][:, 0] == 0
    across = [sum(0 <= c - side // 2 + k < size for k in range(side)) for c in range(size)]
    mean = (sum(across) / size) ** 2
    areas = erased.double().sum((1, 2))
    assert abs(areas.mean().item() - mean) < 4 * areas.std().item() / math.sqrt(count)
    hits = erased.double().mean(0)
    assert (hits[3:5, 3:5] - (side / size) ** 2).abs().max() < 4 * math.sqrt(0.25 / count)


def test_a_full_share_still_leaves_what_the_border_cuts_off() -> None:
    x = torch.ones(50, 1, 6, 6)
    erased = (Cutout(1.0)(x, torch.zeros(50), seed=1, step=1)[0] == 0).sum((1, 2, 3))
    assert erased.min() >= 9
    assert erased.max() == 36


def test_inputs_and_targets_are_untouched_and_images_have_places_of_their_own() -> None:
    x, y = torch.ones(10, 1, 8, 8), torch.arange(10)
    cut, same = Cutout(0.3)(x, y, seed=1, step=1)
    assert same is y
    assert bool((x == 1).all())
    assert len({tuple(image.flatten().tolist()) for image in cut}) > 5
    assert torch.equal(cut, Cutout(0.3)(x, y, seed=1, step=1)[0])
    assert not torch.equal(cut, Cutout(0.3)(x, y, seed=1, step=2)[0])


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, math.nan, True])
def test_a_share_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(SettingError, match=r"cutout is .*in \(0, 1\]"):
        Cutout(share)


def test_tables_are_refused() -> None:
    with pytest.raises(SettingError, match=r"cutout is for images.*\(5,\): leave cutout out"):
        Cutout(0.5)(torch.ones(4, 5), torch.ones(4), seed=1, step=1)

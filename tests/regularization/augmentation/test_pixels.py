"""Whole-pixel moves against numpy's reflected padding."""

from __future__ import annotations

import numpy as np
import torch

from ravine.regularization.augmentation.pixels import shifted


def test_a_shift_is_a_window_of_the_reflected_image() -> None:
    x = torch.randn(5, 2, 6, 9, generator=torch.Generator().manual_seed(1))
    down, across = [0, 2, -5, 14, -3], [8, -1, 0, 3, -20]
    moved = shifted(x, torch.tensor(down), torch.tensor(across))
    for i in range(5):
        padded = np.pad(x[i].numpy(), ((0, 0), (30, 30), (30, 30)), mode="reflect")
        wanted = padded[:, 30 - down[i] : 36 - down[i], 30 - across[i] : 39 - across[i]]
        assert np.array_equal(moved[i].numpy(), wanted)


def test_a_single_row_of_pixels_has_nowhere_to_go() -> None:
    x = torch.randn(3, 1, 1, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(shifted(x, down=torch.tensor([0, 1, -7])), x)

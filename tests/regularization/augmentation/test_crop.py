"""The random crop: every place as likely, each image as a loop would cut it."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from ravine.errors import SettingError
from ravine.randomness import derive
from ravine.regularization import RandomCrop, uniform


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_image_is_a_window_of_its_padded_self(dtype: torch.dtype) -> None:
    x = torch.randn(12, 3, 6, 9, generator=torch.Generator().manual_seed(1), dtype=dtype)
    cropped, padding = RandomCrop(2)(x, seed=5, step=3), 2
    draws = uniform((2, 12), derive(5, "crop"), 3)
    for i in range(12):
        padded = F.pad(x[i : i + 1], (padding,) * 4, mode="reflect")[0]
        top, left = (2 * padding - int(draws[axis, i] * 5) for axis in (0, 1))
        assert torch.equal(cropped[i], padded[:, top : top + 6, left : left + 9])


def test_every_offset_is_as_likely() -> None:
    count, padding = 20_000, 2
    x = torch.arange(81.0).view(1, 1, 9, 9).expand(count, 1, 9, 9)
    middle = RandomCrop(padding)(x, seed=1, step=1)[:, 0, 4, 4].long()  # tells which pixel came to the middle
    down, across = middle // 9 - 4, middle % 9 - 4
    assert int(down.abs().max()) == padding
    seen = torch.zeros(5, 5, dtype=torch.float64)
    seen.index_put_((down + 2, across + 2), torch.ones(count, dtype=torch.float64), accumulate=True)
    expected = count / 25
    chi_square = ((seen - expected) ** 2 / expected).sum().item()
    assert chi_square < 51.2  # 24 degrees of freedom: exceeded once in a thousand


def test_padding_as_wide_as_the_image_is_refused() -> None:
    with pytest.raises(SettingError, match=r"crop is 6 .*\(6, 9\): write 5 at most"):
        RandomCrop(6)(torch.ones(2, 1, 6, 9), seed=1, step=1)


@pytest.mark.parametrize("padding", [1.5, True])
def test_padding_that_is_no_whole_number_is_refused(padding: int) -> None:
    with pytest.raises(SettingError, match=r"crop is .*whole number"):
        RandomCrop(padding)

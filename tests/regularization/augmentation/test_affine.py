"""Shifts and turns: what stays, where a pixel goes, how far."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ravine.errors import SettingError
from ravine.randomness import derive
from ravine.regularization import Rotate, Translate, uniform
from ravine.regularization.augmentation.affine import rotated

COUNT = 20_000


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 1, 7, 12), (2, 1, 1, 5), (2, 1, 1, 1)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_turn_by_nothing_is_the_identity(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = images(*shape).to(dtype)
    # positions of at most 12 pixels, to a few units of the last place, times neighbours that differ by a few
    tolerance = 100 * torch.finfo(dtype).eps
    torch.testing.assert_close(rotated(x, torch.zeros(2)), x, rtol=0, atol=tolerance)


@pytest.mark.parametrize("size", [5, 8])
def test_a_quarter_turn_is_rot90_anticlockwise(size: int) -> None:
    x = images(3, 2, size, size)
    turned = rotated(x, torch.tensor([90.0, -90.0, 180.0], dtype=torch.float64))
    for i, quarters in enumerate((1, -1, 2)):
        torch.testing.assert_close(turned[i], x[i].rot90(quarters, (1, 2)))


def test_a_turn_is_that_of_torchs_affine_grid_on_images_that_are_not_square() -> None:
    x, degrees = images(4, 2, 6, 10), torch.tensor([10.0, -33.0, 77.0, 150.0], dtype=torch.float64)
    turned = rotated(x, degrees)
    for i in range(4):
        angle = math.radians(degrees[i].item())
        theta = torch.tensor(
            [
                [math.cos(angle), -math.sin(angle) * 6 / 10, 0],
                [math.sin(angle) * 10 / 6, math.cos(angle), 0],
            ],
            dtype=torch.float64,
        )
        grid = F.affine_grid(theta[None], [1, 2, 6, 10], align_corners=False)
        wanted = F.grid_sample(x[i : i + 1], grid, padding_mode="reflection", align_corners=False)
        torch.testing.assert_close(turned[i], wanted[0])


def test_the_corner_of_a_line_shows_that_shapes_keep_their_proportions() -> None:
    """A point 4 pixels to the right of the centre comes to lie 4 pixels above it, on an image twice as wide as high."""
    x = torch.zeros(1, 1, 11, 21)
    x[0, 0, 5, 14] = 1.0
    turned = rotated(x, torch.tensor([90.0]))
    assert turned[0, 0, 1, 10] == pytest.approx(1.0, abs=1e-5)
    assert turned.sum() == pytest.approx(1.0, abs=1e-4)


def test_angles_are_uniform_up_to_the_degrees_asked_for() -> None:
    x = torch.zeros(COUNT, 1, 3, 3)
    x[:, 0, 1, 2] = 1.0
    draws = uniform((COUNT,), derive(1, "rotate"), 1)
    wanted = rotated(x, (2 * draws - 1) * 30)
    assert torch.equal(Rotate(30.0)(x, seed=1, step=1), wanted)
    angles = (2 * draws.double() - 1) * 30
    assert abs(angles.mean().item()) < 4 * 30 / math.sqrt(3 * COUNT)
    assert abs(angles.abs().mean().item() - 15) < 4 * 30 / math.sqrt(12 * COUNT)
    assert angles.abs().max() <= 30


def moves(share: float, height: int, width: int) -> tuple[Tensor, Tensor]:
    """How far down and to the right each of COUNT images went; height and width leave room for all."""
    x = torch.arange(float(height * width)).view(1, 1, height, width).expand(COUNT, 1, -1, -1)
    centre = Translate(share)(x, seed=1, step=1)[:, 0, height // 2, width // 2].long()
    return height // 2 - centre // width, width // 2 - centre % width


def test_shifts_are_uniform_up_to_a_share_of_each_side() -> None:
    down, across = moves(0.2, 11, 25)  # up to 2.2 and 5 pixels
    for moved, furthest in ((down, 2.2), (across, 5.0)):
        t = moved.double()
        variance = furthest**2 / 3 + 1 / 6  # of a uniform, and of rounding to either neighbour at random
        assert abs(t.mean().item()) < 4 * math.sqrt(variance / COUNT)
        assert abs(t.var().item() - variance) < 0.05 * variance  # more than 4 standard errors of a variance
        assert t.abs().max() <= math.ceil(furthest)
    assert abs(torch.corrcoef(torch.stack([down, across]).double())[0, 1].item()) < 4 / math.sqrt(COUNT)


def test_a_share_of_less_than_a_pixel_moves_an_image_now_and_then() -> None:
    down, _ = moves(0.05, 9, 9)  # up to 0.45 pixels: half of it on average, so 22.5 % of the images
    share = (down != 0).double().mean().item()
    assert abs(share - 0.225) < 4 * math.sqrt(0.225 * 0.775 / COUNT)


@pytest.mark.parametrize("make", [lambda: Translate(1.5), lambda: Rotate(181.0), lambda: Rotate(True)])
def test_more_than_there_is_is_refused(make: type) -> None:
    with pytest.raises(SettingError, match=r"it must be .*\(0, "):
        make()

"""RandAugment against a loop over images, and how often each operation is drawn."""

from __future__ import annotations

import pytest
import torch

from ravine.errors import SettingError
from ravine.randomness import derive
from ravine.regularization import RandAugment, uniform
from ravine.regularization.augmentation import OPERATIONS
from ravine.regularization.augmentation.affine import rotated


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_image_goes_through_its_own_operations_in_turn(number: int) -> None:
    x = torch.randn(30, 2, 8, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    after = RandAugment(number, 0.6)(x, seed=3, step=4)
    draws = uniform((2, number, 30), derive(3, "policy"), 4)
    for i in range(30):
        image = x[i : i + 1]
        for turn in range(number):
            operation = list(OPERATIONS.values())[int(draws[0, turn, i] * len(OPERATIONS))]
            image = operation(image, torch.tensor([0.6 if draws[1, turn, i] >= 0.5 else -0.6]))
        torch.testing.assert_close(after[i], image[0])


def test_magnitude_1_means_what_is_written() -> None:
    x = torch.randn(2, 2, 10, 20, generator=torch.Generator().manual_seed(1))
    strength = torch.tensor([1.0, -1.0])
    done = {name: operation(x, strength) for name, operation in OPERATIONS.items()}
    assert torch.equal(done["identity"], x)
    assert torch.equal(done["translate_down"][0, :, 3:], x[0, :, :-3])  # 30 % of 10 pixels
    assert torch.equal(done["translate_down"][1, :, :-3], x[1, :, 3:])
    assert torch.equal(done["translate_across"][0, :, :, 6:], x[0, :, :, :-6])
    torch.testing.assert_close(done["rotate"], rotated(x, torch.tensor([30.0, -30.0])))
    torch.testing.assert_close(done["brightness"], x + strength.view(2, 1, 1, 1))
    torch.testing.assert_close(done["contrast"].std((1, 2, 3)), x.std((1, 2, 3)) * torch.tensor([2.0, 0.5]))


def test_operations_and_signs_are_drawn_evenly() -> None:
    """One operation each, told apart by what it makes of one image; 12 outcomes, of which the identity is two."""
    count = 12_000
    x = torch.randn(1, 1, 10, 10, generator=torch.Generator().manual_seed(2)).expand(count, -1, -1, -1)
    after = RandAugment(1, 1.0)(x, seed=1, step=1)
    corner = (after[:, 0, 5, 5] * 1e4).round()
    _, seen = corner.unique(return_counts=True)
    assert len(seen) == 11
    seen = seen.sort().values.double()
    wanted = torch.tensor([count / 12] * 10 + [count / 6])
    assert (((seen - wanted) ** 2) / wanted).sum() < 29.6  # 10 degrees of freedom: exceeded once in a thousand


@pytest.mark.parametrize("number", [0, 1.5, True])
def test_a_number_of_operations_that_is_not_whole_is_refused(number: int) -> None:
    with pytest.raises(SettingError, match=r"RandAugment\.number is "):
        RandAugment(number)


def test_a_magnitude_above_1_is_refused() -> None:
    with pytest.raises(SettingError, match=r"policy is 1\.5"):
        RandAugment(magnitude=1.5)

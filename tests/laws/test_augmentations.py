"""What must hold of every augmentation: a function of the images, the seed and the step, each image its own.

Letters in shapes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.regularization import AUGMENTATIONS, Augment, Augmentation

STRENGTHS = {
    "crop": 3,
    "flip": 0.5,
    "flip_vertical": 0.5,
    "translate": 0.3,
    "rotate": 40.0,
    "brightness": 0.7,
    "contrast": 0.5,
    "policy": 1.0,
}
SHAPES = [(16, 3, 8, 8), (16, 1, 7, 12), (16, 2, 9, 4)]

every = pytest.mark.parametrize("name", AUGMENTATIONS)


def made(name: str) -> Augment:
    return AUGMENTATIONS[name](magnitude=STRENGTHS[name]) if name == "policy" else AUGMENTATIONS[name](STRENGTHS[name])


def images(shape: tuple[int, ...] = SHAPES[1], dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def test_a_setting_of_augmentation_has_the_name_of_each() -> None:
    assert [field.name for field in dataclasses.fields(Augmentation)] == list(AUGMENTATIONS)


@every
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_shape_and_dtype_are_kept_and_the_input_is_untouched(
    name: str, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    x = images(shape, dtype)
    before = x.clone()
    after = made(name)(x, seed=1, step=1)
    assert torch.equal(x, before)
    assert after.shape == x.shape
    assert after.dtype == dtype
    assert after.data_ptr() != x.data_ptr()
    assert bool(after.isfinite().all())


@every
def test_a_seed_and_a_step_repeat_themselves_and_no_other_does(name: str) -> None:
    x, augment = images(), made(name)
    first = augment(x, seed=1, step=1)
    assert torch.equal(first, augment(x, seed=1, step=1))
    assert not torch.equal(first, augment(x, seed=1, step=2))
    assert not torch.equal(first, augment(x, seed=2, step=1))


@every
def test_the_global_generator_is_neither_read_nor_moved(name: str) -> None:
    before = torch.get_rng_state()
    made(name)(images(), seed=1, step=1)
    assert torch.equal(torch.get_rng_state(), before)


@every
def test_every_image_has_a_draw_of_its_own(name: str) -> None:
    x = images()[:1].expand(16, -1, -1, -1)
    outcomes = {tuple(image.flatten().tolist()) for image in made(name)(x, seed=1, step=1)}
    assert len(outcomes) >= (2 if name.startswith("flip") else 5)


@every
def test_another_image_does_not_move_this_one(name: str) -> None:
    x = images()
    other = torch.cat([x[:1], torch.zeros_like(x[1:])])
    assert torch.equal(made(name)(x, seed=1, step=1)[0], made(name)(other, seed=1, step=1)[0])


@every
def test_all_channels_are_treated_alike(name: str) -> None:
    x = images((16, 1, 7, 12), torch.float64).expand(-1, 3, -1, -1)
    after = made(name)(x, seed=1, step=1)
    assert torch.equal(after, after[:, :1].expand(-1, 3, -1, -1))


@every
def test_images_that_do_not_lie_in_one_piece_of_memory_are_taken_too(name: str) -> None:
    x = images((16, 3, 8, 8))
    strided = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(made(name)(strided, seed=1, step=1), made(name)(x, seed=1, step=1))


@every
def test_an_image_of_one_colour_stays_of_one_colour(name: str) -> None:
    after = made(name)(torch.full((16, 2, 6, 9), 2.5, dtype=torch.float64), seed=1, step=1)
    first = after[:, :1, :1, :1].expand_as(after)
    torch.testing.assert_close(after, first)  # to rounding: nothing comes in from outside the image


@every
@pytest.mark.parametrize("shape", [(4, 5), (4, 3, 8), (4, 1, 2, 3, 4)], ids=str)
def test_what_is_no_batch_of_images_is_refused(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(SettingError, match=f"{name} is for images") as caught:
        made(name)(torch.ones(shape), seed=1, step=1)
    assert str(shape[1:]) in str(caught.value)
    assert "\n" not in str(caught.value)


@every
def test_images_of_bytes_are_refused(name: str) -> None:
    with pytest.raises(SettingError, match=rf"{name} .*uint8.*x\.float\(\)"):
        made(name)(torch.ones(4, 3, 8, 8, dtype=torch.uint8), seed=1, step=1)


@every
@pytest.mark.parametrize("strength", [-0.5, float("nan"), float("inf"), None, "0.5", 0])
def test_a_strength_out_of_range_is_refused_by_name(name: str, strength: float) -> None:
    with pytest.raises(SettingError, match=f"^{name} is ") as caught:
        AUGMENTATIONS[name](magnitude=strength) if name == "policy" else AUGMENTATIONS[name](strength)
    assert f"leave {name} out" in str(caught.value)

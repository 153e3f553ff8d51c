"""All augmentations as one value: off by default, in order, refused by name."""

from __future__ import annotations

import math

import pytest
import torch

from ravine.errors import SettingError
from ravine.regularization import (
    AUGMENTATIONS,
    Augmentation,
    Brightness,
    Contrast,
    HorizontalFlip,
    RandAugment,
    RandomCrop,
    Rotate,
    Translate,
    VerticalFlip,
)

PARTS = [
    RandomCrop(2),
    HorizontalFlip(0.4),
    VerticalFlip(0.3),
    Translate(0.2),
    Rotate(20.0),
    Brightness(0.3),
    Contrast(0.4),
    RandAugment(2, 0.7),
]
STRENGTHS = dict(zip(AUGMENTATIONS, (2, 0.4, 0.3, 0.2, 20.0, 0.3, 0.4, 0.7), strict=True))
X = torch.randn(10, 2, 8, 11, generator=torch.Generator().manual_seed(1))


def test_nothing_asked_for_is_nothing_done() -> None:
    assert not Augmentation().on
    assert Augmentation()(X, seed=1, step=1) is X
    table = torch.ones(4, 5)
    assert Augmentation()(table, seed=1, step=1) is table


@pytest.mark.parametrize(("name", "part"), list(zip(AUGMENTATIONS, PARTS, strict=True)))
def test_one_alone_is_that_one(name: str, part: RandomCrop) -> None:
    augmentation = Augmentation(**{name: STRENGTHS[name]})
    assert augmentation.on
    assert torch.equal(augmentation(X, seed=3, step=2), part(X, seed=3, step=2))


def test_all_follow_each_other_in_the_order_of_the_fields() -> None:
    wanted = X
    for part in PARTS:
        wanted = part(wanted, seed=3, step=2)
    assert torch.equal(Augmentation(**STRENGTHS)(X, seed=3, step=2), wanted)


def test_tables_are_refused_with_the_shape_and_the_cure() -> None:
    with pytest.raises(SettingError, match=r"augmentation is for images.*examples of shape \(5,\): leave .* out"):
        Augmentation(flip=0.5)(torch.ones(4, 5), seed=1, step=1)


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("value", [-1, math.nan, None])
def test_a_strength_out_of_range_is_refused_when_made(name: str, value: float) -> None:
    with pytest.raises(SettingError, match=f"^{name} is "):
        Augmentation(**{name: value})

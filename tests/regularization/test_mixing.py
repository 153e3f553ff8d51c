"""Mixing: each part on its own, the order of parts, one of two mixers for each batch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.regularization import CutMix, Cutout, LabelSmoothing, Mixing, Mixup, soft_targets


def batch() -> tuple[Tensor, Tensor]:
    x = torch.randn(6, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    return x, soft_targets(torch.arange(6) % 3, 3)


def same(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> bool:
    return torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_all_is_off_by_default() -> None:
    x, y = batch()
    mixing = Mixing()
    assert not mixing.on
    assert not mixing.needs_soft
    assert mixing(x, y, seed=1, step=1) == (x, y)


@pytest.mark.parametrize("name", ["mixup", "cutmix", "cutout"])
def test_one_part_alone_is_that_part(name: str) -> None:
    x, y = batch()
    part = {"mixup": Mixup, "cutmix": CutMix, "cutout": Cutout}[name](0.5)
    mixing = Mixing(**{name: 0.5})
    assert mixing.on
    assert mixing.needs_soft == (name != "cutout")
    assert same(mixing(x, y, seed=3, step=2), part(x, y, seed=3, step=2))


def test_label_smoothing_alone_leaves_the_examples() -> None:
    x, y = batch()
    mixing = Mixing(label_smoothing=0.1)
    assert mixing.on
    assert mixing.needs_soft
    assert same(mixing(x, y, seed=1, step=1), (x, LabelSmoothing(0.1)(y)))


def test_cutout_comes_before_mixup() -> None:
    x, y = batch()
    cut, smooth = Cutout(0.5)(x, y, seed=3, step=2)[0], LabelSmoothing(0.1)(y)
    wanted = Mixup(0.5)(cut, smooth, seed=3, step=2)
    assert same(Mixing(mixup=0.5, cutout=0.5, label_smoothing=0.1)(x, y, seed=3, step=2), wanted)


def test_with_both_on_each_batch_takes_one_either_as_often() -> None:
    x, y = batch()
    both, cut, count = Mixing(mixup=0.7, cutmix=0.9), 0, 1500
    for step in range(count):
        mixed = both(x, y, seed=1, step=step)
        is_cut = same(mixed, CutMix(0.9)(x, y, seed=1, step=step))
        assert is_cut or same(mixed, Mixup(0.7)(x, y, seed=1, step=step))
        cut += is_cut
    assert abs(cut / count - 0.5) < 4 * math.sqrt(0.25 / count)


@pytest.mark.parametrize("name", ["mixup", "cutmix", "cutout", "label_smoothing"])
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, None])
def test_a_strength_out_of_range_is_refused_when_made(name: str, value: float) -> None:
    with pytest.raises(SettingError, match=f"^{name} is "):
        Mixing(**{name: value})


def test_cutout_alone_takes_class_indices() -> None:
    x, y = batch()[0], torch.arange(6)
    assert Mixing(cutout=0.5)(x, y, seed=1, step=1)[1] is y

"""What each trial meets at each step: shared where it can be, altered by its own strengths, the same alone and together.

Letters in shapes: K trials, B batch, C classes.
"""

from __future__ import annotations

import pytest
import torch

from ravine.data import MemorySplit
from ravine.errors import SettingError
from ravine.training import Setting, check_fit
from ravine.training.batches import Batches

IMAGES = MemorySplit(torch.randn(40, 2, 8, 8), torch.arange(40) % 3)


def batches(*settings: Setting) -> Batches:
    return Batches(IMAGES, settings, 10, classes=3)


def setting(**given: object) -> Setting:
    return Setting(**{"batch_size": 10, "order": 1, **given})


def test_trials_that_are_altered_alike_share_their_batch() -> None:
    alike = batches(setting(seed=1, mixup=0.5, crop=1), setting(seed=2, mixup=0.5, crop=1)).at(3)
    assert (alike.own, alike.own_targets) == (False, False)
    assert alike.x.shape == (10, 2, 8, 8)
    assert alike.y.shape == (10, 3)


def test_smoothing_alone_leaves_the_inputs_shared() -> None:
    found = batches(setting(), setting(label_smoothing=0.3)).at(0)
    assert (found.own, found.own_targets) == (False, True)
    assert found.y.shape == (2, 10, 3)
    assert torch.equal(found.y[0].argmax(-1), found.y[1].argmax(-1))
    assert found.y[0].max() == 1
    assert found.y[1].max() == pytest.approx(0.8)


@pytest.mark.parametrize(
    "one",
    [
        {"mixup": 0.4},
        {"cutmix": 1.0},
        {"cutout": 0.5},
        {"mixup": 0.4, "cutmix": 1.0, "label_smoothing": 0.1},
        {"crop": 2, "flip": 0.5, "rotate": 10.0},
        {"order": 7, "policy": 0.5},
    ],
    ids=str,
)
def test_a_trial_meets_the_same_examples_alone_and_beside_others(one: dict[str, object]) -> None:
    together, alone = batches(setting(), setting(**one), setting(mixup=2.0)), batches(setting(**one))
    for step in (0, 1, 5):
        here, there = together.at(step), alone.at(step)
        y = there.y if there.y.is_floating_point() else torch.nn.functional.one_hot(there.y, 3).float()
        assert torch.equal(here.x[1], there.x)
        assert torch.equal(here.y[1], y)


def test_survivors_go_on_with_their_own() -> None:
    found, alone = batches(setting(), setting(mixup=0.3), setting(cutout=0.4)), batches(setting(mixup=0.3))
    found.keep([1])
    assert torch.equal(found.at(4).x, alone.at(4).x)
    assert torch.equal(found.at(4).y, alone.at(4).y)


def test_nothing_is_altered_unless_it_is_asked_for() -> None:
    found = batches(setting())
    x, y = found.at(0)[:2]
    assert y.dtype == torch.int64
    rows = (IMAGES.x.flatten(1)[:, None] == x.flatten(1)).all(-1).any(0)
    assert rows.all()


@pytest.mark.parametrize(
    ("given", "task", "shape", "said"),
    [
        ({"crop": 2}, "classification", (5,), r"crop is for images.*shape \(5,\)"),
        ({"crop": 8}, "classification", (1, 9, 8), "crop is 8 pixels.*9 x 8: write 7 at most"),
        ({"flip": 0.5}, "regression", (5,), "flip is for images"),
        ({"cutout": 0.3}, "classification", (64,), "cutout is for images"),
        ({"cutmix": 1.0}, "classification", (64,), "cutmix is for images"),
        ({"label_smoothing": 0.1}, "regression", (5,), "label_smoothing is for classification"),
        ({"mixup": 0.2, "batch_size": 1}, "classification", (5,), "mixup mixes.*batch_size is 1: make it 2 or more"),
    ],
)
def test_what_the_data_has_no_use_for_is_refused(
    given: dict[str, object], task: str, shape: tuple[int, ...], said: str
) -> None:
    with pytest.raises(SettingError, match=said):
        check_fit(Setting(**given), task, shape)


def test_images_take_it_all() -> None:
    check_fit(setting(crop=2, flip=0.5, cutout=0.2, cutmix=1.0, mixup=0.2, policy=0.3), "classification", (3, 8, 8))

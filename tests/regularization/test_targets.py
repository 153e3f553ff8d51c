"""Soft targets, and what a mixer refuses."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from ravine.errors import SettingError
from ravine.regularization import soft_targets
from ravine.regularization.targets import check_mixable


def test_soft_targets_are_one_hot_and_float32() -> None:
    y = torch.tensor([2, 0, 1, 2])
    soft = soft_targets(y, 4)
    assert soft.dtype == torch.float32
    assert torch.equal(soft, F.one_hot(y, 4).float())


def test_the_loss_of_soft_targets_is_that_of_the_classes() -> None:
    outputs, y = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 2, 1, 0])
    torch.testing.assert_close(F.cross_entropy(outputs, soft_targets(y, 3)), F.cross_entropy(outputs, y))


@pytest.mark.parametrize("y", [torch.tensor([0, 3]), torch.tensor([-100, 1])])
def test_a_class_that_is_not_there_is_refused(y: torch.Tensor) -> None:
    with pytest.raises(SettingError, match=r"with 3 classes they must lie in 0 \.\.\. 2"):
        soft_targets(y, 3)


@pytest.mark.parametrize("y", [torch.tensor([0.5, 1.0]), torch.eye(2, dtype=torch.int64)])
def test_targets_that_are_no_class_indices_are_refused(y: torch.Tensor) -> None:
    with pytest.raises(SettingError, match="class indices"):
        soft_targets(y, 3)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.ones(4, 2), torch.arange(4), r"write y = soft_targets\(y, classes\)"),
        (torch.ones(4, 2), torch.ones(3), "one target per example"),
        (torch.ones(1, 2), torch.ones(1), "a batch of 2 or more"),
        (torch.ones(4, 2, dtype=torch.int64), torch.ones(4), "averages examples"),
    ],
)
def test_what_cannot_be_mixed_is_named_with_its_cure(x: torch.Tensor, y: torch.Tensor, message: str) -> None:
    with pytest.raises(SettingError, match=f"mixup.*{message}") as caught:
        check_mixable("mixup", x, y)
    assert "\n" not in str(caught.value)

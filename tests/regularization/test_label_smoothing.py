"""Label smoothing against torch's own, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from ravine.errors import SettingError
from ravine.regularization import LabelSmoothing, soft_targets


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.9])
def test_the_loss_is_that_of_torchs_label_smoothing(epsilon: float) -> None:
    outputs = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    y = torch.tensor([0, 1, 2, 3, 3, 1])
    smoothed = LabelSmoothing(epsilon)(soft_targets(y, 4))
    torch.testing.assert_close(smoothed.sum(1), torch.ones(6))
    torch.testing.assert_close(F.cross_entropy(outputs, smoothed), F.cross_entropy(outputs, y, label_smoothing=epsilon))


def test_the_targets_given_are_untouched() -> None:
    y = soft_targets(torch.tensor([0, 1]), 2)
    LabelSmoothing(0.5)(y)
    assert torch.equal(y, torch.eye(2))


@pytest.mark.parametrize("epsilon", [-0.1, 1.0, math.nan, True, None])
def test_an_epsilon_outside_0_to_1_is_refused(epsilon: float) -> None:
    with pytest.raises(SettingError, match=r"label_smoothing is .*in \[0, 1\)"):
        LabelSmoothing(epsilon)


@pytest.mark.parametrize("y", [torch.ones(4), torch.ones(4, 1)])
def test_targets_of_a_regression_are_refused(y: torch.Tensor) -> None:
    with pytest.raises(SettingError, match="label_smoothing is for classification"):
        LabelSmoothing(0.1)(y)


def test_class_indices_are_refused() -> None:
    with pytest.raises(SettingError, match=r"label_smoothing .*soft_targets"):
        LabelSmoothing(0.1)(torch.tensor([0, 1]))

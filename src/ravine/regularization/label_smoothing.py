"""Label smoothing: the target keeps a little probability for every class."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ravine.errors import SettingError
from ravine.regularization.targets import check_floating
from ravine.schedules.checks import check_number

__all__ = ["LabelSmoothing"]


@dataclass(frozen=True)
class LabelSmoothing:
    """(1 - epsilon) * y + epsilon / C, for y [B, C] of soft targets whose rows sum to 1.

    It draws nothing and looks at no example, so it is called with the targets alone.
    Source: Szegedy et al. 2016, as `label_smoothing` of torch.nn.CrossEntropyLoss.
    Raises SettingError unless epsilon lies in [0, 1); for y of class indices; for regression targets.

    >>> import torch
    >>> LabelSmoothing(0.2)(torch.tensor([[0.0, 1.0]]))
    tensor([[0.1000, 0.9000]])
    """

    epsilon: float  # share of the target spread evenly over all classes, the right one included

    def __post_init__(self) -> None:
        check_number(
            "label_smoothing",
            self.epsilon,
            lambda epsilon: 0 <= epsilon < 1,
            "be the share of the target spread over all classes, in [0, 1): write label_smoothing=0.1",
        )

    def __call__(self, y: Tensor) -> Tensor:
        check_floating("label_smoothing", y)
        if y.ndim != 2 or y.shape[1] < 2:
            raise SettingError(
                f"label_smoothing is for classification, y of shape [B, classes]; y has shape {list(y.shape)}: "
                "leave label_smoothing out for a regression."
            )
        return (1 - self.epsilon) * y + self.epsilon / y.shape[1]

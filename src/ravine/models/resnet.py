"""A small residual network: the reference model for images that a plain one is too shallow for.

Letters in shapes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ravine.errors import ModelError
from ravine.limits import LAYERS
from ravine.models.initialization import start_quiet
from ravine.models.widths import check_parameters, checked_widths
from ravine.regularization import Dropout, StochasticDepth

__all__ = ["resnet"]

STAGES = 3  # as for CIFAR: each but the first halves the image and doubles the channels


class Block(nn.Module):
    """x + branch(x), where the branch is twice batch norm - ReLU - 3 x 3 convolution.

    A block that changes the size has a 1 x 1 convolution of the activated input in place of x. Its branch ends in
    StochasticDepth of rate 0: `--stochastic-depth` gives it another.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.depth = StochasticDepth(0.0)
        resized = stride > 1 or before != after
        self.shortcut = nn.Conv2d(before, after, 1, stride, bias=False) if resized else None

    def forward(self, x: Tensor) -> Tensor:
        """From x [B, C, H, W] to [B, C', H / stride, W / stride], rounded up."""
        active = F.relu(self.norm1(x))
        branch = self.conv2(F.relu(self.norm2(self.conv1(active))))
        past = x if self.shortcut is None else self.shortcut(active)
        return past + self.depth(branch)  # type: ignore[no-any-return]


def _weights(channels: int, outputs: int, width: int, depth: int) -> int:
    """How many weights the convolutions of 3 x 3 and the last layer have; the few others are not counted."""
    count, before = 9 * channels * width, width
    for stage in range(STAGES):
        after = width * 2**stage
        count += 9 * (before * after + (2 * depth - 1) * after**2)
        before = after
    return count + before * outputs


def resnet(
    input_shape: Sequence[int], outputs: int, *, width: int = 16, depth: int = 1, dropout: float = 0.0
) -> nn.Module:
    """A 3 x 3 convolution, three stages of `depth` pre-activation blocks, batch norm - ReLU, the mean over the image, Linear.

    input_shape: (channels, height, width), of any size. width: channels of the first stage; the second has twice, the
    third four times as many, on an image halved each time. depth: blocks per stage, >= 1; 3 with a width of 16 is the
    paper's ResNet-20, so the default is its ResNet-8. dropout: probability of dropping before the last layer, in [0, 1).
    He initialization (He et al. 2015); the last layer starts small, so that the first loss is log C.
    Source: He et al. 2016, Identity Mappings in Deep Residual Networks; the 1 x 1 convolutions are its option B.
    Raises ModelError when the input is no image, and for a width or depth that is no whole number, 1 or more.
    """
    if len(input_shape) != 3:
        raise ModelError(
            f"resnet needs images, (channels, height, width); the data has examples of shape {tuple(input_shape)}: write --model mlp."
        )
    (width,) = checked_widths("width", [width])
    if not isinstance(depth, int) or isinstance(depth, bool) or depth < 1:
        raise ModelError(f"depth is {depth!r}; it counts the blocks of a stage, 1 or more: write --set depth=2.")
    if depth > LAYERS:
        raise ModelError(f"depth is {depth:,}; {LAYERS:,} blocks of a stage are the most.")
    check_parameters("resnet", _weights(input_shape[0], outputs, width, depth))
    blocks: list[nn.Module] = []
    before = width
    for stage in range(STAGES):
        after = width * 2**stage
        for number in range(depth):
            blocks.append(Block(before, after, stride=2 if stage and not number else 1))
            before = after
    stem = nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False)
    mean = [nn.BatchNorm2d(before), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return start_quiet(nn.Sequential(stem, *blocks, *mean, Dropout(dropout), nn.Linear(before, outputs)))

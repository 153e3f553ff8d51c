"""Dropout of activations: single entries, whole channels, and the lecture's form, which scales in evaluation.

Letters in shapes: B batch, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from ravine.regularization.noise import Noise

__all__ = ["Dropout", "SpatialDropout", "VanillaDropout", "dropouts"]


class Dropout(Noise):
    """Inverted dropout: in training each entry is zeroed with probability p, the rest scaled by 1/(1 - p).

    p is the probability of *dropping*, as in PyTorch; the lecture's p is that of keeping, 1 - p. Evaluation is
    the identity. Source: Srivastava et al. 2014. Raises SettingError unless p lies in [0, 1).
    """

    def __init__(self, p: float = 0.5, *, seed: int = 0) -> None:
        super().__init__(p, seed)

    def forward(self, x: Tensor) -> Tensor:
        return x if self.resting else self.dropped(x, x.shape)


class SpatialDropout(Noise):
    """Inverted dropout of whole channels of [B, C, ...]: neighbours in an image are too alike to be dropped singly.

    p: probability of dropping a channel of a sample, in [0, 1), else SettingError. An input [B, C] has channels of
    one entry. Source: Tompson et al. 2015; torch's Dropout1d, 2d and 3d.
    """

    def __init__(self, p: float = 0.5, *, seed: int = 0) -> None:
        super().__init__(p, seed)

    def forward(self, x: Tensor) -> Tensor:
        return x if self.resting else self.dropped(x, [*x.shape[:2], *[1] * (x.ndim - 2)])


class VanillaDropout(Noise):
    """Dropout as first written: a mask alone in training, activations times the keep probability in evaluation.

        training:    x * mask, each entry of the mask 0 with probability p
        evaluation:  x * (1 - p)

    For a linear unit the mean of the first is the second. p is the probability of *dropping*, in [0, 1), else
    SettingError; the lecture's p is 1 - p here. Source: Hinton et al. 2012. `Dropout` scales in training instead,
    so that a model in use does no work for it.
    """

    def __init__(self, p: float = 0.5, *, seed: int = 0) -> None:
        super().__init__(p, seed)

    def forward(self, x: Tensor) -> Tensor:
        if self.idle:
            return x
        return x * (self.keeps(x.shape) if self.training else 1 - self.p.double()).to(x.dtype)


def dropouts(module: nn.Module) -> Iterable[tuple[str, Dropout | SpatialDropout | VanillaDropout]]:
    """Every layer inside a module that drops activations, with its name: those whose rate is called `dropout`."""
    kinds = Dropout | SpatialDropout | VanillaDropout
    return ((name, child) for name, child in module.named_modules() if isinstance(child, kinds))

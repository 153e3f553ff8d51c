"""Stochastic depth: a network that is shallower in training than in use.

Letters in shapes: B batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from ravine.errors import SettingError
from ravine.regularization.noise import Noise

__all__ = ["StochasticDepth"]


class StochasticDepth(Noise):
    """Drop a whole residual branch: `x + depth(branch(x))` is then x alone. Survivors are scaled by 1/(1 - p).

    p: probability of dropping the branch, in [0, 1). `replace_dropout(model, depth=...)` gives the layers of a
        network the linearly rising rates of the paper.
    mode: "row" draws for every sample of [B, ...], "batch" once for all of them.
    Source: Huang et al. 2016, who scale by 1 - p in evaluation instead; scaled in training as in torchvision, where
    evaluation is the identity. Raises SettingError for another p or mode.
    """

    def __init__(self, p: float, mode: Literal["row", "batch"] = "row", seed: int = 0) -> None:
        super().__init__(p, seed)
        if mode not in ("row", "batch"):
            raise SettingError(
                f"StochasticDepth.mode is {mode!r}; write 'row' to draw for every sample or 'batch' to draw once for all."
            )
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        if self.resting:  # before the size is asked for: an exported graph suits any number of rows
            return x
        return self.dropped(x, [len(x) if self.mode == "row" else 1, *[1] * (x.ndim - 1)])

    def before(self, shape: Sequence[int]) -> int:
        return super().before(shape) if self.mode == "row" else 0

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, mode={self.mode}"

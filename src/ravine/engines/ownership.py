"""Whether the trials of a population share a batch or have one each, for inputs and targets apart."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ravine.errors import SettingError

__all__ = ["Own"]


class Own(NamedTuple):
    """Which half of a batch has one entry per trial, [K, B, ...], in place of one for all, [B, ...]."""

    x: bool
    y: bool

    def check(self, x: Tensor, y: Tensor, trials: int) -> None:
        """Raise SettingError when a half that the trials own does not begin with K."""
        for name, half, own in (("x", x, self.x), ("y", y, self.y)):
            if own and (half.ndim < 2 or len(half) != trials):
                raise SettingError(
                    f"{name} has shape {list(half.shape)} but {trials} trials have one batch each: give it "
                    f"the shape [{trials}, B, ...], or share it with own{'_targets' if name == 'y' else ''}=False."
                )

"""Mixing, label smoothing and cutout as one value, each off unless asked for."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ravine.randomness import derive
from ravine.regularization.cutmix import CutMix
from ravine.regularization.cutout import Cutout
from ravine.regularization.draws import uniform
from ravine.regularization.label_smoothing import LabelSmoothing
from ravine.regularization.mixup import Mixup

__all__ = ["Mixing"]


@dataclass(frozen=True)
class Mixing:
    """Targets are smoothed, then squares are cut out, then the batch is mixed.

    With both mixup and cutmix on, each batch takes one of them, either as likely.
    Called with x [B, ...] and y, see `Mixup`, `CutMix`, `Cutout` and `LabelSmoothing`; 0 is off.
    Raises SettingError, also when made, for what one of them cannot take.
    """

    mixup: float = 0.0  # alpha of Beta(alpha, alpha)
    cutmix: float = 0.0  # likewise
    cutout: float = 0.0  # side of the erased square as a share of the image's shorter side, in (0, 1]
    label_smoothing: float = 0.0  # share of the target spread over all classes, in [0, 1)

    def __post_init__(self) -> None:
        for kind, strength in self._asked():
            kind(strength)  # refuses what is out of range

    @property
    def on(self) -> bool:
        """Whether anything is asked for."""
        return bool(self._asked())

    @property
    def needs_soft(self) -> bool:
        """Whether targets are averaged: class indices must then go through `soft_targets` first."""
        return any(kind is not Cutout for kind, _ in self._asked())

    def __call__(self, x: Tensor, y: Tensor, *, seed: int, step: int) -> tuple[Tensor, Tensor]:
        if self.label_smoothing:
            y = LabelSmoothing(self.label_smoothing)(y)
        if self.cutout:
            x, y = Cutout(self.cutout)(x, y, seed=seed, step=step)
        mixer = self._mixer(seed, step)
        return (x, y) if mixer is None else mixer(x, y, seed=seed, step=step)

    def _asked(self) -> list[tuple[type[LabelSmoothing | Cutout | Mixup | CutMix], float]]:
        every: list[tuple[type[LabelSmoothing | Cutout | Mixup | CutMix], float]] = [
            (LabelSmoothing, self.label_smoothing),
            (Cutout, self.cutout),
            (Mixup, self.mixup),
            (CutMix, self.cutmix),
        ]
        return [(kind, strength) for kind, strength in every if strength != 0]

    def _mixer(self, seed: int, step: int) -> Mixup | CutMix | None:
        """The one that this batch takes."""
        if self.mixup and self.cutmix:
            cut = uniform((1,), derive(seed, "mixing"), step).item() < 0.5
            return CutMix(self.cutmix) if cut else Mixup(self.mixup)
        if self.cutmix:
            return CutMix(self.cutmix)
        return Mixup(self.mixup) if self.mixup else None

"""Mixup: each example becomes a weighted mean of itself and another, and so does its target."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.special import betaincinv
from torch import Tensor

from ravine.randomness import derive
from ravine.regularization.draws import permuted, uniform
from ravine.regularization.targets import check_mixable
from ravine.schedules.checks import check_number

__all__ = ["Mixup", "beta_draw", "check_alpha"]


@dataclass(frozen=True)
class Mixup:
    """One lambda ~ Beta(alpha, alpha) per batch, and a partner for each example by a random permutation.

        x <- lambda * x + (1 - lambda) * x[partner]
        y <- lambda * y + (1 - lambda) * y[partner]

    x: [B, ...] floating. y: soft targets [B, C], or values [B]. Both are left untouched.
    Lambda is the quantile of Beta at one uniform draw: with one seed, trials of different alpha move together.
    Source: Zhang et al. 2018, with one lambda per batch as in the authors' code.
    Raises SettingError unless alpha lies in (0, inf); for y of class indices; for a batch of one.
    """

    alpha: float  # towards 0 hardly any mixing, 1 uniform, larger: nearer to the half

    def __post_init__(self) -> None:
        check_alpha("mixup", self.alpha)

    def __call__(self, x: Tensor, y: Tensor, *, seed: int, step: int) -> tuple[Tensor, Tensor]:
        check_mixable("mixup", x, y)
        share = beta_draw(self.alpha, derive(seed, "mixup"), step)
        partner = permuted(len(x), derive(seed, "mixup", "partner"), step, device=x.device)
        return torch.lerp(x[partner], x, share), torch.lerp(y[partner.to(y.device)], y, share)


def beta_draw(alpha: float, seed: int, step: int) -> float:
    """One draw of Beta(alpha, alpha), in [0, 1], increasing in a uniform draw that does not depend on alpha."""
    return float(betaincinv(alpha, alpha, uniform((1,), seed, step).item()))


def check_alpha(name: str, alpha: object) -> None:
    """Raise SettingError unless alpha lies in (0, inf)."""
    check_number(
        name,
        alpha,
        lambda value: 0 < value < math.inf,
        f"be the alpha of Beta(alpha, alpha), a number above 0: write {name}=0.2, or leave {name} out",
    )

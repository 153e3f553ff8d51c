"""What goes wrong besides ravines: saddles, where the gradient vanishes without a minimum, and cliffs."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.landscapes.surface import Surface

__all__ = ["cliff", "monkey_saddle", "saddle"]


def saddle() -> Surface:
    """x² - y²: down along one axis for ever. The start is next to the ridge, so a path first runs to the saddle."""

    def value(x: Tensor) -> Tensor:
        return x[..., 0].square() - x[..., 1].square()

    def slope(x: Tensor) -> Tensor:
        return torch.stack((2 * x[..., 0], -2 * x[..., 1]), dim=-1)

    return Surface("saddle", "x² - y²", value, 2, window=(-3.0, 3.0, -3.0, 3.0), start=(2.5, 0.001), slope=slope)


def monkey_saddle() -> Surface:
    """x³ - 3 x y²: three ways down and three up; even the Hessian vanishes at the origin."""

    def value(x: Tensor) -> Tensor:
        return x[..., 0].pow(3) - 3 * x[..., 0] * x[..., 1].square()

    def slope(x: Tensor) -> Tensor:
        a, b = x[..., 0], x[..., 1]
        return torch.stack((3 * (a.square() - b.square()), -6 * a * b), dim=-1)

    return Surface(
        "monkey_saddle", "x³ - 3 x y²", value, 2, window=(-2.0, 2.0, -2.0, 2.0), start=(1.5, 0.01), slope=slope
    )


HEIGHT, SHARPNESS, SLANT, BOTTOM = 3.0, 20.0, 0.1, 2.0


def cliff() -> Surface:
    """A plateau that ends in a cliff at x = 0, with a shallow basin below it.

        f = 3 sigmoid(-20 x) + 0.1 (sqrt(1 + (x - 2)² + y²) - 1)

    On the plateau the slope is 0.1 at most, on the cliff 15: a rate that is right for one flings a path off the
    other (Pascanu et al. 2013 draw such a wall; the formula is ours). The minimum is at (2, 0) to 1e-14: the
    cliff's own slope there, 60 exp(-40), is below the rounding error of f.
    """

    def value(x: Tensor) -> Tensor:
        a, b = x[..., 0], x[..., 1]
        basin = torch.sqrt(1 + (a - BOTTOM).square() + b.square()) - 1
        return HEIGHT * torch.sigmoid(-SHARPNESS * a) + SLANT * basin

    def slope(x: Tensor) -> Tensor:
        a, b = x[..., 0], x[..., 1]
        up = torch.sigmoid(-SHARPNESS * a)
        root = torch.sqrt(1 + (a - BOTTOM).square() + b.square())
        wall = -HEIGHT * SHARPNESS * up * (1 - up)
        return torch.stack((wall + SLANT * (a - BOTTOM) / root, SLANT * b / root), dim=-1)

    return Surface(
        "cliff",
        "3 sigmoid(-20 x) + 0.1 (√(1 + (x - 2)² + y²) - 1)",
        value,
        2,
        minima=((BOTTOM, 0.0),),
        minimum=0.0,
        window=(-6.0, 6.0, -4.0, 4.0),
        start=(-4.0, 1.0),
        slope=slope,
    )

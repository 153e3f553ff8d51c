"""Curved and hilly surfaces with known minima: the field's test functions.

Sources of the formulas: Rosenbrock 1960; Beale 1958; Himmelblau 1972; Rastrigin 1974 (in n dimensions Mühlenbein
1991); Ackley 1987.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.landscapes.quadratics import MOST
from ravine.landscapes.surface import Surface

__all__ = ["ackley", "beale", "himmelblau", "rastrigin", "rosenbrock"]


def rosenbrock(dimension: int = 2) -> Surface:
    """The banana: f = sum of (x_i - 1)² + 100 (x_{i+1} - x_i²)² over i = 1 .. dimension - 1.

    The minimum is all ones; from 4 dimensions on there is a second, local one near (-1, 1, ..., 1).
    """
    _at_least("rosenbrock", dimension, 2)

    def value(x: Tensor) -> Tensor:
        a, b = x[..., :-1], x[..., 1:]
        return ((a - 1).square() + 100 * (b - a.square()).square()).sum(-1)

    def slope(x: Tensor) -> Tensor:
        a, b = x[..., :-1], x[..., 1:]
        rise = 200 * (b - a * a)
        first = torch.addcmul(2 * a - 2, a, rise, value=-2)  # 2 (a - 1) - 2 a rise
        if dimension == 2:
            return torch.cat((first, rise), dim=-1)
        return torch.nn.functional.pad(first, (0, 1)) + torch.nn.functional.pad(rise, (1, 0))

    def curvature(x: Tensor) -> Tensor:
        a, b = x[..., :-1], x[..., 1:]
        own = torch.nn.functional.pad(2 + 1200 * a * a - 400 * b, (0, 1))
        own = own + torch.nn.functional.pad(torch.full_like(a, 200.0), (1, 0))
        beside = torch.diag_embed(-400 * a, offset=1)
        return torch.diag_embed(own) + beside + beside.mT

    flat = dimension == 2
    return Surface(
        "rosenbrock",
        "(x - 1)² + 100 (y - x²)²" if flat else "Σ (xᵢ - 1)² + 100 (xᵢ₊₁ - xᵢ²)²",
        value,
        dimension,
        minima=((1.0,) * dimension,),
        minimum=0.0,
        window=(-2.0, 2.0, -1.0, 3.0),
        start=(-1.2, 1.0) * (dimension // 2) + (-1.2,) * (dimension % 2),
        log=True,
        slope=slope,
        curvature=curvature,
    )


def beale() -> Surface:
    """Beale's function: flat valleys between steep corners, with one minimum."""

    def value(x: Tensor) -> Tensor:
        a, b = x[..., 0], x[..., 1]
        return (1.5 - a + a * b).square() + (2.25 - a + a * b.square()).square() + (2.625 - a + a * b.pow(3)).square()

    return Surface(
        "beale",
        "(1.5 - x + x y)² + (2.25 - x + x y²)² + (2.625 - x + x y³)²",
        value,
        2,
        minima=((3.0, 0.5),),
        minimum=0.0,
        window=(-4.5, 4.5, -4.5, 4.5),
        start=(1.0, 1.5),
        log=True,
    )


def himmelblau() -> Surface:
    """Himmelblau's function: four minima of one depth; which is found depends on the start."""

    def value(x: Tensor) -> Tensor:
        a, b = x[..., 0], x[..., 1]
        return (a.square() + b - 11).square() + (a + b.square() - 7).square()

    def slope(x: Tensor) -> Tensor:
        a, b = x[..., 0], x[..., 1]
        first, second = a.square() + b - 11, a + b.square() - 7
        return torch.stack((4 * a * first + 2 * second, 2 * first + 4 * b * second), dim=-1)

    return Surface(
        "himmelblau",
        "(x² + y - 11)² + (x + y² - 7)²",
        value,
        2,
        minima=(
            (3.0, 2.0),
            (-2.805118086952745, 3.131312518250573),
            (-3.779310253377747, -3.283185991286170),
            (3.584428340330492, -1.848126526964404),
        ),
        minimum=0.0,
        window=(-5.0, 5.0, -5.0, 5.0),
        start=(-0.5, -0.5),
        log=True,
        slope=slope,
    )


def rastrigin(dimension: int = 2) -> Surface:
    """A bowl full of dents: f = 10 d + sum of x_i² - 10 cos(2 pi x_i). The minimum is 0, at the origin."""
    _at_least("rastrigin", dimension, 1)

    def value(x: Tensor) -> Tensor:
        return (x.square() + 10 - 10 * torch.cos(2 * math.pi * x)).sum(-1)

    def slope(x: Tensor) -> Tensor:
        return 2 * x + 20 * math.pi * torch.sin(2 * math.pi * x)

    def curvature(x: Tensor) -> Tensor:
        return torch.diag_embed(2 + 40 * math.pi**2 * torch.cos(2 * math.pi * x))

    return Surface(
        "rastrigin",
        "Σ xᵢ² + 10 - 10 cos 2πxᵢ",
        value,
        dimension,
        minima=((0.0,) * dimension,),
        minimum=0.0,
        window=(-5.12, 5.12, -5.12, 5.12),
        start=(3.3,) * (dimension - 1) + (-2.3,),
        slope=slope,
        curvature=curvature,
    )


def ackley(dimension: int = 2) -> Surface:
    """A funnel in a dented plain: f = 20 - 20 exp(-0.2 rms(x)) + e - exp(mean of cos(2 pi x_i)).

    The minimum is 0, at the origin, where the funnel has a tip: there is no gradient there, and `gradient` says 0.
    """
    _at_least("ackley", dimension, 1)

    def value(x: Tensor) -> Tensor:
        size = x.square().mean(-1).sqrt()
        return 20 - 20 * torch.exp(-0.2 * size) + math.e - torch.exp(torch.cos(2 * math.pi * x).mean(-1))

    def slope(x: Tensor) -> Tensor:
        size = x.square().mean(-1, keepdim=True).sqrt()
        funnel = 4 * torch.exp(-0.2 * size) * x / (dimension * size)
        funnel = torch.where(size == 0, 0.0, funnel)
        waves = torch.exp(torch.cos(2 * math.pi * x).mean(-1, keepdim=True))
        return funnel + waves * torch.sin(2 * math.pi * x) * (2 * math.pi / dimension)

    return Surface(
        "ackley",
        "20 - 20 exp(-0.2 rms x) + e - exp(mean cos 2πxᵢ)",
        value,
        dimension,
        minima=((0.0,) * dimension,),
        minimum=0.0,
        window=(-5.0, 5.0, -5.0, 5.0),
        start=(2.6,) * (dimension - 1) + (-1.7,),
        slope=slope,
    )


def _at_least(name: str, dimension: object, least: int) -> None:
    if isinstance(dimension, bool) or not isinstance(dimension, int) or not least <= dimension <= MOST:
        raise SettingError(
            f"{name}.dimension is {dimension!r}; it must be a whole number, {least} or more, up to {MOST}."
        )

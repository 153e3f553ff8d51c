"""Quadratic surfaces f = 1/2 (x - m)' A (x - m) of any dimension: the lecture's ravines, rotated ones, noisy ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.landscapes.surface import Surface
from ravine.randomness import generator

__all__ = ["booth", "bowl", "from_matrix", "noisy", "quadratic", "ravine10", "ravine50", "rotation"]

MOST = 4096  # dimensions: A has their square


def from_matrix(
    name: str,
    formula: str,
    matrix: Tensor,
    *,
    center: Sequence[float] = (),
    window: tuple[float, float, float, float] = (-5.0, 5.0, -5.0, 5.0),
    start: Sequence[float] = (),
    noise: float = 0.0,
) -> Surface:
    """The quadratic 1/2 (x - m)' A (x - m) of a symmetric positive definite A, [d, d]; m is `center`, 0 if not given.

    Raises SettingError when A is not symmetric (to 1e-9 of its largest entry) or not positive definite.
    """
    a = _definite(name, matrix)
    size = len(a)
    places = torch.tensor(tuple(center) or (0.0,) * size, dtype=torch.float64)
    diagonal = a.diagonal().clone() if torch.equal(a, torch.diag(a.diagonal())) else None
    moved = bool(places.any())

    def slope(x: Tensor) -> Tensor:
        from_center = x - places.to(x) if moved else x
        return from_center * diagonal.to(x) if diagonal is not None else from_center @ a.to(x)

    def value(x: Tensor) -> Tensor:
        from_center = x - places.to(x) if moved else x
        return 0.5 * (from_center * slope(x)).sum(-1)

    def curvature(x: Tensor) -> Tensor:
        return a.to(x).expand(*x.shape, size)

    return Surface(
        name,
        formula,
        value,
        size,
        minima=(tuple(places.tolist()),),
        minimum=0.0,
        window=window,
        start=tuple(start),
        quadratic=a,
        noise=noise,
        slope=slope,
        curvature=curvature,
    )


def _definite(name: str, matrix: Tensor) -> Tensor:
    """The matrix in float64, exactly symmetric, if it may be the matrix of a quadratic."""
    a = torch.as_tensor(matrix, dtype=torch.float64)
    if a.dim() != 2 or a.shape[0] != a.shape[1] or not len(a) or not bool(a.isfinite().all()):
        raise SettingError(f"the matrix of {name} has shape {list(a.shape)}; it must be [d, d] with finite numbers.")
    if not torch.allclose(a, a.mT, rtol=0, atol=1e-9 * float(a.abs().max())):
        raise SettingError(f"the matrix of {name} is not symmetric: write (A + A.T) / 2, which is the same function.")
    a = (a + a.mT) / 2
    least = float(torch.linalg.eigvalsh(a)[0])
    if not least > 0:
        raise SettingError(
            f"the matrix of {name} has the eigenvalue {least:.3g}; a quadratic with a minimum has positive ones alone: "
            "write 'saddle' for a surface without a minimum."
        )
    return a


def bowl() -> Surface:
    """The lecture's round bowl: one step of lr 0.5 reaches the minimum."""
    return _lecture("bowl", "x² + y²", 1)


def ravine10() -> Surface:
    """The lecture's ravine with a condition number of 10."""
    return _lecture("ravine10", "x² + 10 y²", 10)


def ravine50() -> Surface:
    """The lecture's ravine with a condition number of 50: descent converges for lr < 0.02."""
    return _lecture("ravine50", "x² + 50 y²", 50)


def _lecture(name: str, formula: str, steep: float) -> Surface:
    matrix = torch.diag(torch.tensor([2.0, 2 * steep], dtype=torch.float64))
    return from_matrix(
        name, formula, matrix, window=(-5.0, 5.0, -1.5, 1.5) if steep > 1 else (-5.0, 5.0, -3.0, 3.0), start=(4.0, 0.5)
    )


def booth() -> Surface:
    """Booth's function: a tilted ravine away from the origin, with eigenvalues 2 and 18."""
    matrix = torch.tensor([[10.0, 8.0], [8.0, 10.0]])
    return from_matrix(
        "booth",
        "(x + 2 y - 7)² + (2 x + y - 5)²",
        matrix,
        center=(1.0, 3.0),
        window=(-10.0, 10.0, -10.0, 10.0),
        start=(-8.0, 6.0),
    )


def noisy(kappa: float = 10.0, noise: float = 4.0, angle: float | None = None) -> Surface:
    """A ravine whose gradient carries mini-batch noise: eigenvalues 1 to kappa.

    noise: variance of the gradient in each coordinate. angle: as for `quadratic`.
    """
    plain = quadratic(kappa=kappa, angle=angle, noise=noise)
    assert plain.quadratic is not None
    formula = f"{plain.formula}, gradient + noise of variance {noise:g}"
    return from_matrix("noisy", formula, plain.quadratic, window=plain.window, start=plain.start, noise=noise)


def quadratic(
    eigenvalues: Sequence[float] | None = None,
    kappa: float | None = None,
    dimension: int | None = None,
    angle: float | None = None,
    seed: int | None = None,
    noise: float = 0.0,
) -> Surface:
    """The quadratic 1/2 x' A x with eigenvalues as given, or spread evenly on a log scale from 1 to kappa (>= 1; 10 if not given).

    dimension: 2 if not given, or the number of eigenvalues. angle: how far the axes of A are turned, in degrees,
    counter-clockwise, in 2-D. seed: turned at random instead, uniformly over all rotations; neither: not turned.

    >>> quadratic(eigenvalues=(1, 4), angle=90).quadratic.diag()
    tensor([4., 1.], dtype=torch.float64)
    """
    values = _eigenvalues(eigenvalues, kappa, dimension)
    size = len(values)
    if angle is not None and (size != 2 or seed is not None):
        why = "there is a seed too" if seed is not None else f"the dimension is {size}"
        raise SettingError(f"quadratic has angle {angle}, and {why}: an angle turns 2-D; write seed=0 for others.")
    turn = rotation(size, angle, seed)
    matrix = torch.diag(values) if turn is None else turn @ torch.diag(values) @ turn.mT
    span = f"{float(values.min()):g} to {float(values.max()):g}"
    turned = "" if turn is None else f", turned {angle:g}°" if angle is not None else ", turned at random"
    formula = f"½ xᵀA x, eigenvalues {span}{turned}"
    start = (4.0, 0.5) if size == 2 else (1.0,) * size
    return from_matrix("quadratic", formula, (matrix + matrix.mT) / 2, start=start, noise=noise)


def _eigenvalues(given: Sequence[float] | None, kappa: float | None, dimension: int | None) -> Tensor:
    if given is not None:
        values = torch.tensor([float(value) for value in given], dtype=torch.float64)
        if kappa is not None or dimension not in (None, len(values)):
            raise SettingError(
                f"quadratic has {len(values)} eigenvalues and kappa {kappa}, dimension {dimension}: "
                "write the eigenvalues alone, or kappa and dimension."
            )
        if not len(values) or not bool((values.isfinite() & (values > 0)).all()):
            raise SettingError(f"quadratic.eigenvalues is {tuple(given)}; they must be positive: write (1.0, 50.0).")
        return values
    kappa = 10.0 if kappa is None else kappa
    size = 2 if dimension is None else dimension
    if not isinstance(size, int) or not 1 <= size <= MOST:
        raise SettingError(f"quadratic.dimension is {size!r}; it must be a whole number from 1 to {MOST}.")
    if not 1 <= kappa < math.inf or (size == 1 and kappa != 1):
        raise SettingError(
            f"quadratic.kappa is {kappa!r} in {size} dimensions; it is the largest eigenvalue over the smallest: "
            "write 1 or more, and 1 in one dimension."
        )
    return torch.logspace(0, math.log10(kappa), size, dtype=torch.float64)


def rotation(dimension: int, angle: float | None = None, seed: int | None = None) -> Tensor | None:
    """The matrix [d, d] that turns by an angle in degrees, or at random (QR of Gaussians, Mezzadri 2007); None for neither."""
    if angle is not None:
        turn = math.radians(angle)
        c, s = math.cos(turn), math.sin(turn)
        return torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    if seed is None:
        return None
    draws = torch.randn(dimension, dimension, generator=generator(seed, "rotation"), dtype=torch.float64)
    q, r = torch.linalg.qr(draws)
    turned: Tensor = q * r.diagonal().sign()
    return turned

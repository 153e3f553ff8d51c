"""What a surface is: a function of a point with what is known of it.

Letters in shapes: d coordinates; every method takes any leading dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ravine.errors import SettingError

__all__ = ["Surface"]


@dataclass(frozen=True, eq=False)
class Surface:
    """A function of a point, [..., d] -> [...], with what is known of it.

    Gradient and Hessian are exact: by a formula where `slope` or `curvature` gives one, from the matrix of a
    quadratic, else by automatic differentiation. Neither holds the noise.
    Raises SettingError when the start, a minimum or the window does not fit the dimension.

    >>> bowl = Surface("bowl", "x² + y²", lambda x: x.square().sum(-1), dimension=2, start=(4.0, 0.5))
    >>> bowl.gradient(torch.tensor([[1.0, 2.0], [0.0, 3.0]]))
    tensor([[2., 4.],
            [0., 6.]])
    """

    name: str  # as it is asked for: "ravine50"
    formula: str  # for people: "x² + 50 y²"
    value: Callable[[Tensor], Tensor]  # [..., d] -> [...]
    dimension: int
    minima: tuple[tuple[float, ...], ...] = ()  # the global minimizers that are known
    minimum: float | None = None  # the value there
    window: tuple[float, float, float, float] = (-5.0, 5.0, -5.0, 5.0)  # what to look at: x from, to, y from, to
    start: tuple[float, ...] = ()  # a telling start; not given: all ones
    log: bool = False  # contours are clearer of log(f - minimum + eps)
    quadratic: Tensor | None = None  # A, [d, d] float64, where f = 1/2 (x - m)' A (x - m) with A > 0 and m the minimum
    noise: float = 0.0  # variance of the gradient's noise in each coordinate, as of mini-batches; 0: none
    slope: Callable[[Tensor], Tensor] | None = None  # the gradient's formula, [..., d] -> [..., d]
    curvature: Callable[[Tensor], Tensor] | None = None  # the Hessian's formula, [..., d] -> [..., d, d]

    def __post_init__(self) -> None:
        if not self.start:
            object.__setattr__(self, "start", (1.0,) * self.dimension)
        for what, point in (("start", self.start), *(("minimum", place) for place in self.minima)):
            if len(point) != self.dimension:
                raise SettingError(
                    f"{self.name} has {self.dimension} dimensions and its {what} {tuple(point)} has {len(point)}: "
                    f"write {self.dimension} numbers."
                )
        if self.quadratic is not None and not self.minima:
            raise SettingError(f"{self.name} has a matrix and no minimum: write minima=((0, 0),), where it is least.")
        left, right, bottom, top = self.window
        if not (left < right and bottom < top):
            raise SettingError(
                f"the window of {self.name} is {self.window}; it must be x from, x to, y from, y to with from < to: "
                "write window=(-5, 5, -5, 5)."
            )
        if not 0 <= self.noise < float("inf"):
            raise SettingError(f"the noise of {self.name} is {self.noise!r}; it is a variance: write 0 or more.")

    @property
    def center(self) -> Tensor:
        """The minimum m of a quadratic, [d] float64."""
        return torch.tensor(self.minima[0], dtype=torch.float64)

    def gradient(self, x: Tensor) -> Tensor:
        """The gradient at x [..., d], of the same shape."""
        if self.slope is not None:
            return self.slope(x)
        with torch.enable_grad():
            place = x.detach().requires_grad_()
            return _derivative(self.value(place), place).detach()

    def hessian(self, x: Tensor) -> Tensor:
        """The matrix of second derivatives at x [..., d], [..., d, d]."""
        if self.curvature is not None:
            return self.curvature(x)
        with torch.enable_grad():
            place = x.detach().requires_grad_()
            slope = _derivative(self.value(place), place, again=True)
            rows = [_derivative(slope[..., i], place, again=True) for i in range(self.dimension)]
            return torch.stack(rows, dim=-2).detach()


def _derivative(value: Tensor, place: Tensor, *, again: bool = False) -> Tensor:
    """Of each entry of value by its own row of place; zero where it does not depend on it."""
    if not value.requires_grad:
        return torch.zeros_like(place)
    (slope,) = torch.autograd.grad(value.sum(), place, create_graph=again, allow_unused=True, materialize_grads=True)
    return slope

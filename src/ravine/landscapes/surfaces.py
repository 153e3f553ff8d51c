"""Surfaces by name, by text, or from a function of the user's own. `SURFACES` is the only registry."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ravine.errors import SettingError, nearest
from ravine.landscapes.expression import expression
from ravine.landscapes.quadratics import booth, bowl, noisy, quadratic, ravine10, ravine50
from ravine.landscapes.surface import Surface
from ravine.landscapes.troubles import cliff, monkey_saddle, saddle
from ravine.landscapes.valleys import ackley, beale, himmelblau, rastrigin, rosenbrock

__all__ = ["SURFACES", "surface"]

SURFACES: dict[str, Callable[..., Surface]] = {
    "bowl": bowl,
    "ravine10": ravine10,
    "ravine50": ravine50,
    "quadratic": quadratic,
    "noisy": noisy,
    "booth": booth,
    "rosenbrock": rosenbrock,
    "beale": beale,
    "himmelblau": himmelblau,
    "rastrigin": rastrigin,
    "ackley": ackley,
    "saddle": saddle,
    "monkey_saddle": monkey_saddle,
    "cliff": cliff,
}
"""Every surface by name; each takes the numbers that shape it, and none must be given."""

SEEN = ("start", "window", "log", "noise")  # how a surface is looked at and met; may be said of any
KNOWN = ("name", "formula", "minima", "minimum", "quadratic")  # what its author says of a function of their own


def surface(source: str | Surface | Callable[[Tensor], Tensor], **numbers: Any) -> Surface:
    """A surface: a name of SURFACES, text in x and y, or a function of a tensor [..., d] with values [...].

    numbers: what the named surface takes (kappa=50, dimension=10), and for any of them start, window, log and
    noise. A function needs dimension=, and it and text may say name, formula, minima, minimum and quadratic.
    Raises SettingError for an unknown name, number, or part of the text, with the nearest known.

    >>> surface("rosenbrock", dimension=3).minima
    ((1.0, 1.0, 1.0),)
    >>> surface("x**2 + 10*sin(y)", start=(1, 2)).gradient(torch.tensor([1.0, 0.0]))
    tensor([ 2., 10.])
    """
    if isinstance(source, Surface):
        return dataclasses.replace(source, **_allowed(source.name, numbers, SEEN))
    if callable(source):
        return _from_function(source, numbers)
    if source in SURFACES:
        return _named(source, numbers)
    if source.strip().isidentifier() and source.strip() not in ("x", "y"):
        raise SettingError(
            f"there is no surface {source!r}; {nearest(source, SURFACES)} Or write a formula in x and y: 'x**2 + 10*y**2'."
        )
    given = _allowed(repr(source), numbers, (*SEEN, *KNOWN))
    return Surface(**{"name": source, "formula": source, "value": expression(source), "dimension": 2, **given})


def _named(name: str, numbers: dict[str, Any]) -> Surface:
    make = SURFACES[name]
    own = tuple(inspect.signature(make).parameters)
    _allowed(name, numbers, (*own, *SEEN))
    made = make(**{key: value for key, value in numbers.items() if key in own})
    seen = _allowed(name, {key: value for key, value in numbers.items() if key not in own}, SEEN)
    return dataclasses.replace(made, **seen) if seen else made


def _from_function(function: Callable[[Tensor], Tensor], numbers: dict[str, Any]) -> Surface:
    name = getattr(function, "__name__", type(function).__name__)
    given = _allowed(name, numbers, ("dimension", *SEEN, *KNOWN))
    size = given.get("dimension")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise SettingError(f"the function {name} has dimension {size!r}: write surface({name}, dimension=2).")
    found = function(torch.zeros(2, 3, size, dtype=torch.float64))
    if not isinstance(found, Tensor) or found.shape != (2, 3):
        got = f"shape {list(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise SettingError(
            f"the function {name} answers points of shape [2, 3, {size}] with {got}; it must give one value for each, "
            "shape [2, 3]: write x[..., 0] for the first coordinate, and sum over the last dimension alone."
        )
    return Surface(**{"name": name, "formula": name, "value": function, **given})


def _allowed(name: str, numbers: dict[str, Any], allowed: tuple[str, ...]) -> dict[str, Any]:
    """The numbers, points made tuples of floats; SettingError when one of them is not known."""
    for key in numbers:
        if key not in allowed:
            raise SettingError(f"the surface {name} takes no {key}; {nearest(key, allowed)}")
    found = dict(numbers)
    for key in {"start", "window"} & set(numbers):
        try:
            found[key] = tuple(float(value) for value in numbers[key])
        except (TypeError, ValueError) as refusal:
            raise SettingError(f"{key} of {name} is {numbers[key]!r}; write numbers, such as (4, 0.5).") from refusal
    if len(found.get("window", range(4))) != 4:
        raise SettingError(f"the window of {name} has {len(found['window'])} numbers: write x from, to, y from, to.")
    return found

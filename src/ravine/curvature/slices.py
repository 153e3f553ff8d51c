"""The loss along lines and over planes through parameter space, as numbers.

A slice is of the network in evaluation mode, over all examples of its objective, whose parameters stay as they are.
Points are evaluated one after another: stacked by vmap they took 0.4 to 0.6 of the time for batches of 100 rows or
fewer, where a point costs a tenth of a millisecond, and 1.1 to 1.8 times as much beyond (MLPs of 2,400 and 9,000
parameters, one thread).

Letters in shapes: P parameters, T and U points along an axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ravine.curvature.krylov import draw_vectors
from ravine.curvature.objective import Examples, Objective
from ravine.engines import Loss
from ravine.errors import ModelError, SettingError
from ravine.types import Task

__all__ = [
    "Line",
    "Plane",
    "along_gradient",
    "between",
    "filter_normalized",
    "line",
    "plane",
    "plane_through",
]


@dataclass(frozen=True)
class Line:
    """Losses along a line; inf or NaN where the network gives them."""

    along: str  # what a position of 1 means
    positions: tuple[float, ...]  # [T]
    losses: tuple[float, ...]  # [T]

    def record(self) -> dict[str, Any]:
        return {"along": self.along, "positions": list(self.positions), "losses": list(self.losses)}


@dataclass(frozen=True)
class Plane:
    """Losses over a plane: row i is at across[i], column j at along[j]."""

    axes: tuple[str, str]  # what a position of 1 means, along and across
    along: tuple[float, ...]  # [T]
    across: tuple[float, ...]  # [U]
    losses: tuple[tuple[float, ...], ...]  # [U][T]

    def record(self) -> dict[str, Any]:
        return {
            "axes": list(self.axes),
            "along": list(self.along),
            "across": list(self.across),
            "losses": [list(row) for row in self.losses],
        }


def line(objective: Objective, direction: Tensor, positions: Sequence[float], *, along: str = "direction") -> Line:
    """Losses at point + position * direction; direction: packed, [P]."""
    start = objective.point()
    losses = [_loss_at(objective, start + t * _direction(objective, direction)) for t in positions]
    return Line(along, tuple(positions), tuple(losses))


def plane(
    objective: Objective,
    first: Tensor,
    second: Tensor,
    along: Sequence[float],
    across: Sequence[float],
    *,
    axes: tuple[str, str] = ("first", "second"),
) -> Plane:
    """Losses at point + s * first + t * second, s of `along` and t of `across`; two eigenvectors, say, each [P]."""
    start = objective.point()
    first, second = _direction(objective, first), _direction(objective, second)
    losses = tuple(tuple(_loss_at(objective, start + s * first + t * second) for s in along) for t in across)
    return Plane(axes, tuple(along), tuple(across), losses)


def along_gradient(objective: Objective, rates: Sequence[float]) -> Line:
    """The loss after one plain step of each rate: position lr is point - lr * gradient."""
    return line(objective, -objective.gradient(), rates, along="learning rate of one step")


def filter_normalized(objective: Objective, seed: int) -> Tensor:
    """A random direction, [P], each of whose filters is as long as the network's own.

    Filters are the rows of a weight, [out, ...]. Biases and norms, of one dimension or none, stay where they are. So
    pictures of networks with other scales of their weights can be compared. Source: Li et al. 2018, section 4.
    """
    vector = draw_vectors(objective.size, 1, seed, "slice")[0].to(objective.device)
    parts = objective.layout.views(vector)
    scaled = [_as_long(parts[name], param.detach()) for name, param in zip(parts, objective.params, strict=True)]
    return objective.pack(scaled)


def between(
    first: nn.Module,
    second: nn.Module,
    data: Examples,
    loss: Task | Loss,
    positions: Sequence[float],
    *,
    batch: int = 1000,
) -> Line:
    """Losses on the straight line between two models of one structure: 0 is the first, 1 the second.

    Buffers of floating point, as batch norm's running statistics, are on the line too; others are the first's. Between
    the ends batch norm's statistics are then those of neither network. Source: Goodfellow et al. 2015.
    """
    objective, (here, there) = _joint([first, second], data, loss, batch)
    losses = [objective.loss_at(_mixed([(1 - t, here), (t, there)])) for t in positions]
    return Line("from the first model (0) to the second (1)", tuple(positions), tuple(losses))


def plane_through(
    models: Sequence[nn.Module],
    data: Examples,
    loss: Task | Loss,
    along: Sequence[float],
    across: Sequence[float],
    *,
    batch: int = 1000,
) -> Plane:
    """Losses over the plane through three models of one structure: the first at (0, 0), then (1, 0) and (0, 1).

    Positions are shares of the way, not distances. Buffers as in `between`. Source: Garipov et al. 2018.
    Raises ModelError unless there are three.
    """
    if len(models) != 3:
        raise ModelError(f"a plane goes through three models, got {len(models)}: for two write between(first, second).")
    objective, (here, right, up) = _joint(models, data, loss, batch)
    losses = tuple(
        tuple(objective.loss_at(_mixed([(1 - s - t, here), (s, right), (t, up)])) for s in along) for t in across
    )
    axes = ("from the first model (0) to the second (1)", "from the first model (0) to the third (1)")
    return Plane(axes, tuple(along), tuple(across), losses)


def _loss_at(objective: Objective, point: Tensor) -> float:
    return objective.loss_at(dict(zip(objective.layout.shapes, objective.unpack(point), strict=True)))


def _direction(objective: Objective, direction: Tensor) -> Tensor:
    if direction.shape != (objective.size,):
        raise SettingError(
            f"a direction has shape {list(direction.shape)}; {objective.name} has {objective.size} parameters: "
            f"give one number each, [{objective.size}], in the order of objective.layout."
        )
    return direction.double()


def _as_long(part: Tensor, param: Tensor) -> Tensor:
    """A part of a direction, its rows as long as those of the parameter; zero for one that has no rows."""
    if param.ndim < 2:
        return torch.zeros_like(part)
    rows, own = part.flatten(1), param.double().flatten(1)
    lengths: Tensor = own.norm(dim=1, keepdim=True) / rows.norm(dim=1, keepdim=True)
    return (rows * lengths).view_as(part)


def _joint(
    models: Sequence[nn.Module], data: Examples, loss: Task | Loss, batch: int
) -> tuple[Objective, list[dict[str, Tensor]]]:
    """An objective of the first model, and the values of each by name. Raises ModelError for another structure."""
    objective = Objective(models[0], data, loss, batch=batch)
    values = [_values(model, objective.device) for model in models]
    shapes = [{name: tensor.shape for name, tensor in each.items()} for each in values]
    for number, found in enumerate(shapes[1:], start=2):
        if found != shapes[0]:
            differing = sorted(name for name in {*found, *shapes[0]} if found.get(name) != shapes[0].get(name))
            raise ModelError(
                f"model {number} differs from the first in {', '.join(differing[:3])}: there is no straight line between "
                "networks of different structures."
            )
    return objective, values


def _values(model: nn.Module, device: torch.device) -> dict[str, Tensor]:
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor.detach().to(device) for name, tensor in named}


def _mixed(parts: Sequence[tuple[float, Mapping[str, Tensor]]]) -> dict[str, Tensor]:
    """The weighted sum of values by name, in float64 and then in their own dtype; whole numbers are the first's."""
    (_, first), mixed = parts[0], {}
    for name, tensor in first.items():
        if not tensor.is_floating_point():
            mixed[name] = tensor
            continue
        used = [share * values[name].double() for share, values in parts if share]
        mixed[name] = sum(used[1:], used[0]).to(tensor.dtype)
    return mixed

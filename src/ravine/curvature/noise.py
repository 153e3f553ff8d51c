"""How noisy a mini-batch gradient is, and the batch size at which more examples stop paying.

Letters in shapes: J groups, b examples of a group, P parameters, C groups at a time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from ravine.curvature.objective import Objective
from ravine.errors import DataError, SettingError
from ravine.randomness import permutation

__all__ = ["NoiseScale", "noise_scale"]

CHUNK_BYTES = 2**26
"""Gradients of so many bytes are held at once."""

LEAST_GROUPS = 30
"""Fewer say little of their own spread."""

Rows = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class NoiseScale:
    """The simple noise scale B = noise / signal, in examples, and what it is made of. Errors are standard errors."""

    scale: float  # inf where the signal is not above 0
    error: float
    noise: float  # trace of the covariance of one example's gradient
    noise_error: float
    signal: float  # squared norm of the true gradient, without bias: may come out below 0 near a minimum
    signal_error: float
    resolved: bool  # the signal is above twice its error; otherwise only `at_least` is known
    at_least: float  # the scale were the signal two standard errors larger
    suggested_batch: int  # the power of two nearest to the scale (to at_least, unresolved), of as many as there are
    groups: int  # J
    group_size: int  # b; 1: per-example gradients


def noise_scale(objective: Objective, *, groups: int = 1000, seed: int = 0, deadline: float = math.inf) -> NoiseScale:
    """B_simple = tr(covariance of a gradient) / |gradient|^2, unbiased in numerator and denominator.

    From gradients at two batch sizes, that of J groups of b examples each and that of all J b together:

        noise  <- b / (J - 1) * (sum |g_j|^2 - J |g|^2)
        signal <- |g|^2 - noise / (J b)

    Source: McCandlish et al. 2018, appendix A.1, with as many small batches as there are in place of one; b = 1 are
    per-example gradients. Errors by the jackknife over groups. Below B a step gains nearly in proportion to its batch,
    above it hardly; near a minimum the signal vanishes and B grows without limit.
    groups: at most so many are made, of examples drawn by seed; the up to b - 1 left over are not used. For a
    `deadline` (time.monotonic) larger groups are made and fewer, at least 30, as many as a first few let hope for.
    Raises DataError for fewer than 3 examples, SettingError for fewer than 3 groups.
    """
    if groups < 3:
        raise SettingError(f"groups is {groups}; the noise between gradients needs at least 3: 1000 are usual.")
    if objective.examples < 3:
        raise DataError(f"the noise between gradients needs at least 3 examples, got {objective.examples}.")
    size = max(1, objective.examples // _affordable(objective, groups, deadline))
    count = objective.examples // size
    order = permutation(objective.examples, seed, "curvature", "noise")[: count * size].to(objective.split.y.device)
    mean = _mean(objective, order)
    squares, dots = _squares_and_dots(objective, order.view(count, size), mean)
    return _from_groups(squares, dots, float(mean.square().sum()), size)


def _affordable(objective: Objective, groups: int, deadline: float) -> int:
    """How many gradients of groups will be there by the deadline."""
    if math.isinf(deadline):
        return groups
    few = torch.arange(min(objective.examples, 8), device=objective.split.y.device)
    began = time.monotonic()
    count = sum(len(rows) for rows in _gradients(objective, few[:, None]))
    each = (time.monotonic() - began) / count
    return min(groups, max(LEAST_GROUPS, int((deadline - time.monotonic()) / each)))


def _from_groups(squares: Tensor, dots: Tensor, whole: float, size: int) -> NoiseScale:
    """squares, dots: |g_j|^2 and g_j' g, [J]; whole: |g|^2."""
    count = len(squares)
    total = squares.sum()
    noise, signal = _parts(total, torch.full_like(total, whole), count, size)
    fewer = (count**2 * whole - 2 * count * dots + squares) / (count - 1) ** 2  # |g|^2 without group j
    noises, signals = _parts(total - squares, fewer, count - 1, size)
    signal_error = _jackknife(signals)
    least = float(signal) + 2 * signal_error
    resolved = bool(signal > 2 * signal_error)
    scale = float(noise / signal) if signal > 0 else math.inf
    at_least = float(noise) / least if least > 0 else math.inf
    return NoiseScale(
        scale=scale,
        error=_jackknife(noises / signals) if resolved else math.inf,
        noise=float(noise),
        noise_error=_jackknife(noises),
        signal=float(signal),
        signal_error=signal_error,
        resolved=resolved,
        at_least=at_least,
        suggested_batch=_power_of_two(scale if resolved else at_least, count * size),
        groups=count,
        group_size=size,
    )


def _parts(squares: Tensor, whole: Tensor, count: int, size: int) -> tuple[Tensor, Tensor]:
    noise = size / (count - 1) * (squares - count * whole)
    return noise, whole - noise / (count * size)


def _jackknife(without: Tensor) -> float:
    """Standard error of a statistic from its values with one of J groups left out, [J]."""
    count = len(without)
    return math.sqrt((count - 1) / count * float((without - without.mean()).square().sum()))


def _power_of_two(value: float, most: int) -> int:
    """The power of two nearest to value on a log scale, from 1 to `most`."""
    limit = int(math.log2(most))
    if value <= 1:
        return 1
    return 1 << (limit if math.isinf(value) else min(limit, round(math.log2(value))))


def _mean(objective: Objective, order: Tensor) -> Tensor:
    """The gradient over the examples `order`, [P]."""
    total = torch.zeros(objective.size, dtype=torch.float64, device=objective.device)
    for index in order.split(objective.batch):
        total += len(index) / len(order) * objective.pack(_slopes(objective, objective.rows(index)))
    return total


def _squares_and_dots(objective: Objective, groups: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    squares, dots = [], []
    for rows in _gradients(objective, groups):
        squares.append(rows.square().sum(1))
        dots.append(rows @ mean)
    return torch.cat(squares), torch.cat(dots)


def _gradients(objective: Objective, groups: Tensor) -> Iterator[Tensor]:
    """Gradients of groups [J, b] of examples, [C, P] at a time: by vmap, or one by one for a model that it refuses."""
    each = max(1, CHUNK_BYTES // (8 * objective.size))
    stacked = each > 1
    for chunk in groups.split(each):
        if stacked:
            try:
                yield _stacked(objective, chunk)
                continue
            except Exception:  # whatever vmap, or the model under it, raises: the plain way has the last word
                stacked = False
        yield torch.stack([objective.pack(_slopes(objective, objective.rows(index))) for index in chunk])


def _slopes(objective: Objective, rows: Rows) -> tuple[Tensor | None, ...]:
    return torch.autograd.grad(objective.loss_of(*rows), objective.params, allow_unused=True)


def _stacked(objective: Objective, chunk: Tensor) -> Tensor:
    x, y = (part.unflatten(0, chunk.shape) for part in objective.rows(chunk.flatten()))
    params = dict(zip(objective.layout.shapes, (param.detach() for param in objective.params), strict=True))

    def loss(values: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return objective.loss_function(functional_call(objective.module, values, (x,)), y)

    slopes = vmap(grad(loss), in_dims=(None, 0, 0))(params, x, y)
    return objective.pack([slopes[name] for name in params])

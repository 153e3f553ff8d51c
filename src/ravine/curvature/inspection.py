"""The front door: everything that is known about a network's loss surface at its parameters, in one record.

What is dear or seldom asked for comes last, so that a budget of time takes it away first: the ends of the spectrum,
then the Newton direction, the gradient noise, the density, the trace, the Gauss-Newton matrix.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from ravine.curvature.density import Density, Estimate, spectral_density
from ravine.curvature.lanczos import Eigenpairs, Extremes, extremes
from ravine.curvature.newton import angle, newton_direction
from ravine.curvature.noise import NoiseScale, noise_scale
from ravine.curvature.objective import Examples, Objective
from ravine.curvature.operators import Products, gauss_newton, hessian
from ravine.curvature.point import index_of, kind_of, unused_drop
from ravine.curvature.rates import largest_rate, steps_to_halve
from ravine.curvature.record import Curvature, Direction, NewtonAngle, Points
from ravine.curvature.trace import Trace, trace_of
from ravine.engines import Loss
from ravine.errors import SettingError
from ravine.types import Task

__all__ = ["inspect_model"]

LEAST_STEPS = 20
"""Fewer products say little of a spectrum."""

Found = TypeVar("Found")


def inspect_model(
    model: nn.Module,
    data: Examples,
    loss: Task | Loss,
    *,
    batch: int = 1000,
    top: int = 5,
    bottom: int = 1,
    tol: float = 1e-3,
    threshold: float = 1e-4,
    steps: int = 150,
    probes: int = 10,
    probe_steps: int = 60,
    lr: float | None = None,
    momentum: Sequence[float] = (0.9,),
    budget: float = math.inf,
    memory: int = 2**31,
    seed: int = 0,
) -> Curvature:
    """Measure the curvature of the mean loss of `model` over `data`, in evaluation mode.

    The model is copied: its parameters, buffers, gradients and mode stay bit for bit as they are, and no global random
    state is moved. The same seed gives the same record, up to the times in it and, under a budget, what fits.

    data: a split, or (inputs, targets). loss: a task, or a function (outputs, targets) -> mean. batch: examples at a time.
    top, bottom: eigenvalues of each end that are found one by one, to `tol` of their size or half the threshold. Of a
        network with no more parameters than `steps` all are found.
    threshold: share of the largest size of an eigenvalue below which one counts as zero.
    steps: products at most for the ends. probes, probe_steps: of the density.
    lr: the rate for steps_to_halve; None: the best of plain descent. momentum: of the heavy ball, each in [0, 1).
    budget: seconds; what does not fit is left out and noted. memory: bytes for kept graphs, and again for vectors.
    Raises ModelError, DataError or SettingError in one line for what cannot be inspected.

    >>> from ravine.models import mlp
    >>> x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    >>> found = inspect_model(mlp((4,), 3, hidden=8), (x, x[:, :3].argmax(1)), "classification")
    >>> found.max_lr == 2 / found.largest, found.kind in ("slope", "negative curvature here")
    (True, True)
    """
    _check(lr, momentum, budget, threshold, top, bottom)
    start = time.monotonic()
    objective = Objective(model, data, loss, batch=batch)
    value, (gradient, each) = objective.loss(), _timed(objective.gradient)
    work = _Work(objective, gradient, hessian(objective, memory=memory), start, budget, each, memory, seed)
    steps = _affordable(steps, objective.size, memory, work.notes)
    ends, taken = _timed(
        lambda: extremes(
            work.operator,
            largest=objective.size if objective.size <= steps else top,  # a small network has all its eigenvalues found
            smallest=bottom,
            tol=tol,
            floor=threshold / 2,
            steps=steps,
            seed=seed,
            deadline=start + 0.5 * budget,
        )
    )
    work.product_seconds = taken / ends.products
    if not ends.converged:
        work.notes.append(
            f"after {ends.products} products the ends of the spectrum are known to within the errors given, not to tol."
        )
    extras = _extras(work, ends, threshold * ends.scale, probes, probe_steps)
    return _record(work, value, ends, extras, threshold * ends.scale, top=top, lr=lr, momentum=momentum)


class _Extras(NamedTuple):
    """What a short budget does without."""

    newton: NewtonAngle | None
    noise: NoiseScale | None
    density: Density | None
    trace: Trace | None
    gauss_newton: Estimate | None


def _extras(work: _Work, ends: Extremes, floor: float, probes: int, probe_steps: int) -> _Extras:
    """In the order of `_Extras`, for each takes its part of the time that is left."""
    objective, seed = work.objective, work.seed
    newton = work.attempt("the way to the local minimum", 10, lambda: _newton(work, floor))
    noise = None
    if objective.examples >= 3:
        noise = work.attempt(
            "the gradient noise", 0, lambda: noise_scale(objective, seed=seed, deadline=work.share(0.3)), gradients=5
        )
    density = work.attempt(
        "the spectral density",
        2 * min(LEAST_STEPS, objective.size),
        lambda: _density(work, ends, floor, probes, probe_steps),
    )
    trace = work.attempt("the trace", 6, lambda: trace_of(work.operator, products=work.affords(60), seed=seed))
    fisher = work.attempt("the Gauss-Newton matrix", 30, lambda: _gauss_newton(work), gradients=2)
    return _Extras(newton, noise, density, trace, fisher)


def _timed(measure: Callable[[], Found]) -> tuple[Found, float]:
    """What it gives, and the seconds it took."""
    began = time.monotonic()
    return measure(), time.monotonic() - began


@dataclass
class _Work:
    """On what, the time and memory there are, what a product and a gradient take, and what had to be left out."""

    objective: Objective
    gradient: Tensor  # [P]
    operator: Products  # the Hessian
    started: float  # time.monotonic
    budget: float
    gradient_seconds: float
    memory: int
    seed: int
    product_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def deadline(self) -> float:
        return self.started + self.budget

    def affords(self, products: int, part: float = 0.5) -> int:
        """As many of these products as fit into this part of the time left."""
        left = self.deadline - time.monotonic()
        if math.isinf(left) or not self.product_seconds:
            return products
        return max(0, min(products, int(part * left / self.product_seconds)))

    def share(self, part: float) -> float:
        """The time, as of time.monotonic, when this part of what is left will have gone by."""
        now = time.monotonic()
        return now + part * (self.deadline - now)

    def attempt(self, name: str, products: int, measure: Callable[[], Found], *, gradients: int = 0) -> Found | None:
        """Measure, unless the products or gradients it needs do not fit into the time."""
        left = self.deadline - time.monotonic()
        if products * self.product_seconds + gradients * self.gradient_seconds <= left and self.affords(6) >= 6:
            return measure()
        self.notes.append(f"{name} was left out: {max(left, 0):.1f} s were left of the budget.")
        return None


def _affordable(steps: int, size: int, memory: int, notes: list[str]) -> int:
    most = memory // (8 * size)
    if most < min(LEAST_STEPS, size):
        raise SettingError(
            f"memory is {memory} bytes, room for {most} vectors of {size} parameters; at least {LEAST_STEPS} are needed: write "
            f"memory={LEAST_STEPS * 8 * size}."
        )
    if most < min(steps, size):
        notes.append(f"{most} products at most for the ends of the spectrum: no more vectors fit the memory.")
    return min(steps, most)


def _newton(work: _Work, floor: float) -> NewtonAngle:
    way = newton_direction(work.operator, work.gradient, damping=floor, deadline=work.share(0.3))
    return NewtonAngle(
        degrees=angle(-work.gradient, way.vector),
        change=way.change,
        damping=floor,
        decrease=way.decrease,
        length=float(way.vector.norm()),
    )


def _density(work: _Work, ends: Extremes, floor: float, probes: int, steps: int) -> Density:
    if ends.complete:
        none = ends.values.new_zeros(1, 1)
        return Density(none, none, ends.values, work.operator.size)
    products = work.affords(probes * steps, 0.7)
    steps = min(steps, max(LEAST_STEPS, products // 2))
    probes = max(2, min(probes, products // steps))
    return spectral_density(
        work.operator, probes=probes, steps=steps, outliers=_known(ends, floor), seed=work.seed, memory=work.memory // 2
    )


def _known(ends: Extremes, floor: float) -> Eigenpairs:
    """The eigenpairs beyond the floor that are known to a hundredth, of both ends."""
    up, down = ends.largest, ends.smallest
    above = (up.values > floor) & (up.errors < 0.01 * up.values)
    below = (down.values < -floor) & (down.errors < -0.01 * down.values)
    return Eigenpairs(
        torch.cat([up.values[above], down.values[below]]),
        torch.cat([up.errors[above], down.errors[below]]),
        torch.cat([up.vectors[above], down.vectors[below]]),
    )


def _gauss_newton(work: _Work) -> Estimate:
    operator = gauss_newton(work.objective, memory=work.memory)
    found = extremes(operator, smallest=0, tol=1e-2, steps=100, seed=work.seed, deadline=work.deadline)
    return Estimate(float(found.largest.values[0]), float(found.largest.errors[0]))


def _record(
    work: _Work,
    value: float,
    ends: Extremes,
    extras: _Extras,
    floor: float,
    *,
    top: int,
    lr: float | None,
    momentum: Sequence[float],
) -> Curvature:
    objective, gradient, density = work.objective, work.gradient, extras.density
    norm = float(gradient.norm())
    drop = unused_drop(norm, ends.scale, value)
    largest = float(ends.largest.values[0])
    least = _least_positive(ends, density, floor)
    used = lr if lr is not None else (2 / (largest + least) if least else math.inf)
    moments = () if density is None else tuple(density.moment(order) for order in (1, 2, 3, 4))
    rank = objective.size * moments[0].value ** 2 / moments[1].value if moments and moments[1].value > 0 else None
    return Curvature(
        parameters=objective.size,
        examples=objective.examples,
        dtype=str(objective.layout.dtype).removeprefix("torch."),
        loss=value,
        gradient_norm=norm,
        kind=kind_of(drop, ends, floor),
        unused_drop=drop,
        index=index_of(ends, density, floor),
        threshold=floor,
        top=_directions(ends.largest.first(top), gradient, used),
        bottom=_directions(ends.smallest, gradient, used),
        condition=largest / least if least else math.inf,
        condition_exact=ends.complete,
        max_lr=largest_rate(largest),
        max_lr_momentum={f"{each:g}": largest_rate(largest, each) for each in momentum},
        lr=used,
        lr_given=lr is not None,
        trace=extras.trace,
        effective_rank=rank,
        density=None if density is None else _points(density, moments),
        gauss_newton=extras.gauss_newton,
        noise=extras.noise,
        newton=extras.newton,
        converged=ends.converged,
        products=work.operator.count,
        seconds=time.monotonic() - work.started,
        gradient_seconds=work.gradient_seconds,
        notes=tuple(work.notes),
        ends=ends,
    )


def _directions(pairs: Eigenpairs, gradient: Tensor, lr: float) -> tuple[Direction, ...]:
    total = float(gradient.square().sum())
    shares = ((pairs.vectors @ gradient).square() / total).tolist() if total else [0.0] * len(pairs)
    found = zip(pairs.values.tolist(), pairs.errors.tolist(), shares, strict=True)
    return tuple(Direction(value, error, share, steps_to_halve(value, lr)) for value, error, share in found)


def _least_positive(ends: Extremes, density: Density | None, floor: float) -> float:
    """The smallest eigenvalue above the floor, as far as it is known; 0 when there is none."""
    seen = [ends.values]
    if density is not None and not ends.complete:
        seen.append(
            density.nodes[density.weights * density.size > 0.5]
        )  # a point of less than half an eigenvalue is none
    values = torch.cat(seen)
    above = values[values > floor]
    return float(above.min()) if len(above) and floor > 0 else 0.0


def _points(density: Density, moments: tuple[Estimate, ...]) -> Points:
    live = density.weights > 0
    nodes, weights = density.nodes[live], (density.weights / len(density.nodes))[live]
    return Points(
        nodes=(*nodes.tolist(), *density.outliers.tolist()),
        weights=(*weights.tolist(), *[1 / density.size] * len(density.outliers)),
        moments=moments,
    )


def _check(lr: float | None, momentum: Sequence[float], budget: float, threshold: float, top: int, bottom: int) -> None:
    if lr is not None and not 0 < lr < math.inf:
        raise SettingError(f"lr is {lr!r}; it must be above 0: leave it out for the best rate of plain descent.")
    for each in momentum:
        if not 0 <= each < 1:
            raise SettingError(f"momentum is {each!r}; it must lie in [0, 1): 0.9 is usual.")
    if top < 1 or bottom < 1:
        raise SettingError(f"top is {top} and bottom {bottom}: ask for at least one eigenvalue of each end.")
    if not budget > 0:
        raise SettingError(f"budget is {budget!r} seconds; it must be above 0: leave it out for all the time it takes.")
    if not 0 < threshold < 1:
        raise SettingError(f"threshold is {threshold!r}, a share of the largest eigenvalue: write 1e-4.")

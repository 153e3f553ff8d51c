"""Paths of rules over a surface: every rule, rate and start walks at once, as a population of points.

The gradient is taken once a step for all of them. What has to be known of a path - its losses, whether it has
converged or left for good - is worked out afterwards, a block of steps at a time, and those that have stopped
are taken out before the next block.

Letters in shapes: N configurations, R places recorded, d coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.landscapes.card import drawn
from ravine.landscapes.crowd import Configuration, Crowd
from ravine.landscapes.named_rules import named_rule
from ravine.landscapes.searchers import Searchers, searchers
from ravine.landscapes.surface import Surface
from ravine.rules import Method, Rule
from ravine.rules.rule import check_range

__all__ = ["FAR", "TOLERANCE", "Configuration", "Path", "Paths", "follow", "walk"]

TOLERANCE = 1e-12
"""A path has converged when neither its gradient nor its last move has a larger coordinate."""

FAR = 100.0
"""A path has diverged when a coordinate is larger than so many times the largest of the window and of its start."""

Stopped = Literal["steps", "converged", "diverged"]

BLOCKS = (8, 256)  # places recorded in the first block and, doubled from block to block, in the largest


@dataclass(frozen=True, eq=False)
class Path:
    """Where one configuration went.

    points: the start first. Of a rule that averages on the side they are the averages; of SGD(nesterov=True) they
    are the x of Nesterov's own form, with the gradient taken ahead of them, as the lecture draws them.
    stopped: "steps": all were taken. "converged": neither the gradient at the last point nor the last move has a
    coordinate above the tolerance (a saddle or a local minimum counts too), or a method found no better place.
    "diverged": the next point was not finite, or too far away (FAR); the last point is the last good one.
    """

    rule: Rule | Method
    lr: float
    start: tuple[float, ...]
    points: Tensor  # [R, d] float64
    losses: Tensor  # [R] float64, without noise
    stopped: Stopped
    every: int = 1  # steps from one point to the next
    surface: Surface | None = None  # that it lies on

    def _repr_html_(self) -> str:
        return Paths([self])._repr_html_()

    @property
    def steps(self) -> int:
        """How many steps lead to the last point."""
        return (len(self.points) - 1) * self.every


class Paths(list[Path]):
    """Paths over one surface, which a notebook draws."""

    def _repr_html_(self) -> str:
        return drawn(self)


def walk(
    surface: Surface,
    rules: Rule | Method | str | Sequence[Rule | Method | str],
    *,
    lrs: float | Sequence[float] | Sequence[Sequence[float]],
    starts: Sequence[float] | Sequence[Sequence[float]] | Tensor | None = None,
    steps: int = 100,
    every: int = 1,
    seed: int = 0,
    tolerance: float | None = TOLERANCE,
    far: float = FAR,
) -> Paths:
    """The path of every rule x rate x start, in that order; the starts vary fastest.

    lrs: rates for all rules, or one list of rates for each rule. starts: a point or several; the surface's own if
    not given. The rest is as for `follow`.

    >>> from ravine.landscapes import surface
    >>> slow, fast = walk(surface("ravine50"), "gd", lrs=[0.01, 0.03], steps=200)
    >>> slow.stopped, fast.stopped, fast.steps
    ('steps', 'diverged', 9)
    """
    listed = [rules] if isinstance(rules, Rule | Method | str) else list(rules)
    named = [named_rule(rule) if isinstance(rule, str) else rule for rule in listed]
    if not named:
        raise SettingError("there are no rules to walk: write 'gd', or a list of rules.")
    configurations = [
        Configuration(rule, lr, start)
        for rule, rates in zip(named, _rates(lrs, len(named)), strict=True)
        for lr in rates
        for start in _starts(surface, starts)
    ]
    return follow(surface, configurations, steps=steps, every=every, seed=seed, tolerance=tolerance, far=far)


@torch.no_grad()
def follow(
    surface: Surface,
    configurations: Sequence[Configuration],
    *,
    steps: int = 100,
    every: int = 1,
    seed: int = 0,
    tolerance: float | None = TOLERANCE,
    far: float = FAR,
) -> Paths:
    """The path of each configuration, in float64.

    steps: how many to take, a multiple of `every`: of so many steps one is recorded. seed: of the noise, which is a
    function of (seed, step, place in the list). tolerance, far: see TOLERANCE and FAR; a tolerance of None never stops
    a path. A second-order method's rate is its field lr, and a step is one of its line searches.
    Raises SettingError for a start of another dimension, one where the surface or its gradient is not finite, a rate
    that is not finite, or a method on a noisy surface.

    >>> from ravine.landscapes import surface
    >>> from ravine.rules import SGD
    >>> (path,) = follow(surface("bowl"), [Configuration(SGD(), 0.25, (4.0, 2.0))], steps=2)
    >>> path.points.tolist(), path.losses.tolist(), path.stopped
    ([[4.0, 2.0], [2.0, 1.0], [1.0, 0.5]], [20.0, 5.0, 1.25], 'steps')
    """
    _check_counts(steps, every)
    check_range("walk", "far", far, 0.0)
    check_range("walk", "tolerance", 0.0 if tolerance is None else tolerance, 0.0)
    starts = _checked_starts(surface, configurations)
    record = _Record(surface, configurations, starts, steps // every, tolerance, far)
    walkers: list[Crowd | Searchers] = [
        Crowd(surface, configurations, starts, seed),
        *searchers(surface, configurations, starts),
    ]
    step, size = 0, BLOCKS[0]
    while step < steps and any(walker.alive for walker in walkers):
        count = min(size, (steps - step) // every)
        for walker in walkers:
            if walker.alive:
                record.note(walker, step // every, walker.block(step, count, every))
                walker.keep(record.running)
        step, size = step + count * every, min(2 * size, BLOCKS[1])
    return record.paths(every)


class _Record:
    """What is known of the paths while they are walked."""

    def __init__(
        self,
        surface: Surface,
        configurations: Sequence[Configuration],
        starts: Tensor,
        places: int,
        tolerance: float | None,
        far: float,
    ) -> None:
        self.surface, self.configurations, self.tolerance = surface, configurations, tolerance
        number, size = starts.shape
        self.points = torch.empty(places + 1, number, size, dtype=torch.float64)
        self.losses = torch.empty(places + 1, number, dtype=torch.float64)
        self.points[0], self.losses[0] = starts, surface.value(starts)
        widest = max(abs(edge) for edge in surface.window)
        self.limit = far * starts.abs().amax(-1).clamp(min=widest)  # [N]
        self.length = torch.full((number,), places + 1)  # places of each path, the start included
        self.why: list[Stopped] = ["steps"] * number
        self.running = torch.ones(number, dtype=torch.bool)

    def note(self, walker: Crowd | Searchers, place: int, block: Tensor) -> None:
        """A block [B, n, d] of the places after `place`, of its n configurations."""
        who, rows = walker.who, slice(place + 1, place + 1 + len(block))
        losses = self.surface.value(block)
        if torch.equal(who, torch.arange(len(self.configurations))):  # no copy through an index
            self.points[rows], self.losses[rows] = block, losses
        else:
            self.points[rows, who], self.losses[rows, who] = block, losses
        good = losses.isfinite() & (block.abs().amax(-1) <= self.limit[who])  # NaN compares as False
        self._stop(who, place + 1, ~good, "diverged")
        if self.tolerance is not None:
            before = torch.cat((self.points[place, who][None], block[:-1]))
            still = ((block - before).abs().amax(-1) <= self.tolerance) & good
            if bool(still.any()):  # rare; the gradients of the whole block are not
                level = self.surface.gradient(block).abs().amax(-1) <= self.tolerance
                self._stop(who, place + 2, (still & level) | (still & walker.done), "converged")

    def _stop(self, who: Tensor, first: int, event: Tensor, why: Stopped) -> None:
        """End the paths for which the event [B, n] came, with `first` places if it came at once; the earliest counts."""
        came, at = event.max(0)
        length = torch.where(came, at + first, self.length[who])
        for k in who[length < self.length[who]].tolist():
            self.why[k] = why
        self.length[who] = torch.minimum(length, self.length[who])
        self.running[who[came]] = False

    def paths(self, every: int) -> Paths:
        found = Paths()
        for k, (rule, lr, start) in enumerate(self.configurations):
            rows = slice(0, int(self.length[k]))
            points, losses = self.points[rows, k].clone(), self.losses[rows, k].clone()
            found.append(Path(rule, lr, tuple(start), points, losses, self.why[k], every, self.surface))
        return found


def _check_counts(steps: int, every: int) -> None:
    for name, value, least in (("steps", steps, 0), ("every", every, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise SettingError(f"{name} is {value!r}; it must be a whole number, {least} or more.")
    if steps % every:
        raise SettingError(
            f"steps is {steps} and every {every} of them one is recorded: write a multiple, steps={steps - steps % every}."
        )


def _checked_starts(surface: Surface, configurations: Sequence[Configuration]) -> Tensor:
    """The starts, [N, d] float64, once all that is given can be walked."""
    for rule, lr, start in configurations:
        name = type(rule).__name__
        if not isinstance(rule, Rule | Method):
            raise SettingError(f"{rule!r} is not a rule: write one of ravine.rules, such as SGD(momentum=0.9).")
        for key, value in vars(rule).items():
            if isinstance(value, Tensor):
                raise SettingError(f"{name}.{key} is {value.tolist()}; write a rule for each number, walked together.")
        if not (isinstance(lr, int | float) and 0 <= lr < math.inf):
            raise SettingError(f"the rate of {name} is {lr!r}; it must be a finite number, 0 or more.")
        if isinstance(rule, Method) and surface.noise:
            raise SettingError(f"{name} searches along lines and needs a surface without noise: write noise=0.")
        if len(start) != surface.dimension:
            raise SettingError(
                f"the start {tuple(start)} has {len(start)} coordinates and {surface.name} has {surface.dimension}: "
                f"write {surface.dimension} numbers."
            )
    starts = torch.tensor([list(c.start) for c in configurations], dtype=torch.float64).reshape(-1, surface.dimension)
    finite = surface.value(starts).isfinite() & surface.gradient(starts).isfinite().all(-1)
    for k in (~finite).nonzero().flatten().tolist():
        raise SettingError(
            f"{surface.name} is not finite at the start {configurations[k].start}: its value is "
            f"{float(surface.value(starts[k])):g}, its gradient {surface.gradient(starts[k]).tolist()}; start elsewhere."
        )
    return starts


def _rates(lrs: float | Sequence[float] | Sequence[Sequence[float]], rules: int) -> list[list[float]]:
    """One list of rates for each rule."""
    given: list[object] = [lrs] if isinstance(lrs, int | float) else list(lrs)
    nested = [isinstance(part, Sequence) for part in given]
    if not given or (any(nested) and (not all(nested) or len(given) != rules)):
        raise SettingError(
            f"lrs is {lrs!r} for {rules} rules: write the rates of all, [0.01, 0.1], or one list for each rule."
        )
    if nested[0]:
        return [list(part) for part in cast(list[Sequence[float]], given)]
    return [cast(list[float], given)] * rules


def _starts(
    surface: Surface, starts: Sequence[float] | Sequence[Sequence[float]] | Tensor | None
) -> list[tuple[float, ...]]:
    """The starts as points."""
    if starts is None:
        return [surface.start]
    rows: list[object] = starts.tolist() if isinstance(starts, Tensor) else list(starts)
    if not rows:
        raise SettingError("starts is empty: write a point, such as (4, 0.5), or several.")
    if not isinstance(rows[0], Sequence):
        rows = [rows]
    return [tuple(float(value) for value in cast(Sequence[float], row)) for row in rows]

"""The curvature of a run's best model, measured and written down: `ravine inspect` and `ravine tune --inspect`.

The loss is that of the task alone, over a fixed sample of one split, in evaluation mode: no penalties, no dropout, no
augmentation. So it is a function of the parameters, and not quite what was trained on.

Letters in shapes: G points of a grid.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ravine.curvature import Curvature, Density, Objective, inspect_model
from ravine.data import Split
from ravine.recipe.loss_slices import Slices, loss_slices
from ravine.recipe.sharpness import LEAST, affordable, sample, stable_below
from ravine.training import Setting
from ravine.types import Task

__all__ = ["EXAMPLES", "Inspection", "Spectrum", "inspect_trained", "summary", "trained_with"]

EXAMPLES = 2000
"""Looked at unless told otherwise."""

COST = 400  # gradients that all of it costs, by experience, where the network is small beside its data
CURVATURE = 0.65  # of the time is for the record of curvature, the rest for slices
PROBES, PROBE_STEPS, TOL = 5, 30, 5e-3  # of the density and of the eigenvalues: what a table and a picture can show
WIDTH = 0.01  # of the spectrum's range: how far a point of the density is spread for the picture
GRID = 400


@dataclass(frozen=True)
class Spectrum:
    """The density as a curve: how many eigenvalues lie about here, one that stands alone counting 1 at its place."""

    eigenvalue: tuple[float, ...]  # [G]
    count: tuple[float, ...]  # [G]
    width: float  # standard deviation of the bell each point is spread to

    def record(self) -> dict[str, Any]:
        return {"eigenvalue": list(self.eigenvalue), "count": list(self.count), "width": self.width}


@dataclass(frozen=True)
class Inspection:
    """What was found out about the loss surface around a trained network."""

    split: str  # train, validation, or the name of other data
    of: int  # examples in the split; `curvature.examples` of them were looked at
    task: Task
    trial: int
    optimizer: str  # that trained it, with its peak rate, momentum and batch size
    lr: float
    momentum: float | None
    batch_size: int
    stable_below: float | None  # the rate below which this very optimizer converges; None where theory has none
    curvature: Curvature
    spectrum: Spectrum | None
    slices: Slices
    notes: tuple[str, ...]
    seconds: float

    def record(self) -> dict[str, Any]:
        """inspection.json; what is not finite is None."""
        plain = dict(vars(self))
        parts: dict[str, Any] = {"curvature": self.curvature.record(), "slices": self.slices.record()}
        parts["spectrum"] = None if self.spectrum is None else self.spectrum.record()
        limit = self.stable_below
        return {**plain, **parts, "stable_below": limit, "notes": list(self.notes), "seconds": round(self.seconds, 3)}


def inspect_trained(
    model: nn.Module,
    split: Split,
    task: Task,
    setting: Setting,
    *,
    trial: int,
    name: str = "train",
    other: nn.Module | None = None,
    examples: int = EXAMPLES,
    seconds: float = math.inf,
    lr: float | None = None,
    momentum: float = 0.9,
    notes: Sequence[str] = (),
    seed: int = 0,
) -> Inspection:
    """Measure a trained model on a sample of a split, in about so many seconds.

    setting: that it was trained with. other: a model of the same structure, for the slice between the two.
    lr: the rate that steps to halve the loss are for; None: the best one of plain descent. momentum: of heavy ball.
    Raises ModelError, DataError or SettingError for what cannot be inspected.
    """
    began = time.monotonic()
    count = min(examples, max(LEAST, affordable(Objective(model, sample(split, LEAST, seed), task), COST, seconds)))
    if count < min(examples, len(split)):
        notes = (*notes, f"{count:,} examples are looked at: of more, less could be measured in the time there is.")
    rows = sample(split, count, seed)
    found = inspect_model(
        model,
        rows,
        task,
        tol=TOL,
        probes=PROBES,
        probe_steps=PROBE_STEPS,
        lr=lr,
        momentum=sorted({0.9, momentum}),
        budget=CURVATURE * seconds,
        seed=seed,
    )
    slices = loss_slices(Objective(model, rows, task), found, other, deadline=began + seconds)
    return Inspection(
        split=name,
        of=len(split),
        task=task,
        trial=trial,
        optimizer=setting.optimizer,
        lr=setting.lr,
        momentum=_momentum(setting),
        batch_size=setting.batch_size,
        stable_below=stable_below(setting, found.largest),
        curvature=found,
        spectrum=_spectrum(found),
        slices=slices,
        notes=(*notes, *found.notes, *slices.notes),
        seconds=time.monotonic() - began,
    )


def summary(found: Inspection) -> str:
    """The one sentence for a person who waits: where the limit of plain descent is, and what kind of point this is."""
    curvature = found.curvature
    limit = (
        f"plain descent is stable below a rate of {curvature.max_lr:.3g}"
        if curvature.largest > 0
        else "nothing curves up"
    )
    return (
        f"curvature on {curvature.examples:,} examples: largest eigenvalue {curvature.largest:.3g}, so {limit}; "
        f"the point is called: {curvature.kind}."
    )


def _momentum(setting: Setting) -> float | None:
    value = getattr(setting.rule(), "momentum", None)
    return None if value is None else float(value)


def _spectrum(found: Curvature) -> Spectrum | None:
    """The density's points as a curve; None where it was not measured or has no extent."""
    if found.density is None:
        return None
    low, high = min(found.smallest, *found.density.nodes), max(found.largest, *found.density.nodes)
    width = WIDTH * (high - low)
    if not width > 0:
        return None
    nodes, weights = torch.tensor([found.density.nodes]), torch.tensor([found.density.weights])
    nodes, weights = nodes.double(), weights.double()
    grid = torch.linspace(low - 4 * width, high + 4 * width, GRID, dtype=torch.float64)
    points = Density(nodes, weights, nodes.new_zeros(0), found.parameters)
    alone = found.parameters * width * math.sqrt(2 * math.pi)
    return Spectrum(tuple(grid.tolist()), tuple((alone * points.curve(grid, width)).tolist()), width)


def trained_with(hyperparameters: Mapping[str, Any], batch_size: int) -> Setting:
    """The setting that a model's record tells of. batch_size: of the run, where the record leaves it out."""
    return Setting(**{"batch_size": batch_size, **hyperparameters})

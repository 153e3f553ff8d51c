"""`inspection.json`, the curvature of a run's best model, as frozen values with checked fields.

As in `records`: a field that is missing here is one that the report cannot do without, and None stands for what was not
measured or is not finite. Letters: T points of a line, U x T of a plane, G of a curve.
"""

from __future__ import annotations

from typing import Literal

from ravine.reports.records import Number, Record

__all__ = ["CurvatureRecord", "Index", "Inspection", "LineSlice", "Noise", "PlaneSlice", "Spectrum"]


class Direction(Record):
    eigenvalue: float
    error: Number = None
    gradient_share: Number = None  # of the squared gradient norm
    steps_to_halve: Number = None  # None: never


class Index(Record):
    value: Number = None
    error: Number = None
    at_least: int = 0


class TraceEstimate(Record):
    value: float
    error: Number = None


class Noise(Record):
    scale: Number = None
    error: Number = None
    resolved: bool = False
    at_least: Number = None
    suggested_batch: int


class NewtonAngle(Record):
    degrees: Number = None
    change: Number = None


class CurvatureRecord(Record):
    parameters: int
    examples: int
    loss: float
    gradient_norm: float
    kind: str
    unused_drop: Number = None
    index: Index = Index()
    threshold: Number = None
    top: tuple[Direction, ...]  # falling
    bottom: tuple[Direction, ...]  # rising
    condition: Number = None
    condition_exact: bool = False
    max_lr: Number = None
    max_lr_momentum: dict[str, Number]  # by momentum
    lr: Number = None
    lr_given: bool = False
    trace: TraceEstimate | None = None
    effective_rank: Number = None
    noise: Noise | None = None
    newton: NewtonAngle | None = None
    converged: bool = True


class Spectrum(Record):
    """How many eigenvalues lie about each place, one that stands alone counting 1."""

    eigenvalue: tuple[float, ...]  # [G]
    count: tuple[Number, ...]  # [G]
    width: float


class LineSlice(Record):
    positions: tuple[float, ...]  # [T]
    losses: tuple[Number, ...]  # [T]
    predicted: tuple[Number, ...] = ()  # [T], by the local quadratic


class PlaneSlice(Record):
    along: tuple[float, ...]  # [T]
    across: tuple[float, ...]  # [U]
    losses: tuple[tuple[Number, ...], ...]  # [U][T]
    predicted: tuple[tuple[Number, ...], ...]  # [U][T]
    eigenvalues: tuple[float, float]
    minimum: tuple[float, float] | None = None  # of the local quadratic


class SliceRecord(Record):
    gradient: LineSlice | None = None
    eigenvectors: PlaneSlice | None = None
    between: LineSlice | None = None


class Inspection(Record):
    split: str
    of: int  # examples in the split
    task: Literal["classification", "regression"]
    trial: int
    optimizer: str
    lr: float  # peak rate in training
    momentum: Number = None
    batch_size: int
    stable_below: Number = None  # for this optimizer; None where theory has no such rate
    curvature: CurvatureRecord
    spectrum: Spectrum | None = None
    slices: SliceRecord = SliceRecord()
    notes: tuple[str, ...] = ()
    seconds: Number = None

"""The JSON records of a run folder, as frozen values with checked fields.

Each class mirrors one record or one part of it; a field that is missing here is a field the report cannot do
without. Unknown fields are kept by the evidence classes (the tables show them) and ignored by the others.
Letters: N initializations, K rates tried, R rates of the range test, S seeds, C classes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Answer",
    "Config",
    "CurveReading",
    "Diagnosis",
    "Evaluation",
    "Evidence",
    "Finding",
    "GridOrRandom",
    "Importance",
    "InitialLoss",
    "Learnt",
    "LeftOut",
    "LrRange",
    "MoreTrials",
    "Number",
    "Overfit",
    "OverfitCurve",
    "Record",
    "Reliability",
    "Result",
    "SearchSummary",
    "StartCurvature",
    "StepRecord",
    "Sweep",
    "Winner",
]

Number = float | None
"""None where the record holds null: not measured, or not finite."""

Scores = dict[str, Number]
"""`{"accuracy", "nll"}` (share of 1; nats per example) or `{"rmse", "r2"}` (units of the target; share)."""


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True, protected_namespaces=())


class Evidence(Record):
    """What a step measured; unknown fields are kept in `model_extra`."""

    model_config = ConfigDict(extra="allow")


class Data(Record):
    name: str
    target: str | None = None
    task: Literal["classification", "regression"]
    input_shape: tuple[int, ...]
    outputs: int
    classes: tuple[str, ...] = ()
    sizes: dict[str, int]  # examples in each split
    notes: tuple[str, ...] = ()
    fingerprint: str = ""


class Model(Record):
    name: str | None = None  # None when it was given as a Python object
    settings: dict[str, Any] = {}
    parameters: int | None = None


class Config(Record):
    """`config.json`: what was asked, of which data, with which versions."""

    ravine: str
    command: str = ""  # empty when the run was started from Python
    created: str
    data: Data
    model: Model
    seed: int
    budget_s: Number = None  # seconds of wall clock; None when no budget was given
    device: str
    versions: dict[str, str]


class StepRecord(Record):
    """`steps/*.json`: one verdict; `evidence` is checked apart, by the class of its step."""

    step: str
    status: Literal["pass", "warn", "fail"]
    summary: str
    evidence: dict[str, Any] = {}
    advice: tuple[str, ...] = ()
    seconds: Number = None


class InitialLoss(Evidence):
    expected: float
    mean: Number
    sd: Number
    tolerance: Number
    losses: tuple[Number, ...]  # [N]
    unit: str


class OverfitCurve(Record):
    step: tuple[int, ...] = ()
    loss: tuple[Number, ...] = ()
    metric: tuple[Number, ...] = ()


class Overfit(Evidence):
    samples: int
    batches: int
    batch_size: int
    optimizer: str
    goal: float
    metric: str
    rates: tuple[float, ...]  # [K]
    final_loss: tuple[Number, ...]  # [K]
    final_metric: tuple[Number, ...]  # [K]
    reached_at_step: tuple[int | None, ...]  # [K]
    best: int | None = None  # index into rates
    curve: OverfitCurve = OverfitCurve()  # of the best rate
    cause: str | None = None


class Sweep(Record):
    """The range test of one optimizer; rates are learning rates."""

    rates: tuple[float, ...]  # [R]
    initial_loss: Number = None
    final_loss: tuple[tuple[Number, ...], ...]  # [R, S]; None = diverged
    low: Number = None
    high: Number = None
    best: Number = None
    largest_safe: Number = None
    uncertainty_decades: Number = None
    steps: int | None = None
    seeds: int | None = None


class StartCurvature(Record):
    """Of the untrained network: its largest eigenvalue and what it says of each optimizer, or why it was left out."""

    largest: Number = None
    examples: int | None = None
    stable_below: dict[str, float] = {}  # by optimizer; those that theory has no rate for are absent
    left_out: str = ""
    said: str = ""


class LrRange(Evidence):
    optimizers: dict[str, Sweep]
    curvature: StartCurvature | None = None


class BestOfSearch(Record):
    trial: int
    hyperparameters: dict[str, Any] = {}
    validation: Scores = {}


class LeftOut(Record):
    """In the place of what a search could not teach."""

    applies: Literal[False]
    why: str


class ImportanceOfOne(Record):
    share: float  # of the whole, in [0, 1]
    low: float  # 90 % of its shares in random halves of the trials
    high: float
    chance: float  # how often shuffled results make it seem as important


class Importance(Record):
    applies: Literal[True]
    trials: int
    quantile: float  # the share of the trials that counts as the best
    importance: dict[str, ImportanceOfOne]  # by hyper-parameter


class MoreTrials(Record):
    """Gains in accuracy as a share of 1, or in rmse; never negative."""

    applies: Literal[True]
    trials: int  # N
    curve: tuple[tuple[int, float], ...] = Field(min_length=1)  # [N] of (number of trials, expected best value)
    doubling: float  # what N trials brought over N / 2
    low: float  # in 90 % of the resampled trials
    high: float
    before: float  # what N / 2 trials brought over N / 4


class NearGrid(Record):
    """The trials that lie nearest to the points of a grid, and as many taken at random."""

    trials: int
    best: float  # of those near the grid
    expected: float  # of those at random, on average
    low: float  # and in 90 % of the draws
    high: float


class AllTrials(Record):
    trials: int
    best: float


class GridOrRandom(Record):
    applies: Literal[True]
    parameters: tuple[str, str]
    searched: int  # ranges
    levels: int  # values of each on the grid
    distinct: dict[str, int]  # values of the first parameter: of the "grid" and at "random"
    one: NearGrid  # to the grid's values of the first parameter
    two: NearGrid  # to its points in the plane of both
    all: AllTrials
    places: tuple[tuple[int, float, float, Number, bool], ...] = Field(min_length=1)
    """Of each trial: its number, the places of both parameters in [0, 1], its value, whether it is near a point of the grid."""


class Learnt(Record):
    """What the trials of one phase have taught, compared at the step that most of them reached."""

    step: int | None = None
    trials: int
    importance: Annotated[Importance | LeftOut, Field(discriminator="applies")]
    more_trials: Annotated[MoreTrials | LeftOut, Field(discriminator="applies")]
    grid_or_random: Annotated[GridOrRandom | LeftOut, Field(discriminator="applies")]


class SearchSummary(Evidence):
    trials: int
    stopped_early: int = 0
    diverged: int = 0
    failed: int = 0  # raised, or found no memory
    epochs: int | None = None  # of the longest trial
    space: dict[str, Any] = {}
    best: BestOfSearch | None = None
    edges: tuple[str, ...] = ()
    learnt: Learnt | None = None


class CurveReading(Evidence):
    trial: int
    label: str
    train_metric: Number = None
    validation_metric: Number = None
    gap: Number = None
    gap_error: Number = None  # two standard errors
    slope_per_epoch: Number = None


class Answer(Record):
    """One way to predict: a model, an ensemble, Monte-Carlo dropout."""

    validation: Scores = {}
    test: Scores = {}
    temperature: Number = None  # fitted on the validation split


class Reliability(Record):
    """Accuracy by confidence, [bins]; None where a bin is empty."""

    confidence: tuple[Number, ...]
    accuracy: tuple[Number, ...]
    count: tuple[int, ...]


class Evaluation(Record):
    """`evaluation.json`: the numbers on the held-out split."""

    split: str
    task: str
    metric: str
    ensemble: str | None = None  # which of the answers is the ensemble
    answers: dict[str, Answer]
    confusion: tuple[tuple[int, ...], ...] | None = None  # [C, C], rows = true class, of the best model
    reliability: dict[str, Reliability] = {}
    predicted: tuple[Number, ...] | None = None
    actual: tuple[Number, ...] | None = None


class Winner(Record):
    trial: int | None = None
    hyperparameters: dict[str, Any] = {}
    validation: Scores | None = None
    test: Scores | None = None
    command: str | None = None


class Finding(Record):
    """A fault that a diagnosis has named."""

    fault: str
    confidence: float
    evidence: dict[str, Any] = {}
    where: str = ""
    advice: str = ""
    verified: str = ""  # what trying the advice has shown

    @property
    def alarm(self) -> bool:
        return self.confidence > 0.5


class Diagnosis(Record):
    """`diagnosis.json`, of a check."""

    findings: tuple[Finding, ...]  # the root first


class EnsembleRecord(Record):
    kind: str = ""
    size: int
    members: tuple[int, ...] = ()
    validation: Scores | None = None
    test: Scores | None = None


class Result(Record):
    """`result.json`: what the run handed back."""

    best: Winner | None = None
    ensemble: EnsembleRecord | None = None
    gain: str = ""  # of the ensemble over the best model, in a sentence
    elsewhere: str = ""  # what another driver of a shared study has found that is better, in a sentence
    trials: int | None = None
    seconds: Number = None
    out: str | None = None

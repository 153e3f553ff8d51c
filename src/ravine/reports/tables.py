"""The evidence of each step, and the results, as small tables of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch

from ravine.reports.inspection import CurvatureRecord, Index, Inspection, Noise
from ravine.reports.records import (
    CurveReading,
    EnsembleRecord,
    Evaluation,
    Evidence,
    Finding,
    InitialLoss,
    LrRange,
    Overfit,
    SearchSummary,
    Sweep,
)
from ravine.reports.wording import number, phrase, share, within

__all__ = [
    "Table",
    "curvature_scope",
    "curvature_table",
    "curvature_words",
    "evidence_table",
    "facts",
    "findings_table",
    "scores_table",
]

UNITS = {
    "accuracy": "accuracy",
    "nll": "NLL, nats per example",
    "ece": "ECE, 15 bins",
    "brier": "Brier score",
    "calibrated_nll": "NLL at the temperature",
    "calibrated_ece": "ECE at the temperature",
    "rmse": "RMSE, units of the target",
    "r2": "R²",
}
ANSWERS = {"best": "best model", "mc_dropout": "Monte-Carlo dropout"}


@dataclass(frozen=True)
class Table:
    """Rows of text; `columns` is empty when each row is a name and its value."""

    rows: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...] = ()


def facts(pairs: Mapping[str, object]) -> Table:
    """Names and values; those that were not measured (None, empty) are left out."""
    return Table(tuple((name, phrase(value)) for name, value in pairs.items() if value not in (None, "", (), [], {})))


def findings_table(findings: Sequence[Finding]) -> Table:
    """The faults that a diagnosis has named, and on what grounds."""
    rows = (
        (one.fault, share(one.confidence), one.where, one.verified or "not tried", said(one.evidence))
        for one in findings
    )
    return Table(tuple(rows), ("fault", "how sure", "where", "the advice, tried", "figures"))


def said(evidence: Mapping[str, object]) -> str:
    """Figures with their names in words; what is told for each layer or column is so many figures."""
    flat: dict[str, object] = {}
    for name, value in evidence.items():
        words = name.replace("_", " ")
        flat |= {f"{words} {key}": one for key, one in value.items()} if isinstance(value, Mapping) else {words: value}
    return phrase(flat)


@singledispatch
def evidence_table(measured: Evidence) -> Table:
    """What a step measured, named for a reader, and whatever else its record holds."""
    raise AssertionError(f"no table for {type(measured).__name__}")


def others(measured: Evidence) -> dict[str, object]:
    """The fields of a record that have no row of their own, when they are a number or a text."""
    extra = measured.model_extra or {}
    return {name.replace("_", " "): value for name, value in extra.items() if isinstance(value, (int, float, str))}


@evidence_table.register
def _(measured: InitialLoss) -> Table:
    return facts(
        {
            "expected loss": f"{number(measured.expected)} {measured.unit}",
            "mean over initializations": measured.mean,
            "standard deviation": measured.sd,
            "tolerance": f"± {number(measured.tolerance)}" if measured.tolerance is not None else None,
            "initializations": len(measured.losses),
            **others(measured),
        }
    )


@evidence_table.register
def _(measured: Overfit) -> Table:
    rows: dict[str, object] = {
        "examples": f"{measured.samples:,} in {measured.batches} mini-batches of {measured.batch_size}",
        "optimizer": measured.optimizer,
        "goal": f"{measured.metric} {number(measured.goal)}",
    }
    if measured.best is not None:
        rows |= {
            "best rate": measured.rates[measured.best],
            f"{measured.metric} at the end": measured.final_metric[measured.best],
            "loss at the end": measured.final_loss[measured.best],
            "goal reached at step": measured.reached_at_step[measured.best] or "not reached",
        }
    reached = sum(step is not None for step in measured.reached_at_step)
    rows["rates that reached it"] = f"{reached} of {len(measured.rates)}"
    rows["looks like"] = measured.cause
    return facts(rows | others(measured))


@evidence_table.register
def _(measured: LrRange) -> Table:
    columns = ("optimizer", "range", "best", "largest safe", "uncertain by", "rates x seeds x steps")
    return Table(tuple(sweep_row(name, sweep) for name, sweep in measured.optimizers.items()), columns)


def sweep_row(name: str, sweep: Sweep) -> tuple[str, ...]:
    found = sweep.low is not None and sweep.high is not None
    doubt = sweep.uncertainty_decades
    return (
        name,
        f"{number(sweep.low, 3)} to {number(sweep.high, 3)}" if found else "none found",
        number(sweep.best, 3),
        number(sweep.largest_safe, 3),
        f"a factor of {10**doubt:.2g}" if doubt is not None else number(None),
        f"{len(sweep.rates)} x {number(sweep.seeds)} x {number(sweep.steps)}",
    )


@evidence_table.register
def _(measured: SearchSummary) -> Table:
    failed = f", {measured.failed:,} failed" if measured.failed else ""
    ended = f"{measured.stopped_early:,} stopped early, {measured.diverged:,} diverged{failed}"
    rows: dict[str, object] = {
        "trials": f"{measured.trials:,} ({ended})",
        "epochs, at most": measured.epochs,
    }
    for name, bounds in measured.space.items():
        rows[f"searched {name}"] = between(bounds)
    if measured.best is not None:
        rows["best trial"] = measured.best.trial
        rows["its settings"] = measured.best.hyperparameters
        rows |= {f"its validation {UNITS.get(key, key)}": value for key, value in measured.best.validation.items()}
    rows["at an edge"] = list(measured.edges)
    return facts(rows | others(measured))


def between(bounds: object) -> object:
    """`[low, high]` as words, one pair or one per optimizer; anything else as it is."""
    if isinstance(bounds, Mapping):
        return "; ".join(f"{name}: {phrase(between(part))}" for name, part in bounds.items())
    if isinstance(bounds, list) and len(bounds) == 2 and all(isinstance(end, (int, float)) for end in bounds):
        return f"{number(bounds[0])} to {number(bounds[1])}"
    return bounds


@evidence_table.register
def _(measured: CurveReading) -> Table:
    error = "" if measured.gap_error is None else f" ± {number(measured.gap_error)} (two standard errors)"
    return facts(
        {
            "the curves look": measured.label,
            "trial": measured.trial,
            "training metric": measured.train_metric,
            "validation metric": measured.validation_metric,
            "gap": None if measured.gap is None else number(measured.gap) + error,
            "slope at the end, per epoch": measured.slope_per_epoch,
            **others(measured),
        }
    )


def scores_table(measured: Evaluation, ensemble: EnsembleRecord | None) -> Table:
    """Metrics of every way to predict side by side, one metric a row, and the temperature that was fitted."""
    answers = measured.answers
    rows = [
        (UNITS.get(key, key), *(number(answer.test.get(key)) for answer in answers.values()))
        for key in dict.fromkeys(key for answer in answers.values() for key in answer.test)
    ]
    if any(answer.temperature is not None for answer in answers.values()):
        rows.append(("temperature", *(number(answer.temperature) for answer in answers.values())))
    return Table(tuple(rows), (f"{measured.split} split", *(_column(name, ensemble) for name in answers)))


def curvature_scope(measured: Inspection) -> str:
    """What was looked at, in one sentence."""
    seen, of = measured.curvature.examples, measured.of
    named = f"the {measured.split} split" if measured.split in ("train", "validation") else measured.split
    which = (
        f"all {of:,} examples of {named}"
        if seen == of
        else f"a fixed sample of {seen:,} of the {of:,} examples of {named}"
    )
    return (
        f"The loss of trial {measured.trial} as a function of its {measured.curvature.parameters:,} parameters, over {which}: the "
        "task's loss alone, without penalties, dropout or augmentation."
    )


def curvature_words(record: Mapping[str, object]) -> tuple[str, tuple[tuple[str, ...], ...]]:
    """The scope and the rows of a record as it is written, for whoever shows them elsewhere than on the page."""
    measured = Inspection.model_validate(record)
    return curvature_scope(measured), curvature_table(measured).rows


def curvature_table(measured: Inspection) -> Table:
    """What was found out about the loss surface, for the report and for the command line."""
    found = measured.curvature
    top, bottom = found.top[0], found.bottom[0]
    unit = "nats per example" if measured.task == "classification" else "mean squared error, standardized"
    rows: dict[str, object] = {
        "loss": f"{number(found.loss)} {unit}",
        "gradient norm": found.gradient_norm,
        "this point is": _kind(found),
        "largest eigenvalue, λmax": within(top.eigenvalue, top.error),
        "smallest eigenvalue": within(bottom.eigenvalue, bottom.error),
        "condition number": _condition(found),
        "plain descent stable below": _limit(found),
    }
    for momentum, limit in found.max_lr_momentum.items():
        if limit is not None:
            rows[f"with momentum {momentum}"] = f"{number(limit, 3)}, 2 (1 + {momentum})/λmax, for heavy ball"
    rows["this run's optimizer"] = _optimizer(measured)
    if found.trace is not None:
        rows["trace"] = within(found.trace.value, found.trace.error)
    if found.effective_rank is not None:
        rows["effective rank"] = f"{number(found.effective_rank, 3)} of {found.parameters:,} directions"
    if found.noise is not None:
        rows["gradient noise scale"] = _noise(found.noise)
        rows["batch size it suggests"] = f"{found.noise.suggested_batch:,}; this run used {measured.batch_size:,}"
    if found.newton is not None and found.newton.degrees is not None:
        rows["angle to the minimum"] = _angle(found.newton.degrees, found.newton.change)
    rows["rate for the steps below"] = number(found.lr, 3) + ("" if found.lr_given else ", the best of plain descent")
    for place, one in enumerate(found.top, 1):
        steps = "never halves" if one.steps_to_halve is None else f"halves in {number(one.steps_to_halve, 3)} steps"
        curved = f"λ {within(one.eigenvalue, one.error)}"
        rows[f"direction {place}"] = f"{curved}; {share(one.gradient_share)} of the squared gradient; its loss {steps}"
    return facts(rows)


def _kind(found: CurvatureRecord) -> str:
    """The kind of point in words; the record's own word where it is another."""
    left = f"one plain step would take {share(found.unused_drop)} of the loss"
    said = {
        "minimum": "a minimum, as far as eigenvalues beyond the threshold tell",
        "slope": f"a slope, where no negative curvature was found: {left}",
        "saddle": f"a saddle: the gradient has all but vanished, and {_index(found.index)}",
        "negative curvature here": f"a slope with negative curvature: {left}, and {_index(found.index)}",
    }
    return said.get(found.kind, found.kind)


def _limit(found: CurvatureRecord) -> str:
    """2/λmax; a largest eigenvalue that is not known well is at least what was found, as every value seen in a subspace is."""
    if found.max_lr is None:
        return "any rate"
    top = found.top[0]
    loose = top.error is not None and top.error > 0.1 * top.eigenvalue
    return (
        f"{'at most ' if loose else ''}{number(found.max_lr, 3)}, 2/λmax{', which is not known well' if loose else ''}"
    )


def _index(index: Index) -> str:
    """How many directions bend down; where the count is more doubt than number, those found one by one."""
    if index.value is None or index.error is None or index.error > index.value / 4:
        return f"at least {index.at_least:,} direction{'s bend' if index.at_least != 1 else ' bends'} down"
    about = "" if index.error == 0 else "about "
    return f"{about}{within(round(index.value), round(index.error))} directions bend down"


def _condition(found: CurvatureRecord) -> str:
    above = f"eigenvalues above {number(found.threshold, 2)}"
    if found.condition is None:
        return f"not known: no two {above}"
    return f"{'' if found.condition_exact else 'about '}{number(found.condition, 3)}, of {above}"


def _optimizer(measured: Inspection) -> str:
    peak = f"peak rate {number(measured.lr, 3)}"
    if measured.stable_below is None:
        return f"{measured.optimizer}, {peak}; the limits above are of plain descent and heavy ball, not of {measured.optimizer}"
    momentum = f" with Nesterov momentum {number(measured.momentum)}" if measured.momentum else ""
    return f"{measured.optimizer}{momentum}: stable below {number(measured.stable_below, 3)}; its {peak}"


def _noise(noise: Noise) -> str:
    if not noise.resolved:
        return f"above {number(noise.at_least, 3)} examples; the mean gradient is too small to tell more"
    return f"{within(noise.scale, noise.error)} examples"


def _angle(degrees: float, change: float | None) -> str:
    """change: degrees by which the last products still turned the way to the minimum."""
    said = f"{degrees:.0f}° between the gradient step and the local quadratic's minimum"
    return said if change is not None and change < 5 else f"about {said}, whose place is not settled"


def _column(name: str, ensemble: EnsembleRecord | None) -> str:
    if ensemble is not None and name == ensemble.kind:
        return f"ensemble of {ensemble.size} ({name})"
    return ANSWERS.get(name, name)

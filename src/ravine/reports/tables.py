"""The evidence of each step, and the results, as small tables of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch

from ravine.reports.records import (
    CurveReading,
    EnsembleRecord,
    Evaluation,
    Evidence,
    InitialLoss,
    LrRange,
    Overfit,
    SearchSummary,
    Sweep,
)
from ravine.reports.wording import number, phrase

__all__ = ["Table", "evidence_table", "facts", "scores_table"]

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
    rows: dict[str, object] = {
        "trials": f"{measured.trials:,} ({measured.stopped_early:,} stopped early, {measured.diverged:,} diverged)",
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


def _column(name: str, ensemble: EnsembleRecord | None) -> str:
    if ensemble is not None and name == ensemble.kind:
        return f"ensemble of {ensemble.size} ({name})"
    return ANSWERS.get(name, name)

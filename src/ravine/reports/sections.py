"""The page's contents in order: what each part says, shows and draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ravine.reports.figures.curvature import curvature
from ravine.reports.figures.curves import field_curves, winner_epochs, winner_steps
from ravine.reports.figures.evaluation import evaluation
from ravine.reports.figures.initial_loss import initial_loss
from ravine.reports.figures.learnt import learnt, not_learnt
from ravine.reports.figures.lr_range import lr_range
from ravine.reports.figures.overfit import overfit
from ravine.reports.figures.picture import Picture
from ravine.reports.figures.reliability import reliability
from ravine.reports.figures.search import search
from ravine.reports.folder import Run, StepResult
from ravine.reports.inspection import Inspection
from ravine.reports.records import Diagnosis, Evidence, InitialLoss, Learnt, LrRange, Overfit, SearchSummary
from ravine.reports.tables import (
    Table,
    curvature_scope,
    curvature_table,
    evidence_table,
    facts,
    findings_table,
    scores_table,
)
from ravine.reports.wording import duration, number

__all__ = ["Section", "badges", "sections", "summary_facts"]

NAMES = {
    "initial-loss": "Initial loss",
    "overfit": "Overfit a few batches",
    "lr-range": "Learning-rate range",
    "coarse": "Coarse search",
    "refine": "Refined search",
    "curves": "Training curves",
}


@dataclass(frozen=True)
class Section:
    """One part of the page; empty fields are not drawn."""

    anchor: str
    heading: str
    status: str = ""  # pass, warn or fail
    summary: str = ""
    table: Table | None = None
    advice: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    remarks: Sequence[str] = ()  # quiet lines below the pictures
    seconds: str = ""


def badges(run: Run) -> list[tuple[str, str, str]]:
    """(anchor, name with its number, status) of each verdict, and of the diagnosis."""
    found: list[tuple[str, str, str]] = [
        (anchor(step), f"{step.number} {name_of(step)}", step.record.status) for step in run.steps
    ]
    return found if run.diagnosis is None else [*found, ("diagnosis", "Diagnosis", diagnosed(run.diagnosis))]


def anchor(step: StepResult) -> str:
    return f"step-{step.number}"


def name_of(step: StepResult) -> str:
    return NAMES.get(step.record.step, step.record.step)


def summary_facts(run: Run) -> list[tuple[str, str]]:
    """The handful of numbers a reader came for: (what, how much)."""
    found: list[tuple[str, str]] = []
    result = run.result
    if result is None:
        return found
    best = result.best
    if best is not None:
        for split, scores in (("validation", best.validation), ("test", best.test)):
            found += (
                [(f"best model, {split} {main}", number(scores[main])) for main in headline(scores)] if scores else []
            )
    if result.ensemble is not None:
        scores = result.ensemble.test or result.ensemble.validation or {}
        split = "test" if result.ensemble.test else "validation"
        found += [(f"ensemble of {result.ensemble.size}, {split} {m}", number(scores[m])) for m in headline(scores)]
    found += [("trials", number(result.trials))] if result.trials is not None else []
    found += [("wall clock", duration(result.seconds))] if result.seconds is not None else []
    return found


def headline(scores: dict[str, float | None] | None) -> list[str]:
    """The one metric that stands for the others, in a list; empty when it was not measured."""
    names: list[str] = ["accuracy", "r2"]
    return [name for name in names if name in (scores or {})][:1]


def sections(run: Run) -> list[Section]:
    """Every part that has a record, top to bottom."""
    drawn = [step_section(run, step) for step in run.steps]
    if "curves" not in {step.record.step for step in run.steps} and run.epochs is not None:
        pictures = curve_pictures(run)
        drawn += [Section("curves", "Training curves", pictures=pictures)] if pictures else []
    if run.diagnosis is not None:
        drawn.append(diagnosis_section(run.diagnosis))
    if run.evaluation is not None:
        measured = run.evaluation
        ensemble = run.result.ensemble if run.result is not None else None
        pictures = [*reliability(measured.reliability, measured.split), *evaluation(measured, run.config.data.classes)]
        heading = f"Results on the {measured.split} split"
        table = scores_table(measured, ensemble)
        drawn.append(Section("results", heading, summary=caution(run), table=table, pictures=pictures))
    if run.inspection is not None:
        drawn.append(curvature_section(run.inspection))
    return [*drawn, data_section(run), record_section(run)]


def caution(run: Run) -> str:
    """How far the figures of the validation and test rows can be believed."""
    trials, rows = len(run.trials), run.config.data.sizes.get("test", 0)
    gain = f"{run.result.gain} {run.result.elsewhere}".strip() if run.result is not None else ""
    said = f"{gain} These rows were looked at once, after everything was chosen.".strip()
    if trials > 1:
        said += f" The validation rows chose among {trials} trials, so the figures they give are too good."
    best = run.evaluation.answers.get("best") if run.evaluation else None
    share = best.test.get("accuracy") if best else None
    if share is not None and 0 < share < 1 and rows:
        doubt = 100 * (share * (1 - share) / rows) ** 0.5
        said += f" Of {rows:,} rows, an accuracy is known to ± {doubt:.2g} points (one standard error)."
    return said


def step_section(run: Run, step: StepResult) -> Section:
    return Section(
        anchor=anchor(step),
        heading=f"Step {step.number}: {name_of(step)}",
        status=step.record.status,
        summary=step.record.summary,
        table=None if step.evidence is None else evidence_table(step.evidence),
        advice=step.record.advice,
        pictures=step_pictures(run, step),
        remarks=step_remarks(step),
        seconds="" if step.record.seconds is None else duration(step.record.seconds),
    )


def step_pictures(run: Run, step: StepResult) -> list[Picture]:
    """What belongs to one step; the search, coarse and refined together, is drawn at its last step, what it taught at each."""
    match step.evidence:
        case InitialLoss() as measured:
            return initial_loss(measured)
        case Overfit() as measured:
            return overfit(measured)
        case LrRange() as measured:
            return lr_range(measured)
        case SearchSummary() as measured:
            drawn = search_pictures(run) if is_last(run, measured) else []
            return drawn if measured.learnt is None else drawn + learnt_pictures(run, anchor(step), measured.learnt)
        case None:
            return []
        case _:
            return curve_pictures(run)


def step_remarks(step: StepResult) -> list[str]:
    measured = step.evidence
    return not_learnt(measured.learnt) if isinstance(measured, SearchSummary) and measured.learnt is not None else []


def is_last(run: Run, measured: Evidence) -> bool:
    return run.evidence(SearchSummary)[-1] is measured


def search_pictures(run: Run) -> list[Picture]:
    return search(run.trials, *score_of(run), run.winner)


def learnt_pictures(run: Run, prefix: str, found: Learnt) -> list[Picture]:
    return learnt(prefix, found, run.trials, *score_of(run))


def score_of(run: Run) -> tuple[str, bool]:
    """What the value of a trial is, and whether a smaller one is better."""
    smaller = run.config.data.task == "regression"
    return "validation RMSE" if smaller else "validation accuracy", smaller


def curve_pictures(run: Run) -> list[Picture]:
    if run.epochs is None:
        return []
    metric = "R²" if run.config.data.task == "regression" else "accuracy"
    pictures = [] if run.winner is None else winner_epochs(run.epochs, run.winner, metric)
    pictures += [] if run.winner_steps is None else winner_steps(run.winner_steps)
    return pictures + field_curves(run.epochs, run.winner, metric)


def diagnosed(found: Diagnosis) -> str:
    return "fail" if any(finding.alarm for finding in found.findings) else "pass"


def diagnosis_section(found: Diagnosis) -> Section:
    """Each finding's advice as a sentence, and its figures in a table."""
    alarms = [finding.fault for finding in found.findings if finding.alarm]
    said = f"Something is wrong, the root first: {', '.join(alarms)}." if alarms else "No fault was found."
    if len(found.findings) > len(alarms):
        said += " What is at most 50 % sure is a suspicion."
    return Section(
        anchor="diagnosis",
        heading="Diagnosis",
        status=diagnosed(found),
        summary=said,
        table=findings_table(found.findings),
        advice=[f"{finding.fault}: {finding.advice}" for finding in found.findings],
    )


def curvature_section(measured: Inspection) -> Section:
    return Section(
        anchor="curvature",
        heading="Curvature around the best model",
        summary=curvature_scope(measured),
        table=curvature_table(measured),
        advice=measured.notes,
        pictures=curvature(measured),
        seconds="" if measured.seconds is None else duration(measured.seconds),
    )


def data_section(run: Run) -> Section:
    data = run.config.data
    shown = data.classes[:20]
    more = len(data.classes) - len(shown)
    table = facts(
        {
            "name": data.name,
            "target": data.target,
            "task": data.task,
            "shape of an example": " x ".join(str(side) for side in data.input_shape),
            "classes": f"{', '.join(shown)}{f' and {more} more' if more else ''}" if shown else None,
            "outputs": data.outputs,
            **{f"{split} examples": count for split, count in data.sizes.items()},
            "fingerprint": data.fingerprint,
        }
    )
    return Section("data", "The data", table=table, advice=data.notes)


def record_section(run: Run) -> Section:
    """How to do it again: everything that fixes the run."""
    config = run.config
    members = run.result.ensemble.members if run.result is not None and run.result.ensemble is not None else ()
    table = facts(
        {
            "command": config.command,
            "created": config.created,
            "model": config.model.name,
            "its settings": config.model.settings,
            "parameters": config.model.parameters,
            "seed": str(config.seed),
            "budget": None if config.budget_s is None else duration(config.budget_s),
            "device": config.device,
            "ensemble": ", ".join(f"trial {trial}" for trial in members),
            "ravine": config.ravine,
            **config.versions,
        }
    )
    return Section("record", "The record of this run", table=table)

"""What a run returns to Python, with the same fields as its JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ravine.diagnosis import Finding, Findings
from ravine.recipe.inspection import Inspection
from ravine.recipe.verdict import Verdict
from ravine.training import rank
from ravine.types import Metrics

__all__ = ["Best", "EnsembleResult", "Result"]


@dataclass(frozen=True)
class Best:
    """The best single model."""

    trial: int
    hyperparameters: dict[str, Any]
    validation: Metrics
    test: Metrics
    command: str  # trains these settings again


@dataclass(frozen=True)
class EnsembleResult:
    """Several models that answer as one."""

    kind: str  # greedy, independent, snapshots or checkpoints
    size: int
    members: list[int]  # trial numbers, most weight first
    weights: list[float]  # of the members, in the same order
    considered: int  # models that it was chosen from
    validation: Metrics
    test: Metrics


def said_gain(best: Best, ensemble: EnsembleResult) -> str:
    """The gain on validation, where the ensemble was chosen, with the figure of the test rows beside it."""
    name = "accuracy" if "accuracy" in best.validation else "rmse"
    parts = []
    for key in (name, "nll") if name == "accuracy" else (name,):
        by_split = [getattr(ensemble, split)[key] - getattr(best, split)[key] for split in ("validation", "test")]
        parts.append(f"{key} {by_split[0]:+.4f} on validation ({by_split[1]:+.4f} on test)")
    members = "model" if ensemble.size == 1 else "models"
    return (
        f"The {ensemble.kind} ensemble of {ensemble.size} {members}, against the best single model: {', '.join(parts)}."
    )


def _scores(best: Best, ensemble: EnsembleResult | None) -> Markup:
    """The best model's figures and its ensemble's, validation and test side by side."""
    from ravine.notebook import table

    rows = {f"best model (trial {best.trial})": best}
    if ensemble is not None:
        rows[f"ensemble of {ensemble.size} ({ensemble.kind})"] = ensemble  # type: ignore[assignment]
    names = [name for name in ("accuracy", "nll", "rmse", "r2") if name in best.validation]
    head = ["", *(f"{split} {name}" for split in ("validation", "test") for name in names)]
    return table(
        [
            [label, *(getattr(one, s).get(n, math.nan) for s in ("validation", "test") for n in names)]
            for label, one in rows.items()
        ],
        head,
    )


@dataclass(frozen=True)
class Result:
    """One walk of the recipe. best and ensemble are None when a failed step stopped it."""

    steps: list[Verdict]
    best: Best | None
    ensemble: EnsembleResult | None
    trials: int
    seconds: float
    out: Path | None
    inspection: Inspection | None = None  # when asked for and possible; its JSON is inspection.json
    findings: list[Finding] = field(default_factory=list)  # of `check`, and of what failed; the root first
    elsewhere: str = ""  # what another driver of a shared study has found that is better, in a sentence

    @property
    def gain(self) -> str:
        """What the ensemble gains over the best single model, in a sentence; "" when there are not both."""
        return said_gain(self.best, self.ensemble) if self.best and self.ensemble else ""

    @property
    def failed(self) -> bool:
        """Did a step fail, is a finding an alarm, or has the best model no finite loss?"""
        lost = self.best is not None and rank(self.best.validation)[0] == -math.inf
        return lost or any(verdict.status == "fail" for verdict in self.steps) or any(f.alarm for f in self.findings)

    def _repr_html_(self) -> str:
        from ravine.notebook import badge, card, details, paragraph

        parts = []
        for one in self.steps:
            parts.append(paragraph(badge(one.status, one.status), f"{one.step}: {one.summary}"))
            parts += [paragraph(sentence, quiet=True) for sentence in one.advice]
        if self.findings:
            parts.append(Markup(Findings(self.findings)._repr_html_()))  # noqa: S704 - ours, escaped
        if self.best is not None:
            parts.append(_scores(self.best, self.ensemble))
            settings = [paragraph(f"{name}: {value}") for name, value in self.best.hyperparameters.items()]
            parts.append(details("hyper-parameters of the best", settings))
        parts += [paragraph(said) for said in (self.gain, self.elsewhere) if said]
        if self.out is not None:
            parts.append(paragraph(f"report: {self.out / 'report.html'}", quiet=True))
        return card(f"{self.trials} trials in {self.seconds:.0f} s", parts)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "steps": [verdict.record() for verdict in self.steps],
            "findings": [finding.record() for finding in self.findings],
            "best": None if self.best is None else dict(vars(self.best)),
            "ensemble": None if self.ensemble is None else dict(vars(self.ensemble)),
            "gain": self.gain,
            **({"elsewhere": self.elsewhere} if self.elsewhere else {}),
            "trials": self.trials,
            "seconds": round(self.seconds, 2),
            "out": None if self.out is None else str(self.out),
        }

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Result:
        """A result from its record, the inspection left out."""
        best, ensemble, out = record["best"], record["ensemble"], record["out"]
        return cls(
            [Verdict.of(step) for step in record["steps"]],
            None if best is None else Best(**best),
            None if ensemble is None else EnsembleResult(**ensemble),
            record["trials"],
            record["seconds"],
            None if out is None else Path(out),
            findings=[Finding(**found) for found in record.get("findings", [])],  # older records have none
            elsewhere=record.get("elsewhere", ""),
        )

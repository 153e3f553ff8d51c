"""Where each path ended, in words and numbers: the table under a picture, on the terminal and in the record."""

from __future__ import annotations

import math
from typing import Any

from ravine.landscapes import Theory
from ravine.reports.landscape.asked import Walked
from ravine.reports.landscape.rates import gaps, measured_rate, predicted_losses, predicted_rate, theory_for
from ravine.reports.tables import Table
from ravine.reports.wording import number

__all__ = ["endings", "record", "theory_sentences"]

WORDS = {"steps": "all steps taken", "converged": "converged", "diverged": "diverged"}


def endings(walked: Walked) -> Table:
    """A row for each path: rule, rate, start, where it ended and why, and the share of the error left by each step."""
    surface = walked.surface
    columns = ["rule", "lr", "start", "steps", "ended at", "f", "why"]
    quadratic = surface.quadratic is not None
    rows = []
    for name, path in zip(walked.names, walked.paths, strict=True):
        row = [
            name,
            f"{path.lr:g}",
            point(path.start),
            str(path.steps),
            point(path.points[-1].tolist()),
            number(float(path.losses[-1])),
            WORDS[path.stopped],
        ]
        if quadratic:
            row += [rate(measured_rate(surface, path)), rate(predicted_rate(surface, path))]
        rows.append(tuple(row))
    return Table(tuple(rows), (*columns, *(("measured rate", "predicted rate") if quadratic else ())))


def point(place: tuple[float, ...] | list[float]) -> str:
    """A point in words; of many coordinates the first ones.

    >>> point([4.0, 0.5]), point([0.0] * 9)
    ('(4, 0.5)', '(0, 0, 0, 0, ...)')
    """
    shown = [f"{value:.4g}" for value in place[:4]] + ["..."] * (len(place) > 4)
    return f"({', '.join(shown)})"


def rate(value: float | None) -> str:
    return "—" if value is None or not math.isfinite(value) else f"{value:.6g}"


def theory_sentences(walked: Walked) -> list[str]:
    """What the theory of quadratics says of each rule here: the edge of its rates, the best one, what it leaves."""
    said = []
    for name, theory in _theories(walked).items():
        best = theory.best_lr
        said.append(
            f"{name}: converges for lr below {theory.edge:.6g}; the best is {best:.6g}, "
            f"and leaves {theory.contraction(best):.4g} of the error at each step."
        )
    if said:
        kappa = next(iter(_theories(walked).values())).condition
        said.insert(
            0,
            f"The condition number is {kappa:.6g}. A rate here is the share of the error that is left after a step: "
            "measured by a straight line through the logarithm of the losses of the second half of a path, predicted from "
            "the eigenvalues for the long run.",
        )
    return said


def record(walked: Walked) -> dict[str, Any]:
    """Everything of the paths in full, for JSON; what is not finite becomes null when written."""
    surface, asked = walked.surface, walked.asked
    theories = _theories(walked)
    return {
        "surface": {
            "name": surface.name,
            "formula": surface.formula,
            "minima": surface.minima,
            "minimum": surface.minimum,
            "noise": surface.noise,
            "quadratic": None if surface.quadratic is None else surface.quadratic.tolist(),
        },
        "steps": asked.steps,
        "seed": asked.seed,
        "command": asked.command("paths.html"),
        "theory": {
            name: {
                "kind": theory.kind,
                "rho": theory.rho,
                "condition": theory.condition,
                "edge": theory.edge,
                "best_lr": theory.best_lr,
                "best_rate": theory.contraction(theory.best_lr),
            }
            for name, theory in theories.items()
        },
        "paths": [_path(walked, k) for k in range(len(walked.paths))],
    }


def _path(walked: Walked, k: int) -> dict[str, Any]:
    path, surface = walked.paths[k], walked.surface
    predicted = predicted_losses(surface, path)
    return {
        "rule": walked.names[k],
        "settings": str(path.rule),
        "lr": path.lr,
        "start": path.start,
        "steps": path.steps,
        "stopped": path.stopped,
        "end": path.points[-1].tolist(),
        "loss": float(path.losses[-1]),
        "above_minimum": None if surface.minimum is None else float(gaps(surface, path)[-1]),
        "measured_rate": measured_rate(surface, path),
        "predicted_rate": predicted_rate(surface, path),
        "points": path.points.tolist(),
        "losses": path.losses.tolist(),
        "predicted_losses": None if predicted is None else predicted.tolist(),
    }


def _theories(walked: Walked) -> dict[str, Theory]:
    found = {}
    for name, path in zip(walked.names, walked.paths, strict=True):
        theory = theory_for(walked.surface, path)
        if theory is not None:
            found[name] = theory
    return found

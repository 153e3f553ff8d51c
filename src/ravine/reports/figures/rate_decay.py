"""The search by learning rate and weight decay, one picture per optimizer: a good rate of one says nothing of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from ravine.reports.figures.axes import Scale
from ravine.reports.figures.picture import Picture, blank
from ravine.reports.study import Trial
from ravine.reports.theme import LIGHT
from ravine.reports.wording import label, number, phrase, shorten

__all__ = ["rate_decay"]


def rate_decay(trials: Sequence[Trial], score: str, best: int | None, colours: dict[str, Any]) -> list[Picture]:
    """trials: the better ones last, so that their marks lie on top; those without a rate and a decay are left out."""
    drawn = [trial for trial in trials if {"lr", "weight_decay"} <= set(trial.parameters)]
    pictures = []
    for place, name in enumerate(sorted({optimizer(trial) for trial in drawn})):
        figure = one_optimizer([trial for trial in drawn if optimizer(trial) == name], score, best)
        figure.update_layout(coloraxis=colours)
        title = f"Rate and decay, {shorten(name)}" if name else "Rate and decay"
        caption = (
            "One mark per trial: circle coarse, diamond refined; full when it ran to its end, open when stopped early, "
            "a cross when it diverged. The ring is the winner."
        )
        pictures.append(Picture(f"search-rates-{place}", title, caption, figure))
    return pictures


def optimizer(trial: Trial) -> str:
    return str(trial.parameters.get("optimizer", ""))


def one_optimizer(trials: Sequence[Trial], score: str, best: int | None) -> go.Figure:
    """Log-log; a decay of zero stands at a tick "0" below the rest."""
    rate = Scale.logarithmic([trial.parameters["lr"] for trial in trials])
    decay = Scale.logarithmic([trial.parameters["weight_decay"] for trial in trials])
    figure = blank("learning rate", "weight decay", height=420)
    for rows, marker in layers(trials, best):
        figure.add_scatter(
            x=[rate.places[i] for i in rows],
            y=[decay.places[i] for i in rows],
            text=[told(trials[i], score) for i in rows],
            hovertemplate="%{text}<extra></extra>",
            mode="markers",
            marker=marker,
            showlegend=False,
        )
    figure.update_xaxes(range=widened(rate.span), tickvals=rate.ticks, ticktext=rate.texts)
    figure.update_yaxes(range=widened(decay.span), tickvals=decay.ticks, ticktext=decay.texts)
    # Room for the colour bar is given, not found: a bar that pushes the axes leaves their titles behind.
    figure.update_layout(margin={"l": 76, "r": 16, "t": 72, "b": 50, "autoexpand": False})
    return figure


def widened(span: tuple[float, float]) -> list[float]:
    """Room for a whole ring at either end."""
    pad = 0.06 * (span[1] - span[0])
    return [span[0] - pad, span[1] + pad]


def layers(trials: Sequence[Trial], best: int | None) -> list[tuple[list[int], dict[str, Any]]]:
    """(indices of trials, their marker), bottom to top: diverged, stopped, finished, the winner's ring."""
    lost = [i for i, trial in enumerate(trials) if trial.value is None]
    full = [i for i, trial in enumerate(trials) if trial.value is not None and trial.fate == "finished"]
    part = [i for i, trial in enumerate(trials) if trial.value is not None and trial.fate != "finished"]
    return [
        (lost, {"symbol": "x-thin", "size": 9, "line": {"color": LIGHT.quiet, "width": 1.5}}),
        (part, {**coloured(trials, part, "-open"), "line": {"width": 2}}),
        (full, {**coloured(trials, full, ""), "line": {"width": 1, "color": LIGHT.quiet}}),
        (
            [i for i, trial in enumerate(trials) if trial.number == best],
            {"symbol": "circle-open", "size": 22, "color": LIGHT.red, "line": {"width": 2.5}},
        ),
    ]


def coloured(trials: Sequence[Trial], rows: list[int], suffix: str) -> dict[str, Any]:
    """Colour by value, shape by phase."""
    shapes = ["diamond" if trials[i].phase == "refine" else "circle" for i in rows]
    return {
        "symbol": [shape + suffix for shape in shapes],
        "size": 11,
        "color": [trials[i].value for i in rows],
        "coloraxis": "coloraxis",
    }


def told(trial: Trial, score: str) -> str:
    """One trial's hover box: a line for its value, one for its fate, one per hyper-parameter."""
    lines = [f"trial {trial.number}: {score} {number(trial.value)}", label(f"{trial.phase}, {trial.fate}")]
    if trial.reason:
        lines.append(label(trial.reason))
    lines += [label(f"{name} = {phrase(value)}") for name, value in sorted(trial.parameters.items())]
    return "<br>".join(lines)

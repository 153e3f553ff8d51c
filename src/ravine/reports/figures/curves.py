"""Step 6: the training curves of the winner, and its validation curve among those of the field."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from ravine.reports.figures.axes import log_axis, share_range
from ravine.reports.figures.picture import Picture, blank, drawn_as, thinned
from ravine.reports.history import Curves, of_trial
from ravine.reports.theme import LIGHT
from ravine.reports.wording import label

__all__ = ["field_curves", "winner_epochs", "winner_steps"]

MOST_TRIALS = 300
"""The field is drawn with at most this many trials besides the winner."""


def winner_epochs(epochs: Curves, winner: int, metric: str) -> list[Picture]:
    """Training and validation loss, and metric, at each evaluation; none when the winner has no epoch."""
    mine = of_trial(epochs, winner)
    if not len(mine["epoch"]):
        return []
    unit = clock(epochs)
    return [
        two_curves(
            mine, unit, "loss", "loss", "Lower is better; validation turning up while training falls is over-fitting."
        ),
        two_curves(mine, unit, "metric", metric, "The distance between the curves is the generalization gap."),
    ]


def two_curves(mine: Curves, unit: str, kind: str, name: str, caption: str) -> Picture:
    """Training dashed, validation solid, over epochs or steps."""
    figure = blank(unit, label(name))
    for split, colour, dash in (("train", LIGHT.orange, "dash"), ("validation", LIGHT.blue, "solid")):
        figure.add_scatter(
            x=mine[unit],
            y=mine[f"{split}_{kind}"],
            name="training" if split == "train" else split,
            mode=drawn_as(len(mine["epoch"])),
            line={"color": colour, "dash": dash, "width": 2.5},
            marker={"size": 5},
            hovertemplate=f"{unit} %{{x}}, {split}: %{{y:.4g}}<extra></extra>",
            showlegend=True,
        )
    whole_epochs(figure, unit, int(mine["epoch"].max()))
    figure.update_layout(margin_t=40)
    if kind == "metric":
        figure.update_yaxes(range=share_range([*mine["train_metric"].tolist(), *mine["validation_metric"].tolist()]))
    return Picture(f"curves-{kind}", f"{name.capitalize()} of the winner", caption, figure)


def winner_steps(steps: Curves) -> list[Picture]:
    """Learning rate, gradient norm and update-to-weight ratio at each step; none when there is no step."""
    if not len(steps["step"]):
        return []
    part = thinned(len(steps["step"]))
    thin = "" if part.step == 1 else f" Of every {part.step} steps one is drawn."
    kinds = (
        ("lr", "learning rate", "Learning rate of the winner", "linear", "The schedule as it was run."),
        (
            "grad_norm",
            "gradient norm",
            "Gradient norm of the winner",
            "log",
            "Spikes are steps that nearly left the valley.",
        ),
        (
            "update_ratio",
            "update / weight",
            "Update-to-weight ratio of the winner",
            "log",
            "Size of a step over size of the weights; about 0.001 is usual.",
        ),
    )
    pictures = []
    for column, axis, title, scale, caption in kinds:
        figure = blank("step", axis, height=260)
        figure.add_scatter(
            x=steps["step"][part],
            y=steps[column][part],
            mode="lines",
            line={"color": LIGHT.purple, "width": 1.5},
            hovertemplate="step %{x}: %{y:.3g}<extra></extra>",
            showlegend=False,
        )
        if scale == "log":
            log_axis(figure, "y", steps[column].tolist())
        name = f"steps-{column.replace('_', '-')}"
        pictures.append(Picture(name, title, caption + thin, figure))
    return pictures


def field_curves(epochs: Curves, winner: int | None, metric: str) -> list[Picture]:
    """The validation curve of every trial, thin, in one trace broken between trials; the winner's, thick."""
    trials = np.unique(epochs["trial"])
    others = trials[trials != winner] if winner is not None else trials
    if not len(others):
        return []
    shown = others[thinned(len(others), MOST_TRIALS)]
    unit = clock(epochs)
    figure = blank(unit, f"validation {label(metric)}", height=360)
    x, y, text = [], [], []
    for trial in shown:
        curve = of_trial(epochs, trial)
        x += [*curve[unit].tolist(), None]
        y += [*curve["validation_metric"].tolist(), None]
        text += [f"trial {trial}"] * (len(curve["epoch"]) + 1)
    figure.add_scatter(
        x=x,
        y=y,
        text=text,
        name="other trials",
        mode="lines+markers",
        line={"color": LIGHT.faint, "width": 1},
        marker={"size": 3},
        hovertemplate=f"%{{text}}, {unit} %{{x}}: %{{y:.4g}}<extra></extra>",
        showlegend=True,
    )
    if winner is not None:
        mine = of_trial(epochs, winner)
        figure.add_scatter(
            x=mine[unit],
            y=mine["validation_metric"],
            name=f"winner, trial {winner}",
            mode="lines+markers",
            line={"color": LIGHT.blue, "width": 4},
            hovertemplate=f"winner, {unit} %{{x}}: %{{y:.4g}}<extra></extra>",
            showlegend=True,
        )
    whole_epochs(figure, unit, int(epochs["epoch"].max()))
    figure.update_yaxes(range=share_range(epochs["validation_metric"].tolist()))
    figure.update_layout(margin_t=40)
    left = "" if len(shown) == len(others) else f" {len(shown)} of {len(others)} trials are drawn."
    caption = f"Each thin line is a trial; one that ends early was stopped.{left}"
    return [Picture("curves-field", "The winner in its field", caption, figure, wide=True)]


def clock(epochs: Curves) -> str:
    """What the curves are drawn over: epochs, or steps where a trial was evaluated twice within an epoch."""
    seen = np.stack([epochs["trial"], epochs["epoch"]], axis=1)
    return "epoch" if len(np.unique(seen, axis=0)) == len(seen) else "step"


def whole_epochs(figure: go.Figure, unit: str, last: int) -> None:
    """Ticks at whole epochs only, on a run of few."""
    if unit == "epoch" and last <= 10:
        figure.update_xaxes(dtick=1, range=[0.7, last + 0.3])

"""The loss surface around the best model: where its eigenvalues lie, and the loss along a few slices through it."""

from __future__ import annotations

from math import log10
from typing import Any

import plotly.graph_objects as go

from ravine.reports.figures.axes import finite, log_axis
from ravine.reports.figures.picture import Picture, blank, drawn_as
from ravine.reports.inspection import Inspection, LineSlice, PlaneSlice
from ravine.reports.theme import LIGHT
from ravine.reports.wording import number

__all__ = ["curvature"]

FLOOR = 0.05  # of an eigenvalue: the density is drawn down to here
CLIMB = 4.0  # a loss axis reaches to so many times the loss at the start
LEVELS = 10
LOGARITHMIC = 30.0  # a loss that spans a factor of so much is drawn on a log scale


def curvature(measured: Inspection) -> list[Picture]:
    """The spectrum, and every slice that was measured."""
    pictures = [spectrum(measured)]
    slices = measured.slices
    if slices.gradient is not None:
        pictures.append(along_gradient(slices.gradient, measured.curvature.max_lr))
    if slices.eigenvectors is not None:
        pictures.append(top_plane(slices.eigenvectors))
    if slices.between is not None:
        pictures.append(between(slices.between))
    return pictures


def spectrum(measured: Inspection) -> Picture:
    """The density on a log scale where it was measured, and the eigenvalues found one by one."""
    found, curve = measured.curvature, measured.spectrum
    known = [*(one.eigenvalue for one in found.top), *(one.eigenvalue for one in found.bottom)]
    figure = blank("eigenvalue", "eigenvalues about here" if curve else "", height=340)
    caption = "Dots: the eigenvalues that were found one by one."
    if curve is not None:
        figure.add_scatter(
            x=list(curve.eigenvalue),
            y=[max(count or 0.0, FLOOR / 10) for count in curve.count],
            mode="lines",
            fill="tozeroy",
            fillcolor=LIGHT.band_blue,
            line={"color": LIGHT.blue, "width": 2},
            hovertemplate="about %{x:.3g}: %{y:.2g} eigenvalues<extra></extra>",
            showlegend=False,
        )
        log_axis(figure, "y", [0.1, *(count for count in finite(curve.count) if count > 0.1)])
        figure.update_yaxes(range=[log10(FLOOR), log10(2 * max([1.0, *finite(curve.count)]))])
        caption = (
            "How many eigenvalues lie about each place, on a log scale; one that stands alone makes a bump of height 1. "
            + caption
        )
    else:
        figure.update_yaxes(range=[0, 1.5], showticklabels=False)
    add_upright(
        figure, found.top[0].eigenvalue, f"λmax {number(found.top[0].eigenvalue, 3)}", LIGHT.red, "dash", (FLOOR, 1.0)
    )
    figure.add_scatter(
        x=known,
        y=[1.0] * len(known),
        mode="markers",
        marker={"color": LIGHT.orange, "size": 8, "line": {"color": LIGHT.ink, "width": 1}},
        hovertemplate="eigenvalue %{x:.4g}<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(margin_t=40)
    return Picture("curvature-spectrum", "Eigenvalues of the Hessian", caption, figure)


def add_upright(figure: go.Figure, x: float, name: str, colour: str, dash: str, ends: tuple[float, float]) -> None:
    """A vertical line with its name in the legend. ends: in values of the y axis."""
    figure.add_scatter(
        x=[x, x],
        y=list(ends),
        name=name,
        mode="lines",
        line={"color": colour, "dash": dash, "width": 2},
        hovertemplate=f"{name}<extra></extra>",
        showlegend=True,
    )


def along_gradient(measured: LineSlice, limit: float | None) -> Picture:
    """The loss after one plain step, by its rate, and what the quadratic expects."""
    figure = blank("learning rate of one plain step", "loss", height=340)
    add_two_losses(figure, measured, "rate %{x:.3g}")
    start = measured.losses[0] if measured.losses else None
    span = loss_span([*measured.losses, *measured.predicted], start)
    if limit is not None and span is not None:
        add_upright(figure, limit, f"2/λmax {number(limit, 3)}", LIGHT.red, "dot", (span[0], span[1]))
    figure.update_yaxes(range=span)
    figure.update_layout(margin_t=40)
    caption = (
        "From the trained network against its gradient, in one step. Solid: measured; dashed: the local quadratic. "
        "Many steps at a rate beyond the dotted line leave the valley along the first eigenvector."
    )
    return Picture("curvature-gradient", "The loss along the gradient", caption, figure)


def add_two_losses(figure: go.Figure, measured: LineSlice, place: str) -> None:
    """Measured, and predicted where there is a prediction. place: of the hover text."""
    kinds: list[tuple[str, Any, str, str]] = [("measured", measured.losses, LIGHT.blue, "solid")]
    if measured.predicted:
        kinds.append(("quadratic", measured.predicted, LIGHT.orange, "dash"))
    for name, losses, colour, dash in kinds:
        figure.add_scatter(
            x=list(measured.positions),
            y=list(losses),
            name=name,
            mode=drawn_as(len(losses)) if dash == "solid" else "lines",
            line={"color": colour, "dash": dash, "width": 2.5},
            marker={"size": 4},
            hovertemplate=f"{place}, {name}: %{{y:.4g}}<extra></extra>",
            showlegend=bool(measured.predicted),
        )


def loss_span(losses: list[float | None], start: float | None) -> list[float] | None:
    """From below the smallest loss to the largest, or to CLIMB times the loss at the start if that is less."""
    known = finite(losses)
    if not known or start is None:
        return None
    low, high = min(known), max(known)
    high = min(high, max(CLIMB * start, start + 0.25 * (start - low)))
    pad = 0.06 * (high - low) or 0.1 * abs(high) or 0.1
    return [low - pad, high + pad]


def top_plane(measured: PlaneSlice) -> Picture:
    """Level lines of the loss and of the quadratic at the same levels, the network, and the quadratic's minimum."""
    figure = blank("distance along the first eigenvector", "along the second", height=380)
    known = finite([loss for row in measured.losses for loss in row])
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    here = measured.losses[len(measured.across) // 2][len(measured.along) // 2]
    high = min(high, CLIMB * here) if here is not None and CLIMB * here > low else high
    size = (high - low) / LEVELS or 1.0
    levels = {"start": low + size / 2, "end": high, "size": size, "coloring": "none"}
    kinds = (
        ("measured", measured.losses, LIGHT.blue, "solid"),
        ("quadratic", measured.predicted, LIGHT.orange, "dash"),
    )
    for name, losses, colour, dash in kinds:
        labels = {"showlabels": True, "labelformat": ".2g"} if dash == "solid" else {}
        figure.add_contour(
            x=list(measured.along),
            y=list(measured.across),
            z=[list(row) for row in losses],
            name=name,
            contours={**levels, **labels, "labelfont": {"size": 11, "color": LIGHT.ink}},
            line={"color": colour, "width": 1.5, "dash": dash},
            showscale=False,
            showlegend=True,
            hovertemplate=f"{name} loss %{{z:.4g}}<extra></extra>" if dash == "solid" else None,
            hoverinfo=None if dash == "solid" else "skip",
        )
    marks = [("the network", (0.0, 0.0), "circle")]
    if measured.minimum is not None:
        marks.append(("minimum of the quadratic", measured.minimum, "star"))
    for name, (x, y), symbol in marks:
        figure.add_scatter(
            x=[x],
            y=[y],
            name=name,
            mode="markers",
            marker={"symbol": symbol, "size": 12, "color": LIGHT.card, "line": {"color": LIGHT.ink, "width": 2}},
            hovertemplate=f"{name}<extra></extra>",
            showlegend=False,
        )
    figure.update_xaxes(range=[min(measured.along), max(measured.along)])
    figure.update_yaxes(range=[min(measured.across), max(measured.across)])
    figure.update_layout(margin_t=40)
    first, second = (number(value, 3) for value in measured.eigenvalues)
    caption = (
        f"Over the plane of the two largest eigenvalues, {first} and {second}; both axes point downhill. Circle: the "
        "network; star: the minimum of the local quadratic. Where its level lines part from the measured ones, it is no guide."
    )
    return Picture("curvature-plane", "The loss around the two top eigenvectors", caption, figure)


def between(measured: LineSlice) -> Picture:
    """The loss on the straight line from the best model to another of its ensemble."""
    figure = blank("share of the way", "loss", height=340)
    add_two_losses(figure, measured, "%{x:.2f} of the way")
    known = [loss for loss in finite(measured.losses) if loss > 0]
    if known and len(known) == len(measured.losses) and max(known) > LOGARITHMIC * min(known):
        log_axis(figure, "y", known)
        figure.update_yaxes(title_text="loss (log scale)")
    for end in (0.0, 1.0):
        figure.add_vline(x=end, line={"color": LIGHT.quiet, "dash": "dot", "width": 1.5}, layer="below")
    figure.update_layout(margin_t=40)
    caption = (
        "Dotted: the best model at 0, another member of its ensemble at 1. A hill between them says that they lie in "
        "valleys of their own; averages of their weights would be bad, of their answers good."
    )
    return Picture("curvature-between", "The loss between two models", caption, figure)

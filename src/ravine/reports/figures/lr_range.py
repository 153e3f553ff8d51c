"""Step 3: the loss after a short run for each learning rate, one picture per optimizer on common axes."""

from __future__ import annotations

from math import log10
from statistics import median

import plotly.graph_objects as go

from ravine.reports.figures.axes import finite, log_axis, loss_range
from ravine.reports.figures.picture import Picture, blank
from ravine.reports.records import LrRange, StartCurvature, Sweep
from ravine.reports.theme import LIGHT
from ravine.reports.wording import label, number, shorten

__all__ = ["lr_range"]


def lr_range(measured: LrRange) -> list[Picture]:
    """Line: median over seeds; band: their spread; shaded: the range found; marks: best and largest safe rate."""
    sweeps = measured.optimizers.values()
    losses = [loss for sweep in sweeps for row in sweep.final_loss for loss in row]
    starts = finite([sweep.initial_loss for sweep in sweeps])
    rates = [rate for sweep in sweeps for rate in sweep.rates]
    span = loss_range(losses, max(starts, default=None))
    pictures = []
    for place, (name, sweep) in enumerate(measured.optimizers.items()):
        limit = measured.curvature.stable_below.get(name) if measured.curvature is not None else None
        figure = sweep_figure(sweep, span, (min(rates), max(rates)), limit)
        caption = (
            f"Line: median of {number(sweep.seeds)} seeds after {number(sweep.steps)} steps; band: their spread. "
            "Dotted: the loss at the start. Shaded: the range found. Crosses at the top: rates at which a seed diverged."
            f"{said_of_curvature(name, measured.curvature)}"
        )
        pictures.append(Picture(f"lr-range-{place}", f"Learning rates for {shorten(name)}", caption, figure))
    return pictures


def said_of_curvature(name: str, found: StartCurvature | None) -> str:
    """What the dashed line is and how far it holds, or why there is none; nothing where none was looked for."""
    if found is None:
        return ""
    if found.left_out or name in found.stable_below:
        return f" {'' if found.left_out else 'Dashed: the limit by curvature. '}{found.said}"
    return f" No limit by curvature is drawn: that is known of plain descent, and {shorten(name)} scales each parameter's step."


def sweep_figure(
    sweep: Sweep, span: list[float] | None, rates: tuple[float, float], limit: float | None = None
) -> go.Figure:
    """limit: the rate below which the optimizer converges by the curvature of the untrained network."""
    figure = blank("learning rate", "loss after the run", height=340)
    middle = [median(known) if (known := finite(row)) else None for row in sweep.final_loss]
    if sweep.low is not None and sweep.high is not None:
        figure.add_vrect(x0=sweep.low, x1=sweep.high, fillcolor=LIGHT.band_green, line_width=0, layer="below")
    if sweep.initial_loss is not None:
        figure.add_hline(y=sweep.initial_loss, line={"color": LIGHT.quiet, "dash": "dot", "width": 1.5}, layer="below")
    add_spread(figure, sweep)
    figure.add_scatter(
        x=list(sweep.rates),
        y=middle,
        mode="lines+markers",
        line={"color": LIGHT.blue, "width": 2},
        marker={"size": 4},
        hovertemplate="rate %{x:.3g}: median loss %{y:.4g}<extra></extra>",
        showlegend=False,
    )
    add_marks(figure, sweep, middle)
    if limit is not None and span is not None and rates[0] <= limit <= rates[1]:
        figure.add_scatter(
            x=[limit, limit],
            y=span,
            name=f"curvature: {number(limit, 3)}",
            mode="lines",
            line={"color": LIGHT.purple, "dash": "dash", "width": 2},
            hovertemplate=f"limit by curvature: {number(limit, 3)}<extra></extra>",
            showlegend=True,
        )
    add_diverged(figure, sweep, span)
    log_axis(figure, "x", rates)
    figure.update_xaxes(range=[log10(rates[0]) - 0.1, log10(rates[1]) + 0.1])
    figure.update_yaxes(range=span)
    figure.update_layout(margin_t=40)
    return figure


def add_spread(figure: go.Figure, sweep: Sweep) -> None:
    """A band from the smallest to the largest finite loss of the seeds."""
    rows = [(rate, known) for rate, row in zip(sweep.rates, sweep.final_loss, strict=True) if (known := finite(row))]
    rates = [rate for rate, _ in rows]
    figure.add_scatter(
        x=[*rates, *reversed(rates)],
        y=[*(max(known) for _, known in rows), *(min(known) for _, known in reversed(rows))],
        fill="toself",
        fillcolor=LIGHT.band_blue,
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )


def add_marks(figure: go.Figure, sweep: Sweep, middle: list[float | None]) -> None:
    """The best and the largest safe rate, each at the line's nearest rate."""
    marks = (
        ("best", sweep.best, "star", LIGHT.orange, 16),
        ("largest safe", sweep.largest_safe, "diamond", LIGHT.red, 12),
    )
    for name, rate, symbol, colour, size in marks:
        if rate is None:
            continue
        nearest = min(range(len(sweep.rates)), key=lambda i: abs(log10(sweep.rates[i]) - log10(rate)))
        figure.add_scatter(
            x=[rate],
            y=[middle[nearest]],
            name=label(f"{name}: {number(rate, 3)}"),
            mode="markers",
            marker={"symbol": symbol, "size": size, "color": colour, "line": {"color": LIGHT.ink, "width": 1}},
            hovertemplate=f"{name}: {number(rate, 3)}<extra></extra>",
            showlegend=True,
        )


def add_diverged(figure: go.Figure, sweep: Sweep, span: list[float] | None) -> None:
    """Crosses along the top for rates at which at least one seed diverged."""
    lost = [
        (rate, sum(loss is None for loss in row), len(row))
        for rate, row in zip(sweep.rates, sweep.final_loss, strict=True)
    ]
    lost = [row for row in lost if row[1]]
    if not lost or span is None:
        return
    figure.add_scatter(
        x=[rate for rate, _, _ in lost],
        y=[span[1] - 0.04 * (span[1] - span[0])] * len(lost),
        mode="markers",
        marker={"symbol": "x", "size": 7, "color": LIGHT.red},
        text=[f"{count} of {seeds} seeds diverged" for _, count, seeds in lost],
        hovertemplate="rate %{x:.3g}: %{text}<extra></extra>",
        showlegend=False,
    )

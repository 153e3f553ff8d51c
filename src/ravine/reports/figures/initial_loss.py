"""Step 1: the loss of each fresh initialization beside the loss of a network that knows nothing."""

from __future__ import annotations

from ravine.reports.figures.axes import finite
from ravine.reports.figures.picture import Picture, blank
from ravine.reports.records import InitialLoss
from ravine.reports.theme import LIGHT
from ravine.reports.wording import label, number

__all__ = ["initial_loss"]


def initial_loss(measured: InitialLoss) -> list[Picture]:
    """Dots for the losses, a line at the expected value, a band for the tolerance around it."""
    figure = blank("initialization", f"loss, {label(measured.unit)}", height=280)
    band = measured.tolerance or 0.0
    if band:
        figure.add_hrect(
            y0=measured.expected - band,
            y1=measured.expected + band,
            fillcolor=LIGHT.band_green,
            line_width=0,
            layer="below",
        )
    figure.add_hline(y=measured.expected, line={"color": LIGHT.green, "dash": "dash", "width": 2}, layer="below")
    figure.add_scatter(
        x=list(range(1, len(measured.losses) + 1)),
        y=list(measured.losses),
        mode="markers",
        marker={"color": LIGHT.blue, "size": 10},
        hovertemplate="initialization %{x}: %{y:.4g}<extra></extra>",
        showlegend=False,
    )
    known = [*finite(measured.losses), measured.expected - band, measured.expected + band]
    pad = 0.15 * (max(known) - min(known)) or 0.1 * abs(measured.expected) or 0.1
    figure.update_yaxes(range=[min(known) - pad, max(known) + pad])
    figure.update_xaxes(range=[0.5, len(measured.losses) + 0.5], dtick=max(1, len(measured.losses) // 10))
    caption = f"One dot per fresh initialization. Dashed: the loss expected of a network that knows nothing, {number(measured.expected)}"
    caption += f"; the band is the tolerance, ±\u00a0{number(band)}." if band else "."
    return [Picture("initial-loss", "Loss before training", caption, figure)]

"""Gradient descent on the lecture's three quadratics, and what their eigenvalues say of it beforehand."""

from __future__ import annotations

import numpy as np
import torch

from ravine.landscapes import SURFACES, Theory, stability_map
from ravine.reports.figures.picture import blank
from ravine.reports.gallery.chapter import Chapter, Figure, landscape
from ravine.reports.landscape.contours import colours, ground, level_lines, minima_marks
from ravine.reports.landscape.drawing import Drawing
from ravine.reports.landscape.shades import CONTOUR, ground_scale
from ravine.reports.landscape.sheet import Sheet
from ravine.reports.theme import LIGHT

__all__ = ["DESCENT"]

RATES = (0.001, 0.005, 0.01, 0.015, 0.02)
QUADRATICS = ("bowl", "ravine10", "ravine50")


def three_ravines() -> Drawing:
    """The level lines of the three quadratics, in one scale of heights."""
    sheet = Sheet([(160, 3)], legend=False, right=84)
    window = (-5.0, 5.0, -3.0, 3.0)
    fields = [ground(SURFACES[name](), window) for name in QUADRATICS]
    for column, (name, field) in enumerate(zip(QUADRATICS, fields, strict=True)):
        surface = SURFACES[name]()
        place = sheet.cell(0, column, f"f = {surface.formula}", "x", "y" if column == 0 else "")
        for which, span in (("x", window[:2]), ("y", window[2:])):
            sheet.axis(place, which, range=list(span), showgrid=False, zeroline=False)
        lines = level_lines(fields[0])
        sheet.add(place, {**lines, "z": field.heights})
        sheet.add(place, minima_marks(surface))
    return Drawing(sheet.figure(coloraxis=colours(fields[0], length=0.8)))


def contraction() -> Drawing:
    """What each step leaves of the error, by the learning rate, on the three quadratics."""
    figure = blank("learning rate", "share of the error left by a step", height=360)
    rates = np.linspace(0.0, 1.1, 1101)
    for name, colour, dash in zip(
        QUADRATICS, (LIGHT.blue, LIGHT.green, LIGHT.red), ("solid", "dash", "dot"), strict=True
    ):
        surface = SURFACES[name]()
        assert surface.quadratic is not None
        theory = Theory(surface.quadratic)
        lrs = rates[1:] / rates[-1] * 1.1 * theory.edge
        left = stability_map("gd", theory.matrix, torch.from_numpy(lrs), torch.zeros(1))[:, 0].tolist()
        words = f"{surface.formula}: κ = {theory.condition:g}"
        figure.add_scatter(
            x=lrs.tolist(),
            y=left,
            mode="lines",
            name=words,
            line={"color": colour, "dash": dash, "width": 2.5},
            hovertemplate=f"{words}<br>lr %{{x:.4g}}: %{{y:.4f}}<extra></extra>",
        )
        figure.add_scatter(
            x=[theory.best_lr],
            y=[theory.contraction(theory.best_lr)],
            mode="markers",
            marker={"color": colour, "size": 11, "symbol": "diamond"},
            hovertemplate="best: lr %{x:.4g} leaves %{y:.4f}<extra></extra>",
            showlegend=False,
        )
    figure.add_hline(y=1, line={"color": LIGHT.ink, "width": 1, "dash": "dash"})
    figure.update_xaxes(
        type="log", range=[-3.2, 0.05], tickvals=[0.001, 0.01, 0.1, 1], ticktext=["0.001", "0.01", "0.1", "1"]
    )
    figure.update_yaxes(range=[-0.03, 1.15])
    figure.update_layout(margin_t=44)
    return Drawing(figure)


def momentum_map() -> Drawing:
    """The contraction of heavy ball on the steepest ravine over rates and momenta."""
    surface = SURFACES["ravine50"]()
    assert surface.quadratic is not None
    theory = Theory(surface.quadratic, "momentum", 0.5)
    lrs, momenta = (torch.linspace(low, high, 141, dtype=torch.float64) for low, high in ((0.0003, 0.04), (0.0, 0.99)))
    left = stability_map("momentum", theory.matrix, lrs, momenta).T
    figure = blank("learning rate", "momentum", height=400)
    figure.add_contour(
        x=lrs.tolist(),
        y=momenta.tolist(),
        z=left.where(left < 1, torch.nan).numpy().astype(np.float32),
        colorscale=ground_scale(),
        zmin=float(left.min()),
        zmax=1.0,
        contours={"start": 0.76, "end": 1.0, "size": 0.02, "coloring": "fill"},
        line={"color": CONTOUR, "width": 1},
        colorbar={"thickness": 10, "outlinewidth": 0, "tickfont": {"size": 11, "color": LIGHT.quiet}},
        hovertemplate="lr %{x:.4f}, momentum %{y:.2f}: %{z:.4f} of the error left<extra></extra>",
    )
    edge = 2 * (1 + momenta) / theory.largest
    figure.add_scatter(
        x=edge.tolist(),
        y=momenta.tolist(),
        mode="lines",
        name="edge: beyond it the path diverges",
        line={"color": LIGHT.red, "width": 2.5},
        hovertemplate="edge: lr %{x:.4f} at momentum %{y:.2f}<extra></extra>",
        showlegend=True,
    )
    lr, rho = theory.best()
    figure.add_scatter(
        x=[lr],
        y=[rho],
        mode="markers",
        name=f"best of all: lr {lr:.4g}, momentum {rho:.3g}",
        marker={"symbol": "star", "size": 14, "color": LIGHT.card, "line": {"color": LIGHT.ink, "width": 1.5}},
        hovertemplate="best: lr %{x:.4g}, momentum %{y:.3f}<extra></extra>",
        showlegend=True,
    )
    figure.update_xaxes(range=[0, 0.04], showgrid=False)
    figure.update_yaxes(range=[0, 0.99], showgrid=False)
    figure.update_layout(margin_t=44, margin_r=70)
    return Drawing(figure)


DESCENT = Chapter(
    "descent",
    "Gradient descent, and why it is slow",
    (
        "Gradient descent takes a step against the gradient, and the gradient is at right angles to the level line through the "
        "point. On a round bowl that is the way to the minimum. In a ravine it is nearly the way across it.",
        "Everything here starts at (4, 0.5) and takes 100 steps at a constant learning rate.",
    ),
    (
        Figure(
            "three-ravines",
            "Three quadratics",
            "From left to right one axis becomes 10 and then 50 times as steep as the other: circles become a narrow valley. "
            "Colours mean the same heights in all three; what has no colour lies above all of the bowl.",
            three_ravines,
        ),
        landscape(
            "gd-bowl",
            "Gradient descent on the bowl",
            "Every step points straight at the minimum. A larger rate only gets there sooner: even 0.02 is far from the edge, "
            "which is at 1.",
            "bowl",
            "gd",
            RATES,
        ),
        landscape(
            "gd-ravine10",
            "Gradient descent on the mild ravine",
            "The path first falls to the floor of the valley and then creeps along it: the two directions call for different "
            "rates and get one.",
            "ravine10",
            "gd",
            RATES,
        ),
        landscape(
            "gd-ravine50",
            "Gradient descent on the ravine",
            "At 0.015 and 0.019 each step lands on the other wall: the zig-zag. At exactly 0.02 it goes from wall to wall "
            "for ever, for that rate times the curvature, 100, is 2; anything above diverges. Yet the smallest of these "
            "rates has hardly moved along the valley. The loss curves lie on the rings that the formula predicts.",
            "ravine50",
            "gd",
            (*RATES[:4], 0.019, 0.02),
        ),
        landscape(
            "gd-edge",
            "On either side of the edge",
            "Below 0.02 the walls pull in, above it each swing is longer than the last.",
            "ravine50",
            "gd",
            (0.0195, 0.0205),
        ),
        Figure(
            "contraction",
            "How much of the error a step leaves",
            "The theory of the three quadratics. A curve above the dashed line diverges; the diamond is the best rate, where the "
            "steepest and the flattest direction fall equally fast. The best that the ravine allows leaves 96 % of the "
            "error at every step, the bowl's best leaves nothing: that is what the condition number κ costs.",
            contraction,
        ),
    ),
)

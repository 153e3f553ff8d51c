"""First- and second-order models of a function at a point, and the steps that they propose."""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.reports.gallery.chapter import Chapter, Figure, landscape
from ravine.reports.landscape.drawing import Drawing
from ravine.reports.landscape.sheet import Sheet
from ravine.reports.theme import LIGHT
from ravine.rules.method import differentiated

__all__ = ["SECOND_ORDER"]

PLACES = (-0.6, 1.2)


def wave(x: Tensor) -> Tensor:
    """The function sin x + x² / 10, of [K, 1]."""
    return (torch.sin(x) + 0.1 * x.square()).sum(-1)


def taylor() -> Drawing:
    """The line and the parabola that touch the function at two points, and where the parabola sends Newton's step."""
    objective = differentiated(wave)
    assert objective.hessian is not None
    sheet = Sheet([(300, 2)])
    x = torch.linspace(-3.5, 3.5, 281, dtype=torch.float64)
    for column, place in enumerate(PLACES):
        here = torch.tensor([[place]], dtype=torch.float64)
        value, slope = objective.evaluate(here)
        bend = float(objective.hessian(here))
        moved = x - place
        line = float(value) + float(slope) * moved
        parabola = line + 0.5 * bend * moved.square()
        words = f"at x = {place:g}, where f bends {'up' if bend > 0 else 'down'}"
        cell = sheet.cell(0, column, words, "x", "f" if column == 0 else "")
        first = column == 0
        for name, y, colour, dash in (
            ("f = sin x + x²/10", wave(x[:, None]), LIGHT.ink, "solid"),
            ("first order", line, LIGHT.blue, "dash"),
            ("second order", parabola, LIGHT.red, "dot"),
        ):
            look = {"color": colour, "dash": dash, "width": 2.5}
            sheet.add(
                cell,
                {
                    "type": "scatter",
                    "x": x.tolist(),
                    "y": y.tolist(),
                    "mode": "lines",
                    "name": name,
                    "line": look,
                    "showlegend": first,
                    "hovertemplate": f"{name} at %{{x:.2f}}: %{{y:.3f}}<extra></extra>",
                },
            )
        newton = place - float(slope) / bend
        for name, at, symbol in (("the point", place, "circle"), ("Newton's step", newton, "diamond")):
            there = torch.tensor([[at]], dtype=torch.float64)
            sheet.add(
                cell,
                {
                    "type": "scatter",
                    "x": [at],
                    "y": wave(there).tolist(),
                    "mode": "markers",
                    "name": name,
                    "marker": {
                        "symbol": symbol,
                        "size": 12,
                        "color": LIGHT.purple if symbol == "diamond" else LIGHT.ink,
                    },
                    "showlegend": first,
                    "hovertemplate": f"{name}: %{{x:.3f}}<extra></extra>",
                },
            )
        sheet.axis(cell, "x", range=[-3.5, 3.5], zeroline=False)
        sheet.axis(cell, "y", range=[-1.6, 2.2], zeroline=False)
    return Drawing(sheet.figure())


SECOND_ORDER = Chapter(
    "second-order",
    "Second order",
    (
        "Gradient descent knows a function by its tangent. A parabola knows how far the tangent can be trusted: its minimum is Newton's "
        "step, and no learning rate is needed. For p parameters the Hessian has p² entries and is solved in p³ operations: too much for a "
        "network. BFGS keeps an approximation of the inverse by corrections of rank two, L-BFGS only the last few of them.",
    ),
    (
        Figure(
            "taylor",
            "A line, or a parabola",
            "Left, the parabola's minimum is close to the true one. Right, the function bends down: the parabola has a maximum, and "
            "Newton's plain step would climb to it. Hence the safeguards of the method as it is used.",
            taylor,
        ),
        landscape(
            "newton-banana",
            "Second-order methods on the banana",
            "Newton, BFGS and L-BFGS reach the minimum in some tens of steps; 100 steps of gradient descent have only just fallen into "
            "the valley. A step of theirs is a line search, which costs a few evaluations.",
            "rosenbrock",
            "gd newton bfgs lbfgs",
            (0.001,),
            starts=((-1.2, 1.0),),
            arrangement="race",
        ),
    ),
)

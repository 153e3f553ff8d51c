"""Momentum, its overshoot, and Nesterov's remedy, on the steepest ravine."""

from __future__ import annotations

from ravine.reports.gallery.chapter import Chapter, Figure, landscape
from ravine.reports.gallery.descent import momentum_map

__all__ = ["MOMENTUM"]

RATES = (0.001, 0.005, 0.01, 0.015, 0.019, 0.02)

MOMENTUM = Chapter(
    "momentum",
    "Momentum",
    (
        "Heavy ball steps along a decaying sum of past gradients. Across the ravine the gradients change sign and cancel; "
        "along it they agree and add up.",
    ),
    (
        landscape(
            "momentum-9",
            "Momentum 0.9",
            "The same ravine and 100 steps as above: every rate but the smallest arrives. 0.02, where plain descent stands "
            "on the edge, is now well inside it. The price is to be seen as well: the path swings, and runs past the minimum.",
            "ravine50",
            "momentum",
            RATES,
            momentum=0.9,
        ),
        landscape(
            "momentum-5",
            "Momentum 0.5",
            "Half the memory: the swings across the valley are damped within a few steps, and the way along it is twice as fast "
            "as without momentum rather than ten times.",
            "ravine50",
            "momentum",
            RATES,
            momentum=0.5,
        ),
        Figure(
            "momentum-map",
            "Rate and momentum together",
            "Heavy ball on the ravine, by theory: the bluer, the less of the error is left by a step. More momentum moves the "
            "edge to the right, and the best pair, the star, leaves 75 % of the error where plain descent leaves 96 %.",
            momentum_map,
        ),
        landscape(
            "overshoot",
            "Momentum overshoots, Nesterov less",
            "95 steps with momentum 0.9 and a rate of 0.01. Momentum shoots past the minimum along the valley and has to come back. "
            "Nesterov's method measures the gradient where the momentum is about to carry it, and brakes earlier.",
            "ravine50",
            "momentum nesterov",
            (0.01,),
            arrangement="race",
            steps=95,
            momentum=0.9,
        ),
        landscape(
            "nesterov-9",
            "Nesterov, momentum 0.9",
            "Rates from 0.0001 to 0.01: already 0.005 goes down the valley without swinging from wall to wall.",
            "ravine50",
            "nesterov",
            (0.0001, 0.0005, 0.001, 0.005, 0.01),
            momentum=0.9,
        ),
    ),
)

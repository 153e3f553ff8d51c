"""Rules with a rate of its own for each coordinate, on the steepest ravine."""

from __future__ import annotations

from ravine.reports.gallery.chapter import Chapter, landscape

__all__ = ["ADAPTIVE"]

ADAPTIVE = Chapter(
    "adaptive",
    "A rate for every coordinate",
    (
        "AdaGrad divides each coordinate's step by the root of the sum of its squared gradients so far: steep directions are "
        "held back, flat ones helped. As the sum only grows, the steps only shrink. RMSProp and AdaDelta forget old gradients; "
        "Adam does too, and adds momentum.",
    ),
    (
        landscape(
            "adagrad",
            "AdaGrad on the ravine",
            "The first step is as long in the flat direction as in the steep one, and has the length of the rate: the paths set out "
            "along the diagonal instead of falling to the floor. Then the sum in the denominator grows and the steps shrink: "
            "only 0.5 arrives, and the small rates hardly leave the start.",
            "ravine50",
            "adagrad",
            (0.001, 0.005, 0.01, 0.05, 0.1, 0.5),
        ),
        landscape(
            "adam",
            "Adam on the ravine",
            "Each step is about as long as the rate, whatever the slope: 100 steps of 0.001 cannot go further than 0.1. "
            "These rates are small for Adam here, and none of them zig-zags.",
            "ravine50",
            "adam",
            (0.001, 0.005, 0.01, 0.015, 0.02),
        ),
        landscape(
            "adaptive-race",
            "AdaGrad, RMSProp and Adam side by side",
            "One rate, 0.1, for 200 steps. AdaGrad slows down more and more. RMSProp keeps its pace and arrives first; there it "
            "forgets that the walls are steep, and near step 170 a step across them is far too long. Adam swings in.",
            "ravine50",
            "adagrad rmsprop adam",
            (0.1,),
            arrangement="race",
            steps=200,
        ),
        landscape(
            "adadelta",
            "AdaDelta, which needs no rate",
            "Its steps are as long as its steps so far were, beginning from almost nothing: the unit of the parameters comes out "
            "right, and the start is slow. Here it takes 1,000 of the 2,000 steps to arrive, and then keeps moving about.",
            "ravine50",
            "adadelta",
            (1.0,),
            arrangement="rules",
            steps=2000,
        ),
    ),
)

"""What goes wrong besides ravines: local minima, saddles, cliffs and noise."""

from __future__ import annotations

from ravine.reports.gallery.chapter import Chapter, landscape

__all__ = ["TROUBLE"]

TROUBLE = Chapter(
    "trouble",
    "Four more troubles",
    (
        "The loss of a network is no quadratic. It has minima that differ, places without a gradient that are no minimum at "
        "all, walls, and a gradient that is estimated from a few examples.",
    ),
    (
        landscape(
            "local-minima",
            "Which minimum depends on the start",
            "Himmelblau's function has four minima of one depth. Five starts near one another reach all four.",
            "himmelblau",
            "gd",
            (0.01,),
            starts=((-0.5, -0.5), (0.0, 0.0), (0.5, -1.0), (-1.0, -2.0), (-0.2, 0.6)),
            arrangement="rules",
        ),
        landscape(
            "saddle",
            "A saddle holds a path up",
            "The start is a thousandth beside the ridge. Gradient descent runs to the saddle in the middle, where the gradient "
            "vanishes, and lingers: its loss has a flat stretch that looks like the end of training. Momentum runs past it and "
            "leaves sooner. Adam, whose steps are as long in a flat direction as in a steep one, is not held up at all.",
            "saddle",
            "gd momentum adam",
            (0.05,),
            starts=((2.5, 0.001),),
            arrangement="race",
            steps=80,
        ),
        landscape(
            "cliff",
            "A cliff throws a path far away",
            "On the plateau the slope is 0.1, on the cliff 15. A rate that makes headway above is far too large at the wall: "
            "with 4, one step there throws the path across the basin and out on the other side, and it has to come back.",
            "cliff",
            "gd",
            (0.5, 4.0),
            starts=((-4.0, 1.0),),
            arrangement="rules",
            steps=150,
        ),
        landscape(
            "noise",
            "A noisy gradient never comes to rest",
            "The gradient carries noise, as a mini-batch's does. A small rate is slow and quiet; a large one is quick "
            "and keeps wandering about the minimum. Lowering the rate in time has both: hence schedules.",
            "noisy",
            "gd",
            (0.01, 0.03, 0.1),
            arrangement="rates",
            steps=200,
        ),
    ),
)

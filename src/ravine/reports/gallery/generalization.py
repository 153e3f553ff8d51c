"""Training against validation: a network too small, one that fits, and one with too little data."""

from __future__ import annotations

from ravine.reports.gallery.chapter import Chapter, Figure
from ravine.reports.gallery.digits import digits, trained
from ravine.reports.landscape.drawing import Drawing
from ravine.reports.landscape.sheet import Sheet
from ravine.reports.theme import LIGHT
from ravine.training import Setting

__all__ = ["GENERALIZATION"]

STEPS = 500
CASES = (
    ("under-fit: 2 hidden units", (2,), None, 64, 0.02, 0.0),
    ("good: 128 hidden units", (128,), None, 64, 0.002, 0.01),
    ("over-fit: 256 units, 100 images", (256,), 100, 50, 0.002, 0.0),
)
"""(title, hidden widths, training images, batch size, learning rate, weight decay)"""


def fit_curves() -> Drawing:
    """Accuracy and loss on training and validation images, three networks, really trained."""
    sheet = Sheet([(200, 3), (180, 3)])
    for column, (title, hidden, rows, batch, lr, decay) in enumerate(CASES):
        setting = Setting(lr=lr, weight_decay=decay, schedule="constant", warmup=0.0, batch_size=batch)
        epochs = trained(digits(rows), hidden, [setting], STEPS).history.epochs(0)
        for row, (kind, name, span) in enumerate((("metric", "accuracy", [0.0, 1.04]), ("loss", "loss", [-0.05, 2.5]))):
            words = title if row == 0 else ""
            place = sheet.cell(row, column, words, "step" if row else "", name if column == 0 else "")
            for split, colour, dash in (("train", LIGHT.orange, "dash"), ("validation", LIGHT.blue, "solid")):
                shown = "training" if split == "train" else split
                sheet.add(
                    place,
                    {
                        "type": "scatter",
                        "x": epochs["step"],
                        "y": epochs[f"{split}_{kind}"],
                        "mode": "lines",
                        "name": shown,
                        "line": {"color": colour, "dash": dash, "width": 2.5},
                        "showlegend": row == 0 and column == 0,
                        "hovertemplate": f"{shown}, step %{{x}}: %{{y:.3f}}<extra></extra>",
                    },
                )
            sheet.axis(place, "y", range=span)
            sheet.axis(place, "x", range=[0, STEPS])
    return Drawing(sheet.figure())


GENERALIZATION = Chapter(
    "generalization",
    "Training error and validation error",
    ("What counts is the error on new examples. The distance between the two curves says which way to go.",),
    (
        Figure(
            "fit-curves",
            "Under-fit, good, over-fit",
            "Digits, trained when this page was made. Left, the curves lie together, and low: the network is too small. "
            "Middle, together and high. Right, training is perfect and validation is not, and its loss turns up again: "
            "more regularization or more data is called for.",
            fit_curves,
        ),
    ),
)

"""An inspection record as a run writes it, with round numbers: 1,000 parameters, of which five stand out."""

from __future__ import annotations

from typing import Any

import numpy as np


def inspection(**changes: Any) -> dict[str, Any]:
    """The whole record; fields of the curvature are changed by name."""
    grid = np.linspace(-1.0, 11.0, 60)
    rates = [0.01 * k for k in range(31)]
    places = [0.1 * k for k in range(-3, 4)]
    curvature = {
        "parameters": 1000,
        "examples": 500,
        "loss": 0.5,
        "gradient_norm": 0.2,
        "kind": "slope",
        "unused_drop": 0.004,
        "index": {"value": 0.0, "error": 0.0, "at_least": 0, "threshold": 0.001},
        "threshold": 0.001,
        "top": [direction(value) for value in (10.0, 4.0, 2.0, 1.5, 1.0)],
        "bottom": [direction(-0.5)],
        "condition": 400.0,
        "condition_exact": False,
        "max_lr": 0.2,
        "max_lr_momentum": {"0.9": 0.38},
        "lr": 0.1,
        "lr_given": False,
        "trace": {"value": 25.0, "error": 1.5, "products": 60},
        "effective_rank": 12.0,
        "density": None,
        "noise": {"scale": 300.0, "error": 40.0, "resolved": True, "at_least": 250.0, "suggested_batch": 256},
        "newton": {"degrees": 70.0, "change": 0.4, "damping": 0.001, "decrease": 0.01, "length": 1.0},
        "converged": True,
        "products": 100,
    }
    return {
        "split": "train",
        "of": 1149,
        "task": "classification",
        "trial": 7,
        "optimizer": "sgd",
        "lr": 0.05,
        "momentum": 0.9,
        "batch_size": 32,
        "stable_below": 0.136,
        "curvature": {**curvature, **changes},
        "spectrum": {
            "eigenvalue": grid.tolist(),
            "count": [*(900 * np.exp(-(grid[:-1] ** 2))).tolist(), None],
            "width": 0.1,
        },
        "slices": {
            "gradient": {
                "along": "learning rate of one step",
                "positions": rates,
                "losses": [0.5 - 0.04 * r + 2 * r**2 for r in rates],
                "predicted": [0.5 - 0.04 * r + 0.2 * r**2 for r in rates],
            },
            "eigenvectors": {
                "axes": ["first eigenvector", "second eigenvector"],
                "along": places,
                "across": places,
                "losses": [[0.5 + 5 * s**2 + 2 * t**2 for s in places] for t in places],
                "predicted": [[0.5 + 5 * s**2 + 2 * t**2 for s in places] for t in places],
                "eigenvalues": [10.0, 4.0],
                "minimum": [0.05, 0.02],
            },
            "between": {"along": "way", "positions": [0.0, 0.5, 1.0], "losses": [0.01, 2.0, 0.02], "predicted": []},
        },
        "notes": ["the Gauss-Newton matrix was left out: 0.1 s were left of the budget."],
        "seconds": 12.5,
    }


def direction(value: float) -> dict[str, Any]:
    return {"eigenvalue": value, "error": 0.01, "gradient_share": 0.3, "steps_to_halve": 4.0 if value > 0 else None}

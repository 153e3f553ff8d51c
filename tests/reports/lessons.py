"""What a search has taught, as `after_search` records it, and what stands in its place where too little was tried."""

from __future__ import annotations

from typing import Any

import numpy as np

TRIALS = 24


def learnt(task: str = "classification", name: str = "dropout", **changes: Any) -> dict[str, Any]:
    """The record of 24 trials, numbers 0 to 23; 5 and 11 diverged. name: of the second hyper-parameter."""
    gains = (0.004, 0.001, 0.012, 0.02)  # of accuracy
    doubling, low, high, before = gains if task == "classification" else [60 * gain for gain in gains]
    return {
        "phase": "coarse",
        "step": 120,
        "trials": TRIALS,
        "edges": {"lr": "upper"},
        "importance": {
            "applies": True,
            "trials": TRIALS,
            "quantile": 0.25,
            "importance": {
                "lr": {"share": 0.61, "low": 0.33, "high": 0.84, "chance": 0.01},
                name: {"share": 0.3, "low": 0.11, "high": 0.52, "chance": 0.04},
                "weight_decay": {"share": 0.09, "low": 0.01, "high": 0.2, "chance": 0.4},
            },
            "told": ["lr", name],
        },
        "more_trials": {
            "applies": True,
            "trials": TRIALS,
            "curve": [[n, value(0.96 - 0.1 / n, task)] for n in range(1, TRIALS + 1)],
            "slope": 0.0001,
            "doubling": doubling,
            "low": low,
            "high": high,
            "before": before,
        },
        "grid_or_random": grid_or_random(task, name),
        **changes,
    }


def grid_or_random(task: str, name: str) -> dict[str, Any]:
    places = np.random.default_rng(4).random((TRIALS, 2)).tolist()
    scores = [value(0.97 - 0.2 * abs(x - 0.6), task) for x, _ in places]
    return {
        "applies": True,
        "parameters": ["lr", name],
        "searched": 3,
        "levels": 2,
        "distinct": {"grid": 2, "random": TRIALS},
        "one": near(2, 2, 0.92, task),
        "two": near(4, 3, 0.93, task),
        "all": {"trials": TRIALS, "best": value(0.97, task)},
        "places": [
            [n, x, y, None if n in (5, 11) else score, n in (2, 7, 8)]
            for n, ((x, y), score) in enumerate(zip(places, scores, strict=True))
        ],
    }


def near(points: int, trials: int, best: float, task: str) -> dict[str, Any]:
    chance = {"expected": best + 0.02, "low": best - 0.02, "high": best + 0.03}
    scores = {name: value(score, task) for name, score in ({"best": best} | chance).items()}
    return {"points": points, "trials": trials, **scores}


def value(accuracy: float, task: str) -> float:
    return accuracy if task == "classification" else 60 * (1.3 - accuracy)


def nothing_learnt(why: str = "9 trials of equal length are too few to tell: 20 are needed") -> dict[str, Any]:
    left_out = {"applies": False, "why": why}
    parts = dict.fromkeys(("importance", "more_trials", "grid_or_random"), left_out)
    return {"phase": "refine", "step": 320, "trials": 9, "edges": {}, **parts}

"""Trials whose results are a known function of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from ravine.search import Choice, Compared, Distribution, Log, Uniform
from ravine.search.places import placed, to_optuna

RANGES: Mapping[str, Distribution] = {
    "lr": Log(1e-4, 1e-1),
    "weight_decay": Log(1e-6, 1e-2),
    "dropout": Uniform(0, 0.5),
}

Worth = Callable[[dict[str, float], np.random.Generator], float]
Planted = Callable[..., list[Compared]]


@pytest.fixture
def planted() -> Planted:
    """Makes random trials: so many, and what each is worth by the place of its values in [0, 1), and a generator."""

    def make(
        count: int, worth: Worth, seed: int = 0, *, ranges: Mapping[str, Distribution] = RANGES, maximize: bool = True
    ) -> list[Compared]:
        rng, found = np.random.default_rng(seed), []
        for number in range(count):
            places = {name: float(rng.random()) for name in ranges}
            drawn = {name: to_optuna(d) for name, d in ranges.items()}
            value = worth(places, rng)
            params = {"optimizer": "adamw", **{name: placed(d, places[name]) for name, d in drawn.items()}}
            distributions = {"optimizer": to_optuna(Choice(["adamw"])), **drawn}
            known = value if np.isfinite(value) else None
            found.append(Compared(number, params, distributions, known, value if maximize else -value, False))
        return found

    return make

"""Samplers: which values a trial gets, as a function of (seed, the trial's number, the trials before it) alone.

Optuna's samplers carry a generator from trial to trial, so a search that was killed and resumed would draw other
values. Here each trial's draw begins anew: random, grid and quasi-random values follow from the trial's number; TPE and
the Gaussian process are Optuna's, built for each trial with a seed of its own, and see the earlier trials of the same
phase and optimizer with the same ranges. A batch may be asked for at once: both count the trials that are still running,
TPE as if they had done badly (constant liar), the Gaussian process by what their results together may be (q-batch).

Sources: Sobol 1967 and Halton 1960, scrambled (scipy.stats.qmc); TPE: Bergstra et al. 2011; the Gaussian process
maximizes expected improvement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial
from scipy.stats import qmc

from ravine.errors import SettingError, nearest
from ravine.limits import GRID
from ravine.randomness import derive, permutation
from ravine.search.places import count_of, placed

__all__ = ["LEARNING_FROM", "SAMPLERS", "RepeatableSampler"]

SAMPLERS: Mapping[str, str] = {
    "random": "each value for itself: the default",
    "grid": "every combination of evenly spaced values, in random order",
    "sobol": "quasi-random: spread more evenly than chance, best for powers of two",
    "halton": "quasi-random, for any number of trials",
    "tpe": "Optuna's tree-structured Parzen estimator: near what did well, after ten trials",
    "gp": "Optuna's Gaussian process: where the largest improvement is expected, after ten trials; slow to ask",
}
"""What each sampler does, in words."""

_LEARN = ("tpe", "gp")

LEARNING_FROM = 10
"""Trials of an optimizer that TPE and the Gaussian process draw at random before they learn: Optuna's default for both."""

_Distributions = dict[str, BaseDistribution]


class RepeatableSampler(optuna.samplers.BaseSampler):
    """One of SAMPLERS, to be used in any Optuna study with one objective.

    trials: how many are planned; a grid is made as fine as they need, and when they are more they are points between.
    Raises SettingError for a sampler that is not known.

    >>> study = optuna.create_study(sampler=RepeatableSampler("sobol", seed=1))
    >>> a = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}).params["x"]
    >>> 0 <= a <= 1
    True
    """

    def __init__(self, kind: str = "random", seed: int = 0, *, trials: int = 64) -> None:
        if kind not in SAMPLERS:
            raise SettingError(f"sampler {kind!r} is not known; {nearest(kind, SAMPLERS)}")
        self.kind, self.seed, self.trials = kind, seed, trials

    @property
    def learns(self) -> bool:
        """Whether what it draws hangs on how earlier trials ended."""
        return self.kind in _LEARN

    def infer_relative_search_space(
        self,
        study: optuna.Study,
        trial: FrozenTrial,  # noqa: ARG002 Optuna's signature
    ) -> _Distributions:
        """What finished trials have in common, for who asks for one value after the other; nothing for random draws."""
        if self.kind == "random":
            return {}
        found = IntersectionSearchSpace(include_pruned=True).calculate(study)
        return {name: d for name, d in sorted(found.items()) if not d.single()}

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: _Distributions) -> dict[str, Any]:
        """Values for all of `search_space`. What `trial` holds already (its optimizer, say) tells which trials are alike."""
        if not search_space:
            return {}
        if self.kind == "random":
            return {name: self.sample_independent(study, trial, name, d) for name, d in search_space.items()}
        before = _alike(study, trial, search_space)
        if self.learns:
            seed = derive(self.seed, "ask", trial.number) % 2**32
            return _learnt(self.kind, seed, study.direction, before, search_space)
        position = sum("given" not in t.user_attrs for t in before)
        names = sorted(search_space)
        purpose = (self.kind, *names, *map(str, (trial.params.get("optimizer"), trial.user_attrs.get("phase"))))
        seed = derive(self.seed, *purpose) % 2**32
        if self.kind == "grid":
            return _on_grid(seed, position, search_space, self.trials)
        places = _quasi_random(self.kind, seed, position, len(names))
        return {name: placed(search_space[name], place) for name, place in zip(names, places, strict=True)}

    def sample_independent(
        self,
        study: optuna.Study,  # noqa: ARG002 Optuna's signature
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A random value, that of this name in the trial of this number."""
        place = derive(self.seed, "ask", trial.number, param_name) / 2**63
        return placed(param_distribution, min(place, math.nextafter(1, 0)))


def _alike(study: optuna.Study, trial: FrozenTrial, space: _Distributions) -> list[FrozenTrial]:
    """Earlier trials of the same phase and optimizer whose values were drawn from the same distributions."""
    return [
        t
        for t in study.get_trials(deepcopy=False)
        if t.number < trial.number
        and all(_drawn_from(d, name, t) for name, d in space.items())
        and t.params.get("optimizer") == trial.params.get("optimizer")
        and t.user_attrs.get("phase") == trial.user_attrs.get("phase")
    ]


def _drawn_from(d: BaseDistribution, name: str, trial: FrozenTrial) -> bool:
    """Whether a trial's value was drawn from this distribution; of a list it may note more options than it drew from."""
    if isinstance(d, CategoricalDistribution) and name in trial.params:
        return trial.params[name] in d.choices
    return trial.distributions.get(name) == d


def _learnt(
    kind: str,
    seed: int,
    direction: optuna.study.StudyDirection,
    before: Sequence[FrozenTrial],
    space: _Distributions,
) -> dict[str, Any]:
    """A draw of Optuna's own sampler, in a study in memory that holds the trials before and nothing else."""
    sampler: optuna.samplers.BaseSampler
    sampler = optuna.samplers.TPESampler(seed=seed) if kind == "tpe" else optuna.samplers.GPSampler(seed=seed)
    study = optuna.create_study(sampler=sampler, direction=direction)
    for t in before:
        study.add_trial(
            optuna.trial.create_trial(
                state=t.state,
                value=t.value,
                params={name: t.params[name] for name in space},
                distributions=space,
                intermediate_values=t.intermediate_values,
            )
        )
    return dict(study.ask(space).params)


def _quasi_random(kind: str, seed: int, position: int, dimensions: int) -> list[float]:
    """Point number `position` of a scrambled sequence in [0, 1)^dimensions."""
    engine = (qmc.Sobol if kind == "sobol" else qmc.Halton)(dimensions, scramble=True, seed=seed)
    if position:
        engine.fast_forward(position)
    return [min(float(place), math.nextafter(1, 0)) for place in engine.random(1)[0]]


def _on_grid(seed: int, position: int, space: _Distributions, trials: int) -> dict[str, Any]:
    """Point number `position` of a shuffled grid, each level in the middle of its part of the range.

    When all have come they come again, shifted within their parts: to 1/4, 3/4, 1/8, 5/8 ... of the way (van der Corput).
    """
    levels = grid_levels(space, trials)
    points = math.prod(levels.values())
    if points > GRID:
        raise SettingError(
            f"the grid has {points:,} points; {GRID:,} are the most: search fewer names, or take another --sampler."
        )
    turn, place = divmod(position, points)
    at = np.unravel_index(int(permutation(points, seed)[place]), tuple(levels.values()))
    within = sum(0.5 ** (k + 1) for k, bit in enumerate(reversed(f"{turn + 1:b}")) if bit == "1")
    return {name: placed(space[name], (int(i) + within) / levels[name]) for name, i in zip(levels, at, strict=True)}


def grid_levels(space: Mapping[str, BaseDistribution], trials: int) -> dict[str, int]:
    """How many values of each hyper-parameter: all of a list, and of ranges as few and as equal as make `trials` points.

    >>> from optuna.distributions import CategoricalDistribution, FloatDistribution
    >>> grid_levels({"a": CategoricalDistribution([1, 2]), "b": FloatDistribution(0, 1), "c": FloatDistribution(0, 1)}, 16)
    {'a': 2, 'b': 3, 'c': 3}
    """
    listed = {name: len(d.choices) for name, d in space.items() if isinstance(d, CategoricalDistribution)}
    levels = {name: listed.get(name, 1) for name in space}
    growing = [name for name in space if name not in listed and count_of(space[name]) > 1]
    while growing and math.prod(levels.values()) < trials:
        levels[min(growing, key=levels.__getitem__)] += 1
        growing = [name for name in growing if levels[name] < count_of(space[name])]
    return levels

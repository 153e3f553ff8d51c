"""Which hyper-parameters mattered: by how much the best trials' values differ from those of all.

PED-ANOVA (Watanabe et al. 2023, in Optuna; conditional hyper-parameters: 2026), chosen before fANOVA (Hutter et al. 2014): it looks at
the order of the trials alone, so that one diverged trial does not make the learning rate all that matters, it takes ranges
that differ between optimizers, and it need not be told how the trials were drawn.
"""

from __future__ import annotations

import math
import warnings
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna

from ravine.randomness import derive
from ravine.search.comparable import Compared

__all__ = ["importance"]

QUANTILE = 0.25
"""What counts as the best trials: the best quarter."""

LEAST = 20
"""Trials: the best quarter should hold five at least (Optuna's own advice)."""

REPEATS = 100


def importance(trials: Sequence[Compared], *, seed: int = 0) -> dict[str, Any]:
    """The importance of each hyper-parameter for being among the best quarter.

    trials: of one phase and equally long; a trial that diverged counts as the worst. With fewer than 20 `applies` is
    False, and `why` says so. Else `importance` holds for each name, the most important first: `share` of the whole
    in [0, 1]; `low` and `high`, 90 % of its shares in random halves of the trials, whose spread is that of the share itself
    (Shao & Wu 1989); and `chance`, how often shuffled results make it seem as important: above 0.05 it cannot be told
    from a hyper-parameter that does nothing. `told` lists the names below.
    """
    varied = [name for name in _names(trials) if len({repr(t.params.get(name)) for t in trials}) > 1]
    if len(trials) < LEAST or not varied:
        why = f"{len(trials)} trials of equal length are too few to tell: {LEAST} are needed"
        return {"applies": False, "trials": len(trials), "why": why if varied else "nothing was varied"}
    study, ranks = _study(trials), _ranks([t.worth for t in trials])
    whole = _measured(study, varied, ranks)
    rng = np.random.default_rng(derive(seed, "importance"))
    count = len(trials)
    halves = [_measured(study, varied, _half(ranks, rng)) for _ in range(REPEATS)]
    shuffled = [_measured(study, varied, [ranks[i] for i in rng.permutation(count)]) for _ in range(REPEATS)]
    found = {}
    for name in sorted(varied, key=lambda name: -whole[name]):
        shares = [_share(half, name) for half in halves]
        at_least = sum(one[name] >= whole[name] for one in shuffled)
        found[name] = {
            "share": _share(whole, name),
            "low": float(np.quantile(shares, 0.05)),
            "high": float(np.quantile(shares, 0.95)),
            "chance": (at_least + 1) / (REPEATS + 1),
        }
    told = [name for name, one in found.items() if one["chance"] <= 0.05]
    return {"applies": True, "trials": count, "quantile": QUANTILE, "importance": found, "told": told}


def _names(trials: Sequence[Compared]) -> list[str]:
    return list(dict.fromkeys(name for t in trials for name in t.params))


def _ranks(worths: Sequence[float]) -> list[float]:
    """How many trials are better than each; equals share a rank."""
    falling = sorted(-w for w in worths)
    return [float(bisect_left(falling, -w)) for w in worths]


def _half(ranks: Sequence[float], rng: np.random.Generator) -> list[float]:
    """A random half of the trials; infinity leaves a trial out."""
    kept = set(rng.permutation(len(ranks))[: (len(ranks) + 1) // 2].tolist())
    return [rank if i in kept else math.inf for i, rank in enumerate(ranks)]


def _study(trials: Sequence[Compared]) -> optuna.Study:
    study = optuna.create_study()
    for t in trials:
        study.add_trial(optuna.trial.create_trial(value=0.0, params=t.params, distributions=t.distributions))
    return study


def _measured(study: optuna.Study, names: Sequence[str], ranks: Sequence[float]) -> dict[str, float]:
    """What PED-ANOVA makes of the trials, in the study's order, by their ranks."""
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances  # it loads scikit-learn: seconds

    evaluator = PedAnovaImportanceEvaluator(target_quantile=QUANTILE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that low is good is as we want it
        found = get_param_importances(
            study, evaluator=evaluator, params=list(names), target=lambda t: ranks[t.number], normalize=False
        )
    return {name: float(found[name]) for name in names}


def _share(measured: dict[str, float], name: str) -> float:
    total = sum(measured.values())
    return measured[name] / total if total else 1 / len(measured)

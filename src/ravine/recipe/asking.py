"""Which trials a phase of the search asks for: optimizers and structures dealt in turn, so that the stacks stay full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ravine.recipe.trials import Search, best_trials
from ravine.search import SEARCHED, Asked, Space, Study, known_settings, structures

__all__ = ["ask_coarse", "ask_refined", "structural", "structure_of"]

PER_STACK = 8
"""Trials that a structure should have at least: fewer leave most of what stacking gains unused."""


def structural(space: Space) -> Space:
    """The part of a space that is the model's own settings: trials that differ there cannot be stacked."""
    return {name: d for name, d in space.items() if name not in SEARCHED}


def structure_of(asked: Asked, space: Space) -> dict[str, Any]:
    """The values of a trial for those."""
    return {name: asked.params[name] for name in structural(space)}


def ask_coarse(
    study: Study, spaces: Mapping[str, Space], count: int, *, known: bool, measured: bool, seed: int
) -> list[Asked]:
    """Optimizers in turn; of each the known settings first, in half of the trials at most, then draws.

    known: whether settings known to be good come first. measured: whether the ranges of the rates are those of step 3.
    """
    names = list(spaces)
    good = {name: known_settings(name, spaces[name], measured=measured) if known else [] for name in names}
    each = {
        name: structures(structural(spaces[name]), len(range(i, count, len(names))), PER_STACK, seed)
        for i, name in enumerate(names)
    }
    asked = []
    for i in range(count):
        name = names[i % len(names)]
        first = good[name].pop(0) if good[name] and i < count // 2 else None
        asked.append(study.ask(name, spaces[name], "coarse", structure=each[name][i // len(names)], first=first))
    return asked


def ask_refined(study: Study, spaces: Mapping[str, Space], before: Search, count: int) -> list[Asked]:
    """The coarse winner first, then draws from the region, optimizers in turn, with the structures of the best quarter."""
    winner = before.ranked[0]
    name = str(winner.params["optimizer"])
    asked = [study.ask(name, spaces[name], "refine", first=winner.params)]
    names, good = list(spaces), best_structures(before)
    for i in range(count - 1):
        name = names[i % len(names)]
        structure = good[name][i // len(names) % len(good[name])]
        asked.append(study.ask(name, spaces[name], "refine", structure=structure))
    return asked


def best_structures(before: Search) -> Mapping[str, Sequence[dict[str, Any]]]:
    """By optimizer: the distinct structures of the best quarter, the best first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in best_trials(before, 0.25, 3):
        name = str(one.params["optimizer"])
        structure = structure_of(one, before.spaces[name])
        if structure not in found.setdefault(name, []):
            found[name].append(structure)
    return found

"""Which trials a phase of the search asks for: optimizers and structures dealt in turn, so that the stacks stay full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ravine.recipe.trials import Search, best_trials
from ravine.search import LEARNING_FROM, SEARCHED, Asked, Space, Study, known_settings, structures

__all__ = ["ask_coarse", "ask_refined", "batches", "structural", "structure_of"]

PER_STACK = 8
"""Trials that a structure should have at least: fewer leave most of what stacking gains unused."""


def structural(space: Space) -> Space:
    """The part of a space that is the model's own settings: trials that differ there cannot be stacked."""
    return {name: d for name, d in space.items() if name not in SEARCHED}


def structure_of(asked: Asked, space: Space) -> dict[str, Any]:
    """The values of a trial for those."""
    return {name: asked.params[name] for name in structural(space)}


def ask_coarse(
    study: Study, spaces: Mapping[str, Space], batch: range, count: int, *, known: bool, measured: bool, seed: int
) -> list[Asked]:
    """Optimizers in turn; of each the known settings first, in half of the trials at most, then draws.

    batch: which of the `count` trials of the phase are asked for now. known: whether settings known to be good come
    first. measured: whether the ranges of the rates are those of step 3.
    """
    names = list(spaces)
    good = {name: known_settings(name, spaces[name], measured=measured) if known else [] for name in names}
    each = {
        name: structures(structural(spaces[name]), len(range(i, count, len(names))), PER_STACK, seed)
        for i, name in enumerate(names)
    }
    asked = []
    for i in batch:
        name, turn = names[i % len(names)], i // len(names)
        first = good[name][turn] if turn < len(good[name]) and i < count // 2 else None
        asked.append(study.ask(name, spaces[name], "coarse", structure=each[name][turn], first=first))
    return asked


def batches(count: int, optimizers: int, *, learns: bool) -> list[range]:
    """Which of the `count` trials of a phase are asked for at once: all of them, or where the sampler learns half, or as
    many as it needs to begin with, and the rest in two turns. Fewer batches keep the stacks full; more let it learn more.

    >>> batches(48, 2, learns=True), batches(48, 2, learns=False), batches(12, 2, learns=True)
    ([range(0, 24), range(24, 36), range(36, 48)], [range(0, 48)], [range(0, 12)])
    """
    if not learns:
        return [range(count)]
    first = min(count, max(-(-count // 2), LEARNING_FROM * optimizers))
    second = first + -(-(count - first) // 2)
    return [part for part in (range(first), range(first, second), range(second, count)) if part]


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

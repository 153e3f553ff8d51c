"""Training and held-out rows beside each other: rows that are in both, and rows dealt anew.

Letters in shapes: N training rows, M held-out rows, F features.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ravine.diagnosis.case import Case
from ravine.diagnosis.forest import features
from ravine.randomness import permutation

__all__ = ["dealt_anew", "leaked"]

NEAR = 0.1  # of the median distance from a training row to its nearest fellow
NEAR_ROWS = 4_000
CHANCE = 1e-3  # expected chance equals of a row below which equal rows cannot be chance


def leaked(case: Case) -> tuple[Tensor, float]:
    """Which held-out rows are training rows too, [M] bool: equal to the bit, or nearer to one than a tenth of the usual
    distance between training rows. And the share of such rows that chance would give: that among the training rows
    themselves where rows can be equal by chance, as in small tables of categories, else 0.
    """
    x, held = case.x.flatten(1), case.held_x.flatten(1)
    known: dict[bytes, int] = {}
    for row in x.numpy():
        key = row.tobytes()
        known[key] = known.get(key, 0) + 1
    same = torch.tensor([row.tobytes() in known for row in held.numpy()], dtype=torch.bool)
    discrete = len(x) * _agreement(x) > CHANCE
    chance = sum(count for count in known.values() if count > 1) / len(x) if discrete else 0.0
    if discrete:
        return same, chance
    near, usual = _near(x, held)
    excess = near & ~same
    # where training rows are as near to each other by nature, nearness says nothing
    if float(excess.float().mean()) < usual + 4 * math.sqrt(max(usual, 1 / len(held)) / len(held)):
        excess[:] = False
    return same | excess, chance


def _agreement(x: Tensor) -> float:
    """The chance that two rows agree in all features, were these independent of each other."""
    some = x[permutation(len(x), 0, "agreement")[:500]]
    total = 0.0
    for column in some.T:
        _, counts = column.unique(return_counts=True)
        # the same value drawn twice without putting it back
        alike = float((counts * (counts - 1)).sum()) / (len(some) * max(1, len(some) - 1))
        if alike == 0.0:
            return 0.0
        total += math.log(alike)
    return math.exp(total)


def _near(x: Tensor, held: Tensor) -> tuple[Tensor, float]:
    """Held-out rows [M] that lie very near to a training row, and the share of training rows that lie so to another."""
    x = x[permutation(len(x), 0, "near")[:NEAR_ROWS]]
    both = torch.from_numpy(features(torch.cat([x, held])))
    std = both[: len(x)].std(0)
    both = both[:, std > 0] / std[std > 0]
    x, held = both[: len(x)], both[len(x) :]
    if x.shape[1] == 0 or len(x) < 3:
        return torch.zeros(len(held), dtype=torch.bool), 0.0
    own = torch.cat([torch.cdist(part, x).topk(2, largest=False).values[:, 1] for part in x[:1000].split(500)])
    other = torch.cat([torch.cdist(part, x).min(1).values for part in held.split(500)])
    limit = NEAR * float(own.median())
    return other < limit, float((own < limit).float().mean())


def dealt_anew(case: Case) -> Case:
    """The same rows in splits of the same sizes, dealt at random."""
    x, y = torch.cat([case.x, case.held_x]), torch.cat([case.y, case.held_y])
    order = permutation(len(x), case.seed, "dealt anew")
    train, held = order[: len(case.x)], order[len(case.x) :]
    return case.but(x=x[train], y=y[train], held_x=x[held], held_y=y[held])

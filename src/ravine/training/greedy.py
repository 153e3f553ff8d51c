"""Which trained models answer best together.

Letters in shapes: M models, N examples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ravine.errors import ModelError, SettingError
from ravine.training.objective import losses_of
from ravine.types import Task

__all__ = ["Score", "Selection", "greedy_selection"]

Score = Callable[[Tensor, Tensor], Tensor]
"""Outputs of several ensembles [M, N, ...] (log-probabilities, or predictions) and y [N] -> [M]; smaller is better."""

ROUNDS = 4  # the weights add up to at most so much per distinct model: finer ones fit the rows, not the task
GAIN = 1e-9  # the share of the score that an addition must win; less is rounding
ELEMENTS = 2**23  # candidates are scored in chunks of about this many numbers, 64 MiB


@dataclass(frozen=True)
class Selection:
    """Models chosen to answer together: `Ensemble([models[m] for m in members], task, weights=weights)`."""

    members: tuple[int, ...]  # positions among the models given, most weight first
    weights: tuple[int, ...]  # how often each was added, in lowest terms
    score: float  # of the ensemble, on the rows it was selected on; smaller is better
    single_score: float  # of the best single model on the same rows
    path: tuple[float, ...]  # score after each addition that was kept; past the start it falls at every one


def greedy_selection(
    outputs: Sequence[Tensor] | Tensor,
    y: Tensor,
    task: Task,
    *,
    size: int = 5,
    start: int = 1,
    by: Score | None = None,
) -> Selection:
    """Add, again and again, the model that helps the ensemble most, until none helps.

    outputs: of M models over the same rows, [M, N, ...]: logits [N, C], or predictions [N, 1]; held-out rows, for
    the ones trained on flatter the models that learned them by heart. A model may be added again, which gives it
    more weight. Never worse on these rows than the best single model. Source: Caruana et al. 2004, with one thing of
    our own: where no addition helps, all models so far are counted twice, so that the next weighs half as much. Else
    a second model that would help at 1 : 3, and harms at 1 : 1, would never come in.

    size: most distinct models, since each is paid for at every prediction. The weights add up to at most 4 * size.
    start: begin with up to so many of the best models at once, as many of them as do best together (the paper's
    sorted initialization, against choosing by luck on few rows); in [1, size].
    by: the score to lower. NLL or mean squared error when left out. Not accuracy, which moves in steps of 1 / N:
    on few rows most additions tie, and the ties are broken by chance.

    A model with an output that is not finite is never chosen. Raises ModelError when no model is left, when there
    are none or when they differ in shape; SettingError for a size or a start out of range.

    >>> y = torch.tensor([1.0, -1.0])
    >>> models = torch.tensor([[2.0, 0.0], [0.0, -2.0], [9.0, 9.0]])  # the first two err in opposite ways
    >>> chosen = greedy_selection(models, y, "regression")
    >>> chosen.members, chosen.weights, chosen.score, chosen.single_score
    ((0, 1), (1, 1), 0.0, 1.0)
    """
    _check(outputs, y, size, start)
    usable = [m for m, one in enumerate(outputs) if bool(one.isfinite().all())]
    if not usable:
        raise ModelError("every model gave outputs that are not finite: there is nothing to select from.")
    pool = _Pool(torch.stack([_part(task, outputs[m], y, by) for m in usable]), y, task, by)
    added, path, single = _begin(pool, min(start, len(usable)))
    _climb(pool, added, path, size)
    members = sorted(dict.fromkeys(added), key=added.count, reverse=True)  # ties stay in order of entry
    common = math.gcd(*(added.count(m) for m in members))
    return Selection(
        members=tuple(usable[m] for m in members),
        weights=tuple(added.count(m) // common for m in members),
        score=path[-1],
        single_score=single,
        path=tuple(path),
    )


class _Pool:
    """What every model contributes, and how the score of many ensembles is found in one pass.

    Classifiers are added up as logarithms, so that one that is certain and wrong does not underflow. Where NLL is the
    score, the true class's probability is all that counts: parts are [M, N], not [M, N, C].
    """

    def __init__(self, parts: Tensor, y: Tensor, task: Task, by: Score | None) -> None:
        self.parts, self.y, self.task, self.by = parts, y.to(parts.device), task, by

    def join(self, total: Tensor, part: Tensor) -> Tensor:
        return torch.logaddexp(total, part) if self.task == "classification" else total + part

    def total(self, models: Sequence[int]) -> Tensor:
        total = self.parts[models[0]]
        for model in models[1:]:
            total = self.join(total, self.parts[model])
        return total

    def scores(self, totals: Tensor, count: int) -> Tensor:
        """Scores of ensembles of `count` additions each, whose sums are totals [m, N, ...] -> [m]."""
        means = totals - math.log(count) if self.task == "classification" else totals / count
        if self.by is not None:
            found = self.by(means, self.y)
        elif self.task == "classification":
            found = -means.mean(1)
        else:
            found = losses_of(self.task, means, self.y)
        return found.nan_to_num(nan=math.inf, posinf=math.inf)

    def after_adding(self, added: Sequence[int], candidates: Sequence[int]) -> list[float]:
        """Score of the ensemble with each of the candidates added."""
        total, chunk = self.total(added), max(1, ELEMENTS // self.parts[0].numel())
        index = torch.tensor(candidates, device=self.parts.device)
        joined = [self.scores(self.join(total, self.parts[some]), len(added) + 1) for some in index.split(chunk)]
        found: list[float] = torch.cat(joined).tolist()
        return found


def _part(task: Task, outputs: Tensor, y: Tensor, by: Score | None) -> Tensor:
    """What one model adds to the sum, in float64: log-probabilities or predictions."""
    wide = outputs.detach().double()
    if task == "regression":
        return wide
    logs = torch.log_softmax(wide, dim=-1)
    return logs if by is not None else logs.gather(1, y.to(logs.device)[:, None]).squeeze(1)


def _begin(pool: _Pool, start: int) -> tuple[list[int], list[float], float]:
    """The best models, as many of up to `start` as do best together; the scores on the way; that of the best single."""
    singles = [float(pool.scores(part.unsqueeze(0), 1)) for part in pool.parts]
    order = sorted(range(len(singles)), key=singles.__getitem__)[:start]
    if not math.isfinite(singles[order[0]]):
        raise ModelError("no model has a finite score on these rows: there is nothing to select from.")
    path = [float(pool.scores(pool.total(order[:n]).unsqueeze(0), n)) for n in range(1, start + 1)]
    most = min(range(start), key=path.__getitem__) + 1
    return order[:most], path[:most], path[0]


def _climb(pool: _Pool, added: list[int], path: list[float], size: int) -> None:
    """Append every addition that helps to `added`, and its score to `path`; both begin with the start."""
    while len(added) < ROUNDS * size:
        full = len(set(added)) >= size
        candidates = sorted(set(added)) if full else range(len(pool.parts))
        score, model = min(zip(pool.after_adding(added, candidates), candidates, strict=True))
        if score < path[-1] - GAIN * abs(path[-1]):
            added.append(model)
            path.append(score)
        else:
            added.extend(list(added))  # the same ensemble, in finer units


def _check(outputs: Sequence[Tensor] | Tensor, y: Tensor, size: int, start: int) -> None:
    if not len(outputs):
        raise ModelError("a selection needs the outputs of at least one model, got none.")
    shapes = sorted({tuple(one.shape) for one in outputs})
    if len(shapes) > 1 or shapes[0][:1] != tuple(y.shape) or not len(y):
        raise ModelError(
            f"the models' outputs have shapes {[list(shape) for shape in shapes]} for y of {list(y.shape)}: "
            "give every model's outputs over the same rows, [N, ...], and y [N]."
        )
    if size < 1:
        raise SettingError(f"size is {size}; an ensemble holds at least one model: write size=5.")
    if not 1 <= start <= size:
        raise SettingError(f"start is {start}; it must lie in [1, size = {size}]: write start=1.")

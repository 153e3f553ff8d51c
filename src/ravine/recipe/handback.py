"""What a run gives back: the best model, an average of the best few, and what they reach on the test split.

The test split is looked at here and nowhere else, once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ravine.recipe.session import Session
from ravine.training import Ensemble, Kept, averaged, confusion, evaluate, headline, measure, outputs_of, rank
from ravine.types import Metrics

__all__ = ["Handback", "Ranked", "hand_back", "ranked"]

MEMBERS = 5  # as in the lecture: about five models averaged
SHOWN = 2000  # points of the predicted-against-actual picture


@dataclass(frozen=True, eq=False)
class Ranked:
    """A trained trial, rebuilt, with its metrics on the whole validation split."""

    kept: Kept
    module: nn.Module
    validation: Metrics
    outputs: Tensor  # on the validation split, [N, ...]


@dataclass(frozen=True, eq=False)
class Handback:
    """What the winner and the ensemble reach, and evaluation.json: the test split in figures."""

    best: dict[str, Metrics]  # {"validation", "test"}
    members: Sequence[Ranked]  # of the ensemble, best first
    ensemble: dict[str, Metrics]
    evaluation: dict[str, Any]


def ranked(session: Session, candidates: Sequence[Kept]) -> list[Ranked]:
    """The best few of the candidates on the whole validation split, best first.

    Twice as many as are needed are looked at, those that did best on the rows seen while training.
    """
    data, scale = session.data, session.data.preprocessing.target.std
    likely = sorted(candidates, key=lambda kept: rank(kept.validation), reverse=True)[: 2 * MEMBERS]
    y, found = data.validation.y.to(session.device), []
    for kept in likely:
        module = _rebuilt(session, kept)
        outputs = outputs_of(module, data.validation)
        (measured,) = measure(data.task, outputs.unsqueeze(0), y, scale=scale)
        found.append(Ranked(kept, module, measured, outputs))
    return sorted(found, key=lambda one: rank(one.validation), reverse=True)[:MEMBERS]


def hand_back(session: Session, winners: Sequence[Ranked]) -> Handback:
    """Average the best winners, and open the test split."""
    data, scale = session.data, session.data.preprocessing.target.std
    members, validation = together(session, winners)
    ensemble = Ensemble([one.module for one in members], data.task)
    outputs, y = outputs_of(winners[0].module, data.test), data.test.y.to(session.device)
    test = measure(data.task, outputs.unsqueeze(0), y, scale=scale)[0]
    averages = {"validation": validation, "test": evaluate(ensemble, data.test, data.task, scale=scale)}
    evaluation = {
        "split": "test",
        "task": data.task,
        "metric": headline(data.task),
        "best": test,
        "ensemble": averages["test"],
        **_picture(session, outputs, y),
    }
    return Handback({"validation": winners[0].validation, "test": test}, members, averages, evaluation)


def together(session: Session, winners: Sequence[Ranked]) -> tuple[Sequence[Ranked], Metrics]:
    """As many of the winners as may be averaged without loss, at least two, and what they reach on the validation split.

    The more the better, as a rule; but where there was little time the fifth may be a trial of one epoch, and would
    spoil the others. So the most are taken that do as well, to a standard error, as the best number of them.
    """
    data, scale = session.data, session.data.preprocessing.target.std
    sizes = range(min(2, len(winners)), len(winners) + 1)
    averages = torch.stack([averaged([one.outputs for one in winners[:size]], data.task) for size in sizes])
    measured = measure(data.task, averages, data.validation.y.to(session.device), scale=scale)
    best = max(measured, key=rank)
    size, metrics = max(
        (pair for pair in zip(sizes, measured, strict=True) if _as_good(pair[1], best, len(data.validation))),
        key=lambda pair: pair[0],
    )
    return winners[:size], metrics


def _as_good(metrics: Metrics, best: Metrics, rows: int) -> bool:
    """Within one standard error of the best: of a share, sqrt(p (1 - p) / n); of an rmse, rmse / sqrt(2 n)."""
    if "accuracy" in best:
        share = best["accuracy"]
        return metrics["accuracy"] >= share - math.sqrt(share * (1 - share) / rows)
    return metrics["rmse"] <= best["rmse"] * (1 + 1 / math.sqrt(2 * rows))


def _rebuilt(session: Session, kept: Kept) -> nn.Module:
    """The trained module of a trial, in evaluation mode."""
    module = session.model.build(kept.setting.seed, dropout=kept.setting.dropout, device=session.device)
    module.load_state_dict(kept.state)
    return module.eval()


def _picture(session: Session, outputs: Tensor, y: Tensor) -> dict[str, Any]:
    if session.data.task == "classification":
        return {"confusion": confusion(outputs, y)}
    target = session.data.preprocessing.target
    return {
        "predicted": target.restore(outputs.reshape(-1)[:SHOWN]).tolist(),
        "actual": target.restore(y[:SHOWN]).tolist(),
    }

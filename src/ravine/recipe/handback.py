"""What a run gives back: the best model, an average of the best few, and what they reach on the test split.

The test split is looked at here and nowhere else, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ravine.recipe.session import Session
from ravine.training import Ensemble, Kept, confusion, evaluate, headline, measure, outputs_of, rank
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


@dataclass(frozen=True, eq=False)
class Handback:
    """What the winner and the ensemble reach, and evaluation.json: the test split in figures."""

    best: dict[str, Metrics]  # {"validation", "test"}
    ensemble: dict[str, Metrics]
    evaluation: dict[str, Any]


def ranked(session: Session, candidates: Sequence[Kept]) -> list[Ranked]:
    """The best few of the candidates on the whole validation split, best first.

    Twice as many as are needed are looked at, those that did best on the rows seen while training.
    """
    data, scale = session.data, session.data.preprocessing.target.std
    likely = sorted(candidates, key=lambda kept: rank(kept.validation), reverse=True)[: 2 * MEMBERS]
    modules = [_rebuilt(session, kept) for kept in likely]
    measured = [evaluate(module, data.validation, data.task, scale=scale) for module in modules]
    found = [Ranked(*parts) for parts in zip(likely, modules, measured, strict=True)]
    return sorted(found, key=lambda one: rank(one.validation), reverse=True)[:MEMBERS]


def hand_back(session: Session, winners: Sequence[Ranked]) -> Handback:
    """Average the winners, and open the test split."""
    data, scale = session.data, session.data.preprocessing.target.std
    ensemble = Ensemble([one.module for one in winners], data.task)
    outputs, y = outputs_of(winners[0].module, data.test), data.test.y.to(session.device)
    test = measure(data.task, outputs.unsqueeze(0), y, scale=scale)[0]
    together = {
        "validation": evaluate(ensemble, data.validation, data.task, scale=scale),
        "test": evaluate(ensemble, data.test, data.task, scale=scale),
    }
    evaluation = {
        "split": "test",
        "task": data.task,
        "metric": headline(data.task),
        "best": test,
        "ensemble": together["test"],
        **_picture(session, outputs, y),
    }
    return Handback({"validation": winners[0].validation, "test": test}, together, evaluation)


def _rebuilt(session: Session, kept: Kept) -> nn.Module:
    """The trained module of a trial, in evaluation mode."""
    module = session.model.build(kept.setting.seed, dropout=kept.setting.dropout, device=session.device)
    module.load_state_dict(kept.state)
    return module.eval()


def _picture(session: Session, outputs: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
    if session.data.task == "classification":
        return {"confusion": confusion(outputs, y)}
    target = session.data.preprocessing.target
    return {
        "predicted": target.restore(outputs.reshape(-1)[:SHOWN]).tolist(),
        "actual": target.restore(y[:SHOWN]).tolist(),
    }

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

__all__ = ["Handback", "hand_back", "rebuilt"]

MEMBERS = 5  # as in the lecture: about five models averaged
SHOWN = 2000  # points of the predicted-against-actual picture


@dataclass(frozen=True, eq=False)
class Handback:
    """The winners, best first, and their metrics on validation and test."""

    kept: list[Kept]
    best: dict[str, Metrics]  # {"validation", "test"}
    ensemble: dict[str, Metrics]
    evaluation: dict[str, Any]  # evaluation.json: the test split, with confusion matrix or points


def rebuilt(session: Session, kept: Kept) -> nn.Module:
    """The trained module of a trial, in evaluation mode."""
    module = session.model.build(kept.setting.seed, dropout=kept.setting.dropout, device=session.device)
    module.load_state_dict(kept.state)
    return module.eval()


def hand_back(session: Session, candidates: Sequence[Kept]) -> Handback:
    """Rank the candidates on the whole validation split, average the best five, and open the test split."""
    data, scale = session.data, session.data.preprocessing.target.std
    modules = {kept.trial: rebuilt(session, kept) for kept in candidates}
    validation = {trial: evaluate(module, data.validation, data.task, scale=scale) for trial, module in modules.items()}
    ranked = sorted(candidates, key=lambda kept: rank(validation[kept.trial]), reverse=True)[:MEMBERS]
    ensemble = Ensemble([modules[kept.trial] for kept in ranked], data.task)
    best = modules[ranked[0].trial]
    outputs, y = outputs_of(best, data.test), data.test.y.to(session.device)
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
    return Handback(ranked, {"validation": validation[ranked[0].trial], "test": test}, together, evaluation)


def _picture(session: Session, outputs: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
    if session.data.task == "classification":
        return {"confusion": confusion(outputs, y)}
    target = session.data.preprocessing.target
    return {
        "predicted": target.restore(outputs.reshape(-1)[:SHOWN]).tolist(),
        "actual": target.restore(y[:SHOWN]).tolist(),
    }

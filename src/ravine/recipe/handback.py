"""What a run gives back: the best model, an ensemble, and what these and Monte-Carlo dropout reach on the test split.

The test split is looked at here and nowhere else, once; whatever is chosen or fitted is so on the validation split.

Letters in shapes: N examples, C classes.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ravine.data import Split
from ravine.randomness import permutation
from ravine.recipe.session import Session, seconds_left
from ravine.regularization import dropouts, mc_predict
from ravine.training import (
    Kept,
    Run,
    averaged,
    choose_average,
    confusion,
    fit_temperature,
    greedy_selection,
    headline,
    measure,
    outputs_of,
    rank,
    reliability,
    scores,
)
from ravine.types import Metrics, Task

__all__ = [
    "Answer",
    "Committee",
    "Handback",
    "Ranked",
    "averaged_if_better",
    "greedy",
    "hand_back",
    "ranked",
    "sampled_outputs",
    "score",
]

MEMBERS = 5  # as in the lecture: about five models averaged
PASSES = 30  # of Monte-Carlo dropout; fewer where time is short
BATCH_NORM_ROWS = 10_000  # training rows from which the statistics of averaged weights are estimated anew
SHOWN = 2000  # points of the predicted-against-actual picture


@dataclass(frozen=True, eq=False)
class Ranked:
    """A trained trial, rebuilt, with its metrics on the whole validation split."""

    kept: Kept
    module: nn.Module
    validation: Metrics
    outputs: Tensor  # on the validation split, [N, ...]


@dataclass(frozen=True, eq=False)
class Committee:
    """The members of an ensemble, their weights, and how they were come by: "greedy", "independent", ..."""

    kind: str
    members: Sequence[Ranked]
    weights: Sequence[float]
    considered: int  # models it was chosen from


@dataclass(frozen=True, eq=False)
class Answer:
    """One way to predict, and what it reaches. outputs: by split, [N, ...]."""

    outputs: dict[str, Tensor] = field(repr=False)
    validation: Metrics
    test: Metrics
    temperature: float | None  # fitted on the validation split; None for a regression


@dataclass(frozen=True, eq=False)
class Handback:
    """All answers by name, "best" first, and evaluation.json: the test split in figures."""

    answers: dict[str, Answer]
    committee: Committee | None
    evaluation: dict[str, Any]


def ranked(session: Session, candidates: Sequence[Kept], deadline: float = math.inf) -> list[Ranked]:
    """The candidates on the whole validation split, best first.

    Those that did best on the rows seen while training come first; when `deadline` (time.monotonic) passes, the rest
    are left out, but never one of the first ten.
    """
    likely = sorted(candidates, key=lambda kept: rank(kept.validation), reverse=True)
    found: list[Ranked] = []
    for kept in likely:
        if len(found) >= 2 * MEMBERS and time.monotonic() >= deadline:
            break
        module = _rebuilt(session, kept)
        found.append(Ranked(kept, module, *_seen(session, module)))
    return sorted(found, key=lambda one: rank(one.validation), reverse=True)


def greedy(session: Session, candidates: Sequence[Ranked], size: int = MEMBERS) -> Committee:
    """At most `size` of the candidates, chosen one after the other for what their average reaches on the validation split."""
    y = session.data.validation.y.to(session.device)
    chosen = greedy_selection([one.outputs for one in candidates], y, session.data.task, size=size)
    return Committee("greedy", [candidates[i] for i in chosen.members], list(chosen.weights), len(candidates))


def averaged_if_better(session: Session, run: Run, single: Ranked) -> Ranked:
    """The averaged weights of a run of one trial where they do better on the validation split, else `single`; it is said."""
    kept = dataclasses.replace(single.kept, state=run.averaged_state(0), epoch=-(-run.step // run.steps_per_epoch))
    train, size = session.data.train, run.batch_size
    rows = permutation(len(train), session.seed, "batch norm")[: max(size, BATCH_NORM_ROWS // size * size)]
    whole = [part for part in rows.to(train.y.device).split(size) if len(part) == size]
    batches = [train.batch(part)[0].to(session.device) for part in whole]
    seen = {single.module: (single.validation, single.outputs)}

    def look(module: nn.Module) -> Metrics:
        if module not in seen:
            seen[module] = _seen(session, module)
        return seen[module][0]

    choice = choose_average(single.module, _rebuilt(session, kept), batches, look)
    for name, metrics in choice.scores.items():
        said = ", ".join(f"{key} {value:.4g}" for key, value in metrics.items())
        session.watch.note(f"{name}: validation {said}{' (chosen)' if name == choice.kind else ''}")
    if choice.kind == "single":
        return single
    state = {name: value.detach().clone() for name, value in choice.module.state_dict().items()}
    metrics, outputs = seen[choice.module]
    return Ranked(dataclasses.replace(kept, state=state, validation=metrics), choice.module, metrics, outputs)


def _seen(session: Session, module: nn.Module) -> tuple[Metrics, Tensor]:
    """Metrics and outputs of a module on the whole validation split."""
    data, scale = session.data, session.data.preprocessing.target.std
    outputs = outputs_of(module, data.validation)
    (measured,) = measure(data.task, outputs.unsqueeze(0), data.validation.y.to(session.device), scale=scale)
    return measured, outputs


def hand_back(session: Session, best: Ranked, committee: Committee | None, deadline: float = math.inf) -> Handback:
    """Open the test split: the best model, the committee if there is one, and the best under Monte-Carlo dropout."""
    data, splits = session.data, {"validation": session.data.validation, "test": session.data.test}
    began = time.monotonic()
    answers = {"best": _answer(session, {"validation": best.outputs, "test": outputs_of(best.module, data.test)})}
    seconds = time.monotonic() - began
    if committee is not None:
        answers[committee.kind] = _answer(session, _together(session, committee))
    passes = _affordable_passes(session, seconds, deadline)
    if passes and any(bool(layer.p > 0) for _, layer in dropouts(best.module)):
        sampled = {
            name: sampled_outputs(best.module, split, data.task, passes=passes, seed=session.seed)
            for name, split in splits.items()
        }
        answers["mc_dropout"] = _answer(session, sampled)
    return Handback(answers, committee, _record(session, answers, committee))


def _together(session: Session, committee: Committee) -> dict[str, Tensor]:
    """The committee's outputs on both splits."""
    members, data = committee.members, session.data
    own = {
        "validation": [one.outputs for one in members],
        "test": [outputs_of(one.module, data.test) for one in members],
    }
    return {name: averaged(outputs, data.task, weights=committee.weights) for name, outputs in own.items()}


def _affordable_passes(session: Session, seconds: float, deadline: float) -> int:
    """How many passes over both splits there is time for; fewer than 5 are none. seconds: of one over the test split."""
    both = seconds * (1 + len(session.data.validation) / max(len(session.data.test), 1))
    passes = min(PASSES, int(seconds_left(deadline) / max(both, 1e-9))) if deadline < math.inf else PASSES
    return passes if passes >= 5 else 0


@torch.no_grad()
def sampled_outputs(module: nn.Module, split: Split, task: Task, *, passes: int = PASSES, seed: int = 0) -> Tensor:
    """The mean of `passes` passes with dropout on, as outputs: log-probabilities, or predictions, [N, ...]."""
    device = next(module.parameters()).device
    found = []
    for number, index in enumerate(torch.arange(len(split), device=split.y.device).split(1024)):
        x = split.batch(index)[0].to(device)
        found.append(mc_predict(module, x, passes, task=task, seed=seed + number).mean)
    mean = torch.cat(found)
    return mean.clamp_min(torch.finfo(mean.dtype).tiny).log() if task == "classification" else mean


def _answer(session: Session, outputs: dict[str, Tensor]) -> Answer:
    """What outputs on both splits are worth. The temperature is the validation split's."""
    data, scale = session.data, session.data.preprocessing.target.std
    y = {"validation": data.validation.y.to(session.device), "test": data.test.y.to(session.device)}
    classes = data.task == "classification"
    temperature = fit_temperature(outputs["validation"], y["validation"]) if classes else None
    validation, test = (score(data.task, outputs[name], y[name], scale=scale, temperature=temperature) for name in y)
    return Answer(outputs, validation, test, temperature)


def score(task: Task, outputs: Tensor, y: Tensor, *, scale: float, temperature: float | None) -> Metrics:
    """All metrics of outputs [N, ...]; with a temperature also NLL and ECE after it (the accuracy does not change)."""
    found = scores(task, outputs, y, scale=scale)
    if task == "classification" and temperature is not None:
        heated = scores(task, outputs, y, temperature=temperature)
        found |= {"calibrated_nll": heated["nll"], "calibrated_ece": heated["ece"]}
    return found


def _rebuilt(session: Session, kept: Kept) -> nn.Module:
    """The trained module of a trial, in evaluation mode."""
    setting = kept.setting
    module = session.model_with(kept.model_settings).build(
        setting.seed, dropout=setting.dropout, depth=setting.stochastic_depth, device=session.device
    )
    module.load_state_dict(kept.state)
    return module.eval()


def _record(session: Session, answers: dict[str, Answer], committee: Committee | None) -> dict[str, Any]:
    """evaluation.json."""
    task, y = session.data.task, session.data.test.y.to(session.device)
    return {
        "split": "test",
        "task": task,
        "metric": headline(task),
        "ensemble": None if committee is None else committee.kind,
        "answers": {
            name: {"validation": a.validation, "test": a.test, "temperature": a.temperature}
            for name, a in answers.items()
        },
        **_picture(session, answers, y),
    }


def _picture(session: Session, answers: dict[str, Answer], y: Tensor) -> dict[str, Any]:
    best = answers["best"].outputs["test"]
    if session.data.task == "classification":
        diagrams = {name: reliability(torch.softmax(a.outputs["test"], -1), y).record() for name, a in answers.items()}
        heated = torch.softmax(best / (answers["best"].temperature or 1.0), -1)
        return {
            "confusion": confusion(best, y),
            "reliability": diagrams | {"best, calibrated": reliability(heated, y).record()},
        }
    target = session.data.preprocessing.target
    return {
        "predicted": target.restore(best.reshape(-1)[:SHOWN]).tolist(),
        "actual": target.restore(y[:SHOWN]).tolist(),
    }

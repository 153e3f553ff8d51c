"""One setting trained to its end in a run folder, once or as an ensemble, and handed back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ravine.data import Data
from ravine.errors import SettingError, nearest
from ravine.limits import EPOCHS, MEMBERS
from ravine.recipe.faults import Asked
from ravine.recipe.handback import Committee, averaged_if_better, ranked
from ravine.recipe.opening import check_count
from ravine.recipe.result import Result
from ravine.recipe.session import Session
from ravine.recipe.shared import shared
from ravine.recipe.walk import Walk
from ravine.regularization import EarlyStopping
from ravine.training import Run, Setting, averaging_for, plan, rank, train_members
from ravine.types import Metrics

__all__ = ["check_training", "learnt_nothing", "train_setting"]


def check_training(
    given: Mapping[str, Any], *, epochs: int, ensemble: str | None, size: int, average: str | None, patience: int | None
) -> Setting:
    """The setting, or SettingError for what is none and for ways of training that do not exist or do not go together."""
    check_count("epochs", epochs, EPOCHS)
    if size > MEMBERS:  # less than one is refused by `plan`, where there is an ensemble
        raise SettingError(f"size is {size}; it must be {MEMBERS:,} at most.")
    for name in given:
        if name not in Setting.__dataclass_fields__:
            raise SettingError(f"{name!r} is no setting; {nearest(name, Setting.__dataclass_fields__)}")
    setting = Setting(**given)
    plan(ensemble or "independent", setting, size if ensemble else 1, epochs, 1)
    if average is not None:
        averaging_for(average, epochs, 1)
        if ensemble == "independent":
            raise SettingError("average is of one run, and independent models are several: leave one of the two out.")
    if patience is not None:
        EarlyStopping(patience)
        if ensemble in ("snapshots", "checkpoints"):
            raise SettingError(f"patience would end a run before its {ensemble} are there: leave one of the two out.")
    return setting


def train_setting(
    walk: Walk,
    source: Mapping[str, Any],
    *,
    setting: Mapping[str, Any],
    epochs: int,
    ensemble: str | None,
    size: int,
    average: str | None,
    patience: int | None,
    sharing: Mapping[str, Any] | None = None,
) -> Result:
    """Train, choose the best weights, and give them back. source: as in `Walk.give`; the others as in `ravine.train`."""
    session, team = walk.session, walk.session.team
    chosen = Setting(**{"batch_size": session.batch_size, **setting})
    more: dict[str, Any] = {"saver": session.saver}
    if team is not None:
        chosen, more = shared(team, walk, chosen, average=average)
    session.batch_size = chosen.batch_size
    steps = epochs * session.steps_per_epoch
    session.watch.begin("train")
    trained = train_members(
        session.data,
        session.model,
        chosen,
        steps=steps,
        kind=ensemble or "independent",
        size=size if ensemble else 1,
        patience=patience,
        averaging=averaging_for(average, steps, session.steps_per_epoch) if average else None,
        deadline=walk.budget.deadline("train"),
        on_epoch=_teller(session),
        history=walk.history,
        every=session.steps_per_epoch,
        engine=session.engine,
        device=session.device,
        **more,
    )
    if team is not None and not team.leads:
        return Result.of(team.awaited())
    for trial in trained.stopped:
        session.watch.note(f"trial {trial} had no better epoch for {patience}: stopped, its best weights kept.")
    members = ranked(session, trained.members)
    committee = Committee(ensemble, members, [1.0] * len(members), len(members)) if ensemble else None
    best = averaged_if_better(session, trained.run, members[0]) if average else members[0]
    if learnt_nothing(session.data, best.kept.validation):
        session.watch.note("no epoch is better than guessing: what is handed back is of no use.")
        walk.diagnose(Asked.of(chosen, epochs))
    ways = {"ensemble": ensemble, "size": size if ensemble else None, "average": average, "patience": patience}
    kept = {name.replace("_", "-"): (sharing or {}).get(name) for name in ("precision", "accumulate", "clip_norm")}
    return walk.give(best, committee, {**source, **ways, **kept}, walk.budget.deadline("hand-back"), asked=chosen)


def learnt_nothing(data: Data, reached: Metrics) -> bool:
    """Whether metrics on the validation split are not finite, or no better than those of who knows the targets' distribution alone."""
    if rank(reached)[0] == -math.inf:
        return True
    if data.task == "regression":
        return reached["r2"] <= 0
    shares = data.validation.y.bincount() / len(data.validation)
    entropy = -float(torch.special.xlogy(shares, shares).sum())
    return reached["accuracy"] <= float(shares.max()) and reached["nll"] >= entropy


def _teller(session: Session) -> Callable[[Run, Sequence[Metrics]], None]:
    """Who tells the watcher of every epoch: how far the run is, and what its first trial reached."""

    def told(run: Run, metrics: Sequence[Metrics]) -> None:
        text = ", ".join(f"{name} {value:.4g}" for name, value in metrics[0].items())
        session.watch.advance(run.step / run.steps, text)

    return told

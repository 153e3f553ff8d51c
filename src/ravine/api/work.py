"""The kinds of run that there are, and how one is done: opened, walked, its report written."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ravine.errors import AwayError, SettingError, WorkerError, WriteError
from ravine.models import MODELS, find_factory
from ravine.notebook import Live
from ravine.recipe.apart import DECISIONS, at_work, decisions_of
from ravine.recipe.faults import Asked
from ravine.recipe.folder import Folder
from ravine.recipe.one_setting import train_setting
from ravine.recipe.opening import Keywords, MakeModel, Options, open_walk, source_of
from ravine.recipe.prepare import device_of
from ravine.recipe.result import Result
from ravine.recipe.shared import begun_together, silenced
from ravine.recipe.walk import Walk, Wanted
from ravine.reports import write_report
from ravine.search import (
    Choice,
    OnRay,
    StudyServer,
    check_workers,
    connected,
    kept,
    parse_workers,
    samples,
    without_password,
)
from ravine.training import Setting
from ravine.training.shared import Team
from ravine.trust import name_by_hand

__all__ = ["WORK", "run"]

RECIPE = ("initial-loss", "overfit", "lr-range", "coarse", "refine", "curves", "hand-back")


@dataclass(frozen=True)
class _Work:
    """What a run does: its steps, the settings that may come up, and its walk, given its own keywords."""

    steps: Callable[[Keywords], Sequence[str]]
    walk: Callable[[Walk, Keywords, Keywords], Result]
    may: Callable[[Keywords], Sequence[Setting]] = lambda _own: ()


def _tune(walk: Walk, own: Keywords, source: Keywords) -> Result:
    walk.space, walk.keep_going, walk.inspected = own["space"], own["keep_going"], own["inspect"]
    if own["trials"] is not None:
        walk.wanted = Wanted({"coarse": own["trials"], "refine": own["trials"]})
    with _at_work(walk, own):
        return walk.tune(source)


def _search(walk: Walk, own: Keywords, source: Keywords) -> Result:
    walk.space = own["space"]
    walk.wanted = Wanted.of(own["trials"], own["epochs"], sampler=own["sampler"], known=own["known"])
    if own.get("replay"):
        walk.session.saver.follow(decisions_of(Path(own["replay"])))
    with _at_work(walk, own):
        return walk.seek(source, walk.lr_range() if _unrated(own) else {})


@contextmanager
def _at_work(walk: Walk, own: Keywords) -> Iterator[None]:
    """The session of a walk has its workers. What was decided with those of a cluster is kept, for a replay."""
    session = walk.session
    with at_work(session, _workers(own), own["trials"]):
        yield
    if session.saver.decisions["noted"]:
        walk.folder.record(DECISIONS, session.saver.decisions)


def _unrated(own: Keywords) -> bool:
    """Whether step 3 must find the rates."""
    return "lr" not in (own["space"] or {})


def _check(walk: Walk, own: Keywords, _source: Keywords) -> Result:
    walk.keep_going = True
    walk.check()
    walk.diagnose(Asked(**own))
    return walk.result()


def _lr_range(walk: Walk, own: Keywords, _source: Keywords) -> Result:
    walk.space = {"optimizer": Choice(own["optimizers"])}
    walk.lr_range()
    return walk.result()


WORK = {
    "tune": _Work(
        steps=lambda own: (*RECIPE, "inspect") if own["inspect"] else RECIPE,
        walk=_tune,
        may=lambda own: samples(own["space"] or {}),
    ),
    "search": _Work(
        steps=lambda own: RECIPE[2:] if _unrated(own) else RECIPE[3:],
        walk=_search,
        may=lambda own: samples(own["space"] or {}),
    ),
    "check": _Work(steps=lambda _own: (*RECIPE[:2], "diagnosis"), walk=_check),
    "lr_range": _Work(steps=lambda _own: RECIPE[2:3], walk=_lr_range),
    "train": _Work(
        steps=lambda _own: ("train", "hand-back"),
        walk=lambda walk, own, source: train_setting(walk, source, **own),
        may=lambda own: [Setting(**own["setting"])],
    ),
}
"""The runs that a folder can hold, by the names that `config.json` keeps."""


def run(
    work: str,
    make_model: MakeModel | nn.Module,
    data: Any,
    own: Keywords,
    options: Options,
    *,
    again: Folder | None = None,
) -> Result:
    """Open a run, do its work, write the report. again: the folder of one that was stopped."""
    factory = _copies_of(make_model) if isinstance(make_model, nn.Module) else make_model
    where, device = _workers(own), options.get("device", "auto")
    if again is not None and not isinstance(where, int):
        device = "auto"  # a folder keeps the driver's own
    with begun_together(work, own, options) as team, _staffed(where, factory, device):
        if team is None or team.leads:
            result = _work(work, factory, data, own, options, again=again, team=team)
        else:
            result = _work(work, factory, data, own, silenced(options), team=team)
        if team is not None and team.leads:
            team.answer(result.record())
    return result


def _work(
    work: str,
    factory: MakeModel,
    data: Any,
    own: Keywords,
    options: Options,
    *,
    again: Folder | None = None,
    team: Team | None,
) -> Result:
    """As `run`, by this process of a team."""
    doing, server = WORK[work], None
    if own.get("storage") is not None:
        server = StudyServer(own["storage"], own["study"])
        for name in (kept(own["storage"]), without_password(own["storage"])):  # as a folder and as a person writes it
            name_by_hand("storage", name)
        own = {**own, "storage": kept(own["storage"])}
    steps, may = doing.steps(own), doing.may(own)
    walk = open_walk(work, factory, data, own, options, steps=steps, may=may, again=again, server=server)
    walk.session.team = team
    with closing(walk.folder):
        try:
            result = doing.walk(walk, own, source_of(options))
            if result.out is not None:
                write_report(result.out)
        except WriteError as error:
            raise WriteError(f"{error} Then: ravine resume {shlex.quote(str(walk.folder.path))}") from error
        except (AwayError, WorkerError) as error:
            if walk.folder.path is None:
                raise
            raise type(error)(
                f"{error} What was saved is kept. To go on: ravine resume {shlex.quote(str(walk.folder.path))}"
            ) from error
        walk.session.saver.finish()
        if isinstance(walk.session.watch, Live):
            walk.session.watch.close()
    return result


def _copies_of(module: nn.Module) -> Callable[..., nn.Module]:
    def model(_input_shape: tuple[int, ...], _outputs: int) -> nn.Module:
        return copy.deepcopy(module)

    return model


def _workers(own: Keywords) -> int | OnRay:
    """The workers of a run, by its own keywords; older folders, and runs that are no search, have none."""
    return parse_workers(own.get("workers", 1), own.get("worker_cpus", 1.0), own.get("worker_gpus", 0.0))


def _staffed(where: int | OnRay, make_model: MakeModel, device: str) -> AbstractContextManager[None]:
    """Where there are the workers that are asked for. Raises SettingError or ModelError where there cannot be."""
    if isinstance(where, int):
        check_workers(where, device_of(device))
        return nullcontext()
    if device not in ("auto", "cpu") and not where.gpus:
        raise SettingError(
            f"device is {device} and worker-gpus is 0: workers have the GPUs that are asked for. Write worker-gpus 1."
        )
    factory = find_factory(make_model) if isinstance(make_model, str) else make_model
    return connected(where, None if factory in MODELS.values() else factory)

"""A run that was stopped, gone on with from its folder. What a folder names is used where its user has named it too."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from torch import nn

from ravine.api.asked import workers_record
from ravine.api.work import WORK, run
from ravine.errors import SettingError
from ravine.launched import launched
from ravine.models import MODELS
from ravine.recipe.folder import Folder
from ravine.recipe.opening import MakeModel
from ravine.recipe.request import read_request
from ravine.recipe.result import Result
from ravine.recipe.session import Watcher
from ravine.reports.folder import checked
from ravine.reports.records import Result as RecordedResult
from ravine.search import parse_workers
from ravine.training import read_json
from ravine.training.files import understood
from ravine.trust import is_named

__all__ = ["finished", "resume"]


def resume(
    folder: str | Path,
    *,
    data: Any = None,
    make_model: MakeModel | nn.Module | None = None,
    test: Any = None,
    workers: int | str | None = None,
    storage: str | None = None,
    watch: Watcher | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    started: float | None = None,
) -> Result:
    """Go on with a run that was stopped or killed, to the result it would have had: the same bits on the same machine.

    At most half a minute of training is repeated; what the budget has left is what is left to decide with. A run that has
    finished is not touched, and its result comes back.
    data, test, make_model: what was given by a Python program and no folder holds, or where the data lie now.
    workers: of a search, in place of those that it was begun with; what was begun on a cluster goes on in this process
    where it is a number, by the decisions that were made.
    storage: the database of a shared study, where it has moved or its password, which no folder holds, is not in PGPASSWORD
    or ~/.pgpass.
    Raises FolderError for a folder without a run and for one that another process holds, DataError for other examples.
    """
    place = Folder.reopen(folder) if launched().leads else Folder(Path(folder))
    with closing(place):
        if place.finished:
            return finished(Path(folder) / "result.json")
        request = read_request(Path(folder), known=WORK)
        model, found, own, options = request.again(data, make_model, test)
        if make_model is None:
            _check_named(folder, "model", request.model, "make_model")
        if workers is not None:
            if "workers" not in own:
                raise SettingError(f"workers is {workers!r}, and the run in {folder} is no search: it has none.")
            own |= {"worker_cpus": 1.0, "worker_gpus": 0.0, **workers_record(parse_workers(workers))}
        elif "://" in str(own.get("workers", "")):
            _check_named(folder, "workers", own["workers"], "workers")
        if storage is not None:
            if "storage" not in own:
                raise SettingError(f"the study of {folder} lies in the folder: resume it without --storage.")
            own["storage"] = storage
        elif own.get("storage") is not None:
            _check_named(folder, "storage", own["storage"], "storage")
        given: Any = {**options, "watch": watch, "on_epoch": on_epoch, "started": started}
        return run(request.work, model, found, own, given, again=place)


def finished(path: Path) -> Result:
    """The result that a finished run has recorded."""
    record = read_json(path)
    with understood(path):
        checked(record, RecordedResult, path)  # numbers where the tables need numbers
        return Result.of(record)


def _check_named(folder: str | Path, kind: Literal["model", "workers", "storage"], name: str, keyword: str) -> None:
    """Raise SettingError for what the user has not named by hand: it would run a stranger's code, or tell a stranger's
    server a password.
    """
    if kind == "model" and name in MODELS:
        return
    if not is_named(kind, name):
        raise SettingError(
            f"the run in {folder} names {WHAT[kind]} {name!r}, and you have named no such one here: if you trust it, write "
            f"ravine resume {shlex.quote(str(folder))} --{kind} {shlex.quote(name)} (in Python, {keyword}=)."
        )


WHAT = {
    "model": "the factory",
    "workers": "the cluster",
    "storage": "the database",
}
"""What a run folder may only name where the user has named it too."""

"""A run opened: what was asked is known to be possible, the folder is there and this process's own, and a walk may begin.

A run that was stopped is opened again from what its config.json says, and goes on where its folder says.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, get_args

import torch
from torch import nn

from ravine.engines import Engine
from ravine.errors import DataError, SettingError, nearest
from ravine.recipe.budget import Budget, parse_duration
from ravine.recipe.folder import Folder
from ravine.recipe.prepare import prepare
from ravine.recipe.request import Request
from ravine.recipe.session import Session, Watcher
from ravine.recipe.shared_study import in_common
from ravine.recipe.walk import Walk
from ravine.search import StudyServer, measured
from ravine.training import History, Saver, Setting, check_fit, read_json
from ravine.training.files import understood
from ravine.training.tensorboard import EventWriter
from ravine.types import Task

__all__ = ["MakeModel", "Options", "check_count", "check_options", "open_walk", "source_of"]

MakeModel = str | Callable[..., nn.Module]

Keywords = Mapping[str, Any]


class Options(TypedDict, total=False):
    """What every run takes. All may be left out."""

    target: str | None  # column of a table
    task: Task | None  # told apart by the target when not given
    test: Any  # a file, or a pair of arrays: the test split as it is, never used for choosing
    categorical: Sequence[str]  # columns to take as categories though they hold numbers
    settings: Mapping[str, Any] | None  # keywords of the model's factory, such as hidden=(128, 128)
    batch_size: int | None  # by the size of the data when not given
    seed: int
    device: str  # cpu, cuda or auto
    engine: Engine  # auto (both are measured), stacked or one by one
    budget: str | float | None  # wall clock: "60s", "5m", or seconds
    out: str | Path | None  # the run folder; None writes nothing
    overwrite: bool  # replace the run folder that stands there
    watch: Watcher | None  # told how far each step is
    on_epoch: Callable[[dict[str, float]], None] | None  # told every evaluation of every trial
    tensorboard: bool  # write event files into the run folder
    started: float | None  # time.monotonic from which the budget counts
    command: str | None  # how the run was asked for, for the report


def check_count(name: str, count: int | None, most: int) -> None:
    """Raise SettingError for a count, where one is given, that is not from 1 to most."""
    if count is not None and not 1 <= count <= most:
        raise SettingError(f"{name} is {count}; it must be 1 or more{f', {most:,} at most' if count > most else ''}.")


def check_options(options: Keywords) -> None:
    """Raise SettingError for a keyword that no run takes: a typed dictionary does not refuse it."""
    for name in options.keys() - Options.__annotations__.keys():
        if name in Setting.__dataclass_fields__:
            raise SettingError(f"{name!r} is a setting of one trial; write setting={{{name!r}: ...}} to ravine.train.")
        raise SettingError(f"{name!r} is no option; {nearest(name, Options.__annotations__)}")
    engine = options.get("engine", "auto")
    if engine not in get_args(Engine):
        raise SettingError(f"engine is {engine!r}; {nearest(str(engine), get_args(Engine))}")


def open_walk(
    work: str,
    make_model: MakeModel,
    data: Any,
    own: Keywords,
    options: Options,
    *,
    steps: Sequence[str],
    may: Sequence[Setting] = (),
    again: Folder | None = None,
    server: StudyServer | None = None,
) -> Walk:
    """A walk about to begin, or to go on in the folder `again`.

    work, own: the function that asks, and its own keywords, for config.json. steps: those that share the budget.
    may: settings that may come up; each must fit the data and the model. server: of a study that is shared.
    """
    check_options(options)
    seconds = parse_duration(str(options["budget"])) if options.get("budget") is not None else None
    clock = Budget(seconds, started=options.get("started"), steps=steps)
    session = _prepared(make_model, data, options)
    _check_fit(session, may)
    if server is not None:
        session.server, server.say = server, session.watch.note
        server.check({"measured": measured(session.data.task), "seed": session.seed, **in_common(session)})
    # What cannot be had is said before a folder is made.
    listener = _listener(again.path if again else options.get("out"), options)
    folder = again or Folder.create(options.get("out"), overwrite=options.get("overwrite", False))
    try:
        if again is None:
            settled = {**options, "batch_size": session.batch_size, "device": str(session.device)}
            request = Request.of(work, data, session.model.name, own, settled)
            _configure(folder, session, clock, request, options)
        else:
            _check_same(folder, session)
        session.saver = Saver(folder.states, say=session.watch.note, spent=lambda: clock.spent)
        clock.started -= session.saver.spent_before
        for note in session.data.notes:
            session.watch.note(note)
        return Walk(session, folder, clock, history=History(listener))
    except BaseException:
        folder.close()
        raise


def _prepared(make_model: MakeModel, data: Any, options: Options) -> Session:
    session = prepare(
        make_model,
        data,
        target=options.get("target"),
        task=options.get("task"),
        test=options.get("test"),
        categorical=options.get("categorical", ()),
        settings=options.get("settings"),
        batch_size=options.get("batch_size"),
        seed=options.get("seed", 0),
        device=options.get("device", "auto"),
        watch=options.get("watch"),
    )
    session.engine = options.get("engine", "auto")
    return session


def _check_fit(session: Session, may: Sequence[Setting]) -> None:
    for setting in may:
        sized = dataclasses.replace(setting, batch_size=session.batch_size)
        check_fit(sized, session.data.task, session.data.input_shape)
        if setting.stochastic_depth is not None:
            session.model.build(0, depth=setting.stochastic_depth)


def _configure(folder: Folder, session: Session, clock: Budget, request: Request, options: Options) -> None:
    folder.config(
        session,
        budget_s=clock.seconds,
        source=source_of(options),
        command=options.get("command") or "from Python",
        request=request.model_dump(mode="json"),
    )


def _check_same(folder: Folder, session: Session) -> None:
    """Raise DataError where the data are not those of the run; what may change the last bits of a result is said."""
    assert folder.path is not None
    record = read_json(folder.path / "config.json")
    with understood(folder.path / "config.json"):
        fingerprint, name = record["data"]["fingerprint"], str(record["data"]["name"])
        then = {"threads": record["threads"], "torch": record["versions"]["torch"]}
    if fingerprint != session.data.fingerprint:
        raise DataError(
            f"{session.data.name} does not hold the examples that the run in {folder.path} was begun with: restore it, or "
            "begin another run."
        )
    session.data = dataclasses.replace(session.data, name=name)  # as it was written then
    here = {"threads": torch.get_num_threads(), "torch": importlib.metadata.version("torch")}
    changed = [f"{name} was {then[name]} and is {here[name]}" for name in here if here[name] != then[name]]
    if changed:
        session.watch.note(
            f"{' and '.join(changed)}: the result may differ in its last digits from a run never stopped."
        )


def _listener(path: str | Path | None, options: Options) -> Callable[[dict[str, float]], None] | None:
    """Who is told of every evaluation: the caller, TensorBoard, or nobody."""
    if not options.get("tensorboard"):
        return options.get("on_epoch")
    if path is None:
        raise SettingError("tensorboard=True needs a run folder to write into: give out=.")
    return EventWriter(Path(path) / "tensorboard")


def source_of(options: Options) -> dict[str, Any]:
    """The options that named the data, as words of a command."""
    test = options.get("test")
    return {
        "target": options.get("target"),
        "task": options.get("task"),
        "test": test if isinstance(test, str) else None,
        "categorical": ",".join(options.get("categorical", ())) or None,
    }

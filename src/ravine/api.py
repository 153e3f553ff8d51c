"""The functions that the commands call and that Python programs call: tune, check, lr_range, run_search, train, resume, evaluate, inspect.

Each opens a run (data and model checked, then the folder made), walks its part of the recipe, and writes the
report. They are public as `ravine.tune` and so on.
"""

from __future__ import annotations

import copy
import math
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Unpack

from torch import nn

from ravine.data import MemorySplit, read_labelled
from ravine.errors import AwayError, InputError, SettingError, WorkerError, WriteError, nearest
from ravine.launched import launched
from ravine.limits import LIMITS
from ravine.models import MODELS, factory_settings, find_factory
from ravine.notebook import Live
from ravine.recipe.apart import DECISIONS, at_work, decisions_of
from ravine.recipe.budget import Budget, parse_duration
from ravine.recipe.faults import Asked
from ravine.recipe.folder import Folder, recorded_answers
from ravine.recipe.handback import sampled_outputs, score
from ravine.recipe.inspection import EXAMPLES, Inspection, inspect_trained, trained_with
from ravine.recipe.loss_slices import other_than
from ravine.recipe.one_setting import check_training, train_setting
from ravine.recipe.opening import MakeModel, Options, open_walk, source_of
from ravine.recipe.prepare import device_of
from ravine.recipe.reopen import read_run_record, reopened
from ravine.recipe.request import read_request
from ravine.recipe.result import Result
from ravine.recipe.session import Watcher
from ravine.recipe.shared import begun_together, silenced
from ravine.recipe.walk import OPTIMIZERS, Walk, Wanted
from ravine.reports import write_report
from ravine.reports.folder import checked
from ravine.reports.records import Result as RecordedResult
from ravine.search import (
    SAMPLERS,
    STUDY_NAME,
    Choice,
    OnRay,
    Space,
    StudyServer,
    check_names,
    check_workers,
    connected,
    kept,
    parse_workers,
    samples,
    without_password,
)
from ravine.training import Ensemble, Setting, load, outputs_of, read_json
from ravine.training.files import understood
from ravine.training.shared import Sharing, Team
from ravine.trust import is_named, name_by_hand
from ravine.types import Metrics

__all__ = ["Options", "check", "evaluate", "inspect", "lr_range", "resume", "run_search", "train", "tune"]

Keywords = Mapping[str, Any]
RECIPE = ("initial-loss", "overfit", "lr-range", "coarse", "refine", "curves", "hand-back")


def tune(
    make_model: MakeModel,
    data: Any,
    *,
    space: Space | None = None,
    trials: int | None = None,
    keep_going: bool = False,
    inspect: bool = False,
    workers: int | str = 1,
    worker_cpus: float = 1.0,
    worker_gpus: float = 0.0,
    storage: str | None = None,
    study: str | None = None,
    **options: Unpack[Options],
) -> Result:
    """Walk the whole recipe: check, learning-rate range, search, read the curves, hand back the best.

    make_model: mlp, cnn, resnet, package.module:factory, file.py:factory, or a callable (input_shape, outputs) -> nn.Module.
    data: a name or path that `ravine.data.load` reads, a pair of arrays (x, y), or its `Data`.
    space: distributions by name (`{"lr": ravine.search.Log(1e-4, 1)}`), in place of those derived from step 3.
    trials: how many per phase; planned from the budget when not given.
    A failed step ends the walk (`Result.best` is None) unless keep_going.
    inspect: measure the curvature around the best model too, in an eighth of the budget, a minute at most.
    workers, worker_cpus, worker_gpus: as for `run_search`, of its steps 4 and 5.
    storage, study: as for `run_search`.
    Raises InputError for anything that cannot be used, before the folder is made.
    """
    check_names(space or {}, factory_settings(make_model))
    _check_counts(trials=trials)
    where = parse_workers(workers, worker_cpus, worker_gpus)
    own: dict[str, Any] = {"space": space, "trials": trials, "keep_going": keep_going, "inspect": inspect}
    own |= {**_words(where), **_stored(storage, study, options)}
    return _run("tune", make_model, data, own, options)


def run_search(
    make_model: MakeModel,
    data: Any,
    *,
    space: Space | None = None,
    trials: int | None = None,
    epochs: int | None = None,
    sampler: str = "random",
    known: bool = True,
    workers: int | str = 1,
    worker_cpus: float = 1.0,
    worker_gpus: float = 0.0,
    replay: str | Path | None = None,
    storage: str | None = None,
    study: str | None = None,
    **options: Unpack[Options],
) -> Result:
    """Steps 4 to 6 of the recipe: search, refine, read the curves, hand back the best. (`ravine.search` is the package.)

    space: as for `tune`; names that are settings of the model (hidden, width, ...) may be among them. Without lr in it,
    step 3 finds the rates first.
    trials: in all, three quarters of them coarse; epochs: of the longest trial, the coarse ones are a quarter as long. Both
    are planned from the budget when not given; where both are given, no clock decides anything.
    sampler: random, grid, sobol, halton, tpe or gp. known: whether a few settings known to be good are tried first.
    workers: processes that train side by side on the CPU, sharing the cores; this one alone where it is 1. Or workers on the
    nodes of a cluster, under asynchronous halving: ray (one that runs here, or a new one), auto (one that runs) or
    ray://HOST:PORT; each takes worker_cpus and worker_gpus, fractions of which may be shared.
    replay: the folder of a finished search that was asked for the same: what was decided there, of the plan and of every
    trial under asynchronous halving, is followed, with whatever workers.
    storage: a database (postgresql+psycopg://USER@HOST/DATABASE) that the study lies in, instead of the folder's study.db;
    study: its name there, the folder's when not given. Runs of the same data, model and seed that name the same study work
    on it together: each asks for trials of its own and sees those of all; what drives them apart is refused.
    Raises DataError, ModelError, SettingError or StorageError, one line each, for what was asked wrongly, WorkerError when a
    worker is killed, and AwayError when the database stays away for five minutes.
    """
    check_names(space or {}, factory_settings(make_model))
    _check_counts(trials=trials, epochs=epochs)
    where = parse_workers(workers, worker_cpus, worker_gpus)
    if sampler not in SAMPLERS:
        raise SettingError(f"sampler is {sampler!r}; {nearest(sampler, SAMPLERS)}")
    own: dict[str, Any] = {"space": space, "trials": trials, "epochs": epochs, "sampler": sampler, "known": known}
    own |= {**_words(where), **_stored(storage, study, options)}
    if replay is not None:
        own["replay"] = str(replay)
        decisions_of(Path(replay))
    return _run("search", make_model, data, own, options)


def _words(where: int | OnRay) -> dict[str, Any]:
    """What was said of workers, as config.json keeps it."""
    if isinstance(where, int):
        return {"workers": where}
    name_by_hand("workers", where.address)
    return {"workers": where.address, "worker_cpus": where.cpus, "worker_gpus": where.gpus}


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


def _stored(storage: str | None, study: str | None, options: Keywords) -> dict[str, str | None]:
    """Where the study lies, and its name there."""
    if storage is None and study is not None:
        raise SettingError(f"study {study!r} names one in a database: give its address too, --storage URL.")
    out = options.get("out")
    name = Path(out).resolve().name if out is not None else STUDY_NAME
    return {"storage": storage, "study": study or name} if storage is not None else {}


def _check_counts(**counts: int | None) -> None:
    for name, count in counts.items():
        most = LIMITS[name.upper()].most
        if count is not None and not 1 <= count <= most:
            raise SettingError(
                f"{name} is {count}; it must be 1 or more{f', {most:,} at most' if count > most else ''}."
            )


def check(
    make_model: MakeModel,
    data: Any,
    *,
    lr: float | None = None,
    optimizer: str = "adamw",
    epochs: int | None = None,
    **options: Unpack[Options],
) -> Result:
    """Steps 1 and 2 and the diagnosis: is this model trainable on this data, and if not, what is wrong?

    lr, optimizer, epochs: of the training that is diagnosed; without a rate or a number of epochs nothing is said of them.
    `Result.findings` holds what was found, the root first.
    """
    check_names({"optimizer": Choice([optimizer])})
    _check_counts(epochs=epochs)
    if lr is not None and not lr > 0:
        raise SettingError(f"lr is {lr:g}; it must be positive.")
    return _run("check", make_model, data, {"lr": lr, "optimizer": optimizer, "epochs": epochs}, options)


def lr_range(
    make_model: MakeModel | nn.Module,
    data: Any,
    *,
    optimizers: Sequence[str] = OPTIMIZERS,
    **options: Unpack[Options],
) -> Result:
    """Step 3 only: the learning rates at which the loss drops markedly within about 100 steps.

    make_model may be a module too: copies of it are trained, itself is left bit for bit as it was.
    """
    check_names({"optimizer": Choice(list(optimizers))})
    return _run("lr_range", make_model, data, {"optimizers": list(optimizers)}, options)


def train(
    make_model: MakeModel,
    data: Any,
    *,
    epochs: int = 20,
    setting: Mapping[str, Any] | None = None,
    ensemble: str | None = None,
    size: int = 5,
    average: str | None = None,
    patience: int | None = None,
    sharing: Mapping[str, Any] | None = None,
    **options: Unpack[Options],
) -> Result:
    """One configuration to its end; the weights of its best epoch are handed back.

    setting: fields of `Setting`. ensemble: independent, snapshots or checkpoints, `size` of them averaged.
    average: swa, ema or last: weights averaged on the side, handed back if they are better on the validation split.
    patience: stop after so many epochs without a better validation result.
    sharing: fields of `ravine.training.shared.Sharing`: of a training by several processes (begun by torchrun or SLURM), or
    in bf16, in parts or with clipped gradients by one. Every process calls this, and gets the result.
    """
    given = {"seed": options.get("seed", 0), **(setting or {})}
    ways: dict[str, Any] = {
        "epochs": epochs,
        "ensemble": ensemble,
        "size": size,
        "average": average,
        "patience": patience,
    }
    asked = check_training(given, **ways)  # what is wrong is refused before a folder is made
    # tune divides and orders its data by one seed, and each trial has its own: `order` brings the division back
    splits = options.get("seed", asked.seed) if asked.order is None else asked.order
    own = {"setting": given, **ways, "sharing": Sharing(**(sharing or {})).record()}
    return _run("train", make_model, data, own, {**options, "seed": splits})


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
            return _finished(Path(folder) / "result.json")
        request = read_request(Path(folder), known=WORK)
        model, found, own, options = request.again(data, make_model, test)
        if make_model is None:
            _check_named(folder, "model", request.model, "make_model")
        if workers is not None:
            if "workers" not in own:
                raise SettingError(f"workers is {workers!r}, and the run in {folder} is no search: it has none.")
            own |= {"worker_cpus": 1.0, "worker_gpus": 0.0, **_words(parse_workers(workers))}
        elif "://" in str(own.get("workers", "")):
            _check_named(folder, "workers", own["workers"], "workers")
        if storage is not None:
            if "storage" not in own:
                raise SettingError(f"the study of {folder} lies in the folder: resume it without --storage.")
            own["storage"] = storage
        elif own.get("storage") is not None:
            _check_named(folder, "storage", own["storage"], "storage")
        given: Any = {**options, "watch": watch, "on_epoch": on_epoch, "started": started}
        return _run(request.work, model, found, own, given, again=place)


def _finished(path: Path) -> Result:
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


def evaluate(
    folder: str | Path, data: str | None = None, *, make_model: Callable[..., nn.Module] | None = None
) -> dict[str, Metrics]:
    """Metrics of a run's best model ("best"), of its ensemble (by its kind), and of Monte-Carlo dropout ("mc_dropout").

    Classification: accuracy, nll, ece (15 bins), brier, and nll and ece after the temperature that the run fitted
    on its validation split. data: a labelled file in the layout the model was trained on; not given: what the run
    recorded of its test split.
    """
    folder = Path(folder)
    best, record = load(folder, make_model=make_model), recorded_answers(folder)
    modules = {"best": best.module}
    for kind in record.keys() - {"best", "mc_dropout"}:
        modules[kind] = load(folder, ensemble=True, make_model=make_model).module
    if data is None:
        return {name: answer["test"] for name, answer in record.items()}
    split, scale = MemorySplit(*read_labelled(best.preprocessing, data)), best.preprocessing.target.std
    outputs = {name: outputs_of(modules[name], split) for name in record if name in modules}
    if "mc_dropout" in record:
        outputs["mc_dropout"] = sampled_outputs(best.module, split, best.task)
    return {
        name: score(best.task, out, split.y, scale=scale, temperature=record[name].get("temperature"))
        for name, out in outputs.items()
    }


def inspect(
    folder: str | Path,
    data: Any = None,
    *,
    split: str = "train",
    examples: int = EXAMPLES,
    budget: str | float | None = "60s",
    lr: float | None = None,
    momentum: float = 0.9,
    seed: int = 0,
    device: str = "auto",
    make_model: Callable[..., nn.Module] | None = None,
    started: float | None = None,
) -> Inspection:
    """Measure the curvature around a run's best model: written to inspection.json, and a section of report.html.

    data: where the run's data lie now, if they were moved, or the arrays (x, y) it was given. split: train or
    validation; at most `examples` of it are looked at, drawn by `seed`.
    budget: wall clock from `started` (time.monotonic; now, if not given); what does not fit is left out, and the notes say so.
    lr, momentum: as in `ravine.curvature.inspect_model`.
    Raises FolderError for a folder without a model, and InputError for all else that cannot be inspected.
    """
    folder, clock = Path(folder), Budget(None if budget is None else parse_duration(str(budget)), started=started)
    if examples < 1:
        raise SettingError(f"examples is {examples}; it must be 1 or more: {EXAMPLES} are usual.")
    best, place = load(folder, make_model=make_model), device_of(device)
    record = read_run_record(folder)
    found = reopened(record, best, data, split=split)
    other, said = _another(folder, best.module, make_model)
    if clock.left < 0.1:
        raise SettingError(
            f"budget is {clock.seconds:g} s, and {clock.spent:.1f} s are gone now that model and data are read: write "
            f"--budget {math.ceil(clock.spent) + 30}s."
        )
    inspection = inspect_trained(
        best.module.to(place),
        found.rows,
        best.task,
        trained_with(best.record.hyperparameters, record.batch_size),
        trial=best.record.trial,
        name=found.name,
        other=other,
        examples=examples,
        seconds=0.9 * clock.left,
        lr=lr,
        momentum=momentum,
        notes=(*found.notes, *said),
        seed=seed,
    )
    Folder(folder).inspection(inspection)
    write_report(folder)
    return inspection


def _another(
    folder: Path, model: nn.Module, make_model: Callable[..., nn.Module] | None
) -> tuple[nn.Module | None, list[str]]:
    """A member of the run's ensemble that is not its best model, if there is one, and what to say where it is damaged."""
    if not (folder / "ensemble.json").is_file():
        return None, []
    try:
        ensemble = load(folder, ensemble=True, make_model=make_model).module
    except InputError as error:
        return None, [f"the slice to another model of the ensemble was left out: {error}"]
    assert isinstance(ensemble, Ensemble)
    return other_than(model, list(ensemble.members)), []


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


def _run(
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
    """As `_run`, by this process of a team."""
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

"""The functions that the commands call and that Python programs call: tune, check, lr_range, train, evaluate, inspect.

Each opens a run (data and model checked, then the folder made), walks its part of the recipe, and writes the
report. They are public as `ravine.tune` and so on.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from torch import nn

from ravine.data import MemorySplit, read_labelled
from ravine.errors import InputError, SettingError, nearest
from ravine.recipe.budget import Budget, parse_duration
from ravine.recipe.folder import Folder, recorded_answers
from ravine.recipe.handback import Committee, averaged_if_better, ranked, sampled_outputs, score
from ravine.recipe.inspection import EXAMPLES, Inspection, inspect_trained, trained_with
from ravine.recipe.loss_slices import other_than
from ravine.recipe.prepare import device_of, prepare
from ravine.recipe.reopen import read_run_record, reopened
from ravine.recipe.result import Result
from ravine.recipe.session import Session, Watcher
from ravine.recipe.walk import OPTIMIZERS, Walk
from ravine.regularization import EarlyStopping
from ravine.reports import write_report
from ravine.search import Choice, Space, check_names, samples
from ravine.training import (
    Ensemble,
    History,
    Run,
    Setting,
    averaging_for,
    check_fit,
    load,
    outputs_of,
    plan,
    train_members,
)
from ravine.training.tensorboard import EventWriter
from ravine.types import Metrics, Task

__all__ = ["Options", "check", "evaluate", "inspect", "lr_range", "train", "tune"]

MakeModel = str | Callable[..., nn.Module]
RECIPE = ("initial-loss", "overfit", "lr-range", "coarse", "refine", "curves", "hand-back")


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
    budget: str | float | None  # wall clock: "60s", "5m", or seconds
    out: str | Path | None  # the run folder; None writes nothing
    overwrite: bool  # replace the run folder that stands there
    watch: Watcher | None  # told how far each step is
    on_epoch: Callable[[dict[str, float]], None] | None  # told every evaluation of every trial
    tensorboard: bool  # write event files into the run folder
    started: float | None  # time.monotonic from which the budget counts
    command: str | None  # how the run was asked for, for the report


def tune(
    make_model: MakeModel,
    data: Any,
    *,
    space: Space | None = None,
    trials: int | None = None,
    keep_going: bool = False,
    inspect: bool = False,
    **options: Unpack[Options],
) -> Result:
    """Walk the whole recipe: check, learning-rate range, search, read the curves, hand back the best.

    make_model: mlp, cnn, package.module:factory, file.py:factory, or a callable (input_shape, outputs) -> nn.Module.
    data: a name or path that `ravine.data.load` reads, a pair of arrays (x, y), or its `Data`.
    space: distributions by name (`{"lr": ravine.search.Log(1e-4, 1)}`), in place of those derived from step 3.
    trials: how many per phase; planned from the budget when not given.
    A failed step ends the walk (`Result.best` is None) unless keep_going.
    inspect: measure the curvature around the best model too, in an eighth of the budget, a minute at most.
    Raises InputError for anything that cannot be used, before the folder is made.
    """
    check_names(space or {})
    if trials is not None and trials < 1:
        raise SettingError(f"trials is {trials}; it must be 1 or more.")
    steps = (*RECIPE, "inspect") if inspect else RECIPE
    walk = _open(make_model, data, steps, options, may=samples(space or {}))
    walk.space, walk.trials, walk.keep_going, walk.inspected = space, trials, keep_going, inspect
    return _reported(walk.tune(_source(options)))


def check(make_model: MakeModel, data: Any, **options: Unpack[Options]) -> Result:
    """Steps 1 and 2 only: is this model trainable on this data?"""
    walk = _open(make_model, data, RECIPE[:2], options)
    walk.keep_going = True
    walk.check()
    return _reported(walk.result())


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
    space = {"optimizer": Choice(list(optimizers))}
    check_names(space)
    factory = _copies_of(make_model) if isinstance(make_model, nn.Module) else make_model
    walk = _open(factory, data, RECIPE[2:3], options)
    walk.space = space
    walk.lr_range()
    return _reported(walk.result())


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
    **options: Unpack[Options],
) -> Result:
    """One configuration to its end; the weights of its best epoch are handed back.

    setting: fields of `Setting`. ensemble: independent, snapshots or checkpoints, `size` of them averaged.
    average: swa, ema or last: weights averaged on the side, handed back if they are better on the validation split.
    patience: stop after so many epochs without a better validation result.
    """
    if epochs < 1:
        raise SettingError(f"epochs is {epochs}; it must be 1 or more.")
    given = dict(setting or {})
    for name in given:
        if name not in Setting.__dataclass_fields__:
            raise SettingError(f"{name!r} is no setting; {nearest(name, Setting.__dataclass_fields__)}")
    given.setdefault("seed", options.get("seed", 0))
    asked = Setting(**given)  # what is wrong is refused before a folder is made
    _check_training(ensemble, size, average, patience, epochs, asked)
    # tune divides and orders its data by one seed, and each trial has its own: `order` brings the division back
    splits = options.get("seed", asked.seed) if asked.order is None else asked.order
    walk = _open(make_model, data, ("train", "hand-back"), {**options, "seed": splits}, may=[asked])
    session = walk.session
    session.batch_size = given.setdefault("batch_size", session.batch_size)
    chosen, steps = Setting(**given), epochs * session.steps_per_epoch
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
        device=session.device,
    )
    for trial in trained.stopped:
        session.watch.note(f"trial {trial} had no better epoch for {patience}: stopped, its best weights kept.")
    members = ranked(session, trained.members)
    committee = Committee(ensemble, members, [1.0] * len(members), len(members)) if ensemble else None
    best = averaged_if_better(session, trained.run, members[0]) if average else members[0]
    ways = {"ensemble": ensemble, "size": size if ensemble else None, "average": average, "patience": patience}
    deadline = walk.budget.deadline("hand-back")
    return _reported(walk.give(best, committee, {**_source(options), **ways}, deadline, asked=chosen))


def _check_training(
    ensemble: str | None, size: int, average: str | None, patience: int | None, epochs: int, setting: Setting
) -> None:
    """Raise SettingError for ways of training that do not exist or do not go together."""
    plan(ensemble or "independent", setting, size if ensemble else 1, epochs, 1)
    if average is not None:
        averaging_for(average, epochs, 1)
        if ensemble == "independent":
            raise SettingError("average is of one run, and independent models are several: leave one of the two out.")
    if patience is not None:
        EarlyStopping(patience)
        if ensemble in ("snapshots", "checkpoints"):
            raise SettingError(f"patience would end a run before its {ensemble} are there: leave one of the two out.")


def _teller(session: Session) -> Callable[[Run, Sequence[Metrics]], None]:
    """Who tells the watcher of every epoch: how far the run is, and what its first trial reached."""

    def told(run: Run, metrics: Sequence[Metrics]) -> None:
        text = ", ".join(f"{name} {value:.4g}" for name, value in metrics[0].items())
        session.watch.advance(run.step / run.steps, text)

    return told


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


def _check_options(options: Mapping[str, Any]) -> None:
    """Raise SettingError for a keyword that no run takes: a typed dictionary does not refuse it."""
    for name in options.keys() - Options.__annotations__.keys():
        if name in Setting.__dataclass_fields__:
            raise SettingError(f"{name!r} is a setting of one trial; write setting={{{name!r}: ...}} to ravine.train.")
        raise SettingError(f"{name!r} is no option; {nearest(name, Options.__annotations__)}")


def _open(
    make_model: MakeModel, data: Any, steps: Sequence[str], options: Options, *, may: Sequence[Setting] = ()
) -> Walk:
    """A walk about to begin: everything that was asked is known to be possible, and the folder is there.

    may: settings that may come up; each must fit the data and the model.
    """
    _check_options(options)
    budget = options.get("budget")
    clock = Budget(
        parse_duration(str(budget)) if budget is not None else None, started=options.get("started"), steps=steps
    )
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
    for setting in may:
        check_fit(
            dataclasses.replace(setting, batch_size=session.batch_size), session.data.task, session.data.input_shape
        )
        if setting.stochastic_depth is not None:
            session.model.build(0, depth=setting.stochastic_depth)
    folder = Folder.create(options.get("out"), overwrite=options.get("overwrite", False))
    folder.config(
        session,
        budget_s=clock.seconds,
        source=_source(options),
        command=options.get("command") or "from Python",
    )
    for note in session.data.notes:
        session.watch.note(note)
    return Walk(session, folder, clock, history=History(_listener(folder, options)))


def _listener(folder: Folder, options: Options) -> Callable[[dict[str, float]], None] | None:
    """Who is told of every evaluation: the caller, TensorBoard, or nobody."""
    if not options.get("tensorboard"):
        return options.get("on_epoch")
    if folder.path is None:
        raise SettingError("tensorboard=True needs a run folder to write into: give out=.")
    return EventWriter(folder.path / "tensorboard")


def _copies_of(module: nn.Module) -> Callable[..., nn.Module]:
    def model(_input_shape: tuple[int, ...], _outputs: int) -> nn.Module:
        return copy.deepcopy(module)

    return model


def _source(options: Options) -> dict[str, Any]:
    """The options that named the data, as words of a command."""
    test = options.get("test")
    return {
        "target": options.get("target"),
        "task": options.get("task"),
        "test": test if isinstance(test, str) else None,
        "categorical": ",".join(options.get("categorical", ())) or None,
    }


def _reported(result: Result) -> Result:
    if result.out is not None:
        write_report(result.out)
    return result

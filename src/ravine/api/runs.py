"""The calls that begin a run. Each refuses in one line what was asked wrongly, before a folder is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from torch import nn

from ravine.api.asked import storage_record, workers_record
from ravine.api.work import run
from ravine.errors import SettingError, nearest
from ravine.limits import EPOCHS, TRIALS
from ravine.models import factory_settings
from ravine.recipe.apart import decisions_of
from ravine.recipe.one_setting import check_training
from ravine.recipe.opening import MakeModel, Options, check_count
from ravine.recipe.result import Result
from ravine.recipe.walk import OPTIMIZERS
from ravine.search import SAMPLERS, Choice, Space, check_names, parse_workers
from ravine.training.shared import Sharing

__all__ = ["check", "lr_range", "run_search", "train", "tune"]


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
    check_count("trials", trials, TRIALS)
    where = parse_workers(workers, worker_cpus, worker_gpus)
    own: dict[str, Any] = {"space": space, "trials": trials, "keep_going": keep_going, "inspect": inspect}
    own |= {**workers_record(where), **storage_record(storage, study, options)}
    return run("tune", make_model, data, own, options)


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
    check_count("trials", trials, TRIALS)
    check_count("epochs", epochs, EPOCHS)
    where = parse_workers(workers, worker_cpus, worker_gpus)
    if sampler not in SAMPLERS:
        raise SettingError(f"sampler is {sampler!r}; {nearest(sampler, SAMPLERS)}")
    own: dict[str, Any] = {"space": space, "trials": trials, "epochs": epochs, "sampler": sampler, "known": known}
    own |= {**workers_record(where), **storage_record(storage, study, options)}
    if replay is not None:
        own["replay"] = str(replay)
        decisions_of(Path(replay))
    return run("search", make_model, data, own, options)


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
    check_count("epochs", epochs, EPOCHS)
    if lr is not None and not lr > 0:
        raise SettingError(f"lr is {lr:g}; it must be positive.")
    return run("check", make_model, data, {"lr": lr, "optimizer": optimizer, "epochs": epochs}, options)


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
    return run("lr_range", make_model, data, {"optimizers": list(optimizers)}, options)


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
    return run("train", make_model, data, own, {**options, "seed": splits})

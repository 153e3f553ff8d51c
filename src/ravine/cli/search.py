"""Search the settings of training: steps 4 to 6 of the recipe, many trials at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ravine.cli import options
from ravine.cli.display import show_result, watching
from ravine.errors import SettingError, nearest

if TYPE_CHECKING:
    from ravine.engines import Engine

__all__ = ["search"]

ENGINES: dict[str, Engine] = {"population": "auto", "sequential": "one by one"}
"""Words of the command line -> what `Population` calls it: a population is run in the way that is measured to be fastest."""


@options.with_common
def search(
    given: dict[str, Any],
    trials: Annotated[
        int | None, typer.Option("--trials", help="In all; three quarters coarse. Planned from the budget.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Of the longest trial. Planned from the budget.")
    ] = None,
    space: options.SearchSpace = None,
    sampler: Annotated[str, typer.Option("--sampler", help="random, grid, sobol, halton, tpe or gp.")] = "random",
    engine: Annotated[
        str, typer.Option("--engine", help="population: many trials at once; sequential: one after another.")
    ] = "population",
    workers: options.Workers = "1",
    worker_cpus: options.WorkerCpus = 1.0,
    worker_gpus: options.WorkerGpus = 0.0,
    replay: Annotated[
        Path | None,
        typer.Option("--replay", help="Follow what was decided in this folder, of a search with workers on a cluster."),
    ] = None,
    known: Annotated[
        bool, typer.Option("--known/--no-known", help="Try a few settings known to be good first.")
    ] = True,
    storage: options.Storage = None,
    study: options.StudyName = None,
    as_json: options.Json = False,
) -> int:
    """Search the settings of training: steps 4 to 6 of the recipe, many trials at once."""
    from ravine import api
    from ravine.models import factory_settings
    from ravine.search import parse_space

    if engine not in ENGINES:
        raise SettingError(f"--engine is {engine!r}; {nearest(engine, ENGINES)}")
    searched = parse_space(space or [], factory_settings(given["make_model"]))
    with watching() as watch:
        result = api.run_search(
            **given,
            trials=trials,
            epochs=epochs,
            space=searched,
            sampler=sampler,
            known=known,
            workers=workers,
            worker_cpus=worker_cpus,
            worker_gpus=worker_gpus,
            replay=replay,
            storage=storage,
            study=study,
            engine=ENGINES[engine],
            watch=watch,
        )
    show_result(result, as_json=as_json)
    return 0 if result.best is not None else 1

"""Walk the whole recipe and hand back the best model, an ensemble and a report."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ravine.cli import options
from ravine.cli.display import show_result, watching

__all__ = ["tune"]


@options.with_common
def tune(
    given: dict[str, Any],
    trials: Annotated[int | None, typer.Option("--trials", help="Trials per phase; planned from the budget.")] = None,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Go on after a failed step.")] = False,
    space: options.SearchSpace = None,
    inspect: Annotated[
        bool, typer.Option("--inspect", help="Measure the curvature of the best model too, in an eighth of the budget.")
    ] = False,
    workers: options.Workers = "1",
    worker_cpus: options.WorkerCpus = 1.0,
    worker_gpus: options.WorkerGpus = 0.0,
    storage: options.Storage = None,
    study: options.StudyName = None,
    as_json: options.Json = False,
) -> int:
    """Walk the whole recipe and hand back the best model, an ensemble and a report."""
    from ravine import api
    from ravine.models import factory_settings
    from ravine.search import parse_space

    searched = parse_space(space or [], factory_settings(given["make_model"]))
    with watching() as watch:
        result = api.tune(
            **given,
            trials=trials,
            keep_going=keep_going,
            inspect=inspect,
            space=searched,
            workers=workers,
            worker_cpus=worker_cpus,
            worker_gpus=worker_gpus,
            storage=storage,
            study=study,
            watch=watch,
        )
    show_result(result, as_json=as_json)
    return 0 if result.best is not None else 1

"""Walk the whole recipe and hand back the best model, an ensemble and a report."""

from __future__ import annotations

from typing import Annotated

import typer

from ravine.cli import options
from ravine.cli.display import show_result, watching

__all__ = ["tune"]


def tune(
    context: typer.Context,
    data: options.Data,
    target: options.Target = None,
    task: options.Task = None,
    test: options.Test = None,
    categorical: options.Categorical = None,
    model: options.Model = "mlp",
    set_: options.Set = None,
    budget: options.Budget = None,
    trials: Annotated[int | None, typer.Option("--trials", help="Trials per phase; planned from the budget.")] = None,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Go on after a failed step.")] = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    out: options.Out = None,
    overwrite: options.Overwrite = False,
    batch_size: options.BatchSize = None,
    tensorboard: options.Tensorboard = False,
    config: options.Config = None,  # noqa: ARG001 - its callback has done its work
    as_json: options.Json = False,
) -> int:
    """Walk the whole recipe and hand back the best model, an ensemble and a report."""
    given = options.common(
        context,
        data=data,
        target=target,
        task=task,
        test=test,
        categorical=categorical,
        set_=set_,
        budget=budget,
        seed=seed,
        device=device,
        out=out,
        overwrite=overwrite,
        batch_size=batch_size,
        tensorboard=tensorboard,
    )
    from ravine import api

    with watching() as watch:
        result = api.tune(model, data, trials=trials, keep_going=keep_going, watch=watch, **given)
    show_result(result, as_json=as_json)
    return 0 if result.best is not None else 1

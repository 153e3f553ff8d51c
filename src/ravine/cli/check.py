"""Steps 1 and 2 only: is this model trainable on this data?"""

from __future__ import annotations

import typer

from ravine.cli import options
from ravine.cli.display import show_result, watching

__all__ = ["check"]


def check(
    context: typer.Context,
    data: options.Data,
    target: options.Target = None,
    task: options.Task = None,
    test: options.Test = None,
    categorical: options.Categorical = None,
    model: options.Model = "mlp",
    set_: options.Set = None,
    budget: options.Budget = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    out: options.Out = None,
    overwrite: options.Overwrite = False,
    batch_size: options.BatchSize = None,
    tensorboard: options.Tensorboard = False,
    config: options.Config = None,  # noqa: ARG001 - its callback has done its work
    as_json: options.Json = False,
) -> int:
    """Steps 1 and 2 only: is this model trainable on this data?"""
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
        result = api.check(model, data, watch=watch, **given)
    show_result(result, as_json=as_json)
    return 1 if result.failed else 0

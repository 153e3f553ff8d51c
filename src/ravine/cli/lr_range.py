"""Step 3 only: the range of learning rates in which the loss drops markedly."""

from __future__ import annotations

from typing import Annotated

import typer

from ravine.cli import options
from ravine.cli.display import show_result, watching

__all__ = ["lr_range"]


def lr_range(
    context: typer.Context,
    data: options.Data,
    target: options.Target = None,
    task: options.Task = None,
    test: options.Test = None,
    categorical: options.Categorical = None,
    model: options.Model = "mlp",
    set_: options.Set = None,
    budget: options.Budget = None,
    optimizer: Annotated[
        str | None, typer.Option("--optimizer", help="adamw, sgd, adam, or several: adamw,sgd.")
    ] = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    out: options.Out = None,
    overwrite: options.Overwrite = False,
    batch_size: options.BatchSize = None,
    tensorboard: options.Tensorboard = False,
    config: options.Config = None,  # noqa: ARG001 - its callback has done its work
    as_json: options.Json = False,
) -> int:
    """Step 3 only: the range of learning rates in which the loss drops markedly."""
    optimizers = tuple(optimizer.split(",")) if optimizer else ("adamw", "sgd")
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
        result = api.lr_range(model, data, optimizers=optimizers, watch=watch, **given)
    show_result(result, as_json=as_json)
    return 1 if result.failed else 0

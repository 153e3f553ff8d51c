"""The curvature around a run's best model, in a table, as JSON and in its report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ravine.cli import options
from ravine.cli.display import show_inspection, show_record

__all__ = ["inspect"]


def inspect(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a finished run.")],
    data: Annotated[
        str | None, typer.Option("--data", help="Where the run's data lie now, if they were moved.")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="train or validation.")] = "train",
    examples: Annotated[int, typer.Option("--examples", help="At most so many of the split are looked at.")] = 2000,
    budget: Annotated[
        str, typer.Option("--budget", help="Wall clock; what does not fit is left out and noted.")
    ] = "60s",
    lr: Annotated[
        float | None, typer.Option("--lr", help="For the steps to halve the loss; the best plain rate else.")
    ] = None,
    momentum: Annotated[float, typer.Option("--momentum", help="Of heavy ball, for its largest stable rate.")] = 0.9,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    model: Annotated[str | None, typer.Option("--model", help="The factory, where the run cannot name it.")] = None,
    as_json: options.Json = False,
) -> int:
    """Measure the curvature around a run's best model: largest stable rate, spectrum, gradient noise, loss slices."""
    from ravine import api

    found = api.inspect(
        folder,
        data,
        split=split,
        examples=examples,
        budget=budget,
        lr=lr,
        momentum=momentum,
        seed=seed,
        device=device,
        make_model=options.factory(model),
        started=context.obj["started"],
    )
    if as_json:
        show_record(found.record())
    else:
        show_inspection(found, folder)
    return 0

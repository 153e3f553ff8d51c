"""Metrics of a run's best model and of its ensemble, on its test split or on a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ravine.cli import options
from ravine.cli.display import show_metrics

__all__ = ["evaluate"]


def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a finished run.")],
    data: Annotated[
        str | None, typer.Option("--data", help="A labelled file or folder; the run's test split else.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="The factory, where the run cannot name it.")] = None,
    as_json: options.Json = False,
) -> int:
    """Metrics of a run's best model and of its ensemble, on its test split or on a file."""
    from ravine import api

    metrics = api.evaluate(folder, data, make_model=options.factory(model))
    show_metrics(metrics, as_json=as_json)
    return 0

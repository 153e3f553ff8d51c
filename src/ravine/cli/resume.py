"""Go on with a run that was stopped or killed; the result is that of a run never stopped."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ravine.cli import options
from ravine.cli.display import show_result, watching
from ravine.launched import launched

__all__ = ["resume"]


def resume(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the run.")],
    data: Annotated[str | None, typer.Option("--data", help="Where the data lie now, if they were moved.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="The factory, where the run cannot name it.")] = None,
    workers: Annotated[
        str | None,
        typer.Option("--workers", help="Of a search: other workers than it was begun with; 1: this process."),
    ] = None,
    storage: Annotated[
        str | None, typer.Option("--storage", help="Its database, where that was moved or needs a password.")
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Go on with a run that was stopped or killed; the result is that of a run never stopped."""
    from ravine import api

    context.obj["out"] = folder
    finished = (folder / "config.json").is_file() and not (folder / "resume").exists()
    with watching() as watch:
        result = api.resume(
            folder,
            data=data,
            make_model=model,
            workers=workers,
            storage=storage,
            watch=watch,
            started=context.obj["started"],
        )
    if finished and launched().leads:
        print(f"ravine: the run in {folder} has finished: there is nothing to resume.", file=sys.stderr)
    show_result(result, as_json=as_json)
    return 0 if finished or result.best is not None or not result.failed else 1

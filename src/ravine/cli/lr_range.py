"""Step 3 only: the range of learning rates in which the loss drops markedly."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ravine.cli import options
from ravine.cli.display import show_result, watching

__all__ = ["lr_range"]


@options.with_common
def lr_range(
    given: dict[str, Any],
    optimizer: Annotated[
        str, typer.Option("--optimizer", help="adamw, sgd, adam, or several: adamw,sgd.")
    ] = "adamw,sgd",
    as_json: options.Json = False,
) -> int:
    """Step 3 only: the range of learning rates in which the loss drops markedly."""
    from ravine import api

    with watching() as watch:
        result = api.lr_range(**given, optimizers=optimizer.split(","), watch=watch)
    show_result(result, as_json=as_json)
    return 1 if result.failed else 0

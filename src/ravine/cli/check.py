"""Steps 1 and 2 and the diagnosis: is this model trainable on this data, and if not, what is wrong?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ravine.cli import options
from ravine.cli.display import show_result, show_sound, watching

__all__ = ["check"]


@options.with_common
def check(
    given: dict[str, Any],
    lr: Annotated[
        float | None, typer.Option("--lr", help="Of the training that is diagnosed; without it rates are not judged.")
    ] = None,
    optimizer: Annotated[str, typer.Option("--optimizer", help="A rule by name.")] = "adamw",
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Likewise; about 800 steps, when not given, and not judged.")
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Steps 1 and 2 and the diagnosis: is this model trainable on this data, and if not, what is wrong?"""
    from ravine import api

    with watching() as watch:
        result = api.check(**given, lr=lr, optimizer=optimizer, epochs=epochs, watch=watch)
    if not (as_json or result.failed):
        show_sound()
    show_result(result, as_json=as_json)
    return 1 if result.failed else 0

"""Train one configuration to its end, once or as an ensemble, alone or as one of several processes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ravine.cli import options
from ravine.cli.display import show_result, watching
from ravine.cli.setting_options import setting
from ravine.cli.sharing_options import sharing

__all__ = ["train"]


@options.with_common
@options.gathering(setting)
@options.gathering(sharing)
def train(
    given: dict[str, Any],
    chosen: dict[str, Any],
    together: dict[str, Any],
    epochs: Annotated[int, typer.Option("--epochs", help="Passes over the training data.")] = 20,
    ensemble: Annotated[
        str | None,
        typer.Option(
            "--ensemble",
            help="independent: other seeds, trained together; snapshots: of a cyclical rate; checkpoints: the last epochs.",
        ),
    ] = None,
    size: Annotated[int, typer.Option("--size", help="Members of the ensemble.")] = 5,
    average: Annotated[
        str | None,
        typer.Option(
            "--average",
            help="swa, ema or last: average the weights, and keep the average if it is better. swa wants --schedule constant.",
        ),
    ] = None,
    patience: Annotated[
        int | None, typer.Option("--patience", help="Stop after so many epochs without a better one.")
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Train one configuration to its end, once or as an ensemble."""
    from ravine import api

    with watching() as watch:
        result = api.train(
            **given,
            epochs=epochs,
            setting=chosen,
            ensemble=ensemble,
            size=size,
            average=average,
            patience=patience,
            sharing=together,
            watch=watch,
        )
    show_result(result, as_json=as_json)
    return 1 if result.failed else 0

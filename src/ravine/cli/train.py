"""Train one configuration to its end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ravine.cli import options
from ravine.cli.display import show_result, watching

__all__ = ["train"]


@options.with_common
def train(
    given: dict[str, Any],
    epochs: Annotated[int, typer.Option("--epochs", help="Passes over the training data.")] = 20,
    optimizer: Annotated[
        str,
        typer.Option(
            "--optimizer",
            help="A rule by name: adamw, sgd, lion, muon, ...; a name that is not known is answered with the list.",
        ),
    ] = "adamw",
    lr: Annotated[float, typer.Option("--lr", help="Peak learning rate.")] = 1e-3,
    weight_decay: Annotated[
        float, typer.Option("--weight-decay", help="Decay of the weights, as the optimizer means it.")
    ] = 0.0,
    momentum: Annotated[float | None, typer.Option("--momentum", help="sgd only; 0.9 when not given.")] = None,
    dropout: Annotated[float | None, typer.Option("--dropout", help="Probability of dropping.")] = None,
    schedule: Annotated[
        str, typer.Option("--schedule", help="By name: cosine, one_cycle, plateau, linear, step, ...; likewise.")
    ] = "cosine",
    warmup: Annotated[
        float, typer.Option("--warmup", help="Share of training spent climbing to the peak rate.")
    ] = 0.05,
    order: Annotated[int | None, typer.Option("--order", help="Seed of the data order; --seed when not given.")] = None,
    as_json: options.Json = False,
) -> int:
    """Train one configuration to its end."""
    setting = {
        "optimizer": optimizer,
        "lr": lr,
        "weight_decay": weight_decay,
        "momentum": momentum,
        "dropout": dropout,
        "schedule": schedule,
        "warmup": warmup,
        "order": order,
    }
    from ravine import api

    with watching() as watch:
        result = api.train(**given, epochs=epochs, setting=setting, watch=watch)
    show_result(result, as_json=as_json)
    return 0

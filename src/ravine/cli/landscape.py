"""Walk update rules over a surface: a table of where they end, or a picture of how they get there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ravine.cli import options
from ravine.cli.display import show_record, show_rows
from ravine.errors import SettingError

__all__ = ["landscape"]


def landscape(
    surface: Annotated[
        str,
        typer.Option("--surface", help="ravine50, rosenbrock, himmelblau, ... or text in x and y: 'x**2 + 10*sin(y)'."),
    ],
    rule: Annotated[
        list[str] | None,
        typer.Option("--rule", help="gd, momentum, nesterov, adam, lbfgs, ... Several: side by side. [gd]"),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the rules or the surface: momentum=0.9, kappa=50.")
    ] = None,
    lr: Annotated[list[str] | None, typer.Option("--lr", help="Learning rates: --lr .001 .01 .1")] = None,
    start: Annotated[
        list[str] | None, typer.Option("--start", help="A point: --start 4 .5; may be repeated. [the surface's own]")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", help="How many steps to take.")] = 100,
    race: Annotated[bool, typer.Option("--race", help="All rules on one picture of the surface.")] = False,
    apart: Annotated[bool, typer.Option("--apart", help="A picture for each learning rate.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the noise, on a noisy surface.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="A file: .html moves, .png and .svg do not, .json has every number.")
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Walk update rules over a surface: a table of where they end, or a picture of how they get there."""
    if race and apart:
        raise SettingError("--race and --apart are two ways to draw: leave one of the two out.")
    from ravine.reports.landscape import Asked, check_out, endings, record, theory_sentences, walked, write_landscape

    if out is not None:
        check_out(out)
    asked = Asked(
        surface=surface,
        rules=tuple(rule or ["gd"]),
        lrs=tuple(_number("--lr", word) for word in lr or []),
        settings=options.parse_settings(set_ or []),
        starts=tuple(_point(word) for word in start or []),
        steps=steps,
        arrangement="race" if race else "rates" if apart else "rules",
        seed=seed,
    )
    found = walked(asked)
    if out is not None:
        write_landscape(found, out)
    if as_json:
        show_record(record(found))
    elif out is not None:
        print(out)
    else:
        table = endings(found)
        show_rows(table.columns, table.rows, theory_sentences(found))
    return 0


def _point(words: str) -> tuple[float, ...]:
    """A point from its coordinates, apart by spaces or commas."""
    return tuple(_number("--start", word) for word in words.replace(",", " ").split())


def _number(option: str, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        example = "--lr .001 .01" if option == "--lr" else "--start 4 .5"
        raise SettingError(f"{option} is {word!r}; it needs numbers: write {example}.") from None

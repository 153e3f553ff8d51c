"""The best model of a run as one file that needs no Ravine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ravine.cli import options
from ravine.cli.display import show_record

__all__ = ["export"]


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a finished run.")],
    format: Annotated[str, typer.Option("--format", help="onnx, torchscript or pt2.")] = "onnx",  # noqa: A002
    out: Annotated[Path | None, typer.Option("--out", help="The file; DIR/export/best.onnx and so on else.")] = None,
    ensemble: Annotated[bool, typer.Option("--ensemble", help="The run's ensemble, as one model.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file that stands there.")] = False,
    model: Annotated[str | None, typer.Option("--model", help="The factory, where the run cannot name it.")] = None,
    as_json: options.Json = False,
) -> int:
    """Write a run's best model as one file that needs no Ravine, the preprocessing within, checked against the model."""
    from ravine.models import find_factory
    from ravine.training import exporting

    done = exporting.export(
        folder,
        format=format,
        out=out,
        ensemble=ensemble,
        overwrite=overwrite,
        make_model=find_factory(model) if model else None,
    )
    if as_json:
        show_record(done.record())
        return 0
    unit = "of a probability" if done.description["classes"] else "in standard deviations of the target"
    print(
        f"{done.path}: {done.path.stat().st_size:,} bytes of {format}; its answers to {', '.join(map(str, done.sizes))} "
        f"examples differ from the model's by at most {done.difference:.1e} ({unit}; {done.tolerance:g} would be refused)."
    )
    return 0

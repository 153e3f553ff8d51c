"""Write the report of a run folder again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")]) -> int:
    """Write the report of a run folder again."""
    from ravine.reports import write_report

    print(write_report(folder))
    return 0

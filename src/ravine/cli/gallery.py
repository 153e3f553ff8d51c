"""Draw every picture of the lecture, with what to see in each and the command that makes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ravine.cli.display import watching_work
from ravine.errors import SettingError

__all__ = ["gallery"]


def gallery(
    out: Annotated[Path | None, typer.Option("--out", help="The folder; index.html tells the story.")] = None,
    only: Annotated[str | None, typer.Option("--only", help="One figure by its name.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="Name the figures, and draw none.")] = False,
) -> int:
    """Draw every picture of the lecture, with what to see in each and the command that makes it."""
    from ravine.reports.gallery import CHAPTERS, write_gallery

    if listing:
        for chapter in CHAPTERS:
            for figure in chapter.figures:
                print(f"{figure.name:24} {figure.title}")
        return 0
    if out is None:
        raise SettingError("gallery needs a folder: write --out gallery, or --list to see the names of its figures.")
    with watching_work() as tell:
        print(write_gallery(out, only=only, tell=tell))
    return 0

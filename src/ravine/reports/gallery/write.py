"""A folder of pages: the story in index.html, a page for each figure, one copy of Plotly's script for all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from ravine.errors import FolderError
from ravine.reports.gallery.story import CHAPTERS, figure_named, figures
from ravine.reports.landscape.drawing import Drawing
from ravine.reports.landscape.page import figure_json, look
from ravine.reports.landscape.shades import partners
from ravine.reports.page import TEMPLATES, environment, in_script
from ravine.training.files import write_atomically

__all__ = ["MARK", "Tell", "write_gallery"]

MARK = "gallery.js"
"""The script of every page; a folder that holds it is a gallery."""

Tell = Callable[[float, str], None]
"""Told the share that is done, in [0, 1], and what comes next."""


def write_gallery(folder: str | Path, *, only: str | None = None, tell: Tell | None = None) -> Path:
    """Draws every figure, or one of them, into a folder, and returns the page to open.

    A gallery that stands there is brought up to date, its other figures left alone.
    Raises FolderError when the folder holds anything but a gallery, or cannot be written; SettingError for an unknown
    figure: both before anything is drawn.
    """
    folder = Path(folder)
    wanted = figures() if only is None else {only: figure_named(only)}
    _check(folder)
    _write(folder / "plotly.js", get_plotlyjs())
    _write(folder / MARK, (TEMPLATES / "drawing.js").read_text(encoding="utf-8"))
    drawn: dict[str, Drawing] = {}
    began = time.monotonic()
    for done, (name, figure) in enumerate(wanted.items()):
        if tell is not None:
            tell(done / len(wanted), name)
        drawn[name] = figure.draw()
        data = f'ravine.add("{name}", {in_script(figure_json(drawn[name]))});\n'
        _write(folder / "figures" / f"{name}.js", data)
        _write(folder / f"{name}.html", _page("figure.html.j2", figure=figure, drawing=drawn[name]))
    if only is not None:
        return folder / f"{only}.html"
    seconds = time.monotonic() - began
    return _write(folder / "index.html", _page("gallery.html.j2", chapters=CHAPTERS, drawn=drawn, seconds=seconds))


def _check(folder: Path) -> None:
    """Raises FolderError when the folder holds something and is no gallery."""
    try:
        foreign = folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file())
    except OSError as error:
        raise FolderError(f"{folder} cannot be read ({error.strerror}): choose another folder with --out.") from error
    if foreign:
        raise FolderError(f"{folder} exists and is no gallery: choose another folder with --out, or empty it first.")


def _page(template: str, **content: Any) -> str:
    given: Mapping[str, Any] = {**look(), "colours": in_script(json.dumps(partners())), "policy": POLICY, "mark": MARK}
    return environment().get_template(template).render(**given, **content)


# The pages stand in files of their own, whose scripts have no hash to name: 'self' is their folder where they
# are served, and file: where they are opened. Nothing else may be loaded. Surfaces in 3-D build their WebGL calls
# with `new Function`, which needs 'unsafe-eval'.
POLICY = Markup(
    "default-src 'none'; script-src 'self' file: 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)


def _write(path: Path, text: str) -> Path:
    return write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))

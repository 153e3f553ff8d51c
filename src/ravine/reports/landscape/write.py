"""A landscape into a file of the kind that its name says, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from ravine.errors import SettingError
from ravine.reports.landscape.arrange import draw
from ravine.reports.landscape.asked import Walked
from ravine.reports.landscape.endings import record
from ravine.reports.landscape.page import landscape_page
from ravine.reports.landscape.still import SUFFIXES, check_still, still
from ravine.training import write_json
from ravine.training.files import write_atomically

__all__ = ["KINDS", "check_out", "write_landscape"]

KINDS = (".html", ".json", *SUFFIXES)


def check_out(out: Path) -> None:
    """Raises SettingError when no landscape can be written to a file of this name: before anything is computed."""
    if out.suffix.lower() not in KINDS:
        raise SettingError(
            f"--out is {str(out)!r}; its end says what is written: write {out.stem or 'paths'}.html, .png, .svg or .json."
        )
    if out.suffix.lower() in SUFFIXES:
        check_still(out)


def write_landscape(walked: Walked, out: Path) -> Path:
    """The picture as a page, a PNG or an SVG, or all numbers as JSON; an earlier file is replaced at once or not at all.

    Raises SettingError for another kind of file, a picture that cannot be made, or a surface that is not of two dimensions;
    FolderError when the file cannot be written.
    """
    check_out(out)
    kind = out.suffix.lower()
    if kind == ".json":
        return write_json(out, record(walked))
    content = landscape_page(walked, out.name).encode("utf-8") if kind == ".html" else still(draw(walked).figure, out)
    return write_atomically(out, lambda partial: partial.write_bytes(content))

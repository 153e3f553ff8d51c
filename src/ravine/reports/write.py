"""The one door of the reports: a run folder in, `report.html` beside its records out."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ravine.errors import FolderError
from ravine.reports.folder import read_run
from ravine.reports.page import render

__all__ = ["write_report"]


def write_report(folder: Path) -> Path:
    """Writes `report.html` into a run folder and returns its path; an earlier report is replaced at once or not at all.

    Reads nothing outside the folder and computes nothing new. Parts without a record are left out.
    Raises FolderError, one line, when `folder` is no run folder, a record is damaged or the page cannot be written.
    """
    folder = Path(folder)
    page = render(read_run(folder)).encode("utf-8", errors="replace")  # a path may hold bytes that are not text
    target = folder / "report.html"
    try:
        replace_file(target, page)
    except OSError as error:
        raise FolderError(
            f"{target} cannot be written ({error.strerror}); free some space or make {folder} writable, "
            f"then run: ravine report {folder}"
        ) from error
    return target


def replace_file(target: Path, content: bytes) -> None:
    """Writes beside `target`, then takes its place, so that no reader meets half a page."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".report-", suffix=".html")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)  # mkstemp's files are private; a report is meant to be handed on
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise

"""Writing into a run folder: whole files or none, and a full disk said in one line."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ravine.errors import FolderError, WriteError

__all__ = ["read_json", "write_atomically", "write_json"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Call write(temporary path), then move the file into place: readers see the old file or the new one.

    Raises FolderError when the disk is full or the folder cannot be written; the old file is then untouched.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if partial.exists():  # False too where the folder itself is a file
            partial.unlink()
    return path


def _sync_folder(folder: Path) -> None:
    """Bring the new name to the disk too: without, a power failure could bring back the old file."""
    if hasattr(os, "O_DIRECTORY"):  # not on Windows
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def cannot_write(path: Path, error: OSError) -> WriteError:
    """The one line for a folder that cannot be written."""
    if error.errno in _FULL:
        return WriteError(
            f"no space left while writing {path}: free some, or choose a folder on another disk with --out."
        )
    return WriteError(f"cannot write {path}: {error.strerror or error}. Choose another folder with --out.")


def write_json(path: Path, record: Any) -> Path:
    """A record as JSON; a number that is not finite becomes null, as JSON has none."""
    text = json.dumps(plain(record), indent=1, allow_nan=False) + "\n"
    return write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> Any:
    """Raises FolderError when the file is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FolderError(f"there is no {path}: give the folder of a finished run.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise FolderError(
            f"{path} is damaged ({type(error).__name__}): run again, or take the folder from a copy."
        ) from error


def plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value

"""Writing into a run folder: whole files or none, and a full disk said in one line."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from ravine.engines.free_memory import free_memory
from ravine.errors import FolderError, InputError, WriteError
from ravine.limits import RECORD_BYTES

__all__ = ["check_contained", "check_fits_memory", "read_json", "understood", "write_atomically", "write_json"]

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
    """Raises FolderError when the file is missing, damaged or larger than any record of ours."""
    try:
        if path.stat().st_size > RECORD_BYTES:
            raise FolderError(
                f"{path} has {path.stat().st_size:,} bytes, and a record has at most {RECORD_BYTES:,}: take it from a copy."
            )
        return json.loads(path.read_text(encoding="utf-8"))
    except FolderError:
        raise
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


@contextmanager
def understood(what: object) -> Iterator[None]:
    """Inside, a record is made sense of: that it lacks a key or holds another type than ours is said as damage of `what`.

    A record that parses may still be anything: a run folder may come from a stranger.
    """
    try:
        yield
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        said = " ".join(str(error).split())[:120]
        raise FolderError(
            f"{what} is damaged or of another version ({type(error).__name__}: {said}): run again, or take the folder from a copy."
        ) from error


def check_contained(folder: Path) -> None:
    """Raise FolderError where a link in a run folder leads out of it, or something in it is no file: a pipe would be
    waited for, and what is written through a link is written elsewhere.

    The folder itself may be a link.
    """
    root = folder.resolve()
    for place, folders, files in os.walk(root):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):  # a run that is at work there has just given the file its name
                _check_within(Path(place) / name, folder, root)


def _check_within(path: Path, folder: Path, root: Path) -> None:
    kind = path.lstat().st_mode
    if stat.S_ISLNK(kind) and not path.resolve().is_relative_to(root):
        raise FolderError(
            f"{folder} holds a link that leads out of it, {path.relative_to(root)}: put what it stands for in its place."
        )
    if not (stat.S_ISLNK(kind) or stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise FolderError(
            f"{folder} holds {path.relative_to(root)}, which is neither a file nor a folder: take it away."
        )


def check_fits_memory(path: Path) -> None:
    """Raise FolderError for a file that is larger than the memory that is free: it would be read whole."""
    size, free = path.stat().st_size, free_memory(torch.device("cpu"))
    if size > free:
        raise FolderError(
            f"{path} has {size:,} bytes, and {free:,} bytes of memory are free: it is damaged, or too large."
        )

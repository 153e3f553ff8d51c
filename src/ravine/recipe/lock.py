"""One process per run folder. The kernel lets go of the lock when its process ends, however it ends."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from pathlib import Path

from ravine.errors import FolderError

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]

__all__ = ["LOCK", "Lock"]

LOCK = "lock"
"""The name of the file; it holds the number of the process, for whoever is refused."""


class Lock:
    """The right to write into a folder, until `release` or the end of the process.

    Raises FolderError when another process has it, OSError when the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        while True:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            if fcntl is not None:
                self._take(folder)
            if self._still_there():
                break
            os.close(self._file)  # its holder deleted it between our opening and our taking it
        _held.add(self)
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let go, and take the file away. Once is enough."""
        if self._file >= 0:
            with suppress(OSError):
                self._path.unlink()
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        if getattr(self, "_file", -1) >= 0:
            os.close(self._file)

    def _take(self, folder: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._file, 32).decode(errors="replace").strip()
            os.close(self._file)
            self._file = -1
            raise FolderError(
                f"{folder} is in use by another process{f' ({holder})' if holder else ''}: wait until it has ended, or "
                "choose another --out."
            ) from error

    def _still_there(self) -> bool:
        """Whether the file at our path is the one we hold."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except FileNotFoundError:
            return False


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _not_inherited() -> None:
    """A fork that outlives its parent would keep the folder locked, for what is open is open in both."""
    for lock in _held:
        if lock._file >= 0:
            os.close(lock._file)
            lock._file = -1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_not_inherited)

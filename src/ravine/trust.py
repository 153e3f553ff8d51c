"""What a user has named by hand: the factories, databases and clusters that a run folder or a --config file may name again.

A run folder names the factory that rebuilds its model, and importing a factory runs its code. Of a folder of one's own that is
as it should be; a stranger's folder must not choose what is run, which server is told a password, or which cluster's pickles
are read. So each of these counts as named when it was written on the command line or given in Python, is written down for
later processes of this user, and is only then taken from a file. Ravine's own networks need no naming.

The list is $XDG_STATE_HOME/ravine/named (~/.local/state/ravine/named), one JSON value a line; deleting it forgets all.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

__all__ = ["factory_place", "is_named", "is_ours_alone", "name_by_hand"]

Kind = Literal["model", "storage", "workers"]

_here: set[str] = set()
"""What this process was told; a home that cannot be written is no reason to ask twice."""


def name_by_hand(kind: Kind, name: str) -> None:
    """The user has named this: from now on files may. Where the list cannot be written, only this process knows."""
    line = _line(kind, name)
    if line in _here or line in _kept():
        return
    _here.add(line)
    with suppress(OSError, RuntimeError):  # RuntimeError: there is no home
        path = _list()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(line + "\n")


def is_named(kind: Kind, name: str) -> bool:
    """Has this user named it, in this process or an earlier one?"""
    line = _line(kind, name)
    return line in _here or line in _kept()


def factory_place(spec: str) -> str:
    """A factory's name with the file its code lies in, found without running any: `nets:net` is another in another folder.

    >>> factory_place("/home/ann/nets.py:net")
    '/home/ann/nets.py:net'
    """
    place, _, name = spec.rpartition(":")
    if place.endswith(".py"):
        return f"{Path(place).resolve()}:{name}"
    return f"{spec} in {_file_of(place.partition('.')[0])}"


def _file_of(package: str) -> str:
    """What importing a package of this name would read; "" where there is none. Only the package is looked for: to find
    a module in it would run it.
    """
    sys.path.insert(0, str(Path.cwd()))  # as `find_factory` does
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):  # a name that is no name: importing it says what is wrong
        return ""
    finally:
        del sys.path[0]
    where = found and (found.origin or next(iter(found.submodule_search_locations or ()), ""))
    return str(where or "")


def is_ours_alone(path: Path) -> bool:
    """Does this belong to the user, and may nobody else write to it? Raises OSError where nothing is there."""
    said = path.stat()
    return not hasattr(os, "getuid") or (said.st_uid == os.getuid() and not said.st_mode & 0o022)


def _line(kind: Kind, name: str) -> str:
    return json.dumps([kind, factory_place(name) if kind == "model" else name])


def _kept() -> frozenset[str]:
    """The lines of the list; none where there is none, or where it is another user's or may be written by others."""
    try:
        path = _list()
        if not is_ours_alone(path):
            return frozenset()
        return frozenset(path.read_text(encoding="ascii").splitlines())
    except (OSError, ValueError, RuntimeError):
        return frozenset()


def _list() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "ravine" / "named"

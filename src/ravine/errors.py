"""The exceptions of Ravine, drawn as a tree.

    RavineError
    ├── AwayError             a server that a run needs stayed away; the command line answers with exit 1
    ├── WorkerError           a process of a search was killed or could not be begun; the command line answers with exit 1
    └── InputError            asked wrongly; the command line answers with exit 2 and this one line
        ├── DataError         a file, a table, an image or a label that cannot be used
        ├── ModelError        a factory or a module that cannot be used
        ├── SettingError      an option, a hyper-parameter or a space that cannot be used
        ├── StorageError      a database for a shared study that refuses, does not answer or holds another study
        └── FolderError       a run folder that exists, is missing or is damaged, or that another process holds
            └── WriteError    one that cannot be written: a full disk, no permission

A message is one line: what was found, what is needed, what to write. Our own mistakes are plain
assertions and are not in this tree.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AwayError",
    "DataError",
    "FolderError",
    "InputError",
    "ModelError",
    "RavineError",
    "SettingError",
    "StorageError",
    "WorkerError",
    "WriteError",
    "first_line",
    "nearest",
    "printable",
]


class RavineError(Exception):
    """The root: whatever Ravine raises on purpose."""


class AwayError(RavineError):
    """The server of a shared study did not come back in the time that a driver waits for it."""


class WorkerError(RavineError):
    """A process that trained for a search was killed, or could not be begun."""


class InputError(RavineError, ValueError):
    """The caller gave something that cannot be used; the message says what to give instead."""


class DataError(InputError):
    """A file, a table, an image or a label that cannot be used."""


class ModelError(InputError):
    """A factory or a module that cannot be used."""


class SettingError(InputError):
    """An option, a hyper-parameter or a space that cannot be used."""


class StorageError(InputError):
    """A database for a shared study that refuses, does not answer, or holds a study of something else."""


class FolderError(InputError):
    """A run folder that exists already, is missing, is damaged or in use by another process, or cannot be written."""


class WriteError(FolderError):
    """A run folder that cannot be written: the disk is full, or permission is missing."""


def printable(text: str) -> str:
    r"""The text in one line, with what would command a terminal or cannot be encoded written out: names may be a stranger's.

    >>> printable("a\x1b[2Jb\ud800 \u202ec\n d")
    'a\\x1b[2Jb\\ud800 \\u202ec d'
    """
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def first_line(error: BaseException) -> str:
    """The first line of what an exception says, or its name where it says nothing.

    >>> first_line(ValueError("too high\\nby two")), first_line(KeyError())
    ('too high', 'KeyError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a mistyped name: the nearest known names, or all of a short list.

    >>> nearest("adm", ["sgd", "adam", "adamw"])
    'did you mean adam or adamw?'
    >>> nearest("zzz", ["sgd", "adam"])
    'known: adam, sgd'
    """
    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    shown = ", ".join(choices[:20])
    return f"known: {shown}{', ...' if len(choices) > 20 else ''}"

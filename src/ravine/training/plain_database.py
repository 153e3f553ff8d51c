"""A SQLite file that may be a stranger's: refused before SQLite opens it to write, or reads anything but tables.

Two things in such a file act by themselves. Views and triggers are queries that run when a table is read or written, and one
may never end. A rollback journal beside the file may name a further one, which SQLite deletes when all is rolled back,
whatever file that is. Studies have neither.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from ravine.errors import FolderError

__all__ = ["check_plain_database"]

MAGIC = bytes.fromhex("d9d505f920a163d7")
"""How a journal begins, and how one ends that names another. Source: sqlite.org/fileformat2.html and pager.c."""


def check_plain_database(path: Path) -> None:
    """Raise FolderError for a database that holds more than tables and indexes, or whose journal names another file.

    One that is no database is left to whoever opens it: it is said there.
    """
    journal = path.with_name(f"{path.name}-journal")
    if journal.is_file() and _end_of(journal) == MAGIC:
        raise FolderError(f"{journal} names a file to delete, which no search of Ravine's does: take it away.")
    connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)
    try:
        found = connection.execute(
            "SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%' LIMIT 1"
        ).fetchone()
    except sqlite3.Error:
        return
    finally:
        connection.close()
    if found is not None:
        raise FolderError(
            f"{path} holds the {found[0]} {str(found[1])[:80]!r}, and a study has tables alone: take it from a copy."
        )


def _end_of(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(MAGIC)))
        return file.read()

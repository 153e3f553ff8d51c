"""Where the study of one run lies: SQLite's `study.db` in its folder, written by one process, or memory where there is none."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar

import optuna
import sqlalchemy.exc
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial
from sqlalchemy.pool import NullPool, QueuePool

from ravine.errors import FolderError, WriteError
from ravine.training.files import write_atomically
from ravine.training.plain_database import check_plain_database

__all__ = ["STUDY_NAME", "StudyFile", "write_copy"]

STUDY_NAME = "ravine"
"""The name of the study in `study.db`."""

Done = TypeVar("Done")


class StudyFile:
    """folder/study.db; memory when there is no folder. resume: go on with one that stands there, which is refused otherwise.

    Raises FolderError for one that exists or is damaged, and when it cannot be written.
    """

    study, driver, another = STUDY_NAME, "", "--out"

    def __init__(self, folder: Path | None, *, resume: bool = False) -> None:
        self._path = folder / "study.db" if folder else Path()
        if folder and self._path.exists() and not resume:
            raise FolderError(f"{self._path} exists already: resume that search, or choose another --out.")
        if folder and self._path.exists():
            check_plain_database(self._path)
        with _writing(self._path):
            self._file = _opened(self._path) if folder else None
        self.storage: optuna.storages.BaseStorage = self._file or optuna.storages.InMemoryStorage()

    @property
    def label(self) -> str:
        return str(self._path)

    def now(self, work: Callable[[], Done]) -> Done:
        """What `work` on the storage comes to; what SQLite says against it is one FolderError."""
        with _writing(self._path):
            return work()

    def later(self, work: Callable[[], object]) -> None:
        """A file is always there."""
        self.now(work)

    def turn(self, study_id: int) -> AbstractContextManager[None]:  # noqa: ARG002 as a server's
        """Nobody else asks."""
        return nullcontext()

    def count(self, study_id: int, ours: int) -> int:  # noqa: ARG002 as a server's
        """How many trials the study has: all are ours."""
        return ours

    def create(self, study_id: int, trial: FrozenTrial) -> tuple[int, int]:
        """Write a trial; (id, number)."""
        return self.storage.create_new_trial(study_id, trial), trial.number

    def beat(self, study_id: int, trial_id: int) -> None:
        """Nobody else wants to know that this driver lives."""

    def take_up(self, study_id: int) -> int:  # noqa: ARG002 as a server's
        """Nobody else has ended a trial."""
        return 0

    def unlike(self, found: str) -> FolderError:
        return FolderError(f"{self._path} is {found}: resume it as it was begun, or choose another --out.")

    def damaged(self, found: str) -> FolderError:
        return FolderError(
            f"{self._path} is damaged or of another search ({found}): search again with another --out, or take it from a copy."
        )

    def close(self) -> None:
        """Let go of the file: what SQLite kept in its write-ahead log goes into study.db, which then stands alone."""
        self.let_go()
        if self._file is not None:
            with _writing(self._path), self._file.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=DELETE")  # so that readers make no log either
            self.let_go()

    def let_go(self) -> None:
        """Close every connection."""
        if self._file is not None:
            self._file.remove_session()
            self._file.engine.dispose()


def write_copy(study: optuna.Study, path: Path, *, driver: str) -> None:
    """Write a study that lies elsewhere as study.db, its trials under their numbers. driver: whose folder it is."""
    noted, trials = {**study.user_attrs, "driver": driver}, study.get_trials(deepcopy=False)

    def write(place: Path) -> None:
        engine = {"creator": partial(_connect, place), "poolclass": NullPool}
        with _writing(path):
            storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs=engine)
            copy = optuna.create_study(study_name=STUDY_NAME, storage=storage, direction=study.direction)
            for name, value in noted.items():
                copy.set_user_attr(name, value)
            copy.add_trials(trials)
            storage.remove_session()

    write_atomically(path, write)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """What SQLite says when it cannot read or write, as one FolderError; "disk full" is one of its ways to end."""
    try:
        yield
    except (sqlalchemy.exc.DatabaseError, StorageInternalError, RuntimeError) as error:
        said: BaseException = error
        while said.__cause__ is not None:
            said = said.__cause__
        text = " ".join(str(said).split())
        if not isinstance(said, sqlite3.OperationalError):
            raise FolderError(
                f"{path} is damaged ({text}): take it from a copy, or search again with another --out."
            ) from error
        raise WriteError(
            f"cannot write {path} ({text}): see that there is space left and that the folder "
            "can be written, or choose another one with --out."
        ) from error


def _connect(path: Path) -> sqlite3.Connection:
    """SQLite is told not to wait for the disk at each of a search's hundreds of writes. The file stays whole whatever
    happens; when the power fails its last rows may be gone, and are written again when the search is told again.
    """
    connection = sqlite3.connect(path.resolve(), check_same_thread=False)
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _opened(path: Path) -> optuna.storages.RDBStorage:
    # A connection of our own making: in a URL, a folder's name with ? or # would be cut there.
    engine = {"creator": partial(_connect, path), "poolclass": QueuePool}
    storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs=engine)
    with storage.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    return storage

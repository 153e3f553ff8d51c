"""Where a study lies that several drivers work on: a database that SQLAlchemy reaches, PostgreSQL above all.

A driver is one search: it asks for trials of its own, and tells how they ended. Drivers take turns to ask, by a lock on one row
that nobody else locks, so each draw sees the trials of all others and no number is given twice; a driver that dies
in its turn loses the lock with its connection. Training never waits for the server: what is told while it is away is
kept in order and written when it is back, at the latest before the next draw and at the end, where the driver waits
for PATIENCE seconds. What a killed driver had not written yet its resumption tells again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import optuna
import sqlalchemy
import sqlalchemy.exc
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial
from sqlalchemy import text
from sqlalchemy.pool import NullPool

from ravine.errors import AwayError, SettingError, StorageError
from ravine.search.address import parsed, without_password
from ravine.search.heartbeats import SILENCE, fail_running, run_again, silent_drivers

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]

__all__ = ["StudyServer", "difference"]

PATIENCE = 300.0
"""Seconds that a driver waits for a server that is away, before it gives up."""

FIRST, LONGEST = 0.1, 5.0  # seconds between two tries: doubled from the one to the other

CONNECT = 5  # seconds for a server to answer at all

TURN = 60  # seconds after which the server takes the lock from a driver whose machine has vanished in its turn

LIVELY = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
CONNECTING: dict[str, dict[str, int]] = {
    "psycopg": {"connect_timeout": CONNECT, **LIVELY},
    "psycopg2": {"connect_timeout": CONNECT, **LIVELY},
    "pymysql": {"connect_timeout": CONNECT},
    "mysqldb": {"connect_timeout": CONNECT},
    "pysqlite": {"timeout": 60},  # seconds to wait for another writer
}
"""What each driver is told beside the address: not to wait for minutes."""

HELP = {
    "28P01": "give its password in PGPASSWORD or in ~/.pgpass",
    "28000": "the server has no such user, or does not let it in from here: see its pg_hba.conf",
    "3D000": "create it (createdb), or name another one",
    "42501": "the user needs the right to create tables and to write: GRANT CREATE, USAGE ON SCHEMA public TO it",
    "25006": "the server, the database or the user is read-only: take one that can be written",
}
"""What to do, by SQLSTATE."""

WORDS = {
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    'role "': "28000",
    "pg_hba.conf": "28000",
    "does not exist": "3D000",
}
"""SQLSTATE by what a server says that lets nobody in: a connection that failed carries no code."""

LOST = (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError, sqlalchemy.exc.DisconnectionError)
"""What a server that is away makes of a statement: it is worth another try."""

Done = TypeVar("Done")
ERRORS = (sqlalchemy.exc.SQLAlchemyError, StorageInternalError)


class StudyServer:
    """The study of this name in the database at this address.

    Connects once, makes the tables where there are none and sees that they can be written, so what is wrong is said at once:
    raises SettingError for an address that cannot be used, StorageError where the server refuses or does not answer.
    driver: who asks, unlike any other; given before the first trial is asked for. say: told, in one line, that the server is
    away, and that it is back.
    """

    another = "--study"

    def __init__(self, address: str, study: str, *, say: Callable[[str], None] = lambda _note: None) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        if not study or len(study) > 512:
            raise SettingError(f"--study has {len(study)} characters; a study's name has 1 to 512.")
        self.url, self.study, self.driver, self.say = parsed(address), study, "", say
        self._shown = without_password(self.url.render_as_string(hide_password=False))
        self._waiting: deque[Callable[[], object]] = deque()
        self._away, self._again = False, 0.0
        with self._refusing(*ERRORS, RuntimeError):  # RuntimeError: tables of another Optuna
            self._file = self._opened()
        self.let_go()
        self.storage = optuna.storages._CachedStorage(self._file)

    @property
    def label(self) -> str:
        return f"the study {self.study!r} in {self._shown}"

    def now(self, work: Callable[[], Done]) -> Done:
        """What `work` on the storage comes to, after what was told before it is written. While the server is away, both are
        tried again: `work` may have been done when it is.

        Raises AwayError after PATIENCE seconds, and StorageError at once for what waiting cannot mend.
        """
        until, pause = time.monotonic() + PATIENCE, FIRST
        while True:
            try:
                self._write()
                done = work()
            except ERRORS as error:
                self._be_away(error)
                if time.monotonic() + pause > until:
                    raise AwayError(f"{self._shown} has been away for {PATIENCE:.0f} s ({_said(error)}).") from error
            except KeyError as error:
                raise self.damaged("its study was deleted") from error
            else:
                self._be_back()
                return done
            time.sleep(pause)
            pause = min(2 * pause, LONGEST)

    def later(self, work: Callable[[], object]) -> None:
        """Write it now or, while the server is away, when it is back, in the order of the calls. `work` may be done twice."""
        self._waiting.append(work)
        if time.monotonic() < self._again:
            return
        try:
            self._write()
        except ERRORS as error:
            self._be_away(error)
        except KeyError as error:
            raise self.damaged("its study was deleted") from error
        else:
            self._be_back()

    def turn(self, study_id: int) -> AbstractContextManager[None]:
        """While this lasts no other driver of the study has its turn."""
        return self._locked_file() if self._file.engine.dialect.name == "sqlite" else self._locked_row(study_id)

    def create(self, study_id: int, trial: FrozenTrial) -> tuple[int, int]:
        """Write a trial, in a turn; (id, number)."""
        made = self._file.create_new_trial(study_id, trial)  # not through the cache: it may be taken back with the turn
        return made, self._one("SELECT number FROM trials WHERE trial_id = :id", made)

    def count(self, study_id: int, ours: int) -> int:  # noqa: ARG002 as a file's
        """How many trials the study has: the number of the next, for who has the turn."""
        return self._one("SELECT COUNT(*) FROM trials WHERE study_id = :id", study_id)

    def _one(self, question: str, about: int) -> int:
        return int(self._file.scoped_session().execute(text(question), {"id": about}).scalar_one())

    def beat(self, study_id: int, trial_id: int) -> None:
        """Say that this driver lives, by a trial of its own, and end the running trials of others that are gone."""
        self._file.record_heartbeat(trial_id)
        for driver in silent_drivers(self._file, study_id):
            if driver != self.driver and (count := fail_running(self._file, study_id, driver)):
                self.say(
                    f"Driver {driver} of this study is gone, without a word for {SILENCE / 60:.0f} minutes: its {count} running "
                    "trials are marked as failed, until it is resumed."
                )

    def take_up(self, study_id: int) -> int:
        """Let trials of this driver run again that others have ended because it was gone; how many there were."""
        count = run_again(self._file, study_id, self.driver)
        if count:
            self.storage._studies.pop(study_id, None)  # it would never read again what it has read as finished
            self.storage.get_all_trials(study_id, deepcopy=False)
        return count

    def check(self, asked: Mapping[str, Any]) -> None:
        """Raise StorageError where the study was begun with something else; nothing is written."""
        with self._refusing(*ERRORS):
            try:
                noted = self.storage.get_study_user_attrs(self.storage.get_study_id_from_name(self.study))
            except KeyError:
                return
            finally:
                self.let_go()
        if found := difference(noted, asked):
            raise self.unlike(found)

    def unlike(self, found: str) -> StorageError:
        return StorageError(f"{self.label} is {found}: join it as it was begun, or begin another one with --study.")

    def damaged(self, found: str) -> StorageError:
        return StorageError(f"{self.label} is damaged or of another search ({found}): begin another one with --study.")

    def close(self) -> None:
        """Let go of the server, without waiting for it; what could not be written the driver tells again when it is resumed."""
        with suppress(*ERRORS):
            self._write()
        self.let_go()

    def let_go(self) -> None:
        """Close every connection; the next call opens one."""
        self._file.remove_session()
        self._file.engine.dispose()

    def _opened(self) -> optuna.storages.RDBStorage:
        """With connections that are kept, once the tables are there."""
        exc, sqlite = sqlalchemy.exc, self.url.get_dialect().name == "sqlite"
        made_by_another = (exc.IntegrityError, exc.OperationalError if sqlite else exc.ProgrammingError)
        for _ in range(5):
            with suppress(*made_by_another):
                self._try_out()
                break
            time.sleep(0.2)  # another driver was making the tables at the same time
        else:
            self._try_out()
        lasting = {"pool_pre_ping": True, "pool_recycle": 1800}  # what a restart has cut is replaced before it is used
        return self._storage(lasting, skip_table_creation=True)

    def _try_out(self) -> None:
        """Make the tables, write a row and take it back: who may only read would find out too late."""
        engine = self._storage({"poolclass": NullPool}).engine  # it leaves no connection behind where it is refused
        with engine.connect() as connection:
            connection.execute(
                text("INSERT INTO studies (study_name) VALUES (:name)"), {"name": f"{self.study[:500]} ?"}
            )
            connection.rollback()

    def _storage(self, engine: Mapping[str, Any], **more: Any) -> optuna.storages.RDBStorage:
        known = CONNECTING.get(self.url.get_dialect().driver, {})
        given = {name: value for name, value in known.items() if name not in self.url.query}
        return optuna.storages.RDBStorage(
            self.url.render_as_string(hide_password=False), engine_kwargs={"connect_args": given, **engine}, **more
        )

    def _write(self) -> None:
        while self._waiting:
            self._waiting[0]()
            self._waiting.popleft()

    def _be_away(self, error: Exception) -> None:
        """Raise what waiting cannot mend, and say once that the server is away."""
        with self._refusing(*ERRORS):
            if not isinstance(_database_error(error), LOST):
                raise error
        self._again = time.monotonic() + LONGEST
        if not self._away:
            self._away = True
            self.say(
                f"{self._shown} is away ({_said(error)}): training goes on, and what it tells is kept; where it must wait, it "
                f"waits for {PATIENCE:.0f} s."
            )

    def _be_back(self) -> None:
        self._again = 0.0
        if self._away:
            self._away = False
            self.say(f"{self._shown} is back, and all that was kept for it is written.")

    @contextmanager
    def _refusing(self, *kinds: type[Exception]) -> Iterator[None]:
        try:
            yield
        except kinds as error:
            said = _said(error)
            code = getattr(_cause(error), "sqlstate", None) or next((WORDS[w] for w in WORDS if w in said), "")
            advice = HELP.get(code, "see that the server runs, and that host, port, user and database are right")
            raise StorageError(f"{self._shown} cannot be used ({said}): {advice}.") from error

    @contextmanager
    def _locked_row(self, study_id: int) -> Iterator[None]:
        """All that is read and written in a turn is one transaction, which has the lock: where the connection breaks, nothing
        of it was done, and Optuna's own second tries, which would come without the lock, fail too.

        Optuna locks the study's own row for each trial it creates; the row of its direction nobody locks but we.
        """
        sessions = self._file.scoped_session
        with self._file.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{TURN}s'"))
            locked = text("SELECT study_direction_id FROM study_directions WHERE study_id = :id FOR UPDATE")
            connection.execute(locked, {"id": study_id})
            sessions.remove()
            sessions.configure(
                bind=connection
            )  # a session that joins a transaction leaves it to commit to whoever began it
            try:
                yield
            except ERRORS as error:
                if connection.invalidated:
                    raise sqlalchemy.exc.DisconnectionError from error
                raise
            finally:
                sessions.remove()
                sessions.configure(bind=self._file.engine)

    @contextmanager
    def _locked_file(self) -> Iterator[None]:
        """SQLite would lock out ourselves too; a file beside it does not."""
        with Path(f"{self.url.database}.turn").open("w") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield


def difference(noted: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """The first thing in which a study was begun otherwise than is asked for, in words; "" when there is none.

    >>> difference({"seed": 0}, {"seed": 1, "measured": "rmse"})
    'a search with seed 0, and 1 is asked for'
    """
    found = (name for name, value in asked.items() if noted.get(name, value) != value)
    return next((f"a search with {name} {noted[name]!r}, and {asked[name]!r} is asked for" for name in found), "")


def _database_error(error: BaseException) -> BaseException:
    """What SQLAlchemy raised, under Optuna's own error."""
    return error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ is not None else error


def _cause(error: BaseException) -> BaseException:
    """What the database's own driver raised."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _said(error: BaseException) -> str:
    """What the database's own driver said, in one line."""
    cause = _cause(error)
    return without_password(" ".join(str(cause).split())[:400] or type(cause).__name__)

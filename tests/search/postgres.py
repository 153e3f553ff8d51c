"""A real PostgreSQL for the tests: in a folder of its own, on a free port of the loopback, gone at the end.

PostgreSQL refuses to run as root, so a root's tests run it as the user `postgres` that its package makes.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import pytest

FOUND = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
"""Where Debian puts the versions, none of them on the PATH."""

POSTGRES = str(FOUND[-1]) if FOUND else shutil.which("postgres")

needs_postgres = pytest.mark.skipif(POSTGRES is None, reason="needs a PostgreSQL server; CI installs it")

PASSWORDS = {"ann": "secret", "postgres": "root", "guest": "visit"}

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "30",
}


class Postgres:
    """A server with the user `ann` (password `secret`), who owns the database `lab`."""

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="ravine-postgres-"))
        self._as: dict[str, Any] = {}
        self._running = False
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self._folder, account.pw_uid, account.pw_gid)
            self._as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        try:
            self._make()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def address(self, user: str = "ann", *, password: bool = True, database: str = "lab") -> str:
        own = f"{user}:{PASSWORDS.get(user, 'wrong')}" if password else user
        return f"postgresql+psycopg://{own}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        if self._running:
            return
        words = [f"-c {name}='{value}'" for name, value in {**SETTINGS, "port": self.port}.items()]
        self._run("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", " ".join(words), "start")
        self._running = True

    def stop(self) -> None:
        """At once, as when it crashes: who is connected is cut off in the middle."""
        if self._running:
            self._run("pg_ctl", "-w", "-m", "immediate", "stop")
        self._running = False

    def tell(self, *statements: str, database: str = "postgres") -> None:
        """Statements of the superuser."""
        address = self.address("postgres", database=database).replace("+psycopg", "")
        with psycopg.connect(address, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def _make(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORDS["postgres"])
        password.chmod(0o644)
        words = ["--username=postgres", f"--pwfile={password}", "--auth=scram-sha-256", "--no-sync", "--no-locale"]
        self._run("initdb", *words, "--encoding=UTF8")
        self.start()
        self.tell("CREATE USER ann PASSWORD 'secret'", "CREATE DATABASE lab OWNER ann")

    def _run(self, program: str, *words: str) -> None:
        assert POSTGRES is not None
        path = Path(POSTGRES).with_name(program)
        done = subprocess.run(
            [path, "-D", self._folder / "data", *words],
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdout=subprocess.DEVNULL,  # a pipe would be the server's too, and stay open
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
            **self._as,
        )
        assert done.returncode == 0, f"{program} ended with {done.returncode}"


def ended(process: subprocess.Popen[Any]) -> None:
    """Let no process outlive its test."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait(10)

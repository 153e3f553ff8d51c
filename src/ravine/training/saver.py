"""When the state of a training is written down, so that a run that was killed goes on where it was.

A run is a pure function of its seeds, so going on means: load the newest good state of the phase that was running, and
take the same steps again. Time decides only when a state is written, never what is in the result. What time does decide
(how many trials, which of them are given up) is written down as it is decided, and repeated.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from ravine.engines.memory import out_of_memory
from ravine.errors import FolderError
from ravine.training.files import cannot_write, plain, read_json, understood, write_atomically, write_json
from ravine.training.snapshots import State, read_snapshot, write_snapshot

__all__ = ["Saver"]

EVERY, LONGEST = 20.0, 30.0
"""Seconds from one state written to the next; the longest for those that take long to write."""

SHARE = 0.02  # of the time that writing may take

NOTES = ".jsonl"

KEPT = 2  # states of a phase: one to fall back to


class Saver:
    """Writes states of the phase that runs into `folder`, and reads them in the next process. None: writes nothing.

    say: told in one line what a person should know. spent: the seconds that the run has taken, kept beside the states.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        say: Callable[[str], None] = lambda _text: None,
        spent: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.folder, self.say, self.spent = folder, say, spent
        self._progress: dict[str, Any] = {"spent": 0.0, "decided": {}}
        if folder is not None and (folder / "progress.json").exists():
            self._progress = _progress_of(folder / "progress.json")
        self._noted: dict[str, list[Any]] = {}
        self._phase = ""
        self._snapshot: Callable[[], State] | None = None
        self._due, self._cost, self._failed = math.inf, 0.0, False
        self._signal = 0  # that asked for an end; 0 is none

    @property
    def spent_before(self) -> float:
        """Seconds that the run had taken when it last wrote something."""
        return float(self._progress["spent"])

    def decided(self, name: str, make: Callable[[], Any]) -> Any:
        """What was decided under this name (plain values); if nothing was, what `make` says, and it is written down first."""
        if name not in self._progress["decided"]:
            self.decide(name, make())
        return self._progress["decided"][name]

    def decide(self, name: str, value: Any) -> None:
        """Write down a decision, in place of an earlier one."""
        self._progress["decided"][name] = value
        self._write_progress()

    def note(self, name: str, record: Any) -> None:
        """Write down one more of many decisions under one name; it is on the disk when this returns.

        Each is a line of a file of its own, for `decide` writes all that was decided every time.
        """
        self.noted(name).append(record)
        if self.folder is not None:
            path = self.folder / f"{name}{NOTES}"
            try:
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(plain(record), allow_nan=False) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise cannot_write(path, error) from error

    def noted(self, name: str) -> list[Any]:
        """What was noted under a name, in order."""
        if name not in self._noted:
            self._noted[name] = _whole_lines(self.folder / f"{name}{NOTES}") if self.folder is not None else []
        return self._noted[name]

    @property
    def decisions(self) -> dict[str, Any]:
        """All that was decided and noted, by name, for another run to `follow`."""
        files = self.folder.glob(f"*{NOTES}") if self.folder is not None else ()
        names = {*self._noted, *(path.name.removesuffix(NOTES) for path in files)}
        return {"decided": dict(self._progress["decided"]), "noted": {name: self.noted(name) for name in sorted(names)}}

    def follow(self, decisions: Mapping[str, Any]) -> None:
        """Take what another run has decided and noted as its own, but for what is decided here already."""
        self._progress["decided"] = {**decisions["decided"], **self._progress["decided"]}
        self._write_progress()
        for name, records in decisions["noted"].items():
            for record in records[len(self.noted(name)) :]:
                self.note(name, record)

    @contextmanager
    def during(self, phase: str, snapshot: Callable[[], State]) -> Iterator[None]:
        """While a phase trains: `safe` writes its state every EVERY seconds.

        SIGINT and SIGTERM end it at the next safe place, with its state written: as KeyboardInterrupt, and as
        SystemExit with status 143. A second one ends it at once.
        """
        self._phase, self._snapshot = phase, snapshot
        self._due = time.monotonic() + EVERY if self.folder is not None else math.inf
        try:
            with self._catching():
                yield
            if self._signal:  # it came after the last safe place
                raise ending(self._signal)
        finally:
            self._phase, self._snapshot, self._due, self._signal = "", None, math.inf, 0

    def safe(self) -> None:
        """Called between two steps, when the snapshot is that of a moment."""
        if self._signal:
            self.save()
            raise ending(self._signal)
        if time.monotonic() >= self._due:
            self.save()

    def save(self) -> None:
        """Write the state of the phase now. A full disk is said, and no reason to stop: the state before it is kept."""
        if self.folder is None or self._snapshot is None:
            return
        began = time.monotonic()
        states = self._states(self._phase)
        number = int(states[-1].stem.rpartition("-")[2]) + 1 if states else 1
        try:
            write_snapshot(self.folder / f"{self._phase}-{number:06d}.safetensors", self._snapshot())
            self._write_progress()
        except FolderError as error:
            if not self._failed:
                self.say(
                    f"{error} Training goes on; if it were stopped now, what came after the last save would be lost."
                )
            self._failed = True
        else:
            self._failed = False
            for old in self._states(self._phase)[:-KEPT]:
                old.unlink(missing_ok=True)
        now = time.monotonic()
        self._cost = now - began
        self._due = now + min(LONGEST, max(EVERY, self._cost / SHARE))

    def load(self, phase: str) -> State | None:
        """The newest state of a phase that is whole; None when there is none."""
        for path in reversed(self._states(phase)):
            try:
                return read_snapshot(path)
            except FolderError as error:
                self.say(f"{error} Going on from what was saved before it.")
                path.unlink(missing_ok=True)
        return None

    @contextmanager
    def going_on(self, phase: str) -> Iterator[State | None]:
        """What `load` gives, for a block that takes it over. That it cannot be taken over is said as damage of the folder."""
        saved = self.load(phase)
        with understood(f"the state of {phase} in {self.folder}"):
            try:
                yield saved
            except RuntimeError as error:  # torch's, of shapes that do not fit
                if saved is None or out_of_memory(error):
                    raise
                raise ValueError(str(error)) from error

    def drop(self, phase: str) -> None:
        """Delete the states of a phase that is over and recorded elsewhere."""
        for path in self._states(phase):
            path.unlink(missing_ok=True)

    def finish(self) -> None:
        """The run is over: there is nothing to go on with."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _states(self, phase: str) -> list[Path]:
        """The files of a phase, oldest first."""
        return sorted(self.folder.glob(f"{phase}-*.safetensors")) if self.folder is not None else []

    def _write_progress(self) -> None:
        if self.folder is not None:
            self._progress["spent"] = self.spent()
            write_json(self.folder / "progress.json", self._progress)

    @property
    def _catches(self) -> bool:
        """Is there something to do before the end?"""
        return self.folder is not None

    @contextmanager
    def _catching(self) -> Iterator[None]:
        """SIGINT and SIGTERM wait for a safe place, where there is a state to write; only the main thread may say so."""
        if not self._catches or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._asked) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        if self._signal:
            raise ending(number)
        self._signal = number


def _progress_of(path: Path) -> dict[str, Any]:
    """What was decided, and the seconds spent. Raises FolderError where the file holds anything else."""
    found = read_json(path)
    with understood(path):
        return {"spent": max(0.0, float(found["spent"])), "decided": dict(found["decided"])}


def _whole_lines(path: Path) -> list[Any]:
    """The records of a file of notes; a last line that was being written when the process was killed is taken away."""
    if not path.exists():
        return []
    with understood(path):
        text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_atomically(path, lambda partial: partial.write_text(whole, encoding="utf-8"))
    with understood(path):
        return [json.loads(line) for line in whole.splitlines()]


def ending(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)

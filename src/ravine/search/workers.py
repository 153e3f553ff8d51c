"""Processes on this machine that train runs side by side; the process of the search keeps all that is written.

A worker is a fork: it has the data and the runs without anything being sent. It does what it is asked, one message
after the other, and writes to no file. It ends with the process that it came from.

Letters: N workers.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Self

import torch

from ravine.engines.allocator import give_back
from ravine.errors import SettingError, WorkerError
from ravine.limits import WORKERS
from ravine.search.messages import packed, unpacked
from ravine.search.remote_run import Answer, EpochRow, Key, RemoteRun, StepRow, handed_over, tell
from ravine.search.serving import Served
from ravine.training import History, Run

__all__ = ["Workers", "check_workers", "places"]

GRACE = 1.0  # seconds in which a worker that has nothing to do ends by itself
PR_SET_PDEATHSIG = 1  # linux/prctl.h
DEAF = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C reaches every process of a group, and the search decides what becomes of it: its workers end with it."""


def check_workers(count: int, device: torch.device) -> None:
    """Raise SettingError for a number of workers that cannot be had on this device and machine."""
    if count < 1:
        raise SettingError(f"workers is {count}; it must be 1 or more: the number of cores is usual.")
    if count > WORKERS:
        raise SettingError(f"workers is {count}; it must be {WORKERS:,} at most: the number of cores is usual.")
    if count == 1:
        return
    if device.type != "cpu":
        raise SettingError(
            f"workers is {count} and device is {device}: workers train on the CPU, and one process keeps a GPU busy. Write "
            "workers 1, or device cpu."
        )
    if torch.accelerator.is_available():
        raise SettingError(
            f"workers is {count}, and torch cannot train in forks of a process that sees a GPU: hide it with "
            "CUDA_VISIBLE_DEVICES= in the environment, or write workers 1."
        )
    if "fork" not in multiprocessing.get_all_start_methods():
        raise SettingError(f"workers is {count}, and this system cannot fork a process: write workers 1.")


def places(sizes: Sequence[int], count: int) -> list[int]:
    """Which of `count` workers takes each of the runs with so many trials: laid end to end, a run goes where its middle lies.

    >>> places([4, 2, 2], 2), places([1, 7], 2)
    ([0, 1, 1], [0, 1])
    """
    total, found, before = sum(sizes), [], 0
    for size in sizes:
        found.append(min(count - 1, int((before + size / 2) * count / max(total, 1))))
        before += size
    return found


class Workers:
    """Take `runs` over into at most `count` processes, each with its share of the threads; `self.runs` stand for them.

    runs: emptied, so that no process holds what is another's. history: told of what is seen, in the order of steps and
    runs, whenever `tell` is called. Use it as a context: the processes end with it.
    Raises WorkerError when a process cannot be begun, and from any run when its process was killed.
    """

    def __init__(self, runs: list[Run], count: int, history: History) -> None:
        self.history, self._rows = history, list[tuple[Key, StepRow | EpochRow]]()
        self._workers: list[_Worker] = []
        try:
            self.runs = self._taken(runs, places([len(run.trials) for run in runs], count), count)
        except BaseException:
            self.close()
            raise
        runs.clear()
        give_back()

    def _taken(self, runs: list[Run], at: Sequence[int], count: int) -> list[RemoteRun]:
        """Begin the processes. at: the place of each run among the `count` workers; one without a run is not begun."""
        used = sorted(set(at))
        threads = max(1, torch.get_num_threads() // count)
        for number, place in enumerate(used, 1):
            name = f"worker {number} of {len(used)}"
            mine = [i for i, one in enumerate(at) if one == place]
            try:
                self._workers.append(_Worker(name, runs, mine, threads, [w.connection for w in self._workers]))
            except OSError as error:
                raise WorkerError(f"{name} could not be begun ({error}): write fewer workers.") from error
        by_place = dict(zip(used, self._workers, strict=True))
        return [
            handed_over(run, by_place[place], (i,), self._rows)
            for i, (run, place) in enumerate(zip(runs, at, strict=True))
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tell(self) -> None:
        """Tell the history what has been seen since the last time. Call it when no run is under way."""
        rows, self._rows[:] = sorted(self._rows, key=lambda seen: (seen[1].step, seen[0])), []
        tell(self.history, rows)

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.connection.close()
        until = time.monotonic() + GRACE
        for worker in self._workers:
            worker.end(until)


class _Worker:
    """One process, from this side."""

    def __init__(self, name: str, runs: list[Run], mine: Sequence[int], threads: int, others: list[Connection]) -> None:
        self.name = name
        self._answers: dict[Key, Answer] = {}
        context = multiprocessing.get_context("fork")
        self.connection, far = context.Pipe()
        near = [*others, self.connection]  # ends that the fork must not hold open
        self._process = context.Process(target=_work, args=(far, near, runs, mine, threads, os.getpid()), name=name)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, DEAF)
        try:
            with warnings.catch_warnings():  # of forks with threads: see `_work`
                warnings.simplefilter("ignore", DeprecationWarning)
                warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)  # where JAX is loaded
                self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            far.close()

    def ask(self, key: Key, method: str, *args: Any, **named: Any) -> None:
        try:
            self.connection.send_bytes(packed((key, method, args, named)))
        except OSError as error:
            raise self._lost() from error

    def answer(self, key: Key) -> Answer:
        """The answer of this run; those of others that come before it are kept until they are asked for."""
        while key not in self._answers:
            try:
                of, answer = unpacked(self.connection.recv_bytes())
            except (EOFError, OSError) as error:
                raise self._lost() from error
            self._answers[of] = answer
        return self._answers.pop(key)

    def end(self, until: float) -> None:
        self._process.join(max(0.0, until - time.monotonic()))
        self._process.kill()  # it holds nothing that is not here, or in the last state written
        self._process.join()
        self._process.close()

    def _lost(self) -> WorkerError:
        self._process.join(GRACE)
        code = self._process.exitcode or 0
        how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with status {code}"
        memory = ": where memory runs out, the system does that" if code == -signal.SIGKILL else ""
        return WorkerError(f"{self.name} {how}{memory}. The search has stopped.")


def _work(
    connection: Connection, near: list[Connection], runs: list[Run], mine: Sequence[int], threads: int, parent: int
) -> None:
    """The whole life of a worker."""
    gc.freeze()  # what the parent has left to its collector is the parent's to end
    for number in DEAF:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, DEAF)
    _end_with(parent)
    for end in near:
        end.close()
    own = {(i,): runs[i] for i in mine}
    runs.clear()
    give_back()
    # libgomp keeps the threads of its pool by the thread that began them: the one that was forked would wait for ever for
    # threads that are no more, and one begun here has none.
    thread = threading.Thread(target=_serve, args=(connection, own, threads))
    thread.start()
    thread.join()


def _end_with(parent: int) -> None:
    """Ask the system to end this process when its parent ends; where it cannot, the connection that closes does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _serve(connection: Connection, runs: dict[Key, Run], threads: int) -> None:
    """Do as asked until nobody is left to ask."""
    torch.set_num_threads(threads)
    served = Served(runs)
    with suppress(EOFError, OSError):
        while True:
            key, method, args, named = unpacked(connection.recv_bytes())
            connection.send_bytes(packed((key, served.answer(key, method, args, named))))

"""Workers on the nodes of a Ray cluster, one actor each, that train the runs of an asynchronous climb.

Data and code go to each node once, through Ray's object store. The states that a run goes on from are on this side: an
object store dies with its node. A worker has one run at a time (two where memory ran out), so that runs wait for a worker
that is free: one that has finished, or one on a node that has just joined.
"""

from __future__ import annotations

import math
import os
import pickle
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch

from ravine.errors import InputError, SettingError, WorkerError, first_line
from ravine.models import Model
from ravine.search.asynchronous import TURN, WorkerLostError
from ravine.search.messages import packed, unpacked
from ravine.search.on_ray import OnRay, carried, check_versions, room_for, the_ray, versions_here
from ravine.search.remote_run import Answer, Key, RemoteRun
from ravine.search.serving import Served, Workshop

__all__ = ["RayCrew"]

LOOKED_FOR = 2.0  # seconds between two looks for nodes that have joined

PATIENCE = 120.0  # seconds without any worker after which the search ends

LATE = 30.0  # seconds after which a worker that has not begun is spoken of

LAST_LINES = 20  # of a worker's log


class RayCrew:
    """As `Crew`, of as many actors as are needed and fit; connected to the cluster already. Use it as a context."""

    def __init__(self, where: OnRay, workshop: Workshop, say: Callable[[str], None] = lambda _note: None) -> None:
        self._ray, self.where, self.say = the_ray(), where, say
        self._data = self._ray.put(workshop.data)
        self._model = self._ray.put(carried(workshop.model))
        self.members: list[_Member] = []  # those that are there, and those that are coming
        self._unmet, self._begun, self._looked = 0, 0, -math.inf
        self._left_out = 0  # places that stay empty, for what is there cannot be used
        self._manned = time.monotonic()  # when there was a worker last

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            self._ray.kill(member.actor)

    def expect(self, runs: int | None) -> None:
        """Begin workers for so many runs, as far as there is room; None: as many as there is room for."""
        room = sum(count for count, _ in room_for(self.where))
        for _ in range(room if runs is None else min(room, runs)):
            self._begin()

    def take(self, run: RemoteRun) -> bool:
        for member in self.members:
            if member.free:
                run.worker = member
                return True
        self._unmet += 1
        return False

    def ready(self, runs: Sequence[RemoteRun]) -> Sequence[RemoteRun]:
        self._grow()
        self._speak_of_late_ones()
        asked = {run.worker.asked(run.key): run for run in runs if isinstance(run.worker, _Member)}
        coming = {member.hello: member for member in self.members if not member.here}
        if not asked and not coming:
            time.sleep(TURN / 10)
            return []
        every = [*asked, *coming]
        if self._ray.wait(every, num_returns=1, timeout=TURN)[0]:
            done, _ = self._ray.wait(every, num_returns=len(every), timeout=0)
        else:
            done = []
        for one in done:
            if one in coming:
                self._welcome(coming[one])
        return [asked[one] for one in done if one in asked]

    def drop(self, run: RemoteRun) -> None:
        if isinstance(run.worker, _Member):
            run.worker.drop(run.key)
            self.members = [member for member in self.members if not member.lost]

    def _grow(self) -> None:
        """Begin workers for runs that wait, where there is room."""
        now, unmet, self._unmet = time.monotonic(), self._unmet, 0
        if self.members:
            self._manned = now
        elif now - self._manned > PATIENCE:
            raise WorkerError(
                "no node of the cluster has had room for a worker for two minutes. The search has stopped."
            )
        if not unmet or now - self._looked < LOOKED_FOR:
            return
        self._looked = now
        room = sum(count for count, _ in room_for(self.where)) - len(self.members) - self._left_out
        for _ in range(min(room, unmet - sum(not member.here for member in self.members))):
            self._begin()

    def _speak_of_late_ones(self) -> None:
        """Say, once of each, which workers have not begun yet and what there is for them; a full cluster is waited for."""
        late = [one for one in self.members if not (one.here or one.spoken_of) and one.age > LATE]
        if not late:
            return
        for one in late:
            one.spoken_of = True
        wanted = {"CPU": self.where.cpus, "GPU": self.where.gpus}
        free, whole = self._ray.available_resources(), self._ray.cluster_resources()
        takes = " and ".join(f"{need:g} {name}" for name, need in wanted.items() if need)
        there = " and ".join(
            f"{free.get(n, 0.0):g} of the cluster's {whole.get(n, 0.0):g} {n}s" for n, need in wanted.items() if need
        )
        who = f"{late[0].name} has" if len(late) == 1 else f"{len(late)} workers have"
        self.say(
            f"{who} not begun after {LATE:.0f} s: {'it' if len(late) == 1 else 'each'} takes {takes}, and {there} are free. "
            "The cluster is full, or slow to begin a process."
        )

    def _begin(self) -> None:
        self._begun += 1
        wanted = {"num_cpus": self.where.cpus, "num_gpus": self.where.gpus, "max_restarts": 0, "max_task_retries": 0}
        actor = (
            self._ray.remote(_Trainer)
            .options(**wanted)
            .remote(self._data, self._model, self.where.device, self.where.threads)
        )
        self.members.append(_Member(self._ray, f"worker {self._begun}", actor))

    def _welcome(self, member: _Member) -> None:
        """A worker is there; one that cannot be used is sent away, and others go on."""
        try:
            found = self._ray.get(member.hello)
            member.name += f" on {found['address']}"
            member.node, member.log, member.here = found["node"], found["log"], True
            check_versions(f"node {found['address']}", found["versions"])
            if found["trouble"]:
                raise SettingError(f"{member.name} cannot load the model: {found['trouble']}.")
        except InputError as wrong:
            self.members.remove(member)
            self._ray.kill(member.actor)
            if not any(other.here for other in self.members):
                raise
            self._left_out += 1
            self.say(f"{wrong} It is left out.")
        except self._ray.exceptions.RayError as error:
            self.members.remove(member)
            self.say(f"{member.name} could not begin: {first_line(error)}")


class _Member:
    """One actor, from this side."""

    def __init__(self, ray: Any, name: str, actor: Any) -> None:
        self._ray, self.name, self.actor = ray, name, actor
        self.hello = actor.hello.remote()
        self.here = self.lost = self.spoken_of = False
        self._since = time.monotonic()
        self.node, self.log = "", ""
        self._runs: set[Key] = set()
        self._asked: dict[Key, Any] = {}

    @property
    def age(self) -> float:
        """Seconds since it was asked for."""
        return time.monotonic() - self._since

    @property
    def free(self) -> bool:
        return self.here and not self.lost and not self._runs

    def asked(self, key: Key) -> Any:
        return self._asked[key]

    def ask(self, key: Key, method: str, *args: Any, **named: Any) -> None:
        if method == "split":
            self._runs = (self._runs - {key}) | {(*key, i) for i in range(len(args))}
        else:
            self._runs.add(key)
        self._asked[key] = self.actor.answer.remote(packed((key, method, args, named)))

    def answer(self, key: Key) -> Answer:
        errors = self._ray.exceptions
        try:
            found: Answer = unpacked(self._ray.get(self._asked.pop(key)))
        except errors.RayTaskError as error:  # it is not the run that has raised
            raise WorkerError(f"{self.name} failed: {error}") from error
        except errors.RayError as error:
            self.lost = True
            raise WorkerLostError(f"{self.name} is lost ({first_line(error)[:120]}).{self._last_words()}") from None
        return found

    def drop(self, key: Key) -> None:
        self._runs.discard(key)
        self._asked.pop(key, None)
        if not self.lost:
            self.actor.answer.remote(packed((key, "drop", (), {})))

    def _last_words(self) -> str:
        """The end of its log, where its node still lives."""
        at = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(self.node, soft=False)
        read = self._ray.remote(num_cpus=0, max_retries=0)(_tail).options(scheduling_strategy=at)
        try:
            said = str(self._ray.get(read.remote(self.log, 3), timeout=5))
        except self._ray.exceptions.RayError:
            return ""
        return f" Its log ends: {' | '.join(said.splitlines())}" if said else ""


class _Trainer:
    """The life of an actor. It answers, and writes to no file but its log."""

    def __init__(self, data: Any, model: bytes, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._trouble, self._served = "", Served()
        try:
            own: Model = pickle.loads(model)  # noqa: S301 - of the process that began this one
            self._served = Served(workshop=Workshop(data, own, device))
        except Exception as error:
            self._trouble = f"{type(error).__name__}: {error}"
        self._log = os.readlink("/proc/self/fd/2") if Path("/proc/self/fd/2").is_symlink() else ""

    def hello(self) -> Mapping[str, Any]:
        """Where it is and what is there."""
        ray = the_ray()
        context = ray.get_runtime_context()
        return {
            "node": context.get_node_id(),
            "address": ray.util.get_node_ip_address(),
            "versions": versions_here(),
            "trouble": self._trouble,
            "log": self._log,
        }

    def answer(self, message: bytes) -> bytes:
        key, method, args, named = unpacked(message)
        found = self._served.answer(key, method, args, named)
        if found.error is not None and not found.fault:
            sys.stderr.flush()
            found.error.add_note(f"The last lines of its log:\n{_tail(self._log)}")
        return packed(found)


def _tail(path: str, lines: int = LAST_LINES) -> str:
    """The last lines of a log; nothing where there is none."""
    try:
        text = Path(path).read_bytes()[-20_000:].decode(errors="replace")
    except OSError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])

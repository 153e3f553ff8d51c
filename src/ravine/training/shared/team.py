"""The processes that train together, as one of them sees it: what they agree on, and who is missing when it goes wrong.

Lightning Fabric connects them, by gloo on CPUs and NCCL on GPUs. What is agreed between two steps (is it time to stop?)
goes over gloo on both: it costs no device anything, and it finds at once that a process has died, where NCCL waits.

Letters: W processes.
"""

from __future__ import annotations

import datetime
import itertools
import json
import logging
import os
import shlex
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # not in its __all__

from ravine.errors import InputError, SettingError, WorkerError, first_line
from ravine.launched import Launched, launched
from ravine.training.shared.sharing import Sharing

__all__ = ["Team", "join"]

T = TypeVar("T")

LONGEST = datetime.timedelta(seconds=300)
"""A process that lets the others wait for so long is taken for dead."""

ANSWER = 5.0  # seconds in which those who live answer the roll call

_TEAMS = itertools.count()
"""Every training of a process has a place of its own in the store; all count alike."""

BROKEN = ("gloo", "nccl", "NCCL", "Connection reset", "Connection closed", "Broken pipe", "process group", "socket")
"""What the message of a RuntimeError holds when a connection failed: torch has no class of its own for gloo's."""


class Team:
    """All processes of a training. Alone, it agrees with itself, and nothing is sent.

    Collective methods must be called by every process, in the same order.
    """

    def __init__(self, fabric: Any, place: Launched, *, device: torch.device, sharing: Sharing) -> None:
        self.fabric, self.device, self.sharing = fabric, device, sharing
        self.place, self.rank, self.size = place, place.rank, place.size
        self.folder = ""  # where the run is written, for whoever must say how to go on
        if self.size == 1:
            return
        self._control = dist.new_group(backend="gloo", timeout=LONGEST)
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        client = TCPStore(host, port, is_master=False, timeout=datetime.timedelta(seconds=30))
        self._store = PrefixStore(f"ravine/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}/{next(_TEAMS)}", client)
        self._where: list[tuple[str, int]] = [("", 0)] * self.size
        dist.all_gather_object(self._where, (socket.gethostname(), os.getpid()), group=self._control)

    @property
    def leads(self) -> bool:
        """Is this the process that writes and speaks?"""
        return self.rank == 0

    @property
    def described(self) -> str:
        """In words, for the log."""
        kind = "GPU" if self.device.type == "cuda" else "CPU"
        if self.size == 1:
            return f"one process on a {kind}"
        return f"{self.size} processes on {kind}s ({self.sharing.strategy}, {dist.get_backend()})"

    def part(self, count: int) -> slice:
        """Which of `count` examples are this process's: as many as the others', or one more.

        >>> [Team.part_of(7, rank, 3) for rank in range(3)]
        [slice(0, 3, None), slice(3, 5, None), slice(5, 7, None)]
        """
        return self.part_of(count, self.rank, self.size)

    @staticmethod
    def part_of(count: int, rank: int, size: int) -> slice:
        """As `part`, of another process. The parts are those of torch's tensor_split."""
        each, more = divmod(count, size)
        first = rank * each + min(rank, more)
        return slice(first, first + each + (rank < more))

    def wrapped(self, module: nn.Module) -> Any:
        """The module as Fabric runs it: gradients of a backward are averaged over the processes."""
        return self.fabric.setup_module(module, move_to_device=False)

    def largest(self, *numbers: float) -> list[float]:
        """The largest that any process gave, of each."""
        if self.size == 1:
            return list(numbers)
        together = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(together, dist.ReduceOp.MAX, group=self._control)
        return together.tolist()

    def told(self, value: T) -> T:
        """What the leader gave; what the others give is not looked at."""
        if self.size == 1:
            return value
        held = [value if self.leads else None]
        dist.broadcast_object_list(held, src=0, group=self._control)
        return held[0]  # type: ignore[return-value]

    def gathered(self, value: T) -> list[T]:
        """What each process gave, by rank."""
        if self.size == 1:
            return [value]
        held: list[Any] = [None] * self.size
        dist.all_gather_object(held, value, group=self._control)
        return held

    def summed(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def joined(self, rows: Tensor, count: int) -> Tensor:
        """All rows of `count`, [count, ...], from the part that each process has."""
        if self.size == 1:
            return rows
        parts = [self.part_of(count, rank, self.size) for rank in range(self.size)]
        longest = parts[0].stop
        padded = torch.cat([rows, rows.new_zeros(longest - len(rows), *rows.shape[1:])])
        found = [torch.empty_like(padded) for _ in parts]
        dist.all_gather(found, padded)
        return torch.cat([each[: part.stop - part.start] for each, part in zip(found, parts, strict=True)])

    def level(self, tensors: list[Tensor]) -> None:
        """Give every process the leader's values."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def answer(self, record: dict[str, Any]) -> None:
        """The leader has ended its work, and this is what came out. It stays until the others have it, for it may keep the store."""
        if self.size > 1:
            self._store.set("result", json.dumps(record))
            end = time.monotonic() + ANSWER
            while self._store.add("received", 0) < self.size - 1 and time.monotonic() < end:
                time.sleep(0.02)

    def awaited(self) -> dict[str, Any]:
        """What the leader answers when it has ended its work: others have nothing to do until then."""
        while not self._store.check(["result"]):
            time.sleep(0.1)
        record = json.loads(self._store.get("result"))
        self._store.add("received", 1)
        return dict(record)

    @contextmanager
    def together(self) -> Iterator[None]:
        """The work of this process. A process that is lost meanwhile becomes a WorkerError that names it.

        One process says it; from the others the error comes without words.
        """
        try:
            yield
        except BaseException as error:
            cause = self._loss_behind(error)
            if cause is None:
                self._leave_word(error)
                raise
            _ignore_termination()
            words = self._roll_call(cause)
            if words and self.folder:
                going_on = f"ravine resume {shlex.quote(self.folder)}"
                words += f" What was saved is kept. To go on, with any number of processes: {going_on}"
            raise WorkerError(words) from error

    def _loss_behind(self, error: BaseException) -> Exception | None:
        """The error by which another process is known to be lost: this one, or the one it came on top of."""
        if isinstance(error, Exception):
            return error if self.lost(error) else None
        behind = error.__context__  # a SIGTERM that came while the error was on its way
        return behind if isinstance(behind, Exception) and self.lost(behind) else None

    def _leave_word(self, error: BaseException) -> None:
        """Say to the others why this process ends; nothing where it says so to the person itself."""
        if self.size > 1 and isinstance(error, Exception):
            known = isinstance(error, InputError) and self.place.complains
            with suppress(RuntimeError):  # whoever kept the store may have gone first
                self._store.set(f"said/{self.rank}", "" if known else first_line(error)[:500])

    def lost(self, error: BaseException) -> bool:
        """Whether an error says that another process cannot be reached."""
        if self.size == 1:
            return False
        if isinstance(error, dist.DistError):
            return True
        return isinstance(error, RuntimeError) and any(word in str(error) for word in BROKEN)

    def _roll_call(self, error: BaseException) -> str:
        """Who is missing, in words; "" where another process says it."""
        try:
            self._store.set(f"here/{self.rank}", "")
            present, said, missing = self._answers()
        except RuntimeError:
            return f"{self._named(0)} cannot be reached any more."
        if min([self.rank, *present]) < self.rank:
            return ""
        if said:
            told = {rank: words for rank, words in sorted(said.items()) if words}
            return " ".join(f"rank {rank} stopped: {words.rstrip('.')}." for rank, words in told.items())
        if missing:
            names = " and ".join(map(self._named, sorted(missing)))
            return f"{names} ended without a word: killed, perhaps for want of memory."
        return f"the processes lost touch: {first_line(error)[:300]}."

    def _answers(self) -> tuple[set[int], dict[int, str], set[int]]:
        """Who is there, who said why it ended, and who does neither."""
        present, said = set[int](), dict[int, str]()
        missing, end = set(range(self.size)) - {self.rank}, time.monotonic() + ANSWER
        while missing:
            for rank in sorted(missing):
                if self._store.check([f"said/{rank}"]):
                    said[rank] = self._store.get(f"said/{rank}").decode()
                elif self._store.check([f"here/{rank}"]):
                    present.add(rank)
            missing -= present | said.keys()
            if time.monotonic() > end or all(self._gone(rank) for rank in missing):
                break
            time.sleep(0.05)
        return present, said, {rank for rank in missing if self._gone(rank) is not False}

    def _gone(self, rank: int) -> bool | None:
        """Whether a process has ended; None where it is of another machine."""
        host, process = self._where[rank]
        if host != self._where[self.rank][0]:
            return None
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        return False

    def _named(self, rank: int) -> str:
        host, process = self._where[rank]
        return f"rank {rank} (process {process} on {host})"


def join(sharing: Sharing, device: torch.device) -> Team:
    """Meet the other processes. Raises SettingError where Fabric is missing, or there are too few GPUs."""
    place = launched()
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise SettingError(
            "training by several processes, in parts or in bf16 goes through Lightning Fabric, which is not installed: "
            "write pip install 'ravine[fabric]'."
        ) from error
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    if device.type == "cuda" and place.local_size > torch.cuda.device_count():
        raise SettingError(
            f"{place.local_size} processes on this machine need a GPU each, and there are {torch.cuda.device_count()}: "
            "begin fewer (torchrun --nproc-per-node), or write --device cpu."
        )
    if place.size % place.local_size:
        raise SettingError(
            f"{place.by} began {place.size} processes, {place.local_size} of them on this machine: every machine needs as many."
        )
    with _ends_at_once():
        try:
            fabric = Fabric(
                accelerator=device.type,
                devices=place.local_size,
                num_nodes=place.size // place.local_size,
                strategy=_strategy(sharing, place, device),
                precision="bf16-mixed" if sharing.precision == "bf16" else "32-true",
            )
            fabric.launch()
        except (dist.DistError, RuntimeError, ValueError) as error:
            raise SettingError(f"{place.size} processes could not meet: {first_line(error)[:300]}") from error
    return Team(fabric, place, device=fabric.device, sharing=sharing)


def _strategy(sharing: Sharing, place: Launched, device: torch.device) -> Any:
    """Fabric's own, with short waits. Its FSDP is for GPUs alone; its ModelParallelStrategy divides weights on any device."""
    from lightning_fabric.strategies.ddp import DDPStrategy
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy

    from ravine.training.shared.sharded import divided

    backend = "nccl" if device.type == "cuda" else "gloo"
    if place.size == 1:
        return "auto"
    if sharing.strategy == "ddp":
        return DDPStrategy(process_group_backend=backend, timeout=LONGEST)
    return ModelParallelStrategy(
        divided,
        data_parallel_size=place.size,
        tensor_parallel_size=1,
        process_group_backend=backend,
        timeout=LONGEST,
    )


def _ignore_termination() -> None:
    """Torchrun and SLURM end all processes when one has died: there is a word to be said first, and it takes seconds.

    It stays so: nothing can be shared any more, and this process is about to end.
    """
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextmanager
def _ends_at_once() -> Iterator[None]:
    """SIGTERM as the system has it, while this process waits inside of torch, where no handler of Python's is run."""
    try:
        before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

"""When states are written, what is kept of them, and what becomes of signals, damage and a full disk."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from ravine.errors import WriteError
from ravine.training import Saver, saver
from ravine.training.snapshots import State


class Counter:
    """Work with a state: `safe` is reached before each of its steps."""

    def __init__(self) -> None:
        self.count, self.weights = 0, torch.zeros(5000)

    def work(self, saver: Saver, steps: int) -> None:
        for _ in range(steps):
            saver.safe()
            self.count += 1
            self.weights += self.count

    def snapshot(self) -> State:
        return {"count": self.count, "weights": self.weights}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(tmp_path: Path, said: list[str]) -> Callable[[], Saver]:
    """A saver as a new process would make it."""
    return lambda: Saver(tmp_path, say=said.append)


@pytest.fixture
def at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saver, "EVERY", 0.0)
    monkeypatch.setattr(saver, "SHARE", 1e9)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("at_every_step")
def test_the_newest_two_states_are_kept_and_the_newest_is_gone_on_with(
    make: Callable[[], Saver], tmp_path: Path
) -> None:
    counter = Counter()
    with (one := make()).during("count", counter.snapshot):
        counter.work(one, 5)
    assert files(tmp_path) == ["count-000004.safetensors", "count-000005.safetensors", "progress.json"]
    saved = make().load("count")
    assert saved is not None
    assert saved["count"] == 4  # the last safe place was before the fifth step
    assert torch.equal(saved["weights"], torch.full((5000,), 1.0 + 2 + 3 + 4))
    assert make().load("another") is None


def test_a_state_is_written_when_the_time_has_come_and_not_before(
    make: Callable[[], Saver], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(saver.time, "monotonic", lambda: clock[0])
    counter, one = Counter(), make()
    with one.during("count", counter.snapshot):
        clock[0] += 0.9 * saver.EVERY
        counter.work(one, 3)
        assert files(tmp_path) == []
        clock[0] += 0.2 * saver.EVERY
        counter.work(one, 3)
        assert files(tmp_path) == ["count-000001.safetensors", "progress.json"]


@pytest.mark.parametrize(("cost", "after"), [(0.1, 20.0), (0.5, 25.0), (5.0, 30.0)])
def test_what_is_slow_to_write_is_written_more_rarely_but_within_half_a_minute(
    make: Callable[[], Saver], monkeypatch: pytest.MonkeyPatch, cost: float, after: float
) -> None:
    clock = [100.0]
    monkeypatch.setattr(saver.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(saver, "write_snapshot", lambda *_: clock.append(clock.pop() + cost))
    written: list[float] = []
    one = make()
    with one.during("count", lambda: {"at": written.append(clock[0])}):
        one.save()
        done = clock[0]
        while len(written) < 2:
            clock[0] += 0.25
            one.safe()
    assert written[1] - done == after


@pytest.mark.usefixtures("at_every_step")
def test_a_damaged_newest_state_is_said_and_the_one_before_is_gone_on_with(
    make: Callable[[], Saver], said: list[str], tmp_path: Path
) -> None:
    counter = Counter()
    with (one := make()).during("count", counter.snapshot):
        counter.work(one, 4)
    newest = tmp_path / "count-000004.safetensors"
    content = bytearray(newest.read_bytes())
    content[-7] ^= 1
    newest.write_bytes(content)
    saved = make().load("count")
    assert saved is not None
    assert saved["count"] == 2
    assert len(said) == 1
    assert "count-000004.safetensors is damaged" in said[0]
    assert "Going on from what was saved before it" in said[0]
    (tmp_path / "count-000003.safetensors").write_bytes(b"")
    assert make().load("count") is None
    assert len(said) == 2


def test_a_decision_is_on_the_disk_before_it_is_acted_on_and_is_not_taken_again(
    make: Callable[[], Saver], tmp_path: Path
) -> None:
    one = make()
    assert one.decided("plan", lambda: {"trials": 7, "rungs": [1, 2]}) == {"trials": 7, "rungs": [1, 2]}
    assert (tmp_path / "progress.json").exists()
    again = make()
    assert again.decided("plan", lambda: pytest.fail("decided again")) == {"trials": 7, "rungs": [1, 2]}
    again.decide("plan", 3)
    assert make().decided("plan", lambda: 0) == 3


def test_the_time_that_was_spent_is_kept_beside_the_states(tmp_path: Path) -> None:
    one = Saver(tmp_path, spent=lambda: 41.5)
    assert one.spent_before == 0
    one.decide("anything", 1)
    assert Saver(tmp_path).spent_before == 41.5


@pytest.mark.parametrize(
    ("number", "ending", "status"), [(signal.SIGINT, KeyboardInterrupt, None), (signal.SIGTERM, SystemExit, 143)]
)
def test_a_signal_waits_for_the_next_step_and_a_state(
    make: Callable[[], Saver], number: signal.Signals, ending: type[BaseException], status: int | None
) -> None:
    counter, one = Counter(), make()
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    def middle_of_a_step() -> None:
        counter.work(one, 3)
        os.kill(os.getpid(), number)
        counter.count += 100
        counter.work(one, 3)

    with pytest.raises(ending) as caught, one.during("count", counter.snapshot):
        middle_of_a_step()
    assert getattr(caught.value, "code", None) == status
    saved = make().load("count")
    assert saved is not None
    assert saved["count"] == counter.count == 103
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_interrupt_ends_at_once(make: Callable[[], Saver]) -> None:
    counter, one = Counter(), make()

    def pressed_twice() -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            counter.count += 1

    with pytest.raises(KeyboardInterrupt), one.during("count", counter.snapshot):
        pressed_twice()
    assert counter.count == 1
    assert make().load("count") is None


def test_a_signal_after_the_last_step_is_not_forgotten(make: Callable[[], Saver]) -> None:
    one = make()
    with pytest.raises(KeyboardInterrupt), one.during("count", Counter().snapshot):
        os.kill(os.getpid(), signal.SIGINT)


def test_without_a_folder_nothing_is_written_and_an_interrupt_ends_at_once() -> None:
    counter, one = Counter(), Saver()

    def pressed() -> None:
        one.save()
        assert one.decided("plan", lambda: 5) == 5
        os.kill(os.getpid(), signal.SIGINT)
        counter.count += 1

    with pytest.raises(KeyboardInterrupt), one.during("count", counter.snapshot):
        pressed()
    assert counter.count == 0
    assert one.load("count") is None


@contextmanager
def disk_with(room: int) -> Iterator[None]:
    """No file may grow beyond `room` bytes: to whoever writes, a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("at_every_step")
def test_a_full_disk_leaves_the_state_before_and_is_said_once(
    make: Callable[[], Saver], said: list[str], tmp_path: Path
) -> None:
    counter, one = Counter(), make()
    with one.during("count", counter.snapshot):
        counter.work(one, 3)
        with disk_with(4000):
            counter.work(one, 3)
        assert len(said) == 1
        assert "no space left while writing" in said[0]
        assert "Training goes on" in said[0]
        assert files(tmp_path) == ["count-000002.safetensors", "count-000003.safetensors", "progress.json"]
        saved = make().load("count")
        assert saved is not None
        assert saved["count"] == 2
        counter.work(one, 1)
    saved = make().load("count")
    assert saved is not None
    assert saved["count"] == 6


def test_a_decision_that_cannot_be_written_is_an_error(make: Callable[[], Saver]) -> None:
    with disk_with(10), pytest.raises(WriteError, match="no space left"):
        make().decide("plan", "x" * 100)


def test_what_is_over_is_deleted(make: Callable[[], Saver], tmp_path: Path) -> None:
    one = make()
    for phase in ("refine", "refine.7", "coarse"):
        with one.during(phase, Counter().snapshot):
            one.save()
    one.drop("refine")
    assert files(tmp_path) == ["coarse-000001.safetensors", "progress.json", "refine.7-000001.safetensors"]
    one.finish()
    assert not tmp_path.exists()


def test_notes_are_kept_in_order_a_broken_last_line_is_forgotten_and_another_run_may_follow(tmp_path: Path) -> None:
    one = Saver(tmp_path / "one")
    (tmp_path / "one").mkdir()
    one.decide("parts", 4)
    for step in (10, 20):
        one.note("coarse halving", {"step": step, "loss": float("nan")})
    with (tmp_path / "one" / "coarse halving.jsonl").open("a") as file:
        file.write('{"step": 3')  # killed here
    again, noted = Saver(tmp_path / "one"), [{"step": 10, "loss": None}, {"step": 20, "loss": None}]
    assert again.noted("coarse halving") == noted
    again.note("coarse halving", {"step": 30})
    (tmp_path / "other").mkdir()
    other = Saver(tmp_path / "other")
    other.decide("parts", 5)
    for _ in range(2):
        other.follow(Saver(tmp_path / "one").decisions)
        assert other.decisions == {"decided": {"parts": 5}, "noted": {"coarse halving": [*noted, {"step": 30}]}}

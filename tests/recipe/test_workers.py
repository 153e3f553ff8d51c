"""A search in two processes: what it finds, and how it ends and goes on when one of them is killed."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.recipe.runs import Server, content, differences, forks_of

import ravine
from ravine.data import Data
from ravine.errors import SettingError, WorkerError
from ravine.models import mlp
from ravine.recipe.lock import Lock
from ravine.recipe.runs import shared_out
from ravine.recipe.session import Silent
from ravine.search import Asked, Choice, Log

pytestmark = pytest.mark.skipif(
    torch.accelerator.is_available() or not Path("/proc/self").exists(),
    reason="workers are forks of a process without a GPU, and are counted in /proc",
)

CALL = 'api.run_search("mlp", "digits", trials=12, epochs=8, workers=2, space=SPACE, **more)'


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(CALL) as running:
        yield running
    assert running.errors == ""


@pytest.fixture(scope="module")
def never_stopped(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    server.begin(folder)
    assert server.ended() == 0
    return folder


def runs_on(process: int) -> bool:
    """Whether a process is there and not a zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(what: Any, seconds: float = 30.0) -> Any:
    """Until `what` says yes; what it said."""
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.002)
    return found


def state_of(folder: Path, phase: str) -> bool:
    return any((folder / "resume").glob(f"{phase}-*.safetensors"))


def test_a_search_killed_in_each_phase_leaves_no_worker_and_ends_as_one_never_stopped(
    server: Server, never_stopped: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    for phase in ("coarse", "refine"):
        process = server.begin(folder)
        wait_for(lambda phase=phase: state_of(folder, phase))
        workers = forks_of(process)
        os.kill(process, signal.SIGKILL)
        assert server.ended() == -signal.SIGKILL
        assert len(workers) == 2
        wait_for(lambda workers=workers: not any(runs_on(worker) for worker in workers), 5)
        Lock(folder).release()  # nobody else holds it
    server.begin(folder)
    assert server.ended() == 0
    assert differences(content(never_stopped), content(folder)) == []


def test_the_same_search_twice_finds_the_same(server: Server, never_stopped: Path, tmp_path: Path) -> None:
    server.begin(tmp_path / "run")
    assert server.ended() == 0
    found = differences(content(never_stopped), content(tmp_path / "run"))
    assert found == []


def searched(data: Data, out: Path | None, workers: int, **more: Any) -> ravine.Result:
    space = {"lr": Log(1e-3, 0.3), "optimizer": Choice(["adamw", "sgd"])}
    given: dict[str, Any] = {"engine": "stacked", "settings": {"hidden": [8]}, "trials": 12, "epochs": 16, **more}
    return ravine.run_search("mlp", data, space=space, out=out, workers=workers, **given)


@pytest.fixture(scope="module")
def whole(three_classes: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search in two workers that was never stopped."""
    folder = tmp_path_factory.mktemp("two") / "run"
    searched(three_classes, folder, 2)
    return folder


def test_two_workers_find_what_one_process_finds(three_classes: Data, whole: Path, tmp_path: Path) -> None:
    """To rounding, for stacks are cut in other places."""
    searched(three_classes, tmp_path / "one", 1)
    one, two = content(tmp_path / "one"), content(whole)
    best = [found["result.json"]["best"] for found in (one, two)]
    assert best[0]["hyperparameters"] == best[1]["hyperparameters"]
    for alone, together in zip(one["study.db"], two["study.db"], strict=True):
        number, state, params, values, seen, attrs, space = alone
        assert together[:3] == (number, state, params)
        assert together[3] == pytest.approx(values, abs=0.02)  # one of 60 rows may be rounded to the other side
        assert together[4].keys() == seen.keys()
        assert together[5:] == (attrs, space)
    assert math.isclose(best[0]["validation"]["nll"], best[1]["validation"]["nll"], rel_tol=1e-3)


class Trap(Silent):
    """Does something to the processes of a search when told how far it is, once in the phase named."""

    def __init__(self, phase: str, number: int) -> None:
        self.phase, self.number, self.now = phase, number, ""
        self.workers: list[Any] = []
        self.later = 0  # how often it was told so after that

    def begin(self, step: str) -> None:
        self.now = step

    def advance(self, share: float, text: str = "") -> None:  # noqa: ARG002
        self.later += bool(self.workers)
        if self.now == self.phase and not self.workers:
            self.workers = sorted(multiprocessing.active_children(), key=lambda child: child.name)
            os.kill(self.workers[-1].pid, self.number)
            if self.number != signal.SIGKILL:
                os.kill(os.getpid(), self.number)


def test_a_worker_that_is_killed_ends_the_search_which_goes_on_to_the_same_end(
    three_classes: Data, whole: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        WorkerError, match=rf"^worker 2 of 2 was killed \(SIGKILL\).* ravine resume {tmp_path / 'cut'}$"
    ):
        searched(three_classes, tmp_path / "cut", 2, watch=Trap("refine", signal.SIGKILL))
    assert multiprocessing.active_children() == []
    ravine.resume(tmp_path / "cut", data=three_classes)
    assert differences(content(whole), content(tmp_path / "cut")) == []


@pytest.mark.parametrize(("number", "ending"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_to_all_processes_ends_them_in_order(
    three_classes: Data, whole: Path, tmp_path: Path, number: int, ending: type[BaseException]
) -> None:
    trap = Trap("coarse", number)
    with pytest.raises(ending):
        searched(three_classes, tmp_path / "cut", 2, watch=trap)
    assert len(trap.workers) == 2
    assert multiprocessing.active_children() == []
    assert trap.later == 0
    assert state_of(tmp_path / "cut", "coarse")  # written when it was asked to end
    ravine.resume(tmp_path / "cut", data=three_classes)
    assert differences(content(whole), content(tmp_path / "cut")) == []


def test_a_trial_that_raises_in_a_worker_is_recorded_and_the_others_go_on(three_classes: Data, tmp_path: Path) -> None:
    def touchy(shape: tuple[int, ...], outputs: int) -> torch.nn.Module:
        model = mlp(shape, outputs, hidden=8, dropout=0.1)

        def complain(module: torch.nn.Module, _inputs: object) -> None:
            if module.training and float(module[3].p) > 0.3:  # type: ignore[index]
                raise ValueError("dropout too high for me")

        model.register_forward_pre_hook(complain)
        return model

    space = {"lr": Log(1e-3, 0.1), "optimizer": Choice(["adamw"])}
    more: dict[str, Any] = {"engine": "one by one", "known": False, "trials": 12, "epochs": 4, "seed": 3}
    ravine.run_search(touchy, three_classes, space=space, out=tmp_path / "run", workers=2, **more)
    rows = content(tmp_path / "run")["study.db"]
    failed = [row for row in rows if row[2]["dropout"] > 0.3]
    assert 0 < len(failed) < len(rows)
    assert {(row[1], row[5]["reason"]) for row in failed} == {("FAIL", "raised ValueError: dropout too high for me")}
    assert all(row[1] != "FAIL" for row in rows if row not in failed)


def test_nothing_is_forked_for_one_worker(three_classes: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    def forked() -> int:
        raise AssertionError("a process was forked")

    monkeypatch.setattr(os, "fork", forked)
    assert searched(three_classes, None, 1).best is not None


def test_evaluations_are_told_here_and_nothing_is_written_without_a_folder(three_classes: Data) -> None:
    told: list[tuple[int, float]] = []

    def listen(row: dict[str, float]) -> None:
        told.append((os.getpid(), row["trial"]))

    assert searched(three_classes, None, 2, on_epoch=listen).best is not None
    assert {process for process, _ in told} == {os.getpid()}
    assert {trial for _, trial in told} == set(range(12))


@pytest.mark.parametrize("workers", [0, -1])
def test_too_few_workers_are_refused_before_a_folder_is_made(three_classes: Data, tmp_path: Path, workers: int) -> None:
    with pytest.raises(SettingError, match=f"workers is {workers}; it must be 1 or more"):
        searched(three_classes, tmp_path / "run", workers)
    assert not (tmp_path / "run").exists()


def numbers(parts: Sequence[Sequence[Asked]]) -> list[list[int]]:
    return [[asked.number for asked in part] for part in parts]


@pytest.mark.parametrize(
    ("sizes", "workers", "cut"),
    [
        ([6], 1, [6]),
        ([6, 3], 1, [6, 3]),
        ([6], 2, [3, 3]),
        ([7], 3, [2, 2, 3]),
        ([6, 2], 2, [4, 2, 2]),
        ([4, 4], 2, [4, 4]),
        ([1, 1], 4, [1, 1]),
        ([2], 5, [1, 1]),
    ],
)
def test_groups_are_cut_where_the_share_of_a_worker_ends(sizes: list[int], workers: int, cut: list[int]) -> None:
    every = iter(Asked(number, {}) for number in range(sum(sizes)))
    groups = [[next(every) for _ in range(size)] for size in sizes]
    parts = numbers(shared_out(groups, workers))
    assert [len(part) for part in parts] == cut
    assert sum(parts, []) == list(range(sum(sizes)))  # noqa: RUF017

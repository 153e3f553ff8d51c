"""One training by two processes, begun by torchrun, ends as that of one; it is stopped, killed and resumed by any number.

Tolerances: sums over a batch are taken in another order by two processes, 1e-7 relative a step; some tens of steps of
small networks turn that into less than 1e-6 of a loss.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from tests.training import shared_works
from tests.training.shared_works import WORKS
from torch.distributed import HashStore

import ravine
from ravine.engines import Population
from ravine.errors import SettingError, WorkerError
from ravine.launched import Launched, launched
from ravine.models import mlp
from ravine.regularization import Dropout, SpatialDropout, StochasticDepth, set_rows
from ravine.rules import SGD
from ravine.training import LOSSES, Setting
from ravine.training.batches import Batches
from ravine.training.shared import Sharing, Team, join

CLOSE = 1e-5
ROWS = 500
SECONDS = 120  # that torchrun may take on a busy machine


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the first rows of MNIST, or where there is none, the name of the digits."""
    shared = os.environ.get("RAVINE_SHARED")
    whole = Path(shared or "") / "data" / "mnist" / "train-00000-of-00001.parquet"
    if shared is None or not whole.is_file():
        return "digits"
    folder = tmp_path_factory.mktemp("mnist")
    pq.write_table(pq.read_table(whole).slice(0, ROWS), folder / "train.parquet")
    return str(folder)


@contextmanager
def two_processes(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Torchrun with two of `words`, on a free port of this machine. It is killed, should it still run at the end."""
    elastic = ["--nproc-per-node=2", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1"]
    command = [sys.executable, "-m", "torch.distributed.run", *elastic, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()  # it ends those it began
            process.wait(40)
        process.communicate()


@pytest.fixture(scope="module")
def together(pictures: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two processes have done all works."""
    out = tmp_path_factory.mktemp("together")
    with two_processes(shared_works.HERE, pictures, str(out)) as process:
        words, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, words + errors
    return out


@pytest.fixture(scope="module")
def alone(pictures: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Does a work in one process, in the ordinary way, and gives its folder."""
    out = tmp_path_factory.mktemp("alone")

    def work(name: str, **changes: Any) -> Path:
        given = {**WORKS[name], "sharing": None, **changes}
        ravine.train(data=pictures, out=out / name, **given)
        return out / name

    return work


def said(folder: Path, name: str, rank: int = 0) -> dict[str, Any]:
    """How a work ended in a process."""
    return dict(json.loads((folder / f"{name}.{rank}.json").read_text()))


def assert_same_curves(one: Path, other: Path) -> None:
    for name in ("steps", "epochs"):
        left, right = (pd.read_parquet(folder / "history" / f"{name}.parquet") for folder in (one, other))
        assert list(left.index) == list(right.index)
        difference = (left - right).abs() / (1 + right.abs())
        worst = difference.drop(columns=["train_metric", "validation_metric"], errors="ignore").max().max()
        assert worst < CLOSE, f"{name} differ by {worst:.2g}"
    first, second = (json.loads((folder / "result.json").read_text())["best"]["test"] for folder in (one, other))
    assert first == pytest.approx(second, abs=0.02)


def test_two_processes_train_the_curve_of_one(together: Path, alone: Callable[..., Path]) -> None:
    assert_same_curves(together / "mlp", alone("mlp"))


def test_synchronized_batch_norm_is_that_of_the_whole_batch(together: Path, alone: Callable[..., Path]) -> None:
    assert_same_curves(together / "cnn", alone("cnn"))


def test_parts_of_a_batch_and_a_clipped_gradient_are_those_of_the_whole(
    together: Path, alone: Callable[..., Path]
) -> None:
    assert_same_curves(together / "parts", alone("parts", sharing={"clip_norm": 0.5}))
    assert pd.read_parquet(together / "parts" / "history" / "steps.parquet")["grad_norm"].max() > 0.6


def test_divided_weights_train_the_curve_of_whole_ones(together: Path, alone: Callable[..., Path]) -> None:
    assert_same_curves(together / "divided", alone("divided"))


def test_the_rate_grows_with_the_processes_and_their_batch(together: Path, alone: Callable[..., Path]) -> None:
    grown = {**WORKS["scaled"]["setting"], "lr": 0.02}
    assert_same_curves(together / "scaled", alone("scaled", setting=grown, batch_size=24))
    best = said(together, "scaled")["best"]
    assert (best["hyperparameters"]["lr"], best["hyperparameters"]["batch_size"]) == (0.02, 24)


def test_every_process_gets_the_result_and_one_writes_it(together: Path) -> None:
    for name in WORKS.keys() - {"faulty"}:
        first, second = said(together, name, 0), said(together, name, 1)
        assert first == second
    first = said(together, "mlp")
    assert first["out"] == str(together / "mlp")
    evaluated = ravine.evaluate(together / "mlp")
    assert evaluated["best"] == pytest.approx(first["best"]["test"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("too-small", "a batch of 1 examples is too small for 2 processes"),
        ("members", "the members of an independent ensemble train side by side in one process"),
        ("norms", "muon looks at whole matrices or norms"),
    ],
)
def test_what_cannot_be_shared_is_refused_in_one_line(together: Path, name: str, words: str) -> None:
    assert said(together, name)["error"].startswith(f"SettingError: {words}")


def test_a_run_goes_on_with_one_process_and_then_with_two(together: Path, alone: Callable[..., Path]) -> None:
    folder, whole = together / "stopped", alone("stopped")
    assert [said(together, "stopped", rank) for rank in (0, 1)] == [{"status": 143}] * 2
    with pytest.raises(SystemExit):
        ravine.resume(folder, on_epoch=shared_works.stopping)
    with two_processes("-m", "ravine", "resume", str(folder), "--json") as process:
        words, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors
    assert json.loads(words)["best"] == json.loads((folder / "result.json").read_text())["best"]
    assert errors.count("2 processes on CPUs (ddp, gloo): an update takes 25 examples, this process 13 of them") == 1
    assert_same_curves(folder, whole)


def test_a_state_of_divided_weights_goes_on_in_one_process(together: Path, alone: Callable[..., Path]) -> None:
    assert said(together, "stopped-divided") == {"status": 143}
    ravine.resume(together / "stopped-divided")
    assert_same_curves(together / "stopped-divided", alone("stopped-divided"))


def test_a_killed_process_is_named_and_the_run_goes_on(pictures: str, tmp_path: Path) -> None:
    words = ["--data", pictures, "--model", f"{shared_works.HERE}:fragile", "--batch-size", "25", "--epochs", "3"]
    words += ["--optimizer", "sgd", "--lr", "0.05", "--sync-batch-norm"]
    with two_processes("-m", "ravine", "train", *words, "--out", str(tmp_path / "run")) as process:
        _, errors = process.communicate(timeout=SECONDS)
        ended = time.time()
    assert process.returncode != 0
    (line,) = [line for line in errors.splitlines() if line.startswith("ravine: ")]
    assert line.startswith("ravine: rank 1 (process ")
    assert line.endswith(f"To go on, with any number of processes: ravine resume {tmp_path / 'run'}")
    (state,) = (tmp_path / "run" / "resume").glob("train-*.safetensors")  # the step was taken back, and nothing is lost
    assert ended - state.stat().st_mtime < 10
    resumed = ravine.resume(tmp_path / "run")
    setting = {"optimizer": "sgd", "lr": 0.05}
    whole = ravine.train(
        shared_works.fragile, pictures, epochs=3, batch_size=25, setting=setting, out=tmp_path / "whole"
    )
    assert resumed.best is not None
    assert whole.best is not None
    assert_same_curves(tmp_path / "run", tmp_path / "whole")


def test_a_process_that_fails_is_quoted_by_the_others(together: Path) -> None:
    assert said(together, "faulty", 1) == {"error": "ValueError: no more"}
    words = f"rank 1 stopped: no more. What was saved is kept. To go on, with any number of processes: ravine resume {together}/faulty"
    assert said(together, "faulty", 0) == {"error": f"WorkerError: {words}"}


def one_of_two(rank: int, store: Any, other_process: int) -> Team:
    """A team as one of its processes sees it, without connections."""
    team = Team(None, Launched(), device=torch.device("cpu"), sharing=Sharing())
    team.place, team.rank, team.size = Launched(rank, 2, rank, 2, "torchrun"), rank, 2
    team._store, team._where = store, [("here", os.getpid()), ("here", other_process)]
    return team


LOST = RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer")


@pytest.fixture
def terminable() -> Iterator[None]:
    """A lost process leaves SIGTERM ignored; here others come after it."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SettingError("lr is 0."), ""),  # rank 0 says so itself
        (ValueError("out of memory\nin layer 3"), "rank 0 stopped: out of memory."),
    ],
)
@pytest.mark.usefixtures("terminable")
def test_a_reason_is_said_once(error: Exception, words: str) -> None:
    store = HashStore()
    first, second = (one_of_two(rank, store, os.getpid()) for rank in (0, 1))
    with pytest.raises(type(error)), first.together():
        raise error
    with pytest.raises(WorkerError, match=f"^{words}$"), second.together():
        raise LOST


@pytest.mark.usefixtures("terminable")
def test_a_process_that_is_gone_is_named_though_a_signal_comes_on_top() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    team = one_of_two(0, HashStore(), gone.pid)
    words = rf"^rank 1 \(process {gone.pid} on here\) ended without a word"
    with pytest.raises(WorkerError, match=words), team.together():
        lost_and_terminated()


def lost_and_terminated() -> None:
    try:
        raise LOST
    finally:
        raise SystemExit(143)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(SettingError, match="2 processes on this machine need a GPU each, and there are 1: begin fewer"):
        join(Sharing(), torch.device("cuda"))


def test_parts_of_a_batch_hold_every_example_once(three_classes: Any) -> None:
    train = three_classes.train
    whole = Batches(train, [Setting(batch_size=16)], 16, classes=3)
    parts = [Batches(train, [Setting(batch_size=16)], 16, classes=3) for _ in range(3)]
    for rank, part in enumerate(parts):
        part.rows = Team.part_of(16, rank, 3)
    met = []
    for step in range(whole.per_epoch):
        x = torch.cat([part.at(step).x for part in parts])
        assert torch.equal(x, whole.at(step).x)
        met.append(x)
    assert len(torch.cat(met).unique(dim=0)) == 16 * whole.per_epoch


@pytest.mark.parametrize("altered", [{"mixup": 0.5}, {"label_smoothing": 0.1}])
def test_parts_of_an_altered_batch_are_those_of_the_whole(three_classes: Any, altered: dict[str, float]) -> None:
    whole, part = (Batches(three_classes.train, [Setting(batch_size=16, **altered)], 16, classes=3) for _ in range(2))
    part.rows = slice(5, 11)
    assert torch.equal(part.at(3).x, whole.at(3).x[5:11])
    assert torch.equal(part.at(3).y, whole.at(3).y[5:11])


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Dropout(0.4, seed=3), (7, 5)),
        (SpatialDropout(0.4, seed=3), (7, 3, 2, 2)),
        (StochasticDepth(0.4, seed=3), (7, 2)),
        (StochasticDepth(0.4, "batch", seed=3), (7, 2)),
    ],
)
def test_parts_of_a_batch_drop_what_the_whole_drops(layer: Any, shape: tuple[int, ...]) -> None:
    x = torch.ones(shape)
    layer.rows = None
    whole, parts = layer(x), []
    for first, stop in ((0, 3), (3, 4), (4, 7)):
        set_rows(layer, first, stop - first)
        parts.append(layer(x[first:stop]))
    assert torch.equal(torch.cat(parts), whole)


def test_a_clipped_gradient_is_as_long_as_it_may_be(three_classes: Any) -> None:
    x, y = three_classes.train.batch(torch.arange(16))
    moved = []
    for limit in (None, 0.01):
        module = mlp((5,), 3, hidden=[4])
        module.load_state_dict({name: torch.full_like(value, 0.1) for name, value in module.state_dict().items()})
        population = Population([module], [SGD()], LOSSES["classification"], clip_norm=limit)
        before = population.stack.flat.clone()
        record = population.step(x, y, [1.0])
        moved.append((float(record.grad_norm), float((population.stack.flat - before).norm())))
    (norm, free), (same, clipped) = moved
    assert norm == same == pytest.approx(free)
    assert norm > 0.01
    assert clipped == pytest.approx(0.01)


def test_an_srun_is_noticed_and_a_shell_is_not() -> None:
    slurm = {"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1", "SLURM_NTASKS_PER_NODE": "2"}
    assert launched(slurm) == Launched(3, 4, 1, 2, "SLURM")
    assert launched({**slurm, "SLURM_JOB_NAME": "bash"}) == Launched()
    assert launched({**slurm, "SLURM_NTASKS": "1"}) == Launched()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"strategy": "dpp"}, "strategy is 'dpp'; did you mean ddp?"),
        ({"precision": "16"}, "precision is '16'; did you mean bf16?"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"clip_norm": -1.0}, "clip_norm is -1.0"),
        ({"scale_lr": "cubic"}, "scale_lr is 'cubic'"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match="^" + words.replace("?", r"\?")):
        Sharing(**given)


def test_other_work_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match="torchrun began 2 processes, and ravine check is the work of one"):
        ravine.check("mlp", "digits")


def test_without_fabric_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(SettingError, match=r"pip install 'ravine\[fabric\]'"):
        ravine.train("mlp", "digits", epochs=1, sharing={"clip_norm": 1.0})


def test_one_process_trains_in_bfloat16(three_classes: Any) -> None:
    plain, rough = (
        ravine.train("mlp", three_classes, epochs=2, sharing=sharing) for sharing in ({}, {"precision": "bf16"})
    )
    assert plain.best is not None
    assert rough.best is not None
    assert rough.best.validation["nll"] != plain.best.validation["nll"]
    assert rough.best.validation["nll"] == pytest.approx(plain.best.validation["nll"], rel=0.05)

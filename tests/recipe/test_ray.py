"""A search over a real cluster of two nodes: one is killed, one joins, the driver is killed; the result is that of a replay.

The nodes are processes of this machine, each on a loopback address of its own. All tests share one cluster. What happens
to it happens at moments that are seen, and never after so many seconds: on a busy machine a worker takes half a minute to
begin, and the next one no time at all.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
from tests.recipe.runs import content, differences, forks_of

import ravine
from ravine.api import work
from ravine.data import Data
from ravine.errors import ModelError, SettingError
from ravine.models import Model, mlp
from ravine.recipe.session import Silent
from ravine.search import Choice, Log, OnRay, asynchronous, connected, on_ray, ray_crew, the_ray
from ravine.search.ray_crew import RayCrew
from ravine.search.remote_run import Key, RemoteRun
from ravine.search.serving import Order, Workshop
from ravine.training import Setting

pytest.importorskip("ray", reason="workers on a cluster need ravine[ray]")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")

HEAD, SECOND = "127.0.0.2", "127.0.0.3"

LONG = 600.0  # seconds for what takes a moment on a quiet machine

FACTORY = """
from sizes import HIDDEN
from torch import nn

def small(shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs))
"""

ASKED: dict[str, Any] = {"trials": 12, "epochs": 8, "engine": "one by one", "known": False, "seed": 3}
SPACE = {"lr": Log(1e-3, 0.1), "optimizer": Choice(["adamw"])}

DIFFERENT = {"config.json", "decisions.json"}
"""Files that say how a search was asked for, and not what it has found."""


class Nodes:
    """A cluster, and its second node, which comes and goes."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._small = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 * 2**20}
        patient = {  # a node that is slow is not dead, and neither is a worker
            "health_check_period_ms": 500,
            "health_check_timeout_ms": int(1000 * LONG),
            "worker_register_timeout_seconds": int(LONG),
        }
        self.cluster = Cluster(True, head_node_args={**self._small, "node_ip_address": HEAD, "_system_config": patient})
        self.second: Any = None
        self.join()

    def join(self) -> None:
        """Until the cluster knows of the second node, and of the death of the one before it."""
        if self.second is None:
            self.second = self.cluster.add_node(wait=False, **self._small, node_ip_address=SECOND)
            self.cluster.wait_for_nodes(timeout=LONG)

    def kill(self) -> None:
        """As when its power fails: its workers, which would live on for a moment, end with it."""
        (raylet,) = self.second.all_processes["raylet"]
        workers = forks_of(raylet.process.pid)
        self.cluster.remove_node(self.second, allow_graceful=False)
        for one in workers:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        self.second = None


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        the_ray()
        found = Nodes()
        patch.setenv("RAY_ADDRESS", found.cluster.address)
        patch.setattr(work, "write_report", lambda _folder: None)
        patch.setattr(on_ray, "LOOKS", LONG)
        patch.setattr(ray_crew, "LOOKED_FOR", 0.1)
        try:
            yield found
        finally:
            the_ray().shutdown()
            found.cluster.shutdown()


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of the user's that imports another one, neither of which a node can find."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "sizes.py").write_text("HIDDEN = 16\n")
    (folder / "mine.py").write_text(FACTORY)
    return f"{folder / 'mine.py'}:small"


class Seen(NamedTuple):
    """An answer of a run: by whom, of which, to what, and where it stood before and after."""

    worker: str
    key: Key
    method: str
    before: int
    step: int

    @property
    def on_second(self) -> bool:
        return self.worker.endswith(f"on {SECOND}")

    @property
    def trained(self) -> bool:
        return self.method == "advance" and self.step > self.before


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes are not looked over, which takes a process on each of them."""
    monkeypatch.setattr(on_ray, "_check_nodes", lambda *_: None)


@pytest.fixture
def every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of a run is fetched after each advance."""
    monkeypatch.setattr(asynchronous, "TURN", 0.1)
    monkeypatch.setattr(asynchronous, "SAVED_EVERY", 0.0)
    monkeypatch.setattr(asynchronous, "SHARE", 1e9)
    monkeypatch.setattr(asynchronous, "OF_ALL", 1e9)


class Trouble(Silent):
    """Kills the second node when the state of a run on it was fetched, and lets another one join when its loss was said.

    A worker of either trains before others take any run that is new to them: so both train, whoever is the first to be there.
    """

    def __init__(self, nodes: Nodes) -> None:
        self.nodes, self.notes, self.answers = nodes, list[str](), list[Seen]()
        self.killed: Seen | None = None
        self.await_second()

    def await_second(self) -> None:
        """A worker of the second node is to train next."""
        self.awaited, self.until = True, time.monotonic() + LONG

    def hear(self, one: Seen) -> None:
        self.answers.append(one)
        if one.on_second and one.trained:
            self.awaited = False
        if one.on_second and one.method == "snapshot" and one.step > 0 and self.killed is None:
            self.killed = one  # its run is asked for more, wherever it stands
            self.await_second()
            self.nodes.kill()

    def note(self, text: str) -> None:
        self.notes.append(text)
        if "is lost" in text:
            self.nodes.join()

    @property
    def after(self) -> list[Seen]:
        """What was answered after the node was killed."""
        assert self.killed is not None
        return self.answers[self.answers.index(self.killed) + 1 :]


@pytest.fixture
def trouble(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trouble]:
    found, call = Trouble(nodes), RemoteRun._call

    class Crew(RayCrew):
        def take(self, run: RemoteRun) -> bool:
            may = [one for one in self.members if not found.awaited or one.name.endswith(f"on {SECOND}")]
            assert not found.awaited or time.monotonic() < found.until, "no worker of the second node has trained"
            with mock.patch.object(self, "members", may):
                return super().take(run)

    def heard(run: RemoteRun, method: str, *args: Any, **named: Any) -> Any:
        name, before = getattr(run.worker, "name", ""), run.step
        answer = call(run, method, *args, **named)
        found.hear(Seen(name, run.key, method, before, run.step))
        return answer

    monkeypatch.setattr(ray_crew, "RayCrew", Crew)
    monkeypatch.setattr(RemoteRun, "_call", heard)
    nodes.join()
    yield found
    nodes.join()


def searched(model: str, out: Path, **more: Any) -> Any:
    return ravine.run_search(model, "digits", space=SPACE, out=out, **{**ASKED, **more})


def found_in(folder: Path) -> dict[str, Any]:
    """What a search has found; rows of histories are compared in one order, for they stand as they came."""
    found = {name: value for name, value in content(folder).items() if name not in DIFFERENT}
    return {**found, **{name: rows(folder / name) for name in found if name.endswith(".parquet")}}


def rows(path: Path) -> list[Any]:
    import pyarrow.parquet as pq

    return sorted(repr(row) for row in pq.read_table(path).to_pylist())


@pytest.mark.usefixtures("every_turn")
def test_a_search_of_which_a_node_is_killed_loses_no_trial_uses_the_next_and_equals_its_replay_on_one_machine(
    trouble: Trouble, factory: str, tmp_path: Path
) -> None:
    searched(factory, tmp_path / "cluster", workers="auto", watch=trouble)
    assert not the_ray().is_initialized()
    (lost,) = [note for note in trouble.notes if "is lost" in note]
    assert f" on {SECOND} is lost" in lost
    assert "on elsewhere" in lost
    assert trouble.killed is not None
    again = [(one.key, one.step) for one in trouble.after if one.method == "build"]
    assert (trouble.killed.key, trouble.killed.step) in again  # from its last state
    joined = {one.worker for one in trouble.after if one.on_second and one.trained}
    assert joined
    assert trouble.killed.worker not in joined
    searched(factory, tmp_path / "here", replay=tmp_path / "cluster")
    one, other = found_in(tmp_path / "cluster"), found_in(tmp_path / "here")
    assert differences(one, other) == []
    assert len(one["study.db"]) == 12
    assert {row[1] for row in one["study.db"]} <= {"COMPLETE", "PRUNED"}


DRIVER = """
import os, signal, sys
from ravine.search import asynchronous, on_ray
from ravine.training.saver import Saver
asynchronous.SAVED_EVERY, asynchronous.SHARE, asynchronous.OF_ALL = 0.0, 1e9, 1e9
on_ray._check_nodes = lambda *_: None
note = Saver.note

def noted(self, name, record):
    rungs = {one["step"] for one in self.noted(name)}
    last = name == "refine halving" and len(rungs) == 1 and record["step"] not in rungs
    if last:
        self.save()
    note(self, name, record)
    if last:
        os.kill(os.getpid(), signal.SIGKILL)

Saver.note = noted
from ravine.cli import main
sys.exit(main())
"""
"""A driver that is killed when the first decision at the second rung of the refinement is written down, and not followed yet;
its last state is older than that.
"""


@pytest.mark.usefixtures("trusted")
def test_a_driver_that_is_killed_is_resumed_on_the_cluster_and_equals_its_replay(
    nodes: Nodes, factory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.join()
    words = ["search", "--data", "digits", "--model", factory, "--out", str(tmp_path / "cut"), "--workers", "auto"]
    words += ["--trials", str(ASKED["trials"]), "--epochs", str(ASKED["epochs"]), "--seed", str(ASKED["seed"])]
    words += ["--engine", "sequential", "--no-known", "--space", "lr=log(1e-3,0.1)", "optimizer=adamw"]
    driver = subprocess.run(
        [sys.executable, "-c", DRIVER, *words], capture_output=True, text=True, timeout=LONG, check=False
    )
    assert driver.returncode == -signal.SIGKILL, driver.stderr
    made = {phase: decided_in(tmp_path / "cut", phase) for phase in ("coarse halving", "refine halving")}
    built, build = list[int](), RemoteRun.build

    def seen(run: RemoteRun, *args: Any) -> dict[int, str]:
        lost = build(run, *args)
        built.append(run.step)
        return lost

    monkeypatch.setattr(RemoteRun, "build", seen)
    ravine.resume(tmp_path / "cut")
    assert max(built) > 0  # what was trained before is not trained again
    noted = json.loads((tmp_path / "cut" / "decisions.json").read_text())["noted"]
    assert {phase: noted[phase][: len(lines)] for phase, lines in made.items()} == made
    assert len(noted["refine halving"]) > len(made["refine halving"])
    searched(factory, tmp_path / "here", replay=tmp_path / "cut")
    assert differences(found_in(tmp_path / "cut"), found_in(tmp_path / "here")) == []


def decided_in(folder: Path, phase: str) -> list[Any]:
    """What a driver that was killed had written down."""
    return [json.loads(line) for line in (folder / "resume" / f"{phase}.jsonl").read_text().splitlines()]


def chatty(shape: tuple[int, ...], outputs: int) -> Any:
    print("the last thing it said", file=sys.stderr)
    return mlp(shape, outputs)


@pytest.mark.usefixtures("trusted")
def test_what_is_no_trials_fault_reaches_the_driver_with_its_traceback_and_the_end_of_the_log(
    nodes: Nodes, three_classes: Data
) -> None:
    nodes.join()
    where, shape = OnRay("auto"), three_classes.input_shape
    order = Order({0: Setting()}, {}, steps=5, steps_per_epoch=5, probe=10, every=5)
    workshop = Workshop(three_classes, Model("", chatty, shape, three_classes.outputs))
    with connected(where), RayCrew(where, workshop) as crew:
        crew.expect(1)
        run = RemoteRun(None, (0,), [], [0], 0, 5, order.settings, {}, {})
        while not crew.take(run):
            crew.ready([])
        assert run.build(order, None) == {}
        with pytest.raises(Exception, match=r"evaluate.* takes 1 positional argument") as caught:
            run._call("evaluate", "an argument too many")
    notes = "".join(caught.value.__notes__)
    assert "Traceback" in notes
    assert "The last lines of its log" in notes
    assert "the last thing it said" in notes.splitlines()


@pytest.mark.usefixtures("trusted")
def test_a_worker_for_which_others_leave_no_room_is_spoken_of(
    nodes: Nodes, three_classes: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes.join()
    monkeypatch.setattr(ray_crew, "LATE", 0.0)
    ray, where, said = the_ray(), OnRay("auto"), list[str]()
    with connected(where):
        held = ray.util.placement_group([{"CPU": 1}] * 2)
        assert held.wait(LONG)
        model = Model("", mlp, three_classes.input_shape, three_classes.outputs)
        with RayCrew(where, Workshop(three_classes, model), said.append) as crew:
            crew.expect(1)
            for _ in range(2):
                crew.ready([])
        ray.util.remove_placement_group(held)
    (once,) = said
    assert once.startswith("worker 1 has not begun after 0 s: it takes 1 CPU, and 0 of the cluster's 2 CPUs are free. ")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"worker_gpus": 2}, r"worker-gpus is 2, and the largest node of the cluster has 0 GPUs"),
        (
            {"worker_cpus": 64},
            r"worker-cpus is 64, and the largest node of the cluster has 1 CPUs: write worker-cpus 1",
        ),
    ],
)
def test_more_than_a_node_has_is_refused(nodes: Nodes, tmp_path: Path, more: dict[str, float], said: str) -> None:  # noqa: ARG001
    with pytest.raises(SettingError, match=said):
        searched("mlp", tmp_path / "run", workers="auto", **more)
    assert not (tmp_path / "run").exists()


def test_a_node_with_another_version_is_named(nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    here = on_ray.versions_here()
    monkeypatch.setattr(on_ray, "versions_here", lambda: {**here, "torch": "9.9"})
    with pytest.raises(SettingError, match=r"^node 127\.0\.0\.\d has torch 2\S* and not 9\.9: install"):
        searched("mlp", tmp_path / "run", workers="auto")
    assert not (tmp_path / "run").exists()


def test_a_factory_that_a_node_cannot_import_is_named_with_its_module(
    nodes: Nodes,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = tmp_path / "site"
    installed.mkdir()
    (installed / "only_here.py").write_text("from ravine.models import mlp\ndef make(s, o):\n    return mlp(s, o)\n")
    monkeypatch.setattr(on_ray, "_own_modules", lambda _value: [])  # as if it were installed, and not the user's own
    monkeypatch.setattr(sys, "path", [str(installed), *sys.path])
    import only_here  # type: ignore[import-not-found]

    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(installed)])
    with pytest.raises(ModelError, match=r"^node 127\.0\.0\.\d cannot import what model make needs: .*'only_here'"):
        searched(only_here.make, tmp_path / "run", workers="auto")
    assert not (tmp_path / "run").exists()

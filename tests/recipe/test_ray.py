"""A search over a real cluster of two nodes: one is killed, one joins, the driver is killed; the result is that of a replay.

The nodes are processes of this machine, each on a loopback address of its own. All tests share one cluster.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.recipe.runs import content, differences

import ravine
from ravine import api
from ravine.data import Data
from ravine.errors import ModelError, SettingError
from ravine.models import Model, mlp
from ravine.recipe.session import Silent
from ravine.search import Choice, Log, OnRay, connected, on_ray, the_ray
from ravine.search.ray_crew import RayCrew
from ravine.search.remote_run import RemoteRun
from ravine.search.serving import Order, Workshop
from ravine.training import Setting

pytest.importorskip("ray", reason="workers on a cluster need ravine[ray]")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")

alone = pytest.mark.skipif(
    not os.environ.get("RAVINE_CLUSTER"),
    reason="a whole search on a cluster wants the machine for itself: RAVINE_CLUSTER=1 pytest tests/recipe/test_ray.py",
)

FACTORY = """
from sizes import HIDDEN
from torch import nn

def small(shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs))
"""

ASKED: dict[str, Any] = {"trials": 12, "epochs": 24, "engine": "one by one", "known": False, "seed": 3}
SPACE = {"lr": Log(1e-3, 0.1), "optimizer": Choice(["adamw"])}

DIFFERENT = {"config.json", "decisions.json"}
"""Files that say how a search was asked for, and not what it has found."""


class Nodes:
    """A cluster, and its second node, which comes and goes."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._small = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 * 2**20}
        self.cluster = Cluster(True, head_node_args={**self._small, "node_ip_address": "127.0.0.2"})
        self.second: Any = None
        self.join()

    def join(self) -> None:
        if self.second is None:
            self.second = self.cluster.add_node(**self._small, node_ip_address="127.0.0.3")

    def kill(self) -> None:
        self.cluster.remove_node(self.second, allow_graceful=False)
        self.second = None


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
        the_ray()
        found = Nodes()
        patch.setenv("RAY_ADDRESS", found.cluster.address)
        patch.setattr(api, "write_report", lambda _folder: None)
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


class Trouble(Silent):
    """Kills a node while its worker trains, and lets another one join when its loss was seen."""

    def __init__(self, nodes: Nodes, crews: Sequence[RayCrew]) -> None:
        self.nodes, self.crews, self.now, self.notes = nodes, crews, "", list[str]()
        self.killed = False

    def begin(self, step: str) -> None:
        self.now = step

    def advance(self, share: float, text: str = "") -> None:  # noqa: ARG002
        if share > 0.1 and not self.killed and self.busy():
            self.killed = True
            self.nodes.kill()

    def busy(self) -> bool:
        """Does the node's worker train? Workers take seconds to begin, and not all at once."""
        mine = [one for crew in self.crews for one in crew.members if one.here and one.name.endswith("on 127.0.0.3")]
        return self.now in ("coarse", "refine") and any(not one.free for one in mine)

    def note(self, text: str) -> None:
        self.notes.append(text)
        if "is lost" in text:
            self.nodes.join()


def searched(model: str, out: Path, **more: Any) -> Any:
    return ravine.run_search(model, "digits", space=SPACE, out=out, **{**ASKED, **more})


def found_in(folder: Path) -> dict[str, Any]:
    """What a search has found; rows of histories are compared in one order, for they stand as they came."""
    found = {name: value for name, value in content(folder).items() if name not in DIFFERENT}
    return {**found, **{name: rows(folder / name) for name in found if name.endswith(".parquet")}}


def rows(path: Path) -> list[Any]:
    import pyarrow.parquet as pq

    return sorted(repr(row) for row in pq.read_table(path).to_pylist())


@alone
def test_a_search_of_which_a_node_is_killed_loses_no_trial_and_equals_its_replay_on_one_machine(
    nodes: Nodes, factory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crews: list[RayCrew] = []
    monkeypatch.setattr(RayCrew, "__enter__", lambda crew: crews.append(crew) or crew)
    trouble = Trouble(nodes, crews)
    searched(factory, tmp_path / "cluster", workers="auto", watch=trouble)
    assert not the_ray().is_initialized()
    lost = [note for note in trouble.notes if "is lost" in note]
    assert len(lost) == 1, trouble.notes
    assert "127.0.0.3" in lost[0]
    assert "on elsewhere" in lost[0]
    searched(factory, tmp_path / "here", replay=tmp_path / "cluster")
    one, other = found_in(tmp_path / "cluster"), found_in(tmp_path / "here")
    assert differences(one, other) == []
    assert len(one["study.db"]) == 12
    assert {row[1] for row in one["study.db"]} <= {"COMPLETE", "PRUNED"}


COMMAND = """
import sys
from ravine.training import saver
from ravine.search import asynchronous
saver.EVERY, asynchronous.SAVED_EVERY, asynchronous.TURN = 0.3, 0.1, 0.1
from ravine.cli import main
sys.exit(main())
"""


@alone
def test_a_driver_that_is_killed_is_resumed_on_the_cluster_and_equals_its_replay(
    nodes: Nodes, factory: str, tmp_path: Path
) -> None:
    nodes.join()
    words = ["search", "--data", "digits", "--model", factory, "--out", str(tmp_path / "cut"), "--workers", "auto"]
    words += [
        "--trials",
        str(ASKED["trials"]),
        "--epochs",
        str(ASKED["epochs"]),
        "--engine",
        "sequential",
        "--no-known",
        "--seed",
        "3",
    ]
    words += ["--space", "lr=log(1e-3,0.1)", "optimizer=adamw"]
    driver = subprocess.Popen([sys.executable, "-c", COMMAND, *words], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(tmp_path / "cut" / "resume", "refine-*.safetensors", driver)
    finally:
        driver.kill()
        driver.communicate()
    assert driver.returncode == -signal.SIGKILL
    lines = (tmp_path / "cut" / "resume" / "coarse halving.jsonl").read_text().splitlines()
    made = [json.loads(line) for line in lines]
    ravine.resume(tmp_path / "cut")
    assert json.loads((tmp_path / "cut" / "decisions.json").read_text())["noted"]["coarse halving"] == made
    searched(factory, tmp_path / "here", replay=tmp_path / "cut")
    assert differences(found_in(tmp_path / "cut"), found_in(tmp_path / "here")) == []


def wait_for(folder: Path, pattern: str, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 300  # on a busy machine every process takes half a minute to begin
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.01)


def chatty(shape: tuple[int, ...], outputs: int) -> Any:
    print("the last thing it said", file=sys.stderr)
    return mlp(shape, outputs)


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

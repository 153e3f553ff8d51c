"""What is asked of a cluster, and how it is refused before anything is begun. No cluster is needed here."""

from __future__ import annotations

import importlib
import pickle
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ravine
from ravine.errors import FolderError, SettingError
from ravine.models import Model, find_factory
from ravine.search import OnRay, connected, on_ray, parse_workers
from ravine.search.on_ray import carried


def test_a_number_is_of_forks_and_everything_else_is_a_cluster() -> None:
    assert parse_workers(3) == parse_workers("3") == 3
    assert parse_workers("-1") == -1  # refused where forks are
    assert parse_workers("ray://10.0.0.1:10001", cpus=2) == OnRay("ray://10.0.0.1:10001", 2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("foo", 1, 0), "workers is 'foo'; write a number, ray .*, auto .* or ray://HOST:PORT"),
        (("2.5", 1, 0), "workers is '2.5'; write a number"),
        (("ray://here", 1, 0), "workers is 'ray://here'; write"),
        (("ray", 0, 0), "worker-cpus is 0; it must be positive"),
        (("ray", 1, -1), "worker-gpus is -1; it must be 0 or more"),
        (("ray", float("nan"), 0), "worker-cpus is nan; it must be positive"),
        ((2, 1, 0.5), "workers is 2, processes on this machine .* write workers ray"),
    ],
)
def test_workers_that_cannot_be_are_refused(given: tuple[Any, ...], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        parse_workers(*given)


@pytest.mark.parametrize(
    ("cpus", "gpus", "resources", "count"),
    [
        (1, 0, {"CPU": 4}, 4),
        (3, 0, {"CPU": 8}, 2),
        (0.1, 0, {"CPU": 0.3}, 3),
        (1, 0.25, {"CPU": 8, "GPU": 1}, 4),
        (1, 0.25, {"CPU": 2, "GPU": 1}, 2),
        (1, 1, {"CPU": 2}, 0),
    ],
)
def test_a_node_holds_as_many_workers_as_both_its_cores_and_its_gpus_allow(
    cpus: float, gpus: float, resources: dict[str, float], count: int
) -> None:
    assert OnRay("ray", cpus, gpus).fits(resources) == count


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port of the loopback at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_cluster_that_is_not_there_is_known_soon_and_no_folder_is_made(
    silent_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    began = time.monotonic()
    with pytest.raises(
        SettingError, match=rf"^no Ray cluster answers at ray://127.0.0.1:{silent_port}: see that it runs"
    ):
        ravine.run_search("mlp", "digits", workers=f"ray://127.0.0.1:{silent_port}", out=tmp_path / "run")
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{silent_port}")
    with pytest.raises(SettingError, match=rf"^no Ray cluster answers at 'auto', RAY_ADDRESS 127.0.0.1:{silent_port}"):
        ravine.run_search("mlp", "digits", workers="auto", out=tmp_path / "run")
    assert time.monotonic() - began < 10
    assert not (tmp_path / "run").exists()


def test_auto_without_any_cluster_says_how_to_begin_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(on_ray, "_running_here", lambda: None)
    with (
        pytest.raises(SettingError, match="no Ray cluster was found: begin one with ray start --head"),
        connected(OnRay("auto")),
    ):
        pass


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingError, match=r"need Ray, which is not installed .* pip install 'ravine\[ray\]'"):
        ravine.run_search("mlp", "digits", workers="ray")


def test_a_gpu_that_no_worker_has_is_refused() -> None:
    with pytest.raises(SettingError, match=r"device is cuda and worker-gpus is 0.* Write worker-gpus 1"):
        ravine.tune("mlp", "digits", workers="ray", device="cuda")


def test_a_replay_of_a_folder_without_decisions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"has no decisions.json: give the folder of a finished search with workers"):
        ravine.run_search("mlp", "digits", replay=tmp_path)


def test_a_users_modules_travel_by_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    (tmp_path / "beside_it.py").write_text("WIDTH = 5\n")
    (tmp_path / "its.py").write_text(
        "import beside_it\nfrom torch import nn\ndef make(shape, outputs):\n    return nn.Linear(beside_it.WIDTH, outputs)\n"
    )
    sent = carried(Model("its", find_factory(f"{tmp_path / 'its.py'}:make"), (5,), 2))
    monkeypatch.setattr(
        sys, "modules", {k: v for k, v in sys.modules.items() if k not in ("ravine_user_its", "beside_it")}
    )
    with pytest.raises(ImportError):
        importlib.import_module("beside_it")
    assert pickle.loads(sent).build(0).in_features == 5  # noqa: S301

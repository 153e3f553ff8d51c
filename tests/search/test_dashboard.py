"""The study in the real optuna-dashboard: what a person sees there is what the search did."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import ravine
from ravine.data import from_arrays
from ravine.search import Choice, Log

DASHBOARD = shutil.which("optuna-dashboard", path=str(Path(sys.executable).parent))

pytestmark = pytest.mark.skipif(DASHBOARD is None, reason="needs optuna-dashboard: pip install 'ravine[dashboard]'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = np.random.default_rng(0).normal(size=(120, 3)).astype("float32")
    data = from_arrays(rows, (rows.sum(1) > 0).astype("int64"))
    place = tmp_path_factory.mktemp("search") / "run"
    space = {"lr": Log(1e-3, 1e-1), "optimizer": Choice(["adamw", "sgd"])}
    ravine.run_search("mlp", data, settings={"hidden": [4]}, space=space, trials=8, epochs=4, out=place)
    return place


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert DASHBOARD is not None
    server = subprocess.Popen(
        [DASHBOARD, f"sqlite:///{folder / 'study.db'}", "--port", str(port), "--server", "wsgiref", "--quiet"]
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def answer(address: str, path: str) -> Any:
    """What the dashboard's own pages ask for; it is given a while to come up."""
    for _ in range(100):
        try:
            with urllib.request.urlopen(f"{address}{path}", timeout=10) as found:  # noqa: S310 our own server
                return json.load(found)
        except urllib.error.URLError:
            time.sleep(0.2)
    pytest.fail("optuna-dashboard did not come up")


def test_the_dashboard_shows_every_trial_as_the_search_told_it(folder: Path, address: str) -> None:
    (summary,) = answer(address, "/api/studies")["study_summaries"]
    assert (summary["study_name"], summary["directions"]) == ("ravine", ["maximize"])
    shown = answer(address, f"/api/studies/{summary['study_id']}")["trials"]
    told = optuna.load_study(study_name="ravine", storage=f"sqlite:///{folder / 'study.db'}").trials
    assert len(shown) == 8
    assert [one["state"] for one in shown] == [{"COMPLETE": "Complete", "PRUNED": "Pruned"}[t.state.name] for t in told]
    assert [{p["name"] for p in one["params"]} for one in shown] == [set(t.params) for t in told]
    assert [float(p["param_internal_value"]) for one in shown for p in one["params"] if p["name"] == "lr"] == [
        t.params["lr"] for t in told
    ]
    finished = [(one["values"][0], t.value) for one, t in zip(shown, told, strict=True) if t.state.name == "COMPLETE"]
    assert finished
    assert all(shown == told for shown, told in finished)

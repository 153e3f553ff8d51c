"""`ravine resume`: going on, and the ways of having nothing to go on with."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Ravine
from tests.cli.test_main import heed_interrupts

from ravine.recipe.lock import Lock


def test_a_terminated_training_exits_143_and_goes_on_to_its_end(ravine: Ravine, table: Path, tmp_path: Path) -> None:
    words = ["train", "--data", table, "--target", "kind", "--epochs", "10000", "--patience", "20", "--lr", "1e-9"]
    command = [sys.executable, "-m", "ravine", *map(str, words), "--out", "my run"]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, preexec_fn=heed_interrupts, **pipes) as running:
        until = time.monotonic() + 60
        while not (tmp_path / "my run" / "resume" / "progress.json").exists() and time.monotonic() < until:
            time.sleep(0.01)
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (143, ""), err
    assert err.strip().splitlines()[-1] == "ravine: terminated. To go on with it: ravine resume 'my run'"
    assert "Traceback" not in err
    answer = ravine("resume", "my run", "--json")
    assert answer.status == 0, answer.err
    assert json.loads(answer.out)["best"]["command"].endswith("--epochs 10000 --out runs/again")
    assert (tmp_path / "my run" / "report.html").exists()
    assert not (tmp_path / "my run" / "resume").exists()


def test_a_run_that_has_finished_is_shown_and_said_to_be_over(ravine: Ravine, tuned: Path, tmp_path: Path) -> None:
    shutil.copytree(tuned, tmp_path / "run")
    answer = ravine("resume", "run", "--json")
    assert answer.status == 0
    assert answer.err.strip() == "ravine: the run in run has finished: there is nothing to resume."
    assert json.loads(answer.out) == json.loads((tuned / "result.json").read_text())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("resume nowhere", "nowhere holds no config.json, so no run was begun there"),
        ("resume held", "held is in use by another process"),
        ("tune --data digits --out held --overwrite", "held is in use by another process"),
        ("tune --data digits --out cut", "cut exists already: write ravine resume cut to go on with it, --overwrite"),
    ],
)
def test_a_folder_that_cannot_be_gone_on_with_is_one_clear_line(
    ravine: Ravine, tmp_path: Path, words: str, said: str
) -> None:
    for name in ("held", "cut"):
        (tmp_path / name / "resume").mkdir(parents=True)
        (tmp_path / name / "config.json").write_text("{}")
    lock = Lock(tmp_path / "held")
    answer = ravine(*words.split())
    lock.release()
    assert (answer.status, answer.out) == (2, "")
    assert said in answer.err
    assert "Traceback" not in answer.err

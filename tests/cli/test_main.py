"""The door itself: help that comes at once, interruption, and words that reach the right call."""

from __future__ import annotations

import json
import platform
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import torch
from tests.cli.conftest import Ravine

import ravine as package
from ravine.cli.main import app

COMMANDS = sorted(command.name or "" for command in app.registered_commands)


def test_help_names_every_command(ravine: Ravine) -> None:
    answer = ravine("--help")
    assert answer.status == 0
    assert all(f" {command} " in answer.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(ravine: Ravine, command: str) -> None:
    answer = ravine(command, "--help")
    assert (answer.status, answer.err) == (0, "")
    assert "Usage: ravine" in answer.out


def test_the_version_is_told_with_those_of_torch_and_python(ravine: Ravine) -> None:
    answer = ravine("--version")
    assert answer.status == 0
    assert (
        answer.out == f"ravine {package.__version__}, torch {torch.__version__}, Python {platform.python_version()}\n"
    )
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert package.__version__ == pyproject["project"]["version"]


def test_no_words_at_all_show_the_help(ravine: Ravine) -> None:
    assert ravine().out == ravine("--help").out


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from ravine.cli import main; main(['tune', '--help']);"
        "print(sorted({'torch', 'numpy', 'optuna', 'sklearn', 'pandas', 'plotly'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def heed_interrupts() -> None:
    """A job that a script runs in the background is born deaf to them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupted_run_exits_130_and_says_how_to_go_on(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "ravine", "tune", "--data", "digits", "--budget", "60s", "--out", "run"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, cwd=tmp_path, preexec_fn=heed_interrupts, **pipes) as running:
        until = time.monotonic() + 60
        while not (tmp_path / "run" / "steps" / "2-overfit.json").exists() and time.monotonic() < until:
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert err.strip().splitlines()[-1].endswith("interrupted. To go on with it: ravine resume run")


def test_a_config_file_speaks_for_options_that_are_left_out(ravine: Ravine, table: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        f'data = "{table}"\ntarget = "kind"\nepochs = 2\nbatch-size = 8\nset = {{ hidden = [4] }}\n'
    )
    answer = ravine("train", "--config", "run.toml", "--epochs", "1", "--out", "run", "--json")
    assert answer.status == 0, answer.err
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["batch_size"] == 8
    assert config["model"]["settings"] == {"hidden": [4]}
    assert "--epochs 1 " in json.loads(answer.out)["best"]["command"]


def test_a_misspelt_option_of_a_config_file_is_answered_with_the_nearest(ravine: Ravine, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('data = "digits"\nbugdet = "5m"\n')
    answer = ravine("tune", "--config", "run.toml")
    assert answer.status == 2
    assert "bugdet" in answer.err
    assert "did you mean budget" in answer.err


def test_runs_without_a_name_do_not_meet(ravine: Ravine, table: Path) -> None:
    for _ in range(2):
        assert ravine("check", "--data", table, "--target", "kind", "--set", "hidden=32").status == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == ["flowers", "flowers-2"]

"""Small runs of the recipe in processes that may be killed, and what a run folder holds, for comparing two of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import optuna

TIMES = frozenset(["seconds", "created", "out"])
"""What two runs that are equal may differ in; `out` is the folder's own name."""

SERVER = """
import os, sys
import torch
torch.set_num_threads(1)
import ravine.api as api
from ravine.api import work as running
from ravine.recipe import coarse, lr_range, overfit, refine
from ravine.search import Choice, Plan, Study
from ravine.training import saver

saver.EVERY = 0.2
overfit.MOST_STEPS = 100
lr_range._grid = lambda *_: (1, 1, 30)
coarse.coarse_plan = lambda *_: Plan(8, (10, 20, 40))
refine.refine_plan = lambda *_: Plan(8, (30, 60, 150))
SPACE = {"optimizer": Choice(["sgd", "adamw"])}
running.write_report = lambda _folder: None  # it is made of the records that are compared
Study(None, "classification", 0, ["sgd"]).close()  # Optuna imports its parts when they are first used


def work(folder):
    if os.path.exists(f"{folder}/config.json"):
        return api.resume(folder)
    more = {"settings": {"hidden": [12]}, "seed": 3, "engine": "stacked", "out": folder}
    return CALL


for line in sys.stdin:
    pid = os.fork()
    if not pid:
        status = 1
        try:
            work(line.strip())
            status = 0
        except SystemExit as end:
            status = end.code
        except KeyboardInterrupt:
            status = 130
        except Exception as error:
            print(error, file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


TUNE = 'api.tune("mlp", "digits", trials=8, space=SPACE, keep_going=True, **more)'


class Server:
    """A process that has imported everything, and forks for every run: a run then begins in a moment, not in seconds.

    call: what a run does that is not resumed, in terms of SERVER.
    """

    def __init__(self, call: str = TUNE) -> None:
        self._script = SERVER.replace("CALL", call)

    def __enter__(self) -> Self:
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen([sys.executable, "-c", self._script], **pipes)
        return self

    def __exit__(self, _kind: type | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        _, self.errors = self._process.communicate(timeout=60)

    def begin(self, folder: Path) -> int:
        """Begin or resume the run in a folder; the number of its process."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{folder}\n")
        self._process.stdin.flush()
        return int(self._line())

    def ended(self) -> int:
        """Wait for it: its exit status, negative for a signal that killed it."""
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def content(folder: Path) -> dict[str, Any]:
    """All that a run has learned, by file, but for times; report.html is made of these."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".json":
            found[name] = _timeless(json.loads(path.read_text()))
        elif path.suffix in (".safetensors", ".parquet"):
            found[name] = path.read_bytes()
        elif path.is_file():
            found[name] = _trials(path) if path.name == "study.db" else None
    return found


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The names of the files in which two folders differ, or which one of them lacks."""
    return sorted(name for name in {*one, *other} if name not in one or name not in other or one[name] != other[name])


def forks_of(process: int) -> list[int]:
    """The processes that it has begun."""
    return [
        int(child) for task in Path(f"/proc/{process}/task").glob("*/children") for child in task.read_text().split()
    ]


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in TIMES}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _trials(path: Path) -> list[tuple[Any, ...]]:
    """Every row of a study, without its dates."""
    study = optuna.load_study(study_name="ravine", storage=f"sqlite:///{os.fspath(path)}")
    return [
        (t.number, t.state.name, t.params, t.values, t.intermediate_values, t.user_attrs, repr(t.distributions))
        for t in study.trials
    ]

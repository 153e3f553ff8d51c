"""Claim: a run that is killed at 30 random moments ends in the same bits as one never stopped, and being able to costs little.

digits, MLP 64-64-10, `ravine.tune` with 8 trials a phase and no budget, as a process of its own: once to its end; then
killed with SIGKILL after a random time (from when all is imported), again and again, and resumed each time. After every
fifth kill the newest state is cut short besides, as a failing disk would. In the end all trials of study.db, the weights,
histories and records are compared, but for times. States are written every second here, so that 30 kills fit into
minutes; 20 s is usual.

Then the cost: what writing and reading the state of a search takes, and what share of training that is every 20 to 30 s.

    python benchmarks/kill.py [--kills 30] [--seed 0]
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from _machine import machine
from ravine.data import from_arrays
from ravine.models import Model, mlp
from ravine.training import Run, Setting, read_snapshot, write_snapshot
from ravine.training.saver import EVERY, LONGEST, SHARE

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.recipe.runs import content, differences  # the comparison that the tests make

CHILD = """
import os, sys
import torch
torch.set_num_threads(1)
import ravine.api as api
from ravine.training import saver
saver.EVERY = 1.0
folder = sys.argv[1]
print("imported", flush=True)
if os.path.exists(f"{folder}/config.json"):
    api.resume(folder)
else:
    api.tune("mlp", "digits", trials=8, settings={"hidden": [64]}, engine="stacked", seed=1, out=folder)
"""


def begin(folder: Path) -> subprocess.Popen[bytes]:
    """Begin or resume a run in a process of its own; it has imported everything when this returns."""
    running = subprocess.Popen([sys.executable, "-c", CHILD, str(folder)], stdout=subprocess.PIPE)
    assert running.stdout is not None
    assert running.stdout.readline() == b"imported\n"
    return running


def newest_state(folder: Path) -> Path | None:
    found = sorted((folder / "resume").glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def kill_again_and_again(folder: Path, kills: int, draw: np.random.Generator) -> Iterator[str]:
    """Kill and resume, and give a line for each kill: when it came, and how far the run was. At the end the run is whole;
    one that is whole before goes on in a folder beside it.
    """
    for number in range(1, kills + 1):
        running, wait = begin(folder), draw.uniform(0.1, 6.0)
        time.sleep(wait)
        running.send_signal(signal.SIGKILL)
        while running.wait() == 0:
            yield f"the run ended before kill {number}, and another is begun"
            folder = folder.with_name(f"{folder.name}-{number}")
            running = begin(folder)
            time.sleep(wait)
            running.send_signal(signal.SIGKILL)
        newest = newest_state(folder)
        damaged = number % 5 == 0 and newest is not None
        if damaged:
            os.truncate(newest, newest.stat().st_size - 100)
        steps = sorted(path.stem for path in (folder / "steps").glob("*.json")) or ["nothing"]
        state = f"{newest.name}{' (now damaged)' if damaged else ''}" if newest else "no state"
        yield f"kill {number:2d} after {wait:4.1f} s: {steps[-1]} done, {state}"
    assert begin(folder).wait() == 0


def cost(trials: int, hidden: tuple[int, ...], repeats: int = 5) -> str:
    """One line: what the state of so many trials costs. Inputs of 784 numbers, AdamW, every trial with its best weights."""
    x, y = torch.randn(600, 784), (torch.arange(600) % 10).numpy()
    data = from_arrays(x, y)
    model = Model("mlp", mlp, data.input_shape, data.outputs, {"hidden": hidden})
    run = Run(data, model, [Setting(seed=k, order=0) for k in range(trials)], steps=10, engine="stacked")
    run.advance(2)
    run.evaluate()
    written, read = [], []
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "state.safetensors"
        for _ in range(repeats):
            start = time.perf_counter()
            write_snapshot(path, {"run": run.snapshot(), "history": run.history.snapshot()})
            written.append(time.perf_counter() - start)
            start = time.perf_counter()
            read_snapshot(path)
            read.append(time.perf_counter() - start)
        size = path.stat().st_size
    seconds = statistics.median(written)
    share = seconds / min(LONGEST, max(EVERY, seconds / SHARE))
    layers = "-".join(map(str, (784, *hidden, 10)))
    return (
        f"{trials:3d} trials of {layers:15s} {size / 2**20:7.1f} MB: written in {seconds:.3f} s "
        f"({min(written):.3f} to {max(written):.3f}), read in {statistics.median(read):.3f} s; {100 * share:.2f} % of the time"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as place:
        whole, cut = Path(place) / "whole", Path(place) / "cut"
        start = time.monotonic()
        assert begin(whole).wait() == 0
        print(f"never stopped: {time.monotonic() - start:.0f} s")
        start = time.monotonic()
        for line in kill_again_and_again(cut, asked.kills, np.random.default_rng(asked.seed)):
            print(line, flush=True)
        print(f"killed and resumed: {time.monotonic() - start:.0f} s in all")
        expected, found = content(whole), list[str]()
        for run in sorted(Path(place).glob("cut*")):
            found += differences(expected, content(run))
            trials = len(expected["study.db"])
            print(
                f"{len(expected)} files and {trials} trials of study.db compared; different: {', '.join(found) or 'none'}"
            )
    print(f"\nWriting the state, every {EVERY:.0f} to {LONGEST:.0f} s (n = 5, median):")
    for trials, hidden in ((16, (64, 64)), (64, (64, 64)), (16, (256, 256)), (64, (256, 256)), (1, (2048, 2048))):
        print(cost(trials, hidden))
    if found:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

"""What it costs to search with many workers, side by side: python benchmarks/scale_out.py [--repeats 3] [--no-ray]

1. Overhead of 100 trivial trials (a network of 2 hidden units, one step each) when Ray and its workers are up, beside
   Ray Tune, Optuna's `study.optimize(n_jobs=2)` and this process alone. The start of Ray and of its workers is apart.
2. Efficiency: the time of one worker with one thread over twice the time of two, on the same trials, one run for each; and
   of two processes that know nothing of each other, which is what the machine itself allows.
3. How many decisions of the halving, and how many results, a driver can take in a second.
4. The memory of a driver that has 10,000 finished trials, each with its best weights.

Wall clock, the median of the repeats with the least and the most. What needs Ray is left out where it is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch

from _machine import machine
from ravine.data import Data, from_arrays
from ravine.models import Model, mlp
from ravine.search import Climb, OnRay, connected, the_ray
from ravine.search.asynchronous import AsynchronousClimb, Decision, Here
from ravine.search.serving import Order, Workshop
from ravine.training import History, Run, Saver, Setting

TRIALS, RUNGS = 100, [1]
TUNED = 10  # trials of Ray Tune, which begins a process for each: a hundred take minutes
MANY = 10_000

Timed = Callable[[], Any]


def shown(name: str, seconds: list[float], unit: str = "s") -> None:
    print(
        f"  {name:58s} {statistics.median(seconds):8.3f} {unit}  ({min(seconds):.3f} to {max(seconds):.3f}, n = {len(seconds)})",
        flush=True,
    )


def timed(work: Timed, repeats: int) -> list[float]:
    """Seconds of each repeat."""
    found = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return found


def tiny(hidden: int = 2, examples: int = 200) -> Workshop:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, examples)
    data: Data = from_arrays((rng.normal(size=(examples, 4)) + 2 * np.eye(4)[y]).astype("float32"), y)
    return Workshop(data, Model("mlp", mlp, data.input_shape, data.outputs, {"hidden": (hidden,)}))


def orders(parts: int, trials: int, steps: int, hidden: int = 2, batch: int = 16) -> list[Order]:
    settings = [Setting(lr=0.01, batch_size=batch, seed=k, order=0) for k in range(trials)]
    size = trials // parts
    more: dict[str, Any] = {"steps": steps, "steps_per_epoch": 8, "probe": 200, "every": 1000, "engine": "stacked"}
    return [
        Order({t: settings[t] for t in range(i * size, (i + 1) * size)}, {"hidden": (hidden,)}, **more)
        for i in range(parts)
    ]


@contextmanager
def crew_of(workers: int, workshop: Workshop) -> Iterator[Any]:
    """Workers on the Ray that is connected, all of them up."""
    from ravine.search.ray_crew import RayCrew

    with RayCrew(OnRay("ray"), workshop) as crew:
        crew.expect(workers)
        while sum(member.free for member in crew.members) < workers:
            crew.ready([])
        yield crew


def climb(made: list[Order], crew: Any, rungs: list[int]) -> None:
    AsynchronousClimb(made, rungs, crew, History()).go()


# 1. Overhead


def overhead(repeats: int, with_ray: bool) -> None:
    print(f"overhead of {TRIALS} trivial trials")
    workshop = tiny()
    shown(
        "this process, asynchronous climb", timed(lambda: climb(orders(4, TRIALS, 1), Here(workshop), RUNGS), repeats)
    )
    shown("Optuna, study.optimize(n_jobs=2), an empty objective", timed(optuna_alone, repeats))
    if not with_ray:
        return
    begun = time.perf_counter()
    with connected(OnRay("ray")):
        shown("(Ray's own start, and a look at its node)", [time.perf_counter() - begun])
        begun = time.perf_counter()
        with crew_of(2, workshop) as crew:
            shown("(start of two workers: they import torch and ravine)", [time.perf_counter() - begun])
            shown("ravine on 2 workers of Ray", timed(lambda: climb(orders(4, TRIALS, 1), crew, RUNGS), repeats))
        if tune_is_there():
            shown(f"Ray Tune, {TUNED} trials of an empty trainable, 2 at a time", timed(ray_tune, 1))
        else:
            print("  Ray Tune cannot be imported here (it needs ray[tune]): left out")


def optuna_alone() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(lambda trial: trial.suggest_float("lr", 1e-4, 1, log=True), n_trials=TRIALS, n_jobs=2)


def tune_is_there() -> bool:
    try:
        importlib.import_module("ray.tune")
    except ImportError:
        return False
    return True


def ray_tune() -> None:
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    tune = importlib.import_module("ray.tune")
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(lambda config: {"loss": config["lr"]}, {"cpu": 1}),
            param_space={"lr": tune.loguniform(1e-4, 1)},
            tune_config=tune.TuneConfig(num_samples=TUNED, max_concurrent_trials=2),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        tuner.fit()


# 2. Efficiency

STEPS, WIDE, EACH = 3000, 128, 8


def efficiency(repeats: int, with_ray: bool) -> None:
    """Pairs are taken in turn, for the machine's speed changes."""
    print(f"efficiency of 2 one-thread workers: {2 * EACH} trials of {STEPS} steps, hidden {WIDE}")
    workshop = tiny(WIDE, 2000)

    def runs() -> list[Run]:
        return [workshop.build(order, History()) for order in orders(2, 2 * EACH, STEPS, WIDE, 64)]

    def forked(count: int) -> float:
        """Both have workers, one of them only one: two runs in its hands."""
        going = Climb(runs(), [STEPS])
        begun = time.perf_counter()
        if count == 1:
            going.go()
        else:
            with going.hand_over(2, History()):
                going.go()
        return time.perf_counter() - begun

    compare("processes that know nothing of each other", apart, repeats)
    compare("forks", lambda count: forked(count), repeats)
    if not with_ray:
        return
    with connected(OnRay("ray")), crew_of(2, workshop) as two:

        def on_ray(count: int) -> float:
            begun = time.perf_counter()
            climb(orders(2, 2 * EACH, STEPS, WIDE, 64), two if count == 2 else _Single(two), [STEPS])
            return time.perf_counter() - begun

        compare("Ray", on_ray, repeats)


def apart(count: int) -> float:
    """Seconds in which one process trains both runs, or the slower of two trains one of them."""
    words = [sys.executable, __file__, "--alone", str(2 // count)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    going = [subprocess.Popen(words, **pipes) for _ in range(count)]
    for one in going:
        one.stdout.readline()  # it is ready
    for one in going:
        one.stdin.write("go\n")
        one.stdin.flush()
    return max(float(one.communicate()[0]) for one in going)


def train_alone(runs: int) -> None:
    workshop = tiny(WIDE, 2000)
    made = [workshop.build(order, History()) for order in orders(2, 2 * EACH, STEPS, WIDE, 64)[:runs]]
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.perf_counter()
    Climb(made, [STEPS]).go()
    print(time.perf_counter() - begun)


class _Single:
    """One of the workers of a crew."""

    def __init__(self, crew: Any) -> None:
        self._crew, self._one = crew, crew.members[0]

    def take(self, run: Any) -> bool:
        if self._one.free:
            run.worker = self._one
            return True
        return False

    def ready(self, runs: Any) -> Any:
        return self._crew.ready(runs)

    def drop(self, run: Any) -> None:
        self._crew.drop(run)


def compare(name: str, seconds: Callable[[int], float], repeats: int) -> None:
    pairs = [(seconds(1), seconds(2)) for _ in range(repeats)]
    shown(f"{name}: one worker", [one for one, _ in pairs])
    shown(f"{name}: two workers", [two for _, two in pairs])
    shown(f"{name}: efficiency (1 is twice as fast)", [one / (2 * two) for one, two in pairs], " ")


# 3. and 4. What a driver can take


def throughput(repeats: int) -> None:
    print("what a driver takes in a second, written to disk each")
    rates = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            saver, begun = Saver(Path(folder)), time.perf_counter()
            for k in range(200):
                saver.note("coarse halving", decision(k).record())
            rates.append(200 / (time.perf_counter() - begun))
    shown("decisions of the halving", rates, "/s")
    shown("results told to the study", [tells_per_second() for _ in range(repeats)], "/s")


def decision(trial: int) -> Decision:
    metrics = {"accuracy": 0.5, "nll": 1.0 + trial / 7, "ece": 0.1, "brier": 0.2}
    return Decision(100, {trial: metrics}, {trial: metrics}, [trial], last=False)


def tells_per_second(count: int = 200) -> float:
    from ravine.search import Log, Study

    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder), "classification", 0, ["adamw"])
        asked = [study.ask("adamw", {"lr": Log(1e-4, 1)}, "coarse") for _ in range(count)]
        begun = time.perf_counter()
        for one in asked:
            study.report(one.number, 10, {"accuracy": 0.5, "nll": 1.0})
            study.tell(one.number, {"accuracy": 0.5, "nll": 1.0}, epochs=1)
        seconds = time.perf_counter() - begun
        study.close()
    return count / seconds


def memory() -> None:
    print(f"memory of a driver with {MANY:,} finished trials, each with its best weights (85 parameters, then 4,803)")
    for hidden in (8, 600):
        done = subprocess.run(
            [sys.executable, __file__, "--memory-of", str(hidden)], capture_output=True, text=True, check=True
        )
        print(f"  {done.stdout.strip()}", flush=True)


def measure_memory(hidden: int) -> None:
    """In a process of its own: one step of many trials, by a crew of this process that keeps nothing."""
    workshop = tiny(hidden)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    going = AsynchronousClimb(orders(MANY // 50, MANY, 1, hidden), RUNGS, _InTurn(workshop), History())
    going.go()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"hidden {hidden}: peak {peak:,.0f} MiB, {before:,.0f} of them before the first; {len(going.best):,} best")


class _InTurn(Here):
    """One run at a time, as a worker has it."""

    def __init__(self, workshop: Workshop) -> None:
        super().__init__(workshop)
        self._busy: Any = None

    def take(self, run: Any) -> bool:
        if self._busy is not None:
            return False
        self._busy = run
        return super().take(run)

    def drop(self, run: Any) -> None:
        super().drop(run)
        self._busy = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-ray", action="store_true", help="leave out what needs Ray")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    if given.alone:
        train_alone(given.alone)
        return
    if given.memory_of:
        measure_memory(given.memory_of)
        return
    with_ray = not given.no_ray and importlib.util.find_spec("ray") is not None
    ray = f", ray {the_ray().__version__}" if with_ray else ""
    print(f"{machine()}, {os.cpu_count()} cores, optuna {optuna.__version__}{ray}")
    overhead(given.repeats, with_ray)
    efficiency(given.repeats, with_ray)
    throughput(given.repeats)
    memory()


if __name__ == "__main__":
    main()

"""Claim: `ravine.diagnose` names the fault that was planted first, and nothing where nothing is wrong.

Every fault of the catalogue is planted, mild and severe, in the base tasks of tests/faults that it has a meaning for, and
healthy trainings stand beside them. Thresholds were set on the calibrating tasks; the scoring tasks are only judged.
Told for each fault: n planted runs; how often the fault was raised as an alarm at all (recall), came first, or was among the
first three; of the runs in which it came first as an alarm, the share in which it was planted (precision). Then false alarms
over healthy runs, and the cure: the first finding's own advice is followed (its `change`, or the plant taken out where it
names the plant and the advice is to mend model or data), and the training is diagnosed again. A diagnosis begins no experiment
after 50 seconds of its process, which has one thread.

    python benchmarks/diagnosis.py [--part scoring|calibrating|all] [--tasks NAME ...] [--healthy with|without|only]
        [--faults NAME ...] [--processes 2] [--no-cure] [--keep FILE]

--keep writes each run to a file as it ends; begun again with the same file, runs that stand there are not repeated.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.faults.healthy import healthy
from tests.faults.plants import PLANTS
from tests.faults.tasks import TASKS

from _machine import machine
from ravine.diagnosis import CATALOGUE, Case, Finding, Look, findings_of

SECONDS = 50.0
TARGETS = {"first": 0.85, "three": 0.95, "some": 0.98, "false": 0.03, "cured": 0.80}


@dataclass(frozen=True)
class Seen:
    """What a diagnosis of one training said."""

    planted: str  # "" where it is healthy
    name: str
    severity: str
    told: tuple[tuple[str, float], ...]  # (fault, confidence), as ranked
    seconds: float
    cured: bool | None = None  # None: not tried

    @property
    def run(self) -> tuple[str, str, str]:
        return self.planted, self.name, self.severity

    @property
    def alarms(self) -> list[str]:
        return [fault for fault, confidence in self.told if confidence > 0.5]

    @property
    def first(self) -> str:
        """The fault that came first, where it is an alarm."""
        return self.told[0][0] if self.told and self.told[0][1] > 0.5 else ""

    @property
    def place(self) -> int:
        """Where the planted fault stands, from 1; 0 where it was not named."""
        names = [fault for fault, _ in self.told]
        return names.index(self.planted) + 1 if self.planted in names else 0


def judged(case: Case) -> tuple[list[Finding], float]:
    begun = time.monotonic()
    found = findings_of(Look(case, deadline=begun + SECONDS))
    return found, time.monotonic() - begun


def planted(job: tuple[str, str, str, bool]) -> Seen | None:
    fault, task, severity, cure = job
    case = PLANTS[fault](TASKS[task].make(), severity)  # type: ignore[arg-type]
    if case is None:
        return None
    found, seconds = judged(case)
    told = tuple((finding.fault, finding.confidence) for finding in found)
    mended = is_cured(fault, TASKS[task].make(), case, found) if cure else None
    return Seen(fault, task, severity, told, seconds, mended)


def is_cured(fault: str, before: Case, case: Case, found: Sequence[Finding]) -> bool:
    """Whether following the first finding's advice leaves nothing to be alarmed about."""
    if not found:
        return False
    if found[0].change:
        after = case.but(**found[0].change)
    elif found[0].fault == fault:
        after = before
    else:
        return False
    return not any(finding.alarm for finding in judged(after)[0])


def sound(name: str) -> Seen:
    found, seconds = judged(dict(healthy())[name])
    return Seen("", name, "", tuple((finding.fault, finding.confidence) for finding in found), seconds)


def told(seen: Seen) -> Seen:
    """The same, said on standard error: a run takes minutes."""
    said = ", ".join(f"{fault} {confidence:.2f}" for fault, confidence in seen.told[:3]) or "nothing"
    print(
        f"{seen.planted or 'healthy'} {seen.name} {seen.severity}: {said} ({seen.seconds:.1f} s)",
        file=sys.stderr,
        flush=True,
    )
    return seen


def kept(file: Path | None) -> list[Seen]:
    """Runs that an earlier call has written down."""
    lines = file.read_text().splitlines() if file is not None and file.exists() else []
    return [Seen(**{**record, "told": tuple(map(tuple, record["told"]))}) for record in map(json.loads, lines)]


def written(seen: Seen, file: Path | None) -> Seen:
    if file is not None:
        with file.open("a") as stream:
            stream.write(json.dumps(dataclasses.asdict(seen)) + "\n")
    return told(seen)


def row(fault: str, seen: Sequence[Seen], everything: Sequence[Seen]) -> str:
    count = len(seen)
    named = [one for one in everything if one.first == fault]
    recall, first, three = (
        sum(test(one) for one in seen) / count
        for test in (
            lambda one: fault in one.alarms,
            lambda one: one.first == fault,
            lambda one: 0 < one.place <= 3,
        )
    )
    right = f"{sum(one.planted == fault for one in named) / len(named):9.2f}" if named else "        -"
    ranks = " ".join(str(one.place) for one in seen)
    return f"  {fault:28s} {count:3d} {recall:7.2f} {first:6.2f} {three:6.2f} {right}   {ranks}"


def report(seen: Sequence[Seen], sane: Sequence[Seen]) -> None:
    everything = [*seen, *sane]
    print("  fault                          n  recall  first  three precision  rank in each run (0: not named)")
    for fault in CATALOGUE:
        mine = [one for one in seen if one.planted == fault]
        if mine:
            print(row(fault, mine, everything))
    for one in seen:
        if one.first != one.planted:
            told = ", ".join(f"{name} {confidence:.2f}" for name, confidence in one.told[:4]) or "nothing"
            print(f"  missed: {one.planted} in {one.name}, {one.severity}: {told}")
    for one in sane:
        if one.alarms:
            print(f"  false alarm: {one.name}: {', '.join(one.alarms)}")
    share = lambda test, of: sum(test(one) for one in of) / max(len(of), 1)  # noqa: E731
    figures = {
        "first": share(lambda one: one.first == one.planted, seen),
        "three": share(lambda one: 0 < one.place <= 3, seen),
        "some": share(lambda one: bool(one.told), seen),
        "false": share(lambda one: bool(one.alarms), sane),
    }
    tried = [one for one in seen if one.cured is not None]
    if tried:
        figures["cured"] = share(lambda one: bool(one.cured), tried)
    words = {
        "first": "planted runs with the fault first, an alarm",
        "three": "... among the first three",
        "some": "... with some finding",
        "false": "healthy runs with an alarm",
        "cured": "planted runs healthy after the first finding's advice",
    }
    print(f"  n = {len(seen)} planted runs, {len(sane)} healthy ones")
    for name, value in figures.items():
        if not (sane if name == "false" else seen):
            continue
        bound = "at most" if name == "false" else "at least"
        print(f"  {words[name]}: {value:.3f} (to reach: {bound} {TARGETS[name]:g})")
    seconds = [one.seconds for one in everything]
    print(f"  seconds a diagnosis, of one thread: median {statistics.median(seconds):.1f}, longest {max(seconds):.1f}")


def spread(work: object, jobs: Sequence[object], processes: int) -> Iterable[object]:
    pool = multiprocessing.get_context("spawn").Pool(processes, by_own_time)
    return pool.imap(work, jobs)  # type: ignore[arg-type]


def by_own_time() -> None:
    """One thread, and a clock that counts this process's own seconds: other work on the machine ends no experiment early."""
    torch.set_num_threads(1)
    time.monotonic = time.process_time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=["scoring", "calibrating", "all"], default="scoring")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), help="these alone, whatever part they are of")
    parser.add_argument("--healthy", choices=["with", "without", "only"], default="with")
    parser.add_argument("--faults", nargs="+", choices=CATALOGUE, default=list(CATALOGUE))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--no-cure", action="store_true")
    parser.add_argument("--keep", type=Path, help="a file of JSON lines: written to, and gone on from")
    args = parser.parse_args()
    print(machine())
    part = [name for name, task in TASKS.items() if args.part == "all" or task.scoring == (args.part == "scoring")]
    tasks = args.tasks or part
    faults = [fault for fault in args.faults if fault in PLANTS]
    print(
        f"planted in {', '.join(tasks)}; thresholds were set on {', '.join(n for n, t in TASKS.items() if not t.scoring)}"
    )
    before = kept(args.keep)
    done = {one.run for one in before}
    jobs = [(f, t, s, not args.no_cure) for f in faults for t in tasks for s in ("mild", "severe")]
    jobs = [job for job in jobs if job[:3] not in done and args.healthy != "only"]
    runs = [name for name, _ in healthy() if ("", name, "") not in done and args.healthy != "without"]
    for work, work_on in ((planted, jobs), (sound, runs)):
        before += [written(one, args.keep) for one in spread(work, work_on, args.processes) if isinstance(one, Seen)]
    seen, sane = ([one for one in before if bool(one.planted) == sick] for sick in (True, False))
    report(seen, sane)


if __name__ == "__main__":
    main()

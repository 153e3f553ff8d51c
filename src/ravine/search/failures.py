"""What becomes of a run whose step or evaluation raises: the trials at fault end, the others go on as if they had not been.

A stack raises for all its trials when one does. So each is tried alone: those that raise by themselves are lost, with
what they raised as the reason. Where none does (memory that ran out, an operation that fails on many at once) the run
goes on as two halves, one after the other, down to single trials. The halves are copied out of the whole; where there
is no memory for that either, the trials of this run end, and other runs go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ravine.engines.memory import out_of_memory
from ravine.search.remote_run import AnyRun

__all__ = ["Mended", "mended", "reason_of"]


class Mended(NamedTuple):
    """runs: what goes on in place of the run, at least one, perhaps without trials. lost: a reason for each trial that ends."""

    runs: Sequence[AnyRun]
    lost: dict[int, str]
    note: str  # for whoever watches; "" is nothing to say


def mended(run: AnyRun, error: Exception) -> Mended:
    """A run that raised `error`, without whom it concerns. Its state is that before the step."""
    count, name = len(run.trials), _shown(run)
    if count == 1:
        lost = {run.trials[0]: reason_of(error)}
    elif out_of_memory(error):
        note = f"out of memory with {count} trials at once: {name} go on in two halves, one after the other."
        return _halved(run, note)
    else:
        lost = {run.trials[k]: reason_of(found) for k, found in run.culprits().items()}
    if not lost:
        note = f"{name} raised together what none raises alone ({reason_of(error)}): they go on in two halves."
        return _halved(run, note)
    left = [k for k, trial in enumerate(run.trials) if trial not in lost]
    run.keep(left) if left else run.trials.clear()
    number, reason = next(iter(lost.items()))
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    return Mended([run], lost, f"trial {number}{more} ended at step {run.step}: {reason}.")


def reason_of(error: BaseException) -> str:
    """In one line why a trial was lost.

    >>> reason_of(ValueError("no such\\n  thing")), reason_of(MemoryError())
    ('raised ValueError: no such thing', 'out of memory')
    """
    if out_of_memory(error):
        return "out of memory"
    said = " ".join(str(error).split())[:200]
    return f"raised {type(error).__name__}{': ' if said else ''}{said}"


def _halved(run: AnyRun, note: str) -> Mended:
    count, middle = len(run.trials), (len(run.trials) + 1) // 2
    try:
        return Mended(run.split(range(middle), range(middle, count)), {}, note)
    except Exception as error:
        if not out_of_memory(error):
            raise
        lost, said = dict.fromkeys(run.trials, reason_of(error)), f"{_shown(run)} ended: no memory to go on in halves."
    run.trials.clear()
    return Mended([run], lost, said)


def _shown(run: AnyRun) -> str:
    return f"trials {min(run.trials)} to {max(run.trials)}" if len(run.trials) > 1 else f"trial {run.trials[0]}"

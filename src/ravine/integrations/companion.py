"""What both callbacks do, whoever calls them: the check before, the monitor during, and words about what they find.

Only one process of several looks (rank zero). What it says goes to the logger `ravine`: alarms as warnings, the rest as
information. Nothing that goes wrong here may stop a training: it becomes a note.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ravine.diagnosis import Finding, Findings, Monitor
from ravine.engines.memory import out_of_memory
from ravine.errors import SettingError, first_line
from ravine.integrations.rehearsal import Rehearsal
from ravine.integrations.steps import check
from ravine.recipe.verdict import Verdict

__all__ = ["LOG", "Companion"]

LOG = logging.getLogger("ravine")


class Companion:
    """What a callback keeps of one training.

    check_seconds: of the check before it; 0 leaves it out. every: steps from one close look to the next, see `Monitor`.
    """

    def __init__(self, *, check_seconds: float = 20.0, every: int = 300) -> None:
        if check_seconds < 0:
            raise SettingError(f"check_seconds is {check_seconds:g}; it must be 0 (no check) or more.")
        if every < 1:
            raise SettingError(f"every is {every}; it must be 1 or more: the steps from one close look to the next.")
        self.check_seconds, self.every = check_seconds, every
        self.verdicts: list[Verdict] = []
        self.notes: list[str] = []
        self.monitor: Monitor | None = None
        self._before: list[Finding] = []  # what the check found
        self._after: list[Finding] = []  # what the monitor had found when it was closed
        self._told = -1  # steps that had been taken when a loss was last told
        self.alarmed = False  # has a step of the check failed, or is a finding an alarm?

    @property
    def findings(self) -> Findings:
        """What was found so far, the check's before the monitor's, each fault once."""
        seen = self._after if self.monitor is None else self.monitor.findings()
        known = {finding.fault for finding in self._before}
        return Findings([*self._before, *(finding for finding in seen if finding.fault not in known)])

    def begin(self) -> None:
        """A new training: what was known of the one before is forgotten."""
        self.close()
        self.verdicts, self.notes, self._before, self._after = [], [], [], []
        self._told, self.alarmed = -1, False

    def check(self, make: Callable[[], Rehearsal]) -> None:
        """Steps 1 and 2 on what `make` gives; a note where that, or they, cannot be done."""
        if not self.check_seconds:
            return
        try:
            found = check(make(), seconds=self.check_seconds)
        except (
            Exception
        ) as error:  # whatever the model, the loss or the data raises: training will say it, or can do without
            if out_of_memory(error) and torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.note(f"the check before training was left out: {type(error).__name__}: {first_line(error)}")
            return
        self.verdicts, self._before = found.verdicts, found.findings
        self.alarmed = any(v.status == "fail" for v in found.verdicts) or any(f.alarm for f in found.findings)
        for verdict in found.verdicts:
            level = logging.INFO if verdict.status == "pass" else logging.WARNING
            LOG.log(level, "%s %s: %s", verdict.status, verdict.step, " ".join([verdict.summary, *verdict.advice]))
        for finding in found.findings:
            _tell(finding)

    def watch(self, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Look on from here."""
        if optimizers:
            self.monitor = Monitor(model, optimizers, every=self.every, on_finding=self._found)

    def hear(self, loss: Tensor) -> None:
        """The loss of a batch before its backward: of each step the first, where several are added up."""
        if self.monitor is not None and self.monitor.steps != self._told:
            self._told = self.monitor.steps
            self.monitor.watch(loss)

    def close(self) -> None:
        """Training is over: hooks are gone, and what was found is kept and told where it has not been."""
        if self.monitor is None:
            return
        self._after = self.monitor.findings()
        self.monitor.close()
        self.monitor = None

    def note(self, text: str) -> None:
        """Something that could not be looked at."""
        self.notes.append(text)
        LOG.info("%s", text)

    def _found(self, finding: Finding) -> None:
        self.alarmed = True
        if finding.fault not in {each.fault for each in self._before}:
            _tell(finding)


class Accompanied:
    """What a callback shows of its companion."""

    _companion: Companion

    @property
    def findings(self) -> Findings:
        """What was found so far, the check's before the monitor's."""
        return self._companion.findings

    @property
    def verdicts(self) -> list[Verdict]:
        """Steps 1 and 2 of the recipe."""
        return self._companion.verdicts

    @property
    def notes(self) -> list[str]:
        """What could not be looked at, and why."""
        return self._companion.notes


def _tell(finding: Finding) -> None:
    LOG.log(logging.WARNING if finding.alarm else logging.INFO, "%s", finding)

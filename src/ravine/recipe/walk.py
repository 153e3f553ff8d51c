"""The recipe walked: six steps in order, each told, timed, judged and recorded as it ends."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from ravine.diagnosis import Finding
from ravine.errors import InputError, ModelError
from ravine.recipe.budget import Budget
from ravine.recipe.coarse import coarse, coarse_spaces, judge_coarse
from ravine.recipe.curves import curves
from ravine.recipe.faults import Asked, find_faults
from ravine.recipe.folder import Folder, train_command
from ravine.recipe.handback import Answer, Committee, Ranked, greedy, hand_back, ranked
from ravine.recipe.initial_loss import initial_loss
from ravine.recipe.inspection import Inspection, inspect_trained, summary
from ravine.recipe.loss_slices import other_than
from ravine.recipe.lr_range import LrRange, find_range, judge_ranges
from ravine.recipe.overfit import overfit
from ravine.recipe.refine import judge_refine, refine
from ravine.recipe.result import Best, EnsembleResult, Result
from ravine.recipe.runs import PROBE
from ravine.recipe.session import Session, seconds_left
from ravine.recipe.shared_study import agreed_spaces, in_common, named_driver, said_of_others
from ravine.recipe.sharpness import sharpness_evidence
from ravine.recipe.trials import Search
from ravine.recipe.verdict import Verdict
from ravine.search import Choice, Space, Study, StudyServer, after_search
from ravine.training import History, Kept, Setting
from ravine.training.run import TRAIN_ROWS

__all__ = ["OPTIMIZERS", "Walk", "Wanted"]

OPTIMIZERS = ("adamw", "sgd")
"""Searched by default: the good default, and the one that can beat it with more tuning."""

INSPECTION = 60.0
"""Seconds that `tune --inspect` takes at most, also where there is no budget."""

DIAGNOSIS = 20.0
"""Seconds after which a diagnosis begins no experiment any more, also where there is no budget."""

LOOKED_AT = 1000  # examples, for there is less time than `ravine inspect` has

LEARNING = 30.0
"""A shorter budget, in seconds, is not spent on what the search has taught."""

GRID = 64
"""Trials that a grid is made for where their number is planned later."""

REPORT_AFTER = 0.7  # of what is left: the report is yet to be written


@dataclass(frozen=True)
class Wanted:
    """What a person says of the search; None is planned from the time there is.

    >>> Wanted.of(trials=64, epochs=20)
    Wanted(trials={'coarse': 48, 'refine': 16}, epochs={'coarse': 5, 'refine': 20}, sampler='random', known=True)
    """

    trials: Mapping[str, int] = field(default_factory=dict)  # by phase
    epochs: Mapping[str, int] = field(default_factory=dict)  # by phase, of the longest trial
    sampler: str = "random"  # a name in SAMPLERS
    known: bool = True  # settings known to be good come first

    @classmethod
    def of(cls, trials: int | None, epochs: int | None, **more: Any) -> Wanted:
        """So many trials in all, the longest of so many epochs: three quarters coarse and a quarter as long, then refined."""
        close = 0 if trials is None else max(1, trials // 4)
        return cls(
            trials={} if trials is None else {"coarse": max(1, trials - close), "refine": close},
            epochs={} if epochs is None else {"coarse": max(1, epochs // 4), "refine": epochs},
            **more,
        )


class Walk:
    """One run of the recipe in one folder. `keep_going`: a failed step does not stop it. `inspected`: measure the curvature
    of the best model when all is done.
    """

    def __init__(
        self,
        session: Session,
        folder: Folder,
        budget: Budget,
        *,
        space: Space | None = None,
        keep_going: bool = False,
        history: History | None = None,
    ) -> None:
        self.session, self.folder, self.budget = session, folder, budget
        self.space, self.keep_going, self.wanted = space, keep_going, Wanted()
        self.inspected = False
        self.elsewhere = ""  # what another driver of a shared study has found that is better
        self.history = history or History()
        session.pace = float(session.saver.decided("pace", lambda: session.pace) or math.nan)
        self.verdicts: list[Verdict] = []
        self.findings: list[Finding] = []
        self._diagnosed = False
        self._begun = time.monotonic()

    def stopped(self) -> bool:
        """Has a failed step ended the walk?"""
        return not self.keep_going and any(v.status == "fail" for v in self.verdicts)

    def check(self) -> None:
        """Steps 1 and 2."""
        self._begin("initial-loss")
        self._end(self.folder.known_verdict("initial-loss") or initial_loss(self.session))
        if not self.stopped():
            deadline = self._begin("overfit")
            self._end(self.folder.known_verdict("overfit") or overfit(self.session, deadline))
            self.session.saver.drop("overfit")

    def diagnose(self, asked: Asked) -> None:
        """What is wrong with the model and the data, by name."""
        self._diagnosed = True
        left = seconds_left(self._begin("diagnosis"))
        try:
            self.findings = find_faults(self.session, asked, min(DIAGNOSIS, left))
        except ModelError as error:
            if not any(verdict.status == "fail" for verdict in self.verdicts):
                raise
            self.session.watch.note(f"{error}")  # a step has said as much
        self.folder.record("diagnosis.json", {"findings": [finding.record() for finding in self.findings]})

    def lr_range(self) -> dict[str, LrRange]:
        """Step 3, for every optimizer that will be searched."""
        deadline, ranges = self._begin("lr-range"), {}
        names, known = self._optimizers(), self.folder.known_verdict("lr-range")
        curvature = None if known else sharpness_evidence(self.session, names, seconds_left(deadline))
        for i, name in enumerate(names):
            share = seconds_left(deadline) / (len(names) - i)
            ranges[name] = find_range(self.session, name, time.monotonic() + share)
        self._end(known or judge_ranges(ranges, curvature))
        return ranges

    def search(self, ranges: Mapping[str, LrRange]) -> list[Search]:
        """Steps 4 and 5: the phases that ended with at least one finite trial."""
        given = {"optimizer": Choice(self._optimizers()), **(self.space or {})}
        spaces = coarse_spaces(ranges, dropout=self.session.has_dropout, given=given)
        study = Study(
            self.folder.path,
            self.session.data.task,
            self.session.seed,
            list(spaces),
            sampler=self.wanted.sampler,
            trials=self.wanted.trials.get("coarse", GRID),
            resume=True,
            server=self._joined(),
            about=in_common(self.session) if self.session.server else None,
        )
        with closing(study):
            shared = agreed_spaces(study, spaces, self.space or {}) if self.session.server else spaces
            found = self._phases(study, shared)
            self.elsewhere = said_of_others(study) if self.session.server else ""
            study.keep(self.folder.path)
        return found

    def _joined(self) -> StudyServer | None:
        """The server of a shared study, told who asks: the same driver after a stop."""
        server, folder = self.session.server, self.folder.path
        if server is not None:
            server.driver = self.session.saver.decided("driver", lambda: named_driver(folder))
        return server

    def _phases(self, study: Study, spaces: Mapping[str, Space]) -> list[Search]:
        deadline = self._begin("coarse")
        wide = coarse(
            self.session,
            study,
            spaces,
            self.history,
            deadline,
            trials=self.wanted.trials.get("coarse"),
            epochs=self.wanted.epochs.get("coarse"),
            known=self.wanted.known,
            measured="lr" not in (self.space or {}),
        )
        self._end(judge_coarse(wide))
        if not wide.ranked:
            return []
        deadline = self._begin("refine")
        close = refine(
            self.session,
            study,
            wide,
            self.history,
            deadline,
            trials=self.wanted.trials.get("refine"),
            epochs=self.wanted.epochs.get("refine"),
        )
        self._end(judge_refine(close, wide))
        self._learn(study)
        return [wide, close] if close.ranked else [wide]

    def _learn(self, study: Study) -> None:
        """Add to the verdicts of the search what its trials have taught: now, for the refinement need not wait for it.

        Left out where the seconds it takes are better spent otherwise.
        """
        if self.budget.seconds is not None and self.budget.seconds < LEARNING:
            return
        maximize = study.measured == "accuracy"
        for i, verdict in enumerate(self.verdicts):
            if verdict.evidence.get("learnt", ...) is None:
                learnt = after_search(
                    study.trials, verdict.step, sampler=self.wanted.sampler, maximize=maximize, seed=self.session.seed
                )
                self.verdicts[i] = dataclasses.replace(verdict, evidence={**verdict.evidence, "learnt": learnt})
                self.folder.verdict(self.verdicts[i])

    def read_curves(self, winner: Kept, stopped: str | None) -> None:
        """Step 6. stopped: why the winner's training ended before its schedule, if it did."""
        self._begin("curves")
        data, columns = self.session.data, self.history.epochs(winner.trial)
        examples = (min(TRAIN_ROWS, len(data.train)), min(PROBE, len(data.validation)))
        images, layers = len(data.input_shape) == 3, self.session.has_dropout
        verdict = curves(
            columns, winner, data.task, examples=examples, stopped=stopped, images=images, has_dropout=layers
        )
        self._end(verdict)

    def tune(self, source: Mapping[str, Any]) -> Result:
        """All six steps and the hand-back. source: options that named the data, for the command to paste."""
        self.check()
        if self.stopped():
            return self.result()
        return self.seek(source, self.lr_range())

    def seek(self, source: Mapping[str, Any], ranges: Mapping[str, LrRange]) -> Result:
        """Steps 4 to 6 and the hand-back. ranges: of step 3; none where a person gives the rates."""
        if self.stopped():
            return self.result()
        phases = self.search(ranges)
        if self.stopped() or not phases:
            return self.result()
        everything = [kept for phase in phases for kept in phase.kept.values() if phase.outcomes[kept.trial].usable]
        candidates = ranked(self.session, everything, time.monotonic() + self.budget.left / 2)
        best = candidates[0].kept
        self.read_curves(best, next(phase.outcomes[best.trial].reason for phase in phases if best.trial in phase.kept))
        return self.give(candidates[0], greedy(self.session, candidates), source, self.budget.deadline("hand-back"))

    def give(
        self,
        best: Ranked,
        committee: Committee | None,
        source: Mapping[str, Any],
        deadline: float = math.inf,
        asked: Setting | None = None,
    ) -> Result:
        """Open the test split, write the winners down, and say what came out.

        asked: the setting to train again, where the best model's own (another seed, say) was made from it.
        """
        session, kept = self.session, best.kept
        given = hand_back(session, best, committee, deadline)
        epochs = math.ceil(kept.horizon / session.steps_per_epoch)
        alone = given.answers["best"]
        self.folder.models(session, kept, committee)
        self.folder.record("evaluation.json", given.evaluation)
        inspection = self.inspect(best, committee) if self.inspected else None
        return self.result(
            Best(
                kept.trial,
                session.hyperparameters(kept),
                alone.validation,
                alone.test,
                train_command(
                    session.data,
                    session.model_with(kept.model_settings),
                    asked or kept.setting,
                    epochs=epochs,
                    source=source,
                ),
            ),
            None if committee is None else _told(committee, given.answers[committee.kind]),
            inspection,
        )

    def inspect(self, best: Ranked, committee: Committee | None) -> Inspection | None:
        """The curvature around the best model, on training rows, in the share of the budget that is left for it.

        None, and the reason is said, where the model cannot be inspected: that is no fault of the run.
        """
        session, kept = self.session, best.kept
        left = seconds_left(self._begin("inspect"))
        try:
            found = inspect_trained(
                best.module,
                session.data.train,
                session.data.task,
                kept.setting,
                trial=kept.trial,
                examples=LOOKED_AT,
                other=other_than(best.module, [one.module for one in committee.members] if committee else []),
                seconds=min(INSPECTION, max(0.1, REPORT_AFTER * left)),
                seed=session.seed,
            )
        except InputError as error:
            session.watch.note(f"the curvature was left out: {error}")
            return None
        self.folder.inspection(found)
        session.watch.note(summary(found))
        if found.notes and self.folder.path is not None:
            session.watch.note(f"not all of the curvature fitted into the time: ravine inspect {self.folder.path}")
        return found

    def result(
        self, best: Best | None = None, ensemble: EnsembleResult | None = None, inspection: Inspection | None = None
    ) -> Result:
        """The record of the walk so far, written to result.json."""
        if best is None and not self._diagnosed and any(verdict.status == "fail" for verdict in self.verdicts):
            self.diagnose(Asked())  # a step says that training fails; this says why
        self.folder.history(self.history)
        trials = len(set(self.history.epochs()["trial"]))
        result = Result(
            self.verdicts,
            best,
            ensemble,
            trials,
            self.budget.spent,
            self.folder.path,
            inspection,
            self.findings,
            self.elsewhere,
        )
        self.folder.record("result.json", result.record())
        return result

    def _optimizers(self) -> list[str]:
        given = (self.space or {}).get("optimizer")
        return [str(name) for name in getattr(given, "options", OPTIMIZERS)]

    def _begin(self, step: str) -> float:
        self.session.watch.begin(step)
        self._begun = time.monotonic()
        return self.budget.deadline(step)

    def _end(self, verdict: Verdict) -> None:
        """Record a verdict, or take the one that was recorded before the run was stopped."""
        known = self.folder.known_verdict(verdict.step)
        verdict = known or dataclasses.replace(verdict, seconds=round(time.monotonic() - self._begun, 3))
        self.verdicts.append(verdict)
        if known is None:
            self.folder.verdict(verdict)
            self.session.saver.decide("pace", self.session.pace)
        self.session.watch.end(verdict)


def _told(committee: Committee, answer: Answer) -> EnsembleResult:
    return EnsembleResult(
        committee.kind,
        len(committee.members),
        [one.kept.trial for one in committee.members],
        list(committee.weights),
        committee.considered,
        answer.validation,
        answer.test,
    )

"""From trials that were asked for to runs: one for each structure, without the trials that cannot be built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

from ravine.engines.memory import out_of_memory
from ravine.recipe.session import Session
from ravine.search import Asked
from ravine.search.failures import reason_of
from ravine.search.serving import Order
from ravine.training import History, Run, Setting

__all__ = ["PROBE", "Built", "make_orders", "make_runs", "model_settings", "of_model", "shared_out"]

PROBE = 5_000
"""Rows looked at per evaluation, of training and of validation each: accuracy to within 0.3 % where it is near 95 %."""

Made = TypeVar("Made")


@dataclass
class Built:
    """Trials in runs, and in a line why those are lost that could not be built."""

    runs: list[Run] = field(default_factory=list)
    lost: dict[int, str] = field(default_factory=dict)
    first: Exception | None = None  # that lost one

    def attempt(self, one: Asked, work: Callable[[], Made]) -> Made | None:
        """What `work` makes of a trial; None where it raises, and the trial is lost. Memory that runs out is no trial's fault."""
        try:
            return work()
        except Exception as error:
            if out_of_memory(error):
                raise
            self.lost[one.number] = reason_of(error)
            self.first = self.first or error
            return None


def make_runs(
    session: Session,
    asked: Sequence[Asked],
    history: History,
    *,
    steps: int,
    fixed: Mapping[str, Any],
    every: int,
) -> Built:
    """A run for each structure among the trials: what differs in the rule, the batch size or the model is not stacked.

    fixed: settings that are not searched. A trial whose model or setting raises is lost, and the others are built without
    it. Where none is left, or memory runs out, the exception goes on. Where the session has several workers, a structure
    may be cut into several runs (`shared_out`).
    """

    def make(group: Sequence[Asked]) -> Run:
        return Run(
            session.data,
            session.model_with(model_settings(session, group[0])),
            [_setting(session, one, fixed) for one in group],
            steps=steps,
            trials=[one.number for one in group],
            history=history,
            probe=PROBE,
            every=every,
            between=session.saver.safe,
            engine=session.engine,
            device=session.device,
        )

    built = Built()
    for group in shared_out(_groups(session, asked, fixed, built), session.workers):
        built.runs += _sound(group, make, built)
    if built.first is not None and not built.runs:
        raise built.first
    return built


def make_orders(
    session: Session, asked: Sequence[Asked], *, steps: int, fixed: Mapping[str, Any], every: int, parts: int
) -> tuple[list[Order], dict[int, str]]:
    """As `make_runs`, of runs that are built where they train; (orders, why trials are lost). About as many as `parts`."""

    def order(group: Sequence[Asked]) -> Order:
        settings = {one.number: _setting(session, one, fixed) for one in group}
        size = min(next(iter(settings.values())).batch_size, len(session.data.train))
        return Order(
            settings,
            model_settings(session, group[0]) or dict(session.model.settings),
            steps=steps,
            steps_per_epoch=len(session.data.train) // size,
            probe=PROBE,
            every=every,
            engine=session.engine,
        )

    built = Built()
    orders = [order(group) for group in shared_out(_groups(session, asked, fixed, built), parts)]
    if built.first is not None and not orders:
        raise built.first
    return orders, built.lost


def _groups(session: Session, asked: Sequence[Asked], fixed: Mapping[str, Any], built: Built) -> list[list[Asked]]:
    """The trials by structure; those whose setting raises are lost."""
    groups: dict[str, list[Asked]] = {}
    for one in asked:
        setting = built.attempt(one, lambda one=one: _setting(session, one, fixed))  # type: ignore[misc]
        if setting is not None:
            groups.setdefault(repr((setting.structure, model_settings(session, one))), []).append(one)
    return [group for _, group in sorted(groups.items())]


def shared_out(groups: Sequence[Sequence[Asked]], workers: int) -> list[Sequence[Asked]]:
    """The groups laid end to end and cut where the share of a worker ends: all shares are equal, to one trial.

    >>> one, two = [Asked(number, {}) for number in range(5)], [Asked(5, {})]
    >>> [[asked.number for asked in part] for part in shared_out([one, two], workers=2)]
    [[0, 1, 2], [3, 4], [5]]
    """
    total, begin = sum(map(len, groups)), 0
    ends = [total * (i + 1) // workers for i in range(workers)]
    parts: list[Sequence[Asked]] = []
    for group in groups:
        inside = [end - begin for end in ends if begin < end < begin + len(group)]
        parts += [group[a:b] for a, b in pairwise([0, *sorted(set(inside)), len(group)])]
        begin += len(group)
    return parts


def _sound(group: Sequence[Asked], make: Callable[[Sequence[Asked]], Run], built: Built) -> list[Run]:
    """The run of a group, without the trials that cannot be built alone; none where no trial is left."""
    try:
        return [make(group)]
    except Exception as error:
        if out_of_memory(error):
            raise
        together = error
    sound = [one for one in group if built.attempt(one, lambda one=one: make([one]))]  # type: ignore[misc]
    if len(sound) == len(group):  # each can be built, and all cannot: whatever it is, it is no trial's
        raise together
    return [make(sound)] if sound else []


def _setting(session: Session, asked: Asked, fixed: Mapping[str, Any]) -> Setting:
    given = {name: value for name, value in asked.params.items() if name in Setting.__dataclass_fields__}
    own = {"batch_size": session.batch_size, **fixed, **given}
    return Setting(**own, seed=session.seed + asked.number, order=session.seed)


def model_settings(session: Session, asked: Asked) -> dict[str, Any] | None:
    """All settings of a trial's model where some of them are searched, else None."""
    own = of_model(asked)
    return {**session.model.settings, **own} if own else None


def of_model(asked: Asked) -> dict[str, Any]:
    """The parameters of a trial that are settings of its model: those that are no `Setting`'s.

    >>> of_model(Asked(0, {"lr": 0.1, "hidden": 64}))
    {'hidden': 64}
    """
    return {name: value for name, value in asked.params.items() if name not in Setting.__dataclass_fields__}

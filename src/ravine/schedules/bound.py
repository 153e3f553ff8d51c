"""A schedule as a torch scheduler: for loops, trainers and libraries that step an `LRScheduler`.

The rate of a step is computed from the step's number, the groups' peak rates and what was measured: never from
the rate before it. So a state is these three and nothing else, a resumed run has the very rates of one that never
stopped, and nothing that another hand wrote to `group["lr"]` is carried on.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ravine.errors import SettingError
from ravine.schedules.checks import check_schedule, check_whole
from ravine.schedules.point import Point, needs_metrics, point_at
from ravine.schedules.schedule import Schedule

__all__ = ["BoundSchedule", "bind"]

Group = dict[str, Any]
State = dict[str, Any]


def bind(schedule: Schedule, optimizer: Optimizer, steps: int) -> BoundSchedule:
    """Let a schedule set an optimizer's rates: call `step()` after each `optimizer.step()`, `steps` times in all.

    Each group's peak rate is the lr it has now; or its `initial_lr`, as for every torch scheduler, where one was
    bound to it before. steps: how often `step()` is called in the run, once per batch or once per epoch.
    Raises SettingError when one of the three cannot be used.

    >>> from ravine.schedules import Linear
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    >>> scheduler = bind(Linear(), optimizer, steps=4)
    >>> for _ in range(4):
    ...     print(scheduler.get_last_lr())
    ...     optimizer.step()
    ...     scheduler.step()
    [0.5]
    [0.375]
    [0.25]
    [0.125]
    """
    return BoundSchedule(schedule, optimizer, steps)


class BoundSchedule(LRScheduler):
    """What `bind` returns. A plateau is told a metric by `report(metric)`, or by `step(metric)` for both at once.

    After the last step the rates stay what they were. A group that is added on the way takes the lr it comes
    with as its peak rate, and joins at the next step.
    """

    total_steps: int
    """How often `step` may be called."""

    def __init__(self, schedule: Schedule, optimizer: Optimizer, steps: int) -> None:
        if not isinstance(optimizer, Optimizer):
            raise SettingError(
                f"bind got a {type(optimizer).__name__} as optimizer; it needs a torch optimizer: "
                "write bind(schedule, optimizer, steps)."
            )
        check_schedule("schedule", schedule)
        check_whole("steps", steps, 1, "steps=epochs * len(loader)")
        if point_at(schedule, 1.0).momentum is not None:
            for group in optimizer.param_groups:
                _momentum_key(group)
        self.schedule = schedule
        self.total_steps = steps
        self.measured: list[tuple[int, float]] = []  # (steps taken, metric) of each evaluation
        super().__init__(optimizer)
        self.base_lrs: list[float | Tensor] = [float(base) for base in self.base_lrs]  # a tensor may lie on a device

    def step(self, metric: float | Tensor | None = None) -> None:
        """Go on to the next step's rates; metric: an evaluation made after the step that was just taken.

        Raises SettingError beyond the end, and when a metric is given to a schedule that follows none.
        """
        if self.last_epoch >= self.total_steps:
            raise SettingError(
                f"a schedule bound for {self.total_steps} steps was asked for step {self.total_steps + 1}; it ends "
                "with its last: write bind(schedule, optimizer, steps) with all the steps of the run."
            )
        if metric is not None:
            self._measure(metric, after=self.last_epoch + 1)
        with warnings.catch_warnings():
            if self.last_epoch == 0:
                _silence_untrue_warnings(self.optimizer)
            super().step()  # counts, and warns when the optimizer has not stepped
        self._write()

    def report(self, metric: float | Tensor) -> None:
        """Tell a plateau a metric without going on to the next step: an evaluation between two steps.

        Raises SettingError when the schedule follows no metric.
        """
        self._measure(metric, after=self.last_epoch)
        self._write()

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each group at this step."""
        self._adopt_new_groups()
        factor = self._point().factor
        return [float(base) * factor for base in self.base_lrs]

    def state_dict(self) -> State:
        """What a resumed run needs, in plain numbers and lists; later steps leave it alone."""
        return {
            "last_epoch": self.last_epoch,
            "total_steps": self.total_steps,
            "base_lrs": [float(base) for base in self.base_lrs],
            "measured": [list(each) for each in self.measured],
        }

    def load_state_dict(self, state_dict: State) -> None:
        """Go on where the state was saved: the optimizer has that step's rates at once.

        Whether the optimizer's own state is loaded before or after makes no difference.
        Raises SettingError when it is no such state, or one of another length or of more groups.
        """
        self._check_state(state_dict)
        self.last_epoch = state_dict["last_epoch"]
        self._step_count = self.last_epoch + 1
        self.base_lrs = list(state_dict["base_lrs"])
        self.measured = [(after, metric) for after, metric in state_dict["measured"]]
        self._write()

    def _point(self) -> Point:
        at = min(self.last_epoch, self.total_steps - 1) / self.total_steps
        return point_at(self.schedule, at, [(after / self.total_steps, metric) for after, metric in self.measured])

    def _measure(self, metric: float | Tensor, after: int) -> None:
        if not needs_metrics(self.schedule):
            raise SettingError(f"{self.schedule!r} was given a metric, {metric!r}; it follows none: write step().")
        self.measured.append((after, float(metric)))

    def _write(self) -> None:
        momentum = self._point().momentum
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(lr)
            else:
                group["lr"] = lr
            if momentum is not None:
                key = _momentum_key(group)
                group[key] = (momentum, *group[key][1:]) if key == "betas" else momentum
        self._last_lr = [_copy(group["lr"]) for group in self.optimizer.param_groups]

    def _adopt_new_groups(self) -> None:
        known = self.optimizer.param_groups[: len(self.base_lrs)]
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:
            # An lr that was left to the optimizer's default is one tensor for all groups, scheduled already.
            shared = [base for base, other in zip(self.base_lrs, known, strict=False) if other["lr"] is group["lr"]]
            peak = shared[0] if shared and isinstance(group["lr"], Tensor) else group["lr"]
            self.base_lrs.append(float(group.setdefault("initial_lr", _copy(peak))))

    def _check_state(self, state: State) -> None:
        needed = {"last_epoch", "total_steps", "base_lrs", "measured"}
        if not isinstance(state, dict) or not needed <= state.keys():
            found = sorted(map(str, state)) if isinstance(state, dict) else type(state).__name__
            raise SettingError(
                f"the state to load is {found}; it needs the keys {sorted(needed)}: load what a bound schedule's "
                "state_dict() returned."
            )
        if state["total_steps"] != self.total_steps:
            raise SettingError(
                f"the state to load is of a schedule over {state['total_steps']} steps, this one runs over "
                f"{self.total_steps}: write bind(schedule, optimizer, steps={state['total_steps']})."
            )
        if len(state["base_lrs"]) > len(self.optimizer.param_groups):
            raise SettingError(
                f"the state to load has {len(state['base_lrs'])} parameter groups, the optimizer has "
                f"{len(self.optimizer.param_groups)}: add the same groups to the optimizer first."
            )


def _momentum_key(group: Group) -> str:
    """Where a group keeps its momentum, or what is called so in Adam and its kin."""
    for key in ("betas", "beta1", "momentum"):
        if key in group:
            return key
    raise SettingError(
        "the schedule moves the momentum, but a parameter group has none: write OneCycle(cycle_momentum=False)."
    )


def _silence_untrue_warnings(optimizer: Optimizer) -> None:
    """Two of torch's warnings at the first step where they are not to the point.

    That the optimizer has not stepped: a GradScaler skips a step with a gradient that is not finite. That its `step`
    was replaced: so it is in a copy, and where another library wraps it.
    """
    warnings.filterwarnings("ignore", r"Seems like `optimizer\.step\(\)` has been overridden")
    grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    if any(not bool(torch.isfinite(_values(grad)).all()) for grad in grads):
        warnings.filterwarnings("ignore", r"Detected call of `lr_scheduler\.step\(\)` before `optimizer\.step\(\)`")


def _values(grad: Tensor) -> Tensor:
    return grad.coalesce().values() if grad.is_sparse else grad


def _copy(lr: float | Tensor) -> float | Tensor:
    return lr.clone() if isinstance(lr, Tensor) else lr

"""A population: K trials of one structure, trained at once. A single training run is a population of one.

Two engines turn a batch into gradients over the same packed memory: `stacked` (vmap) and `one by one`. The
first batch decides: a model that vmap refuses is trained one by one, and `choice.reason` names what vmap
said; otherwise both are timed, on one thread and on all, and the fastest is taken. The update is packed
either way, and so is what holds the weights back: penalties and limits on their norm.

Letters in shapes: K trials, B batch, N examples.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ravine.engines.constraints import Constraints
from ravine.engines.loss import Loss
from ravine.engines.one_by_one import Habits, habits_of, single_losses, single_outputs
from ravine.engines.ownership import Own
from ravine.engines.recorded import Recorder
from ravine.engines.stack import Stack
from ravine.engines.stacked import hush_slow_operations, stacked_outputs
from ravine.engines.threads import threads
from ravine.engines.updates import Update, update_for
from ravine.errors import ModelError, SettingError
from ravine.regularization import MaxNorm, Penalty
from ravine.rules import Rule

__all__ = ["Choice", "Engine", "Population", "StepRecord"]

Engine = Literal["auto", "stacked", "one by one"]


class Choice(NamedTuple):
    """How a population is run, and why. Measured on its first batch; given, it spares the measuring."""

    engine: Engine
    threads: int | None  # None leaves torch's own number
    reason: str


class StepRecord(NamedTuple):
    """What one step was like, each [K]."""

    loss: Tensor  # of the data, without penalties, on this batch and before the step
    grad_norm: Tensor  # Euclidean norm over all parameters of what the rule met: with penalties, unless proximal
    update_ratio: (
        Tensor  # norm of the whole change (the rule's, and what followed it) over that of the parameters before
    )


class Population:
    """K modules of one structure, each with its own rule settings, learning rate and draws.

    modules: K initialized modules on one device, dropout already stateless (`replace_dropout`); they are
        taken over: their parameters become views of the packed memory.
    rules: K rules of one kind; their numbers may differ.
    loss: mean loss of one trial. seeds: for models that draw from torch's global generator themselves.
    engine: auto measures; a `Choice` of another population of the same kind is taken as it is.
    penalties: K, or None for a trial without; their strengths may differ, their choice of parameters may not.
    proximal: apply them by their proximal operator, after the rule and with its rate, instead of by their gradient.
    limits: K max-norm constraints likewise, applied last.
    Raises SettingError when rules, penalties or limits do not agree, and for a proximal step or a limit
    beside a rule that averages on the side: the average would not keep it.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        rules: Sequence[Rule],
        loss: Loss,
        *,
        seeds: Sequence[int] | None = None,
        engine: Engine | Choice = "auto",
        penalties: Sequence[Penalty | None] | None = None,
        proximal: bool = False,
        limits: Sequence[MaxNorm | None] | None = None,
    ) -> None:
        if len(modules) != len(rules):
            raise ModelError(
                f"a population needs one rule per module: got {len(modules)} modules and {len(rules)} rules."
            )
        self.stack, self.loss = Stack(modules), loss
        self._recorder = Recorder(self.stack, loss)
        self.update = update_for(rules, self.stack.layout, self.stack.flat)
        self.constraints = Constraints(
            modules[0], self.stack.layout, len(modules), penalties=penalties, proximal=proximal, limits=limits
        )
        if self.constraints.project and type(rules[0]).settled is not Rule.settled:
            raise SettingError(
                f"{type(rules[0]).__name__} averages its weights on the side, and the average would not keep a limit or "
                "a proximal step: use another rule, or penalties with proximal=False."
            )
        self.seeds = list(seeds) if seeds is not None else list(range(len(modules)))
        self.steps = 0
        self._given = isinstance(engine, Choice)
        alone = len(modules) == 1
        if isinstance(engine, Choice):
            self.choice = engine
        else:
            self.choice = (
                Choice("one by one", None, "there is one trial") if alone else Choice(engine, None, "asked for")
            )
        self._habits: Habits | None = None  # known after the first batch

    def __len__(self) -> int:
        return len(self.stack)

    @property
    def engine(self) -> Engine:
        """The engine in use; "auto" before the first batch."""
        return self.choice.engine

    @property
    def device(self) -> torch.device:
        return self.stack.flat.device

    def step(
        self, x: Tensor, y: Tensor, lr: Sequence[float], *, own: bool = False, own_targets: bool | None = None
    ) -> StepRecord:
        """One step of every trial.

        x [B, ...], y [B]: a batch that all trials share; with own=True x [K, B, ...], y [K, B], one each.
        own_targets: whether y is one each, where that differs from x.
        lr: K rates.
        Raises SettingError when what is one each does not begin with K.
        """
        each = Own(own, own if own_targets is None else own_targets)
        each.check(x, y, len(self))
        if self._habits is None:
            self._look_at(x, y, each)
        self.steps += 1
        self.stack.set_step(self.steps)
        losses = self._losses(self.engine, x, y, each)
        return self._move(self.update, self.stack.flat, losses, lr)

    def set_momentum(self, values: Sequence[float]) -> None:
        """Give each trial another momentum (for Adam's kind, beta1) from the next step on: K values."""
        self.update.set_momentum(values)

    @torch.no_grad()
    def _move(self, update: Update, flat: Tensor, losses: Tensor, lr: Sequence[float]) -> StepRecord:
        before = torch.linalg.vector_norm(flat, dim=1)
        self.constraints.before_(self.stack.grads, flat)
        change = update.step(flat, self.stack.grads, lr, max(self.steps, 1))
        self.constraints.after_(flat, change, lr)
        grad_norm = torch.linalg.vector_norm(self.stack.grads, dim=1)
        return StepRecord(losses, grad_norm, torch.linalg.vector_norm(change, dim=1) / before)

    def outputs(self, x: Tensor, *, chunk: int = 1024) -> Tensor:
        """Outputs in evaluation mode for shared inputs, x [N, ...] -> [K, N, ...].

        chunk: inputs at a time; fewer where many trials are stacked, for each has its own activations. A CPU never
        stacks here: so many rows at once keep it busy, and one trial's activations fit its cache.
        """
        stacked = self.engine == "stacked" and self.device.type != "cpu"
        compute = stacked_outputs if stacked else single_outputs
        if stacked:
            chunk = min(chunk, max(16, 4096 // len(self)))
        with self._settled():
            return torch.cat([compute(self.stack, part) for part in x.split(chunk)], dim=1)

    def keep(self, index: Sequence[int]) -> None:
        """Drop every trial but `index`; the survivors go on as if nothing had happened."""
        chosen = torch.tensor(list(index), dtype=torch.int64, device=self.device)
        self.stack.keep(chosen)
        self._recorder = Recorder(self.stack, self.loss)
        self.update.keep(chosen)
        self.constraints.keep(chosen)
        self.seeds = [self.seeds[k] for k in index]

    def state(self, k: int) -> dict[str, Tensor]:
        """A copy of trial k's state_dict: the weights to evaluate."""
        with self._settled():
            return self.stack.state(k)

    @contextmanager
    def _settled(self) -> Iterator[None]:
        """For a rule that averages on the side, its averages in place of the weights that train."""
        kept, training = self.update.settled(self.stack.flat), self.stack.flat
        if kept is training:
            yield
            return
        before = training.clone()
        training.copy_(kept)
        try:
            yield
        finally:
            training.copy_(before)

    def _look_at(self, x: Tensor, y: Tensor, own: Own) -> None:
        """Choose engine and threads on the first batch; parameters and buffers are left as they were."""
        self._habits = habits_of(self.stack, x[0] if own.x else x)
        obstacle = self._obstacle(self._habits)
        if obstacle and self.choice.engine == "stacked":
            raise ModelError(f"{obstacle}; write engine='auto' or 'one by one'.")
        if obstacle:
            self.choice = Choice("one by one", self.choice.threads, obstacle)
        if self._given:
            return
        saved = {key: buffer.clone() for key, buffer in self.stack.buffers.items()}
        try:
            hush_slow_operations()
            self.choice = self._fastest(x, y, own)
            self._recorder.doubt()
        finally:
            for key, buffer in self.stack.buffers.items():
                buffer.copy_(saved[key])

    def _fastest(self, x: Tensor, y: Tensor, own: Own) -> Choice:
        """Time this step with every engine that is allowed, on one thread and on all; the update runs on copies."""
        update, flat, lr = copy.deepcopy(self.update), self.stack.flat.clone(), [0.0] * len(self)

        def step(engine: Engine) -> StepRecord:
            return self._move(update, flat, self._losses(engine, x, y, own), lr)

        counts = [1, None] if self.device.type == "cpu" and torch.get_num_threads() > 1 else [None]
        engines: list[Engine] = ["stacked", "one by one"] if self.choice.engine == "auto" else [self.choice.engine]
        timed: dict[tuple[Engine, int | None], float] = {}
        reason = self.choice.reason
        for engine in engines:
            try:
                for count in counts:
                    with threads(count):
                        timed[engine, count] = _seconds(lambda engine=engine: step(engine))  # type: ignore[misc]
            except Exception as refusal:  # whatever vmap, or the model under it, raises is the reason
                if engine == "one by one" or len(engines) == 1:
                    raise
                said = str(refusal).strip().splitlines() or [type(refusal).__name__]
                reason = f"vmap cannot run {type(self.stack.modules[0]).__name__}: {said[0]}"
        (engine, count), best = min(timed.items(), key=lambda item: item[1])
        if len({engine for engine, _ in timed}) > 1:
            other = min(seconds for (name, _), seconds in timed.items() if name != engine)
            reason = f"measured: {1e3 * best:.2f} ms a step {engine}, {1e3 * other:.2f} ms otherwise"
        return Choice(engine, count, reason)

    def _obstacle(self, habits: Habits) -> str:
        """Why a stack would train this model wrongly, or ""."""
        name = type(self.stack.modules[0]).__name__
        if habits.draws:
            return f"{name} draws from torch's global generator, which a stack of trials cannot share"
        return f"{name} assigns a buffer anew, which a stack of trials cannot follow" if habits.rebinds else ""

    def _losses(self, engine: Engine, x: Tensor, y: Tensor, own: Own) -> Tensor:
        if engine == "stacked":
            return self._recorder.losses(x, y, own=own)
        draws = [(seed, self.steps) for seed in self.seeds]
        return single_losses(self.stack, self.loss, x, y, own=own, habits=self._habits or Habits(), draws=draws)


def _seconds(work: Callable[[], StepRecord]) -> float:
    """The fastest of three runs after one to warm up."""
    taken = []
    for _ in range(4):
        start = time.perf_counter()
        work().loss.sum().item()  # .item() waits for the device
        taken.append(time.perf_counter() - start)
    return min(taken[1:])
